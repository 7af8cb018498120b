//! The rounds of a cycle: reconcile, guard, apply, until nothing more follows.

use crate::apply::{Applied, apply, look_for_batches, wait_for_batches};
use crate::cycle::guarding::{answer, guard};
use crate::cycle::prepare::{Prepared, forget_schema_age};
use crate::cycle::report::Report;
use crate::cycle::staging::{policy_number, reconcile_all};
use crate::cycle::{Adoption, Cycle, CycleError};
use crate::observe::Sources;
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
        let Prepared { scope, schema, policy } = prepared;
        self.look_for_batches(prepared, report).await?;
        let observed = self.observe_and_attend(id, prepared, report).await?;
        self.note_observed(*scope, schema).await?;
        report.read(observed);
        answer(&self.state, adoption, self.clock.now()).await?;
        for round in 0..ROUNDS {
            let number = reconcile_all(&self.state, policy, &self.clock).await?;
            let held = guard(&self.state, &self.limits, adoption, self.clock.now()).await?;
            let rejected = self.state.count_planned_rejected().await?;
            report.plan(self.state.count_planned().await?, held, rejected, round);
            if let Pause::Paused(_) = self.state.paused().await? {
                break;
            }
            let targets = self.targets(schema.clone(), policy.clone(), number);
            let mut applied = Applied::default();
            let result = match apply(&targets, id, &mut applied).await {
                Ok(()) => wait_for_batches(&targets, &mut applied).await,
                stopped => stopped,
            };
            report.add(applied);
            if result.is_err() {
                self.state.expire_tried_approvals(id, self.clock.now()).await?;
            }
            result?;
            let Applied { done, parked, schema_is_stale, .. } = applied;
            if schema_is_stale {
                forget_schema_age(&self.state, &self.clock).await?;
            }
            if done + parked == 0 {
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
        report.add(applied);
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
