//! Members set aside after a refusal.

use jiff::{SignedDuration, Timestamp};
use rusqlite::{Row, Transaction, params};

use crate::model::MemberId;
use crate::state::State;
use crate::state::error::{Fault, StateError};
use crate::state::text::{moment, moment_or_none, number, stamp};

/// The first distance between two tries of what nobody knows the reason of; it doubles with every further one.
const UNKNOWN: SignedDuration = SignedDuration::from_mins(15);

/// The longest distance between two tries.
const LONGEST: SignedDuration = SignedDuration::from_hours(24);

/// The distance before the next try of what failed so often, for a reason that nobody knows.
pub fn growing_distance(attempts: u32) -> SignedDuration {
    UNKNOWN.checked_mul(2_i32.saturating_pow(attempts.min(20))).unwrap_or(LONGEST).min(LONGEST)
}

/// Why a member is set aside, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Park {
    /// What is done about it, as one word: `permanent`, `later` …
    pub class: String,
    /// The side's own title.
    pub title: String,
    /// The side's own words, without addresses.
    pub said: String,
    /// When to try again by ourselves; `None`: when either side changes, or staff say so.
    pub retry_at: Option<Timestamp>,
}

/// A member that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The member.
    pub member: MemberId,
    /// Why and for how long.
    pub park: Park,
    /// Since when, the first refusal of this row of them.
    pub since: Timestamp,
    /// How often it was refused.
    pub attempts: u32,
    /// Whether it still rests; else its turn has come to be tried again.
    pub rests: bool,
}

impl State {
    /// Up to `limit` members that are set aside, after `after`, in the order of their numbers.
    pub async fn parked(&self, after: Option<MemberId>, limit: usize) -> Result<Vec<Parked>, StateError> {
        self.call(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM parked WHERE member > ?1 ORDER BY member LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after.map_or(0, |member| member.0), number(limit)])?;
            let mut parked = Vec::new();
            while let Some(row) = rows.next()? {
                parked.push(read(row)?);
            }
            Ok(parked)
        })
        .await
    }

    /// Why this member is set aside; `None` where it is not.
    pub async fn parking_of(&self, member: MemberId) -> Result<Option<Parked>, StateError> {
        self.call(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM parked WHERE member = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([member.0])?;
            rows.next()?.map(read).transpose()
        })
        .await
    }

    /// How often the member was refused in a row: what growing distances are reckoned from.
    pub async fn refusals(&self, member: MemberId) -> Result<u32, StateError> {
        Ok(self.parking_of(member).await?.map_or(0, |parked| parked.attempts))
    }

    /// Sets a member aside that was to be read by itself and cannot be: what it last showed stands.
    pub async fn give_up_reading(
        &self,
        member: MemberId,
        park: Park,
        now: Timestamp,
    ) -> Result<(), StateError> {
        self.write(move |tx| {
            let known = tx
                .prepare_cached("UPDATE members SET recheck = 0, settled = 0 WHERE id = ?1")?
                .execute([member.0])?;
            if known > 0 { set_aside(tx, member, &park, now) } else { Ok(()) }
        })
        .await
    }

    /// Staff want the member tried again: the next cycle does; says whether it was set aside.
    ///
    /// Only the time of the next try moves, so that a cycle that is under way cannot miss it.
    pub async fn retry(&self, member: MemberId, now: Timestamp) -> Result<bool, StateError> {
        self.write(move |tx| {
            let changed = tx
                .prepare_cached("UPDATE parked SET retry_at = ?2 WHERE member = ?1")?
                .execute(params![member.0, stamp(now)])?;
            Ok(changed > 0)
        })
        .await
    }

    /// Lets everybody be tried again whose time has come; says how many. To be called at the start of a cycle.
    pub async fn due_retries(&self, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let now = stamp(now);
            tx.prepare_cached(
                "UPDATE members SET settled = 0 WHERE id IN (SELECT member FROM parked WHERE retry_at <= ?1)",
            )?
            .execute([&now])?;
            let due = tx
                .prepare_cached("UPDATE parked SET active = 0, retry_at = NULL WHERE retry_at <= ?1")?
                .execute([&now])?;
            Ok(u64::try_from(due).unwrap_or(u64::MAX))
        })
        .await
    }
}

const COLUMNS: &str = "member, class, title, said, retry_at, since, attempts, active";

fn read(row: &Row<'_>) -> Result<Parked, Fault> {
    Ok(Parked {
        member: MemberId(row.get(0)?),
        park: Park {
            class: row.get(1)?,
            title: row.get(2)?,
            said: row.get(3)?,
            retry_at: moment_or_none(row.get(4)?)?,
        },
        since: moment(&row.get::<_, String>(5)?)?,
        attempts: row.get(6)?,
        rests: row.get(7)?,
    })
}

/// Sets the member aside; one that was before, and was not settled since, counts on.
pub(crate) fn set_aside(
    tx: &Transaction<'_>,
    member: MemberId,
    park: &Park,
    now: Timestamp,
) -> Result<(), Fault> {
    tx.prepare_cached(
        "INSERT INTO parked (member, class, title, said, since, attempts, retry_at, active)
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, 1)
         ON CONFLICT (member) DO UPDATE SET class = excluded.class, title = excluded.title,
            said = excluded.said, attempts = attempts + 1, retry_at = excluded.retry_at, active = 1",
    )?
    .execute(params![
        member.0,
        park.class,
        park.title,
        park.said,
        stamp(now),
        park.retry_at.map(stamp)
    ])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_grow_up_to_a_day() {
        let minutes: Vec<i64> =
            [0, 1, 2, 3, 6, 7, 40].map(|attempts| growing_distance(attempts).as_mins()).into();
        assert_eq!(minutes, [15, 30, 60, 120, 960, 1440, 1440]);
    }
}
