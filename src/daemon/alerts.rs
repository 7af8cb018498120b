//! Alerts: a command of ops is run when something is held, when no cycle can work, or when none has worked for a while; of
//! a daemon that ends by itself `last_words` tells.
//!
//! It gets one JSON object on its standard input, none of our secrets in its environment, and a limited time. What it was
//! told of it is not told of again before long, and it never runs oftener than the configuration allows; what comes up
//! meanwhile is told of together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::config::AlertsConfig;
use crate::mailchimp::refusal::chain;
use crate::state::{Decision, State, StateError};
use crate::worker::Health;

/// How often it is looked whether something is wrong, where nothing else gives rise to it.
const LOOK: Duration = Duration::from_secs(30);

/// Watches over the daemon until it is dropped.
#[derive(Debug)]
pub struct Alerts {
    terms: watch::Sender<Option<AlertsConfig>>,
    task: JoinHandle<()>,
}

impl Alerts {
    /// Begins to watch; tells nobody where the configuration names no command.
    pub fn start(
        terms: Option<AlertsConfig>,
        state: (State, PathBuf),
        health: watch::Receiver<Health>,
        clock: Clock,
    ) -> Self {
        let terms = watch::Sender::new(terms);
        let memory = Memory { began: clock.now(), told: BTreeMap::new(), ran_at: None };
        let guard = Guard { terms: terms.subscribe(), state: state.0, path: state.1, health, clock, memory };
        Self { terms, task: tokio::spawn(guard.watch()) }
    }

    /// Goes by this part of the configuration from now on.
    pub fn follow(&self, terms: Option<AlertsConfig>) {
        self.terms.send_replace(terms);
    }
}

impl Drop for Alerts {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Trouble {
    /// A person must decide.
    Held { id: String, class: String, count: u64, since: Timestamp, next: String },
    /// No cycle can work until somebody mends what is wrong.
    Fatal { error: String, next: String },
    /// No cycle has worked since then, the start or the last one that did.
    Silent { since: Timestamp, error: Option<String>, next: String },
    /// The daemon could not go on.
    Ended { error: String, next: String },
}

impl Trouble {
    /// What makes it the same trouble as before.
    fn key(&self) -> String {
        match self {
            Self::Held { id, .. } => format!("held {id}"),
            Self::Fatal { error, .. } => format!("fatal {error}"),
            Self::Silent { .. } => "silent".to_owned(),
            Self::Ended { error, .. } => format!("ended {error}"),
        }
    }
}

/// What the command is given.
#[derive(Debug, Serialize)]
pub(super) struct Message<'m> {
    at: Timestamp,
    version: &'static str,
    state: &'m Path,
    alerts: &'m [Trouble],
}

impl<'m> Message<'m> {
    /// What is wrong now, with the daemon of this state.
    pub(super) fn new(at: Timestamp, state: &'m Path, alerts: &'m [Trouble]) -> Self {
        Self { at, version: env!("CARGO_PKG_VERSION"), state, alerts }
    }
}

/// Why the command did not do its work.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    #[error("the command cannot be run")]
    Unrunnable(#[source] std::io::Error),
    #[error("the command did not end within {} s", .0.as_secs())]
    TooLong(Duration),
    #[error("the command ended with {0}")]
    Failed(ExitStatus),
}

/// Whoever watches.
struct Guard {
    terms: watch::Receiver<Option<AlertsConfig>>,
    state: State,
    path: PathBuf,
    health: watch::Receiver<Health>,
    clock: Clock,
    memory: Memory,
}

impl Guard {
    async fn watch(mut self) {
        loop {
            let terms = self.terms.borrow_and_update().clone();
            if let Some(terms) = &terms
                && let Err(error) = self.look(terms).await
            {
                tracing::warn!(error = chain(&error), "it cannot be told whether something is held");
            }
            let pause = terms.map_or(LOOK, |terms| LOOK.min(terms.no_success_for));
            tokio::select! {
                changed = self.health.changed() => if changed.is_err() { return },
                changed = self.terms.changed() => if changed.is_err() { return },
                () = self.clock.sleep(pause) => (),
            }
        }
    }

