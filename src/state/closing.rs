//! Ending an operation: its outcome and every move of base and mirror, in one transaction.

use jiff::Timestamp;
use rusqlite::Transaction;

use crate::model::{Contact, EmailAddress, MemberId, Registration, RegistrationId};
use crate::reconcile::trio::Base;
use crate::state::error::{Fault, StateError};
use crate::state::joining::{mark_for_recheck, unsettle};
use crate::state::{
    EntryId, Outcome, Park, State, base, contacts, left_behind, parked, pending, rows, trail,
};

/// What is known of the contact after an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContactNow {
    /// Nothing new.
    #[default]
    AsBefore,
    /// The answer showed it.
    Shown(Box<Contact>),
    /// It stays behind, and is the member's no more.
    LeftBehind,
}

/// How an operation ended.
///
/// Whatever it was, the member is unsettled afterwards: the next round looks at it again. Parking changes only
/// where `park` says so.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The entry that was opened for it.
    pub entry: EntryId,
    /// Whom it concerned.
    pub member: MemberId,
    /// What came of it. [`Outcome::Lost`] has the member read by itself before anything else.
    pub outcome: Outcome,
    /// Whether it may have been carried out though nobody heard so.
    pub unheard: bool,
    /// What the side said; never contains an address.
    pub said: Option<String>,
    /// The base from now on; `None` leaves it.
    pub base: Option<Base>,
    /// The contact from now on.
    pub contact: ContactNow,
    /// Rows as they now stand.
    pub rows: Vec<Registration>,
    /// Rows found to be gone.
    pub removed: Vec<RegistrationId>,
    /// Why the member is set aside.
    pub park: Option<Park>,
    /// An address to look at on both sides in the next cycle, and why.
    pub pending: Option<(EmailAddress, String)>,
}

impl Closing {
    /// An ending that moves nothing but the trail.
    pub fn new(entry: EntryId, member: MemberId, outcome: Outcome) -> Self {
        Self {
            entry,
            member,
            outcome,
            unheard: false,
            said: None,
            base: None,
            contact: ContactNow::AsBefore,
            rows: Vec::new(),
            removed: Vec::new(),
            park: None,
            pending: None,
        }
    }
}

impl State {
    /// Ends entries, in the order given; all in one transaction.
    pub async fn close_entries(&self, closings: Vec<Closing>, now: Timestamp) -> Result<(), StateError> {
        self.write(move |tx| closings.iter().try_for_each(|closing| close(tx, closing, now))).await
    }
}

