//! The connection to the file: opened for what is needed, and opened anew when the file is another.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::aside::vfs;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::Link;
use crate::registrations::mapping::{MappedValues, RegisterMapping};
use crate::registrations::report::{MappingProblem, errors_in_one};
use crate::registrations::resolve::{resolve, tables_of};
use crate::registrations::sqlite::catalogue::catalogue;
use crate::registrations::sqlite::session::FileSession;
use crate::registrations::statements::Statements;

/// What the connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Reading and writing.
    ReadWrite,
    /// Reading only.
    ReadOnly,
}

/// Everything that is needed to open the register again.
#[derive(Clone, Debug)]
pub(super) struct Opening {
    pub(super) path: PathBuf,
    pub(super) mapping: RegisterMapping,
    pub(super) values: MappedValues,
    pub(super) access: Access,
}

/// An open register.
pub(super) struct RegisterFile {
    pub(super) session: FileSession,
    pub(super) layout: Arc<Layout>,
    sql: Statements,
    overlap: Duration,
    opening: Opening,
    mark: FileMark,
    certainty: Certainty,
    /// SQLite's count of what other connections committed, as last looked at; none of a file that took another one's place.
    version: Option<i64>,
}

/// Which file it is that we opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileMark {
    device: u64,
    inode: u64,
}

/// What SQLite itself guards against changes under a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// Its locks do.
    Locked,
    /// Nothing does (`immutable`): the file must look the same (length, time of change, no log) after each reading.
    Watched(u64, i64, i64),
}

/// Characters that mean something in a `file:` URI. <https://sqlite.org/uri.html>
const URI: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');

/// Statements are few but for the updates, which differ by the columns they set.
const CACHED_STATEMENTS: usize = 64;

impl RegisterFile {
    /// Opens the file and finds everything that the mapping names.
    pub(super) fn open(opening: Opening) -> Result<Self, Fault> {
        let (conn, mark, certainty) = connect(&opening)?;
        let layout = find_layout(&conn, &opening)?.map_err(|problems| {
            Fault::Mapping(errors_in_one(&problems).unwrap_or_else(|| "the mapping is wrong".to_owned()))
        })?;
        let sql = Statements::new(Dialect::Sqlite, &layout);
        let overlap = Duration::try_from(opening.mapping.overlap).unwrap_or_default();
        let version = Some(commits_seen(&conn)?);
        let session = FileSession(conn);
        Ok(Self { session, layout: Arc::new(layout), sql, overlap, opening, mark, certainty, version })
    }

    /// What the work on rows is given.
    pub(super) fn link(&self) -> Link<'_> {
        Link { session: &self.session, layout: &self.layout, sql: &self.sql, overlap: self.overlap }
    }

    /// Opens the file anew if another lies in its place, or if it changed where no lock guards it.
    pub(super) fn refresh(&mut self) -> Result<(), Fault> {
        let here = look(&self.opening.path)?;
        if here == self.mark && self.is_undisturbed()? {
            return Ok(());
        }
        let fresh = Self::open(self.opening.clone())?;
        if fresh.layout.features() != self.layout.features() {
            return Err(Fault::Mapping(
                "the register was replaced by one with other columns; restart rosterd".to_owned(),
            ));
        }
        *self = Self { version: None, ..fresh };
        Ok(())
    }

    /// Whether another connection committed something since this was last asked. What this one commits does not count.
    pub(super) fn was_changed(&mut self) -> Result<bool, Fault> {
        let before = self.version.replace(commits_seen(&self.session.0)?);
        Ok(before != self.version)
    }

    /// After reading without locks: whether what was read is whole.
    pub(super) fn confirm(&self) -> Result<(), Fault> {
        if self.is_undisturbed()? {
            return Ok(());
        }
        Err(Fault::Away(Box::new(io::Error::other("the file changed while it was read; try again"))))
    }

    fn is_undisturbed(&self) -> Result<bool, Fault> {
        match self.certainty {
            Certainty::Locked => Ok(true),
            watched @ Certainty::Watched(..) => {
                let path = &self.opening.path;
                Ok(watch(path)? == watched && !has_log(path))
            }
        }
    }
}

/// Opens the file; where SQLite cannot read it for want of a place for its shared memory, and no log is there, as a file
/// that nobody changes.
pub(super) fn connect(opening: &Opening) -> Result<(Connection, FileMark, Certainty), Fault> {
    let path = &opening.path;
    let mark = look(path)?;
    let timeout = Duration::try_from(opening.mapping.busy_timeout).unwrap_or_default();
    let flags = match opening.access {
        Access::ReadWrite => OpenFlags::SQLITE_OPEN_READ_WRITE,
        Access::ReadOnly => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let opened = open_as(&path.to_string_lossy(), flags, timeout);
    match (opened, opening.access) {
        (Ok(conn), _) => Ok((conn, mark, Certainty::Locked)),
        (Err(error), Access::ReadOnly) if wants_shared_memory(&error) && !has_log(path) => {
            let certainty = watch(path)?;
            let uri = format!("file:{}?immutable=1", utf8_percent_encode(&path.to_string_lossy(), URI));
            let conn = open_as(&uri, flags | OpenFlags::SQLITE_OPEN_URI, timeout)?;
            Ok((conn, mark, certainty))
        }
        (Err(error), _) => Err(error.into()),
    }
}

fn open_as(name: &str, flags: OpenFlags, timeout: Duration) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags_and_vfs(name, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX, vfs())?;
    conn.busy_timeout(timeout)?;
    conn.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    // A statement is planned once, not anew for every limit that is bound to it.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // What is erased is overwritten, so that no address remains in free pages.
    conn.pragma_update(None, "secure_delete", true)?;
    // Opening is lazy: only a reading shows whether the file can be read.
    conn.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(conn)
}

fn wants_shared_memory(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly))
}

/// <https://sqlite.org/pragma.html#pragma_data_version>
fn commits_seen(conn: &Connection) -> Result<i64, Fault> {
    Ok(conn.query_row("PRAGMA data_version", [], |row| row.get(0))?)
}

/// Finds everything that the mapping names, or all that is missing.
pub(super) fn find_layout(
    conn: &Connection,
    opening: &Opening,
) -> Result<Result<Layout, Vec<MappingProblem>>, Fault> {
    let catalogue = catalogue(conn, &tables_of(&opening.mapping))?;
    Ok(resolve(&opening.mapping, &opening.values, &catalogue, Dialect::Sqlite))
}

/// Which file lies at `path`.
fn look(path: &Path) -> Result<FileMark, Fault> {
    match fs::metadata(path) {
        Ok(facts) if facts.is_file() => Ok(FileMark { device: facts.dev(), inode: facts.ino() }),
        Ok(_) => Err(Fault::Mapping("it is no file".to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let problem = "there is no such file; `rosterd init` creates an empty register";
            Err(Fault::Mapping(problem.to_owned()))
        }
        Err(error) => Err(Fault::Away(Box::new(error))),
    }
}

fn watch(path: &Path) -> Result<Certainty, Fault> {
    let facts = fs::metadata(path).map_err(|error| Fault::Away(Box::new(error)))?;
    Ok(Certainty::Watched(facts.len(), facts.mtime(), facts.mtime_nsec()))
}

/// Whether a write-ahead log or a rollback journal lies beside the file and holds something: then the file alone is not the
/// whole truth. Whoever writes puts it there first.
fn has_log(path: &Path) -> bool {
    ["-wal", "-journal"].iter().any(|suffix| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        fs::metadata(Path::new(&name)).is_ok_and(|facts| facts.len() > 0)
    })
}
