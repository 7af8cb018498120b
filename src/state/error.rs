//! What goes wrong with the state file, by what is done about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

/// What goes wrong with the state file, by what is done about it.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory is not there: create it.
    #[error("the directory {} does not exist: create it, owned by the user that rosterd runs as", .directory.display())]
    NoDirectory {
        /// The directory.
        directory: PathBuf,
    },
    /// There is no state yet: start the daemon first.
    #[error("there is no state file {} yet: start `rosterd run` or `rosterd sync` first", .path.display())]
    Missing {
        /// The file that was asked for.
        path: PathBuf,
    },
    /// Another process holds the state.
    #[error("the state file {} is held by process {pid}: stop that process, or let it do the work", .path.display())]
    Locked {
        /// The state file.
        path: PathBuf,
        /// The process, as it wrote itself down; `?` where that cannot be read.
        pid: String,
    },
    /// A newer version of the program wrote the file.
    #[error("the state file {} has version {found}, this program knows {known}: install the newer program, \
        or restore the backup made before it", .path.display())]
    Newer {
        /// The state file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The latest version that this program knows.
        known: i64,
    },
    /// An older version wrote the file, and this opener may not change it.
    #[error("the state file {} has version {found}, this program needs {known}: restart `rosterd run`, \
        which brings it up to date", .path.display())]
    Older {
        /// The state file.
        path: PathBuf,
        /// The file's version.
        found: i64,
        /// The version that is needed.
        known: i64,
    },
    /// A database, but not one of ours.
    #[error("{} is a database of another program: set [state] path to a file of its own", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be read as what it should be.
    #[error("the state file {} is damaged: restore it from a backup, or move it away; the next start then \
        adopts again, and the guard asks before anything is written", .path.display())]
    Damaged {
        /// The state file.
        path: PathBuf,
        /// What SQLite or the parser said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No room on the disk, or in a quota, which SQLite cannot tell from a disk that fails: nothing was written.
    #[error("the state file {} cannot be written: make room on its disk or in its quota; if there is room, \
        the disk is failing", .path.display())]
    DiskFull {
        /// The state file.
        path: PathBuf,
        /// What SQLite or the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Another process writes for longer than the busy time-out: try again.
    #[error("the state file {} is busy: try again", .path.display())]
    Busy {
        /// The state file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: rusqlite::Error,
    },
    /// No permission, or no such place.
    #[error("the state file {} cannot be opened: check its owner and mode", .path.display())]
    Inaccessible {
        /// The state file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state belongs to another register or audience.
    #[error(
        "this state file belongs to the {kind} {ours}, the configuration names {given}: correct the \
        configuration, or set [state] path to a file of its own"
    )]
    OtherIdentity {
        /// Of which side.
        kind: &'static str,
        /// What the state was made for.
        ours: String,
        /// What it was opened for.
        given: String,
    },
    /// No hold has this id.
    #[error("nothing is held under {id}: see `rosterd held`")]
    NoSuchHold {
        /// The id that was given.
        id: String,
    },
    /// The hold is over: what it listed is no longer wanted, or has been let through.
    #[error("the hold {id} is done: see `rosterd held` for what is held now")]
    HoldIsDone {
        /// The id that was given.
        id: String,
    },
    /// Anything else: a mistake of ours.
    #[error("the state file {} failed", .path.display())]
    Failed {
        /// The state file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What the work on a connection can end with, before it is known which file it was.
#[derive(Debug)]
pub(crate) enum Fault {
    /// SQLite refused.
    Sql(rusqlite::Error),
    /// Something stored cannot be read back, or something cannot be stored.
    Text(Box<dyn std::error::Error + Send + Sync>),
    /// Already said in full.
    Said(StateError),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<serde_json::Error> for Fault {
    fn from(error: serde_json::Error) -> Self {
        Self::Text(Box::new(error))
    }
}

impl From<jiff::Error> for Fault {
    fn from(error: jiff::Error) -> Self {
        Self::Text(Box::new(error))
    }
}

impl From<StateError> for Fault {
    fn from(error: StateError) -> Self {
        Self::Said(error)
    }
}

impl Fault {
    /// What happened to the file at `path`.
    pub(crate) fn at(self, path: &Path) -> StateError {
        let path = path.to_owned();
        let source = match self {
            Self::Said(error) => return error,
            Self::Text(source) => return StateError::Damaged { path, source },
            Self::Sql(source) => source,
        };
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StateError::Damaged { path, source: Box::new(source) }
            }
            _ if has_no_room(&source) => StateError::DiskFull { path, source: Box::new(source) },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StateError::Busy { path, source },
            Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                StateError::Inaccessible { path, source: Box::new(source) }
            }
            _ => StateError::Failed { path, source: Box::new(source) },
        }
    }
}

/// Whether a write failed for want of room, as far as SQLite tells: a quota is to it a write that failed.
/// <https://sqlite.org/rescode.html>
fn has_no_room(error: &rusqlite::Error) -> bool {
    const FAILED_WRITES: [i32; 4] = [
        ffi::SQLITE_IOERR_WRITE,
        ffi::SQLITE_IOERR_FSYNC,
        ffi::SQLITE_IOERR_TRUNCATE,
        ffi::SQLITE_IOERR_SHMSIZE,
    ];
    error.sqlite_error_code() == Some(ErrorCode::DiskFull)
        || error.sqlite_error().is_some_and(|error| FAILED_WRITES.contains(&error.extended_code))
}

impl StateError {
    /// Whether the configuration is at fault: the file is somebody else's.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::OtherIdentity { .. } | Self::Foreign { .. } => true,
            Self::NoDirectory { .. }
            | Self::Missing { .. }
            | Self::Locked { .. }
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Damaged { .. }
            | Self::DiskFull { .. }
            | Self::Busy { .. }
            | Self::Inaccessible { .. }
            | Self::NoSuchHold { .. }
            | Self::HoldIsDone { .. }
            | Self::Failed { .. } => false,
        }
    }

    /// What the system said of a file that is not read or written by SQLite.
    pub(crate) fn of_system(path: &Path, source: io::Error) -> Self {
        let (path, kind, source) = (path.to_owned(), source.kind(), Box::new(source));
        match kind {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path, source }
            }
            _ => Self::Inaccessible { path, source },
        }
    }

    /// The same of a file's copy, said of the file itself: that is the one somebody can mend.
    pub(crate) fn of_original(mut self, original: &Path) -> Self {
        match &mut self {
            Self::Newer { path, .. }
            | Self::Older { path, .. }
            | Self::Foreign { path }
            | Self::Damaged { path, .. } => original.clone_into(path),
            Self::NoDirectory { .. }
            | Self::Missing { .. }
            | Self::Locked { .. }
            | Self::DiskFull { .. }
            | Self::Busy { .. }
            | Self::Inaccessible { .. }
            | Self::OtherIdentity { .. }
            | Self::NoSuchHold { .. }
            | Self::HoldIsDone { .. }
            | Self::Failed { .. } => (),
        }
        self
    }
}
