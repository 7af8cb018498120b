//! What came of a cycle, for people, for programs and for the record.

use serde::{Deserialize, Serialize};

use crate::apply::Applied;
use crate::observe::{Observed, Scope};
use crate::state::{CycleId, CycleKind, State, StateError};

/// What was read of each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SidesRead {
    /// Rows.
    pub local: u64,
    /// Contacts.
    pub remote: u64,
}

/// The result of one cycle.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Its number.
    pub cycle: i64,
    /// `incremental` or `full`.
    pub kind: String,
    /// What was read.
    pub observed: SidesRead,
    /// Operations planned, without those that a person rejected.
    pub planned: u64,
    /// Operations done.
    pub applied: u64,
    /// Operations that failed or whose outcome is unknown.
    pub failed: u64,
    /// Operations that were refused: their members were set aside.
    #[serde(default)]
    pub refused: u64,
    /// Operations left for the next cycle, because a side had changed meanwhile.
    #[serde(default)]
    pub skipped: u64,
    /// Members that are set aside, by this cycle or by an earlier one.
    pub parked: u64,
    /// Operations that wait for a person's decision.
    pub held: u64,
    /// Operations that stay back because a person rejected them.
    #[serde(default)]
    pub rejected: u64,
    /// Requests made to Mailchimp.
    pub requests: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl Report {
    pub(super) fn new(cycle: CycleId, scope: Scope) -> Self {
        Self { cycle: cycle.0, kind: scope.as_str().to_owned(), ..Self::default() }
    }

    pub(super) fn to_json(&self) -> Option<String> {
        serde_json::to_string(self).ok()
    }

    pub(super) fn read(&mut self, observed: Observed) {
        self.observed.local += observed.local;
        self.observed.remote += observed.remote;
    }

    /// Takes up what a round planned: the first round's whole plan, later rounds' what they found beyond it.
    pub(super) fn plan(&mut self, planned: u64, held: u64, rejected: u64, round: usize) {
        let planned = planned.saturating_sub(rejected);
        self.planned += if round == 0 { planned } else { planned.saturating_sub(held) };
        (self.held, self.rejected) = (held, rejected);
    }

    /// Takes up what was planned for those who were named while everybody was read.
    pub(super) fn attend(&mut self, planned: u64) {
        self.planned += planned;
    }

    pub(super) fn add(&mut self, applied: Applied) {
        self.applied += applied.done;
        self.failed += applied.failed;
        self.refused += applied.parked;
        self.skipped += applied.skipped;
    }

    pub(super) async fn counts(&mut self, state: &State) -> Result<(), StateError> {
        self.parked = state.count_parked().await?;
        Ok(())
    }
}

/// What the state calls a cycle of this scope.
impl From<Scope> for CycleKind {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Incremental => Self::Incremental,
            Scope::Full => Self::Full,
        }
    }
}
