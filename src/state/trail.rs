//! The trail: every operation is noted before it is tried and ended after it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Transaction, params};

use crate::model::MemberId;
use crate::reconcile::plan::{Operation, Reason};
use crate::state::error::{Fault, StateError};
use crate::state::joining::mark_for_recheck;
use crate::state::plan::class_words;
use crate::state::rank::{side_word, words};
use crate::state::text::{count, from_json, json, moment, moment_or_none, number, stamp};
use crate::state::{ClassName, CycleId, StagedOperation, State, base, kind};

/// The number of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryId(pub i64);

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It was written, and answered.
    Done,
    /// It was not tried: what it rested on had changed.
    Skipped,
    /// The side refused it.
    Refused,
    /// It was tried and the answer was lost: its effect is unknown.
    Lost,
    /// It was not written for a reason that does not concern the member.
    Failed,
    /// The program ended in the midst of it: its effect is unknown.
    Unknown,
}

impl Outcome {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::Skipped, Self::Refused, Self::Lost, Self::Failed, Self::Unknown];

    /// The word it is stored under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Skipped => "skipped",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }

    /// Reads the word it is stored under.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == word)
    }
}

/// An entry of the trail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailEntry {
    /// Its number.
    pub id: EntryId,
    /// The cycle that made it.
    pub cycle: CycleId,
    /// What was written.
    pub operation: Operation,
    /// Why.
    pub reason: Reason,
    /// `rule`, `adoption` where the first adoption was answered beforehand, or the id of the hold that a person approved.
    pub decided_by: String,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came of it; `None` while it is being tried.
    pub outcome: Option<Outcome>,
    /// What the side said, where it said something.
    pub said: Option<String>,
}

impl State {
    /// Notes operations that are about to be tried, in the order given; they are in the file when this returns.
    pub async fn open_entries(
        &self,
        cycle: CycleId,
        operations: Vec<StagedOperation>,
        now: Timestamp,
    ) -> Result<Vec<EntryId>, StateError> {
        self.write(move |tx| operations.iter().map(|staged| open(tx, cycle, staged, now)).collect()).await
    }

    /// Ends the entries that a process which is no more left open, as [`Outcome::Unknown`]; their members are to
    /// be read by themselves before anything else. Says how many there were. To be called at the start.
    ///
    /// What Mailchimp is known to have in a batch stays open; a batch that was perhaps submitted ends like the rest.
    pub async fn end_open_entries(&self, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let left: Vec<(i64, i64)> = tx
                .prepare_cached(
                    "SELECT id, member FROM operations WHERE outcome IS NULL AND NOT EXISTS (
                        SELECT 1 FROM batch_entries AS e JOIN batches AS b ON b.id = e.batch
                        WHERE e.entry = operations.id AND b.handle IS NOT NULL)
                     ORDER BY id",
                )?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<_, _>>()?;
            for (entry, member) in &left {
                end(tx, EntryId(*entry), Outcome::Unknown, None, now)?;
                base::note_unheard(tx, EntryId(*entry))?;
                mark_for_recheck(tx, MemberId(*member))?;
            }
            Ok(u64::try_from(left.len()).unwrap_or(u64::MAX))
        })
        .await
    }

    /// The latest entries about a member, newest first.
    pub async fn trail(&self, member: MemberId, limit: usize) -> Result<Vec<TrailEntry>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, cycle, operation, reason, decided_by, begun_at, ended_at, outcome, said
                 FROM operations WHERE member = ?1 ORDER BY id DESC LIMIT ?2",
            )?;
            let mut rows = statement.query(params![member.0, number(limit)])?;
            let mut trail = Vec::new();
            while let Some(row) = rows.next()? {
                let text = |column: usize| row.get::<_, String>(column);
                trail.push(TrailEntry {
                    id: EntryId(row.get(0)?),
                    cycle: CycleId(row.get(1)?),
                    operation: from_json(&text(2)?)?,
                    reason: Reason(text(3)?),
                    decided_by: text(4)?,
                    begun_at: moment(&text(5)?)?,
                    ended_at: moment_or_none(row.get(6)?)?,
                    outcome: row.get::<_, Option<String>>(7)?.and_then(|word| Outcome::parse(&word)),
                    said: row.get(8)?,
                });
            }
            Ok(trail)
        })
        .await
    }

    /// How many operations of these classes were begun since `since` and may have had an effect, without those
    /// that a person approved.
    pub async fn applied_in(
        &self,
        classes: BTreeSet<ClassName>,
        since: Timestamp,
    ) -> Result<u64, StateError> {
        self.call(move |connection| {
            let applied = connection
                .prepare_cached(
                    "SELECT COUNT(*) FROM operations
                     WHERE class IN (SELECT value FROM json_each(?1)) AND begun_at >= ?2 AND decided_by = 'rule'
                       AND (outcome = 'done' OR outcome IN ('lost', 'unknown') AND member NOT IN
                         (SELECT member FROM temp.plan WHERE class IN (SELECT value FROM json_each(?1))))",
                )?
                .query_row(params![words(&classes), stamp(since)], count)?;
            Ok(applied)
        })
        .await
    }
}

/// Notes an operation that is about to be tried.
pub(crate) fn open(
    tx: &Transaction<'_>,
    cycle: CycleId,
    staged: &StagedOperation,
    now: Timestamp,
) -> Result<EntryId, Fault> {
    let operation = &staged.planned.operation;
    let (class, class_at) = class_words(staged.planned.class);
    tx.prepare_cached(
        "INSERT INTO operations (cycle, member, hash, email, side, kind, class, class_at, operation, reason,
            decided_by, begun_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        cycle.0,
        staged.member.0,
        staged.email.hash().as_str(),
        staged.email.key(),
        side_word(operation.side()),
        kind(operation),
        class,
        class_at,
        json(operation)?,
        staged.planned.reason.0,
        staged.approved.as_deref().unwrap_or("rule"),
        stamp(now)
    ])?;
    Ok(EntryId(tx.last_insert_rowid()))
}

/// Ends an entry that is open.
pub(crate) fn end(
    tx: &Transaction<'_>,
    entry: EntryId,
    outcome: Outcome,
    said: Option<&str>,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE operations SET outcome = ?2, said = ?3, ended_at = ?4 WHERE id = ?1 AND outcome IS NULL",
    )?
    .execute(params![entry.0, outcome.as_str(), said, stamp(now)])?;
    Ok(())
}
