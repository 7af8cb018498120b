//! What servers and the way to them say, sorted by what is done about it.

use std::io;

use sqlx::error::DatabaseError;

use crate::registrations::fault::{Fault, NoRoom};

/// What a server's own error calls for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::registrations) enum Sort {
    /// Try again.
    Away,
    /// Try again, on another connection.
    Cut,
    /// Somebody was faster.
    Raced,
    /// This row cannot be written.
    Refused,
    /// The configuration, or a right, is wrong.
    Mapping,
    /// The disk is full.
    NoRoom,
    /// Nobody knows.
    Failed,
}

/// What a server said; the driver's own words around it say nothing more.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

/// Sorts an error, and says whether the connection can be used again.
pub(in crate::registrations) fn sorted(
    error: sqlx::Error,
    sort: impl Fn(&dyn DatabaseError) -> Sort,
) -> (Fault, bool) {
    match error {
        sqlx::Error::Database(error) => {
            let said = Box::new(Said(error.message().to_owned()));
            match sort(error.as_ref()) {
                Sort::Away => (Fault::Away(said), true),
                Sort::Cut => (Fault::Away(said), false),
                Sort::Raced => (Fault::Raced(said), true),
                Sort::Refused => (Fault::Refused(said.0), true),
                Sort::Mapping => (Fault::Mapping(said.0), true),
                Sort::NoRoom => (Fault::Failed(Box::new(NoRoom(said))), true),
                Sort::Failed => (Fault::Failed(said), true),
            }
        }
        // A certificate that cannot be trusted comes as data that are not valid.
        sqlx::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            (Fault::Mapping(format!("no encrypted connection: {error}")), false)
        }
        sqlx::Error::Io(error) => (Fault::Away(Box::new(error)), false),
        sqlx::Error::Tls(cause) => (Fault::Mapping(format!("no encrypted connection: {cause}")), false),
        sqlx::Error::Configuration(cause) => (Fault::Mapping(cause.to_string()), false),
        sqlx::Error::Protocol(said) if said.contains("rsa") => {
            let problem = "the server asks for the password over a connection that is not encrypted; encrypt it \
                           (ssl-mode=REQUIRED), or use its socket";
            (Fault::Mapping(problem.to_owned()), false)
        }
        other => (Fault::Failed(Box::new(other)), false),
    }
}
