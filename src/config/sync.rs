//! `[sync]`: how often, and who wins what.

use std::time::Duration;

use crate::config::mistake::Mistake;
use crate::config::section::Section;
use crate::config::values;
use crate::reconcile::policy::{GoneLocal, NewLocal, NewRemote, Prefer, Resubscribe};

const LEAST_INTERVAL: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_mins(1);
const FULL_INTERVAL: Duration = Duration::from_hours(24);

/// How often to look, and the policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncConfig {
    /// From one cycle to the next.
    pub interval: Duration,
    /// From one full cycle to the next.
    pub full_interval: Duration,
    /// A registration new to Mailchimp.
    pub new_local: NewLocal,
    /// A subscriber new to the register.
    pub new_remote: NewRemote,
    /// Somebody who left and registers again.
    pub resubscribe: Resubscribe,
    /// A contact whose rows were removed.
    pub gone_local: GoneLocal,
    /// Both sides changed one value.
    pub prefer: Prefer,
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> Option<SyncConfig> {
    let mut every =
        |key, default| section.read(key, |value| values::duration(value, LEAST_INTERVAL)).unwrap_or(default);
    let (interval, full_interval) = (every("interval", INTERVAL), every("full_interval", FULL_INTERVAL));
    if full_interval < interval {
        section.problem("full_interval", &Mistake::ShorterThan { than: "interval" });
    }
    Some(SyncConfig {
        interval,
        full_interval,
        new_local: word(
            section,
            "new_local",
            &[
                ("subscribe", NewLocal::Subscribe),
                ("confirm", NewLocal::Confirm),
                ("ignore", NewLocal::Ignore),
            ],
        ),
        new_remote: word(
            section,
            "new_remote",
            &[("create", NewRemote::Create), ("ignore", NewRemote::Ignore)],
        ),
        resubscribe: word(
            section,
            "resubscribe",
            &[
                ("confirm", Resubscribe::Confirm),
                ("direct", Resubscribe::Direct),
                ("never", Resubscribe::Never),
            ],
        ),
        gone_local: word(
            section,
            "gone_local",
            &[
                ("archive", GoneLocal::Archive),
                ("unsubscribe", GoneLocal::Unsubscribe),
                ("leave", GoneLocal::Leave),
            ],
        ),
        prefer: word(
            section,
            "prefer",
            &[("newest", Prefer::Newest), ("local", Prefer::Local), ("remote", Prefer::Remote)],
        ),
    })
}

fn word<T: Copy + Default>(section: &mut Section<'_>, key: &str, words: &[(&'static str, T)]) -> T {
    section.read(key, |value| values::word(value, words)).unwrap_or_default()
}
