//! The state: one SQLite file that remembers what both sides showed, what they agreed on, and what was done.
//!
//! Nobody else writes SQL against it. One process at a time holds it ([`State::open`], an operating-system lock
//! that dies with the process); the small decisions of people reach it beside that process
//! ([`State::open_shared`]); a dry run works on a private copy ([`State::copy_for_plan`]).
//!
//! It holds a *mirror* of either side as last observed. A member whose mirror changed is *unsettled* until a
//! plan for it was staged that leaves nothing to do, and again whenever the policy changes. The plan and what a
//! full walk has seen lie in temporary tables on disk: nothing here holds more than a page in memory.
//!
//! **Backup.** Any way that SQLite supports, daemon running or not: `sqlite3 state.db ".backup copy.db"` or
//! `VACUUM INTO`. A plain copy of the file is a backup only while no `state.db-wal` with content lies beside it.
//! To restore, stop the daemon, remove `state.db-wal` and `state.db-shm`, and put the copy in place. An older
//! base is safe: what happened since looks like a change of both sides to the same. Without any backup,
//! nobody is lost: the next start adopts again, and the guard asks.

mod base;
mod batches;
mod closing;
mod contacts;
mod copy;
mod counts;
mod created;
mod cycles;
mod decisions;
mod erase;
mod error;
mod events;
mod holds;
mod joining;
mod left_behind;
pub(crate) mod lock;
mod members;
mod missing;
mod open;
pub(crate) mod owner;
mod parked;
mod pending;
mod plan;
mod rank;
mod rows;
#[cfg(test)]
mod sample;
mod secrets;
mod settings;
mod staged;
mod text;
mod trail;
mod unusable;
mod walk;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tempfile::TempDir;

pub use batches::{Batch, BatchNumber, BatchedOperation};
pub use closing::{Closing, ContactNow};
pub use contacts::Seen;
pub use counts::Counts;
pub use cycles::{Cycle, CycleId, CycleKind, Keep};
pub use decisions::{Decision, HeldOperation, HoldSummary};
pub use erase::Erasure;
pub use error::StateError;
pub use events::{LastEvent, MemberEvent, OptOutsSeen, ReceivedEvent};
pub use holds::Selection;
pub use joining::PutCounts;
pub use members::{MemberName, Recheck};
pub use parked::{Park, Parked, growing_distance};
pub use pending::{CHANGED_MEANWHILE, Pending};
pub use rank::{ClassName, TAGS, UPDATES, is_opt_out, kind, rank};
pub use secrets::{
    can_keep_secrets, keep_configured_secret, keep_signing_secret, secrets_path, signing_secrets,
};
pub use settings::{IdentityKind, Pause, PolicyNumber};
pub use staged::{Place, SharedTimes, StagedConflict, StagedOperation};
pub use trail::{EntryId, Outcome, TrailEntry};
pub use unusable::UnusableRow;
pub use walk::Walk;

use crate::aside::aside;
use crate::state::error::Fault;

/// The state file, open; clones share one connection.
#[derive(Clone)]
pub struct State {
    inner: Arc<Inner>,
}

/// Fields drop in this order: the connection before the lock and before the directory of a copy.
struct Inner {
    path: PathBuf,
    connection: Mutex<Connection>,
    _lock: Option<File>,
    _directory: Option<TempDir>,
}

impl State {
    /// The path of the file.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Runs `work` on the connection, off the runtime's threads.
    async fn call<T, W>(&self, work: W) -> Result<T, StateError>
    where
        T: Send + 'static,
        W: FnOnce(&mut Connection) -> Result<T, Fault> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        let worked = aside(move || {
            let mut connection = inner.connection.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut connection)
        })
        .await;
        match worked {
            Ok(result) => result.map_err(|fault| fault.at(self.path())),
            Err(source) => Err(StateError::Failed { path: self.path().to_owned(), source: Box::new(source) }),
        }
    }

    /// Runs `work` in one transaction: all of it is in the file afterwards, or none.
    async fn write<T, W>(&self, work: W) -> Result<T, StateError>
    where
        T: Send + 'static,
        W: FnOnce(&Transaction<'_>) -> Result<T, Fault> + Send + 'static,
    {
        self.call(move |connection| {
            // Immediate: a transaction that reads first and writes later could not wait for another process.
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let result = work(&tx)?;
            tx.commit()?;
            Ok(result)
        })
        .await
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("path", &self.inner.path).finish_non_exhaustive()
    }
}
