//! Where the socket is: beside the state file, for its owner and its group.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixSocket, UnixStream};

use crate::control::ControlError;

/// Who may connect: the daemon's user and its group, whatever the umask.
const MODE: u32 = 0o660;

/// Connections that wait to be taken.
const BACKLOG: u32 = 64;

/// An address of a socket holds so many bytes, one for its end. <https://man7.org/linux/man-pages/man7/unix.7.html>
const LONGEST_ADDRESS: usize = 107;

/// Where the daemon of the state at `state` listens.
pub fn socket_path(state: &Path) -> PathBuf {
    let mut name = state.as_os_str().to_owned();
    name.push(".sock");
    PathBuf::from(name)
}

/// A socket that listens; its file goes with it.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: UnixListener,
    path: PathBuf,
    file: (u64, u64),
}

impl Drop for Bound {
    fn drop(&mut self) {
        if file_at(&self.path).is_ok_and(|file| file == self.file) {
            // Where it cannot be removed, the next start takes it for what it is.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Listens at `path`, in the place of a socket that nobody answers any more.
///
/// The caller holds the state's lock, so that no two come here at once for one state.
pub(super) fn bind(path: &Path) -> Result<Bound, ControlError> {
    make_room(path)?;
    let failed = |source| ControlError::System { path: path.to_owned(), source };
    let bound = || {
        let socket = UnixSocket::new_stream()?;
        socket.bind(Reachable::of(path)?.path())?;
        // Nobody is let in before the mode is right.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        Ok(Bound { listener: socket.listen(BACKLOG)?, path: path.to_owned(), file: file_at(path)? })
    };
    bound().map_err(failed)
}

/// Connects to the daemon that listens at `path`; `None` where none does.
pub(super) async fn connect(path: &Path) -> Result<Option<UnixStream>, ControlError> {
    let connected = async { UnixStream::connect(Reachable::of(path)?.path()).await }.await;
    match connected.map_err(|source| (source.kind(), source)) {
        Ok(stream) => Ok(Some(stream)),
        Err((io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, _)) => Ok(None),
        Err((io::ErrorKind::PermissionDenied, _)) => Err(ControlError::Forbidden { path: path.to_owned() }),
        Err((io::ErrorKind::WouldBlock, _)) => Err(ControlError::Silent),
        Err((_, source)) => Err(ControlError::System { path: path.to_owned(), source }),
    }
}

/// Removes a socket that nobody answers any more, and nothing else.
fn make_room(path: &Path) -> Result<(), ControlError> {
    let failed = |source| ControlError::System { path: path.to_owned(), source };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(there) if !there.file_type().is_socket() => {
            return Err(ControlError::InTheWay { path: path.to_owned() });
        }
        Ok(_) => {}
    }
    let reachable = Reachable::of(path).map_err(failed)?;
    match BlockingStream::connect(reachable.path()) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        // Whoever may not connect is not told that nobody is there.
        Ok(_) | Err(_) => Err(ControlError::Live { path: path.to_owned() }),
    }
}

fn file_at(path: &Path) -> io::Result<(u64, u64)> {
    fs::symlink_metadata(path).map(|file| (file.dev(), file.ino()))
}

/// A path that fits into the address of a socket: a long one goes by way of its directory, held open.
enum Reachable {
    Short(PathBuf),
    Long { path: PathBuf, _directory: File },
}

impl Reachable {
    fn of(path: &Path) -> io::Result<Self> {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().len() <= LONGEST_ADDRESS {
            return Ok(Self::Short(path.to_owned()));
        }
        let directory = File::open(directory)?;
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self::Long { path, _directory: directory })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Short(path) | Self::Long { path, .. } => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = socket_path(&directory.path().join("state.db"));
        (directory, path)
    }

    #[tokio::test]
    async fn the_socket_is_for_its_owner_and_its_group_and_goes_with_the_process() {
        let (_directory, path) = directory();
        assert!(connect(&path).await.unwrap().is_none());
        let bound = bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
        assert!(connect(&path).await.unwrap().is_some());
        drop(bound);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_socket_that_nobody_answers_is_replaced_and_a_live_one_never() {
        let (_directory, path) = directory();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists() && connect(&path).await.unwrap().is_none(), "as a killed process leaves it");
        let bound = bind(&path).unwrap();
        assert!(matches!(bind(&path), Err(ControlError::Live { .. })));
        assert!(connect(&path).await.unwrap().is_some());
        drop(bound);
        fs::write(&path, "notes").unwrap();
        assert!(matches!(bind(&path), Err(ControlError::InTheWay { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "notes");
    }

    #[tokio::test]
    async fn a_socket_that_took_the_place_of_ours_is_left_alone() {
        let (_directory, path) = directory();
        let bound = bind(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let other = bind(&path).unwrap();
        drop(bound);
        assert!(connect(&path).await.unwrap().is_some());
        drop(other);
    }

    #[tokio::test]
    async fn a_long_path_is_no_obstacle() {
        let (directory, _) = directory();
        let deep = directory.path().join("d".repeat(200));
        fs::create_dir(&deep).unwrap();
        let path = socket_path(&deep.join("state.db"));
        let _bound = bind(&path).unwrap();
        assert!(path.exists() && connect(&path).await.unwrap().is_some());
    }
}
