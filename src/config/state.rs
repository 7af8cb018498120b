//! `[state]`: where our own memory lies, and how long the parts of it last that may be forgotten.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::section::Section;
use crate::config::values;

const DAY: Duration = Duration::from_hours(24);
/// The guard counts over the last 24 hours and reads the trail for it; a day on top, so that no cut falls inside.
const LEAST_TRAIL: Duration = Duration::from_hours(48);
/// A question about a newsletter is asked within a year or so of it.
const KEEP_TRAIL: Duration = Duration::from_hours(24 * 400);
const KEEP_CYCLES: Duration = Duration::from_hours(24 * 90);
const KEEP_EVENTS: Duration = Duration::from_hours(24 * 30);

/// The state file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateConfig {
    /// The SQLite file; the socket, the spool folder and the lock lie beside it.
    pub path: PathBuf,
    /// How long the trail of operations is kept.
    pub keep_trail: Duration,
    /// How long the reports of cycles are kept.
    pub keep_cycles: Duration,
    /// How long received webhook events are kept once they are dealt with.
    pub keep_events: Duration,
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> Option<StateConfig> {
    let path = section.read("path", values::text).unwrap_or_else(|| "state.db".to_owned());
    Some(StateConfig {
        path: section.document.resolve(&path),
        keep_trail: keep(section, "keep_trail", LEAST_TRAIL, KEEP_TRAIL),
        keep_cycles: keep(section, "keep_cycles", DAY, KEEP_CYCLES),
        keep_events: keep(section, "keep_events", DAY, KEEP_EVENTS),
    })
}

fn keep(section: &mut Section<'_>, key: &str, least: Duration, default: Duration) -> Duration {
    section.read(key, |value| values::duration(value, least)).unwrap_or(default)
}
