//! A look at a register for `check`: every problem at once, and its first rows.

use std::path::Path;

use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

use crate::model::Dimension;
use crate::registrations::RegisterError;
use crate::registrations::layout::{Column, InterestPlace};
use crate::registrations::mapping::{MappedValues, Name, RegisterMapping};
use crate::registrations::report::{MappingProblem, RegisterReport};
use crate::registrations::sqlite::fault::Fault;
use crate::registrations::sqlite::link::{Access, Link, Opening, connect, find_layout};
use crate::registrations::sqlite::on_a_thread;
use crate::registrations::sqlite::read::{cell, page};
use crate::registrations::sqlite::statements::{of, quoted};
use crate::registrations::times::{BadTime, read_time};

/// How many rows are shown.
const SAMPLES: usize = 3;

/// How many dimensions that nobody maps are named.
const DIMENSIONS: usize = 5;

/// Looks at the register in `path`: what is missing, whether it can be written, what stands in it. Changes nothing.
///
/// Fails only where the file cannot be opened at all.
pub(in crate::registrations) async fn examine_sqlite(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<RegisterReport, RegisterError> {
    let opening = Opening {
        path: path.to_owned(),
        mapping: mapping.clone(),
        values: values.clone(),
        access: Access::ReadOnly,
    };
    on_a_thread(&path.display().to_string(), "-", move || examine(opening)).await
}

fn examine(opening: Opening) -> Result<RegisterReport, Fault> {
    let (conn, ..) = connect(&opening)?;
    if let Err(problems) = find_layout(&conn, &opening)? {
        return Ok(RegisterReport { problems, features: None, rows: 0, samples: Vec::new() });
    }
    drop(conn);
    let (mapping, values) = (opening.mapping.clone(), opening.values.clone());
    let writing = Opening { access: Access::ReadWrite, ..opening.clone() };
    let link = Link::open(opening)?;
    let mut problems = Vec::new();
    problems.extend(unwritable(&writing, &link));
    problems.extend(keys(&link)?);
    problems.extend(zoneless(&link)?);
    problems.extend(switched_off(&link, &mapping));
    problems.extend(slow(&link)?);
    problems.extend(silent_interests(&link)?);
    problems.extend(unmapped_interests(&link, &values)?);
    problems.sort_by_key(|problem| problem.severity);
    let text = format!("SELECT count(*) {} WHERE {}", link.sql.from, link.sql.live);
    let rows: i64 = link.conn.query_row(&text, [], |row| row.get(0))?;
    Ok(RegisterReport {
        problems,
        features: Some(link.layout.features()),
        rows: u64::try_from(rows).unwrap_or_default(),
        samples: page(&link, None, SAMPLES)?,
    })
}

/// Why the register cannot be written, if so: tried on no row, in a transaction that is taken back.
fn unwritable(writing: &Opening, link: &Link) -> Option<MappingProblem> {
    let layout = &link.layout;
    let mut columns: Vec<&Column> = vec![&layout.email, &layout.subscription];
    columns.extend(layout.subscription_changed_at.as_ref());
    columns.extend(layout.preferences_url.as_ref());
    columns.extend(layout.sync_note.as_ref());
    columns.extend(layout.fields.values());
    let sets: Vec<String> =
        columns.iter().map(|column| format!("{} = {}", quoted(&column.name), of("r", column))).collect();
    let text = format!("UPDATE {} AS r SET {} WHERE 0", quoted(&layout.table), sets.join(", "));
    let try_it = |conn: &Connection| -> rusqlite::Result<()> {
        let transaction = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
        conn.execute(&text, [])?;
        transaction.rollback()
    };
    let tried = connect(writing).and_then(|(conn, ..)| try_it(&conn).map_err(Fault::Sql));
    match tried {
        Ok(()) => None,
        Err(Fault::Sql(error)) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            let problem = "another program holds its lock: writing could not be tried".to_owned();
            Some(MappingProblem::notice("registrations.url", problem))
        }
        Err(fault) => {
            let said = match fault {
                Fault::Sql(error) => error.to_string(),
                Fault::Away(error) => error.to_string(),
                Fault::Refused(said) | Fault::Mapping(said) => said,
            };
            let problem =
                format!("the register cannot be written ({said}); `plan` works without, `run` does not");
            Some(MappingProblem::error("registrations.url", problem))
        }
    }
}

/// Rows without a key are never read, rows that share one are taken for each other.
fn keys(link: &Link) -> Result<Option<MappingProblem>, Fault> {
    let (sql, id) = (&link.sql, &link.sql.id);
    let text = format!("SELECT count(*), count(DISTINCT {id}) {}", sql.from);
    let (rows, keys): (i64, i64) = link.conn.query_row(&text, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((rows != keys).then(|| {
        let problem = format!("{rows} rows have {keys} different keys; a key must be there and be unique");
        MappingProblem::error("registrations.columns.id", problem)
    }))
}

/// Times without an offset, where no zone says what they mean.
fn zoneless(link: &Link) -> Result<Option<MappingProblem>, Fault> {
    let layout = &link.layout;
    let columns =
        [&layout.subscription_changed_at, &layout.signup_at, &layout.created_at, &layout.updated_at];
    let mut named = Vec::new();
    for column in columns.into_iter().flatten().filter(|_| layout.zone.is_none()) {
        let name = of("r", column);
        let text = format!("SELECT {name} {} WHERE {name} IS NOT NULL ORDER BY {name} DESC", link.sql.from);
        let mut statement = link.conn.prepare(&text)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if read_time(&cell(row, 0)?, None) == Err(BadTime::NoZone) {
                named.push(format!("{:?}", column.name));
                break;
            }
        }
    }
    Ok((!named.is_empty()).then(|| {
        let problem = format!("times without an offset stand in {}; name their zone", named.join(", "));
        MappingProblem::error("registrations.time_zone", problem)
    }))
}

