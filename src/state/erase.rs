//! Erasure on request: everything about a member goes, a proof without the address stays.

use std::collections::BTreeSet;

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use rusqlite::{Connection, Transaction, params};
use sha2::Sha256;

use crate::model::{EmailAddress, MemberId};
use crate::reconcile::plan::Tombstone;
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, hex, moment, stamp};
use crate::state::{State, base, settings};

/// That an address was erased: what can be shown to whoever asks, knowing the address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Erasure {
    /// When.
    pub erased_at: Timestamp,
    /// What came of it on either side, without the address.
    pub outcome: String,
}

impl State {
    /// Erases all that is kept about a member and about those of their `addresses` that only the caller has seen: mirror,
    /// base, trail, events, what holds list, pending addresses.
    ///
    /// What stays: for each address a keyed hash with the time and `outcome`, and a tombstone by subscriber hash,
    /// so that nobody creates the person again without their word. What was deleted is overwritten in the file.
    pub async fn erase_member(
        &self,
        member: MemberId,
        seen: Vec<EmailAddress>,
        outcome: String,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(move |tx| {
            let mut addresses = addresses(tx, member)?;
            addresses.extend(seen.iter().cloned());
            let key = settings::get(tx, "erasure_key")?.unwrap_or_default();
            for address in &addresses {
                erase_address(tx, address)?;
                tx.execute(
                    "INSERT INTO erasures (proof, erased_at, outcome) VALUES (?1, ?2, ?3)",
                    params![proof(&key, address)?, stamp(now), outcome],
                )?;
                base::lay(tx, &address.hash(), &Tombstone { at: now, opted_out: true })?;
            }
            for sql in [
                "DELETE FROM operations WHERE member = ?1",
                "DELETE FROM held_operations WHERE member = ?1",
                "DELETE FROM temp.plan WHERE member = ?1",
                "DELETE FROM temp.conflicts WHERE member = ?1",
                "DELETE FROM members WHERE id = ?1",
            ] {
                tx.execute(sql, [member.0])?;
            }
            Ok(())
        })
        .await?;
        // The write-ahead log still holds the pages as they were.
        self.call(|connection| {
            connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            Ok(())
        })
        .await
    }

    /// Every address that the state knows a member by, former ones that the trail still names among them.
    pub async fn addresses_of(&self, member: MemberId) -> Result<BTreeSet<EmailAddress>, StateError> {
        self.call(move |connection| addresses(connection, member)).await
    }

    /// The erasures of this address.
    pub async fn erasures_of(&self, address: EmailAddress) -> Result<Vec<Erasure>, StateError> {
        self.call(move |connection| {
            let key = settings::get(connection, "erasure_key")?.unwrap_or_default();
            let mut statement = connection
                .prepare_cached("SELECT erased_at, outcome FROM erasures WHERE proof = ?1 ORDER BY id")?;
            let mut rows = statement.query([proof(&key, &address)?])?;
            let mut erasures = Vec::new();
            while let Some(row) = rows.next()? {
                erasures
                    .push(Erasure { erased_at: moment(&row.get::<_, String>(0)?)?, outcome: row.get(1)? });
            }
            Ok(erasures)
        })
        .await
    }
}