    /// Looks once, and tells of what is new.
    async fn look(&mut self, terms: &AlertsConfig) -> Result<(), StateError> {
        let now = self.clock.now();
        let health = self.health.borrow_and_update().clone();
        let mut troubles = holds(&self.state).await?;
        troubles.extend(self.memory.of(&health, terms, now));
        let due = self.memory.due(&troubles, terms, now);
        if due.is_empty() {
            return Ok(());
        }
        self.memory.ran_at = Some(now);
        let message = Message::new(now, &self.path, &due);
        match tell(terms, &message).await {
            Ok(()) => {
                tracing::info!(alerts = due.len(), "ops were told");
                self.memory.told.extend(due.iter().map(|trouble| (trouble.key(), now)));
            }
            Err(error) => tracing::warn!(error = chain(&error), "ops could not be told"),
        }
        Ok(())
    }
}

/// What was told, and when.
struct Memory {
    began: Timestamp,
    told: BTreeMap<String, Timestamp>,
    ran_at: Option<Timestamp>,
}

impl Memory {
    /// What is wrong with the loop.
    fn of(&self, health: &Health, terms: &AlertsConfig, now: Timestamp) -> Vec<Trouble> {
        let next = || "rosterd status".to_owned();
        let mut troubles = Vec::new();
        if let Some(error) = &health.fatal {
            troubles.push(Trouble::Fatal { error: error.clone(), next: next() });
        }
        let since = health.worked_at.unwrap_or(self.began);
        // A clock that was set back makes nothing old.
        if Duration::try_from(now.duration_since(since)).unwrap_or_default() >= terms.no_success_for {
            troubles.push(Trouble::Silent { since, error: health.error.clone(), next: next() });
        }
        troubles
    }

    /// What is to be told now; what is over is forgotten.
    fn due(&mut self, troubles: &[Trouble], terms: &AlertsConfig, now: Timestamp) -> Vec<Trouble> {
        self.told.retain(|key, _| troubles.iter().any(|trouble| trouble.key() == *key));
        if self.ran_at.is_some_and(|ran| age(ran, now) < terms.at_most_every) {
            return Vec::new();
        }
        let is_new = |trouble: &&Trouble| {
            self.told.get(&trouble.key()).is_none_or(|told| age(*told, now) >= terms.repeat_after)
        };
        troubles.iter().filter(is_new).cloned().collect()
    }
}

/// How long ago something was told; nothing is recent because the clock was set back.
pub(super) fn age(moment: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(moment)).unwrap_or(Duration::MAX)
}

async fn holds(state: &State) -> Result<Vec<Trouble>, StateError> {
    let open = state.holds().await?.into_iter().filter(|hold| hold.decision == Decision::Open);
    let held = open.map(|hold| Trouble::Held {
        next: format!("rosterd held {}", hold.id),
        id: hold.id,
        class: hold.class,
        count: hold.count,
        since: hold.since,
    });
    Ok(held.collect())
}