/// Optional columns that the register lacks and somebody may have counted on.
fn switched_off(link: &Link, mapping: &RegisterMapping) -> Vec<MappingProblem> {
    let layout = &link.layout;
    let columns = &mapping.columns;
    let cases: [(&str, bool, &Name, &str); 4] = [
        (
            "subscription_changed_at",
            layout.subscription_changed_at.is_some(),
            &columns.subscription_changed_at,
            "without the time of consent nobody can be subscribed again without being asked, and the times of the \
             sign-up and of the row stand in for it",
        ),
        (
            "updated_at",
            layout.updated_at.is_some(),
            &columns.updated_at,
            "without the time of changes every cycle reads the whole register, and prefer = \"newest\" cannot tell",
        ),
        (
            "sync_note",
            layout.sync_note.is_some(),
            &columns.sync_note,
            "without a column for notes the website cannot show why a row is not synchronized",
        ),
        (
            "preferences_url",
            layout.preferences_url.is_some(),
            &columns.preferences_url,
            "without a column for the link the welcome mail cannot show the preference center",
        ),
    ];
    cases
        .into_iter()
        .filter(|(_, is_there, name, _)| !is_there && **name != Name::Off)
        .map(|(key, _, _, problem)| {
            MappingProblem::notice(&format!("registrations.columns.{key}"), problem.to_owned())
        })
        .collect()
}

/// Readings of every cycle that have no index to go by.
fn slow(link: &Link) -> Result<Vec<MappingProblem>, Fault> {
    let sql = &link.sql;
    let mut problems = Vec::new();
    let mut ask = |key: &str, text: String, what: &str| -> Result<(), Fault> {
        let mut statement = link.conn.prepare(&format!("EXPLAIN QUERY PLAN {text}"))?;
        let params = vec![rusqlite::types::Null; statement.parameter_count()];
        let mut rows = statement.query(rusqlite::params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            let step: String = row.get(3)?;
            if step.starts_with("SCAN") && !step.contains("json_each") && !step.contains("USING") {
                let problem = format!("no index on {what}: large registers are read slowly");
                problems.push(MappingProblem::notice(key, problem));
                break;
            }
        }
        Ok(())
    };
    let by_email = format!("SELECT 1 {} WHERE {}", sql.from, sql.email);
    ask("registrations.columns.email", by_email, "lower(email)")?;
    if let Some(column) = &sql.updated_at {
        let text = format!("SELECT 1 {} WHERE {column} >= ?1 ORDER BY {column}", sql.from);
        ask("registrations.columns.updated_at", text, "the time of changes")?;
    }
    if let Some(text) = &sql.interests {
        ask("registrations.interests.table", text.clone(), "the registration's key")?;
    }
    Ok(problems)
}

/// Interests in a table of their own, which no trigger watches: their changes may leave the row's time as it was.
fn silent_interests(link: &Link) -> Result<Option<MappingProblem>, Fault> {
    let (InterestPlace::Rows { table, .. }, Some(_)) = (&link.layout.interests, &link.layout.updated_at)
    else {
        return Ok(None);
    };
    let text =
        "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE)";
    let is_watched: bool = link.conn.query_row(text, [table], |row| row.get(0))?;
    Ok((!is_watched).then(|| {
        let problem = "no trigger watches this table: unless the website sets the row's time of change with its \
                       interests, only full cycles notice them";
        MappingProblem::notice("registrations.interests.table", problem.to_owned())
    }))
}

/// Interests of dimensions that the configuration does not map: they are neither read nor touched, and may be a slip.
fn unmapped_interests(link: &Link, values: &MappedValues) -> Result<Vec<MappingProblem>, Fault> {
    let InterestPlace::Rows { table, dimension, .. } = &link.layout.interests else { return Ok(Vec::new()) };
    let column = quoted(&dimension.name);
    let text = format!(
        "SELECT CAST({column} AS TEXT) AS dimension, count(*) FROM {} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY 1",
        quoted(table)
    );
    let mut statement = link.conn.prepare(&text)?;
    let mut rows = statement.query([])?;
    let (mut problems, mut n_more) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (name, count): (String, i64) = (row.get(0)?, row.get(1)?);
        if values.dimensions.contains(&Dimension::new(&name)) {
            continue;
        }
        if problems.len() == DIMENSIONS {
            n_more += 1;
            continue;
        }
        let word = if count == 1 { "interest" } else { "interests" };
        let problem = format!(
            "{count} {word} of the dimension {name:?}, which no [[interest]] maps, will not be synchronized"
        );
        problems.push(MappingProblem::notice("registrations.interests.dimension", problem));
    }
    if n_more > 0 {
        let problem = format!("and {n_more} more dimensions that are not mapped");
        problems.push(MappingProblem::notice("registrations.interests.dimension", problem));
    }
    Ok(problems)
}
