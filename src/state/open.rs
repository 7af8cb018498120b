//! Opening the file: create, lock, check, bring up to date.

use std::fs::{OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rusqlite_migration::{M, Migrations};
use tempfile::TempDir;

use crate::aside::{aside, vfs};
use crate::clock::Clock;
use crate::state::error::{Fault, StateError};
use crate::state::owner::{folder_of, give_away};
use crate::state::text::stamp;
use crate::state::{Inner, State, lock};

const STEPS: &[M<'_>] = &[M::up(include_str!("schema/1.sql"))];
const MIGRATIONS: Migrations<'_> = Migrations::from_slice(STEPS);
/// The version of a file that this program writes: one a step.
const VERSION: i64 = 1;
/// `Rost`, in the header of every state file, so that no other database is taken for one.
const APPLICATION_ID: i64 = 0x526f_7374;
/// What people's small decisions wait for a writing daemon, and it for them.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept prepared; there are fewer.
const STATEMENTS: usize = 256;

impl State {
    /// Opens the state file at `path` for the one process that does the work, and creates it where there is none.
    ///
    /// # Errors
    ///
    /// [`StateError::NoDirectory`], [`StateError::Locked`], [`StateError::Newer`], [`StateError::Foreign`],
    /// [`StateError::Damaged`], [`StateError::DiskFull`], [`StateError::Inaccessible`].
    pub async fn open(path: impl Into<PathBuf>, clock: &Clock) -> Result<Self, StateError> {
        let (path, now) = (path.into(), stamp(clock.now()));
        off_the_runtime(path, move |path| {
            let directory = folder_of(path);
            if !directory.is_dir() {
                return Err(StateError::NoDirectory { directory: directory.to_owned() }.into());
            }
            let lock = lock::take(path)?;
            create(path).map_err(|source| inaccessible(path, source))?;
            let connection = connect(path)?;
            migrate(path, connection, &now).map(|connection| Inner {
                path: path.to_owned(),
                connection: Mutex::new(connection),
                _lock: Some(lock),
                _directory: None,
            })
        })
        .await
    }

    /// Opens the state beside the process that does the work, for the small decisions of people.
    ///
    /// No lock and no migration; waits up to five seconds for a writer.
    ///
    /// # Errors
    ///
    /// [`StateError::Missing`], [`StateError::Newer`], [`StateError::Older`], [`StateError::Foreign`],
    /// [`StateError::Damaged`], [`StateError::Inaccessible`].
    pub async fn open_shared(path: impl Into<PathBuf>) -> Result<Self, StateError> {
        off_the_runtime(path.into(), |path| {
            if !path.exists() {
                return Err(StateError::Missing { path: path.to_owned() }.into());
            }
            let connection = connect(path)?;
            let found = version(path, &connection)?;
            if found < VERSION {
                return Err(StateError::Older { path: path.to_owned(), found, known: VERSION }.into());
            }
            connection.execute_batch(include_str!("schema/temporary.sql"))?;
            Ok(Inner {
                path: path.to_owned(),
                connection: Mutex::new(connection),
                _lock: None,
                _directory: None,
            })
        })
        .await
    }
}

/// Opens a copy that nobody else knows of, in a directory that goes with it.
pub(crate) fn open_private(path: &Path, directory: TempDir, now: &str) -> Result<Inner, Fault> {
    let connection = connect(path)?;
    // A private copy survives no crash anyway.
    connection.pragma_update(None, "synchronous", "OFF")?;
    let connection = migrate(path, connection, now)?;
    Ok(Inner {
        path: path.to_owned(),
        connection: Mutex::new(connection),
        _lock: None,
        _directory: Some(directory),
    })
}

/// Runs `work` off the runtime's threads and names the file in what goes wrong.
pub(crate) async fn off_the_runtime<W>(path: PathBuf, work: W) -> Result<State, StateError>
where
    W: FnOnce(&Path) -> Result<Inner, Fault> + Send + 'static,
{
    let named = path.clone();
    match aside(move || work(&path).map_err(|fault| fault.at(&path))).await {
        Ok(inner) => inner.map(|inner| State { inner: Arc::new(inner) }),
        Err(source) => Err(StateError::Failed { path: named, source: Box::new(source) }),
    }
}

/// What the system said about the file at `path`.
pub(crate) fn inaccessible(path: &Path, source: std::io::Error) -> StateError {
    StateError::of_system(path, source)
}

/// Creates an empty file that others of the group may read, whatever the umask.
fn create(path: &Path) -> std::io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(file) => {
            file.set_permissions(Permissions::from_mode(0o640))?;
            give_away(&file, folder_of(path))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Refuses a file that is no database: SQLite itself would take some of them for empty ones.
fn check_header(path: &Path) -> Result<(), Fault> {
    const MAGIC: &[u8] = b"SQLite format 3\0";
    let mut head = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(16).read_to_end(&mut head))
        .map_err(|source| inaccessible(path, source))?;
    if head.is_empty() || head == MAGIC {
        return Ok(());
    }
    Err(StateError::Damaged { path: path.to_owned(), source: "it is not a SQLite database".into() }.into())
}

fn connect(path: &Path) -> Result<Connection, Fault> {
    check_header(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, vfs())?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // A statement is planned once, not anew for every limit that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    version(path, &connection)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    connection.pragma_update(None, "secure_delete", "ON")?;
    connection.pragma_update(None, "trusted_schema", "OFF")?;
    // FILE: what is staged may be larger than memory.
    connection.pragma_update(None, "temp_store", "FILE")?;
    // In KiB: a walk looks members up in no order of ours.
    connection.pragma_update(None, "cache_size", -32 * 1024)?;
    connection.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)?;
    Ok(connection)
}

/// The version of the file; 0 for an empty one.
fn version(path: &Path, connection: &Connection) -> Result<i64, Fault> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i64 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if application != APPLICATION_ID && (tables > 0 || found != 0) {
        return Err(StateError::Foreign { path: path.to_owned() }.into());
    }
    if found > VERSION {
        return Err(StateError::Newer { path: path.to_owned(), found, known: VERSION }.into());
    }
    Ok(found)
}

