//! The mirror of the remote side.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{Contact, ContactId, MemberId, SubscriptionStatus};
use crate::state::error::{Fault, StateError};
use crate::state::joining::{
    PutCounts, created_unheard, drop_if_empty, lacking_contact, mark_for_recheck, new_member,
    unsettle_and_unpark,
};
use crate::state::text::{from_json, json, mark};
use crate::state::{State, left_behind, walk};

/// How a contact was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// On a page of a walk, which may be older than our last write.
    Walk,
    /// By itself, just now: whoever was to be read by themselves has been.
    Single,
}

/// A contact as it stands in the file.
pub(crate) struct ContactText {
    id: String,
    path_id: String,
    address: String,
    status: SubscriptionStatus,
    payload: String,
    mark: i64,
}

impl ContactText {
    /// The columns of `contact`.
    pub(crate) fn of(contact: &Contact) -> Result<Self, Fault> {
        let payload = json(contact)?;
        Ok(Self {
            id: contact.contact_id.as_str().to_owned(),
            path_id: contact.path_id.clone(),
            address: contact.email.key(),
            status: contact.status,
            mark: mark(&payload),
            payload,
        })
    }
}

impl State {
    /// Puts contacts into the mirror, each with the member it belongs to; one transaction.
    ///
    /// A contact is joined by its key, else by its address to a member that has none. A member that holds another
    /// contact of the same address is to be read by itself.
    pub async fn put_contacts(&self, contacts: Vec<Contact>, seen: Seen) -> Result<PutCounts, StateError> {
        if contacts.is_empty() {
            return Ok(PutCounts::default());
        }
        self.write(move |tx| {
            let mut counts = PutCounts::default();
            for contact in &contacts {
                put(tx, &ContactText::of(contact)?, seen, &mut counts)?;
            }
            Ok(counts)
        })
        .await
    }

    /// Notes that an answer proved the member's contact gone, or that there still is none.
    ///
    /// A contact of the same address that stands alone is taken for its successor and moves to the member.
    pub async fn forget_contact(&self, member: MemberId) -> Result<(), StateError> {
        self.write(move |tx| forget(tx, member)).await
    }

    /// Whether the mirror holds this very contact, to the letter.
    pub async fn knows_contact(&self, contact: Contact) -> Result<bool, StateError> {
        self.call(move |connection| {
            let text = ContactText::of(&contact)?;
            let known: Option<bool> = connection
                .prepare_cached("SELECT contact IS ?2 FROM members WHERE contact_id = ?1")?
                .query_row(params![text.id, text.payload], |row| row.get(0))
                .optional()?;
            Ok(known.unwrap_or(false))
        })
        .await
    }

    /// The member that this contact belongs to.
    pub async fn member_of_contact(&self, contact: ContactId) -> Result<Option<MemberId>, StateError> {
        self.call(move |connection| {
            let found = connection
                .prepare_cached("SELECT id FROM members WHERE contact_id = ?1")?
                .query_row([contact.as_str()], |row| row.get(0))
                .optional()?;
            Ok(found.map(MemberId))
        })
        .await
    }
}

