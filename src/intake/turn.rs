//! Whose turn it is to move what was received, or to erase it.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use crate::intake::{Spool, SpoolError};
use crate::state::lock;

/// The turn, until it is dropped, or the process ends. Who only writes into the spool needs none.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Spool {
    /// Takes the turn; `None` while somebody else has it, in this process or in another one. Blocks, but does not wait for them.
    ///
    /// Its file lies beside the folder and not in it, and is its owner's alone: others may write events, and none of them may
    /// keep the turn.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`].
    pub fn take_turn(&self) -> Result<Option<Turn>, SpoolError> {
        let path = self.turn_path();
        let inaccessible = |source| SpoolError::Inaccessible { path: path.clone(), source };
        let file = lock::open(&path).map_err(inaccessible)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Turn { _lock: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(inaccessible(source)),
        }
    }

    fn turn_path(&self) -> PathBuf {
        lock::beside(self.folder(), ".lock")
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_has_the_turn_at_a_time_and_whoever_is_in_the_group_cannot_keep_it() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("state.db"));
        let turn = spool.take_turn().unwrap().unwrap();
        assert!(spool.take_turn().unwrap().is_none());
        drop(turn);
        assert!(spool.take_turn().unwrap().is_some());
        let mode = std::fs::metadata(spool.turn_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
