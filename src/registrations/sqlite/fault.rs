//! What goes wrong with a SQLite register, before it is known where.

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::registrations::RegisterError;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// SQLite said so.
    Sql(rusqlite::Error),
    /// The file is out of reach, or changed under us.
    Away(Box<dyn std::error::Error + Send + Sync>),
    /// One row's write cannot be made.
    Refused(String),
    /// The register is not as configured.
    Mapping(String),
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sql(error)
    }
}

impl Fault {
    /// The fault in the words of the contract.
    pub(super) fn at(self, place: &str, row: &str) -> RegisterError {
        let place = place.to_owned();
        match self {
            Self::Sql(error) => sql_error(error, place, row),
            Self::Away(source) => RegisterError::Busy { place, source },
            Self::Refused(said) => RegisterError::Refused { row: row.to_owned(), said: redacted(&said) },
            Self::Mapping(problem) => RegisterError::Mapping { place, problem },
        }
    }
}

/// Sorts an error of SQLite's by what is done about it. <https://sqlite.org/rescode.html>
fn sql_error(error: rusqlite::Error, place: String, row: &str) -> RegisterError {
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
        ) => RegisterError::Busy { place, source: Box::new(error) },
        Some(ErrorCode::ConstraintViolation | ErrorCode::TypeMismatch | ErrorCode::TooBig) => {
            RegisterError::Refused { row: row.to_owned(), said: redacted(&said) }
        }
        Some(
            ErrorCode::Unknown
            | ErrorCode::ReadOnly
            | ErrorCode::PermissionDenied
            | ErrorCode::AuthorizationForStatementDenied
            | ErrorCode::NotADatabase,
        ) => RegisterError::Mapping { place, problem: said },
        _ if has_no_room(&error) => RegisterError::Failed { place, source: Box::new(NoRoom(error)) },
        _ => RegisterError::Failed { place, source: Box::new(error) },
    }
}

/// A write failed for want of room, or because the disk fails, which SQLite cannot tell apart.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be written: make room on its disk or in its quota; if there is room, the disk is failing")]
struct NoRoom(#[source] rusqlite::Error);

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

/// The website's triggers say what they like: addresses in it are left out.
fn redacted(said: &str) -> String {
    let words = said.split(' ').map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_says_is_repeated_without_addresses() {
        let fault = Fault::Refused("no room for ada@alliance.test here".to_owned());
        let said = fault.at("register.db", "7").to_string();
        assert_eq!(said, "the register refused to write row 7: no room for <address> here");
    }
}
