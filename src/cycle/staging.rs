//! From the mirror to the staged plan: member by member in the order of their numbers, never held whole.

use std::collections::BTreeSet;

use crate::apply::Targets;
use crate::clock::Clock;
use crate::cycle::{Cycle, CycleError};
use crate::mailchimp::schema::AudienceSchema;
use crate::model::MemberId;
use crate::observe::ObserveError;
use crate::reconcile::plan::MemberPlan;
use crate::reconcile::policy::Policy;
use crate::reconcile::reconcile;
use crate::state::{Pause, PolicyNumber, State, StateError};
use crate::telemetry;

/// How many members are decided about at a time.
const PAGE: usize = 500;

/// Decides about every unsettled member and stages what is to be done.
pub async fn reconcile_all(
    state: &State,
    policy: &Policy,
    clock: &Clock,
) -> Result<PolicyNumber, StateError> {
    let number = policy_number(state, policy).await?;
    state.begin_plan().await?;
    let mut after = None;
    loop {
        let trios = state.unsettled(number, after, PAGE, clock.now()).await?;
        let Some(last) = trios.last() else { return Ok(number) };
        after = Some(last.id);
        let plans: Vec<MemberPlan> = trios.iter().map(|trio| reconcile(trio, policy)).collect();
        plans.iter().for_each(tell);
        state.stage(plans, number).await?;
    }
}

/// Decides about these members alone, those of them that are unsettled, and stages what is to be done.
pub(super) async fn reconcile_some(
    state: &State,
    policy: &Policy,
    clock: &Clock,
    members: BTreeSet<MemberId>,
) -> Result<PolicyNumber, StateError> {
    let number = policy_number(state, policy).await?;
    state.begin_plan().await?;
    let trios = state.unsettled_among(number, members, clock.now()).await?;
    let plans: Vec<MemberPlan> = trios.iter().map(|trio| reconcile(trio, policy)).collect();
    state.stage(plans, number).await?;
    Ok(number)
}

/// The number of the policy in the state.
pub(super) async fn policy_number(state: &State, policy: &Policy) -> Result<PolicyNumber, StateError> {
    state.policy_number(fingerprint(policy)).await
}

/// Tells the log what no rule decided; the register's note tells staff.
fn tell(plan: &MemberPlan) {
    let Some(email) = &plan.email else { return };
    for conflict in &plan.conflicts {
        tracing::debug!(
            member.hash = %email.hash(),
            member.address = telemetry::address(email),
            conflict = conflict.kind(),
            "a conflict was found"
        );
    }
}

/// What tells one policy from another: a member settled under another one is looked at again.
fn fingerprint(policy: &Policy) -> String {
    format!("{policy:?}")
}

impl Cycle {
    pub(super) fn targets(
        &self,
        schema: AudienceSchema,
        policy: Policy,
        policy_number: PolicyNumber,
    ) -> Targets {
        Targets {
            local: self.local.clone(),
            remote: self.remote.clone(),
            state: self.state.clone(),
            clock: self.clock.clone(),
            connections: self.connections,
            schema,
            policy,
            policy_number,
            progress: self.progress.clone(),
            stop: self.stop.clone(),
        }
    }

    /// Takes rows that were removed out of their working groups: nobody is to inherit a place by a key given anew.
    pub(super) async fn drop_orphaned_groups(&self) -> Result<(), CycleError> {
        let running = self.state.paused().await? == Pause::Running;
        if running && self.local.features().working_groups && self.state.rows_were_removed().await? {
            let dropped = self.local.drop_orphaned_groups().await?;
            self.state.removed_rows_are_dealt_with().await?;
            tracing::debug!(dropped, "removed rows have left their working groups");
        }
        Ok(())
    }

    /// Writes the note of rows that cannot be synchronized as they stand.
    pub(super) async fn note_unusable(&self) -> Result<(), CycleError> {
        let paused = self.state.paused().await? != Pause::Running;
        if paused || !self.local.features().sync_note {
            return Ok(());
        }
        loop {
            let rows = self.state.unusable_without_note(PAGE).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in rows {
                match self.local.note(&row.id, &row.problem).await {
                    // The row takes not even a note: it is not asked again until something about it changes.
                    Err(error) if error.is_permanent() => {
                        tracing::warn!(%error, "a row that cannot be synchronized takes no note");
                    }
                    answer => answer.map_err(ObserveError::from)?,
                }
                self.state.note_written(row.id, row.problem).await?;
            }
        }
    }
}
