//! What came of a cycle, for people, for programs and for the record.

use std::collections::BTreeMap;

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
    /// Refusals by what each was taken for.
    #[serde(skip)]
    pub refusals: BTreeMap<String, u64>,
    /// What is planned and was not tried: the next plan has it again.
    #[serde(skip)]
    untried: u64,
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

    /// Takes up a plan of everybody: whatever an earlier one left untried is in it again, as far as it is still wanted.
    pub(super) fn plan(&mut self, planned: u64, held: u64, rejected: u64) {
        let planned = planned.saturating_sub(rejected);
        self.planned = self.planned.saturating_sub(self.untried) + planned;
        (self.untried, self.held, self.rejected) = (planned, held, rejected);
    }

    /// Takes up what was planned for those who were named, and waits in no plan of everybody.
    pub(super) fn plan_some(&mut self, planned: u64) {
        self.planned += planned;
        self.untried += planned;
    }

    pub(super) fn add(&mut self, applied: &Applied) {
        let Applied { done, failed, skipped, parked, refusals, schema_is_stale: _ } = applied;
        for (class, count) in refusals {
            *self.refusals.entry(class.clone()).or_default() += count;
        }
        self.untried = self.untried.saturating_sub(done + failed + skipped + parked);
        self.applied += done;
        self.failed += failed;
        self.refused += parked;
        self.skipped += skipped;
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
