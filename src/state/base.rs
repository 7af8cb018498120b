//! The base of a member, and the tombstone of one who is gone.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{EmailAddress, Key, MemberId, SubscriberHash};
use crate::reconcile::plan::Tombstone;
use crate::reconcile::trio::Base;
use crate::state::error::{Fault, StateError};
use crate::state::text::{from_json, from_json_or_none, json, moment, stamp};
use crate::state::{EntryId, State};

/// How many members are gone through in one transaction, so that nobody waits long.
const FORGOTTEN_AT_ONCE: i64 = 1_000;

impl State {
    /// The tombstone of this address.
    pub async fn tombstone(&self, hash: SubscriberHash) -> Result<Option<Tombstone>, StateError> {
        self.call(move |connection| lookup(connection, &hash)).await
    }

    /// Notes what is known of the member before something is tried whose answer may never be heard.
    pub async fn note_base(&self, member: MemberId, base: Option<Base>) -> Result<(), StateError> {
        self.write(move |tx| store(tx, member, base.as_ref())).await
    }
}

impl State {
    /// Forgets what both sides showed of these values: they stand for something else by now, and are adopted anew.
    pub async fn forget_values(&self, keys: BTreeSet<Key>) -> Result<(), StateError> {
        let mut after = 0;
        while !keys.is_empty() {
            let keys = keys.clone();
            let Some(last) = self.write(move |tx| forget_page(tx, &keys, after)).await? else { break };
            after = last;
        }
        Ok(())
    }
}

/// Forgets the values of one page of members; says where it ended.
fn forget_page(tx: &Transaction<'_>, keys: &BTreeSet<Key>, after: i64) -> Result<Option<i64>, Fault> {
    let page: Vec<(i64, String)> = tx
        .prepare_cached(
            "SELECT id, base FROM members WHERE id > ?1 AND base IS NOT NULL ORDER BY id LIMIT ?2",
        )?
        .query_map(params![after, FORGOTTEN_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (member, text) in &page {
        let mut base: Base = from_json(text)?;
        base.forget(keys);
        store(tx, MemberId(*member), Some(&base))?;
        tx.prepare_cached("UPDATE members SET settled = 0 WHERE id = ?1")?.execute([member])?;
    }
    Ok(page.last().map(|(member, _)| *member))
}

/// Stores the base of a member; where anything was agreed on they are not gone.
pub(crate) fn store(tx: &Transaction<'_>, member: MemberId, base: Option<&Base>) -> Result<(), Fault> {
    let text = base.map(json).transpose()?;
    let address = base.and_then(address_of);
    let changed = tx
        .prepare_cached("UPDATE members SET base = ?2, base_address = ?3 WHERE id = ?1 AND base IS NOT ?2")?
        .execute(params![member.0, text, address.map(EmailAddress::key)])?;
    let agrees = base.is_some_and(|base| !base.is_first_meeting());
    if let Some(address) = address.filter(|_| agrees && changed > 0) {
        tx.prepare_cached("DELETE FROM tombstones WHERE hash = ?1")?.execute([address.hash().as_str()])?;
    }
    Ok(())
}

/// Whether the base of a member names a row or a contact; what nobody heard of alone binds nobody.
pub(crate) fn links(tx: &Transaction<'_>, member: MemberId) -> Result<bool, Fault> {
    let base = tx
        .prepare_cached("SELECT base FROM members WHERE id = ?1")?
        .query_row([member.0], |row| row.get::<_, Option<String>>(0))?;
    let base: Option<Base> = from_json_or_none(base)?;
    Ok(base.is_some_and(|base| !base.rows.is_empty() || base.contact.is_some()))
}

/// Notes beside the base that nobody knows what came of the operation of this entry. Where nothing was agreed on yet, that
/// is all that the base knows.
pub(crate) fn note_unheard(tx: &Transaction<'_>, entry: EntryId) -> Result<(), Fault> {
    let found: Option<(i64, Option<String>, String, String)> = tx
        .prepare_cached(
            "SELECT m.id, m.base, o.operation, o.begun_at FROM operations AS o JOIN members AS m ON m.id = o.member
             WHERE o.id = ?1 AND (m.base IS NOT NULL OR o.kind = 'remote_create')",
        )?
        .query_row([entry.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((member, base, operation, begun_at)) = found else { return Ok(()) };
    let base: Base = from_json_or_none(base)?.unwrap_or_default();
    let base = base.without_hearing_of(&from_json(&operation)?, moment(&begun_at)?);
    store(tx, MemberId(member), Some(&base))
}

/// Lays a tombstone; one that says that the person had left keeps saying so.
pub(crate) fn lay(tx: &Transaction<'_>, hash: &SubscriberHash, tombstone: &Tombstone) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO tombstones (hash, at, opted_out) VALUES (?1, ?2, ?3)
         ON CONFLICT (hash) DO UPDATE SET at = excluded.at, opted_out = max(opted_out, excluded.opted_out)",
    )?
    .execute(params![hash.as_str(), stamp(tombstone.at), tombstone.opted_out])?;
    Ok(())
}

/// The tombstone of this address.
pub(crate) fn lookup(
    connection: &rusqlite::Connection,
    hash: &SubscriberHash,
) -> Result<Option<Tombstone>, Fault> {
    let found: Option<(String, bool)> = connection
        .prepare_cached("SELECT at, opted_out FROM tombstones WHERE hash = ?1")?
        .query_row([hash.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found.map(|(at, opted_out)| Ok(Tombstone { at: moment(&at)?, opted_out })).transpose()
}

/// The address to find a base by: that of the contact, else that of the last row, else that of a contact that was to be
/// created.
fn address_of(base: &Base) -> Option<&EmailAddress> {
    let linked = base.contact.as_ref().map(|(_, address)| address).or_else(|| base.rows.values().next_back());
    let created = || base.unheard.iter().rev().find_map(|write| write.creation.as_ref());
    linked.or_else(|| created().map(|creation| &creation.email))
}
