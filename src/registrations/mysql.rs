//! MySQL from version 8, MariaDB from version 10.6.

mod catalogue;
mod fault;
mod notices;

use std::borrow::Cow;
use std::cell::{Cell as Flag, RefCell};

use futures::TryStreamExt;
use sqlx::mysql::{MySql, MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Decode, Executor, Row, Type, ValueRef};

use crate::registrations::catalogue::Catalogue;
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::{Moment, Purpose, Session, Visit};
use crate::registrations::query::Query;
use crate::registrations::report::MappingProblem;
use crate::registrations::server::fault::sorted;
use crate::registrations::server::waiting::Waiting;
use crate::registrations::server::{Access, ServerSession};

/// What is waited for, by the server, before each try to see who else is at work: `InnoDB` renews what it shows once nobody has
/// read it for a tenth of a second (`CACHE_MIN_IDLE_TIME_NS` in its `trx0i_s.cc`).
const PAUSES: [&str; 3] = ["", "DO SLEEP(0.11)", "DO SLEEP(0.13)"];

/// A connection to MySQL or MariaDB.
pub(super) struct MysqlSession {
    conn: RefCell<MySqlConnection>,
    waiting: Waiting,
    /// Whether we may see who else is at work.
    sees_others: Flag<bool>,
    /// How often we asked who else is at work.
    questions: Flag<u64>,
}

