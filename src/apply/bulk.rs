//! New contacts by the hundred.
//!
//! Exempt from reading again, under four conditions: a full observation was finished in this state file's life, an
//! incremental walk came right before, `update_existing` is false, and the status in each answer is compared with the
//! one asked for (the base takes what the answer shows).

use std::collections::BTreeMap;

use crate::apply::close::{Deed, Work};
use crate::apply::local::read_again;
use crate::apply::remote::{new_contact, settle_created};
use crate::apply::{Applied, ApplyError, Past, Targets, refusals};
use crate::mailchimp::{AudienceError, Created, NewContact, Refusal};
use crate::model::{Contact, Registration, RegistrationId, SubscriptionStatus};
use crate::reconcile::trio::Trio;
use crate::state::{CycleId, StagedOperation};

/// What came of one creation: Mailchimp's answer, or what became of the call.
type Answer = Result<Created, Deed>;

/// Creates a batch of contacts in one call; rows that changed meanwhile are left for the next cycle.
pub(super) async fn carry_out(
    targets: &Targets,
    cycle: CycleId,
    batch: Vec<StagedOperation>,
    applied: &mut Applied,
    past: &mut Past,
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
    let (mut answers, stop) = create_all(targets, wanted).await;
    while let Some((staged, trio)) = work.next(targets).await? {
        let deed = match answers.remove(&staged.seq) {
            None => Deed::Skipped("the row changed meanwhile"),
            Some(Err(deed)) => deed,
            Some(Ok(answer)) => match settle_created(answer, trio) {
                Ok(deed) => deed,
                Err(error) => refusals::sort(targets, targets.state.refusals(staged.member).await?, error).0,
            },
        };
        work.done(deed, targets);
    }
    let closed = work.close(targets, applied, past).await;
    stop.map_or(closed, Err)
}

/// Creates all of them in one call. A call that is refused as a whole is made again in halves: it says nothing about
/// any one member, and one member's fault is nobody else's. Says what stops the plan, too.
async fn create_all(
    targets: &Targets,
    wanted: Vec<(i64, NewContact)>,
) -> (BTreeMap<i64, Answer>, Option<ApplyError>) {
    let mut answers = BTreeMap::new();
    let mut alone = Alone::default();
    let mut slices = vec![wanted];
    let mut stop = None;
    while let Some(mut slice) = slices.pop() {
        if slice.is_empty() {
            continue;
        }
        if let Some(error) = &stop {
            answers.extend(slice.into_iter().map(|(seq, _)| (seq, Err(not_tried(error)))));
            continue;
        }
        let new: Vec<NewContact> = slice.iter().map(|(_, new)| new.clone()).collect();
        match targets.remote.create(&targets.schema, &new).await {
            Ok(created) => {
                let all = created.into_iter().chain(std::iter::repeat_with(|| Created::Unmentioned));
                answers.extend(slice.into_iter().zip(all).map(|((seq, _), created)| (seq, Ok(created))));
            }
            Err(AudienceError::Refused(_)) if slice.len() > 1 => {
                let second = slice.split_off(slice.len() / 2);
                slices.extend([second, slice]);
            }
            Err(AudienceError::Refused(refusal)) => {
                stop = alone.is_nobodys_fault(&refusal);
                let refused = |(seq, _)| (seq, Ok(Created::Refused(refusal.clone())));
                answers.extend(slice.into_iter().map(refused));
            }
            Err(error) => {
                let (deed, stops) = refusals::sort(targets, 0, error);
                answers.extend(slice.into_iter().map(|(seq, _)| (seq, Err(deed.clone()))));
                stop = stops;
            }
        }
    }
    (answers, stop)
}

fn not_tried(error: &ApplyError) -> Deed {
    Deed::Failed(format!("not tried: {error}"))
}

/// Counts calls for one contact that were refused alike: ten of them are no contact's fault.
#[derive(Debug, Default)]
struct Alone {
    said: String,
    count: usize,
}

impl Alone {
    fn is_nobodys_fault(&mut self, refusal: &Refusal) -> Option<ApplyError> {
        if self.said != refusal.said {
            (self.said, self.count) = (refusal.said.clone(), 0);
        }
        self.count += 1;
        (self.count >= refusals::EQUAL_UNKNOWNS)
            .then(|| ApplyError::EqualUnknowns { count: self.count, said: self.said.clone() })
    }
}

/// Whether the member has no contact that this one would double: one that is out stays behind at its old address.
fn is_free(trio: &Trio, new: &NewContact) -> bool {
    let left_behind = |contact: &Contact| match contact.status {
        SubscriptionStatus::Cleaned
        | SubscriptionStatus::Unsubscribed
        | SubscriptionStatus::Transactional
        | SubscriptionStatus::Archived => contact.email != new.email,
        SubscriptionStatus::Subscribed | SubscriptionStatus::Pending => false,
    };
    trio.remote.as_ref().is_none_or(left_behind)
}

/// Whether the register still says of the member what it said: it costs little to ask again.
async fn still_there(targets: &Targets, trio: &Trio) -> Result<bool, ApplyError> {
    let ids: Vec<RegistrationId> = trio.local.iter().map(|row| row.id.clone()).collect();
    let usable: Vec<Registration> = trio.usable().cloned().collect();
    Ok(same_rows(&usable, &read_again(targets, &ids).await?))
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
