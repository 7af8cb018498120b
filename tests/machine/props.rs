//! What lies on the stage: a register and a state file, kept over many histories and swept between them.
//!
//! A history begins with both as they were when they were made. Making them anew each time would cost more than what is
//! played on them; so their rows are exchanged, and the connections stay.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rosterd::aside::vfs;
use rosterd::clock::Clock;
use rosterd::registrations::mapping::{Name, RegisterMapping};
use rosterd::registrations::{SqlRegister, create_register, open_sqlite};
use rosterd::state::State;
use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};

use crate::history::done;
use crate::parts::{START, live_in_the_story, values};
use crate::sides::Dated;

const REGISTER: &str = "registrations.db";
const STATE: &str = "state.db";
const BACK_UP: &str = "backup.db";

/// What the process has open.
pub(crate) struct Props {
    pub(crate) local: Arc<SqlRegister>,
    pub(crate) state: State,
    pub(crate) dated: Dated,
}

/// Exchanges the rows of the state file, past Rosterd.
pub(crate) struct Sweeper {
    state: Connection,
    tables: Vec<String>,
    /// What stands in a new file.
    originals: Vec<(String, Vec<Value>)>,
    back_up: PathBuf,
    knows_back_up: Cell<bool>,
}

/// Builds the files that every history begins with: in `originals`, and the first copy of them in `stage`.
pub(crate) fn build(directory: &Path) {
    let (originals, stage) = (directory.join("originals"), directory.join("stage"));
    for place in [&originals, &stage] {
        fs::create_dir_all(place).unwrap();
    }
    done(create_register(&originals.join(REGISTER))).unwrap();
    let register = connect(&originals.join(REGISTER));
    live_in_the_story(&register);
    small_pages(&register);
    register.close().unwrap();
    drop(done(State::open(originals.join(STATE), &Clock::set_at(START.parse().unwrap()))).unwrap());
    let state = connect(&originals.join(STATE));
    small_pages(&state);
    state.close().unwrap();
    lay_out(directory);
}

/// Puts a copy of the files on the stage.
pub(crate) fn lay_out(directory: &Path) {
    let (originals, stage) = (directory.join("originals"), directory.join("stage"));
    for entry in fs::read_dir(&stage).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    for (name, copy) in [(REGISTER, REGISTER), (STATE, STATE), (STATE, BACK_UP)] {
        fs::copy(originals.join(name), stage.join(copy)).unwrap();
    }
}

/// A handful of people fills no page of the usual size, and every write to the log is of whole pages.
fn small_pages(connection: &Connection) {
    connection.pragma_update(None, "journal_mode", "DELETE").unwrap();
    connection.execute_batch("PRAGMA page_size = 1024; VACUUM").unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
}

fn connect(path: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, vfs()).unwrap();
    connection.pragma_update(None, "synchronous", "OFF").unwrap();
    connection.busy_timeout(Duration::ZERO).unwrap();
    connection.set_prepared_statement_cache_capacity(256);
    connection
}

/// A connection of the website's.
pub(crate) fn open_register(stage: &Path) -> Connection {
    connect(&stage.join(REGISTER))
}

/// Every row that people wrote goes.
pub(crate) fn sweep_register(register: &Connection) {
    for sql in [
        "BEGIN",
        "DELETE FROM registration_interests",
        "DELETE FROM registrations",
        "DELETE FROM registration_removals",
        "DELETE FROM sqlite_sequence",
        "COMMIT",
    ] {
        register.prepare_cached(sql).unwrap().execute([]).unwrap();
    }
}

impl Props {
    /// Opens what lies on the stage, as a process does that starts.
    pub(crate) fn open(stage: &Path, clock: &Clock, dated: Dated) -> Self {
        let state = done(State::open(stage.join(STATE), clock)).unwrap();
        Self { local: Arc::new(open_local(stage, dated)), state, dated }
    }

    /// The same state, and the register under this mapping.
    pub(crate) fn mapped(self, stage: &Path, dated: Dated) -> Self {
        match self.dated == dated {
            true => self,
            false => Self { local: Arc::new(open_local(stage, dated)), dated, ..self },
        }
    }
}

fn open_local(stage: &Path, dated: Dated) -> SqlRegister {
    let mut register =
        RegisterMapping { busy_timeout: jiff::SignedDuration::ZERO, ..RegisterMapping::default() };
    if dated == Dated::No {
        register.columns.subscription_changed_at = Name::Off;
    }
    done(open_sqlite(&stage.join(REGISTER), &register, &values())).unwrap()
}

/// The state file is lost.
pub(crate) fn lose_state(stage: &Path) {
    for name in ["state.db", "state.db-wal", "state.db-shm"] {
        let _ = fs::remove_file(stage.join(name));
    }
}

impl Sweeper {
    pub(crate) fn new(stage: &Path) -> Self {
        let state = connect(&stage.join(STATE));
        state.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
        state.pragma_update(None, "foreign_keys", "OFF").unwrap();
        let tables: Vec<String> = {
            let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name";
            let mut names = state.prepare(sql).unwrap();
            names.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        let originals = tables.iter().flat_map(|table| rows_of(&state, table)).collect();
        Self { state, tables, originals, back_up: stage.join(BACK_UP), knows_back_up: Cell::new(false) }
    }

    /// The state file is as it was when it was made.
    pub(crate) fn sweep(&self) {
        self.run("BEGIN IMMEDIATE");
        for table in &self.tables {
            self.run(&format!("DELETE FROM {table}"));
        }
        for (table, row) in &self.originals {
            let places = vec!["?"; row.len()].join(", ");
            let sql = format!("INSERT INTO {table} VALUES ({places})");
            self.state.prepare_cached(&sql).unwrap().execute(params_from_iter(row)).unwrap();
        }
        self.run("COMMIT");
    }

    /// An administrator copies the state file.
    pub(crate) fn back_up(&self) {
        self.fill("backup", "main");
    }

    /// The copy takes the place of the state file.
    pub(crate) fn restore(&self) {
        self.fill("main", "backup");
    }

    /// Puts the rows of one file in place of those of another.
    fn fill(&self, to: &str, from: &str) {
        if !self.knows_back_up.replace(true) {
            self.state.execute("ATTACH ?1 AS backup", [self.back_up.to_str().unwrap()]).unwrap();
        }
        self.run("BEGIN IMMEDIATE");
        for table in &self.tables {
            self.run(&format!("DELETE FROM {to}.{table}"));
            self.run(&format!("INSERT INTO {to}.{table} SELECT * FROM {from}.{table}"));
        }
        self.run("COMMIT");
    }

    fn run(&self, sql: &str) {
        self.state.prepare_cached(sql).unwrap().execute([]).unwrap();
    }
}

fn rows_of(connection: &Connection, table: &str) -> Vec<(String, Vec<Value>)> {
    let mut statement = connection.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|column| row.get(column)).collect()).unwrap();
    rows.map(|row| (table.to_owned(), row.unwrap())).collect()
}
