//! The mirror of the local side.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{MemberId, Registration, RegistrationId, UnusableRegistration};
use crate::state::error::{Fault, StateError};
use crate::state::joining::{PutCounts, drop_if_empty, for_row, member_for, unsettle, unsettle_and_unpark};
use crate::state::text::{from_json, json, mark};
use crate::state::{State, base, settings, unusable, walk};

/// The setting that tells that rows were removed and something may still refer to them.
const ROWS_REMOVED: &str = "rows_removed";

/// A row as the mirror holds it.
struct Known {
    seq: i64,
    member: Option<MemberId>,
    address: Option<String>,
}

/// How a row differs from what the mirror holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Difference {
    /// Only in Rosterd's own columns and in the time of the last change, which writing them may move.
    Ours,
    /// In what somebody else says.
    Theirs,
}

impl State {
    /// Puts rows into the mirror, each with the member it belongs to; one transaction.
    ///
    /// A row stays with its member; a new one is joined by its address. As long as the member has no base, a
    /// row whose address changes goes where a new one would go. A row that has become unusable keeps what it
    /// last said.
    pub async fn put_readings(
        &self,
        usable: Vec<Registration>,
        unusable: Vec<UnusableRegistration>,
    ) -> Result<PutCounts, StateError> {
        if usable.is_empty() && unusable.is_empty() {
            return Ok(PutCounts::default());
        }
        self.write(move |tx| {
            let mut counts = PutCounts::default();
            for row in &usable {
                put(tx, row, &mut counts)?;
            }
            for row in &unusable {
                unusable::put(tx, row, &mut counts)?;
            }
            Ok(counts)
        })
        .await
    }

    /// Takes rows out of the mirror that are no longer in the register.
    pub async fn remove_registrations(&self, ids: Vec<RegistrationId>) -> Result<u64, StateError> {
        if ids.is_empty() {
            return Ok(0);
        }
        self.write(move |tx| {
            let mut removed = 0;
            for id in &ids {
                removed += u64::from(remove(tx, id)?);
            }
            Ok(removed)
        })
        .await
    }

    /// Whether rows were removed since [`State::removed_rows_are_dealt_with`].
    pub async fn rows_were_removed(&self) -> Result<bool, StateError> {
        self.call(|connection| Ok(settings::get(connection, ROWS_REMOVED)?.is_some())).await
    }

    /// What depended on rows that were removed has been cleared up.
    pub async fn removed_rows_are_dealt_with(&self) -> Result<(), StateError> {
        self.write(|tx| settings::unset(tx, ROWS_REMOVED)).await
    }

    /// The member that this row belongs to; `None` where it is unknown or never was usable.
    pub async fn member_of_registration(&self, row: RegistrationId) -> Result<Option<MemberId>, StateError> {
        self.call(move |connection| {
            let found: Option<Option<i64>> = connection
                .prepare_cached("SELECT member FROM registrations WHERE id = ?1")?
                .query_row([row.as_str()], |row| row.get(0))
                .optional()?;
            Ok(found.flatten().map(MemberId))
        })
        .await
    }
}

fn put(tx: &Transaction<'_>, row: &Registration, counts: &mut PutCounts) -> Result<(), Fault> {
    let payload = json(row)?;
    if let Some(seq) = unchanged(tx, &row.id, &payload)? {
        counts.unchanged += 1;
        return walk::mark_row(tx, seq);
    }
    let Some(known) = known(tx, &row.id)? else {
        counts.new += 1;
        let address = row.email.key();
        let member = member_for(tx, &address, None)?;
        insert(tx, row, member, &payload)?;
        return unsettle_and_unpark(tx, member);
    };
    walk::mark_row(tx, known.seq)?;
    counts.changed += 1;
    let difference = difference(tx, known.seq, row)?;
    let member = home(tx, &known, &row.email.key())?;
    store(tx, known.seq, row, member, &payload)?;
    match difference {
        Difference::Ours => unsettle(tx, member)?,
        Difference::Theirs => unsettle_and_unpark(tx, member)?,
    }
    match known.member {
        Some(former) if former != member => leave(tx, former),
        _ => Ok(()),
    }
}

