//! Addresses that every cycle looks at on both sides until they are settled.

use jiff::Timestamp;
use rusqlite::{Connection, Params, Transaction, params};

use crate::model::EmailAddress;
use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, count, moment, number, stamp};

/// Why an address is looked at that was not as observed when it was written: our own note, which the next cycle sees to.
pub const CHANGED_MEANWHILE: &str = "changed while it was written";

/// Why an address is looked at that a received event names.
pub(crate) const EVENT: &str = "event";

/// Why an address is looked at that an event named and that was not as observed either.
const EVENT_AND_CHANGED: &str = "event, and changed while it was written";

/// An address to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The address, in lower case.
    pub address: EmailAddress,
    /// Who or what asked for it.
    pub reason: String,
    /// Since when it waits.
    pub since: Timestamp,
    /// When it was last asked for.
    pub asked: Timestamp,
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

    /// Up to `limit` addresses that somebody waits for, or that a note of our own is about, after `after`, in the order of
    /// their letters: all but those that only events name.
    pub async fn asked_for(
        &self,
        after: Option<EmailAddress>,
        limit: usize,
    ) -> Result<Vec<Pending>, StateError> {
        self.call(move |connection| {
            let after = after.map_or_else(String::new, |address| address.key());
            let condition = "address > ?1 AND reason <> ?2 ORDER BY address LIMIT ?3";
            select(connection, condition, params![after, EVENT, number(limit)])
        })
        .await
    }

    /// Up to `limit` addresses that only events name, those first that wait longest.
    pub async fn named_by_events(&self, limit: usize) -> Result<Vec<Pending>, StateError> {
        self.call(move |connection| {
            let condition = "reason = ?1 ORDER BY since, address LIMIT ?2";
            select(connection, condition, params![EVENT, number(limit)])
        })
        .await
    }

    /// Up to `limit` addresses that somebody else named, those first that wait longest.
    pub async fn named(&self, limit: usize) -> Result<Vec<Pending>, StateError> {
        self.call(move |connection| {
            let condition = "reason <> ?1 ORDER BY since, address LIMIT ?2";
            select(connection, condition, params![CHANGED_MEANWHILE, number(limit)])
        })
        .await
    }

    /// These addresses have been looked at; one that was asked for again meanwhile stays, and waits for another turn.
    pub async fn settle_pending(&self, looked_at: Vec<Pending>) -> Result<(), StateError> {
        self.write(move |tx| {
            let mut settle = tx.prepare_cached("DELETE FROM pending WHERE address = ?1 AND asked = ?2")?;
            let mut renew = tx.prepare_cached("UPDATE pending SET since = asked WHERE address = ?1")?;
            for pending in &looked_at {
                let address = pending.address.key();
                if settle.execute(params![address, stamp(pending.asked)])? == 0 {
                    renew.execute([address])?;
                }
            }
            Ok(())
        })
        .await
    }
}

