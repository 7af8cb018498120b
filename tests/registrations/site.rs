//! The website: one connection that runs what it is told, on a thread of its own where it waits for a server.

use std::sync::mpsc::{Sender, channel};
use std::thread::spawn;

use rusqlite::Connection;
use rusqlite::types::Value;
use sqlx::{
    AssertSqlSafe, Connection as _, Executor, MySqlConnection, PgConnection, Row, TypeInfo, ValueRef,
};

use crate::stores::Store;

/// The website's connection.
pub(crate) enum Site {
    /// To a file.
    File(Connection),
    /// To a server.
    Server(Sender<Order>),
}

/// What a site is told to run, and where the answer goes.
pub(crate) type Order = (String, Sender<Answer>);

/// The rows that a query found, or why not.
pub(crate) type Answer = Result<Vec<Vec<Value>>, String>;

impl Site {
    /// Opens a file.
    pub(crate) fn file(path: &str) -> Self {
        let site = Connection::open(path).unwrap();
        site.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
        Self::File(site)
    }

    /// Connects to a server.
    pub(crate) fn server(store: Store, address: &str) -> Self {
        let (orders, received) = channel::<Order>();
        let address = address.to_owned();
        spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let mut conn = runtime.block_on(Conn::open(store, &address));
            for (text, answer) in received {
                let _ = answer.send(runtime.block_on(conn.run(&text)));
            }
        });
        Self::Server(orders)
    }

    /// Runs statements.
    pub(crate) fn run(&self, text: &str) {
        self.rows(text);
    }

    /// Runs a query; its first cell.
    pub(crate) fn first(&self, text: &str) -> Value {
        self.rows(text).into_iter().flatten().next().unwrap_or(Value::Null)
    }

    /// Runs a query.
    pub(crate) fn rows(&self, text: &str) -> Vec<Vec<Value>> {
        let answer = match self {
            Self::File(conn) => of_file(conn, text).map_err(|error| error.to_string()),
            Self::Server(_) => self.begin(text).recv().unwrap(),
        };
        answer.unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// Begins to run statements that wait for somebody; the answer comes when it comes.
    pub(crate) fn begin(&self, text: &str) -> std::sync::mpsc::Receiver<Answer> {
        let (answer, answered) = channel();
        match self {
            Self::File(_) => panic!("a file has one thread"),
            Self::Server(orders) => orders.send((text.to_owned(), answer)).unwrap(),
        }
        answered
    }

    /// The connection to the file.
    pub(crate) fn sqlite(&self) -> &Connection {
        match self {
            Self::File(conn) => conn,
            Self::Server(_) => panic!("no file"),
        }
    }
}

enum Conn {
    Postgres(PgConnection),
    Mariadb(MySqlConnection),
}

impl Conn {
    async fn open(store: Store, address: &str) -> Self {
        match store {
            Store::Postgres => Self::Postgres(PgConnection::connect(address).await.unwrap()),
            Store::Mariadb => Self::Mariadb(MySqlConnection::connect(address).await.unwrap()),
            Store::Sqlite => panic!("no server"),
        }
    }

    async fn run(&mut self, text: &str) -> Answer {
        let text = sqlx::raw_sql(AssertSqlSafe(text.to_owned()));
        let rows = match self {
            Self::Postgres(conn) => {
                conn.fetch_all(text).await.map(|rows| rows.iter().map(of_postgres).collect())
            }
            Self::Mariadb(conn) => {
                conn.fetch_all(text).await.map(|rows| rows.iter().map(of_mariadb).collect())
            }
        };
        rows.map_err(|error| error.to_string())
    }
}

fn of_file(conn: &Connection, text: &str) -> rusqlite::Result<Vec<Vec<Value>>> {
    if !text.trim_start().starts_with("SELECT") {
        conn.execute_batch(text)?;
        return Ok(Vec::new());
    }
    let mut statement = conn.prepare(text)?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|place| row.get(place)).collect())?;
    rows.collect()
}

/// A row as the server spells it.
fn of_postgres(row: &sqlx::postgres::PgRow) -> Vec<Value> {
    let cell = |place| {
        let value = row.try_get_raw(place).unwrap();
        if value.is_null() {
            return Value::Null;
        }
        let text = value.as_str().unwrap();
        match value.type_info().name() {
            "INT4" | "INT8" => Value::Integer(text.parse().unwrap()),
            _ => Value::Text(text.to_owned()),
        }
    };
    (0..row.len()).map(cell).collect()
}

fn of_mariadb(row: &sqlx::mysql::MySqlRow) -> Vec<Value> {
    let cell = |place| {
        let value = row.try_get_raw(place).unwrap();
        if value.is_null() {
            return Value::Null;
        }
        let sort = value.type_info().name().to_owned();
        let bytes = <&[u8] as sqlx::Decode<sqlx::MySql>>::decode(value).unwrap();
        let text = String::from_utf8_lossy(bytes).into_owned();
        match text.parse() {
            Ok(number) if sort.contains("INT") => Value::Integer(number),
            _ => Value::Text(text),
        }
    };
    (0..row.len()).map(cell).collect()
}
