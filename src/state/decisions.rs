//! What people decide about what is held.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::model::{EmailAddress, MemberId};
use crate::reconcile::plan::Planned;
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, from_json_or_none, moment, moment_or_none, number, stamp};
use crate::state::{CycleId, State, missing};

/// What was decided about a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Decision {
    /// Nothing yet.
    Open,
    /// What it lists is let through by the next cycle.
    Approved,
    /// What it lists stays back as long as it is wanted.
    Rejected,
    /// Let through, or no longer wanted.
    Done,
}

impl Decision {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Open, Self::Approved, Self::Rejected, Self::Done];

    /// The word it is stored under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Done => "done",
        }
    }

    /// Reads the word it is stored under.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|decision| decision.as_str() == word)
    }
}

/// A hold without what it lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldSummary {
    /// Its name: the beginning of a digest of its content.
    pub id: String,
    /// What the guard held it as.
    pub class: String,
    /// Why, as a sentence for staff.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// How many operations it lists.
    pub count: u64,
    /// What was decided.
    pub decision: Decision,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
}

/// A line of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldOperation {
    /// Its place in the list.
    pub seq: i64,
    /// The member.
    pub member: MemberId,
    /// The address to name them by.
    pub email: EmailAddress,
    /// What is held; `None` where the contact is missing and to be looked into.
    pub planned: Option<Planned>,
}

const COLUMNS: &str = "id, class, reason, since, count, decision, decided_at";

impl State {
    /// The holds that are not done, oldest first.
    pub async fn holds(&self) -> Result<Vec<HoldSummary>, StateError> {
        self.call(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM holds WHERE decision <> 'done' ORDER BY since, id");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let mut holds = Vec::new();
            while let Some(row) = rows.next()? {
                holds.push(read(row)?);
            }
            Ok(holds)
        })
        .await
    }

    /// The hold of this id, done or not.
    ///
    /// # Errors
    ///
    /// [`StateError::NoSuchHold`].
    pub async fn hold_summary(&self, id: String) -> Result<HoldSummary, StateError> {
        self.call(move |connection| summary(connection, &id)).await
    }

    /// Up to `limit` lines of a hold, after place `after`.
    pub async fn held_operations(
        &self,
        id: String,
        after: i64,
        limit: usize,
    ) -> Result<Vec<HeldOperation>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, member, email, planned FROM held_operations
                 WHERE hold = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
            )?;
            let mut rows = statement.query(params![id, after, number(limit)])?;
            let mut lines = Vec::new();
            while let Some(row) = rows.next()? {
                lines.push(HeldOperation {
                    seq: row.get(0)?,
                    member: MemberId(row.get(1)?),
                    email: address(&row.get::<_, String>(2)?)?,
                    planned: from_json_or_none(row.get(3)?)?,
                });
            }
            Ok(lines)
        })
        .await
    }

    /// Lets what the hold lists through in the next cycle, as far as it is still wanted then.
    ///
    /// # Errors
    ///
    /// [`StateError::NoSuchHold`], [`StateError::HoldIsDone`].
    pub async fn approve(&self, id: String, now: Timestamp) -> Result<HoldSummary, StateError> {
        self.decide(id, Decision::Approved, now).await
    }

    /// Keeps back what the hold lists for as long as it is wanted; it can still be approved.
    ///
    /// # Errors
    ///
    /// [`StateError::NoSuchHold`], [`StateError::HoldIsDone`].
    pub async fn reject(&self, id: String, now: Timestamp) -> Result<HoldSummary, StateError> {
        self.decide(id, Decision::Rejected, now).await
    }

    /// Ends approvals given before this cycle began, which must have been completed; says how many.
    ///
    /// Those about missing contacts wait for the next full walk instead.
    pub async fn expire_approvals(&self, completed: CycleId, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let ended = tx
                .prepare_cached(
                    "UPDATE holds SET decision = 'done', decided_at = ?2
                     WHERE decision = 'approved' AND class <> 'missing'
                       AND decided_at <= (SELECT started_at FROM cycles WHERE id = ?1)",
                )?
                .execute(params![completed.0, stamp(now)])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }

    /// Ends approvals given before this cycle began of which nothing that is staged was left untried; says how many.
    ///
    /// For a cycle that ended while it wrote: what a person approved is let through once, and tried once at least.
    pub async fn expire_tried_approvals(&self, ended: CycleId, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let ended = tx
                .prepare_cached(
                    "UPDATE holds SET decision = 'done', decided_at = ?2
                     WHERE decision = 'approved' AND class <> 'missing'
                       AND decided_at <= (SELECT started_at FROM cycles WHERE id = ?1)
                       AND NOT EXISTS (SELECT 1 FROM temp.plan AS p WHERE p.approved = holds.id
                         AND NOT EXISTS (SELECT 1 FROM operations AS o
                           WHERE o.member = p.member AND o.cycle = ?1 AND o.decided_by = holds.id
                             AND o.kind = p.kind AND o.outcome <> 'failed'))",
                )?
                .execute(params![ended.0, stamp(now)])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn decide(
        &self,
        id: String,
        decision: Decision,
        now: Timestamp,
    ) -> Result<HoldSummary, StateError> {
        self.write(move |tx| {
            let before = summary(tx, &id)?;
            if before.decision == Decision::Done {
                return Err(StateError::HoldIsDone { id }.into());
            }
            // Said twice, it keeps the time of the first: an approval that a cycle has begun on expires with it.
            tx.prepare_cached(
                "UPDATE holds SET decision = ?2, decided_at = ?3 WHERE id = ?1 AND decision <> ?2",
            )?
            .execute(params![id, decision.as_str(), stamp(now)])?;
            if decision == Decision::Approved {
                missing::look_into(tx, &id)?;
            }
            summary(tx, &id)
        })
        .await
    }
}

/// The hold of this id.
pub(crate) fn summary(connection: &Connection, id: &str) -> Result<HoldSummary, Fault> {
    let sql = format!("SELECT {COLUMNS} FROM holds WHERE id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    match rows.next()? {
        Some(row) => read(row),
        None => Err(StateError::NoSuchHold { id: id.to_owned() }.into()),
    }
}

fn read(row: &Row<'_>) -> Result<HoldSummary, Fault> {
    let word: String = row.get(5)?;
    let decision = Decision::parse(&word)
        .ok_or_else(|| Fault::Text(format!("nothing can be decided as {word:?}").into()))?;
    Ok(HoldSummary {
        id: row.get(0)?,
        class: row.get(1)?,
        reason: row.get(2)?,
        since: moment(&row.get::<_, String>(3)?)?,
        count: row.get::<_, i64>(4)?.unsigned_abs(),
        decision,
        decided_at: moment_or_none(row.get(6)?)?,
    })
}