fn select(connection: &Connection, condition: &str, values: impl Params) -> Result<Vec<Pending>, Fault> {
    let sql = format!("SELECT address, reason, since, asked FROM pending WHERE {condition}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut pending = Vec::new();
    while let Some(row) = rows.next()? {
        pending.push(Pending {
            address: address(&row.get::<_, String>(0)?)?,
            reason: row.get(1)?,
            since: moment(&row.get::<_, String>(2)?)?,
            asked: moment(&row.get::<_, String>(3)?)?,
        });
    }
    Ok(pending)
}

/// How many addresses wait that only events name.
pub(crate) fn count_named_by_events(tx: &Transaction<'_>) -> Result<usize, Fault> {
    let count =
        tx.prepare_cached("SELECT COUNT(*) FROM pending WHERE reason = ?1")?.query_row([EVENT], count)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Whether an address waits, whoever named it.
pub(crate) fn waits(tx: &Transaction<'_>, address: &EmailAddress) -> Result<bool, Fault> {
    Ok(tx.prepare_cached("SELECT 1 FROM pending WHERE address = ?1")?.exists([address.key()])?)
}

/// Asks for an address to be looked at; who named it is not forgotten over a note of our own, nor who asked for it over an
/// event. One that waits already keeps its turn: otherwise whoever names it over and over would put it off for ever.
pub(crate) fn add(
    tx: &Transaction<'_>,
    address: &EmailAddress,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO pending (address, reason, since, asked) VALUES (?1, ?2, ?3, ?3)
         ON CONFLICT (address) DO UPDATE SET asked = excluded.asked,
           reason = CASE WHEN excluded.reason = reason THEN reason
                         WHEN excluded.reason IN (?4, ?5) AND reason IN (?4, ?5) THEN ?6
                         WHEN excluded.reason IN (?4, ?5) THEN reason
                         ELSE excluded.reason END",
    )?
    .execute(params![address.key(), reason, stamp(now), CHANGED_MEANWHILE, EVENT, EVENT_AND_CHANGED])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample::{email, later, now, open};

    async fn named(state: &State) -> Vec<String> {
        state.named(10).await.unwrap().into_iter().map(|pending| pending.address.key()).collect()
    }

    #[tokio::test]
    async fn whoever_is_named_is_told_from_what_we_noted_ourselves() {
        let (_directory, state) = open().await;
        let (ours, theirs) = (CHANGED_MEANWHILE.to_owned(), "event".to_owned());
        state.add_pending(vec![email("a"), email("c")], ours.clone(), now()).await.unwrap();
        assert_eq!(named(&state).await, Vec::<String>::new());
        state.add_pending(vec![email("c")], theirs.clone(), later(1)).await.unwrap();
        state.add_pending(vec![email("b")], theirs, later(2)).await.unwrap();
        let both = [email("c").key(), email("b").key()];
        assert_eq!(named(&state).await, both, "who waits longest comes first");
        state.add_pending(vec![email("b")], ours, later(3)).await.unwrap();
        assert_eq!(named(&state).await, both, "a note of our own does not make them ours");
        assert_eq!(state.asked_for(None, 10).await.unwrap().len(), 3);
    }

    #[tokio::test]
    async fn whom_only_events_name_waits_behind_everybody_else() {
        let (_directory, state) = open().await;
        let add = |name, reason: &str, second| {
            state.add_pending(vec![email(name)], reason.to_owned(), later(second))
        };
        for (name, second) in [("d", 1), ("c", 2), ("b", 3), ("a", 4), ("e", 5), ("d", 6)] {
            add(name, EVENT, second).await.unwrap();
        }
        add("b", CHANGED_MEANWHILE, 6).await.unwrap();
        add("a", "sync", 7).await.unwrap();
        add("a", EVENT, 8).await.unwrap();
        let keys = |of: Vec<Pending>| of.into_iter().map(|one| one.address.key()).collect::<Vec<_>>();
        let addresses = |names: &[&str]| names.iter().map(|name| email(name).key()).collect::<Vec<_>>();
        assert_eq!(keys(state.asked_for(None, 10).await.unwrap()), addresses(&["a", "b"]));
        assert_eq!(keys(state.asked_for(Some(email("a")), 10).await.unwrap()), addresses(&["b"]));
        assert_eq!(keys(state.named_by_events(2).await.unwrap()), addresses(&["d", "c"]));
        assert_eq!(named(&state).await, addresses(&["d", "c", "b", "a", "e"]), "all of them were named");
    }

    #[tokio::test]
    async fn whoever_is_named_over_and_over_keeps_their_turn_and_gets_another() {
        let (_directory, state) = open().await;
        let add = |name, second| state.add_pending(vec![email(name)], EVENT.to_owned(), later(second));
        for (name, second) in [("a", 1), ("b", 2), ("a", 3)] {
            add(name, second).await.unwrap();
        }
        let first = state.named_by_events(1).await.unwrap();
        add("a", 4).await.unwrap();
        assert_eq!(state.named_by_events(1).await.unwrap()[0].address, email("a"), "not looked at yet");
        state.settle_pending(first).await.unwrap();
        assert_eq!(named(&state).await, [email("b").key(), email("a").key()], "behind whoever waits longer");
        let both = state.named_by_events(2).await.unwrap();
        state.settle_pending(both).await.unwrap();
        assert_eq!(named(&state).await, Vec::<String>::new());
    }
}
