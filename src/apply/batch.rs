//! Large sets of changed values: handed to Mailchimp as a batch, looked for until finished, settled answer by answer.
//!
//! Between two cycles Mailchimp goes on alone. Until it is known what came of a change its member is not written
//! otherwise, but for opt-outs; whatever cannot be known has the member read by itself before anything else.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::SignedDuration;

use crate::apply::close::{Deed, Work};
use crate::apply::heed::{Heed, Reached, calls};
use crate::apply::{Applied, ApplyError, Past, Targets, refusals, remote};
use crate::mailchimp::batch::archive::Extent;
use crate::mailchimp::batch::{BatchAnswer, BatchNow, BatchedChange, MAX_BODY_BYTES, MAX_OPERATIONS};
use crate::mailchimp::{AudienceError, ContactChanges};
use crate::model::{Contact, MemberId};
use crate::reconcile::plan::Operation;
use crate::reconcile::trio::Trio;
use crate::state::{Batch, BatchedOperation, CycleId, EntryId, Pause, StagedOperation, UPDATES};

/// A batch takes about eight requests one after the other: submitted, looked for six times within [`PATIENCE`], its
/// results fetched. Single changes go as many at a time as there are connections: beyond eight rounds of them a batch
/// asks for less.
const ROUNDS_OF_A_BATCH: usize = 8;

/// The first look comes after this; each further one after twice the time.
const FIRST_LOOK: Duration = Duration::from_secs(2);

/// How long a cycle waits before it looks whether somebody was named: all distances are so many times this.
const STEP: Duration = FIRST_LOOK;

/// For so long a round looks: 2 + 4 + 8 + 16 + 32 + 64 s. Meanwhile nobody observes that somebody left, so that it must
/// not be much longer than the usual distance between two cycles; each later cycle looks once.
const PATIENCE: Duration = Duration::from_secs(126);

/// A batch that is not finished after this long is stopped: its members would never be written again. The longest
/// distance between two tries of anything.
const GIVEN_UP: SignedDuration = SignedDuration::from_hours(24);

/// How many entries are settled in one transaction.
const PORTION: usize = 500;

/// Changes that are to be submitted together.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    staged: Vec<StagedOperation>,
    changes: Vec<BatchedChange>,
    bytes: usize,
    /// Mailchimp refused a batch as a whole: the rest of the plan does without.
    refused: bool,
}

/// Whether an operation may travel in a batch: values of one contact, never a status, never an address.
pub(super) fn is_plain(staged: &StagedOperation) -> bool {
    staged.rank == UPDATES && matches!(staged.planned.operation, Operation::RemoteUpdate { .. })
}

impl Gathering {
    /// Whether so many plain changes are worth a batch, or join one that is being gathered.
    pub(super) fn wants(&self, plain: usize, connections: usize) -> bool {
        !self.refused && (!self.is_empty() || plain > ROUNDS_OF_A_BATCH * connections)
    }

    /// Whether nothing is gathered.
    pub(super) fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    fn add(&mut self, staged: StagedOperation, change: BatchedChange) {
        self.bytes += change.bytes();
        self.staged.push(staged);
        self.changes.push(change);
    }

    fn is_full(&self, next: &BatchedChange) -> bool {
        self.staged.len() >= MAX_OPERATIONS || self.bytes + next.bytes() > MAX_BODY_BYTES
    }

    fn take(&mut self) -> (Vec<StagedOperation>, Vec<BatchedChange>) {
        self.bytes = 0;
        (std::mem::take(&mut self.staged), std::mem::take(&mut self.changes))
    }
}

/// Takes plain changes into the batch that is being gathered, and submits whatever is full.
pub(super) async fn gather(
    targets: &Targets,
    cycle: CycleId,
    plain: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    let members: Vec<MemberId> = plain.iter().map(|staged| staged.member).collect();
    let trios = targets.state.trios(members, targets.clock.now()).await?;
    let contacts: BTreeMap<MemberId, Contact> =
        trios.into_iter().filter_map(|trio| Some((trio.id, trio.remote?))).collect();
    // What cannot be said in a batch is refused, or only read, like any single change.
    let mut single = Vec::new();
    for staged in plain {
        let contact = contacts.get(&staged.member);
        match contact.and_then(|contact| change_of(targets, contact, &staged.planned.operation)) {
            Some(change) => {
                if past.gathering.is_full(&change) {
                    submit(targets, cycle, applied, past).await?;
                }
                past.gathering.add(staged, change);
            }
            None => single.push(staged),
        }
    }
    match single.is_empty() {
        true => Ok(()),
        false => remote::carry_out(targets, cycle, single, applied, past).await,
    }
}

