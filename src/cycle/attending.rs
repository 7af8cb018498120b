//! Addresses that somebody names while a long cycle is under way: they do not wait for its end, neither while everybody
//! is read nor while a long plan is carried out.

use std::collections::BTreeSet;

use crate::apply::{Applied, Heed, Past, Targets, apply};
use crate::cycle::guarding::leave_unsafe;
use crate::cycle::prepare::Prepared;
use crate::cycle::report::Report;
use crate::cycle::staging::reconcile_some;
use crate::cycle::{Cycle, CycleError};
use crate::model::{EmailAddress, MemberId};
use crate::observe::{ObserveError, Observed, Scope, observe, read_named, read_these};
use crate::progress::Progress;
use crate::state::{CycleId, MemberName, Pause, Pending};

/// How many of those who are named are attended to at a time.
const AT_ONCE: usize = 50;

/// As many are attended to while everybody is read; who else is named waits for the end of it.
const MOST_MEANWHILE: usize = 400;

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
            return self.unless_stopped(async { Ok(observe(&sources, schema, *scope).await?) }).await;
        }
        // Every page that was read is told there; nothing more is read while somebody is attended to.
        let mut pages = self.progress.subscribe();
        let mut attended = BTreeSet::new();
        let mut observing = std::pin::pin!(observe(&sources, schema, *scope));
        let mut observed = loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Err(ObserveError::Stopped.into()),
                observed = &mut observing => break observed?,
                _ = pages.changed(), if attended.len() < MOST_MEANWHILE => {
                    let named = self.state.named(AT_ONCE).await?;
                    attended.extend(self.attend(id, prepared, named, report).await?);
                }
            }
        };
        if !attended.is_empty() {
            let reason = "attended to while everybody was read".to_owned();
            self.state.add_pending(attended.into_iter().collect(), reason, self.clock.now()).await?;
            observed.remote += self.unless_stopped(async { Ok(read_named(&sources, schema).await?) }).await?;
        }
        Ok(observed)
    }

    /// Reads, but ends at once when told to stop: Mailchimp may be waited for, and what was read is read again.
    pub(super) async fn unless_stopped<T>(
        &self,
        reading: impl Future<Output = Result<T, CycleError>>,
    ) -> Result<T, CycleError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(ObserveError::Stopped.into()),
            read = reading => read,
        }
    }

    /// Attends to those for whom a plan of everybody was left; it is to be made again afterwards.
    pub(super) async fn attend_to_named(
        &self,
        id: CycleId,
        prepared: &Prepared,
        report: &mut Report,
    ) -> Result<(), CycleError> {
        let named = self.state.named(AT_ONCE).await?;
        self.attend(id, prepared, named, report).await?;
        Ok(())
    }

    /// Reads, decides and writes for those who are named; what the guard would hold of it waits for the whole plan. Says who
    /// they were.
    async fn attend(
        &self,
        id: CycleId,
        prepared: &Prepared,
        named: Vec<Pending>,
        report: &mut Report,
    ) -> Result<Vec<EmailAddress>, CycleError> {
        if named.is_empty() || self.state.paused().await? != Pause::Running {
            return Ok(Vec::new());
        }
        let Prepared { schema, policy, .. } = prepared;
        let addresses: Vec<EmailAddress> = named.iter().map(|pending| pending.address.clone()).collect();
        report.observed.remote += read_these(&self.sources(), schema, named).await?;
        let mut members: BTreeSet<MemberId> = BTreeSet::new();
        for address in &addresses {
            members.extend(self.state.find_members(MemberName::Address(address.clone())).await?);
        }
        let number = reconcile_some(&self.state, policy, &self.clock, members).await?;
        leave_unsafe(&self.state, &self.limits, self.clock.now()).await?;
        report.plan_some(self.state.count_planned().await?);
        // A few are no progress of the whole.
        let progress = tokio::sync::watch::Sender::new(Progress::default());
        let targets = Targets { progress, ..self.targets(schema.clone(), policy.clone(), number) };
        let mut applied = Applied::default();
        let result = apply(&targets, id, Heed::Nobody, &mut applied, &mut Past::default()).await;
        report.add(&applied);
        result?;
        Ok(addresses)
    }
}
