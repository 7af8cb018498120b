//! Addresses that somebody names while a long cycle is under way: they do not wait for its end.

use std::collections::BTreeSet;

use crate::apply::{Applied, apply};
use crate::cycle::guarding::leave_unsafe;
use crate::cycle::prepare::Prepared;
use crate::cycle::report::Report;
use crate::cycle::staging::reconcile_some;
use crate::cycle::{Cycle, CycleError};
use crate::model::{EmailAddress, MemberId};
use crate::observe::{Observed, Scope, observe, read_named};
use crate::state::{CycleId, MemberName, Pause};

/// How many of those who are named are attended to between two pages.
const AT_ONCE: usize = 50;

impl Cycle {
    /// Observes, and attends between the pages of a full walk to whoever is named meanwhile.
    ///
    /// 1. Not before both sides have adopted each other and were seen whole once: until then a person is asked first.
    /// 2. Whoever is named is read by themselves on both sides, so that a half-read side decides nothing.
    /// 3. A page that was read before they were attended to may be stored after it, and show them as they were: they are
    ///    read once more at the end, before anything is decided about everybody.
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
        let mut attended = BTreeSet::new();
        let mut observing = std::pin::pin!(observe(&sources, schema, *scope));
        let mut observed = loop {
            tokio::select! {
                biased;
                observed = &mut observing => break observed?,
                _ = pages.changed() => attended.extend(self.attend(id, prepared, report).await?),
            }
        };
        if !attended.is_empty() {
            let reason = "attended to while everybody was read".to_owned();
            self.state.add_pending(attended.into_iter().collect(), reason, self.clock.now()).await?;
            observed.remote += read_named(&sources, schema).await?;
        }
        Ok(observed)
    }

    /// Reads, decides and writes for those who are named; what the guard would hold of it waits for the whole plan. Says who
    /// they were.
    async fn attend(
        &self,
        id: CycleId,
        prepared: &Prepared,
        report: &mut Report,
    ) -> Result<Vec<EmailAddress>, CycleError> {
        let named = self.state.pending(None, AT_ONCE).await?;
        if named.is_empty() || self.state.paused().await? != Pause::Running {
            return Ok(Vec::new());
        }
        let Prepared { schema, policy, .. } = prepared;
        report.observed.remote += read_named(&self.sources(), schema).await?;
        let mut members: BTreeSet<MemberId> = BTreeSet::new();
        let named: Vec<EmailAddress> = named.into_iter().map(|pending| pending.address).collect();
        for address in &named {
            members.extend(self.state.find_members(MemberName::Address(address.clone())).await?);
        }
        let number = reconcile_some(&self.state, policy, &self.clock, members).await?;
        leave_unsafe(&self.state, &self.limits, self.clock.now()).await?;
        report.attend(self.state.count_planned().await?);
        let targets = self.targets(schema.clone(), policy.clone(), number);
        let mut applied = Applied::default();
        let result = apply(&targets, id, &mut applied).await;
        report.add(applied);
        result?;
        Ok(named)
    }
}