fn change_of(targets: &Targets, contact: &Contact, operation: &Operation) -> Option<BatchedChange> {
    let Operation::RemoteUpdate { changes, .. } = operation else { return None };
    let values = changes.iter().map(|(key, change)| (key.clone(), change.after.clone())).collect();
    BatchedChange::new(&targets.schema, contact, ContactChanges { email: None, values }).ok().flatten()
}

/// Submits what was gathered: noted first, so that a submission nobody heard the end of is known to be perhaps one.
pub(super) async fn submit(
    targets: &Targets,
    cycle: CycleId,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    let (staged, changes) = past.gathering.take();
    if staged.is_empty() {
        return Ok(());
    }
    let (batch, entries) = targets.state.open_batch(cycle, staged.clone(), targets.clock.now()).await?;
    let numbered: Vec<(i64, BatchedChange)> = entries.iter().map(|entry| entry.0).zip(changes).collect();
    let error = match targets.remote.submit_batch(&numbered).await {
        Ok(handle) => {
            targets.state.note_submitted(batch, handle).await?;
            tracing::info!(operations = numbered.len(), "changes were handed over as a batch");
            return Ok(());
        }
        Err(error) => error,
    };
    let operations: Vec<_> = entries.into_iter().zip(staged.iter().cloned()).collect();
    if let AudienceError::Refused(refusal) = &error {
        // The batch's own fault, or nobody's: the changes are made one by one.
        tracing::warn!(http.status = refusal.status, title = refusal.title, "Mailchimp refused a batch");
        past.gathering.refused = true;
        let deed = Deed::Failed(format!("the batch was refused: {}", refusal.said));
        let mut aside = Past::default();
        end_all(targets, operations, &deed, &mut Applied::default(), &mut aside).await?;
        return remote::carry_out(targets, cycle, staged, applied, past).await;
    }
    let (deed, stop) = refusals::sort(targets, 0, error);
    end_all(targets, operations, &deed, applied, past).await?;
    stop.map_or(Ok(()), Err)
}

/// Ends all of them alike.
async fn end_all(
    targets: &Targets,
    operations: Vec<(EntryId, StagedOperation)>,
    deed: &Deed,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    let mut work = Work::under_way_already(operations);
    while work.next(targets).await?.is_some() {
        work.done(deed.clone(), targets);
    }
    work.close(targets, applied, past).await
}

/// How long a round has waited for batches, and when it looks next.
#[derive(Debug)]
pub struct Patience {
    waited: Duration,
    look_at: Duration,
    distance: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { waited: Duration::ZERO, look_at: FIRST_LOOK, distance: FIRST_LOOK }
    }
}

/// Looks at unfinished batches at growing distances until all are settled or the patience is at its end: what is not
/// finished by then stays remembered, and the next cycle looks first.
///
/// Whoever is named ends the waiting at the next step; since each step takes of the patience, that has an end, too.
pub(super) async fn wait(
    targets: &Targets,
    heed: Heed,
    applied: &mut Applied,
    patience: &mut Patience,
) -> Result<Reached, ApplyError> {
    while !targets.state.unfinished_batches().await?.is_empty() {
        if targets.stop.is_cancelled() {
            return Err(ApplyError::Stopped);
        }
        if targets.state.paused().await? != Pause::Running || patience.look_at > PATIENCE {
            return Ok(Reached::End);
        }
        tokio::select! {
            () = targets.stop.cancelled() => return Err(ApplyError::Stopped),
            () = targets.clock.sleep(STEP) => patience.waited += STEP,
        }
        if patience.waited >= patience.look_at {
            patience.distance *= 2;
            patience.look_at += patience.distance;
            look(targets, applied, &mut Past::default()).await?;
        }
        if calls(targets, heed).await? {
            return Ok(Reached::Named);
        }
    }
    Ok(Reached::End)
}

/// Looks once at the unfinished batches, oldest first, and settles those that are finished. Mailchimp carries out one at
/// a time: what comes after one that is not finished is not finished either.
pub(super) async fn look(
    targets: &Targets,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    for batch in targets.state.unfinished_batches().await? {
        match targets.remote.batch(&batch.handle).await {
            Ok(BatchNow::Finished { results }) => {
                if settle(targets, &batch, &results, applied, past).await? == Settled::NotYet {
                    return Ok(());
                }
            }
            Ok(BatchNow::Expired) => {
                tracing::warn!(left = batch.left, "Mailchimp no longer knows a batch");
                give_up(targets, &batch, "Mailchimp no longer knows the batch", applied, past).await?;
            }
            Ok(BatchNow::UnderWay) if is_overdue(targets, &batch) => {
                targets.remote.cancel_batch(&batch.handle).await?;
                tracing::warn!(left = batch.left, "a batch that never finished was stopped");
                give_up(targets, &batch, "the batch never finished", applied, past).await?;
            }
            Ok(BatchNow::UnderWay) => return Ok(()),
            Err(error @ (AudienceError::Busy { .. } | AudienceError::Fatal { .. })) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(error = %error, "a batch could not be looked at");
                return Ok(());
            }
        }
    }
    Ok(())
}

