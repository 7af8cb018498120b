//! Ending an operation: its outcome and every move of base and mirror, in one transaction.

use jiff::Timestamp;
use rusqlite::Transaction;

use crate::model::{Contact, EmailAddress, MemberId, Registration, RegistrationId};
use crate::reconcile::trio::Base;
use crate::state::error::{Fault, StateError};
use crate::state::joining::{mark_for_recheck, unsettle};
use crate::state::{EntryId, Outcome, Park, State, base, contacts, parked, pending, rows, trail};

/// What is known of the contact after an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContactNow {
    /// Nothing new.
    #[default]
    AsBefore,
    /// The answer showed it.
    Shown(Box<Contact>),
    /// The answer proved that it is not there.
    Gone,
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
        ContactNow::Gone => contacts::forget(tx, member)?,
    }
    match closing.outcome {
        Outcome::Lost | Outcome::Unknown => mark_for_recheck(tx, member),
        Outcome::Done | Outcome::Skipped | Outcome::Refused | Outcome::Failed => unsettle(tx, member),
    }
}
