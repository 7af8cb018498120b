//! What is put aside because nobody can read it names people: it is kept as long as events are, and whoever is erased is erased
//! from it, as from what waits.

use std::fs::{self, File, Permissions};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rustix::io::Errno;

use crate::aside::aside;
use crate::clock::Clock;
use crate::intake::content::open;
use crate::intake::mention::names_any;
use crate::intake::spool::{UNFINISHED, is_unfinished};
use crate::intake::{Spool, SpoolError};
use crate::mailchimp::refusal::chain;
use crate::model::EmailAddress;

/// How often what was put aside is looked through.
const TRIMMED_EVERY: Duration = Duration::from_hours(1);

impl Spool {
    /// Erases every line that names one of these addresses. Blocks.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`]: it cannot be told whether a file names them.
    pub fn forget(&self, addresses: &[EmailAddress]) -> Result<(), SpoolError> {
        let keys: Vec<String> = addresses.iter().map(EmailAddress::key).collect();
        for folder in [self.folder().to_owned(), self.damaged()] {
            let entries = match fs::read_dir(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries.map_err(|source| inaccessible(&folder, source))?,
            };
            for entry in entries {
                let name = entry.map_err(|source| inaccessible(&folder, source))?.file_name();
                let path = folder.join(&name);
                // What is being written is not received yet.
                if !is_unfinished(&name) {
                    forget_in(&path, &folder, &keys).map_err(|source| inaccessible(&path, source))?;
                }
            }
        }
        Ok(())
    }
}

impl Spool {
    /// Removes what was put aside before; says how many files. Blocks.
    ///
    /// # Errors
    ///
    /// [`SpoolError::Inaccessible`].
    fn trim_damaged(&self, before: Timestamp) -> Result<usize, SpoolError> {
        let folder = self.damaged();
        let trim = || -> io::Result<usize> {
            let mut trimmed = 0;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let metadata = entry.metadata()?;
                // When it was written, which putting it aside does not change.
                if metadata.is_file() && metadata.mtime() < before.as_second() {
                    fs::remove_file(entry.path())?;
                    trimmed += 1;
                }
            }
            Ok(trimmed)
        };
        match trim() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
            trimmed => trimmed.map_err(|source| inaccessible(&folder, source)),
        }
    }
}

/// Removes what was put aside as soon as it is older than events are kept, for as long as it is driven.
pub async fn trim_damaged(spool: &Spool, keep: impl Fn() -> Duration, clock: &Clock) {
    loop {
        let keep = SignedDuration::try_from(keep()).unwrap_or(SignedDuration::MAX);
        if let Ok(before) = clock.now().checked_sub(keep) {
            let spool = spool.clone();
            match aside(move || spool.trim_damaged(before)).await {
                Ok(Ok(0)) | Err(_) => (),
                Ok(Ok(files)) => tracing::info!(files, "damaged files of the spool were kept long enough"),
                Ok(Err(error)) => {
                    tracing::warn!(error = chain(&error), "damaged files of the spool cannot be removed");
                }
            }
        }
        clock.sleep(TRIMMED_EVERY).await;
    }
}

fn inaccessible(path: &Path, source: io::Error) -> SpoolError {
    SpoolError::Inaccessible { path: path.to_owned(), source }
}

/// Replaces a file by what is left of it, or removes it where nothing is.
fn forget_in(path: &Path, folder: &Path, keys: &[String]) -> io::Result<()> {
    let file = match open(path) {
        Ok(file) if file.metadata()?.is_file() => file,
        Ok(_) => return Ok(()),
        // Gone, a link, or a socket: nothing is in it.
        Err(error)
            if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::LOOP | Errno::NXIO)) =>
        {
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let was = file.metadata()?;
    let (mut kept, mut names_them) = (Vec::new(), false);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        match names_any(&line, keys) {
            true => names_them = true,
            false => kept.extend_from_slice(&line),
        }
        line.clear();
    }
    match (names_them, kept.is_empty()) {
        (false, _) => return Ok(()),
        (true, true) => fs::remove_file(path)?,
        (true, false) => {
            let mut left = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
            // It stays whose it was, where that is ours to say.
            let _ = fchown(left.as_file(), Some(was.uid()), Some(was.gid()));
            left.as_file().set_permissions(Permissions::from_mode(was.mode() & 0o777))?;
            left.write_all(&kept)?;
            left.as_file().sync_all()?;
            left.persist(path)?;
        }
    }
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::{Received, Source};

    #[tokio::test]
    async fn what_was_put_aside_is_kept_as_long_as_events_are() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("state.db"));
        assert_eq!(spool.trim_damaged(Timestamp::MAX).unwrap(), 0, "there is none");
        let damaged = spool.damaged();
        fs::create_dir_all(damaged.join("folder")).unwrap();
        fs::write(damaged.join("1"), "half").unwrap();
        let written =
            Timestamp::try_from(fs::metadata(damaged.join("1")).unwrap().modified().unwrap()).unwrap();
        let clock = Clock::set_at(written);
        let watching = async {
            while damaged.join("1").exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = trim_damaged(&spool, || Duration::from_hours(30), &clock) => (),
            () = watching => (),
        }
        let kept = clock.now().duration_since(written);
        assert!(kept >= SignedDuration::from_hours(30), "{kept}");
        assert!(damaged.join("folder").exists());
    }

    #[test]
    fn what_names_an_address_goes_and_everything_else_stays() {
        // The body of a damaged line named the person for ever, after they had been erased everywhere else.
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("state.db"));
        let event =
            |body: &str| Received { source: Source::Api, at: Timestamp::UNIX_EPOCH, body: body.to_owned() };
        let (ada, ben) = ("type=x&data[email]=Ada%2Bx%40b.test", "type=x&data[email]=ben%40b.test");
        spool.put(&[event(ada), event(ben)]).unwrap();
        spool.put(&[event(r#"{"type":"upemail","data":{"merges":{"X":"\u0061da+x@b.test"}}}"#)]).unwrap();
        let damaged = spool.damaged();
        fs::create_dir(&damaged).unwrap();
        fs::write(damaged.join("1"), "half ADA+X@b.test\nanother\n\u{ff}").unwrap();
        fs::write(damaged.join("2"), "no event of ada%2bx@b.test").unwrap();
        fs::write(damaged.join("3"), "nobody").unwrap();
        spool.forget(&[EmailAddress::parse("ada+x@b.test").unwrap()]).unwrap();
        let texts = |folder: &Path| {
            let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
            files.sort();
            files.iter().map(|path| fs::read_to_string(path).unwrap()).collect::<Vec<_>>()
        };
        let waiting = texts(spool.folder());
        assert!(
            waiting.len() == 1 && waiting[0].contains("ben%40") && !waiting[0].contains("Ada"),
            "{waiting:?}"
        );
        assert_eq!(texts(&damaged), ["another\n\u{ff}", "nobody"]);
        let mode = fs::metadata(damaged.join("1")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, fs::metadata(damaged.join("3")).unwrap().permissions().mode() & 0o777);
    }
}
