//! What is in a file of the spool.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::intake::Received;

/// What is read as one file.
pub(super) const LARGEST: u64 = 16 << 20;

/// What is in a file of the spool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Lines.
    Lines {
        /// Those that hold an event.
        events: Vec<Received>,
        /// Those that hold none.
        damaged: DamagedLines,
    },
    /// Nothing that can be told apart into lines: it is empty, or larger than any file of ours.
    Damaged,
    /// Another process took it.
    Gone,
    /// It stays where it is, and keeps nobody waiting.
    Passed(Passed),
}

/// Why what lies in the spool is passed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// A folder, a link, a pipe: nobody writes events so.
    NotAFile,
    /// The system lets us not read it, or not put aside what is damaged.
    Refused {
        /// What it said.
        said: String,
    },
}

impl std::fmt::Display for Passed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAFile => f.write_str("it is no ordinary file"),
            Self::Refused { said } => f.write_str(said),
        }
    }
}

/// Lines that hold no event, as they stand in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct DamagedLines {
    /// The first of them, counted from 1; 0 where there is none.
    pub(super) first: usize,
    /// All of them.
    pub(super) text: Vec<u8>,
}

/// Opens a file for reading: no link is followed, and where a pipe lies nobody waits for its writer.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

/// As many bytes as are read, and one more where there are more; `None` where it is no ordinary file.
pub(super) fn read_up_to_limit(file: File) -> io::Result<Option<Vec<u8>>> {
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// A line for each event. One that holds none takes none of the others with it: each was answered with a success.
pub(super) fn parse(bytes: &[u8]) -> Content {
    // Nobody writes an empty file: its content was lost.
    if bytes.is_empty() || bytes.len() as u64 > LARGEST {
        return Content::Damaged;
    }
    let (mut events, mut damaged) = (Vec::new(), DamagedLines::default());
    for (at, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match serde_json::from_slice(line) {
            Ok(event) => events.push(event),
            Err(_) => damaged.add(at + 1, line),
        }
    }
    Content::Lines { events, damaged }
}

impl DamagedLines {
    fn add(&mut self, at: usize, line: &[u8]) {
        if self.first == 0 {
            self.first = at;
        }
        self.text.extend_from_slice(line);
    }
}
