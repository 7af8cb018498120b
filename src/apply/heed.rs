//! When a plan is left before its end for whoever is named meanwhile: soon, and never so often that the rest would starve.

use jiff::Timestamp;

use crate::apply::{ApplyError, Past, Targets, may_go_on};

/// Whether a plan may be left before its end for whoever is named meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heed {
    /// It may not.
    Nobody,
    /// It may.
    Named {
        /// From then on: where as long is written as was planned, planning again takes half of the time at most.
        from: Timestamp,
    },
}

/// How far a plan was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Everything was tried, or staff paused.
    End,
    /// Somebody was named: what is left is to be planned again.
    Named,
}

/// A plan on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stretch {
    heed: Heed,
    /// How many operations had been begun in this round before it.
    before: u64,
    /// How many it had to do, with those.
    pub(super) total: u64,
}

impl Stretch {
    pub(super) async fn begin(targets: &Targets, heed: Heed, past: &mut Past) -> Result<Self, ApplyError> {
        let total = past.begun + targets.state.count_planned().await?;
        past.first_plan.get_or_insert(total);
        Ok(Self { heed, before: past.begun, total })
    }

    /// Whether the plan ends before its next operation: staff paused, or somebody was named.
    ///
    /// 1. Something of it must have been begun; what was not done is not tried again in the same round.
    /// 2. Not once as many were begun as the round's first plan held: who is named over and over keeps nobody else waiting.
    pub(super) async fn ends(&self, targets: &Targets, past: &Past) -> Result<Option<Reached>, ApplyError> {
        if !may_go_on(targets).await? {
            return Ok(Some(Reached::End));
        }
        let may_end = past.begun > self.before && past.first_plan.is_some_and(|first| past.begun < first);
        Ok((may_end && calls(targets, self.heed).await?).then_some(Reached::Named))
    }
}

/// Whether somebody is named who is to be heeded.
pub(super) async fn calls(targets: &Targets, heed: Heed) -> Result<bool, ApplyError> {
    match heed {
        Heed::Named { from } if from <= targets.clock.now() => Ok(!targets.state.named(1).await?.is_empty()),
        Heed::Named { .. } | Heed::Nobody => Ok(false),
    }
}