fn is_overdue(targets: &Targets, batch: &Batch) -> bool {
    targets.clock.now().duration_since(batch.begun_at) >= GIVEN_UP
}

/// Whether everything in a batch has its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Settled {
    All,
    /// The results could not be had: another time.
    NotYet,
}

/// Reads the results and settles each answer like that of a single change; what they do not mention is in doubt.
async fn settle(
    targets: &Targets,
    batch: &Batch,
    results: &str,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<Settled, ApplyError> {
    let (mut answers, extent) = match targets.remote.batch_results(&targets.schema, results).await {
        Ok(read) => read,
        Err(error) => {
            tracing::warn!(error = %error, "the results of a batch could not be read");
            return Ok(Settled::NotYet);
        }
    };
    let mut result = Ok(());
    while !answers.is_empty() {
        let portion = answers.drain(..answers.len().min(PORTION)).collect();
        match settle_portion(targets, batch, portion, applied, past).await {
            // Too many alike were refused: that stops what comes after, not what was already carried out.
            Err(error @ ApplyError::EqualUnknowns { .. }) => result = result.and(Err(error)),
            settled => settled?,
        }
    }
    if let Extent::Broken(said) = extent {
        tracing::warn!(said, "the results of a batch break off");
    }
    give_up(targets, batch, "the results do not mention it", applied, past).await?;
    result.map(|()| Settled::All)
}

async fn settle_portion(
    targets: &Targets,
    batch: &Batch,
    answers: Vec<BatchAnswer>,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    let entries = answers.iter().map(|answer| EntryId(answer.number)).collect();
    let mut outcomes = BTreeMap::new();
    for answer in answers {
        outcomes.entry(EntryId(answer.number)).or_insert(answer.outcome);
    }
    let batched = targets.state.batched(batch.number, entries).await?;
    let untouched: BTreeMap<i64, bool> =
        batched.iter().map(|batched| (batched.staged.seq, batched.contact_is_as_it_was)).collect();
    let mut work = Work::under_way_already(pairs(batched));
    while let Some((staged, trio)) = work.next(targets).await? {
        let as_it_was = untouched.get(&staged.seq).copied().unwrap_or(false);
        let deed = match outcomes.remove(&EntryId(staged.seq)) {
            Some(Ok(contact)) => take_answer(trio, contact, as_it_was),
            Some(Err(error)) => {
                refusals::sort(targets, targets.state.refusals(staged.member).await?, error).0
            }
            None => Deed::Lost("the results do not mention it".to_owned()),
        };
        work.done(deed, targets);
    }
    work.close(targets, applied, past).await
}

/// Takes what an answer shows, unless the mirror may be newer: the answer was given when the change was made, and whoever
/// left since then must not look subscribed again.
fn take_answer(trio: &mut Trio, answer: Contact, contact_is_as_it_was: bool) -> Deed {
    let is_newest = match &trio.remote {
        Some(known) if known.contact_id != answer.contact_id => false,
        Some(known) => contact_is_as_it_was || *known == answer || known.last_changed < answer.last_changed,
        None => false,
    };
    if !is_newest {
        return Deed::Lost("the contact was changed while the batch was under way".to_owned());
    }
    trio.remote = Some(answer);
    Deed::Done
}

/// Has everybody who is left in the batch read by themselves.
async fn give_up(
    targets: &Targets,
    batch: &Batch,
    why: &str,
    applied: &mut Applied,
    past: &mut Past,
) -> Result<(), ApplyError> {
    loop {
        let left = targets.state.left_in_batch(batch.number, PORTION).await?;
        if left.is_empty() {
            return Ok(());
        }
        end_all(targets, pairs(left), &Deed::Lost(why.to_owned()), applied, past).await?;
    }
}

fn pairs(batched: Vec<BatchedOperation>) -> Vec<(EntryId, StagedOperation)> {
    batched.into_iter().map(|batched| (batched.entry, batched.staged)).collect()
}
