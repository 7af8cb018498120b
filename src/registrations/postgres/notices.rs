//! What PostgreSQL tells about how a register is read: indices, triggers, and whether we see who else is at work.

use crate::registrations::catalogue::{Case, Column, Kind, Table, TableSort};
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Layout};
use crate::registrations::link::Session;
use crate::registrations::postgres::hearing::silent;
use crate::registrations::query::Query;
use crate::registrations::report::{MappingProblem, no_index, silent_interests};

const DIALECT: Dialect = Dialect::Postgres;

/// What is slow, silent or unseen.
pub(super) fn notices(session: &dyn Session, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
    let mut problems = slow(session, layout)?;
    if let (InterestPlace::Rows { table, .. }, Some(_)) = (&layout.interests, &layout.updated_at)
        && table.sort == TableSort::Table
    {
        let query =
            Query::new(DIALECT, "SELECT EXISTS (SELECT 1 FROM pg_trigger WHERE tgrelid = to_regclass(");
        let query = query.bind(Cell::owned(table.sql.clone())).push(") AND NOT tgisinternal)");
        problems.extend((!is_true(session, &query)?).then(silent_interests));
    }
    if !silent(session, layout)?.is_empty() {
        let problem = "a change is found when Rosterd looks for it ([sync] interval); PostgreSQL could tell of it at once, by \
                       the trigger that `rosterd provision` prints";
        problems.push(MappingProblem::notice("registrations.table", problem.to_owned()));
    }
    let text = "SELECT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = current_user AND rolsuper)
                  OR pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')";
    if layout.updated_at.is_some() && !is_true(session, &Query::new(DIALECT, text))? {
        let problem = "this user does not see since when others are at work, so a change that the website commits long \
                       after it began may wait for the next full cycle; GRANT pg_read_all_stats TO it";
        problems.push(MappingProblem::notice("registrations.url", problem.to_owned()));
    }
    Ok(problems)
}

/// Readings of every cycle that have no index to go by.
fn slow(session: &dyn Session, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
    let mut problems = Vec::new();
    let mut ask = |key: &str, table: &Table, column: &Column, spelled: &[String], what: &str| {
        if table.sort == TableSort::View {
            return Ok(());
        }
        let query = Query::new(
            DIALECT,
            "SELECT EXISTS (SELECT 1 FROM pg_index AS x WHERE x.indisvalid AND x.indpred IS NULL AND x.indrelid = to_regclass(",
        );
        let mut query = query
            .bind(Cell::owned(table.sql.clone()))
            .push(") AND pg_get_indexdef(x.indexrelid, 1, true) IN (NULL");
        for spelling in spelled.iter().chain([&DIALECT.quoted(&column.name), &column.name]) {
            query = query.push(", ").bind(Cell::owned(spelling.clone()));
        }
        problems.extend((!is_true(session, &query.push("))"))?).then(|| no_index(key, what)));
        Ok::<_, Fault>(())
    };
    let (email, table) = (&layout.email, &layout.table);
    let quoted = DIALECT.quoted(&email.name);
    let lower: Vec<String> = [&quoted, &email.name]
        .iter()
        .flat_map(|name| {
            [format!("lower({name})"), format!("lower({name}::text)"), format!("lower(({name})::text)")]
        })
        .collect();
    match email.kind {
        Kind::Text(Case::Folds) => ask("registrations.columns.email", table, email, &[], "the address")?,
        _ => ask("registrations.columns.email", table, &unnamed(), &lower, "lower(email)")?,
    }
    if let Some(column) = &layout.updated_at {
        ask("registrations.columns.updated_at", table, column, &[], "the time of changes")?;
    }
    if let InterestPlace::Rows { table, registration_id, .. } = &layout.interests {
        ask("registrations.interests.table", table, registration_id, &[], "the registration's key")?;
    }
    Ok(problems)
}

/// No column: where only an expression will do.
fn unnamed() -> Column {
    Column::of(Kind::Other)
}

fn is_true(session: &dyn Session, query: &Query) -> Result<bool, Fault> {
    let mut answer = false;
    session.each(query, &mut |cells| {
        answer = cells.first().and_then(Cell::flag) == Some(true);
        Ok(())
    })?;
    Ok(answer)
}
