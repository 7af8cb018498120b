//! The last words of a daemon that cannot go on: ops are told by the same command as of everything else, though nothing
//! watches any more.
//!
//! Whoever starts it again may do so every few seconds. When the command was run, and of what it told, is noted beside the
//! state, and outlives the process.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::aside::aside;
use crate::config::AlertsConfig;
use crate::daemon::alerts::{Message, Trouble, age, tell};
use crate::mailchimp::refusal::chain;
use crate::state::lock::beside;

/// What becomes of a daemon that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Afterwards {
    /// It is started again, and may end in the same way within seconds.
    StartedAgain,
    /// It is left until somebody mends what is wrong.
    Left,
}

/// When the command was last run, and of what it told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Noted {
    ran_at: Timestamp,
    told: Option<(Timestamp, String)>,
}

impl Noted {
    /// Whether this is to be told now. Whoever is not started again has no other time for it.
    fn is_due(&self, error: &str, afterwards: Afterwards, terms: &AlertsConfig, now: Timestamp) -> bool {
        let is_new =
            self.told.as_ref().is_none_or(|(at, told)| told != error || age(*at, now) >= terms.repeat_after);
        is_new && (afterwards == Afterwards::Left || age(self.ran_at, now) >= terms.at_most_every)
    }
}

/// Tells ops why the daemon of this state ended, unless they were told of it before, or of something else just now.
pub async fn tell_of_the_end(
    terms: &AlertsConfig,
    state: &Path,
    error: &str,
    afterwards: Afterwards,
    now: Timestamp,
) {
    let before = read(state).await;
    if before.as_ref().is_some_and(|noted| !noted.is_due(error, afterwards, terms, now)) {
        return;
    }
    let noted = Noted { ran_at: now, told: before.and_then(|noted| noted.told) };
    // Noted before it is run: what cannot be noted would be told every few seconds.
    if let Err(cause) = write(state, &noted).await
        && afterwards == Afterwards::StartedAgain
    {
        tracing::warn!(error = chain(&cause), "ops could not be told");
        return;
    }
    let trouble = Trouble::Ended { error: error.to_owned(), next: "rosterd check".to_owned() };
    match tell(terms, &Message::new(now, state, &[trouble])).await {
        Ok(()) => {
            tracing::info!(alerts = 1, "ops were told");
            // Where it cannot be noted, whoever is left as they are ends no second time.
            let _ = write(state, &Noted { ran_at: now, told: Some((now, error.to_owned())) }).await;
        }
        Err(error) => tracing::warn!(error = chain(&error), "ops could not be told"),
    }
}

/// What ended the daemon is over: where it comes back, it is told again.
pub async fn forget_the_end(state: &Path) {
    // Where it stays, it is told again after a while.
    let _ = tokio::fs::remove_file(path(state)).await;
}

/// A file beside the state.
fn path(state: &Path) -> PathBuf {
    beside(state, ".told")
}

async fn read(state: &Path) -> Option<Noted> {
    serde_json::from_slice(&tokio::fs::read(path(state)).await.ok()?).ok()
}

/// Replaced as a whole: one that root's command left is no obstacle to the owner of the folder.
async fn write(state: &Path, noted: &Noted) -> io::Result<()> {
    let (path, text) = (path(state), serde_json::to_vec(noted)?);
    let written = aside(move || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut file = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
        file.write_all(&text)?;
        file.persist(path)?;
        Ok(())
    });
    written.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    /// A command that keeps what it is told, a line for each time.
    fn terms(told: &Path) -> AlertsConfig {
        AlertsConfig {
            program: "/bin/sh".into(),
            arguments: vec!["-c".to_owned(), format!("{{ cat; echo; }} >>{}", told.display())],
            path: Some("/usr/bin:/bin".to_owned()),
            no_success_for: Duration::from_hours(1),
            at_most_every: Duration::from_mins(5),
            repeat_after: Duration::from_hours(24),
            timeout: Duration::from_secs(30),
        }
    }

    fn lines(told: &Path) -> usize {
        std::fs::read_to_string(told).map_or(0, |text| text.lines().count())
    }

    #[tokio::test]
    async fn a_daemon_that_is_started_again_and_again_tells_once_a_day_why_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let (state, told) = (folder.path().join("state.db"), folder.path().join("told"));
        let end = async |error: &str, minute| {
            tell_of_the_end(&terms(&told), &state, error, Afterwards::StartedAgain, at(minute)).await;
            lines(&told)
        };
        assert_eq!([end("a", 0).await, end("a", 1).await, end("a", 60).await], [1, 1, 1]);
        assert_eq!([end("b", 61).await, end("a", 62).await, end("a", 66).await], [2, 2, 3]);
        assert_eq!([end("a", 66 + 24 * 60 - 1).await, end("a", 66 + 24 * 60).await], [3, 4]);
        tell_of_the_end(&terms(&told), &state, "c", Afterwards::Left, at(66 + 24 * 60 + 1)).await;
        assert_eq!(lines(&told), 5, "there is no other time for it");
        forget_the_end(&state).await;
        assert_eq!(end("a", 66 + 24 * 60 + 2).await, 6, "it was over, and came back");
    }

    #[tokio::test]
    async fn what_cannot_be_noted_is_told_only_by_whoever_is_not_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let (state, told) = (folder.path().join("nowhere/state.db"), folder.path().join("told"));
        for (afterwards, expected) in [(Afterwards::StartedAgain, 0), (Afterwards::Left, 1)] {
            tell_of_the_end(&terms(&told), &state, "a", afterwards, at(0)).await;
            assert_eq!(lines(&told), expected, "{afterwards:?}");
        }
    }
}
