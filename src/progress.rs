//! How far a long piece of work has come: told by whoever does it, shown by whoever wants to.

use serde::{Deserialize, Serialize};

/// How far a long piece of work has come, for whoever shows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// How much of it is done.
    pub done: u64,
    /// How much there is to do; 0 where nobody knows.
    pub total: u64,
}

/// The phases of a cycle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Nothing has begun.
    #[default]
    Waiting,
    /// Somebody else's work comes first; this is how far that is.
    Queued,
    /// Rows are read.
    ReadingRegister,
    /// Contacts are read.
    ReadingAudience,
    /// Members are decided about.
    Reconciling,
    /// Operations are carried out.
    Applying,
}