/// Stores rows as our own write left them; parking is left as it is. Unknown ones become the member's, and what could not
/// be synchronized still cannot: a write may have left a note or an opt-out there.
pub(crate) fn show(tx: &Transaction<'_>, member: MemberId, row: &Registration) -> Result<(), Fault> {
    let payload = json(row)?;
    match known(tx, &row.id)? {
        None => insert(tx, row, member, &payload),
        Some(known) => {
            walk::mark_row(tx, known.seq)?;
            tx.prepare_cached(
                "UPDATE registrations SET member = ?2, address = ?3, payload = ?4, mark = IIF(problem IS NULL, ?5, NULL)
                 WHERE seq = ?1",
            )?
            .execute(params![
                known.seq,
                known.member.unwrap_or(member).0,
                row.email.key(),
                payload,
                mark(&payload)
            ])?;
            Ok(())
        }
    }
}

/// Takes a row out; says whether it was there.
pub(crate) fn remove(tx: &Transaction<'_>, id: &RegistrationId) -> Result<bool, Fault> {
    let member: Option<Option<i64>> = tx
        .prepare_cached("DELETE FROM registrations WHERE id = ?1 RETURNING member")?
        .query_row([id.as_str()], |row| row.get(0))
        .optional()?;
    if let Some(Some(member)) = member {
        leave(tx, MemberId(member))?;
    }
    if member.is_some() {
        settings::set(tx, ROWS_REMOVED, "1")?;
    }
    Ok(member.is_some())
}

/// The number of a row that says what it said; answered from an index, since most rows do.
fn unchanged(tx: &Transaction<'_>, id: &RegistrationId, payload: &str) -> Result<Option<i64>, Fault> {
    let found = tx
        .prepare_cached(
            "SELECT seq FROM registrations INDEXED BY registrations_mark WHERE id = ?1 AND mark = ?2",
        )?
        .query_row(params![id.as_str(), mark(payload)], |row| row.get(0));
    Ok(found.optional()?)
}

fn known(tx: &Transaction<'_>, id: &RegistrationId) -> Result<Option<Known>, Fault> {
    let sql = "SELECT seq, member, address FROM registrations WHERE id = ?1";
    let found = tx.prepare_cached(sql)?.query_row([id.as_str()], |row| {
        Ok(Known {
            seq: row.get(0)?,
            member: row.get::<_, Option<i64>>(1)?.map(MemberId),
            address: row.get(2)?,
        })
    });
    Ok(found.optional()?)
}

/// What differs, read slowly: only rows that differ at all come here.
fn difference(tx: &Transaction<'_>, seq: i64, row: &Registration) -> Result<Difference, Fault> {
    let (payload, problem): (Option<String>, bool) = tx
        .prepare_cached("SELECT payload, problem IS NOT NULL FROM registrations WHERE seq = ?1")?
        .query_row([seq], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(payload) = payload.filter(|_| !problem) else { return Ok(Difference::Theirs) };
    let stored: Registration = from_json(&payload)?;
    // Compared as text: the spelling of an address is a difference, though the addresses are equal.
    let same = json(&without_ours(stored))? == json(&without_ours(row.clone()))?;
    Ok(if same { Difference::Ours } else { Difference::Theirs })
}

/// The row without what Rosterd's own writes change.
fn without_ours(row: Registration) -> Registration {
    Registration { preferences_url: None, sync_note: None, working_groups: None, updated_at: None, ..row }
}

/// The member that a known row belongs to, now that it bears this address.
fn home(tx: &Transaction<'_>, known: &Known, address: &str) -> Result<MemberId, Fault> {
    let Some(member) = known.member else { return member_for(tx, address, None) };
    if known.address.as_deref() == Some(address) {
        return Ok(member);
    }
    if base::links(tx, member)? {
        return Ok(member);
    }
    Ok(for_row(tx, address, Some(member))?.unwrap_or(member))
}

fn insert(tx: &Transaction<'_>, row: &Registration, member: MemberId, payload: &str) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO registrations (id, member, address, payload, mark) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![row.id.as_str(), member.0, row.email.key(), payload, mark(payload)])?;
    walk::mark_row(tx, tx.last_insert_rowid())
}

fn store(
    tx: &Transaction<'_>,
    seq: i64,
    row: &Registration,
    member: MemberId,
    payload: &str,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE registrations SET member = ?2, address = ?3, payload = ?4, mark = ?5, problem = NULL, noted = NULL
         WHERE seq = ?1",
    )?
    .execute(params![seq, member.0, row.email.key(), payload, mark(payload)])?;
    Ok(())
}

/// The member has lost a row.
fn leave(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    if !drop_if_empty(tx, member)? {
        unsettle_and_unpark(tx, member)?;
    }
    Ok(())
}
