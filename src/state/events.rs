//! Events that were received: noted for staff, never merged. Of a body that is kept which staff can use and which is short,
//! and of events the latest: whoever may send them cannot fill the disk.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::model::EmailAddress;
use crate::state::error::{Fault, StateError};
use crate::state::text::{digest, from_json, json, moment, number, stamp};
use crate::state::{State, pending};

/// So many events are kept: those of weeks, where Mailchimp sends them, in some hundred MiB at the worst.
const MOST_KEPT: usize = 200_000;
/// So many addresses that only events name may wait to be looked at. Whoever changes in Mailchimp beyond them is found by
/// reading what changed, as without events.
const MOST_NAMED: usize = 100_000;

/// An event that was received.
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
    /// What else is worth keeping.
    pub details: BTreeMap<String, String>,
    /// The whole body: what tells it from every other event. It is not kept.
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
    /// The addresses that it names.
    pub addresses: Vec<String>,
    /// What else was kept of it.
    pub details: BTreeMap<String, String>,
}

impl State {
    /// Keeps events and has their addresses looked at; all of it is in the file when this returns. Says how many addresses are
    /// not looked at because too many wait.
    ///
    /// One that is delivered again is kept once, and its addresses are looked at again.
    pub async fn note_events(&self, events: Vec<ReceivedEvent>, now: Timestamp) -> Result<usize, StateError> {
        self.write(move |tx| note_all(tx, &events, now, (MOST_KEPT, MOST_NAMED))).await
    }

    /// The latest events that name one of these addresses, at most `limit` of them.
    pub async fn events_about(
        &self,
        addresses: Vec<EmailAddress>,
        limit: usize,
    ) -> Result<Vec<MemberEvent>, StateError> {
        self.call(move |connection| {
            let hashes: Vec<String> = addresses.iter().map(|address| address.hash().to_string()).collect();
            let mut events = connection.prepare_cached(
                "SELECT received_at, source, kind, addresses, details FROM events
                 WHERE id IN (SELECT event FROM event_addresses
                              WHERE hash IN (SELECT value FROM json_each(?1)))
                 ORDER BY received_at DESC, id DESC LIMIT ?2",
            )?;
            let (mut rows, mut found) = (events.query(params![json(&hashes)?, number(limit)])?, Vec::new());
            while let Some(row) = rows.next()? {
                found.push(MemberEvent {
                    received_at: moment(&row.get::<_, String>(0)?)?,
                    source: row.get(1)?,
                    kind: row.get(2)?,
                    addresses: from_json(&row.get::<_, String>(3)?)?,
                    details: from_json(&row.get::<_, String>(4)?)?,
                });
            }
            Ok(found)
        })
        .await
    }

    /// How many people were seen to have left in Mailchimp between two times, and whom of them no event had named.
    ///
    /// One named within two hours before is announced, and one named at any time afterwards: Mailchimp tries a call again
    /// for 75 minutes. Events that were trimmed before their time, because too many came, announce nobody.
    pub async fn opt_outs_seen(&self, since: Timestamp, until: Timestamp) -> Result<OptOutsSeen, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT COUNT(*), COUNT(*) FILTER (WHERE NOT EXISTS (
                    SELECT 1 FROM event_addresses AS a JOIN events AS e ON e.id = a.event WHERE a.hash = o.hash
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

fn note_all(
    tx: &Transaction<'_>,
    events: &[ReceivedEvent],
    now: Timestamp,
    (most_kept, most_named): (usize, usize),
) -> Result<usize, Fault> {
    let mut room = most_named.saturating_sub(pending::count_named_by_events(tx)?);
    let mut left_out = 0;
    for event in events {
        note(tx, event)?;
        for address in &event.addresses {
            if !pending::waits(tx, address)? {
                if room == 0 {
                    left_out += 1;
                    continue;
                }
                room -= 1;
            }
            pending::add(tx, address, pending::EVENT, now)?;
        }
    }
    // Numbers grow: those beyond the latest so many are at most as many too few.
    tx.prepare_cached("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?1")?
        .execute([number(most_kept)])?;
    Ok(left_out)
}

fn note(tx: &Transaction<'_>, event: &ReceivedEvent) -> Result<(), Fault> {
    let addresses: Vec<&str> = event.addresses.iter().map(EmailAddress::as_str).collect();
    let id: i64 = tx
        .prepare_cached(
            "INSERT INTO events (received_at, source, kind, addresses, details, digest)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT (digest) DO UPDATE SET received_at = excluded.received_at
             RETURNING id",
        )?
        .query_row(
            params![
                stamp(event.received_at),
                event.source,
                event.kind,
                json(&addresses)?,
                json(&event.details)?,
                digest([event.kind.as_str(), event.body.as_str()])
            ],
            |row| row.get(0),
        )?;
    let mut name =
        tx.prepare_cached("INSERT OR IGNORE INTO event_addresses (hash, event) VALUES (?1, ?2)")?;
    for address in &event.addresses {
        name.execute(params![address.hash().as_str(), id])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample::{email, later, open};

    #[tokio::test]
    async fn a_member_is_shown_what_named_any_of_their_addresses_the_latest_first() {
        let (_directory, state) = open().await;
        let event = |second, kind: &str, addresses: &[&str]| ReceivedEvent {
            source: "webhook",
            received_at: later(second),
            kind: kind.to_owned(),
            addresses: addresses.iter().map(|name| email(name)).collect(),
            details: BTreeMap::from([("reason".to_owned(), "manual".to_owned())]),
            body: format!("{second}"),
        };
        let events = vec![
            event(1, "subscribe", &["old"]),
            event(3, "upemail", &["New", "old"]),
            event(2, "profile", &["another"]),
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
        let latest = state.events_about(vec![email("OLD")], 1).await.unwrap().remove(0);
        assert_eq!(latest.addresses, [email("New").as_str(), email("old").as_str()]);
        assert_eq!(latest.details["reason"], "manual");
        assert_eq!(state.last_event().await.unwrap().map(|event| event.received_at), Some(later(3)));
    }

    #[tokio::test]
    async fn the_latest_are_kept_and_so_many_addresses_wait_whatever_comes() {
        let (_directory, state) = open().await;
        let event = |number: usize, name: &str| ReceivedEvent {
            source: "webhook",
            received_at: later(0),
            kind: format!("{number}"),
            addresses: vec![email(name)],
            details: BTreeMap::new(),
            body: format!("{number}"),
        };
        let note = async |events: Vec<ReceivedEvent>| {
            state.write(move |tx| note_all(tx, &events, later(1), (3, 2))).await.unwrap()
        };
        state.add_pending(vec![email("asked")], "sync".to_owned(), later(0)).await.unwrap();
        assert_eq!(note(vec![event(1, "a")]).await, 0);
        assert_eq!(note(vec![event(4, "a"), event(2, "b"), event(3, "c")]).await, 1);
        assert_eq!(note(vec![event(5, "asked"), event(6, "d"), event(7, "b"), event(8, "b")]).await, 1);
        let waiting = state.named(10).await.unwrap();
        let waiting: Vec<String> = waiting.into_iter().map(|pending| pending.address.key()).collect();
        assert_eq!(waiting, [email("asked").key(), email("a").key(), email("b").key()]);
        let kept = |connection: &mut rusqlite::Connection| {
            let sql = "SELECT group_concat(kind), (SELECT count(*) FROM event_addresses) FROM events";
            Ok(connection.query_row(sql, [], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?)
        };
        assert_eq!(state.call(kept).await.unwrap(), ("6,7,8".to_owned(), 3));
    }
}
