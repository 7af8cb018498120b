//! Events as they were received: noted for staff, never merged.

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::model::{EmailAddress, names_any};
use crate::state::error::{Fault, StateError};
use crate::state::text::{digest, moment, stamp};
use crate::state::{State, pending};

/// An event as it was received.
#[derive(Clone, Debug)]
pub struct ReceivedEvent {
    /// Where it came in: `webhook`, `api`, `spool`.
    pub source: &'static str,
    /// When it came in.
    pub received_at: Timestamp,
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

/// People who were seen to have left in Mailchimp.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptOutsSeen {
    /// All of them.
    pub all: u64,
    /// Those whom no event had named.
    pub unannounced: u64,
}

/// An event, for whoever looks at a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberEvent {
    /// When it was last received.
    pub received_at: Timestamp,
    /// Where it came in.
    pub source: String,
    /// Its kind.
    pub kind: String,
}

impl State {
    /// Keeps events and has their addresses looked at; all of it is in the file when this returns.
    ///
    /// One that is delivered again is kept once, and its addresses are looked at again.
    pub async fn note_events(&self, events: Vec<ReceivedEvent>, now: Timestamp) -> Result<(), StateError> {
        self.write(move |tx| events.iter().try_for_each(|event| note(tx, event, now))).await
    }

    /// The latest events that name one of these addresses, at most `limit` of them.
    pub async fn events_about(
        &self,
        addresses: Vec<EmailAddress>,
        limit: usize,
    ) -> Result<Vec<MemberEvent>, StateError> {
        self.call(move |connection| {
            let keys: Vec<String> = addresses.iter().map(EmailAddress::key).collect();
            let mut events = connection.prepare_cached(
                "SELECT received_at, source, kind, body FROM events ORDER BY received_at DESC, id DESC",
            )?;
            let (mut rows, mut found) = (events.query([])?, Vec::new());
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                if names_any(row.get_ref(3)?.as_bytes().map_err(rusqlite::Error::from)?, &keys) {
                    found.push(MemberEvent {
                        received_at: moment(&row.get::<_, String>(0)?)?,
                        source: row.get(1)?,
                        kind: row.get(2)?,
                    });
                }
            }
            Ok(found)
        })
        .await
    }

    /// How many people were seen to have left in Mailchimp between two times, and whom of them no event had named.
    ///
    /// One named within two hours before is announced, and one named at any time afterwards: Mailchimp tries a call again
    /// for 75 minutes.
    pub async fn opt_outs_seen(&self, since: Timestamp, until: Timestamp) -> Result<OptOutsSeen, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT COUNT(*), COUNT(*) FILTER (WHERE NOT EXISTS (
                    SELECT 1 FROM events AS e WHERE e.hash = o.hash
                    AND e.received_at >= strftime('%Y-%m-%dT%H:%M:%fZ', o.begun_at, '-2 hours')))
                 FROM operations AS o
                 WHERE o.begun_at BETWEEN ?1 AND ?2 AND o.kind = 'local_status' AND o.class = 'free'
                   AND o.decided_by = 'rule' AND o.outcome = 'done'
                   AND json_extract(o.operation, '$.status') = 'unsubscribed'",
            )?;
            let seen = statement.query_row([stamp(since), stamp(until)], |row| {
                Ok(OptOutsSeen {
                    all: row.get::<_, i64>(0)?.unsigned_abs(),
                    unannounced: row.get::<_, i64>(1)?.unsigned_abs(),
                })
            })?;
            Ok(seen)
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

fn note(tx: &Transaction<'_>, event: &ReceivedEvent, now: Timestamp) -> Result<(), Fault> {
    // Named by the first address: whoever looks for another finds it in the body.
    let hash = event.addresses.first().map(|address| address.hash().as_str().to_owned());
    tx.prepare_cached(
        "INSERT INTO events (received_at, source, kind, hash, body, digest)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)
         ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at",
    )?
    .execute(params![
        stamp(event.received_at),
        event.source,
        event.kind,
        hash,
        event.body,
        digest([event.kind.as_str(), event.body.as_str()])
    ])?;
    event.addresses.iter().try_for_each(|address| pending::add(tx, address, pending::EVENT, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample::{email, later, open};

    #[tokio::test]
    async fn a_member_is_shown_what_named_any_of_their_addresses_the_latest_first() {
        let (_directory, state) = open().await;
        let event = |second, kind: &str, addresses: &[&str], body: &str| ReceivedEvent {
            source: "webhook",
            received_at: later(second),
            kind: kind.to_owned(),
            addresses: addresses.iter().map(|name| email(name)).collect(),
            body: body.to_owned(),
        };
        let upemail = "data[new_email]=new%40Alliance.test&data[old_email]=Old%40alliance.test";
        let events = vec![
            event(1, "subscribe", &["old"], "data[email]=old%40alliance.test"),
            event(3, "upemail", &["new", "old"], upemail),
            event(2, "profile", &["another"], r#"{"data":{"email":"another@alliance.test"}}"#),
        ];
        state.note_events(events, later(4)).await.unwrap();
        let about = async |names: &[&str], limit| -> Vec<String> {
            let addresses = names.iter().map(|name| email(name)).collect();
            let events = state.events_about(addresses, limit).await.unwrap();
            events.into_iter().map(|event| event.kind).collect()
        };
        assert_eq!(about(&["old"], 10).await, ["upemail", "subscribe"]);
        assert_eq!(about(&["new"], 10).await, ["upemail"]);
        assert_eq!(about(&["new", "old", "another"], 10).await, ["upemail", "profile", "subscribe"]);
        assert_eq!(about(&["new", "old"], 1).await, ["upemail"]);
        assert_eq!(about(&["nobody"], 10).await, [""; 0]);
        assert_eq!(state.last_event().await.unwrap().map(|event| event.received_at), Some(later(3)));
    }
}
