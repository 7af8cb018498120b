//! The asking side: what a command says to the daemon, and how it hears the answers.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;

use crate::control::message::{LONGEST_REQUEST, read_line, write_line};
use crate::control::place::{connect, socket_path};
use crate::control::{Answer, Ask, ControlError};
use crate::worker::CycleWanted;

/// A daemon that lives says something every few seconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// No answer is longer.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The answers to one request, as they come.
#[derive(Debug)]
pub struct Answers {
    stream: BufReader<UnixStream>,
    patience: Duration,
    ended: bool,
}

/// Asks the daemon of the state at `state`; `None` where none runs.
///
/// # Errors
///
/// There is one, and it cannot be asked.
pub async fn ask(state: &Path, ask: &Ask) -> Result<Option<Answers>, ControlError> {
    let path = socket_path(state);
    let Some(mut stream) = connect(&path).await? else { return Ok(None) };
    let failed = |source| ControlError::System { path: path.clone(), source };
    let line = ask.to_line().map_err(failed)?;
    if line.len() > LONGEST_REQUEST {
        return Err(ControlError::TooLong);
    }
    match tokio::time::timeout(PATIENCE, write_line(&mut stream, &line)).await {
        Err(_) => return Err(ControlError::Silent),
        // Hung up before it heard all: it may have said why.
        Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Ok(written) => written.map_err(failed)?,
    }
    Ok(Some(Answers { stream: BufReader::new(stream), patience: PATIENCE, ended: false }))
}

/// How long somebody waits who only lets the daemon know.
const KNOCK: Duration = Duration::from_secs(2);

/// Has a running daemon look at the stores at once. Where none runs, or none can be asked, whatever there is to be seen is
/// seen by the next cycle.
pub async fn knock(state: &Path) {
    let knocking = async {
        match ask(state, &Ask::Sync(CycleWanted::default())).await {
            // Hanging up afterwards takes nothing back.
            Ok(Some(mut answers)) => answers.next().await.map(drop),
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        }
    };
    if let Ok(Err(error)) = tokio::time::timeout(KNOCK, knocking).await {
        tracing::debug!(error = error.to_string(), "the daemon was not woken: its next cycle sees it");
    }
}

/// Whether a daemon of the state at `state` listens, for us or for others.
pub async fn is_answered(state: &Path) -> bool {
    !matches!(connect(&socket_path(state)).await, Ok(None))
}

impl Answers {
    /// Whether the daemon has neither hung up nor said anything more: what it granted still holds.
    pub async fn still_holds(&mut self) -> bool {
        // Looked at once, and not waited for.
        !self.ended && tokio::time::timeout(Duration::ZERO, self.stream.fill_buf()).await.is_err()
    }

    /// The next answer; `None` after the last one, and where the daemon hung up without one.
    ///
    /// # Errors
    ///
    /// The daemon says nothing for long, or nothing that can be understood.
    pub async fn next(&mut self) -> Result<Option<Answer>, ControlError> {
        if self.ended {
            return Ok(None);
        }
        let read = tokio::time::timeout(self.patience, read_line(&mut self.stream, LONGEST_ANSWER)).await;
        let line = match read {
            Err(_) => return Err(ControlError::Silent),
            Ok(Err(error)) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(ControlError::Unreadable);
            }
            // Cut off in the midst of a line, it is gone like one that hung up between two.
            Ok(Err(_)) | Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(line))) => line,
        };
        let answer: Answer = serde_json::from_slice(&line).map_err(|_| ControlError::Unreadable)?;
        self.ended = answer.is_last();
        Ok(Some(answer))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use crate::control::place::bind;

    use super::*;

    fn retry() -> Ask {
        Ask::Sync(crate::worker::CycleWanted { full: false, yes: false, addresses: Vec::new() })
    }

    /// What is heard of a daemon that says this and hangs up, or keeps still.
    async fn heard(said: &'static [u8], hangs_up: bool) -> Vec<Result<Option<Answer>, String>> {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        let bound = bind(&socket_path(&state)).unwrap();
        let daemon = tokio::spawn(async move {
            let (mut stream, _) = bound.listener.accept().await.unwrap();
            stream.write_all(said).await.unwrap();
            if !hangs_up {
                std::future::pending::<()>().await;
            }
        });
        let mut answers = ask(&state, &retry()).await.unwrap().unwrap();
        answers.patience = Duration::from_millis(50);
        let mut heard = Vec::new();
        loop {
            let next = answers.next().await.map_err(|error| error.to_string());
            let more = matches!(next, Ok(Some(_)));
            heard.push(next);
            if !more {
                daemon.abort();
                return heard;
            }
        }
    }

    #[tokio::test]
    async fn answers_are_heard_until_the_last_or_until_the_daemon_is_gone() {
        let stopping = b"\"accepted\"\n\"stopping\"\n\"begun\"\n";
        assert_eq!(
            heard(stopping, true).await,
            [Ok(Some(Answer::Accepted)), Ok(Some(Answer::Stopping)), Ok(None)],
            "nothing after the last"
        );
        assert_eq!(heard(b"\"accepted\"\n", true).await, [Ok(Some(Answer::Accepted)), Ok(None)]);
        assert_eq!(heard(b"\"accep", true).await, [Ok(None)]);
    }

    #[tokio::test]
    async fn a_daemon_that_stands_still_or_speaks_otherwise_is_not_waited_for() {
        let silent = heard(b"\"accepted\"\n", false).await;
        assert!(matches!(&silent[1], Err(said) if said.contains("does not answer")), "{silent:?}");
        let strange = heard(b"{\"sung\":\"a song\"}\n", false).await;
        assert!(matches!(&strange[0], Err(said) if said.contains("another version")), "{strange:?}");
    }

    #[tokio::test]
    async fn what_was_granted_holds_until_the_daemon_says_more_or_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        let bound = bind(&socket_path(&state)).unwrap();
        for last in [&b"\"stopping\"\n"[..], b""] {
            let mut answers = ask(&state, &Ask::StandAside).await.unwrap().unwrap();
            let (mut daemon, _) = bound.listener.accept().await.unwrap();
            daemon.write_all(b"\"begun\"\n").await.unwrap();
            assert_eq!(answers.next().await.unwrap(), Some(Answer::Begun));
            assert!(answers.still_holds().await);
            daemon.write_all(last).await.unwrap();
            drop(daemon);
            let waiting = async {
                while answers.still_holds().await {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(PATIENCE, waiting).await.unwrap();
        }
    }

    #[tokio::test]
    async fn more_than_a_line_may_hold_is_not_sent() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        let _bound = bind(&socket_path(&state)).unwrap();
        let address = crate::model::EmailAddress::parse("somebody@alliance.test").unwrap();
        let addresses = vec![address; LONGEST_REQUEST / 20];
        let many = Ask::Sync(crate::worker::CycleWanted { full: false, yes: false, addresses });
        assert!(matches!(ask(&state, &many).await, Err(ControlError::TooLong)));
    }
}
