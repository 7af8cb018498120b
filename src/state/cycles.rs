//! Cycles and their reports, and how long the past is kept.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Transaction, params};

use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{moment, moment_or_none, stamp};

/// The number of a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CycleId(pub i64);

/// What a cycle observes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CycleKind {
    /// What changed since the cursors, and the pending addresses.
    Incremental,
    /// Everything.
    Full,
}

impl CycleKind {
    /// The word it is stored under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
        }
    }
}

/// A cycle that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Its number.
    pub id: CycleId,
    /// What it observes.
    pub kind: CycleKind,
    /// When it was begun.
    pub started_at: Timestamp,
    /// When it ended; `None` while it is under way, or when the program ended in its midst.
    pub ended_at: Option<Timestamp>,
    /// Its report, as JSON.
    pub report: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

/// So many cycles are remembered, however young: whoever may have cycles begin does not fill the disk.
const MOST_KEPT: i64 = 200_000;

/// How much is trimmed in one transaction, so that nobody waits long.
const TRIMMED_AT_ONCE: usize = 10_000;

/// How long what is over is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Entries of the trail, and holds that are done.
    pub trail: Duration,
    /// Reports of cycles.
    pub cycles: Duration,
    /// Received events, once they are dealt with.
    pub events: Duration,
}

impl State {
    /// Notes that a cycle begins.
    pub async fn begin_cycle(&self, kind: CycleKind, now: Timestamp) -> Result<CycleId, StateError> {
        self.write(move |tx| {
            tx.prepare_cached("INSERT INTO cycles (kind, started_at) VALUES (?1, ?2)")?
                .execute(params![kind.as_str(), stamp(now)])?;
            Ok(CycleId(tx.last_insert_rowid()))
        })
        .await
    }

    /// Notes that a cycle observes more than it was begun for.
    pub async fn set_cycle_kind(&self, cycle: CycleId, kind: CycleKind) -> Result<(), StateError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE cycles SET kind = ?2 WHERE id = ?1")?
                .execute(params![cycle.0, kind.as_str()])?;
            Ok(())
        })
        .await
    }

    /// Notes that a cycle ended: its report as JSON, and why it failed if it did.
    pub async fn end_cycle(
        &self,
        cycle: CycleId,
        report: Option<String>,
        error: Option<String>,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE cycles SET ended_at = ?2, report = ?3, error = ?4 WHERE id = ?1")?
                .execute(params![cycle.0, stamp(now), report, error])?;
            Ok(())
        })
        .await
    }

    /// The latest cycle of this kind, whether it has ended or not.
    pub async fn last_cycle(&self, kind: CycleKind) -> Result<Option<Cycle>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, started_at, ended_at, report, error FROM cycles WHERE kind = ?1
                 ORDER BY id DESC LIMIT 1",
            )?;
            let mut rows = statement.query([kind.as_str()])?;
            let Some(row) = rows.next()? else { return Ok(None) };
            Ok(Some(Cycle {
                id: CycleId(row.get(0)?),
                kind,
                started_at: moment(&row.get::<_, String>(1)?)?,
                ended_at: moment_or_none(row.get(2)?)?,
                report: row.get(3)?,
                error: row.get(4)?,
            }))
        })
        .await
    }

    /// Forgets entries of the trail, cycles, events and finished holds that are older than they are kept; says how many.
    ///
    /// The latest cycle of each kind stays, and so does what was not ended.
    pub async fn trim(&self, keep: Keep, now: Timestamp) -> Result<u64, StateError> {
        let mut trimmed = 0;
        loop {
            let deleted = self.write(move |tx| trim(tx, keep, MOST_KEPT, now)).await?;
            trimmed += u64::try_from(deleted.iter().sum::<usize>()).unwrap_or(u64::MAX);
            if deleted.iter().all(|deleted| *deleted < TRIMMED_AT_ONCE) {
                return Ok(trimmed);
            }
        }
    }
}

/// Forgets up to [`TRIMMED_AT_ONCE`] entries of each table; says how many.
fn trim(tx: &Transaction<'_>, keep: Keep, most_cycles: i64, now: Timestamp) -> Result<Vec<usize>, Fault> {
    let cycles = format!(
        "(started_at < ?1 OR id <= (SELECT max(id) FROM cycles) - {most_cycles})
         AND id NOT IN (SELECT max(id) FROM cycles GROUP BY kind)"
    );
    let tables = [
        ("operations", "begun_at < ?1 AND outcome IS NOT NULL", keep.trail),
        ("cycles", cycles.as_str(), keep.cycles),
        ("events", "received_at < ?1", keep.events),
        ("holds", "decision = 'done' AND decided_at < ?1", keep.trail),
    ];
    let mut deleted = Vec::new();
    for (table, condition, kept) in tables {
        let Some(before) = before(now, kept) else { continue };
        let sql = format!(
            "DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE {condition} LIMIT {TRIMMED_AT_ONCE})"
        );
        deleted.push(tx.prepare_cached(&sql)?.execute([stamp(before)])?);
    }
    Ok(deleted)
}

