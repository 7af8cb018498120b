//! Tags by the hundred: through the segment that a tag is, five hundred members a call.

use std::collections::BTreeMap;

use crate::apply::close::{Deed, Work};
use crate::apply::remote::tagged;
use crate::apply::{Applied, ApplyError, Past, Targets, refusals, remote};
use crate::mailchimp::AudienceError;
use crate::model::{Contact, EmailAddress, MemberId};
use crate::reconcile::plan::Operation;
use crate::state::{CycleId, StagedOperation};

/// A call to a segment cannot say that it only syncs, so that automations may start: smaller sets go member by member.
/// Also where one call after the other is cheaper than single ones over the connections, unless nearly every member has a
/// tag of their own. <https://mailchimp.com/developer/marketing/api/list-segments/batch-add-or-remove-members/>
const LARGE: usize = 100;

/// Who is to get a tag and who is to lose it.
#[derive(Debug, Default)]
struct Wanted {
    add: Vec<EmailAddress>,
    remove: Vec<EmailAddress>,
}

/// What became of the calls.
enum Called {
    /// They were made, or lost, or not tried: what each address at fault came to, and what stops the plan.
    Tried(BTreeMap<String, Deed>, Option<ApplyError>),
    /// One was refused as a whole, which says nothing about any one member.
    Refused(String),
}

/// Carries changes of tags out: large sets tag by tag, others member by member.
pub(super) async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    batch: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    if past.tags_one_by_one || !is_large(&batch, targets.connections) {
        return remote::carry_out(targets, cycle, batch, applied, past).await;
    }
    let contacts = contacts(targets, &batch).await?;
    let mut work = Work::open(targets, cycle, batch.clone()).await?;
    match call_all(targets, wanted(&batch, &contacts)).await {
        Called::Tried(at_fault, stop) => {
            while let Some((staged, trio)) = work.next(targets).await? {
                let deed = match (contacts.get(&staged.member), trio.remote.take(), &staged.planned.operation)
                {
                    (Some(known), Some(contact), Operation::RemoteTags { tags, source }) => {
                        trio.remote = Some(tagged(contact, tags, source, &targets.schema.group_tags));
                        at_fault.get(&known.email.key()).cloned().unwrap_or(Deed::Done)
                    }
                    (_, _, _) => Deed::Skipped("the contact is gone"),
                };
                work.done(deed, targets);
            }
            let closed = work.close(targets, applied, past).await;
            stop.map_or(closed, Err)
        }
        Called::Refused(said) => {
            past.tags_one_by_one = true;
            while work.next(targets).await?.is_some() {
                work.done(Deed::Failed(format!("a call for many was refused: {said}")), targets);
            }
            work.close(targets, &mut Applied::default(), &mut Past::default()).await?;
            remote::carry_out(targets, cycle, batch, applied, past).await
        }
    }
}

/// Whether so many changes are made tag by tag: a search and a call for each.
fn is_large(batch: &[StagedOperation], connections: usize) -> bool {
    let tags: std::collections::BTreeSet<&String> =
        batch.iter().flat_map(|staged| tags_of(&staged.planned.operation)).map(|(tag, _)| tag).collect();
    batch.len() >= LARGE && 2 * tags.len() * connections < batch.len()
}

fn tags_of(operation: &Operation) -> impl Iterator<Item = (&String, &bool)> {
    let tags = match operation {
        Operation::RemoteTags { tags, .. } => Some(tags),
        Operation::RemoteStatus { .. }
        | Operation::RemoteArchive { .. }
        | Operation::RemoteCreate { .. }
        | Operation::RemoteLeave { .. }
        | Operation::RemoteRename { .. }
        | Operation::RemoteUpdate { .. }
        | Operation::LocalStatus { .. }
        | Operation::LocalCreate { .. }
        | Operation::LocalRename { .. }
        | Operation::LocalUpdate { .. }
        | Operation::LocalKeep { .. } => None,
    };
    tags.into_iter().flatten()
}

async fn contacts(
    targets: &Targets,
    batch: &[StagedOperation],
) -> Result<BTreeMap<MemberId, Contact>, ApplyError> {
    let members = batch.iter().map(|staged| staged.member).collect();
    let trios = targets.state.trios(members, targets.clock.now()).await?;
    Ok(trios.into_iter().filter_map(|trio| Some((trio.id, trio.remote?))).collect())
}

fn wanted(batch: &[StagedOperation], contacts: &BTreeMap<MemberId, Contact>) -> BTreeMap<String, Wanted> {
    let mut wanted: BTreeMap<String, Wanted> = BTreeMap::new();
    for staged in batch {
        let Some(contact) = contacts.get(&staged.member) else { continue };
        for (tag, is_there) in tags_of(&staged.planned.operation) {
            let wanted = wanted.entry(tag.clone()).or_default();
            let side = if *is_there { &mut wanted.add } else { &mut wanted.remove };
            side.push(contact.email.clone());
        }
    }
    wanted
}

/// Makes one call after the other. A member at fault in one of them is at fault; after what stops the plan nothing is tried.
async fn call_all(targets: &Targets, wanted: BTreeMap<String, Wanted>) -> Called {
    let mut at_fault = BTreeMap::new();
    let mut stop: Option<ApplyError> = None;
    for (tag, Wanted { add, remove }) in wanted {
        let everybody = || add.iter().chain(&remove).map(EmailAddress::key);
        if let Some(error) = &stop {
            let deed = Deed::Failed(format!("not tried: {error}"));
            at_fault.extend(everybody().map(|address| (address, deed.clone())));
            continue;
        }
        match targets.remote.tag_many(&tag, &add, &remove).await {
            Ok(unknown) => {
                let doubt = || Deed::Doubtful("Mailchimp does not know the address".to_owned());
                at_fault.extend(everybody().filter(|key| unknown.contains(key)).map(|key| (key, doubt())));
            }
            Err(AudienceError::Refused(refusal)) => return Called::Refused(refusal.said),
            Err(error) => {
                let (deed, stops) = refusals::sort(targets, 0, error);
                at_fault.extend(everybody().map(|address| (address, deed.clone())));
                stop = stops;
            }
        }
    }
    Called::Tried(at_fault, stop)
}
