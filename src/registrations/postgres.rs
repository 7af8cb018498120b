//! PostgreSQL, from version 13.

mod catalogue;
mod fault;
pub(super) mod hearing;
mod notices;

use std::cell::RefCell;

use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, Postgres};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Decode, Executor, Row, TypeInfo, ValueRef};

use crate::registrations::catalogue::Catalogue;
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::{Moment, Purpose, Session, Visit};
use crate::registrations::postgres::hearing::{OWN_NAME, script, silent};
use crate::registrations::query::Query;
use crate::registrations::report::MappingProblem;
use crate::registrations::server::fault::sorted;
use crate::registrations::server::waiting::Waiting;
use crate::registrations::server::{Access, ServerSession};

/// A connection to PostgreSQL.
pub(super) struct PostgresSession {
    conn: RefCell<PgConnection>,
    waiting: Waiting,
}

impl PostgresSession {
    /// Connects; the server is told our limits, and to speak of times in UTC.
    pub(super) fn connect(
        options: &PgConnectOptions,
        waiting: Waiting,
        access: Access,
    ) -> Result<Self, Fault> {
        let options = options.clone().application_name(OWN_NAME).disable_statement_logging();
        let millis = |duration: std::time::Duration| duration.as_millis();
        let patience = waiting.patience;
        let read_only = if access == Access::ReadOnly { "on" } else { "off" };
        let settings = format!(
            "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET bytea_output = 'hex'; \
             SET lock_timeout = {}; SET statement_timeout = {}; \
             SET idle_in_transaction_session_timeout = {}; SET default_transaction_read_only = {read_only}",
            millis(patience.lock),
            millis(patience.statement),
            millis(patience.statement).saturating_mul(2),
        );
        let conn = waiting.connection(async {
            let mut conn = options.connect().await.map_err(|error| sorted(error, fault::sort).0)?;
            let set = conn.execute(sqlx::raw_sql(AssertSqlSafe(settings))).await;
            set.map_err(|error| sorted(error, fault::sort).0)?;
            Ok(conn)
        })?;
        Ok(Self { conn: RefCell::new(conn), waiting })
    }

    fn sorted(&self, error: sqlx::Error) -> Fault {
        let (fault, is_sound) = sorted(error, fault::sort);
        if !is_sound {
            self.waiting.give_up();
        }
        fault
    }

    /// Runs text of ours that takes no values.
    fn run(&self, text: &str) -> Result<(), Fault> {
        let mut conn = self.conn.borrow_mut();
        self.waiting.answer(async {
            let ran = conn.execute(sqlx::raw_sql(AssertSqlSafe(text.to_owned()))).await;
            ran.map(|_| ()).map_err(|error| self.sorted(error))
        })
    }
}

impl Session for PostgresSession {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn each(&self, query: &Query, with: &mut Visit<'_>) -> Result<(), Fault> {
        let mut conn = self.conn.borrow_mut();
        self.waiting.answer(async {
            let mut rows = bound(query).fetch(&mut *conn);
            while let Some(row) = rows.try_next().await.map_err(|error| self.sorted(error))? {
                with(&cells(&row).map_err(|error| self.sorted(error))?)?;
            }
            Ok(())
        })
    }

    fn execute(&self, query: &Query) -> Result<u64, Fault> {
        let mut conn = self.conn.borrow_mut();
        self.waiting.answer(async {
            let done = bound(query).execute(&mut *conn).await;
            done.map(|done| done.rows_affected()).map_err(|error| self.sorted(error))
        })
    }

    fn begin(&self, purpose: Purpose) -> Result<(), Fault> {
        // One snapshot for all that is read; a write of a row that changed since fails, in views too, which cannot be
        // locked everywhere.
        self.run(match purpose {
            Purpose::Read => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
            Purpose::Write => "BEGIN ISOLATION LEVEL REPEATABLE READ",
        })
    }

    fn commit(&self) -> Result<(), Fault> {
        self.run("COMMIT")
    }