fn put(tx: &Transaction<'_>, contact: &ContactText, seen: Seen, counts: &mut PutCounts) -> Result<(), Fault> {
    left_behind::recognize(tx, &contact.id, contact.status, seen)?;
    let known: Option<(i64, bool, bool)> = tx
        .prepare_cached(
            "SELECT id, contact_mark IS ?2, recheck FROM members INDEXED BY members_contact_mark
             WHERE contact_id = ?1",
        )?
        .query_row(params![contact.id, contact.mark], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let member = match known {
        Some((member, true, _)) => {
            counts.unchanged += 1;
            MemberId(member)
        }
        Some((member, false, _)) => {
            counts.changed += 1;
            attach(tx, MemberId(member), contact)?;
            unsettle_and_unpark(tx, MemberId(member))?;
            MemberId(member)
        }
        None => {
            counts.new += 1;
            let member = match known_by_path(tx, contact)? {
                Some(member) => member,
                None => match awaiting(tx, &contact.address, &contact.id)? {
                    Some(member) => member,
                    None => new_member(tx)?,
                },
            };
            attach(tx, member, contact)?;
            unsettle_and_unpark(tx, member)?;
            member
        }
    };
    if seen == Seen::Single && known.is_none_or(|(_, _, recheck)| recheck) {
        tx.prepare_cached("UPDATE members SET recheck = 0 WHERE id = ?1")?.execute([member.0])?;
    }
    walk::mark_contact(tx, member)
}

/// The member that a contact of this address belongs to: one that has none, else one that is out at its old address and
/// whose creation at this one was never heard of.
fn awaiting(tx: &Transaction<'_>, address: &str, contact: &str) -> Result<Option<MemberId>, Fault> {
    match lacking_contact(tx, address, contact)? {
        Some(member) => Ok(Some(member)),
        None => created_unheard(tx, address),
    }
}

/// The member whose contact was created in bulk: that answer names no `contact_id`, and the path's id stands for it
/// until a page shows both. <https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/>
fn known_by_path(tx: &Transaction<'_>, contact: &ContactText) -> Result<Option<MemberId>, Fault> {
    let member = tx
        .prepare_cached("SELECT id FROM members WHERE contact_id = ?1 AND contact_address = ?2")?
        .query_row(params![contact.path_id, contact.address], |row| row.get(0))
        .optional()?;
    Ok(member.map(MemberId))
}

/// Stores the contact as the member's; whoever else holds a contact of its address is to be read by itself.
fn attach(tx: &Transaction<'_>, member: MemberId, contact: &ContactText) -> Result<(), Fault> {
    let ContactText { id, path_id: _, address, status, payload, mark } = contact;
    let archived = *status == SubscriptionStatus::Archived;
    tx.prepare_cached(
        "UPDATE members SET contact_id = ?2, contact_address = ?3, archived = ?4, contact = ?5, contact_mark = ?6,
            created = NULL
         WHERE id = ?1",
    )?
    .execute(params![member.0, id, address, archived, payload, mark])?;
    let rivals: Vec<i64> = tx
        .prepare_cached(
            "SELECT id FROM members WHERE contact IS NOT NULL AND contact_address = ?1 AND id <> ?2",
        )?
        .query_map(params![address, member.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    rivals.into_iter().try_for_each(|rival| mark_for_recheck(tx, MemberId(rival)))
}

/// Stores what an answer to our own write showed of the member's contact; parking is left as it is.
///
/// Where another member holds the contact by now: one that consists of nothing else is folded in, of any other
/// both are to be read by themselves.
pub(crate) fn show(tx: &Transaction<'_>, member: MemberId, contact: &Contact) -> Result<(), Fault> {
    let text = ContactText::of(contact)?;
    let holder: Option<(i64, bool)> = tx
        .prepare_cached(
            "SELECT id, base IS NULL AND NOT EXISTS (SELECT 1 FROM registrations WHERE member = members.id)
             FROM members WHERE contact_id = ?1 AND id <> ?2",
        )?
        .query_row(params![text.id, member.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match holder {
        Some((other, true)) => remove_in_favour(tx, MemberId(other), member)?,
        Some((other, false)) => {
            mark_for_recheck(tx, MemberId(other))?;
            return mark_for_recheck(tx, member);
        }
        None => {}
    }
    attach(tx, member, &text)?;
    if text.id == text.path_id {
        tx.prepare_cached("UPDATE members SET created = contact WHERE id = ?1")?.execute([member.0])?;
    }
    walk::mark_contact(tx, member)
}

/// Notes that the member has no contact.
pub(crate) fn forget(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    let found: Option<(bool, Option<String>)> = tx
        .prepare_cached("SELECT contact IS NOT NULL, contact_address FROM members WHERE id = ?1")?
        .query_row([member.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((had, address)) = found else { return Ok(()) };
    tx.prepare_cached(
        "UPDATE members SET contact = NULL, contact_mark = NULL, contact_address = NULL, archived = 0, recheck = 0,
            settled = 0
         WHERE id = ?1",
    )?
    .execute([member.0])?;
    if had {
        unsettle_and_unpark(tx, member)?;
    }
    if drop_if_empty(tx, member)? { Ok(()) } else { fold_successor(tx, member, address.as_deref()) }
}

/// Moves a contact that stands alone under one of the member's addresses to the member.
fn fold_successor(tx: &Transaction<'_>, member: MemberId, address: Option<&str>) -> Result<(), Fault> {
    let successor: Option<(i64, String)> = tx
        .prepare_cached(
            "SELECT id, contact FROM members AS m
             WHERE contact IS NOT NULL AND base IS NULL AND id <> ?1
               AND contact_address IN (
                 SELECT ?2 UNION SELECT base_address FROM members WHERE id = ?1
                 UNION SELECT address FROM registrations WHERE member = ?1)
               AND NOT EXISTS (SELECT 1 FROM registrations WHERE member = m.id)
               AND NOT EXISTS (SELECT 1 FROM left_behind WHERE contact_id = m.contact_id AND member = ?1)
             ORDER BY contact_address IS NOT ?2, id LIMIT 1",
        )?
        .query_row(params![member.0, address], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((other, payload)) = successor else { return Ok(()) };
    succeed(tx, MemberId(other), &from_json(&payload)?, member)
}

/// Moves the contact of a member who consists of nothing else to the one whose it is.
pub(crate) fn succeed(
    tx: &Transaction<'_>,
    stranger: MemberId,
    contact: &Contact,
    member: MemberId,
) -> Result<(), Fault> {
    remove_in_favour(tx, stranger, member)?;
    attach(tx, member, &ContactText::of(contact)?)?;
    unsettle_and_unpark(tx, member)?;
    walk::mark_contact(tx, member)
}

/// Removes a member whose trail belongs to another.
fn remove_in_favour(tx: &Transaction<'_>, gone: MemberId, heir: MemberId) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE operations SET member = ?2 WHERE member = ?1")?.execute([gone.0, heir.0])?;
    tx.prepare_cached("DELETE FROM members WHERE id = ?1")?.execute([gone.0])?;
    Ok(())
}
