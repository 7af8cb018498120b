//! What `check` learns of a register: every problem at once, and a first look at the rows.

use std::fmt;

use crate::reconcile::policy::RegisterFeatures;
use crate::registrations::Reading;

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The register cannot be used until it is mended.
    Error,
    /// The register can be used; something is weaker or slower than it could be.
    Notice,
}

/// Something about the mapping that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingProblem {
    /// How much it matters.
    pub severity: Severity,
    /// The key of the configuration.
    pub key: String,
    /// What is wrong and what to do, as a sentence without its full stop.
    pub problem: String,
}

impl MappingProblem {
    /// A problem that keeps the register from being used.
    pub fn error(key: &str, problem: String) -> Self {
        Self { severity: Severity::Error, key: key.to_owned(), problem }
    }

    /// A problem to know of.
    pub fn notice(key: &str, problem: String) -> Self {
        Self { severity: Severity::Notice, key: key.to_owned(), problem }
    }
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.key, self.problem)
    }
}

/// What a look at the register found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegisterReport {
    /// The problems, errors first.
    pub problems: Vec<MappingProblem>,
    /// What the register can hold; `None` where errors keep it from being read.
    pub features: Option<RegisterFeatures>,
    /// How many rows it has, removed ones left out.
    pub rows: u64,
    /// The first three rows.
    pub samples: Vec<Reading>,
}

impl RegisterReport {
    /// Whether the register can be used.
    pub fn is_usable(&self) -> bool {
        self.problems.iter().all(|problem| problem.severity != Severity::Error)
    }
}

/// A reading of every cycle that has no index to go by.
pub(super) fn no_index(key: &str, what: &str) -> MappingProblem {
    MappingProblem::notice(key, format!("no index on {what}: large registers are read slowly"))
}

/// Interests whose changes nobody notes.
pub(super) fn silent_interests() -> MappingProblem {
    let problem = "no trigger watches this table: unless the website sets the row's time of change with its \
                   interests, only full cycles notice them";
    MappingProblem::notice("registrations.interests.table", problem.to_owned())
}

/// All errors in one sentence; `None` where there is none.
pub(super) fn errors_in_one(problems: &[MappingProblem]) -> Option<String> {
    let errors: Vec<String> = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    (!errors.is_empty()).then(|| errors.join("; "))
}
