//! The folder beside the state in which received events lie until they are in the state.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::intake::Received;

const ENDING: &str = ".spool";
/// Where files go that cannot be read, inside the folder.
const DAMAGED: &str = "damaged";
/// What is being written begins so, and is nobody's to read.
const UNFINISHED: &str = ".";
/// The group may write, too: a receiver may be another user than the daemon.
const FOLDER_MODE: u32 = 0o770;
const FILE_MODE: u32 = 0o640;
/// What is being written for longer was left by a program that ended in its midst.
const ABANDONED: Duration = Duration::from_hours(1);
/// No program of ours writes a file as large.
const LARGEST: u64 = 16 << 20;

/// The folder beside the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spool {
    folder: PathBuf,
}

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No permission, no room, or no such place.
    #[error("the spool of events at {} cannot be used: check its owner and mode, and that there is room on its disk", .path.display())]
    Inaccessible {
        /// The file or the folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// What is in a file of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Events.
    Events(Vec<Received>),
    /// Something else, and where it goes wrong.
    Damaged {
        /// The line, counted from 1; 0 where it is not even text.
        line: usize,
    },
    /// Another process took it.
    Gone,
}

impl Spool {
    /// The spool of the state at `state`.
    pub fn beside(state: &Path) -> Self {
        let mut folder = state.as_os_str().to_owned();
        folder.push(ENDING);
        Self { folder: PathBuf::from(folder) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes events down, in one file: it is on the disk when this returns, or nobody reads it. Blocks.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`].
    pub fn put(&self, events: &[Received]) -> Result<(), SpoolError> {
        let Some(first) = events.first() else { return Ok(()) };
        let mut text = Vec::new();
        for event in events {
            serde_json::to_writer(&mut text, event).map_err(|error| self.inaccessible(error.into()))?;
            text.push(b'\n');
        }
        // Names sort as the events came.
        let begin = format!("{UNFINISHED}{:020}-", first.at.as_microsecond());
        self.write(&begin, &text).map_err(|source| self.inaccessible(source))
    }

    fn write(&self, begin: &str, text: &[u8]) -> io::Result<()> {
        self.make_folder()?;
        let mut file = tempfile::Builder::new().prefix(begin).rand_bytes(12).tempfile_in(&self.folder)?;
        // The daemon has to read what another user of the folder's group wrote, whatever their umask and their own group.
        // Whoever is not in it may be the daemon itself.
        let group = fs::metadata(&self.folder)?.gid();
        let _ = fchown(file.as_file(), None, Some(group));
        file.as_file().set_permissions(Permissions::from_mode(FILE_MODE))?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
        file.persist_noclobber(self.folder.join(name.trim_start_matches(UNFINISHED)))?;
        File::open(&self.folder)?.sync_all()
    }

    /// Creates the folder where it is not there yet. Blocks.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`].
    pub fn create(&self) -> Result<(), SpoolError> {
        self.make_folder().map_err(|source| self.inaccessible(source))
    }

    fn make_folder(&self) -> io::Result<()> {
        match DirBuilder::new().mode(FOLDER_MODE).create(&self.folder) {
            Ok(()) => {
                fs::set_permissions(&self.folder, Permissions::from_mode(FOLDER_MODE))?;
                let parent = self.folder.parent().filter(|parent| !parent.as_os_str().is_empty());
                File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The files that wait, oldest first. Blocks.
    pub(super) fn waiting(&self, now: Timestamp) -> Result<Vec<OsString>, SpoolError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(self.inaccessible(source)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|source| self.inaccessible(source))?;
            let name = entry.file_name();
            if name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
                self.clear_up(&entry, now);
            } else if name != DAMAGED {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Removes what a program left that ended while it wrote: nobody was told that it was received.
    fn clear_up(&self, entry: &fs::DirEntry, now: Timestamp) {
        let written = entry.metadata().and_then(|metadata| metadata.modified()).ok();
        let written = written.and_then(|at| Timestamp::try_from(at).ok());
        let age = written.and_then(|at| Duration::try_from(now.duration_since(at)).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            // Where it cannot be removed, it is in nobody's way.
            let _ = fs::remove_file(entry.path());
        }
    }

    /// What is in a file. Blocks.
    pub(super) fn read(&self, name: &OsString) -> Result<Content, SpoolError> {
        let path = self.folder.join(name);
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(parse(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Content::Gone),
            // What is nobody's file of ours must not keep the others waiting.
            Err(error) if matches!(error.kind(), ErrorKind::IsADirectory | ErrorKind::PermissionDenied) => {
                Ok(Content::Damaged { line: 0 })
            }
            Err(source) => Err(SpoolError::Inaccessible { path, source }),
        }
    }

    /// Removes a file whose events are in the state. Blocks.
    pub(super) fn remove(&self, name: &OsString) -> Result<(), SpoolError> {
        let path = self.folder.join(name);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                Err(SpoolError::Inaccessible { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Puts a file aside that cannot be read, for somebody to look at; says where it is. Blocks.
    pub(super) fn set_aside(&self, name: &OsString) -> Result<PathBuf, SpoolError> {
        let aside = self.folder.join(DAMAGED);
        let to = aside.join(name);
        fs::create_dir_all(&aside)
            .and_then(|()| fs::rename(self.folder.join(name), &to))
            .map_err(|source| SpoolError::Inaccessible { path: to.clone(), source })?;
        Ok(to)
    }

    /// How many files were put aside. Blocks.
    pub fn count_damaged(&self) -> usize {
        fs::read_dir(self.folder.join(DAMAGED)).map_or(0, Iterator::count)
    }

    fn inaccessible(&self, source: io::Error) -> SpoolError {
        SpoolError::Inaccessible { path: self.folder.clone(), source }
    }
}

/// A line for each event.
fn parse(bytes: &[u8]) -> Content {
    let text = match str::from_utf8(bytes) {
        Ok(text) if text.len() as u64 <= LARGEST => text,
        Ok(_) | Err(_) => return Content::Damaged { line: 0 },
    };
    let mut events = Vec::new();
    for (at, line) in text.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(event) => events.push(event),
            Err(_) => return Content::Damaged { line: at + 1 },
        }
    }
    // Nobody writes an empty file: its content was lost.
    if events.is_empty() { Content::Damaged { line: 1 } } else { Content::Events(events) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::Source;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn event(second: i64, body: &str) -> Received {
        Received { source: Source::Webhook, at: at(second), body: body.to_owned() }
    }

    /// The present, for what the file system dates.
    fn present(folder: &Path) -> Timestamp {
        Timestamp::try_from(fs::metadata(folder).unwrap().modified().unwrap()).unwrap()
    }

    fn spool() -> (tempfile::TempDir, Spool) {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("state.db"));
        (directory, spool)
    }

    #[test]
    fn what_was_written_down_is_read_in_its_order_and_once() {
        let (_directory, spool) = spool();
        assert_eq!(spool.waiting(at(0)).unwrap(), [""; 0], "no folder is an empty one");
        let (late, early) = ([event(9, "late\n\u{1F600}")], [event(1, "first"), event(2, "second")]);
        spool.put(&late).unwrap();
        spool.put(&early).unwrap();
        spool.put(&[]).unwrap();
        let names = spool.waiting(at(9)).unwrap();
        let read: Vec<Content> = names.iter().map(|name| spool.read(name).unwrap()).collect();
        assert_eq!(read, [Content::Events(early.to_vec()), Content::Events(late.to_vec())]);
        names.iter().for_each(|name| spool.remove(name).unwrap());
        spool.remove(&names[0]).unwrap();
        assert_eq!(spool.read(&names[0]).unwrap(), Content::Gone);
        assert_eq!(spool.waiting(at(9)).unwrap(), [""; 0]);
    }

    #[test]
    fn the_group_may_write_and_nobody_else_may_look() {
        let (_directory, spool) = spool();
        spool.put(&[event(1, "body")]).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!(mode(spool.folder()), 0o770);
        assert_eq!(mode(&spool.folder().join(&spool.waiting(at(1)).unwrap()[0])), 0o640);
    }

    #[test]
    fn what_cannot_be_read_is_put_aside_and_not_lost() {
        let (_directory, spool) = spool();
        spool.put(&[event(1, "body")]).unwrap();
        let whole = spool.waiting(at(1)).unwrap().remove(0);
        let text = fs::read(spool.folder().join(&whole)).unwrap();
        spool.remove(&whole).unwrap();
        let two = [text.clone(), text.clone()].concat();
        let cases: [(&[u8], usize); 5] = [
            (b"", 1),
            (&two[..two.len() - 3], 2),
            (b"type=unsubscribe", 1),
            (b"\xff", 0),
            (&vec![b' '; usize::try_from(LARGEST).unwrap() + 1], 0),
        ];
        for (n_before, (bytes, line)) in cases.into_iter().enumerate() {
            let name = OsString::from(format!("{n_before}"));
            fs::write(spool.folder().join(&name), bytes).unwrap();
            assert_eq!(spool.read(&name).unwrap(), Content::Damaged { line }, "{n_before}");
            assert_eq!(spool.count_damaged(), n_before);
            let aside = spool.set_aside(&name).unwrap();
            assert_eq!(fs::read(aside).unwrap(), bytes);
        }
        assert_eq!(spool.waiting(at(1)).unwrap(), [""; 0]);
    }

    #[test]
    fn what_is_being_written_is_left_alone_until_nobody_can_be_writing_it() {
        let (_directory, spool) = spool();
        spool.put(&[event(1, "body")]).unwrap();
        let unfinished = spool.folder().join(".00-half");
        fs::write(&unfinished, "half").unwrap();
        let now = present(spool.folder());
        let in_seconds = |seconds| now + jiff::SignedDuration::from_secs(seconds);
        assert_eq!(spool.waiting(in_seconds(3_000)).unwrap().len(), 1);
        assert!(unfinished.exists());
        assert_eq!(spool.waiting(in_seconds(4_000)).unwrap().len(), 1);
        assert!(!unfinished.exists());
    }

    #[test]
    fn a_spool_that_cannot_be_used_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("state.db"));
        fs::write(spool.folder(), "a file").unwrap();
        let error = spool.put(&[event(1, "body")]).unwrap_err();
        assert!(error.to_string().contains("state.db.spool"), "{error}");
        let nowhere = Spool::beside(&directory.path().join("nowhere/state.db"));
        nowhere.put(&[event(1, "body")]).unwrap_err();
    }
}
