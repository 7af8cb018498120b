//! The folder beside the state in which received events lie until they are in the state.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustix::io::Errno;
use tempfile::NamedTempFile;

use crate::intake::Received;
use crate::intake::content::{Content, Passed, open, parse, read_up_to_limit};
use crate::intake::room::{BOUNDS, Bounds, NoRoom, Room};
use crate::state::lock::beside;
use crate::state::owner::{folder_of, give_away};

const ENDING: &str = ".spool";
/// Where files go that cannot be read: beside the folder and not in it, where the group could put a link to anywhere.
const DAMAGED: &str = ".damaged";
/// Nobody but the owner writes there.
const DAMAGED_MODE: u32 = 0o750;
/// What is being written begins so, and is nobody's to read.
pub(super) const UNFINISHED: &str = ".";
/// The group may write, too: a receiver may be another user than the daemon.
const FOLDER_MODE: u32 = 0o770;
pub(super) const FILE_MODE: u32 = 0o640;
/// What is being written for longer was left by a program that ended in its midst.
const ABANDONED: Duration = Duration::from_hours(1);
/// A file that has so many bytes gets no event more. One event is a body of 1 MiB at most, which may grow sevenfold when it
/// is written down (a control character takes six bytes, a quoted one seven): so no file of ours is as large as what
/// is read of one.
const FULL: usize = 4 << 20;

/// The folder beside the state.
#[derive(Clone, Debug)]
pub struct Spool {
    folder: PathBuf,
    bounds: Bounds,
    room: Arc<Room>,
}

/// The spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// No permission, no room, or no such place.
    #[error("the spool of events at {} cannot be used: check that the user that rosterd runs as owns it, its mode, and that \
        there is room on its disk", .path.display())]
    Inaccessible {
        /// The file or the folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// As much waits as may.
    #[error("the spool of events at {} is full ({files} files, {} KiB): nothing more is taken until they are taken up. Start the \
        daemon, or look into its log why it cannot; then send the event again", .path.display(), .bytes / 1024)]
    Full {
        /// The folder.
        path: PathBuf,
        /// Files that wait.
        files: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// What is left of the disk is the state's.
    #[error("{} KiB are free on the disk of {}, which the state needs: make room, then send the event again", .free / 1024,
        .path.display())]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// Bytes that are free.
        free: u64,
    },
}

/// What is in the spool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lying {
    /// What waits, that which nobody can read included.
    pub waiting: usize,
    /// Files that were put aside, whole or in part.
    pub damaged: usize,
}

