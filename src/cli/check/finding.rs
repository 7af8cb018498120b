//! One thing that `check` found, and how it is printed.

use std::fmt;

use serde::{Serialize, Serializer};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Severity {
    /// The configuration is wrong, or does not fit a side.
    Error,
    /// A side could not be reached: try again. Shown as an error, but another exit code.
    Unreached,
    /// Something to know of.
    Notice,
}

/// One thing that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// How much it matters.
    pub(super) severity: Severity,
    /// The section and the key, with the value where there are several: `[merge_field] tag "FNAME"`.
    pub(super) key: String,
    /// What is wrong and what to do.
    pub(super) problem: String,
}

impl Finding {
    /// Something that must be mended.
    pub(super) fn error(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Error, key: key.into(), problem: problem.into() }
    }

    /// A side that could not be reached.
    pub(super) fn unreached(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Unreached, key: key.into(), problem: problem.into() }
    }

    /// Something to know of.
    pub(super) fn notice(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, key: key.into(), problem: problem.into() }
    }
}

impl Severity {
    fn word(self) -> &'static str {
        match self {
            Self::Error | Self::Unreached => "error",
            Self::Notice => "notice",
        }
    }
}

impl Serialize for Severity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { severity, key, problem } = self;
        // A problem in several lines stays with its key.
        write!(f, "{:8}{key}: {}", severity.word(), problem.replace('\n', " "))
    }
}