/// Runs the command with `message` on its standard input.
pub(super) async fn tell(terms: &AlertsConfig, message: &Message<'_>) -> Result<(), CommandError> {
    let mut command = Command::new(&terms.program);
    command.args(&terms.arguments).env_clear().envs(terms.path.iter().map(|path| ("PATH", path)));
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn().map_err(CommandError::Unrunnable)?;
    let text = serde_json::to_vec(message).unwrap_or_default();
    let ended = tokio::time::timeout(terms.timeout, async {
        if let Some(mut input) = child.stdin.take() {
            // A command that reads nothing has been told all the same.
            let _ = input.write_all(&text).await;
        }
        child.wait().await
    });
    match ended.await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(CommandError::Failed(status)),
        Ok(Err(error)) => Err(CommandError::Unrunnable(error)),
        Err(_) => Err(CommandError::TooLong(terms.timeout)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms() -> AlertsConfig {
        AlertsConfig {
            program: "/bin/sh".into(),
            arguments: Vec::new(),
            path: None,
            no_success_for: Duration::from_hours(1),
            at_most_every: Duration::from_mins(5),
            repeat_after: Duration::from_hours(24),
            timeout: Duration::from_secs(30),
        }
    }

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn memory() -> Memory {
        Memory { began: at(0), told: BTreeMap::new(), ran_at: None }
    }

    fn fatal(error: &str) -> Trouble {
        Trouble::Fatal { error: error.to_owned(), next: "rosterd status".to_owned() }
    }

    /// Tells what is due, as if the command had worked.
    fn tell_at(memory: &mut Memory, troubles: &[Trouble], minute: i64) -> usize {
        let due = memory.due(troubles, &terms(), at(minute));
        if !due.is_empty() {
            memory.ran_at = Some(at(minute));
            memory.told.extend(due.iter().map(|trouble| (trouble.key(), at(minute))));
        }
        due.len()
    }

    #[test]
    fn a_trouble_is_told_once_and_again_after_a_day() {
        let (mut memory, troubles) = (memory(), [fatal("the key is invalid")]);
        let told = [0, 1, 10, 24 * 60 - 1, 24 * 60, 24 * 60 + 10]
            .map(|minute| tell_at(&mut memory, &troubles, minute));
        assert_eq!(told, [1, 0, 0, 0, 1, 0]);
    }

    #[test]
    fn what_comes_up_too_soon_after_the_last_time_is_told_together() {
        let mut memory = memory();
        let (a, b, c) = (fatal("a"), fatal("b"), fatal("c"));
        assert_eq!(tell_at(&mut memory, std::slice::from_ref(&a), 0), 1);
        assert_eq!(tell_at(&mut memory, &[a.clone(), b.clone()], 1), 0);
        assert_eq!(tell_at(&mut memory, &[a.clone(), b.clone(), c.clone()], 4), 0);
        assert_eq!(tell_at(&mut memory, &[a, b, c], 5), 2);
    }

    #[test]
    fn what_was_over_and_comes_back_is_told_again() {
        let (mut memory, troubles) = (memory(), [fatal("a")]);
        assert_eq!(tell_at(&mut memory, &troubles, 0), 1);
        assert_eq!(tell_at(&mut memory, &[], 10), 0);
        assert_eq!(tell_at(&mut memory, &troubles, 20), 1);
    }

    #[test]
    fn silence_is_counted_from_the_last_cycle_that_worked_or_from_the_start() {
        let memory = memory();
        let silent = |health: &Health, minute| memory.of(health, &terms(), at(minute)).len();
        assert_eq!((silent(&Health::default(), 59), silent(&Health::default(), 60)), (0, 1));
        let worked = Health { worked_at: Some(at(30)), ..Health::default() };
        assert_eq!((silent(&worked, 89), silent(&worked, 90)), (0, 1));
        let fatal = Health { fatal: Some("the key is invalid".to_owned()), ..worked };
        assert_eq!((silent(&fatal, 31), silent(&fatal, 90)), (1, 2));
    }

    #[tokio::test]
    async fn a_command_that_fails_hangs_or_is_not_there_is_told_apart() {
        let message = Message::new(at(0), Path::new("state.db"), &[]);
        let run = async |program: &str, arguments: &[&str], timeout| {
            let arguments = arguments.iter().map(|word| (*word).to_owned()).collect();
            let terms = AlertsConfig { program: program.into(), arguments, timeout, ..terms() };
            tell(&terms, &message).await.map_err(|error| chain(&error))
        };
        let long = Duration::from_secs(30);
        assert_eq!(run("/bin/sh", &["-c", "cat >/dev/null"], long).await, Ok(()));
        assert_eq!(
            run("/bin/sh", &["-c", "exit 3"], long).await.unwrap_err(),
            "the command ended with exit status: 3"
        );
        let hangs = run("/bin/sh", &["-c", "exec sleep 60"], Duration::from_millis(50)).await.unwrap_err();
        assert!(hangs.starts_with("the command did not end within"), "{hangs}");
        let none = run("/nowhere/at/all", &[], long).await.unwrap_err();
        assert!(none.starts_with("the command cannot be run"), "{none}");
        assert_eq!(
            run("/bin/sh", &["-c", "test -z \"$HOME$CARGO\""], long).await,
            Ok(()),
            "no variable is passed on"
        );
    }
}