fn migrate(path: &Path, mut connection: Connection, now: &str) -> Result<Connection, Fault> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // Before the first table: a crash between the two must not leave a file that looks like another program's.
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    MIGRATIONS.to_latest(&mut connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => Fault::Sql(err),
        other => StateError::Failed { path: path.to_owned(), source: Box::new(other) }.into(),
    })?;
    check_small_tables(path, &connection)?;
    connection.execute("INSERT OR IGNORE INTO meta (key, value) VALUES ('created_at', ?1)", [now])?;
    connection.execute(
        "INSERT OR IGNORE INTO meta (key, value) VALUES ('erasure_key', lower(hex(randomblob(32))))",
        [],
    )?;
    connection.execute_batch(include_str!("schema/temporary.sql"))?;
    Ok(connection)
}

/// Looks for damage where it is cheap to look: checking the large tables would take as long as reading them.
fn check_small_tables(path: &Path, connection: &Connection) -> Result<(), Fault> {
    for table in ["meta", "cursors", "policies", "pending", "holds"] {
        let said: String =
            connection.query_row(&format!("PRAGMA quick_check({table})"), [], |row| row.get(0))?;
        if said != "ok" {
            return Err(StateError::Damaged { path: path.to_owned(), source: said.into() }.into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MemberId;
    use crate::state::sample::{members, now, open, reopen, row, trio};

    async fn error_of(path: &Path) -> StateError {
        State::open(path, &Clock::set_at(now())).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_missing_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("nowhere");
        let error = error_of(&missing.join("state.db")).await;
        assert!(matches!(&error, StateError::NoDirectory { directory } if *directory == missing), "{error}");
        assert!(error.to_string().contains("nowhere"));
        assert!(!missing.exists(), "and not made");
    }

    #[tokio::test]
    async fn one_process_holds_the_state_and_a_second_one_is_told_which() {
        let (directory, state) = open().await;
        let path = directory.path().join("state.db");
        let error = error_of(&path).await;
        let own = std::process::id().to_string();
        assert!(matches!(&error, StateError::Locked { pid, .. } if *pid == own), "{error}");
        assert!(error.to_string().contains(&own));
        drop(state);
        reopen(&directory).await;
    }

    #[tokio::test]
    async fn the_file_is_for_the_group_to_read_and_for_nobody_else() {
        let (directory, state) = open().await;
        members(&state, &["a"]).await;
        for name in ["state.db", "state.db-wal", "state.db.lock"] {
            let mode = std::fs::metadata(directory.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o137, 0, "{name}: {mode:o}");
        }
    }

    #[tokio::test]
    async fn what_was_put_is_there_after_a_crash() {
        let (directory, state) = open().await;
        let member = members(&state, &["a"]).await[0];
        // A copy taken while the file is open is what a power failure leaves: the log has not been folded in.
        let crashed = tempfile::tempdir().unwrap();
        for name in ["state.db", "state.db-wal"] {
            std::fs::copy(directory.path().join(name), crashed.path().join(name)).unwrap();
        }
        let state = reopen(&crashed).await;
        assert!(trio(&state, member).await.remote.is_some());
    }

    #[tokio::test]
    async fn a_newer_file_is_left_alone() {
        let (directory, state) = open().await;
        let path = directory.path().join("state.db");
        state.call(|connection| Ok(connection.pragma_update(None, "user_version", 99)?)).await.unwrap();
        drop(state);
        let newer = |error: &StateError| matches!(error, StateError::Newer { found: 99, known: VERSION, .. });
        let error = error_of(&path).await;
        assert!(newer(&error), "{error}");
        let error = State::open_shared(&path).await.unwrap_err();
        assert!(newer(&error), "{error}");
        let error = State::copy_for_plan(&path, &Clock::set_at(now())).await.unwrap_err();
        assert!(newer(&error), "{error}");
    }

    #[tokio::test]
    async fn a_small_decision_never_changes_the_version_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let error = State::open_shared(&path).await.unwrap_err();
        assert!(matches!(error, StateError::Missing { .. }), "{error}");
        std::fs::write(&path, "").unwrap();
        let error = State::open_shared(&path).await.unwrap_err();
        assert!(matches!(error, StateError::Older { found: 0, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_database_of_another_program_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registrations.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE registrations (id)").unwrap();
        let error = error_of(&path).await;
        assert!(matches!(error, StateError::Foreign { .. }), "{error}");
        let tables: i64 = Connection::open(&path)
            .unwrap()
            .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tables, 1);
    }

    #[tokio::test]
    async fn damage_is_said_with_what_to_do() {
        let (whole, state) = open().await;
        members(&state, &["a", "b"]).await;
        drop(state);
        let bytes = std::fs::read(whole.path().join("state.db")).unwrap();
        let mut scribbled = bytes.clone();
        scribbled[4096..].fill(0x55);
        let cases: [(&str, &[u8]); 4] = [
            ("not a database", b"%PDF-1.7 and so on, much longer than a header"),
            ("shorter than a header", b"SQLite"),
            ("cut short", &bytes[..bytes.len() / 2]),
            ("scribbled over", &scribbled),
        ];
        for (what, content) in cases {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("state.db");
            std::fs::write(&path, content).unwrap();
            let error = error_of(&path).await;
            assert!(matches!(error, StateError::Damaged { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains("restore it from a backup"), "{what}: {error}");
            assert_eq!(std::fs::read(&path).unwrap(), content, "{what}: left as it was");
        }
    }

    #[tokio::test]
    async fn a_full_disk_is_said_and_nothing_is_half_written() {
        let (_directory, state) = open().await;
        members(&state, &["a"]).await;
        state
            .call(|connection| {
                let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
                connection.pragma_query_value(None, "max_page_count", |row| row.get::<_, i64>(0))?;
                connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
                Ok(())
            })
            .await
            .unwrap();
        let many = (0..500).map(|id| row(&format!("{id}"), &format!("p{id}"))).collect();
        let error = state.put_readings(many, Vec::new()).await.unwrap_err();
        assert!(matches!(error, StateError::DiskFull { .. }), "{error}");
        assert!(state.trio(MemberId(2), now()).await.unwrap().is_none());
        assert!(state.trio(MemberId(1), now()).await.unwrap().is_some());
    }

    #[tokio::test]
    async fn people_decide_beside_the_process_that_does_the_work() {
        let (directory, state) = open().await;
        let shared = State::open_shared(directory.path().join("state.db")).await.unwrap();
        shared.set_paused(crate::state::Pause::Paused(now())).await.unwrap();
        assert_eq!(state.paused().await.unwrap(), crate::state::Pause::Paused(now()));
        state.set_paused(crate::state::Pause::Running).await.unwrap();
        assert_eq!(shared.paused().await.unwrap(), crate::state::Pause::Running);
    }

    #[test]
    fn the_version_is_the_number_of_steps() {
        assert_eq!(i64::try_from(STEPS.len()), Ok(VERSION));
        MIGRATIONS.validate().unwrap();
    }
}
