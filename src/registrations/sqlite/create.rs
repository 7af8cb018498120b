//! A new, empty register.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::registrations::RegisterError;
use crate::registrations::fault::Fault;
use crate::registrations::register::on_a_thread;

const SCHEMA: &str = include_str!("schema.sql");

/// Read and written by the owner, read by the group: it holds addresses.
const MODE: u32 = 0o640;

/// Creates an empty register in `path`, with the tables of the default mapping; a file that is there is left alone.
///
/// The file keeps a write-ahead log, so that the website and Rosterd do not wait for each other's readings.
pub async fn create_register(path: &Path) -> Result<(), RegisterError> {
    let path = path.to_owned();
    let place = path.display().to_string();
    on_a_thread(&place, "-", move || {
        let created = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&path);
        match created {
            Ok(_) => (),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Fault::Mapping("the file is there already; it was left alone".to_owned()));
            }
            Err(error) => return Err(Fault::Away(Box::new(error))),
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(&path, flags)?;
        conn.pragma_update(None, "journal_mode", "WAL")?;
        let transaction = conn.transaction()?;
        transaction.execute_batch(SCHEMA)?;
        transaction.commit()?;
        Ok(())
    })
    .await
}

/// Runs statements of the website's on the register in `path`, all or none: what a form or a member of staff does.
pub async fn run_script(path: &Path, script: &str) -> Result<(), RegisterError> {
    let (path, script) = (path.to_owned(), script.to_owned());
    let place = path.display().to_string();
    on_a_thread(&place, "-", move || {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&path, flags)?;
        conn.busy_timeout(std::time::Duration::from_secs(5))?;
        conn.execute_batch(&script)?;
        Ok(())
    })
    .await
}