/// The addresses of a member: of its rows, its contact and its base, and those the trail named it by.
fn addresses(connection: &Connection, member: MemberId) -> Result<BTreeSet<EmailAddress>, Fault> {
    let texts: Vec<String> = connection
        .prepare_cached(
            "SELECT address FROM registrations WHERE member = ?1 AND address IS NOT NULL
             UNION SELECT contact_address FROM members WHERE id = ?1 AND contact_address IS NOT NULL
             UNION SELECT base_address FROM members WHERE id = ?1 AND base_address IS NOT NULL
             UNION SELECT email FROM operations WHERE member = ?1",
        )?
        .query_map([member.0], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    texts.iter().map(|text| address(text)).collect()
}

/// Erases what is kept by address and not by member.
fn erase_address(tx: &Transaction<'_>, address: &EmailAddress) -> Result<(), Fault> {
    let key = address.key();
    tx.execute("DELETE FROM pending WHERE address = ?1", [&key])?;
    tx.execute(
        "DELETE FROM events WHERE id IN (SELECT event FROM event_addresses WHERE hash = ?1)",
        [address.hash().as_str()],
    )?;
    tx.execute("DELETE FROM held_operations WHERE lower(email) = ?1", [&key])?;
    Ok(())
}

fn proof(key: &str, address: &EmailAddress) -> Result<String, Fault> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|error| Fault::Text(Box::new(error)))?;
    mac.update(address.key().as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::reconcile::plan::Class;
    use crate::state::sample::{agreed, archive, email, later, members, now, open, to_do, trio};
    use crate::state::{CycleKind, Place, ReceivedEvent, Selection};

    /// Leaves a trace of the member wherever there can be one.
    async fn traces(state: &State, member: MemberId) {
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        state.stage(vec![agreed(&trio(state, member).await)], policy).await.unwrap();
        let plan = to_do(&trio(state, member).await, vec![(archive(), Class::Removal)]);
        state.stage(vec![plan], policy).await.unwrap();
        let cycle = state.begin_cycle(CycleKind::Full, now()).await.unwrap();
        let planned = state.planned(Place::default(), 10).await.unwrap();
        state.open_entries(cycle, planned, now()).await.unwrap();
        state.hold("all", vec![Selection::Everything], "a test".to_owned(), now()).await.unwrap();
        state.note_events(vec![event("Erased")], now()).await.unwrap();
    }

    /// An event that names somebody second.
    fn event(name: &str) -> ReceivedEvent {
        ReceivedEvent {
            source: "webhook",
            received_at: now(),
            kind: "upemail".to_owned(),
            addresses: vec![email("other"), email(name)],
            details: BTreeMap::new(),
            body: format!("data[new_email]={name}%40alliance.test"),
        }
    }

    fn holds_text(directory: &std::path::Path, text: &str) -> bool {
        ["state.db", "state.db-wal"].iter().any(|name| {
            let bytes = std::fs::read(directory.join(name)).unwrap_or_default().to_ascii_lowercase();
            bytes.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    #[tokio::test]
    async fn no_byte_of_the_address_stays_in_the_file_but_that_it_was_erased_can_be_shown() {
        let (directory, state) = open().await;
        let all = members(&state, &["erased", "kept"]).await;
        traces(&state, all[0]).await;
        assert!(holds_text(directory.path(), "erased@alliance"));
        state.erase_member(all[0], vec![], "deleted on both sides".to_owned(), later(1)).await.unwrap();
        assert!(!holds_text(directory.path(), "erased@alliance"));
        assert!(holds_text(directory.path(), "kept@alliance"));

        let proof = Erasure { erased_at: later(1), outcome: "deleted on both sides".to_owned() };
        assert_eq!(state.erasures_of(email("Erased")).await.unwrap(), [proof]);
        assert_eq!(state.erasures_of(email("kept")).await.unwrap(), []);
        let tombstone = state.tombstone(email("erased").hash()).await.unwrap();
        assert_eq!(tombstone, Some(Tombstone { at: later(1), opted_out: true }));
        assert!(state.trail(all[0], 10).await.unwrap().is_empty());
        assert_eq!(state.count_planned().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn an_event_that_names_them_second_goes_and_so_does_one_of_an_address_that_only_mailchimp_shows() {
        let (directory, state) = open().await;
        let all = members(&state, &["erased", "kept"]).await;
        let events = ["ERASED", "w\u{c9}b", "kept"].map(event);
        state.note_events(events.into(), now()).await.unwrap();
        state.erase_member(all[0], vec![email("w\u{e9}b")], String::new(), now()).await.unwrap();
        let left = state.events_about(vec![email("other")], 10).await.unwrap();
        let left: Vec<&str> = left.iter().map(|event| event.addresses[1].as_str()).collect();
        assert_eq!(left, [email("kept").as_str()]);
        assert!(!holds_text(directory.path(), "erased%40"), "the body was kept");
        assert_eq!(state.erasures_of(email("w\u{e9}b")).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn proofs_of_two_states_do_not_compare() {
        let mut proofs = BTreeSet::new();
        for _ in 0..2 {
            let (_directory, state) = open().await;
            let member = members(&state, &["a"]).await[0];
            state.erase_member(member, vec![], String::new(), now()).await.unwrap();
            let read = |connection: &mut Connection| {
                Ok(connection.query_row("SELECT proof FROM erasures", [], |row| row.get::<_, String>(0))?)
            };
            proofs.insert(state.call(read).await.unwrap());
        }
        assert_eq!(proofs.len(), 2);
    }
}
