//! Staging the plan: what agrees is settled at once, what is to be written waits in a temporary table.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::model::{EmailAddress, MemberId};
use crate::reconcile::plan::{Class, MemberPlan, Operation, Planned};
use crate::state::error::{Fault, StateError};
use crate::state::joining::drop_if_empty;
use crate::state::text::{digest, json, stamp};
use crate::state::{ClassName, Decision, PolicyNumber, State, base, kind, rank};

impl State {
    /// Forgets the staged plan, if there is one.
    pub async fn begin_plan(&self) -> Result<(), StateError> {
        self.write(|tx| {
            tx.execute("DELETE FROM temp.plan", [])?;
            Ok(())
        })
        .await
    }

    /// The hold that lists this operation, with what was decided about it; `None` where none does, or only one that
    /// is done.
    pub async fn holding_of(
        &self,
        email: EmailAddress,
        operation: Operation,
    ) -> Result<Option<(String, Decision)>, StateError> {
        self.call(move |connection| {
            let found = decided(connection, &fingerprint(&email, &operation)?)?;
            Ok(found.and_then(|(id, word)| Some((id, Decision::parse(&word)?))))
        })
        .await
    }

    /// Stages what is to be done about some members, and stores what needs no write; one transaction.
    ///
    /// A member with nothing to do and nothing to wait for is settled under `policy`. What a person has yet to
    /// decide on, or rejected, is held from the beginning; what they approved is marked so. A member that is no
    /// longer there is left out.
    pub async fn stage(&self, plans: Vec<MemberPlan>, policy: PolicyNumber) -> Result<(), StateError> {
        self.write(move |tx| plans.iter().try_for_each(|plan| stage(tx, plan, policy))).await
    }
}

fn stage(tx: &Transaction<'_>, plan: &MemberPlan, policy: PolicyNumber) -> Result<(), Fault> {
    let there: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM members WHERE id = ?1)")?
        .query_row([plan.member.0], |row| row.get(0))?;
    if !there {
        return Ok(());
    }
    if let Some(tombstone) = plan.tombstone.as_ref().filter(|_| plan.operations.is_empty()) {
        if let Some(email) = &plan.email {
            base::lay(tx, &email.hash(), tombstone)?;
        }
        tx.prepare_cached("DELETE FROM members WHERE id = ?1")?.execute([plan.member.0])?;
        return Ok(());
    }
    base::store(tx, plan.member, plan.base.as_ref())?;
    let done = plan.operations.is_empty() && plan.waits.is_none();
    let settled = if done { policy.0 } else { 0 };
    tx.prepare_cached(
        "UPDATE members SET settled = ?2, waits = ?3 WHERE id = ?1 AND (settled <> ?2 OR waits IS NOT ?3)",
    )?
    .execute(params![plan.member.0, settled, plan.waits])?;
    if done {
        tx.prepare_cached("DELETE FROM parked WHERE member = ?1 AND active = 0")?.execute([plan.member.0])?;
        drop_if_empty(tx, plan.member)?;
    }
    let Some(email) = &plan.email else { return Ok(()) };
    let ranks = rank::ranks(plan.operations.iter().map(|planned| &planned.operation));
    plan.operations
        .iter()
        .zip(ranks)
        .try_for_each(|(planned, rank)| stage_operation(tx, plan.member, email, planned, rank))
}

fn stage_operation(
    tx: &Transaction<'_>,
    member: MemberId,
    email: &EmailAddress,
    planned: &Planned,
    rank: i64,
) -> Result<(), Fault> {
    let fingerprint = fingerprint(email, &planned.operation)?;
    let (approved, held) = match decided(tx, &fingerprint)? {
        Some((id, word)) if word == "approved" => (Some(id), None),
        Some((id, _)) => (None, Some(id)),
        None => (None, None),
    };
    let (class, class_at) = class_words(planned.class);
    tx.prepare_cached(
        "INSERT INTO temp.plan (rank, member, email, kind, class, class_at, fingerprint, planned, approved, held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?
    .execute(params![
        rank,
        member.0,
        email.as_str(),
        kind(&planned.operation),
        class,
        class_at,
        fingerprint,
        json(planned)?,
        approved,
        held
    ])?;
    Ok(())
}

/// The class and its time as they are stored.
pub(crate) fn class_words(class: Class) -> (&'static str, Option<String>) {
    let at = match class {
        Class::TimedOptOut(at) => Some(stamp(at)),
        Class::Free
        | Class::Removal
        | Class::Absence
        | Class::Creation
        | Class::Invitation
        | Class::UnprovenInvitation => None,
    };
    (ClassName::from(class).as_str(), at)
}

/// The hold that lists an operation of this content, and what was decided: a no before no answer before a yes.
fn decided(connection: &Connection, fingerprint: &str) -> Result<Option<(String, String)>, Fault> {
    let found = connection
        .prepare_cached(
            "SELECT h.id, h.decision FROM held_operations AS o JOIN holds AS h ON h.id = o.hold
             WHERE o.fingerprint = ?1 AND h.decision <> 'done'
             ORDER BY h.decision <> 'rejected', h.decision <> 'open' LIMIT 1",
        )?
        .query_row([fingerprint], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// What is written to whom: the same in every cycle, whatever number the member has and whenever it was observed.
///
/// Left out are the base that follows and the time that goes with a status: they tell when it was decided, and an
/// approval must still find what it approved.
fn fingerprint(email: &EmailAddress, operation: &Operation) -> Result<String, Fault> {
    let mut content = serde_json::to_value(operation)?;
    if let Value::Object(content) = &mut content {
        content.remove("standing");
        content.remove("changed_at");
    }
    Ok(digest([email.key().as_str(), json(&content)?.as_str()]))
}
