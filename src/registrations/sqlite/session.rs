//! Queries and transactions on a SQLite file.

use std::borrow::Cow;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, Row, ToSql, params_from_iter};

use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::{Moment, Purpose, Session, Visit};
use crate::registrations::query::Query;
use crate::registrations::report::MappingProblem;
use crate::registrations::sqlite::notices::notices;

/// A connection to a file.
pub(super) struct FileSession(pub(super) Connection);

impl Session for FileSession {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn each(&self, query: &Query, with: &mut Visit<'_>) -> Result<(), Fault> {
        let mut statement = self.0.prepare_cached(&query.text)?;
        let width = statement.column_count();
        let mut rows = statement.query(params_from_iter(&query.params))?;
        while let Some(row) = rows.next()? {
            if query.begins_with_key {
                refuse_binary_key(row)?;
            }
            let cells: Vec<Cell<'_>> = (0..width).map(|place| cell(row, place)).collect::<Result<_, _>>()?;
            with(&cells)?;
        }
        Ok(())
    }

    fn execute(&self, query: &Query) -> Result<u64, Fault> {
        let n_rows = self.0.prepare_cached(&query.text)?.execute(params_from_iter(&query.params))?;
        Ok(u64::try_from(n_rows).unwrap_or(u64::MAX))
    }

    /// A writer waits for other writers here, so that nothing changes between the comparison and the write.
    fn begin(&self, purpose: Purpose) -> Result<(), Fault> {
        let text = match purpose {
            Purpose::Read => "BEGIN DEFERRED",
            Purpose::Write => "BEGIN IMMEDIATE",
        };
        Ok(self.0.execute_batch(text)?)
    }

    fn commit(&self) -> Result<(), Fault> {
        match self.0.execute_batch("COMMIT") {
            Ok(()) => Ok(()),
            Err(error) => {
                self.roll_back();
                Err(error.into())
            }
        }
    }

    fn roll_back(&self) {
        // Where SQLite rolled back by itself, there is nothing to end.
        if !self.0.is_autocommit() {
            let _ = self.0.execute_batch("ROLLBACK");
        }
    }

    /// There is one writer at a time: whatever is committed later is dated later.
    fn now(&self) -> Result<i64, Fault> {
        let text = "SELECT CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)";
        Ok(self.0.prepare_cached(text)?.query_row([], |row| row.get(0))?)
    }

    fn moment(&self) -> Result<Moment, Fault> {
        let now = self.now()?;
        Ok(Moment { now, horizon: Some(now) })
    }

    fn notices(&self, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
        notices(&self.0, layout)
    }
}

/// No key is bytes.
fn refuse_binary_key(row: &Row<'_>) -> Result<(), Fault> {
    if let ValueRef::Blob(_) = row.get_ref(0)? {
        let problem = "the key column holds binary keys; map a view that shows them as hex(…)";
        return Err(Fault::Mapping(problem.to_owned()));
    }
    Ok(())
}

/// One cell; bytes that are no UTF-8 are replaced.
fn cell<'r>(row: &'r Row<'_>, place: usize) -> Result<Cell<'r>, Fault> {
    Ok(match row.get_ref(place)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cell::Text(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }),
    })
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(Cow::as_ref(text).as_bytes())),
        })
    }
}
