//! The base of a member, and the tombstone of one who is gone.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::{EmailAddress, MemberId, SubscriberHash};
use crate::reconcile::plan::Tombstone;
use crate::reconcile::trio::Base;
use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{json, moment, stamp};

impl State {
    /// The tombstone of this address.
    pub async fn tombstone(&self, hash: SubscriberHash) -> Result<Option<Tombstone>, StateError> {
        self.call(move |connection| lookup(connection, &hash)).await
    }
}

/// Stores the base of a member; whoever has one is not gone.
pub(crate) fn store(tx: &Transaction<'_>, member: MemberId, base: Option<&Base>) -> Result<(), Fault> {
    let text = base.map(json).transpose()?;
    let address = base.and_then(address_of);
    let changed = tx
        .prepare_cached("UPDATE members SET base = ?2, base_address = ?3 WHERE id = ?1 AND base IS NOT ?2")?
        .execute(params![member.0, text, address.map(EmailAddress::key)])?;
    if let Some(address) = address.filter(|_| changed > 0) {
        tx.prepare_cached("DELETE FROM tombstones WHERE hash = ?1")?.execute([address.hash().as_str()])?;
    }
    Ok(())
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

/// The address to find a base by: that of the contact, else that of the last row.
fn address_of(base: &Base) -> Option<&EmailAddress> {
    base.contact.as_ref().map(|(_, address)| address).or_else(|| base.rows.values().next_back())
}
