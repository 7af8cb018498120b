//! Writes to the audience, one member at a time, several members at once.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt};

use crate::apply::close::{Deed, Work};
use crate::apply::{Applied, ApplyError, Targets, refusals, reread};
use crate::mailchimp::{AudienceError, ContactChanges, Created, NewContact, RefusalClass};
use crate::model::{Contact, Interest, Key, MemberId, SubscriptionStatus, Value};
use crate::reconcile::consent::DecidedStatus;
use crate::reconcile::plan::{Operation, Planned};
use crate::reconcile::policy::Resubscribe;
use crate::reconcile::trio::Trio;
use crate::state::{CycleId, StagedOperation};

/// Carries remote operations out: those of one member in their order, those of different members side by side.
pub(super) async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    batch: Vec<StagedOperation>,
    applied: &mut Applied,
    run: &mut refusals::Run,
) -> Result<(), ApplyError> {
    let mut members: BTreeMap<MemberId, Vec<StagedOperation>> = BTreeMap::new();
    for staged in batch {
        members.entry(staged.member).or_default().push(staged);
    }
    let works = stream::iter(members.into_values())
        .map(|operations| one_member(targets, cycle, operations))
        .buffer_unordered(targets.connections);
    let mut works = std::pin::pin!(works);
    let mut stopped = None;
    while let Some(result) = works.next().await {
        let (work, error) = result?;
        run.note(&work)?;
        work.close(targets, applied).await?;
        stopped = stopped.or(error);
        if stopped.is_some() || targets.stop.is_cancelled() {
            break;
        }
    }
    // What had begun is finished: an operation under way is never dropped in the middle.
    while let Some(result) = drain(stopped.is_some(), &mut works).await {
        let (work, _) = result?;
        work.close(targets, applied).await?;
    }
    match stopped {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

async fn drain<S: StreamExt + Unpin>(stopped: bool, works: &mut S) -> Option<S::Item> {
    if stopped { works.next().await } else { None }
}

/// The operations of one member; ends at the first that stops the whole plan.
async fn one_member(
    targets: &Targets,
    cycle: CycleId,
    operations: Vec<StagedOperation>,
) -> Result<(Work, Option<ApplyError>), ApplyError> {
    let mut work = Work::open(targets, cycle, operations).await?;
    while let Some((staged, trio)) = work.next(targets).await? {
        let planned = staged.planned.clone();
        let planned = if reread::is_needed(&planned) {
            match reread::decide_again(targets, trio, &planned).await? {
                Some(planned) => planned,
                None => {
                    work.done(
                        Deed::Skipped("decided otherwise on what was read right before"),
                        &targets.policy,
                    );
                    continue;
                }
            }
        } else {
            planned
        };
        work.replace(planned.clone());
        let Some(trio) = work.trio() else { continue };
        match perform(targets, &planned, trio).await {
            Ok(deed) => work.done(deed, &targets.policy),
            Err(error) => {
                let attempts = targets.state.refusals(staged.member).await?;
                let (deed, stop) = refusals::sort(targets, attempts, error);
                work.done(deed, &targets.policy);
                if let Some(stop) = stop {
                    return Ok((work, Some(stop)));
                }
            }
        }
    }
    Ok((work, None))
}

async fn perform(targets: &Targets, planned: &Planned, trio: &mut Trio) -> Result<Deed, AudienceError> {
    if let Operation::RemoteCreate { .. } = &planned.operation {
        return create_one(targets, &planned.operation, trio).await;
    }
    let Some(contact) = trio.remote.clone() else {
        return Ok(Deed::Skipped("the contact is gone"));
    };
    let answered = match &planned.operation {
        Operation::RemoteStatus { decided, .. } => Some(set_status(targets, &contact, *decided).await?),
        Operation::RemoteLeave { decided, .. } => {
            targets.remote.set_status(&targets.schema, &contact, *decided).await?;
            None
        }
        Operation::RemoteArchive { .. } => {
            targets.remote.archive(&contact).await?;
            Some(Contact { status: SubscriptionStatus::Archived, ..contact })
        }
        Operation::RemoteRename { to } => {
            let changes = ContactChanges { email: Some(to.clone()), values: BTreeMap::new() };
            Some(targets.remote.change(&targets.schema, &contact, &changes).await?)
        }
        Operation::RemoteUpdate { changes, .. } => {
            let values = changes.iter().map(|(key, change)| (key.clone(), change.after.clone())).collect();
            let changes = ContactChanges { email: None, values };
            Some(targets.remote.change(&targets.schema, &contact, &changes).await?)
        }
        Operation::RemoteTags { tags, source } => {
            targets.remote.tag(&contact, tags).await?;
            Some(tagged(contact, tags, source, &targets.schema.group_tags))
        }
        Operation::RemoteCreate { .. }
        | Operation::LocalStatus { .. }
        | Operation::LocalCreate { .. }
        | Operation::LocalRename { .. }
        | Operation::LocalUpdate { .. }
        | Operation::LocalKeep { .. } => return Ok(Deed::Skipped("not a write to a contact")),
    };
    trio.remote = answered;
    Ok(Deed::Done)
}

/// Sets the status; where Mailchimp refuses `subscribed` for compliance, policy `direct` asks the person instead.
async fn set_status(
    targets: &Targets,
    contact: &Contact,
    decided: DecidedStatus,
) -> Result<Contact, AudienceError> {
    match targets.remote.set_status(&targets.schema, contact, decided).await {
        Err(AudienceError::Refused(refusal))
            if refusal.class == RefusalClass::Compliance
                && targets.policy.resubscribe == Resubscribe::Direct =>
        {
            match decided.after_compliance_refusal() {
                Some(pending) => targets.remote.set_status(&targets.schema, contact, pending).await,
                None => Err(AudienceError::Refused(refusal)),
            }
        }
        answer => answer,
    }
}

/// The call for tags answers without a body: the mirror takes what was sent, the next walk shows the rest.
///
/// A tag that stands for an interest is no tag of a group: the next round would take it away again.
fn tagged(
    mut contact: Contact,
    tags: &BTreeMap<String, bool>,
    source: &BTreeMap<Key, Value>,
    group_tags: &[String],
) -> Contact {
    for (key, value) in source {
        let Key::Interest(Interest { dimension, name }) = key else { continue };
        let interest = Interest::new(dimension.as_str(), name);
        if value.is_yes() {
            contact.interests.insert(interest);
        } else {
            contact.interests.remove(&interest);
        }
    }
    for (tag, is_in) in tags.iter().filter(|(tag, _)| group_tags.contains(tag)) {
        if *is_in {
            contact.group_tags.insert(tag.clone());
        } else {
            contact.group_tags.remove(tag);
        }
    }
    contact
}

async fn create_one(
    targets: &Targets,
    operation: &Operation,
    trio: &mut Trio,
) -> Result<Deed, AudienceError> {
    let Some(new) = new_contact(operation) else { return Ok(Deed::Skipped("not a creation")) };
    let created = targets.remote.create(&targets.schema, std::slice::from_ref(&new)).await?;
    match created.into_iter().next() {
        Some(outcome) => settle_created(outcome, trio),
        None => Ok(Deed::Lost("the answer does not mention the contact".to_owned())),
    }
}

/// What one outcome of a creation means for its member.
pub(super) fn settle_created(outcome: Created, trio: &mut Trio) -> Result<Deed, AudienceError> {
    match outcome {
        Created::Contact(contact) => {
            trio.remote = Some(*contact);
            Ok(Deed::Done)
        }
        Created::Exists => Ok(Deed::Lost("the contact was there already".to_owned())),
        Created::Refused(refusal) => Err(AudienceError::Refused(refusal)),
        Created::Unmentioned => Ok(Deed::Lost("the answer does not mention the contact".to_owned())),
    }
}

/// The contact that an operation creates; `None` for other operations.
pub(super) fn new_contact(operation: &Operation) -> Option<NewContact> {
    let Operation::RemoteCreate { email, decided, values, group_tags, signup_ip, signup_at, .. } = operation
    else {
        return None;
    };
    Some(NewContact {
        email: email.clone(),
        status: *decided,
        values: values.clone(),
        tags: group_tags.clone(),
        signup_ip: signup_ip.clone(),
        signup_at: *signup_at,
    })
}
