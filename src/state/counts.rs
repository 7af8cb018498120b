//! How many of what there is.

use std::collections::BTreeMap;

use crate::state::State;
use crate::state::error::StateError;
use crate::state::text;

/// How many of what there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members with a base.
    pub with_base: u64,
    /// Members with a contact that is not archived.
    pub with_contact: u64,
    /// Members with rows.
    pub with_rows: u64,
    /// Members not settled under any policy, or to be read by themselves.
    pub unsettled: u64,
    /// Members set aside after a refusal.
    pub parked: u64,
    /// Operations and missing contacts that a person has yet to decide on, or rejected.
    pub held: u64,
    /// Addresses to look at.
    pub pending: u64,
    /// Rows that cannot be synchronized as they stand.
    pub unusable: u64,
}

impl State {
    /// How many members wait for what, by the words of the rule that has them wait.
    pub async fn waiting(&self) -> Result<BTreeMap<String, u64>, StateError> {
        self.call(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT waits, COUNT(*) FROM members WHERE settled = 0 AND waits IS NOT NULL GROUP BY waits",
            )?;
            let mut rows = statement.query([])?;
            let mut waiting = BTreeMap::new();
            while let Some(row) = rows.next()? {
                waiting.insert(row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs());
            }
            Ok(waiting)
        })
        .await
    }

    /// How many members are set aside after a refusal.
    pub async fn count_parked(&self) -> Result<u64, StateError> {
        self.call(|connection| {
            Ok(connection.prepare_cached("SELECT COUNT(*) FROM parked")?.query_row([], text::count)?)
        })
        .await
    }

    /// How many members are set aside, by what their refusal was taken for.
    pub async fn parked_by_class(&self) -> Result<BTreeMap<String, u64>, StateError> {
        self.call(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT class, COUNT(*) FROM parked GROUP BY class")?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, text::count(row)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Counts what there is; from indices, without reading anybody.
    pub async fn counts(&self) -> Result<Counts, StateError> {
        self.call(|connection| {
            let count = |sql: &str| connection.prepare_cached(sql)?.query_row([], text::count);
            Ok(Counts {
                with_base: count("SELECT COUNT(*) FROM members WHERE base IS NOT NULL")?,
                with_contact: count(
                    "SELECT COUNT(*) FROM members INDEXED BY members_contact_address
                     WHERE contact IS NOT NULL AND archived = 0",
                )?,
                with_rows: count("SELECT COUNT(DISTINCT member) FROM registrations")?,
                unsettled: count("SELECT COUNT(*) FROM members WHERE settled = 0")?,
                parked: count("SELECT COUNT(*) FROM parked")?,
                held: count(
                    "SELECT IFNULL(SUM(count), 0) FROM holds WHERE decision IN ('open', 'rejected')",
                )?,
                pending: count("SELECT COUNT(*) FROM pending")?,
                unusable: count("SELECT COUNT(*) FROM registrations WHERE problem IS NOT NULL")?,
            })
        })
        .await
    }
}
