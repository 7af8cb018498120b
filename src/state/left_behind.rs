//! Contacts that stay behind at an address that their member leaves.
//!
//! Rosterd unsubscribes such a contact, and must not take that for the person's opt-out when it sees it again: not even
//! where it never heard the answer. So the leave-taking is noted before it is tried, with the base that follows from it.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{ContactId, MemberId, SubscriptionStatus};
use crate::reconcile::trio::Base;
use crate::state::error::{Fault, StateError};
use crate::state::text::{from_json, json};
use crate::state::{Seen, State, base};

impl State {
    /// Notes that the member's contact is about to be unsubscribed because it stays behind, and the base after it.
    pub async fn note_leave_taking(
        &self,
        member: MemberId,
        contact: ContactId,
        base: Base,
    ) -> Result<(), StateError> {
        self.write(move |tx| {
            tx.prepare_cached(
                "INSERT OR REPLACE INTO left_behind (contact_id, member, base) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![contact.as_str(), member.0, json(&base)?])?;
            Ok(())
        })
        .await
    }

    /// The contact was not unsubscribed after all, and is the member's as before.
    pub async fn forget_leave_taking(&self, contact: ContactId) -> Result<(), StateError> {
        self.write(move |tx| forget(tx, contact.as_str())).await
    }
}

/// The answer showed the member's contact unsubscribed: it is unlinked.
pub(crate) fn leave(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE left_behind SET base = NULL WHERE member = ?1")?.execute([member.0])?;
    unlink(tx, member)
}

/// Looks at a contact that shows again while nobody knows what came of its member's leave-taking: unsubscribed it stays
/// behind; read by itself and in any other state, nothing came of it.
pub(crate) fn recognize(
    tx: &Transaction<'_>,
    contact: &str,
    status: SubscriptionStatus,
    seen: Seen,
) -> Result<(), Fault> {
    let noted: Option<(i64, String)> = tx
        .prepare_cached("SELECT member, base FROM left_behind WHERE contact_id = ?1 AND base IS NOT NULL")?
        .query_row([contact], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((member, text)) = noted else { return Ok(()) };
    match (status, seen) {
        (SubscriptionStatus::Unsubscribed, _) => {
            let member = MemberId(member);
            base::store(tx, member, Some(&from_json(&text)?))?;
            if seen == Seen::Single {
                tx.prepare_cached("UPDATE members SET recheck = 0 WHERE id = ?1")?.execute([member.0])?;
            }
            leave(tx, member)
        }
        (_, Seen::Single) => forget(tx, contact),
        (_, Seen::Walk) => Ok(()),
    }
}

fn forget(tx: &Transaction<'_>, contact: &str) -> Result<(), Fault> {
    tx.prepare_cached("DELETE FROM left_behind WHERE contact_id = ?1 AND base IS NOT NULL")?
        .execute([contact])?;
    Ok(())
}

/// Takes the contact from the member; even its key is forgotten, by which it would come back.
fn unlink(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE members SET contact_id = NULL, contact = NULL, contact_mark = NULL, contact_address = NULL,
            archived = 0, settled = 0
         WHERE id = ?1",
    )?
    .execute([member.0])?;
    Ok(())
}
