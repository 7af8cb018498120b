//! Reading the staged plan: by counts for the guard, page by page for everybody else.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rusqlite::{Row, params};

use crate::model::{EmailAddress, MemberId};
use crate::reconcile::plan::{Conflict, Planned};
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, count, from_json, number, stamp};
use crate::state::{ClassName, State, rank};

/// An operation of the staged plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedOperation {
    /// Its number in the plan, which grows from member to member.
    pub seq: i64,
    /// When it is made: lower ranks first, within one rank by place.
    pub rank: i64,
    /// Whom it concerns.
    pub member: MemberId,
    /// The address to name them by.
    pub email: EmailAddress,
    /// What, why, and what the guard counts it as.
    pub planned: Planned,
    /// The hold that keeps it back.
    pub held: Option<String>,
    /// The approved hold that lists it.
    pub approved: Option<String>,
}

/// Where in the plan somebody has read to: by address, within one address in the order in which things are done.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    name: String,
    seq: i64,
}

impl StagedOperation {
    /// Its place in the plan as it is shown.
    pub fn place(&self) -> Place {
        Place { name: self.email.key().as_str().to_owned(), seq: self.seq }
    }
}

/// What no rule decided about somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedConflict {
    /// Its place among the conflicts.
    pub place: Place,
    /// The address to name them by.
    pub email: EmailAddress,
    /// What it is.
    pub conflict: Conflict,
}

/// Opt-outs of which many share one time: hardly the people's own words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SharedTimes {
    /// Those that are staged.
    pub planned: u64,
    /// Those that were carried out.
    pub applied: u64,
}

const COLUMNS: &str = "seq, rank, member, email, planned, held, approved";

/// Timed opt-outs of the plan whose time is shared by more than `?1` others of the plan and of the trail since `?2`.
pub(crate) const SHARING: &str = "class = 'timed_opt_out' AND class_at IN (
    SELECT class_at FROM (
        SELECT class_at FROM temp.plan WHERE class = 'timed_opt_out' AND approved IS NULL
        UNION ALL SELECT class_at FROM operations
        WHERE class = 'timed_opt_out' AND begun_at >= ?2 AND decided_by = 'rule'
          AND (outcome = 'done' OR outcome IN ('lost', 'unknown')
            AND member NOT IN (SELECT member FROM temp.plan WHERE class = 'timed_opt_out'))
    ) GROUP BY class_at HAVING COUNT(*) > ?1)";

/// Timed opt-outs that were carried out by the rules alone since `?2`; one whose outcome nobody knows counts with the
/// plan where it comes again.
const APPLIED: &str = "begun_at >= ?2 AND decided_by = 'rule'
    AND (outcome = 'done' OR outcome IN ('lost', 'unknown')
      AND member NOT IN (SELECT member FROM temp.plan WHERE class = 'timed_opt_out'))";

/// What neither was approved nor rejected: what the guard counts.
const UNDECIDED: &str =
    "approved IS NULL AND (held IS NULL OR held IN (SELECT id FROM holds WHERE decision = 'open'))";

impl State {
    /// How many operations of each class are staged, without those that a person approved or rejected.
    pub async fn planned_counts(&self) -> Result<BTreeMap<ClassName, u64>, StateError> {
        self.call(|connection| {
            let sql = format!("SELECT class, COUNT(*) FROM temp.plan WHERE {UNDECIDED} GROUP BY class");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([])?;
            let mut counts = BTreeMap::new();
            while let Some(row) = rows.next()? {
                if let Some(class) =
                    ClassName::parse(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)
                {
                    counts.insert(class, row.get::<_, i64>(1)?.unsigned_abs());
                }
            }
            Ok(counts)
        })
        .await
    }

    /// How many opt-outs share their time with more than `more_than` of the plan and of the trail since `since`,
    /// together; without those that a person approved or rejected.
    pub async fn timed_opt_outs_sharing_a_time(
        &self,
        more_than: u64,
        since: Timestamp,
    ) -> Result<SharedTimes, StateError> {
        self.call(move |connection| {
            let bounds = params![i64::try_from(more_than).unwrap_or(i64::MAX), stamp(since)];
            let sql = format!("SELECT COUNT(*) FROM temp.plan WHERE {UNDECIDED} AND {SHARING}");
            let planned = connection.prepare_cached(&sql)?.query_row(bounds, count)?;
            let sql = format!("SELECT COUNT(*) FROM operations WHERE {APPLIED} AND {SHARING}");
            let applied = connection.prepare_cached(&sql)?.query_row(bounds, count)?;
            Ok(SharedTimes { planned, applied })
        })
        .await
    }