/// The time that lies this long before now; `None` where there is no such time.
fn before(now: Timestamp, kept: Duration) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from(kept).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::EmailAddress;
    use crate::reconcile::plan::Class;
    use crate::state::sample::{archive, email, later, members, now, open, to_do, trio};
    use crate::state::{Closing, Outcome, Place, ReceivedEvent};

    #[tokio::test]
    async fn the_last_cycle_of_each_kind_is_remembered() {
        let (_directory, state) = open().await;
        assert_eq!(state.last_cycle(CycleKind::Full).await.unwrap(), None);
        let full = state.begin_cycle(CycleKind::Full, now()).await.unwrap();
        state.begin_cycle(CycleKind::Incremental, later(1)).await.unwrap();
        let under_way = state.last_cycle(CycleKind::Full).await.unwrap().unwrap();
        assert_eq!((under_way.id, under_way.ended_at), (full, None));
        state.end_cycle(full, Some("{}".to_owned()), Some("busy".to_owned()), later(2)).await.unwrap();
        let ended = state.last_cycle(CycleKind::Full).await.unwrap().unwrap();
        assert_eq!((ended.started_at, ended.ended_at), (now(), Some(later(2))));
        assert_eq!((ended.report.as_deref(), ended.error.as_deref()), (Some("{}"), Some("busy")));
    }

    #[tokio::test]
    async fn the_past_is_trimmed_but_not_what_is_open_or_the_last_of_its_kind() {
        let (_directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        let first = state.begin_cycle(CycleKind::Full, now()).await.unwrap();
        state.begin_cycle(CycleKind::Full, later(1)).await.unwrap();
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        let plan = to_do(&trio(&state, member).await, vec![(archive(), Class::Free)]);
        state.stage(vec![plan], policy).await.unwrap();
        let planned = state.planned(Place::default(), 1).await.unwrap();
        let twice = vec![planned[0].clone(), planned[0].clone()];
        let entries = state.open_entries(first, twice, now()).await.unwrap();
        let done = Closing::new(entries[0], member, Outcome::Done);
        state.close_entries(vec![done], now()).await.unwrap();
        note(&state, "body", vec![email("a")]).await;

        let keep = |trail, cycles, events| {
            let [trail, cycles, events] = [trail, cycles, events].map(Duration::from_secs);
            Keep { trail, cycles, events }
        };
        assert_eq!(state.trim(keep(5, 5, 5), later(5)).await.unwrap(), 0, "from before, and not from then");
        assert_eq!(state.trim(keep(5, 10, 10), later(10)).await.unwrap(), 1, "an entry");
        assert_eq!(state.trim(keep(10, 5, 10), later(10)).await.unwrap(), 1, "a cycle");
        assert_eq!(state.trim(keep(10, 10, 5), later(10)).await.unwrap(), 1, "an event");
        let left = state.trail(member, 10).await.unwrap();
        assert_eq!(left.iter().map(|entry| entry.id).collect::<Vec<_>>(), [entries[1]]);
        assert!(state.last_cycle(CycleKind::Full).await.unwrap().is_some());
        assert_eq!(state.last_event().await.unwrap(), None);
    }

    #[tokio::test]
    async fn so_many_cycles_are_remembered_and_the_last_of_each_kind() {
        let (_directory, state) = open().await;
        let full = state.begin_cycle(CycleKind::Full, now()).await.unwrap();
        for second in 1..10 {
            state.begin_cycle(CycleKind::Incremental, later(second)).await.unwrap();
        }
        let [trail, cycles, events] = [1_000; 3].map(Duration::from_secs);
        let keep = Keep { trail, cycles, events };
        let deleted = state.write(move |tx| trim(tx, keep, 3, later(10))).await.unwrap();
        assert_eq!(deleted.iter().sum::<usize>(), 6);
        assert_eq!(state.last_cycle(CycleKind::Full).await.unwrap().unwrap().id, full);
    }

    async fn note(state: &State, body: &str, addresses: Vec<EmailAddress>) {
        let event = ReceivedEvent {
            source: "api",
            received_at: now(),
            kind: "profile".to_owned(),
            addresses,
            details: BTreeMap::new(),
            body: body.to_owned(),
        };
        state.note_events(vec![event], now()).await.unwrap();
    }

    #[tokio::test]
    async fn an_event_is_kept_once_and_its_address_is_looked_at_until_it_was() {
        let (_directory, state) = open().await;
        note(&state, "body", vec![email("A")]).await;
        let looked_at = state.named_by_events(10).await.unwrap();
        assert_eq!(looked_at.iter().map(|p| p.address.as_str()).collect::<Vec<_>>(), ["a@alliance.test"]);
        state.add_pending(vec![email("a"), email("b")], "again".to_owned(), later(1)).await.unwrap();
        state.settle_pending(looked_at).await.unwrap();
        let left = state.asked_for(None, 10).await.unwrap();
        assert_eq!(left.len(), 2, "asked for again meanwhile");
        let after = state.asked_for(Some(email("a")), 10).await.unwrap();
        assert_eq!(after.iter().map(|p| p.address.clone()).collect::<Vec<_>>(), [email("b")]);
        state.settle_pending(left).await.unwrap();
        note(&state, "body", vec![email("a")]).await;
        assert_eq!(state.named_by_events(10).await.unwrap().len(), 1, "delivered again, looked at again");
        let count = |connection: &mut rusqlite::Connection| {
            Ok(connection.query_row("SELECT COUNT(*) FROM events", [], crate::state::text::count)?)
        };
        assert_eq!(state.call(count).await.unwrap(), 1);
        assert_eq!(state.last_event().await.unwrap().map(|event| event.kind), Some("profile".to_owned()));
    }
}
