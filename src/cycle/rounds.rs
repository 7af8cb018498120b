//! The rounds of a cycle: reconcile, guard, apply, until nothing more follows.

use jiff::Timestamp;

use crate::apply::{Applied, Heed, Past, Patience, Reached, apply, look_for_batches, wait_for_batches};
use crate::cycle::guarding::{answer, guard};
use crate::cycle::prepare::{Prepared, forget_schema_age};
use crate::cycle::report::Report;
use crate::cycle::staging::{policy_number, reconcile_all};
use crate::cycle::{Adoption, Cycle, CycleError};
use crate::observe::Sources;
use crate::reconcile::policy::AdoptionPhase;
use crate::state::{CycleId, Pause};

/// After this many rounds of deciding and writing the rest is left to the next cycle.
const ROUNDS: usize = 3;

impl Cycle {
    /// Observes, then decides and writes in a few rounds: what one round wrote may settle what the next finds.
    pub(super) async fn carry_out(
        &self,
        id: CycleId,
        prepared: &Prepared,
        adoption: Adoption,
        report: &mut Report,
    ) -> Result<(), CycleError> {
        let Prepared { scope, schema, .. } = prepared;
        self.look_for_batches(prepared, report).await?;
        let observed = self.observe_and_attend(id, prepared, report).await?;
        self.note_observed(*scope, schema).await?;
        report.read(observed);
        answer(&self.state, adoption, self.clock.now()).await?;
        for _ in 0..ROUNDS {
            if self.one_round(id, prepared, adoption, report).await? == 0 {
                break;
            }
        }
        // What was approved could not be carried out while paused: the approval waits, too.
        if self.state.paused().await? == Pause::Running {
            self.state.expire_approvals(id, self.clock.now()).await?;
        }
        self.note_unusable().await?;
        self.drop_orphaned_groups().await?;
        Ok(report.counts(&self.state).await?)
    }

    /// Decides and writes once. A plan that is left for whoever is named is made again once they were attended to, and
    /// goes on: one round, however often. Says how many operations changed what the next round would find.
    async fn one_round(
        &self,
        id: CycleId,
        prepared: &Prepared,
        adoption: Adoption,
        report: &mut Report,
    ) -> Result<u64, CycleError> {
        let Prepared { schema, policy, .. } = prepared;
        // Under the rules of the first adoption nobody is asked to confirm: whoever signs up meanwhile waits for its end.
        // And a yes given beforehand answers the plan at hand: what is left of it would be asked about, made again.
        let must_end = policy.adoption == AdoptionPhase::UnderWay;
        let (mut past, mut patience, mut changed) = (Past::default(), Patience::default(), 0);
        loop {
            let began = self.clock.now();
            let number = reconcile_all(&self.state, policy, &self.clock).await?;
            let held = guard(&self.state, &self.limits, adoption, self.clock.now()).await?;
            let rejected = self.state.count_planned_rejected().await?;
            report.plan(self.state.count_planned().await?, held, rejected);
            if let Pause::Paused(_) = self.state.paused().await? {
                return Ok(changed);
            }
            let targets = self.targets(schema.clone(), policy.clone(), number);
            let heed = if must_end { Heed::Nobody } else { self.heed(began) };
            let mut applied = Applied::default();
            let result = match apply(&targets, id, heed, &mut applied, &mut past).await {
                Ok(Reached::End) => wait_for_batches(&targets, heed, &mut applied, &mut patience).await,
                left => left,
            };
            report.add(&applied);
            if result.is_err() {
                self.state.expire_tried_approvals(id, self.clock.now()).await?;
            }
            let reached = result?;
            if applied.schema_is_stale {
                forget_schema_age(&self.state, &self.clock).await?;
            }
            changed += applied.done + applied.parked;
            match reached {
                Reached::End => return Ok(changed),
                Reached::Named => {
                    if let Err(error) = self.attend_to_named(id, prepared, report).await {
                        // What was approved and tried is told by the plan of everybody.
                        reconcile_all(&self.state, policy, &self.clock).await?;
                        self.state.expire_tried_approvals(id, self.clock.now()).await?;
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Heeds whoever is named once as long was written as was planned.
    fn heed(&self, planning_began: Timestamp) -> Heed {
        let now = self.clock.now();
        Heed::Named { from: now.checked_add(now.duration_since(planning_began)).unwrap_or(now) }
    }

    /// What an earlier cycle handed over as a batch is settled first: nothing else is done to its members before.
    async fn look_for_batches(&self, prepared: &Prepared, report: &mut Report) -> Result<(), CycleError> {
        if self.state.unfinished_batches().await?.is_empty() {
            return Ok(());
        }
        let Prepared { schema, policy, .. } = prepared;
        let number = policy_number(&self.state, policy).await?;
        let targets = self.targets(schema.clone(), policy.clone(), number);
        let mut applied = Applied::default();
        let result = look_for_batches(&targets, &mut applied).await;
        report.add(&applied);
        if applied.schema_is_stale {
            forget_schema_age(&self.state, &self.clock).await?;
        }
        Ok(result?)
    }

    pub(super) fn sources(&self) -> Sources {
        Sources {
            local: self.local.clone(),
            remote: self.remote.clone(),
            state: self.state.clone(),
            clock: self.clock.clone(),
            connections: self.connections,
            absences: self.limits.removals,
            progress: self.progress.clone(),
            stop: self.stop.clone(),
        }
    }
}
