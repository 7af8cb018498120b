//! What a SQLite file tells about how it is read: indices and triggers.

use rusqlite::Connection;

use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Layout};
use crate::registrations::report::{MappingProblem, no_index, silent_interests};

const DIALECT: Dialect = Dialect::Sqlite;

/// What is slow or silent.
pub(super) fn notices(conn: &Connection, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
    let mut problems = slow(conn, layout)?;
    problems.extend(unwatched(conn, layout)?);
    Ok(problems)
}

/// Readings of every cycle that have no index to go by.
fn slow(conn: &Connection, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
    let from = format!("FROM {} AS r", layout.table.sql);
    let mut problems = Vec::new();
    let mut ask = |key: &str, text: String, what: &str| -> Result<(), Fault> {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {text}"))?;
        let params = vec![rusqlite::types::Null; statement.parameter_count()];
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            let step: String = row.get(3)?;
            if step.starts_with("SCAN") && !step.contains("USING") {
                problems.push(no_index(key, what));
                break;
            }
        }
        Ok(())
    };
    let email = format!("lower({})", DIALECT.of("r", &layout.email));
    let by_email = format!("SELECT 1 {from} WHERE {email} >= ? AND {email} < ?");
    ask("registrations.columns.email", by_email, "lower(email)")?;
    if let Some(column) = &layout.updated_at {
        let column = DIALECT.of("r", column);
        let text = format!("SELECT 1 {from} WHERE {column} >= ? ORDER BY {column}");
        ask("registrations.columns.updated_at", text, "the time of changes")?;
    }
    if let InterestPlace::Rows { table, registration_id, .. } = &layout.interests {
        let key = DIALECT.key_in("i", registration_id);
        let text = format!("SELECT 1 FROM {} AS i WHERE {key} = ?", table.sql);
        ask("registrations.interests.table", text, "the registration's key")?;
    }
    Ok(problems)
}

/// Interests in a table of their own, which no trigger watches: their changes may leave the row's time as it was.
fn unwatched(conn: &Connection, layout: &Layout) -> Result<Option<MappingProblem>, Fault> {
    let (InterestPlace::Rows { table, .. }, Some(_)) = (&layout.interests, &layout.updated_at) else {
        return Ok(None);
    };
    let text =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)";
    let is_watched: bool = conn.query_row(text, [&table.name], |row| row.get(0))?;
    Ok((!is_watched).then(silent_interests))
}
