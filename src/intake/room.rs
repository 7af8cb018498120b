//! How much may lie in the spool. Nobody who may send events can fill the disk with them, and the state, which everything
//! else depends on, keeps some of it.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How long a measurement holds, together with what was written since.
const FRESH: SignedDuration = SignedDuration::from_secs(1);
/// What the state keeps of a disk, and at most a fiftieth of a small one.
const RESERVE: u64 = 64 << 20;

/// As much as may lie there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// What stays free of a disk of so many bytes.
    pub(super) reserve: fn(u64) -> u64,
}

/// Events of days, where nothing takes them up: what comes beyond them is to be sent again.
pub(super) const BOUNDS: Bounds =
    Bounds { files: 100_000, bytes: 256 << 20, reserve: |disk| RESERVE.min(disk / 50) };

/// Why nothing more goes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// So much lies there.
    Spool { files: u64, bytes: u64 },
    /// So few bytes are free.
    Disk { free: u64 },
}

/// What lies there, as far as it was measured.
#[derive(Debug, Default)]
pub(super) struct Room(Mutex<Option<Measured>>);

#[derive(Clone, Copy, Debug)]
struct Measured {
    at: Timestamp,
    files: u64,
    bytes: u64,
    /// Somebody was refused by it.
    refused: bool,
}

impl Room {
    /// Makes sure that these files go in, and counts them. Blocks.
    pub(super) fn take(
        &self,
        folder: &Path,
        bounds: Bounds,
        sizes: &[usize],
        now: Timestamp,
    ) -> io::Result<Result<(), NoRoom>> {
        let files = sizes.len() as u64;
        let bytes = sizes.iter().map(|size| *size as u64).sum::<u64>();
        let disk = rustix::fs::statvfs(folder)?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        // Some file systems do not say how large they are.
        let says = disk.f_blocks > 0;
        if says && free < (bounds.reserve)(disk.f_blocks.saturating_mul(disk.f_frsize)).saturating_add(bytes)
        {
            return Ok(Err(NoRoom::Disk { free }));
        }
        let mut measured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_fresh = |there: Measured| now.duration_since(there.at).abs() < FRESH;
        let goes_in =
            |there: Measured| there.files + files <= bounds.files && there.bytes + bytes <= bounds.bytes;
        if let Some(there) = measured.filter(|there| there.refused && is_fresh(*there)) {
            return Ok(Err(NoRoom::Spool { files: there.files, bytes: there.bytes }));
        }
        let mut there = match *measured {
            Some(there) if is_fresh(there) && goes_in(there) => there,
            // What was taken up since is not in the way.
            Some(_) | None => measure(folder, now)?,
        };
        if !goes_in(there) {
            *measured = Some(Measured { refused: true, ..there });
            return Ok(Err(NoRoom::Spool { files: there.files, bytes: there.bytes }));
        }
        there.files += files;
        there.bytes += bytes;
        *measured = Some(there);
        Ok(Ok(()))
    }
}

/// What lies in the folder, that which is being written included.
fn measure(folder: &Path, now: Timestamp) -> io::Result<Measured> {
    let mut measured = Measured { at: now, files: 0, bytes: 0, refused: false };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        measured.files += 1;
        // One that is taken up meanwhile is no longer there.
        measured.bytes += entry.metadata().map_or(0, |metadata| metadata.len());
    }
    Ok(measured)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: fn(u64) -> u64 = |_| 0;

    #[test]
    fn what_lies_there_and_what_was_written_since_count_until_they_are_taken_up() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let start = Timestamp::UNIX_EPOCH;
        let take = |room: &Room, sizes: &[usize], second| {
            let bounds = Bounds { files: 3, bytes: 100, reserve: NOTHING };
            room.take(path, bounds, sizes, start + SignedDuration::from_secs(second)).unwrap()
        };
        fs::write(path.join("1"), [0; 60]).unwrap();
        let room = Room::default();
        let full = |files, bytes| Err(NoRoom::Spool { files, bytes });
        assert_eq!(take(&room, &[41], 0), full(1, 60));
        assert_eq!(take(&room, &[1, 1, 1, 1], 1), full(1, 60));
        assert_eq!(take(&room, &[20, 20], 2), Ok(()));
        for name in ["2", "3"] {
            fs::write(path.join(name), [0; 20]).unwrap();
        }
        assert_eq!(take(&room, &[1], 2), full(3, 100), "within a second, and measured once more");
        fs::remove_file(path.join("1")).unwrap();
        assert_eq!(take(&room, &[1], 2), full(3, 100), "not measured for everybody who is refused");
        assert_eq!(take(&room, &[60], 3), Ok(()));
    }

    #[test]
    fn the_state_keeps_its_share_of_the_disk() {
        let directory = tempfile::tempdir().unwrap();
        let bounds = Bounds { reserve: |disk| disk, ..BOUNDS };
        let taken = Room::default().take(directory.path(), bounds, &[1], Timestamp::UNIX_EPOCH).unwrap();
        assert!(matches!(taken, Err(NoRoom::Disk { free }) if free > 0), "{taken:?}");
        assert_eq!((BOUNDS.reserve)(1 << 40), 64 << 20);
        assert_eq!((BOUNDS.reserve)(50 << 20), 1 << 20);
    }
}
