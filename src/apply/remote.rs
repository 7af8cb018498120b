//! Writes to the audience, one member at a time, several members at once.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, StreamExt};

use crate::apply::close::{Deed, Work};
use crate::apply::{Applied, ApplyError, Past, Targets, refusals, reread};
use crate::mailchimp::{AudienceError, ContactChanges, Created, NewContact, RefusalClass};
use crate::model::{Contact, Interest, Key, MemberId, SubscriptionStatus, Value};
use crate::reconcile::consent::DecidedStatus;
use crate::reconcile::plan::{Operation, Planned};
use crate::reconcile::policy::Resubscribe;
use crate::reconcile::trio::Trio;
use crate::state::{CycleId, StagedOperation};

/// Carries remote operations out: those of one member in their order, those of different members side by side.
///
/// Once something stops the plan nothing is begun any more, and what had begun is finished: an operation under way is
/// never dropped in the middle.
pub(super) async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    batch: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    let mut members: BTreeMap<MemberId, Vec<StagedOperation>> = BTreeMap::new();
    for staged in batch {
        members.entry(staged.member).or_default().push(staged);
    }
    let halted = AtomicBool::new(false);
    let begin = async |operations| {
        let ended = halted.load(Ordering::Relaxed) || targets.stop.is_cancelled();
        if ended || targets.is_paused().await? {
            return Ok(None);
        }
        one_member(targets, cycle, operations).await.map(Some)
    };
    let works = stream::iter(members.into_values()).map(begin).buffer_unordered(targets.connections);
    let mut works = std::pin::pin!(works);
    let mut result = Ok(());
    while let Some(outcome) = works.next().await {
        let outcome = match outcome {
            Ok(None) => Ok(()),
            Ok(Some((work, stop))) => {
                let closed = work.close(targets, applied, past).await;
                stop.map_or(closed, Err)
            }
            Err(error) => Err(error),
        };
        if outcome.is_err() {
            halted.store(true, Ordering::Relaxed);
            result = result.and(outcome);
        }
    }
    result
}

/// The operations of one member; ends at the first that stops the whole plan.
async fn one_member(
    targets: &Targets,
    cycle: CycleId,
    operations: Vec<StagedOperation>,
) -> Result<(Work, Option<ApplyError>), ApplyError> {
    let mut work = Work::open(targets, cycle, operations).await?;
    while let Some((staged, trio)) = work.next(targets).await? {
        let wanted = match reread::is_needed(&staged.planned) {
            true => reread::decide_again(targets, trio, &staged.planned).await,
            false => Ok(Some(staged.planned)),
        };
        let answer = match wanted {
            Ok(None) => Ok(Deed::Skipped("decided otherwise on what was read right before")),
            Ok(Some(planned)) => {
                work.replace(planned);
                match work.under_way() {
                    Some((planned, trio)) if reread::is_needed(planned) => ask(targets, planned, trio).await,
                    Some((planned, trio)) => leave(targets, planned, trio).await,
                    None => Ok(Deed::Skipped("the member is gone")),
                }
            }
            Err(error) => Err(error),
        };
        let (deed, stop) = match answer {
            Ok(deed) => (deed, None),
            Err(ApplyError::Remote(error)) => {
                refusals::sort(targets, targets.state.refusals(staged.member).await?, error)
            }
            Err(error) => (Deed::Failed(error.to_string()), Some(error)),
        };
        work.done(deed, targets);
        if stop.is_some() {
            return Ok((work, stop));
        }
    }
    Ok((work, None))
}

/// Writes a status that raises consent. That is noted first: whoever leaves before the answer is heard has left anew.
async fn ask(targets: &Targets, planned: &Planned, trio: &mut Trio) -> Result<Deed, ApplyError> {
    let (base, now) = (trio.base.clone(), targets.clock.now());
    let noted = base.as_ref().and_then(|base| base.asking(&planned.operation, trio.remote.as_ref(), now));
    let is_noted = noted.is_some();
    if is_noted {
        targets.state.note_base(trio.id, noted).await?;
    }
    let answer = perform(targets, planned, trio).await;
    let may_be_done = match &answer {
        Ok(deed) => matches!(deed, Deed::Done | Deed::Lost(_)),
        Err(ApplyError::Remote(error)) => {
            matches!(error, AudienceError::Lost { .. } | AudienceError::Unreadable { .. })
        }
        Err(_) => false,
    };
    if is_noted && !may_be_done {
        targets.state.note_base(trio.id, base).await?;
    }
    answer
}

/// Writes anything else. An opt-out is noted first: what the register shows by the time of the answer does not undo it.
async fn leave(targets: &Targets, planned: &Planned, trio: &mut Trio) -> Result<Deed, ApplyError> {
    let base = trio.base.as_ref();
    let noted = base.and_then(|base| base.leaving(&planned.operation, &trio.local, trio.remote.as_ref()));
    if noted.is_some() {
        targets.state.note_base(trio.id, noted).await?;
    }
    perform(targets, planned, trio).await
}

async fn perform(targets: &Targets, planned: &Planned, trio: &mut Trio) -> Result<Deed, ApplyError> {
    if let Operation::RemoteCreate { .. } = &planned.operation {
        return Ok(create_one(targets, &planned.operation, trio).await?);
    }
    let Some(contact) = trio.remote.clone() else {
        return Ok(Deed::Skipped("the contact is gone"));
    };
    let answered = match &planned.operation {
        Operation::RemoteStatus { decided, .. } => Some(set_status(targets, &contact, *decided).await?),
        Operation::RemoteLeave { decided, .. } => {
            leave_behind(targets, &planned.operation, trio, &contact, *decided).await?;
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

/// Unsubscribes a contact that stays behind. That is noted first: seen again, it is nobody's opt-out.
async fn leave_behind(
    targets: &Targets,
    operation: &Operation,
    trio: &Trio,
    contact: &Contact,
    decided: DecidedStatus,
) -> Result<(), ApplyError> {
    let base = trio.base.clone().unwrap_or_default();
    let base = base.after(operation, &trio.local, None, &targets.policy);
    targets.state.note_leave_taking(trio.id, contact.contact_id.clone(), base).await?;
    match targets.remote.set_status(&targets.schema, contact, decided).await {
        Ok(_) => Ok(()),
        Err(error @ (AudienceError::Lost { .. } | AudienceError::Unreadable { .. })) => Err(error.into()),
        Err(error) => {
            targets.state.forget_leave_taking(contact.contact_id.clone()).await?;
            Err(error.into())
        }
    }
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
pub(super) fn tagged(
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
        // Both sides have met by then, whoever was the quicker one.
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
