//! Cycles and their reports, and how long the past is kept.

use jiff::Timestamp;
use rusqlite::params;

use crate::state::State;
use crate::state::error::StateError;
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

/// How much is trimmed in one transaction, so that nobody waits long.
const TRIMMED_AT_ONCE: usize = 10_000;

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

    /// Forgets entries of the trail, cycles, events and finished holds from before this time; says how many.
    ///
    /// The latest cycle of each kind stays, and so does what was not ended.
    pub async fn trim(&self, before: Timestamp) -> Result<u64, StateError> {
        let mut trimmed = 0;
        for (table, key, condition) in [
            ("operations", "id", "begun_at < ?1 AND outcome IS NOT NULL"),
            ("cycles", "id", "started_at < ?1 AND id NOT IN (SELECT max(id) FROM cycles GROUP BY kind)"),
            ("events", "id", "received_at < ?1"),
            ("holds", "id", "decision = 'done' AND decided_at < ?1"),
        ] {
            loop {
                let sql = format!(
                    "DELETE FROM {table} WHERE {key} IN
                     (SELECT {key} FROM {table} WHERE {condition} LIMIT {TRIMMED_AT_ONCE})"
                );
                let now = stamp(before);
                let deleted = self.write(move |tx| Ok(tx.execute(&sql, [now])?)).await?;
                trimmed += u64::try_from(deleted).unwrap_or(u64::MAX);
                if deleted < TRIMMED_AT_ONCE {
                    break;
                }
            }
        }
        Ok(trimmed)
    }
}
