//! New contacts by the hundred.
//!
//! Exempt from reading again, under four conditions: a full observation was finished in this state file's life, an
//! incremental walk came right before, `update_existing` is false, and the status in each answer is compared with the
//! one asked for (the base takes what the answer shows).

use std::collections::BTreeMap;

use crate::apply::close::{Deed, Work};
use crate::apply::local::read_again;
use crate::apply::remote::{new_contact, settle_created};
use crate::apply::{Applied, ApplyError, Targets, refusals};
use crate::mailchimp::{AudienceError, Created, NewContact};
use crate::model::{Contact, Registration, RegistrationId, SubscriptionStatus};
use crate::reconcile::trio::Trio;
use crate::state::{CycleId, StagedOperation};

/// Creates a batch of contacts in one call; rows that changed meanwhile are left for the next cycle.
pub(super) async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    batch: Vec<StagedOperation>,
    applied: &mut Applied,
    run: &mut refusals::Run,
) -> Result<(), ApplyError> {
    let mut work = Work::open(targets, cycle, batch.clone()).await?;
    let mut wanted: Vec<(i64, NewContact)> = Vec::new();
    for staged in &batch {
        let trio = targets.state.trio(staged.member, targets.clock.now()).await?;
        let (Some(trio), Some(new)) = (trio, new_contact(&staged.planned.operation)) else { continue };
        if is_free(&trio, &new) && still_there(targets, &trio).await? {
            wanted.push((staged.seq, new));
        }
    }
    let (seqs, new): (Vec<i64>, Vec<NewContact>) = wanted.into_iter().unzip();
    let created = match new.is_empty() {
        true => Vec::new(),
        false => match targets.remote.create(&targets.schema, &new).await {
            Ok(created) => created,
            Err(error) => return fail_all(targets, work, error, applied).await,
        },
    };
    let missing = std::iter::repeat_with(|| Created::Unmentioned);
    let mut answers: BTreeMap<i64, Created> =
        seqs.into_iter().zip(created.into_iter().chain(missing)).collect();
    while let Some((staged, trio)) = work.next(targets).await? {
        let deed = match answers.remove(&staged.seq) {
            None => Deed::Skipped("the row changed meanwhile"),
            Some(answer) => match settle_created(answer, trio) {
                Ok(deed) => deed,
                Err(error) => refusals::sort(targets, targets.state.refusals(staged.member).await?, error).0,
            },
        };
        work.done(deed, &targets.policy);
    }
    run.note(&work)?;
    work.close(targets, applied).await
}

/// The call as a whole failed: a refusal of the call says nothing about any one member, a lost answer leaves all in doubt.
async fn fail_all(
    targets: &Targets,
    mut work: Work,
    error: AudienceError,
    applied: &mut Applied,
) -> Result<(), ApplyError> {
    let said = error.to_string();
    let lost = matches!(error, AudienceError::Lost { .. } | AudienceError::Unreadable { .. });
    while work.next(targets).await?.is_some() {
        work.done(if lost { Deed::Lost(said.clone()) } else { Deed::Failed(said.clone()) }, &targets.policy);
    }
    work.close(targets, applied).await?;
    if lost { Ok(()) } else { Err(ApplyError::Remote(error)) }
}

/// Whether the member has no contact that this one would double: a bounced one stays behind at its old address.
fn is_free(trio: &Trio, new: &NewContact) -> bool {
    let left_behind =
        |contact: &Contact| contact.status == SubscriptionStatus::Cleaned && contact.email != new.email;
    trio.remote.as_ref().is_none_or(left_behind)
}

/// Whether the register still says of the member what it said: it costs little to ask again.
async fn still_there(targets: &Targets, trio: &Trio) -> Result<bool, ApplyError> {
    let ids: Vec<RegistrationId> = trio.local.iter().map(|row| row.id.clone()).collect();
    Ok(same_rows(&trio.local, &read_again(targets, &ids).await?))
}

/// Whether the rows still say what they said, Rosterd's own columns aside.
fn same_rows(seen: &[Registration], now: &[Registration]) -> bool {
    let bare = |row: &Registration| Registration {
        preferences_url: None,
        sync_note: None,
        working_groups: None,
        updated_at: None,
        ..row.clone()
    };
    seen.len() == now.len() && seen.iter().all(|row| now.iter().any(|other| bare(other) == bare(row)))
}
