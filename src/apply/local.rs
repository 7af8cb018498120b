//! Writes to the register: compare-and-set on what was observed, one row at a time.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::apply::close::{Deed, Work};
use crate::apply::{Applied, ApplyError, Past, Targets, refusals};
use crate::model::{EmailAddress, Key, Registration, RegistrationId, SubscriptionStatus, Value};
use crate::reconcile::plan::Operation;
use crate::reconcile::trio::Trio;
use crate::registrations::{CreateOutcome, NewRegistration, RegisterError, RowChanges, WriteOutcome, split};
use crate::state::{CycleId, StagedOperation, is_opt_out};

/// The membership of somebody who subscribed in Mailchimp.
const MEMBERSHIP: &str = "subscriber";

/// How many operations are noted and closed in one transaction: a stop waits for no more than one of them to be written, and
/// no more than these for their outcome.
const AT_ONCE: usize = 50;

/// Carries local operations out one after the other, and closes some at a time.
pub(super) async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    mut batch: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    while !batch.is_empty() {
        let rest = batch.split_off(batch.len().min(AT_ONCE));
        batch.retain(|staged| !past.left.contains(&staged.member));
        if targets.is_paused().await? {
            return Ok(());
        }
        some(targets, cycle, batch, applied, past).await?;
        batch = rest;
    }
    Ok(())
}

async fn some(
    targets: &Targets,
    cycle: CycleId,
    operations: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    let mut work = Work::open(targets, cycle, operations).await?;
    let mut result = Ok(());
    loop {
        if targets.stop.is_cancelled() {
            result = Err(ApplyError::Stopped);
            break;
        }
        if targets.is_paused().await? {
            work.skip_rest(targets);
            break;
        }
        let Some((staged, trio)) = work.next(targets).await? else { break };
        match perform(targets, &staged.planned.operation, trio).await {
            Ok(deed) => work.done(deed, targets),
            Err(error) if error.is_permanent() => {
                work.done(Deed::Refused(refusals::of_register(&error)), targets)
            }
            Err(error) => {
                work.done(Deed::Failed(error.to_string()), targets);
                result = Err(error.into());
                break;
            }
        }
    }
    work.close(targets, applied, past).await?;
    result
}

async fn perform(targets: &Targets, operation: &Operation, trio: &mut Trio) -> Result<Deed, RegisterError> {
    match operation {
        Operation::LocalStatus { status, changed_at, .. } => {
            let set = RowChanges { status: Some((*status, *changed_at)), ..RowChanges::default() };
            let says_so = |row: &Registration| row.status == *status && row.status_changed_at == *changed_at;
            if is_opt_out(*status) {
                return write_opt_out(targets, trio, *status, *changed_at).await;
            }
            write_each(targets, trio, |row| (!says_so(row)).then(|| set.clone())).await
        }
        Operation::LocalRename { from, to } => {
            let set = RowChanges { email: Some(to.clone()), ..RowChanges::default() };
            write_each(targets, trio, |row| (row.email == *from).then(|| set.clone())).await
        }
        Operation::LocalUpdate { row, changes, .. } => {
            let values: BTreeMap<Key, Value> =
                changes.iter().map(|(key, change)| (key.clone(), change.after.clone())).collect();
            let set = RowChanges { values, ..RowChanges::default() };
            write_each(targets, trio, |there| (there.id == *row).then(|| set.clone())).await
        }
        Operation::LocalKeep { row, preferences_url, sync_note, working_groups } => {
            let set = RowChanges {
                preferences_url: preferences_url.clone(),
                sync_note: sync_note.clone(),
                working_groups: working_groups.clone(),
                ..RowChanges::default()
            };
            write_each(targets, trio, |there| (there.id == *row).then(|| set.clone())).await
        }
        Operation::LocalCreate { email, changed_at, values, .. } => {
            let new = NewRegistration {
                email: email.clone(),
                membership: MEMBERSHIP.to_owned(),
                status: SubscriptionStatus::Subscribed,
                status_changed_at: *changed_at,
                values: values.clone(),
            };
            create(targets, trio, &new).await
        }
        Operation::RemoteStatus { .. }
        | Operation::RemoteArchive { .. }
        | Operation::RemoteCreate { .. }
        | Operation::RemoteLeave { .. }
        | Operation::RemoteRename { .. }
        | Operation::RemoteUpdate { .. }
        | Operation::RemoteTags { .. } => Ok(Deed::Skipped("not a write to the register")),
    }
}

/// Writes to every row that can be synchronized and that `set` names changes for; stops at the first that is not as it
/// was observed.
async fn write_each(
    targets: &Targets,
    trio: &mut Trio,
    set: impl Fn(&Registration) -> Option<RowChanges>,
) -> Result<Deed, RegisterError> {
    let Trio { local, unusable, .. } = trio;
    for row in local.iter_mut().filter(|row| !unusable.contains(&row.id)) {
        let Some(changes) = set(row) else { continue };
        match targets.local.write(row, &changes).await? {
            WriteOutcome::Written(written) => *row = *written,
            WriteOutcome::OptOutOnly | WriteOutcome::Changed | WriteOutcome::Gone => {
                return Ok(Deed::Stale(row.email.clone()));
            }
        }
    }
    Ok(Deed::Done)
}

/// Writes an opt-out to every row that does not say so, whatever stands in the way of another one.
async fn write_opt_out(
    targets: &Targets,
    trio: &mut Trio,
    status: SubscriptionStatus,
    changed_at: Option<Timestamp>,
) -> Result<Deed, RegisterError> {
    let set = RowChanges { status: Some((status, changed_at)), ..RowChanges::default() };
    let (mut deed, mut refusal) = (Deed::Done, None);
    let Trio { local, unusable, .. } = trio;
    for row in local {
        // The time of one that cannot be synchronized is for staff to mend.
        let dated = row.status_changed_at == changed_at || unusable.contains(&row.id);
        if row.status == status && dated {
            continue;
        }
        match targets.local.write(row, &set).await {
            Ok(WriteOutcome::Written(written)) => *row = *written,
            Ok(WriteOutcome::OptOutOnly) => (row.status, row.status_changed_at) = (status, changed_at),
            Ok(WriteOutcome::Changed | WriteOutcome::Gone) => deed = Deed::Stale(row.email.clone()),
            Err(error) if error.is_permanent() => refusal = Some(error),
            Err(error) => return Err(error),
        }
    }
    refusal.map_or(Ok(deed), Err)
}

async fn create(targets: &Targets, trio: &mut Trio, new: &NewRegistration) -> Result<Deed, RegisterError> {
    match targets.local.create(new).await? {
        CreateOutcome::Created(row) => {
            trio.local = vec![*row];
            Ok(Deed::Done)
        }
        CreateOutcome::Exists => Ok(Deed::Stale(new.email.clone())),
    }
}

/// The rows of these keys as they stand, those that can be synchronized.
pub(super) async fn read_again(
    targets: &Targets,
    ids: &[RegistrationId],
) -> Result<Vec<Registration>, RegisterError> {
    Ok(split(targets.local.by_id(ids).await?).0)
}

/// The address by which a member of the mirror can be looked at again.
pub(super) fn address_of(trio: &Trio) -> Option<EmailAddress> {
    let contact = trio.remote.as_ref().map(|contact| &contact.email);
    trio.local.last().map(|row| &row.email).or(contact).cloned()
}
