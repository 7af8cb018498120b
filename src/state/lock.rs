//! One writer process: a lock of the operating system's that dies with the process.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::state::error::StateError;
use crate::state::owner::{folder_of, give_away};

/// Takes the lock of the state file at `path`; it is held until the file is dropped.
///
/// The file stays: removing it would let two processes lock two different files of one name.
pub(crate) fn take(path: &Path) -> Result<File, StateError> {
    let lock_path = beside(path, ".lock");
    let inaccessible = |source| StateError::of_system(&lock_path, source);
    let mut file = open(&lock_path).map_err(inaccessible)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StateError::Locked { path: path.to_owned(), pid: written_pid(&mut file) });
        }
        Err(TryLockError::Error(source)) => return Err(inaccessible(source)),
    }
    file.set_len(0).and_then(|()| write!(file, "{}", std::process::id())).map_err(inaccessible)?;
    Ok(file)
}

/// Opens the file, and creates it where there is none, for its owner alone: whoever can read a file can keep its lock. A link
/// is not followed: root may run this where others may write.
pub(crate) fn open(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    match options.clone().create_new(true).open(path) {
        Ok(file) => give_away(&file, folder_of(path)).map(|()| file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let file = options.open(path)?;
            let mode = file.metadata()?.mode();
            if mode & 0o077 != 0 {
                // Another user's is theirs to close.
                let _ = file.set_permissions(Permissions::from_mode(mode & 0o700));
            }
            Ok(file)
        }
        Err(error) => Err(error),
    }
}

/// The path with `ending` behind its whole name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}

fn written_pid(file: &mut File) -> String {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut pid));
    if read.is_ok() && !pid.trim().is_empty() { pid.trim().to_owned() } else { "?".to_owned() }
}
