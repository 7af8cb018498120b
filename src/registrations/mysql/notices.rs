//! What MySQL and MariaDB tell about how a register is read: indices, engines, and whether we see who else is at work.

use crate::registrations::catalogue::{Column, Table, TableSort};
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Layout};
use crate::registrations::link::Session;
use crate::registrations::query::Query;
use crate::registrations::report::{MappingProblem, no_index, silent_interests};

const DIALECT: Dialect = Dialect::Mysql;

/// What is slow, silent, unsafe or unseen.
pub(super) fn notices(
    session: &dyn Session,
    layout: &Layout,
    sees_others: bool,
) -> Result<Vec<MappingProblem>, Fault> {
    let mut problems = Vec::new();
    let mut ask = |key: &str, table: &Table, column: &Column, what: &str| {
        let query = of_table("information_schema.statistics", "table_schema", "table_name", table);
        let query =
            query.push(" AND seq_in_index = 1 AND column_name = ").bind(Cell::owned(column.name.clone()));
        if table.sort == TableSort::Table && !exists(session, query)? {
            problems.push(no_index(key, what));
        }
        Ok::<_, Fault>(())
    };
    ask("registrations.columns.email", &layout.table, &layout.email, "the address")?;
    if let Some(column) = &layout.updated_at {
        ask("registrations.columns.updated_at", &layout.table, column, "the time of changes")?;
    }
    if let InterestPlace::Rows { table, registration_id, .. } = &layout.interests {
        ask("registrations.interests.table", table, registration_id, "the registration's key")?;
        let query =
            of_table("information_schema.triggers", "event_object_schema", "event_object_table", table);
        if layout.updated_at.is_some() && table.sort == TableSort::Table && !exists(session, query)? {
            problems.push(silent_interests());
        }
    }
    let query = of_table("information_schema.tables", "table_schema", "table_name", &layout.table);
    if exists(session, query.push(" AND engine IN ('MyISAM', 'Aria', 'MEMORY', 'CSV')"))? {
        let problem = "its engine knows no transactions: a write that fails half-way is not taken back; convert it to InnoDB";
        problems.push(MappingProblem::notice("registrations.table", problem.to_owned()));
    }
    if layout.updated_at.is_some() && !sees_others {
        let problem = "this user does not see since when others are at work, so a change that the website commits longer \
                       after it was made than `overlap` may wait for the next full cycle; GRANT PROCESS ON *.* TO it";
        problems.push(MappingProblem::notice("registrations.url", problem.to_owned()));
    }
    Ok(problems)
}

/// The rows about a table in one of the server's own views.
fn of_table(view: &str, schema: &str, name: &str, table: &Table) -> Query {
    // The quoted name is ours: schema and table, each in back quotes.
    let spelled =
        format!("CONCAT('`', REPLACE({schema}, '`', '``'), '`.`', REPLACE({name}, '`', '``'), '`')");
    Query::new(DIALECT, format!("SELECT EXISTS (SELECT 1 FROM {view} WHERE {spelled} = "))
        .bind(Cell::owned(table.sql.clone()))
}

fn exists(session: &dyn Session, query: Query) -> Result<bool, Fault> {
    let mut answer = false;
    session.each(&query.push(")"), &mut |cells| {
        answer = cells.first().and_then(Cell::flag) == Some(true);
        Ok(())
    })?;
    Ok(answer)
}
