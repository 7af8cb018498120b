//! Events as they were received: noted for staff, never merged.

use jiff::Timestamp;
use rusqlite::params;

use crate::model::EmailAddress;
use crate::state::error::StateError;
use crate::state::text::{digest, moment, stamp};
use crate::state::{State, pending};

/// An event as it was received.
#[derive(Clone, Debug)]
pub struct ReceivedEvent {
    /// Where it came in: `webhook`, `api`, `spool`.
    pub source: &'static str,
    /// Its kind in the sender's word: `unsubscribe`, `profile` …
    pub kind: String,
    /// The addresses that it names: to be looked at.
    pub addresses: Vec<EmailAddress>,
    /// The whole body.
    pub body: String,
}

/// The latest event, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastEvent {
    /// When it was received.
    pub received_at: Timestamp,
    /// Where it came in.
    pub source: String,
    /// Its kind.
    pub kind: String,
}

impl State {
    /// Keeps an event and has its addresses looked at; both are in the file when this returns.
    ///
    /// One that is delivered again is kept once, and its addresses are looked at again.
    pub async fn note_event(&self, event: ReceivedEvent, now: Timestamp) -> Result<(), StateError> {
        self.write(move |tx| {
            // Named by the first address: erasure finds an event by any, through the address in its body.
            let hash = event.addresses.first().map(|address| address.hash().as_str().to_owned());
            tx.prepare_cached(
                "INSERT INTO events (received_at, source, kind, hash, body, digest)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)
                 ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at",
            )?
            .execute(params![
                stamp(now),
                event.source,
                event.kind,
                hash,
                event.body,
                digest([event.kind.as_str(), event.body.as_str()])
            ])?;
            event.addresses.iter().try_for_each(|address| pending::add(tx, address, "event", now))
        })
        .await
    }

    /// The latest event; `None` where none was received, or it was trimmed.
    pub async fn last_event(&self) -> Result<Option<LastEvent>, StateError> {
        self.call(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT received_at, source, kind FROM events ORDER BY received_at DESC, id DESC LIMIT 1",
            )?;
            let mut rows = statement.query([])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(LastEvent {
                received_at: moment(&row.get::<_, String>(0)?)?,
                source: row.get(1)?,
                kind: row.get(2)?,
            }))
        })
        .await
    }
}
