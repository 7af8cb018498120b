//! Right before a status that raises consent both sides are read again, and the decision is made again on what was read.

use crate::apply::local::address_of;
use crate::apply::{ApplyError, Targets};
use crate::model::RegistrationId;
use crate::reconcile::plan::{Class, Operation, Planned};
use crate::reconcile::reconcile;
use crate::reconcile::trio::Trio;
use crate::registrations::split;
use crate::state::Seen;

/// Whether an operation is one of those. Bulk creation of people who never left is not.
pub(super) fn is_needed(planned: &Planned) -> bool {
    match &planned.operation {
        Operation::RemoteStatus { decided, .. } => decided.raises_consent(),
        Operation::RemoteCreate { .. } => {
            matches!(planned.class, Class::Invitation | Class::UnprovenInvitation)
        }
        Operation::RemoteArchive { .. }
        | Operation::RemoteLeave { .. }
        | Operation::RemoteRename { .. }
        | Operation::RemoteUpdate { .. }
        | Operation::RemoteTags { .. }
        | Operation::LocalStatus { .. }
        | Operation::LocalCreate { .. }
        | Operation::LocalRename { .. }
        | Operation::LocalUpdate { .. }
        | Operation::LocalKeep { .. } => false,
    }
}

/// Reads both sides of the member again; gives the operation as it is wanted now, or `None` where it no longer is.
pub(super) async fn decide_again(
    targets: &Targets,
    trio: &mut Trio,
    planned: &Planned,
) -> Result<Option<Planned>, ApplyError> {
    // Mailchimp may have to be asked several times, the register answers at once: it is read last, and no other request
    // comes between Mailchimp's answer and the write.
    read_remote(targets, trio).await?;
    read_local(targets, trio).await?;
    let Some(now) = targets.state.trio(trio.id, targets.clock.now()).await? else { return Ok(None) };
    *trio = now;
    let plan = reconcile(trio, &targets.policy);
    if plan.base.is_some() {
        trio.base.clone_from(&plan.base);
    }
    Ok(plan.operations.into_iter().find(|again| is_same(again, planned)))
}

async fn read_local(targets: &Targets, trio: &Trio) -> Result<(), ApplyError> {
    let ids: Vec<RegistrationId> = trio.local.iter().map(|row| row.id.clone()).collect();
    let mut rows = targets.local.by_id(&ids).await?;
    let gone: Vec<RegistrationId> =
        ids.into_iter().filter(|id| rows.iter().all(|row| row.id() != id)).collect();
    if let Some(address) = address_of(trio) {
        let known: Vec<_> = rows.iter().map(|row| row.id().clone()).collect();
        rows.extend(
            targets.local.by_email(&address).await?.into_iter().filter(|row| !known.contains(row.id())),
        );
    }
    let (usable, unusable) = split(rows);
    targets.state.put_readings(usable, unusable).await?;
    targets.state.remove_registrations(gone).await?;
    Ok(())
}

async fn read_remote(targets: &Targets, trio: &Trio) -> Result<(), ApplyError> {
    let contact = match &trio.remote {
        Some(contact) => targets.remote.contact(&targets.schema, &contact.contact_id).await?,
        None => match address_of(trio) {
            Some(address) => targets.remote.contact_by_email(&targets.schema, &address).await?,
            None => None,
        },
    };
    match contact {
        Some(contact) => {
            targets.state.put_contacts(vec![contact], Seen::Single).await?;
        }
        None if trio.remote.is_some() => targets.state.forget_contact(trio.id).await?,
        None => (),
    }
    Ok(())
}

/// Whether two operations ask for the same of the same person; times of asking may differ.
fn is_same(again: &Planned, planned: &Planned) -> bool {
    let same = match (&again.operation, &planned.operation) {
        (Operation::RemoteStatus { decided: a, .. }, Operation::RemoteStatus { decided: b, .. }) => a == b,
        (
            Operation::RemoteCreate { email: a, decided: c, .. },
            Operation::RemoteCreate { email: b, decided: d, .. },
        ) => a == b && c == d,
        (_, _) => false,
    };
    same && again.class == planned.class
}