    /// Has a person's word given beforehand let everything through that is staged and that nothing holds.
    pub async fn approve_staged(&self, decided_by: &'static str) -> Result<(), StateError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE temp.plan SET approved = ?1 WHERE approved IS NULL AND held IS NULL")?
                .execute([decided_by])?;
            Ok(())
        })
        .await
    }

    /// How many operations are staged, held ones among them.
    pub async fn count_planned(&self) -> Result<u64, StateError> {
        self.call(|connection| {
            Ok(connection.prepare_cached("SELECT COUNT(*) FROM temp.plan")?.query_row([], count)?)
        })
        .await
    }

    /// How many staged operations wait for a person's decision.
    pub async fn count_planned_held(&self) -> Result<u64, StateError> {
        self.count_planned_of("open").await
    }

    /// How many staged operations a person rejected.
    pub async fn count_planned_rejected(&self) -> Result<u64, StateError> {
        self.count_planned_of("rejected").await
    }

    async fn count_planned_of(&self, decision: &'static str) -> Result<u64, StateError> {
        self.call(move |connection| {
            let sql =
                "SELECT COUNT(*) FROM temp.plan WHERE held IN (SELECT id FROM holds WHERE decision = ?1)";
            Ok(connection.prepare_cached(sql)?.query_row([decision], count)?)
        })
        .await
    }

    /// Up to `limit` staged operations after place `after`, held ones among them, sorted by address.
    pub async fn planned(&self, after: Place, limit: usize) -> Result<Vec<StagedOperation>, StateError> {
        self.call(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM temp.plan WHERE (name, seq) > (?1, ?2) ORDER BY name, seq LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after.name, after.seq, number(limit)])?;
            let mut staged = Vec::new();
            while let Some(row) = rows.next()? {
                staged.push(operation(row)?);
            }
            Ok(staged)
        })
        .await
    }

    /// Up to `limit` conflicts after place `after`, sorted by address.
    pub async fn conflicts(&self, after: Place, limit: usize) -> Result<Vec<StagedConflict>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT seq, email, conflict FROM temp.conflicts WHERE (name, seq) > (?1, ?2)
                 ORDER BY name, seq LIMIT ?3",
            )?;
            let mut rows = statement.query(params![after.name, after.seq, number(limit)])?;
            let mut staged = Vec::new();
            while let Some(row) = rows.next()? {
                let email = address(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?;
                let conflict = from_json(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?;
                let place = Place { name: email.key().as_str().to_owned(), seq: row.get(0)? };
                staged.push(StagedConflict { place, email, conflict });
            }
            Ok(staged)
        })
        .await
    }

    /// Up to `limit` operations to be made, in the order in which they are: those after `after`, by rank and place.
    ///
    /// Of a member in an unfinished batch only opt-outs are: the batch carries values and no status, so neither can
    /// undo the other, and somebody who leaves need not wait for it.
    pub async fn next_operations(
        &self,
        after: (i64, i64),
        limit: usize,
    ) -> Result<Vec<StagedOperation>, StateError> {
        self.call(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS} FROM temp.plan WHERE (rank, seq) > (?1, ?2) AND held IS NULL
                   AND (rank <= ?4 OR NOT EXISTS (SELECT 1 FROM batch_entries AS e WHERE e.member = plan.member))
                 ORDER BY rank, seq LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after.0, after.1, number(limit), rank::OPT_OUTS])?;
            let mut staged = Vec::new();
            while let Some(row) = rows.next()? {
                staged.push(operation(row)?);
            }
            Ok(staged)
        })
        .await
    }
}

fn operation(row: &Row<'_>) -> Result<StagedOperation, Fault> {
    Ok(StagedOperation {
        seq: row.get(0)?,
        rank: row.get(1)?,
        member: MemberId(row.get(2)?),
        email: address(row.get_ref(3)?.as_str().map_err(rusqlite::Error::from)?)?,
        planned: from_json(row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?)?,
        held: row.get(5)?,
        approved: row.get(6)?,
    })
}