fn close(tx: &Transaction<'_>, closing: &Closing, now: Timestamp) -> Result<(), Fault> {
    let member = closing.member;
    trail::end(tx, closing.entry, closing.outcome, closing.said.as_deref(), now)?;
    if let Some((address, reason)) = &closing.pending {
        pending::add(tx, address, reason, now)?;
    }
    // Erased meanwhile, or folded into another: there is nothing left to move.
    let there: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM members WHERE id = ?1)")?
        .query_row([member.0], |row| row.get(0))?;
    if !there {
        return Ok(());
    }
    if closing.base.is_some() {
        base::store(tx, member, closing.base.as_ref())?;
    }
    for row in &closing.rows {
        rows::show(tx, member, row)?;
    }
    for id in &closing.removed {
        rows::remove(tx, id)?;
    }
    if let Some(park) = &closing.park {
        parked::set_aside(tx, member, park, now)?;
    }
    match &closing.contact {
        ContactNow::AsBefore => {}
        ContactNow::Shown(contact) => contacts::show(tx, member, contact)?,
        ContactNow::LeftBehind => left_behind::leave(tx, member)?,
    }
    match closing.outcome {
        Outcome::Lost | Outcome::Unknown => {
            if closing.unheard {
                base::note_unheard(tx, closing.entry)?;
            }
            mark_for_recheck(tx, member)
        }
        Outcome::Done | Outcome::Skipped | Outcome::Refused | Outcome::Failed => unsettle(tx, member),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::plan::Class;
    use crate::state::sample::{
        agreed, archive, base_of, contact, email, later, members, now, open, reopen, row, to_do, trio,
    };
    use crate::state::{CycleKind, PolicyNumber, Seen};

    async fn opened(state: &State, member: MemberId) -> (EntryId, PolicyNumber) {
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        state.begin_plan().await.unwrap();
        let plan = to_do(&trio(state, member).await, vec![(archive(), Class::Removal)]);
        state.stage(vec![plan], policy).await.unwrap();
        let cycle = state.begin_cycle(CycleKind::Incremental, now()).await.unwrap();
        let next = state.next_operations((0, 0), 1).await.unwrap();
        let entries = state.open_entries(cycle, next, now()).await.unwrap();
        (entries[0], policy)
    }

    async fn settle(state: &State, member: MemberId, policy: PolicyNumber) {
        let plan = agreed(&trio(state, member).await);
        state.stage(vec![plan], policy).await.unwrap();
    }

    fn refusal() -> Park {
        Park {
            class: "permanent".into(),
            title: "Invalid Resource".into(),
            said: "no".into(),
            retry_at: None,
        }
    }

    #[tokio::test]
    async fn an_outcome_moves_trail_base_and_mirror_together() {
        let (_directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        let (entry, policy) = opened(&state, member).await;
        let mut shown = trio(&state, member).await;
        shown.remote = Some(contact("c-a", "b"));
        let closing = Closing {
            base: Some(base_of(&shown)),
            contact: ContactNow::Shown(Box::new(contact("c-a", "b"))),
            rows: vec![row("r-a", "b"), row("new", "b")],
            pending: Some((email("b"), "look again".to_owned())),
            said: Some("200".to_owned()),
            ..Closing::new(entry, member, Outcome::Done)
        };
        state.close_entries(vec![closing], later(1)).await.unwrap();
        let after = trio(&state, member).await;
        assert_eq!(after.base, Some(base_of(&shown)));
        assert_eq!(after.remote, Some(contact("c-a", "b")));
        assert_eq!(after.local.len(), 2);
        assert_eq!(state.asked_for(None, 10).await.unwrap().len(), 1);
        let trail = state.trail(member, 10).await.unwrap();
        assert_eq!((trail[0].outcome, trail[0].ended_at), (Some(Outcome::Done), Some(later(1))));
        assert_eq!((trail[0].decided_by.as_str(), trail[0].said.as_deref()), ("rule", Some("200")));
        assert_eq!(state.unsettled(policy, None, 10, now()).await.unwrap().len(), 1, "looked at again");

        let counts = state.put_contacts(vec![contact("c-a", "b")], Seen::Walk).await.unwrap();
        assert_eq!(counts.unchanged, 1, "our own write is no news");
    }

    #[tokio::test]
    async fn nothing_moves_where_one_of_the_endings_cannot_be_stored() {
        let (_directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        let (entry, _) = opened(&state, member).await;
        state
            .write(|tx| {
                tx.execute_batch(
                    "CREATE TEMP TRIGGER no_room BEFORE INSERT ON main.pending
                     BEGIN SELECT RAISE(ABORT, 'no room'); END",
                )?;
                Ok(())
            })
            .await
            .unwrap();
        let first = Closing { contact: ContactNow::LeftBehind, ..Closing::new(entry, member, Outcome::Done) };
        let second = Closing {
            pending: Some((email("a"), "again".to_owned())),
            ..Closing::new(entry, member, Outcome::Done)
        };
        assert!(state.close_entries(vec![first, second], now()).await.is_err());
        assert!(trio(&state, member).await.remote.is_some());
        assert_eq!(state.trail(member, 1).await.unwrap()[0].outcome, None);
    }

    #[tokio::test]
    async fn a_lost_answer_has_the_member_read_by_itself_before_anything_else() {
        let (_directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        let (entry, policy) = opened(&state, member).await;
        state.close_entries(vec![Closing::new(entry, member, Outcome::Lost)], now()).await.unwrap();
        assert!(state.unsettled(policy, None, 10, now()).await.unwrap().is_empty());
        let recheck = state.rechecks(None, 10).await.unwrap().remove(0);
        assert_eq!((recheck.member, recheck.rows.len(), recheck.addresses), (member, 1, vec![email("a")]));

        state.put_contacts(vec![contact("c-a", "a")], Seen::Walk).await.unwrap();
        assert_eq!(state.rechecks(None, 10).await.unwrap().len(), 1, "a page may be older than the write");
        state.put_contacts(vec![contact("c-a", "a")], Seen::Single).await.unwrap();
        assert!(state.rechecks(None, 10).await.unwrap().is_empty());
        assert_eq!(state.unsettled(policy, None, 10, now()).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_entry_that_a_crash_left_open_ends_as_unknown() {
        let (directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        opened(&state, member).await;
        drop(state);
        let state = reopen(&directory).await;
        assert_eq!(state.end_open_entries(later(5)).await.unwrap(), 1);
        assert_eq!(state.end_open_entries(later(6)).await.unwrap(), 0);
        let trail = state.trail(member, 1).await.unwrap();
        assert_eq!((trail[0].outcome, trail[0].ended_at), (Some(Outcome::Unknown), Some(later(5))));
        assert_eq!(state.rechecks(None, 10).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_refused_member_rests_until_somebody_else_changes_something() {
        let (_directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        let (entry, policy) = opened(&state, member).await;
        let refused = Closing { park: Some(refusal()), ..Closing::new(entry, member, Outcome::Refused) };
        state.close_entries(vec![refused], now()).await.unwrap();
        let parked = async || trio(&state, member).await.parked;
        assert_eq!(parked().await.as_deref(), Some("no"));
        settle(&state, member, policy).await;
        assert_eq!(parked().await.as_deref(), Some("no"), "nothing to do because it rests");

        let mut noted = row("r-a", "a");
        noted.sync_note = Some("cannot be synchronized".to_owned());
        noted.updated_at = Some(later(60));
        state.put_readings(vec![noted.clone()], Vec::new()).await.unwrap();
        assert_eq!(parked().await.as_deref(), Some("no"), "our own note is nobody's change");
        assert_eq!(state.unsettled(policy, None, 10, now()).await.unwrap().len(), 1);
        settle(&state, member, policy).await;

        noted.signup_ip = Some("192.0.2.1".to_owned());
        state.put_readings(vec![noted], Vec::new()).await.unwrap();
        assert_eq!(parked().await, None);
        assert_eq!(state.counts().await.unwrap().parked, 1, "until it is settled");
        settle(&state, member, policy).await;
        assert_eq!(state.counts().await.unwrap().parked, 0);
    }

    #[tokio::test]
    async fn a_rest_ends_at_its_time_or_when_staff_say_so_and_refusals_count_on() {
        let (_directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        let (entry, policy) = opened(&state, member).await;
        let park = Park { retry_at: Some(later(3600)), ..refusal() };
        let refused = Closing { park: Some(park.clone()), ..Closing::new(entry, member, Outcome::Refused) };
        state.close_entries(vec![refused.clone()], now()).await.unwrap();
        settle(&state, member, policy).await;
        assert_eq!(state.due_retries(later(3599)).await.unwrap(), 0);
        assert_eq!(state.due_retries(later(3600)).await.unwrap(), 1);
        assert_eq!(trio(&state, member).await.parked, None);
        assert_eq!(state.unsettled(policy, None, 10, now()).await.unwrap().len(), 1);

        state.close_entries(vec![refused], later(3600)).await.unwrap();
        let resting = state.parking_of(member).await.unwrap().unwrap();
        assert_eq!((resting.attempts, resting.since, resting.rests), (2, now(), true));
        assert_eq!(state.refusals(member).await.unwrap(), 2);

        assert!(state.retry(member, later(3601)).await.unwrap());
        assert!(trio(&state, member).await.parked.is_some(), "not in the midst of a cycle");
        assert_eq!(state.due_retries(later(3601)).await.unwrap(), 1);
        assert_eq!(trio(&state, member).await.parked, None);
        assert!(!state.retry(MemberId(99), now()).await.unwrap());
    }

    #[tokio::test]
    async fn a_created_contact_that_a_walk_showed_first_comes_to_its_member() {
        let (_directory, state) = open().await;
        state.put_readings(vec![row("1", "a")], Vec::new()).await.unwrap();
        let member = state.member_of_registration(RegistrationId::new("1")).await.unwrap().unwrap();
        let (entry, _) = opened(&state, member).await;
        // It bears another spelling of the address than the row, so that the walk could not join it.
        state.put_contacts(vec![contact("c1", "elsewhere")], Seen::Walk).await.unwrap();
        let created = ContactNow::Shown(Box::new(contact("c1", "a")));
        let closing = Closing { contact: created, ..Closing::new(entry, member, Outcome::Done) };
        state.close_entries(vec![closing], now()).await.unwrap();
        assert_eq!(trio(&state, member).await.remote, Some(contact("c1", "a")));
        assert_eq!(state.counts().await.unwrap().with_contact, 1);
    }
}
