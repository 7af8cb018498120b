//! The results of a batch: a gzip'd tar of JSON files, each an array of answers, read as a stream and trusted in nothing.
//!
//! Nothing is ever unpacked to disk, so that a path can do no harm; files whose path is no plain name are left out all
//! the same. <https://mailchimp.com/developer/marketing/guides/run-async-requests-batch-endpoint/>

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::io::{self, BufReader, Read};
use std::path::{Component, Path};
use std::rc::Rc;

use flate2::bufread::MultiGzDecoder;
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;

/// What an archive may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes once decompressed.
    pub bytes: u64,
    /// Entries of the tar, of whatever kind.
    pub entries: usize,
    /// Bytes of one answer.
    pub answer_bytes: u64,
}

impl Limits {
    /// For as many operations as a batch has at most.
    ///
    /// A member with 80 merge fields of 255 bytes, 60 interests, 50 tags and its links comes to some 40 KiB, and JSON
    /// within JSON doubles its quotation marks: 64 KiB an answer. One answer may be far beyond the average before it is
    /// no answer any more. How answers are spread over files is documented nowhere: at worst one a file.
    pub const fn of(operations: u64) -> Self {
        Self {
            bytes: operations.saturating_mul(64 * 1024).saturating_add(1024 * 1024),
            entries: 20_000,
            answer_bytes: 1024 * 1024,
        }
    }
}

/// One answer as the archive has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawAnswer {
    /// What the operation was told apart by.
    pub id: String,
    /// The status of the answer.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// How far an archive could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To its end.
    Whole,
    /// Up to some point: what was read before is known, the rest is not.
    Broken(String),
    /// As far as anybody wanted to hear.
    Enough,
}

/// Hands every answer of an archive to `take`, which says whether it wants more.
pub fn read(archive: &[u8], limits: Limits, take: &mut dyn FnMut(RawAnswer) -> bool) -> Extent {
    // A server that names the compression in a header has it undone on the way.
    if archive.starts_with(&[0x1f, 0x8b]) {
        read_tar(MultiGzDecoder::new(archive), limits, take)
    } else {
        read_tar(archive, limits, take)
    }
}

fn read_tar(tar: impl Read, limits: Limits, take: &mut dyn FnMut(RawAnswer) -> bool) -> Extent {
    let mut archive = tar::Archive::new(Budgeted::new(tar, Rc::new(Cell::new(limits.bytes))));
    // Raw: what extends an entry (a long name of any length) is an entry of its own, and skipped.
    let entries = match archive.entries() {
        Ok(entries) => entries.raw(true),
        Err(error) => return Extent::Broken(why(&error)),
    };
    let mut broken = None;
    for (index, entry) in entries.enumerate() {
        if index >= limits.entries {
            return Extent::Broken(format!("more than {} entries", limits.entries));
        }
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => return Extent::Broken(why(&error)),
        };
        if !is_answers(&entry) {
            continue;
        }
        match read_answers(&mut entry, limits.answer_bytes, take) {
            Ok(Wish::More) => (),
            Ok(Wish::Enough) => return Extent::Enough,
            // The files after it may be whole.
            Err(error) => broken = Some(said(&error)),
        }
    }
    broken.map_or(Extent::Whole, Extent::Broken)
}

/// Whether an entry is a file with a plain name, as answers are; `./` and everything odd is not.
fn is_answers<R: Read>(entry: &tar::Entry<'_, R>) -> bool {
    let is_plain = |path: &Path| {
        let mut names = path.components().filter(|component| *component != Component::CurDir);
        let name = match (names.next(), names.next()) {
            (Some(Component::Normal(name)), None) => name,
            _ => return false,
        };
        Path::new(name).extension().is_some_and(|extension| extension == "json")
    };
    entry.header().entry_type() == tar::EntryType::Regular
        && entry.size() > 0
        && entry.path().is_ok_and(|path| is_plain(&path))
}

/// Whether whoever takes the answers wants more of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wish {
    More,
    Enough,
}

fn read_answers(
    file: impl Read,
    answer_bytes: u64,
    take: &mut dyn FnMut(RawAnswer) -> bool,
) -> Result<Wish, serde_json::Error> {
    let left = Rc::new(Cell::new(answer_bytes));
    let file = Budgeted::new(BufReader::new(file), Rc::clone(&left));
    let mut wish = Wish::More;
    let mut deserializer = serde_json::Deserializer::from_reader(file);
    let each = Each { take, wish: &mut wish, left: &left, answer_bytes };
    let read = each.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    if wish == Wish::Enough { Ok(wish) } else { read.map(|()| wish) }
}

/// Takes an array element by element, none of which is kept.
struct Each<'t> {
    take: &'t mut dyn FnMut(RawAnswer) -> bool,
    wish: &'t mut Wish,
    left: &'t Cell<u64>,
    answer_bytes: u64,
}

impl<'de> DeserializeSeed<'de> for Each<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of answers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<(), A::Error> {
        while let Some(row) = rows.next_element::<Value>()? {
            self.left.set(self.answer_bytes);
            if let Some(answer) = answer(&row)
                && !(self.take)(answer)
            {
                *self.wish = Wish::Enough;
                return Err(serde::de::Error::custom("enough"));
            }
        }
        Ok(())
    }
}

/// An element of such an array; `None` where it names no operation or no status.
fn answer(row: &Value) -> Option<RawAnswer> {
    let id = match row.get("operation_id")? {
        Value::String(id) => id.clone(),
        Value::Number(id) => id.to_string(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let status = match row.get("status_code")? {
        Value::Number(status) => u16::try_from(status.as_u64()?).ok()?,
        Value::String(status) => status.parse().ok()?,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let body = match row.get("response") {
        // JSON within JSON, as it is documented.
        Some(Value::String(body)) => body.clone().into_bytes(),
        Some(Value::Null) | None => Vec::new(),
        Some(other) => other.to_string().into_bytes(),
    };
    Some(RawAnswer { id, status, body })
}

/// Of which kind; the error's own words may quote what stands where a number should.
fn why(error: &io::Error) -> String {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<TooLarge>() || inner.is_some_and(|inner| inner.is::<TooLarge>()) {
            return TooLarge.to_string();
        }
        cause = error.source();
    }
    error.kind().to_string()
}

/// Where and of which kind; the error's own words may quote the body.
fn said(error: &serde_json::Error) -> String {
    format!("line {}, column {}: {:?}", error.line(), error.column(), error.classify())
}

/// More was read than is allowed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("larger than any that the API describes")]
struct TooLarge;

/// A reader that fails once more was read than is left.
struct Budgeted<R> {
    inner: R,
    left: Rc<Cell<u64>>,
}

impl<R> Budgeted<R> {
    fn new(inner: R, left: Rc<Cell<u64>>) -> Self {
        Self { inner, left }
    }

    fn spend(&self, read: usize) -> io::Result<()> {
        let read = u64::try_from(read).unwrap_or(u64::MAX);
        match self.left.get().checked_sub(read) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(io::Error::other(TooLarge)),
        }
    }
}

impl<R: Read> Read for Budgeted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.spend(read)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