impl Spool {
    /// The spool of the state at `state`.
    pub fn beside(state: &Path) -> Self {
        Self { folder: beside(state, ENDING), bounds: BOUNDS, room: Arc::default() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder for what cannot be read.
    pub fn damaged(&self) -> PathBuf {
        beside(&self.folder, DAMAGED)
    }

    /// Writes events down: they are on the disk when this returns, or nobody reads them. Blocks.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`]; [`SpoolError::Full`] and [`SpoolError::DiskFull`]: it is to be sent again.
    pub fn put(&self, events: &[Received]) -> Result<(), SpoolError> {
        let mut files: Vec<(Timestamp, Vec<u8>)> = Vec::new();
        for event in events {
            let mut line = serde_json::to_vec(event).map_err(|error| self.inaccessible(error.into()))?;
            line.push(b'\n');
            match files.last_mut() {
                Some((_, text)) if text.len() + line.len() <= FULL => text.append(&mut line),
                Some(_) | None => files.push((event.at, line)),
            }
        }
        let Some(now) = events.last().map(|event| event.at) else { return Ok(()) };
        self.make_folder().map_err(|source| self.inaccessible(source))?;
        let sizes: Vec<usize> = files.iter().map(|(_, text)| text.len()).collect();
        let taken = self.room.take(&self.folder, self.bounds, &sizes, now);
        match taken.map_err(|source| self.inaccessible(source))? {
            Err(reason) => Err(self.full(reason)),
            Ok(()) => self.write(&files).map_err(|source| self.inaccessible(source)),
        }
    }

    /// Why an event would be refused now, where it would be. Blocks.
    pub fn refuses(&self, now: Timestamp) -> Option<SpoolError> {
        let taken = self.room.take(&self.folder, self.bounds, &[1], now).ok()?;
        taken.err().map(|reason| self.full(reason))
    }

    /// Writes files that nobody reads before all of them are whole.
    fn write(&self, files: &[(Timestamp, Vec<u8>)]) -> io::Result<()> {
        // Names sort as the events came.
        let begin = |at: &Timestamp| format!("{UNFINISHED}{:020}-", at.as_microsecond());
        let unfinished = files.iter().map(|(at, text)| self.unfinished(&begin(at), text));
        let mut named: Vec<PathBuf> = Vec::new();
        for file in unfinished.collect::<io::Result<Vec<_>>>()? {
            let name = file.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = self.folder.join(name.trim_start_matches(UNFINISHED));
            if let Err(error) = file.persist_noclobber(&path) {
                // Whoever is told that nothing was stored comes again; twice would change nothing either.
                let _ = named.iter().try_for_each(fs::remove_file);
                return Err(error.error);
            }
            named.push(path);
        }
        File::open(&self.folder)?.sync_all()
    }

    fn unfinished(&self, begin: &str, text: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = tempfile::Builder::new().prefix(begin).rand_bytes(12).tempfile_in(&self.folder)?;
        // The daemon has to read what another user of the folder's group wrote, whatever their umask and their own group.
        // Whoever is not in it may be the daemon itself.
        let group = fs::metadata(&self.folder)?.gid();
        let _ = fchown(file.as_file(), None, Some(group));
        give_away(file.as_file(), &self.folder)?;
        file.as_file().set_permissions(Permissions::from_mode(FILE_MODE))?;
        file.write_all(text)?;
        file.as_file().sync_all()?;
        Ok(file)
    }

    /// Creates the folder where it is not there yet, and proves that events can be written into it, read from it and taken up.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`].
    pub fn prove(&self) -> Result<(), SpoolError> {
        let proven = || {
            self.make_folder()?;
            let written = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
            open(written.path())?;
            fs::read_dir(&self.folder).map(drop)
        };
        proven().map_err(|source| self.inaccessible(source))?;
        self.take_turn().map(drop)
    }

    fn make_folder(&self) -> io::Result<()> {
        make(&self.folder, FOLDER_MODE)
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
            if is_unfinished(&name) {
                self.clear_up(&entry, now);
            } else {
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

    /// What is in a file. Blocks, but for no writer of a pipe.
    pub(super) fn read(&self, name: &OsString) -> Content {
        match open(&self.folder.join(name)).and_then(read_up_to_limit) {
            Ok(Some(bytes)) => parse(&bytes),
            Ok(None) => Content::Passed(Passed::NotAFile),
            Err(error) if error.kind() == ErrorKind::NotFound => Content::Gone,
            // The last part of the path is a link, or a socket.
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NXIO)) => {
                Content::Passed(Passed::NotAFile)
            }
            Err(error) => Content::Passed(Passed::Refused { said: error.to_string() }),
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
    pub(super) fn set_aside(&self, name: &OsString) -> io::Result<PathBuf> {
        let to = self.make_aside(name)?;
        fs::rename(self.folder.join(name), &to)?;
        Ok(to)
    }

    /// Where a file of this name goes that is put aside; what went there before stays.
    fn make_aside(&self, name: &OsString) -> io::Result<PathBuf> {
        let aside = self.damaged();
        make(&aside, DAMAGED_MODE)?;
        let mut to = aside.join(name);
        let mut number = 1;
        while to.try_exists()? {
            number += 1;
            to = beside(&aside.join(name), &format!(".{number}"));
        }
        Ok(to)
    }

    /// Puts lines of a file aside, under the file's name; they are on the disk when this returns. Says where. Blocks.
    pub(super) fn set_lines_aside(&self, name: &OsString, lines: &[u8]) -> io::Result<PathBuf> {
        let to = self.make_aside(name)?;
        let aside = self.damaged();
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&aside)?;
        file.write_all(lines)?;
        file.as_file().sync_all()?;
        give_away(file.as_file(), &aside)?;
        file.persist(&to)?;
        File::open(&aside)?.sync_all()?;
        Ok(to)
    }

    /// What is in it. Blocks.
    pub fn lying(&self) -> Lying {
        let count = |folder: &Path| {
            let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
            names.filter(|name| !is_unfinished(name)).count()
        };
        Lying { waiting: count(&self.folder), damaged: count(&self.damaged()) }
    }

    fn full(&self, reason: NoRoom) -> SpoolError {
        let path = self.folder.clone();
        match reason {
            NoRoom::Spool { files, bytes } => SpoolError::Full { path, files, bytes },
            NoRoom::Disk { free } => SpoolError::DiskFull { path, free },
        }
    }

    pub(super) fn inaccessible(&self, source: io::Error) -> SpoolError {
        SpoolError::Inaccessible { path: self.folder.clone(), source }
    }
}

/// Makes a folder beside the state, where there is none yet.
fn make(folder: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(folder) {
        Ok(()) => {
            let (made, parent) = (open(folder)?, folder_of(folder));
            made.set_permissions(Permissions::from_mode(mode))?;
            give_away(&made, parent)?;
            File::open(parent)?.sync_all()
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

pub(super) fn is_unfinished(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(UNFINISHED.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::Source;
    use crate::intake::content::{DamagedLines, LARGEST};

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

    fn lines(events: &[Received], first: usize, text: &[u8]) -> Content {
        let damaged = DamagedLines { first, text: text.to_owned() };
        Content::Lines { events: events.to_vec(), damaged }
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
        let read: Vec<Content> = names.iter().map(|name| spool.read(name)).collect();
        let whole = |events: &[Received]| lines(events, 0, b"");
        assert_eq!(read, [whole(&early), whole(&late)]);
        names.iter().for_each(|name| spool.remove(name).unwrap());
        spool.remove(&names[0]).unwrap();
        assert_eq!(spool.read(&names[0]), Content::Gone);
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
        let cut = [text.clone(), text[..text.len() - 3].to_vec()].concat();
        let odd = [b"\xff\n", &text[..], b"type=unsubscribe\n", &text[..]].concat();
        let (body, large) = (event(1, "body"), vec![b' '; usize::try_from(LARGEST).unwrap() + 1]);
        let cases: [(&[u8], Content); 4] = [
            (b"", Content::Damaged),
            (&large, Content::Damaged),
            (&cut, lines(std::slice::from_ref(&body), 2, &text[..text.len() - 3])),
            (&odd, lines(&[body.clone(), body], 1, b"\xff\ntype=unsubscribe\n")),
        ];
        for (n_before, (bytes, found)) in cases.into_iter().enumerate() {
            let name = OsString::from(format!("{n_before}"));
            fs::write(spool.folder().join(&name), bytes).unwrap();
            assert_eq!(spool.read(&name), found, "{n_before}");
            assert_eq!(spool.lying().damaged, n_before);
            let (aside, left) = match &found {
                Content::Lines { damaged, .. } => {
                    (spool.set_lines_aside(&name, &damaged.text).unwrap(), &*damaged.text)
                }
                Content::Damaged | Content::Gone | Content::Passed(_) => {
                    (spool.set_aside(&name).unwrap(), bytes)
                }
            };
            assert_eq!(fs::read(aside).unwrap(), left);
            spool.remove(&name).unwrap();
        }
        assert_eq!(spool.waiting(at(1)).unwrap(), [""; 0]);
    }

    #[test]
    fn what_grows_when_it_is_written_down_is_spread_over_files_that_can_be_read() {
        // Five bodies of a mebibyte went into one file of thirty, which nobody read.
        let (_directory, spool) = spool();
        let all = [1, 2, 3, 4, 5].map(|second| event(second, &"\u{1}".repeat(1 << 20)));
        spool.put(&all).unwrap();
        let names = spool.waiting(at(9)).unwrap();
        let read: Vec<Content> = names.iter().map(|name| spool.read(name)).collect();
        assert_eq!(read, all.map(|event| lines(&[event], 0, b"")));
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
    fn a_full_spool_takes_nothing_more_until_something_is_taken_up() {
        let (_directory, spool) = spool();
        let spool = Spool { bounds: Bounds { files: 1, ..BOUNDS }, ..spool };
        assert!(spool.refuses(at(1)).is_none());
        let spool = Spool { room: Arc::default(), ..spool };
        spool.put(&[event(1, "body"), event(2, "body")]).unwrap();
        let refused = spool.put(&[event(3, "body")]).unwrap_err().to_string();
        assert!(refused.contains("state.db.spool is full (1 files, 0 KiB)"), "{refused}");
        assert_eq!(spool.refuses(at(3)).unwrap().to_string(), refused);
        let waiting = spool.waiting(at(3)).unwrap();
        assert_eq!(waiting.len(), 1, "nothing of it is there");
        spool.remove(&waiting[0]).unwrap();
        spool.put(&[event(5, "body")]).unwrap();
    }

    #[test]
    fn what_the_state_needs_of_the_disk_is_left_to_it() {
        let (_directory, spool) = spool();
        let spool = Spool { bounds: Bounds { reserve: |disk| disk, ..BOUNDS }, ..spool };
        let refused = spool.put(&[event(1, "body")]).unwrap_err().to_string();
        assert!(refused.contains("which the state needs: make room"), "{refused}");
        assert_eq!(spool.waiting(at(1)).unwrap(), [""; 0]);
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
