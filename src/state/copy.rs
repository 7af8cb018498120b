//! A private copy for a dry run: reads the state, writes neither it nor beside it.

use std::fs::Metadata;
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rusqlite::{Connection, OpenFlags};

use crate::clock::Clock;
use crate::state::error::{Fault, StateError};
use crate::state::lock::beside;
use crate::state::open::{inaccessible, off_the_runtime, open_private};
use crate::state::text::stamp;
use crate::state::{Inner, State};

/// How often a copy is begun again because the daemon wrote meanwhile.
const ATTEMPTS: usize = 20;

/// What stands for something else in the path of a URI.
const SPECIAL: &AsciiSet = &CONTROLS.add(b'%').add(b'?').add(b'#');

impl State {
    /// Opens a copy of the state at `path`, or an empty one where there is none yet, that goes when it is dropped.
    ///
    /// Needs to read the file and no more: it works beside a running daemon, and for somebody who may not write
    /// in its directory.
    ///
    /// # Errors
    ///
    /// [`StateError::Newer`], [`StateError::Foreign`], [`StateError::Damaged`], [`StateError::Busy`],
    /// [`StateError::Inaccessible`], [`StateError::DiskFull`] (of the temporary directory).
    pub async fn copy_for_plan(path: impl Into<PathBuf>, clock: &Clock) -> Result<Self, StateError> {
        let now = stamp(clock.now());
        off_the_runtime(path.into(), move |path| private_copy(path, &now)).await
    }
}

fn private_copy(path: &Path, now: &str) -> Result<Inner, Fault> {
    let directory = tempfile::tempdir().map_err(|source| inaccessible(path, source))?;
    let target = directory.path().join("state.db");
    if path.try_exists().map_err(|source| inaccessible(path, source))? {
        copy(path, &target)?;
    } else {
        std::fs::File::create(&target).map_err(|source| inaccessible(&target, source))?;
    }
    open_private(&target, directory, now).map_err(|fault| fault.at(&target).of_original(path).into())
}

/// What tells whether a file was written: its length and the time of its last change; `None` where it is missing.
type Mark = Option<(u64, Option<std::time::SystemTime>)>;

fn mark(path: &Path) -> Mark {
    let of = |metadata: Metadata| (metadata.len(), metadata.modified().ok());
    std::fs::metadata(path).ok().map(of)
}

fn copy(path: &Path, target: &Path) -> Result<(), Fault> {
    let (log, index) = (beside(path, "-wal"), beside(path, "-shm"));
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let before = (mark(path), mark(&log));
        let log_is_empty = before.1.is_none_or(|(length, _)| length == 0);
        // 1. Nothing in the log: the file alone is the state, and SQLite need not make files beside it.
        // 2. A log and its index: a process may be writing; SQLite reads along without making anything.
        // 3. A log without an index: left by a crash. SQLite would have to make the index, so that both are copied.
        let copied = match (log_is_empty, index.exists()) {
            (true, _) => vacuum(&format!("{}&immutable=1", uri(path)), target),
            (false, true) => match vacuum(&uri(path), target) {
                Ok(()) => return Ok(()),
                // The index may not be opened by us, or went away just now.
                Err(_) => copy_files(path, &log, target),
            },
            (false, false) => copy_files(path, &log, target),
        };
        if before == (mark(path), mark(&log)) {
            match copied {
                Ok(()) => return Ok(()),
                Err(fault) => last = Some(fault),
            }
            break;
        }
        last = copied.err();
        remove(target);
    }
    Err(last.unwrap_or_else(|| {
        let said = "the file was written to during every attempt to copy it";
        StateError::Failed { path: path.to_owned(), source: said.into() }.into()
    }))
}

fn uri(path: &Path) -> String {
    format!("file:{}?mode=ro", utf8_percent_encode(&path.to_string_lossy(), SPECIAL))
}

fn vacuum(uri: &str, target: &Path) -> Result<(), Fault> {
    let flags =
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags)?;
    connection.execute("VACUUM INTO ?1", [target.to_string_lossy()])?;
    Ok(())
}

fn copy_files(path: &Path, log: &Path, target: &Path) -> Result<(), Fault> {
    remove(target);
    for (from, to) in [(path, target.to_owned()), (log, beside(target, "-wal"))] {
        std::fs::copy(from, to).map_err(|source| inaccessible(from, source))?;
    }
    Ok(())
}

/// Makes room for another attempt; what is not there needs no removing.
fn remove(target: &Path) {
    for path in [target.to_owned(), beside(target, "-wal")] {
        let _ = std::fs::remove_file(path);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::model::ContactId;
    use crate::state::sample::{members, now, open};

    fn names(directory: &Path) -> BTreeSet<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Copies the state in `directory` and checks that the copy knows `a`, can be written, and left no trace.
    async fn check(directory: &Path, what: &str) {
        let before = names(directory);
        let copy = State::copy_for_plan(directory.join("state.db"), &Clock::set_at(now())).await.unwrap();
        let found = copy.member_of_contact(ContactId::new("c-a")).await.unwrap();
        assert!(found.is_some(), "{what}");
        members(&copy, &["only in the copy".replace(' ', "-").as_str()]).await;
        assert_eq!(names(directory), before, "{what}");
        let place = copy.path().to_owned();
        drop(copy);
        assert!(!place.exists(), "{what}: the copy goes with its last user");
    }

    #[tokio::test]
    async fn a_copy_leaves_no_trace_whatever_lies_beside_the_file() {
        let (running, state) = open().await;
        members(&state, &["a"]).await;
        check(running.path(), "a daemon is running").await;

        let crashed = tempfile::tempdir().unwrap();
        for name in ["state.db", "state.db-wal"] {
            std::fs::copy(running.path().join(name), crashed.path().join(name)).unwrap();
        }
        check(crashed.path(), "a crash left a log").await;

        assert_eq!(state.member_of_contact(ContactId::new("c-only-in-the-copy")).await.unwrap(), None);
        drop(state);
        assert!(!running.path().join("state.db-wal").exists());
        check(running.path(), "nobody is running").await;

        std::fs::set_permissions(running.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
        check(running.path(), "the directory is not ours to write").await;
        std::fs::set_permissions(running.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[tokio::test]
    async fn where_there_is_no_state_yet_the_copy_is_empty() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let copy = State::copy_for_plan(&path, &Clock::set_at(now())).await.unwrap();
        assert_eq!(copy.counts().await.unwrap(), crate::state::Counts::default());
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_path_may_hold_what_means_something_in_a_uri() {
        let parent = tempfile::tempdir().unwrap();
        let directory = parent.path().join("50% #1?");
        std::fs::create_dir(&directory).unwrap();
        let state = State::open(directory.join("state.db"), &Clock::set_at(now())).await.unwrap();
        members(&state, &["a"]).await;
        drop(state);
        check(&directory, "special characters").await;
    }
}
