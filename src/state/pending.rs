//! Addresses that every cycle looks at on both sides until they are settled.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::model::EmailAddress;
use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, moment, number, stamp};

/// An address to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The address, in lower case.
    pub address: EmailAddress,
    /// Who or what asked for it.
    pub reason: String,
    /// When it was last asked for.
    pub since: Timestamp,
}

impl State {
    /// Asks for addresses to be looked at.
    pub async fn add_pending(
        &self,
        addresses: Vec<EmailAddress>,
        reason: String,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(move |tx| addresses.iter().try_for_each(|address| add(tx, address, &reason, now))).await
    }

    /// Up to `limit` addresses to look at, after `after`, in the order of their letters.
    pub async fn pending(
        &self,
        after: Option<EmailAddress>,
        limit: usize,
    ) -> Result<Vec<Pending>, StateError> {
        self.call(move |connection| {
            let after = after.map_or_else(String::new, |address| address.key());
            let mut statement = connection.prepare_cached(
                "SELECT address, reason, since FROM pending WHERE address > ?1 ORDER BY address LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after, number(limit)])?;
            let mut pending = Vec::new();
            while let Some(row) = rows.next()? {
                pending.push(Pending {
                    address: address(&row.get::<_, String>(0)?)?,
                    reason: row.get(1)?,
                    since: moment(&row.get::<_, String>(2)?)?,
                });
            }
            Ok(pending)
        })
        .await
    }

    /// These addresses have been looked at; one that was asked for again meanwhile stays.
    pub async fn settle_pending(&self, looked_at: Vec<Pending>) -> Result<(), StateError> {
        self.write(move |tx| {
            let mut statement = tx.prepare_cached("DELETE FROM pending WHERE address = ?1 AND since = ?2")?;
            for pending in &looked_at {
                statement.execute(params![pending.address.key(), stamp(pending.since)])?;
            }
            Ok(())
        })
        .await
    }
}

/// Asks for an address to be looked at.
pub(crate) fn add(
    tx: &Transaction<'_>,
    address: &EmailAddress,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO pending (address, reason, since) VALUES (?1, ?2, ?3)
         ON CONFLICT (address) DO UPDATE SET reason = excluded.reason, since = excluded.since",
    )?
    .execute(params![address.key(), reason, stamp(now)])?;
    Ok(())
}
