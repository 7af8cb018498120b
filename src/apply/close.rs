//! Operations under way: noted before they are tried, closed together with what they moved.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::apply::{Applied, ApplyError, Past, Targets};
use crate::model::{EmailAddress, MemberId};
use crate::reconcile::plan::{Operation, Planned};
use crate::reconcile::trio::Trio;
use crate::state::{
    CHANGED_MEANWHILE, Closing, ContactNow, CycleId, EntryId, Outcome, Park, StagedOperation,
};
use crate::telemetry;

/// A creation that is never answered is tried again after this long at the latest.
const LONGEST_UNANSWERED: SignedDuration = SignedDuration::from_hours(1);

/// The class of refusals that say that the audience's own schema is another than remembered.
pub(super) const SCHEMA: &str = "schema";

/// What came of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Deed {
    /// It was written and answered.
    Done,
    /// It was not tried: decided otherwise, or its ground had changed.
    Skipped(&'static str),
    /// A row is not as it was observed: look at this address again.
    Stale(EmailAddress),
    /// It was refused: the member is set aside.
    Refused(Park),
    /// It was refused in a way that says the mirror is wrong: the member is read by itself.
    Doubtful(String),
    /// It may have been carried out though nobody heard so: the member is read by itself.
    Lost(String),
    /// It was not written, for a reason that does not concern the member.
    Failed(String),
}

/// A run of operations with their trail entries.
#[derive(Debug)]
pub(super) struct Work {
    entries: Vec<(EntryId, StagedOperation)>,
    next: usize,
    members: BTreeMap<MemberId, Trio>,
    /// The operation that is under way, where it was decided anew.
    replaced: Option<Planned>,
    closings: Vec<Closing>,
    deeds: Vec<Deed>,
    /// Members of whom something was not done: what else was planned for them stood on it.
    left: BTreeSet<MemberId>,
}

impl Work {
    /// Notes the operations in the trail before any is tried.
    pub(super) async fn open(
        targets: &Targets,
        cycle: CycleId,
        operations: Vec<StagedOperation>,
    ) -> Result<Self, ApplyError> {
        let entries = targets.state.open_entries(cycle, operations.clone(), targets.clock.now()).await?;
        Ok(Self::under_way_already(entries.into_iter().zip(operations).collect()))
    }

