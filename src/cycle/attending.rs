//! Addresses that somebody names while a long cycle is under way: they do not wait for its end.

use std::collections::BTreeSet;

use crate::apply::{Applied, apply};
use crate::cycle::guarding::leave_unsafe;
use crate::cycle::prepare::Prepared;
use crate::cycle::report::Report;
use crate::cycle::staging::reconcile_some;
use crate::cycle::{Cycle, CycleError};
use crate::model::MemberId;
use crate::observe::{Observed, Scope, observe, read_named};
use crate::state::{CycleId, MemberName, Pause};

/// How many of those who are named are attended to between two pages.
const AT_ONCE: usize = 50;

impl Cycle {
    /// Observes, and attends between the pages of a full walk to whoever is named meanwhile.
    ///
    /// 1. Not before both sides have adopted each other and were seen whole once: until then a person is asked first.
    /// 2. Whoever is named is read by themselves on both sides, so that a half-read side decides nothing.
    pub(super) async fn observe_and_attend(
        &self,
        id: CycleId,
        prepared: &Prepared,
        report: &mut Report,
    ) -> Result<Observed, CycleError> {
        let (sources, Prepared { scope, schema, .. }) = (self.sources(), prepared);
        let met = self.state.adopted_at().await?.is_some() && self.state.full_observed_at().await?.is_some();
        if *scope == Scope::Incremental || !met {
            return Ok(observe(&sources, schema, *scope).await?);
        }
        // Every page that was read is told there; nothing more is read while somebody is attended to.
        let mut pages = self.progress.subscribe();
        let mut observing = std::pin::pin!(observe(&sources, schema, *scope));
        loop {
            tokio::select! {
                biased;
                observed = &mut observing => return Ok(observed?),
                _ = pages.changed() => self.attend(id, prepared, report).await?,
            }
        }
    }

    /// Reads, decides and writes for those who are named; what the guard would hold of it waits for the whole plan.
    async fn attend(&self, id: CycleId, prepared: &Prepared, report: &mut Report) -> Result<(), CycleError> {
        let named = self.state.pending(None, AT_ONCE).await?;
        if named.is_empty() || self.state.paused().await? != Pause::Running {
            return Ok(());
        }
        let Prepared { schema, policy, .. } = prepared;
        report.observed.remote += read_named(&self.sources(), schema).await?;
        let mut members: BTreeSet<MemberId> = BTreeSet::new();
        for pending in named {
            members.extend(self.state.find_members(MemberName::Address(pending.address)).await?);
        }
        let number = reconcile_some(&self.state, policy, &self.clock, members).await?;
        leave_unsafe(&self.state, &self.limits, self.clock.now()).await?;
        report.attend(self.state.count_planned().await?);
        let targets = self.targets(schema.clone(), policy.clone(), number);
        let mut applied = Applied::default();
        let result = apply(&targets, id, &mut applied).await;
        report.add(applied);
        Ok(result?)
    }
}
