//! SQLite's errors, sorted by what is done about them.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::registrations::fault::{Fault, NoRoom};

impl From<rusqlite::Error> for Fault {
    /// <https://sqlite.org/rescode.html>
    fn from(error: rusqlite::Error) -> Self {
        let said = match &error {
            rusqlite::Error::SqliteFailure(_, Some(said)) => said.clone(),
            rusqlite::Error::SqlInputError { msg, .. } => msg.clone(),
            other => other.to_string(),
        };
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::CannotOpen
                | ErrorCode::FileLockingProtocolFailed
                | ErrorCode::SchemaChanged,
            ) => Self::Away(Box::new(error)),
            Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
                Self::Refused(said)
            }
            Some(
                ErrorCode::Unknown
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::AuthorizationForStatementDenied
                | ErrorCode::NotADatabase,
            ) => Self::Mapping(said),
            _ if has_no_room(&error) => Self::Failed(Box::new(NoRoom(Box::new(error)))),
            _ => Self::Failed(Box::new(error)),
        }
    }
}

/// Whether a write failed for want of room, as far as SQLite tells: a quota is to it a write that failed.
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