    /// Operations that were noted before.
    pub(super) fn under_way_already(entries: Vec<(EntryId, StagedOperation)>) -> Self {
        Self {
            entries,
            next: 0,
            members: BTreeMap::new(),
            replaced: None,
            closings: Vec::new(),
            deeds: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    /// The next operation and its member as it stands after those before it.
    pub(super) async fn next(
        &mut self,
        targets: &Targets,
    ) -> Result<Option<(StagedOperation, &mut Trio)>, ApplyError> {
        while let Some((_, staged)) = self.entries.get(self.next) {
            let (staged, member) = (staged.clone(), staged.member);
            if self.left.contains(&member) {
                self.done(Deed::Skipped("waits: what came before it was not done"), targets);
                continue;
            }
            if let Entry::Vacant(place) = self.members.entry(member) {
                let Some(trio) = targets.state.trio(member, targets.clock.now()).await? else {
                    self.done(Deed::Skipped("the member is gone"), targets);
                    continue;
                };
                place.insert(trio);
            }
            self.replaced = None;
            return Ok(self.members.get_mut(&member).map(|trio| (staged, trio)));
        }
        Ok(None)
    }

    /// The member of the operation that is under way, and the operation as it was decided last.
    pub(super) fn under_way(&mut self) -> Option<(&Planned, &mut Trio)> {
        let (_, staged) = self.entries.get(self.next)?;
        let planned = self.replaced.as_ref().unwrap_or(&staged.planned);
        Some((planned, self.members.get_mut(&staged.member)?))
    }

    /// The operation that is under way was decided anew, with times of its own.
    pub(super) fn replace(&mut self, planned: Planned) {
        self.replaced = Some(planned);
    }

    /// Ends the operation that is under way.
    pub(super) fn done(&mut self, deed: Deed, targets: &Targets) {
        let Some((entry, staged)) = self.entries.get(self.next) else { return };
        self.next += 1;
        let operation = self.replaced.as_ref().unwrap_or(&staged.planned).operation.clone();
        let member = staged.member;
        let outcome = outcome_of(&deed);
        tracing::debug!(
            member.hash = %staged.email.hash(),
            member.address = telemetry::address(&staged.email),
            operation.kind = operation.kind(),
            outcome = outcome.as_str(),
            "an operation ended"
        );
        let mut closing = Closing::new(*entry, member, outcome);
        closing.said = said_of(&deed);
        match &deed {
            Deed::Done => {
                if let Some(trio) = self.members.get_mut(&member) {
                    move_base(trio, &operation, &targets.policy, &mut closing);
                }
            }
            Deed::Stale(address) => closing.pending = Some((address.clone(), CHANGED_MEANWHILE.to_owned())),
            Deed::Refused(park) => closing.park = Some(park.clone()),
            Deed::Lost(said) => {
                closing.unheard = true;
                let trio = self.members.get(&member);
                closing.park = trio.and_then(|trio| unanswered(trio, &operation, said, targets.clock.now()));
            }
            Deed::Skipped(_) | Deed::Doubtful(_) | Deed::Failed(_) => (),
        }
        if deed != Deed::Done {
            self.left.insert(member);
        }
        self.closings.push(closing);
        self.deeds.push(deed);
    }

    /// Leaves out what was not begun: staff paused in the midst of it.
    pub(super) fn skip_rest(&mut self, targets: &Targets) {
        while self.next < self.entries.len() {
            self.done(Deed::Skipped("paused before it was tried"), targets);
        }
    }

    /// Closes what was ended, in one transaction, and counts it; what was not begun is noted as not tried.
    ///
    /// # Errors
    ///
    /// [`ApplyError::EqualUnknowns`] once it is closed, where that was one too many.
    pub(super) async fn close(
        mut self,
        targets: &Targets,
        applied: &mut Applied,
        past: &mut Past,
    ) -> Result<(), ApplyError> {
        while self.next < self.entries.len() {
            self.done(Deed::Failed("not tried: the cycle ended before".to_owned()), targets);
        }
        for deed in &self.deeds {
            match deed {
                Deed::Done => applied.done += 1,
                Deed::Skipped(_) | Deed::Stale(_) => applied.skipped += 1,
                Deed::Refused(park) => {
                    applied.parked += 1;
                    *applied.refusals.entry(park.class.clone()).or_default() += 1;
                    applied.schema_is_stale |= park.class == SCHEMA;
                }
                Deed::Doubtful(_) | Deed::Lost(_) | Deed::Failed(_) => applied.failed += 1,
            }
        }
        past.left.append(&mut self.left);
        targets.state.close_entries(self.closings, targets.clock.now()).await?;
        past.run.note(&self.deeds)
    }
}

/// Moves base and mirror to what the answer showed.
fn move_base(
    trio: &mut Trio,
    operation: &Operation,
    policy: &crate::reconcile::policy::Policy,
    closing: &mut Closing,
) {
    let base = trio.base.clone().unwrap_or_default();
    let base = base.after(operation, &trio.local, trio.remote.as_ref(), policy);
    trio.base = Some(base.clone());
    closing.base = Some(base);
    closing.rows.clone_from(&trio.local);
    closing.contact = match &trio.remote {
        Some(contact) => ContactNow::Shown(Box::new(contact.clone())),
        None if matches!(operation, Operation::RemoteLeave { .. }) => ContactNow::LeftBehind,
        None => ContactNow::AsBefore,
    };
}

/// Who is set aside because no creation of theirs is ever answered: from the second on, each waits twice as long as the one
/// before it did.
fn unanswered(trio: &Trio, operation: &Operation, said: &str, now: Timestamp) -> Option<Park> {
    let Operation::RemoteCreate { email, .. } = operation else { return None };
    let tried = trio.base.iter().flat_map(|base| &base.unheard).filter_map(|write| write.creation.as_ref());
    let before = tried.filter(|creation| creation.email == *email).map(|creation| creation.at).max()?;
    let distance = now.duration_since(before).abs().saturating_mul(2).min(LONGEST_UNANSWERED);
    Some(Park {
        class: "unanswered".to_owned(),
        title: "Mailchimp never says what came of the creation".to_owned(),
        said: said.to_owned(),
        retry_at: now.checked_add(distance).ok(),
    })
}

fn outcome_of(deed: &Deed) -> Outcome {
    match deed {
        Deed::Done => Outcome::Done,
        Deed::Skipped(_) | Deed::Stale(_) => Outcome::Skipped,
        Deed::Refused(_) => Outcome::Refused,
        Deed::Doubtful(_) | Deed::Lost(_) => Outcome::Lost,
        Deed::Failed(_) => Outcome::Failed,
    }
}

fn said_of(deed: &Deed) -> Option<String> {
    match deed {
        Deed::Done => None,
        Deed::Skipped(why) => Some((*why).to_owned()),
        Deed::Stale(_) => Some("the row changed meanwhile".to_owned()),
        Deed::Refused(park) => Some(format!("{}: {}", park.title, park.said)),
        Deed::Doubtful(said) | Deed::Lost(said) | Deed::Failed(said) => Some(said.clone()),
    }
}
