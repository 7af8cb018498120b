//! `[alerts]`: what is run when ops have to know of something; nothing where the section is absent.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::mistake::Mistake;
use crate::config::section::Section;
use crate::config::values;

/// A night of Mailchimp's maintenance is shorter.
const NO_SUCCESS_FOR: Duration = Duration::from_hours(1);
const AT_MOST_EVERY: Duration = Duration::from_mins(5);
const REPEAT_AFTER: Duration = Duration::from_hours(24);
const TIMEOUT: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(1);

/// What is run when ops have to know of something, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertsConfig {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Where it finds other programs.
    pub path: Option<String>,
    /// After how long without a cycle that worked.
    pub no_success_for: Duration,
    /// Between two runs.
    pub at_most_every: Duration,
    /// After how long something that is still wrong is told again.
    pub repeat_after: Duration,
    /// How long a run may take.
    pub timeout: Duration,
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> Option<AlertsConfig> {
    let command = section.require("on_alert", |value| match values::texts(value)? {
        words if words.is_empty() => Err(Mistake::Empty),
        words => Ok(words),
    });
    let mut long =
        |key, default| section.read(key, |value| values::duration(value, LEAST)).unwrap_or(default);
    let (no_success_for, at_most_every) =
        (long("no_success_for", NO_SUCCESS_FOR), long("at_most_every", AT_MOST_EVERY));
    let (repeat_after, timeout) = (long("repeat_after", REPEAT_AFTER), long("timeout", TIMEOUT));
    if repeat_after < at_most_every {
        section.problem("repeat_after", &Mistake::ShorterThan { than: "at_most_every" });
    }
    let mut words = command?.into_iter();
    let program = words.next()?;
    // A name without a slash is looked for where programs are.
    let program =
        if program.contains('/') { section.document.resolve(&program) } else { PathBuf::from(program) };
    let path = section.document.environment.variable("PATH");
    let arguments = words.collect();
    Some(AlertsConfig { program, arguments, path, no_success_for, at_most_every, repeat_after, timeout })
}