impl MysqlSession {
    /// Connects; the server is told our limits, to speak of times in UTC, and to refuse a value rather than to cut it.
    pub(super) fn connect(
        options: &MySqlConnectOptions,
        waiting: Waiting,
        access: Access,
    ) -> Result<Self, Fault> {
        let options = options
            .clone()
            .timezone(None)
            .pipes_as_concat(false)
            .no_engine_substitution(false)
            .disable_statement_logging();
        let conn = waiting
            .connection(async { options.connect().await.map_err(|error| sorted(error, fault::sort).0) })?;
        let session =
            Self { conn: RefCell::new(conn), waiting, sees_others: Flag::new(true), questions: Flag::new(0) };
        let mut version = String::new();
        session.each(&Query::new(Dialect::Mysql, "SELECT CAST(VERSION() AS CHAR)"), &mut |cells| {
            version.extend(cells.first().map(|cell| cell.text().into_owned()));
            Ok(())
        })?;
        let patience = session.waiting.patience;
        // MySQL limits readings only; what writes waits for locks, which are limited too.
        let limit = if version.contains("MariaDB") {
            format!("max_statement_time = {}", patience.statement.as_secs_f64())
        } else {
            format!("max_execution_time = {}", patience.statement.as_millis())
        };
        let lock = patience.lock.as_secs_f64().ceil().max(1.0);
        session.run(&format!(
            "SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1, \
             innodb_lock_wait_timeout = {lock}, lock_wait_timeout = {lock}, {limit}"
        ))?;
        session.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")?;
        if access == Access::ReadOnly {
            session.run("SET SESSION TRANSACTION READ ONLY")?;
        }
        Ok(session)
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

    /// How long ago the oldest transaction of others began, in seconds; `None` where it cannot be told.
    ///
    /// `InnoDB` shows the transactions from a copy, which is not renewed as long as anybody reads it more often than each
    /// tenth of a second: what began since is missing in it. Ours is in it by the name that only this question bears,
    /// where the copy was made for this question. The times are in the zone of the server's system, whatever the session's.
    fn oldest_transaction(&self) -> Result<Option<i64>, Fault> {
        self.run("SET time_zone = 'SYSTEM'")?;
        let age = self.try_to_see();
        if self.run("SET time_zone = '+00:00'").is_err() {
            self.waiting.give_up();
        }
        age
    }

    fn try_to_see(&self) -> Result<Option<i64>, Fault> {
        for pause in PAUSES {
            if !pause.is_empty() {
                self.run(pause)?;
            }
            self.begin(Purpose::Read)?;
            let age = self.shown_transactions();
            self.roll_back();
            if let Some(age) = age? {
                return Ok(Some(age));
            }
        }
        Ok(None)
    }

    /// The age of the oldest of others' transactions, zero where there is none; `None` where what is shown is of before.
    fn shown_transactions(&self) -> Result<Option<i64>, Fault> {
        let question = self.questions.get();
        self.questions.set(question.wrapping_add(1));
        let text = format!(
            "SELECT /* rosterd {question} */ \
               CAST(max(IF(trx_mysql_thread_id = CONNECTION_ID(), 0, timestampdiff(SECOND, trx_started, NOW()))) AS SIGNED), \
               CAST(coalesce(sum(trx_mysql_thread_id = CONNECTION_ID() AND trx_query LIKE '%rosterd {question} %'), 0) AS SIGNED) \
             FROM information_schema.innodb_trx"
        );
        let mut age = None;
        self.each(&Query::new(Dialect::Mysql, text), &mut |cells| {
            if let [Cell::Integer(oldest), Cell::Integer(1..)] = cells {
                age = Some(*oldest);
            }
            Ok(())
        })?;
        Ok(age)
    }
}

impl Session for MysqlSession {
    fn dialect(&self) -> Dialect {
        Dialect::Mysql
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
        self.run(match purpose {
            Purpose::Read => "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
            // Its snapshot begins after the row is locked.
            Purpose::Write => "START TRANSACTION",
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

    fn now(&self) -> Result<i64, Fault> {
        let text = "SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED)";
        let mut now = 0;
        self.each(&Query::new(Dialect::Mysql, text), &mut |cells| {
            now = if let [Cell::Integer(found)] = cells { *found } else { 0 };
            Ok(())
        })?;
        Ok(now)
    }

    /// A row is dated when its statement begins, which is after its transaction did.
    fn moment(&self) -> Result<Moment, Fault> {
        let now = self.now()?;
        if !self.sees_others.get() {
            return Ok(Moment { now, horizon: Some(now) });
        }
        match self.oldest_transaction() {
            // Its seconds are whole.
            Ok(age) => Ok(Moment { now, horizon: age.map(|age| now - (age.max(0) + 1) * 1000) }),
            Err(Fault::Mapping(_)) => {
                self.sees_others.set(false);
                Ok(Moment { now, horizon: Some(now) })
            }
            Err(fault) => Err(fault),
        }
    }

    fn notices(&self, layout: &Layout) -> Result<Vec<MappingProblem>, Fault> {
        let sees_others = self.moment().map(|_| self.sees_others.get())?;
        notices::notices(self, layout, sees_others)
    }
}

impl ServerSession for MysqlSession {
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

    /// It tells nobody.
    fn telling_script(&self, _: &Layout) -> Result<Option<String>, Fault> {
        Ok(None)
    }

    /// Statements that make tables cannot be taken back here; they end with a semicolon at the end of a line, those within a
    /// trigger's body do not.
    fn create(&self, schema: &str) -> Result<(), Fault> {
        schema
            .split(";\n\n")
            .map(str::trim)
            .filter(|text| !text.is_empty())
            .try_for_each(|text| self.run(text))
    }
}

fn bound(query: &Query) -> sqlx::query::Query<'_, MySql, MySqlArguments> {
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

/// The cells of a row: our selections give whole numbers and texts.
fn cells(row: &MySqlRow) -> Result<Vec<Cell<'_>>, sqlx::Error> {
    let cell = |place| {
        let value = row.try_get_raw(place)?;
        if value.is_null() {
            return Ok(Cell::Null);
        }
        let sort = value.type_info().into_owned();
        let cell = if <i64 as Type<MySql>>::compatible(&sort) {
            <i64 as Decode<MySql>>::decode(value).map(Cell::Integer)
        } else if <u64 as Type<MySql>>::compatible(&sort) {
            <u64 as Decode<MySql>>::decode(value).map(|number| match i64::try_from(number) {
                Ok(number) => Cell::Integer(number),
                Err(_) => Cell::owned(number.to_string()),
            })
        } else if <f64 as Type<MySql>>::compatible(&sort) {
            <f64 as Decode<MySql>>::decode(value).map(Cell::Real)
        } else {
            <&[u8] as Decode<MySql>>::decode(value).map(|bytes| {
                Cell::Text(match std::str::from_utf8(bytes) {
                    Ok(text) => Cow::Borrowed(text),
                    Err(_) => String::from_utf8_lossy(bytes),
                })
            })
        };
        cell.map_err(sqlx::Error::Decode)
    };
    (0..row.len()).map(cell).collect()
}