    fn roll_back(&self) {
        if self.run("ROLLBACK").is_err() {
            self.waiting.give_up();
        }
    }

    /// A row is dated when its transaction begins (`now()`) or later. Whoever may not see when others began still sees who
    /// holds a table for writing.
    fn now(&self) -> Result<i64, Fault> {
        let text = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8";
        let mut now = 0;
        self.each(&Query::new(Dialect::Postgres, text), &mut |cells| {
            now = if let [Cell::Integer(found)] = cells { *found } else { 0 };
            Ok(())
        })?;
        Ok(now)
    }

    fn moment(&self) -> Result<Moment, Fault> {
        let text = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8,
              (SELECT (floor(extract(epoch FROM min(a.xact_start)) * 1000))::int8 FROM pg_stat_activity AS a
                WHERE a.datname = current_database() AND a.pid <> pg_backend_pid()
                  AND a.backend_type NOT LIKE 'autovacuum%'),
              EXISTS (SELECT 1 FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
                WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
                  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
                  AND l.relation >= 16384 AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock',
                    'ExclusiveLock', 'AccessExclusiveLock')
                  AND a.xact_start IS NULL)";
        let mut moment = Moment { now: 0, horizon: None };
        self.each(&Query::new(Dialect::Postgres, text), &mut |cells| {
            if let [Cell::Integer(now), oldest, hidden] = cells {
                let began = if let Cell::Integer(began) = oldest { (*began).min(*now) } else { *now };
                moment = Moment { now: *now, horizon: (hidden.flag() != Some(true)).then_some(began) };
            }
            Ok(())
        })?;
        Ok(moment)
    }

    fn notices(&self, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
        notices::notices(self, layout)
    }
}

impl ServerSession for PostgresSession {
    fn is_sound(&self) -> bool {
        self.waiting.is_sound()
    }

    fn answers(&self) -> bool {
        let mut conn = self.conn.borrow_mut();
        self.waiting.connection(async { conn.ping().await.map_err(|error| self.sorted(error)) }).is_ok()
    }

    fn catalogue(&self, wanted: &[&str]) -> Result<Catalogue, Fault> {
        catalogue::catalogue(self, wanted)
    }

    fn telling_script(&self, layout: &Layout) -> Result<Option<String>, Fault> {
        let silent = silent(self, layout)?;
        Ok((!silent.is_empty()).then(|| script(&silent)))
    }

    fn create(&self, schema: &str) -> Result<(), Fault> {
        // Several statements in one text are one transaction.
        self.run(schema)
    }
}

fn bound(query: &Query) -> sqlx::query::Query<'_, Postgres, PgArguments> {
    let mut bound = sqlx::query(AssertSqlSafe(query.text.clone()));
    for param in &query.params {
        bound = match param {
            Cell::Null => bound.bind(None::<String>),
            Cell::Integer(number) => bound.bind(*number),
            Cell::Real(number) => bound.bind(*number),
            Cell::Text(text) => bound.bind(text.clone().into_owned()),
        };
    }
    bound
}

/// The cells of a row: our selections give whole numbers, yes or no, and texts.
fn cells(row: &PgRow) -> Result<Vec<Cell<'_>>, sqlx::Error> {
    let cell = |place| {
        let value = row.try_get_raw(place)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let sort = value.type_info().name().to_owned();
        let cell = match sort.as_str() {
            "INT8" => Decode::<Postgres>::decode(value).map(Cell::Integer),
            "INT4" => <i32 as Decode<Postgres>>::decode(value).map(|number| Cell::Integer(number.into())),
            "INT2" => <i16 as Decode<Postgres>>::decode(value).map(|number| Cell::Integer(number.into())),
            "BOOL" => <bool as Decode<Postgres>>::decode(value).map(|yes| Cell::Integer(yes.into())),
            _ => <&str as Decode<Postgres>>::decode(value).map(|text| Cell::Text(text.into())),
        };
        cell.map_err(sqlx::Error::Decode)
    };
    (0..row.len()).map(cell).collect()
}
