//! What a full walk has seen, and so what it has not.

use rusqlite::Transaction;

use crate::model::{ContactId, MemberId, RegistrationId};
use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{count, number};

/// Which side is walked in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walk {
    /// The registration store.
    Local,
    /// The Mailchimp audience.
    Remote,
}

/// Contacts that no page showed, but for those that a person has yet to decide on.
const UNSEEN_CONTACTS: &str = "contact IS NOT NULL AND id NOT IN (SELECT member FROM temp.seen_contacts)";

impl State {
    /// Forgets what an earlier walk has seen of this side.
    ///
    /// What is put from now on, however it was read or written, counts as seen. A restart forgets a walk.
    pub async fn begin_walk(&self, walk: Walk) -> Result<(), StateError> {
        self.write(move |tx| {
            match walk {
                Walk::Local => tx.prepare_cached("DELETE FROM temp.seen_rows")?.execute([])?,
                Walk::Remote => tx.prepare_cached("DELETE FROM temp.seen_contacts")?.execute([])?,
            };
            Ok(())
        })
        .await
    }

    /// Members whose contact the walk did not show, in key order, but for those in a hold: to be read by themselves.
    pub async fn unseen_contacts(
        &self,
        after: Option<MemberId>,
        limit: usize,
    ) -> Result<Vec<(MemberId, ContactId)>, StateError> {
        self.call(move |connection| {
            let sql = format!(
                "SELECT id, contact_id FROM members WHERE {UNSEEN_CONTACTS} AND id > ?1
                   AND NOT EXISTS (SELECT 1 FROM held_operations AS o JOIN holds AS h ON h.id = o.hold
                     WHERE o.fingerprint = 'missing:' || contact_id AND h.decision IN ('open', 'rejected'))
                 ORDER BY id LIMIT ?2"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let rows = statement
                .query_map((after.map_or(0, |member| member.0), number(limit)), |row| {
                    Ok((MemberId(row.get(0)?), ContactId::new(row.get::<_, String>(1)?)))
                })?
                .collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    /// These contacts are there, whatever they show by now.
    pub async fn see_contacts(&self, ids: Vec<ContactId>) -> Result<(), StateError> {
        self.write(move |tx| {
            let mut statement = tx.prepare_cached(
                "INSERT OR IGNORE INTO temp.seen_contacts (member) SELECT id FROM members WHERE contact_id = ?1",
            )?;
            for id in &ids {
                statement.execute([id.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// How many contacts the walk did not show, without those that a person approved to be looked into.
    pub async fn count_unseen_contacts(&self) -> Result<u64, StateError> {
        self.call(|connection| {
            let sql = format!(
                "SELECT COUNT(*) FROM members WHERE {UNSEEN_CONTACTS}
                   AND NOT EXISTS (SELECT 1 FROM held_operations AS o JOIN holds AS h ON h.id = o.hold
                     WHERE o.fingerprint = 'missing:' || contact_id AND h.decision = 'approved')"
            );
            Ok(connection.prepare_cached(&sql)?.query_row([], count)?)
        })
        .await
    }

    /// Rows that the walk did not show, in the order in which they were first put.
    ///
    /// `after` is the last one of the page before; where that has been removed by now, from the beginning.
    pub async fn unseen_registrations(
        &self,
        after: Option<RegistrationId>,
        limit: usize,
    ) -> Result<Vec<RegistrationId>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id FROM registrations
                 WHERE seq > IFNULL((SELECT seq FROM registrations WHERE id = ?1), 0)
                   AND seq NOT IN (SELECT seq FROM temp.seen_rows)
                 ORDER BY seq LIMIT ?2",
            )?;
            let after = after.as_ref().map(RegistrationId::as_str);
            let rows = statement
                .query_map((after, number(limit)), |row| Ok(RegistrationId::new(row.get::<_, String>(0)?)))?
                .collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    /// These rows are there, whatever they say by now.
    pub async fn see_registrations(&self, ids: Vec<RegistrationId>) -> Result<(), StateError> {
        self.write(move |tx| {
            let mut statement = tx.prepare_cached(
                "INSERT OR IGNORE INTO temp.seen_rows (seq) SELECT seq FROM registrations WHERE id = ?1",
            )?;
            for id in &ids {
                statement.execute([id.as_str()])?;
            }
            Ok(())
        })
        .await
    }

    /// How many rows the walk did not show.
    pub async fn count_unseen_registrations(&self) -> Result<u64, StateError> {
        self.call(|connection| {
            let sql = "SELECT COUNT(*) FROM registrations WHERE seq NOT IN (SELECT seq FROM temp.seen_rows)";
            Ok(connection.prepare_cached(sql)?.query_row([], count)?)
        })
        .await
    }
}

/// The member's contact has been seen.
pub(crate) fn mark_contact(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    tx.prepare_cached("INSERT OR IGNORE INTO temp.seen_contacts (member) VALUES (?1)")?
        .execute([member.0])?;
    Ok(())
}

/// The row has been seen.
pub(crate) fn mark_row(tx: &Transaction<'_>, seq: i64) -> Result<(), Fault> {
    tx.prepare_cached("INSERT OR IGNORE INTO temp.seen_rows (seq) VALUES (?1)")?.execute([seq])?;
    Ok(())
}
