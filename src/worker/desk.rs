//! Where a running worker is asked for a cycle, and told of by whoever asked.
//!
//! Whoever asks while a cycle is under way is answered by the next one that begins, all such together: what that cycle
//! reads was not read before they asked.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::cycle::{Adoption, CycleError, Report};
use crate::mailchimp::refusal::chain;
use crate::observe::Scope;
use crate::progress::Progress;
use crate::worker::Bell;

/// What kind of cycle somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// How much it is to read at least.
    pub scope: Scope,
    /// Whether the first adoption is answered beforehand.
    pub adoption: Adoption,
}

impl Wish {
    /// What satisfies both.
    pub(super) fn and(self, other: Self) -> Self {
        let full = self.scope == Scope::Full || other.scope == Scope::Full;
        let yes = self.adoption == Adoption::Yes || other.adoption == Adoption::Yes;
        Self {
            scope: if full { Scope::Full } else { Scope::Incremental },
            adoption: if yes { Adoption::Yes } else { Adoption::Ask },
        }
    }
}

/// Why a cycle that was asked for did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What went wrong, with its causes.
    pub said: String,
    /// Whether the configuration is at fault: trying again is of no use before somebody mends it.
    pub misconfigured: bool,
}

impl From<&CycleError> for Failure {
    fn from(error: &CycleError) -> Self {
        Self { said: chain(error), misconfigured: error.is_misconfigured() }
    }
}

/// How far the cycle that somebody asked for has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not begun, or was told to stop in its midst: the next one goes on.
    Waiting,
    /// It is under way.
    Begun,
    /// It came to its end.
    Ended(Result<Report, Failure>),
}

/// What is given to whoever asked.
#[derive(Debug)]
pub struct Ticket(watch::Receiver<Stage>);

impl Ticket {
    /// Waits for the next stage; `None` where nobody works any more.
    pub async fn next(&mut self) -> Option<Stage> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

/// Where a running worker is asked for a cycle; clones are the same desk.
#[derive(Clone, Debug, Default)]
pub struct Desk(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    bell: Bell,
    waiting: Mutex<Vec<Asked>>,
    progress: watch::Sender<Progress>,
    turn: tokio::sync::Mutex<()>,
}

/// The sides and the state to oneself, until it is dropped.
pub type Turn<'d> = tokio::sync::MutexGuard<'d, ()>;

/// What was asked for until a cycle begins, and those who wait for it.
#[derive(Debug)]
struct Asked {
    wish: Wish,
    stage: watch::Sender<Stage>,
}

impl Desk {
    /// Asks for a cycle and wakes the worker.
    pub fn ask(&self, wish: Wish) -> Ticket {
        let mut waiting = self.waiting();
        let stage = match waiting.last_mut() {
            Some(asked) => {
                asked.wish = asked.wish.and(wish);
                asked.stage.subscribe()
            }
            None => {
                let (stage, ticket) = watch::channel(Stage::Waiting);
                waiting.push(Asked { wish, stage });
                ticket
            }
        };
        drop(waiting);
        self.0.bell.ring();
        Ticket(stage)
    }

    /// What wakes the worker.
    pub fn bell(&self) -> &Bell {
        &self.0.bell
    }

    /// How far the work has come: every cycle of this desk tells it here.
    pub fn progress(&self) -> &watch::Sender<Progress> {
        &self.0.progress
    }

    /// Waits until no cycle is under way; none begins for as long as the turn is kept. Whoever comes first is first.
    pub async fn turn(&self) -> Turn<'_> {
        self.0.turn.lock().await
    }

    /// Takes all that was asked for: a cycle begins.
    pub(super) fn take(&self) -> Taken {
        let asked = std::mem::take(&mut *self.waiting());
        self.0.progress.send_replace(Progress::default());
        asked.iter().for_each(|asked| {
            asked.stage.send_replace(Stage::Begun);
        });
        Taken { desk: self.clone(), asked }
    }

    /// No cycle can begin: whoever waits for one is told why.
    pub fn refuse(&self, failure: &Failure) {
        for asked in std::mem::take(&mut *self.waiting()) {
            asked.stage.send_replace(Stage::Ended(Err(failure.clone())));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the cycle under way was asked for; where it is dropped without an answer, it waits for the next one.
#[derive(Debug)]
pub(super) struct Taken {
    desk: Desk,
    asked: Vec<Asked>,
}

impl Taken {
    /// What all of it comes to; `None` where nobody asked.
    pub(super) fn wish(&self) -> Option<Wish> {
        self.asked.iter().map(|asked| asked.wish).reduce(Wish::and)
    }

    /// Tells everybody what came of it.
    pub(super) fn tell(mut self, result: &Result<Report, CycleError>) {
        let told = match result {
            Ok(report) => Ok(report.clone()),
            Err(error) => Err(Failure::from(error)),
        };
        for asked in std::mem::take(&mut self.asked) {
            asked.stage.send_replace(Stage::Ended(told.clone()));
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        for asked in &self.asked {
            asked.stage.send_replace(Stage::Waiting);
        }
        let mut waiting = self.desk.waiting();
        let since = std::mem::take(&mut *waiting);
        waiting.append(&mut self.asked);
        waiting.extend(since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDINARY: Wish = Wish { scope: Scope::Incremental, adoption: Adoption::Ask };
    const FULL: Wish = Wish { scope: Scope::Full, adoption: Adoption::Ask };
    const YES: Wish = Wish { scope: Scope::Incremental, adoption: Adoption::Yes };

    #[tokio::test]
    async fn all_who_ask_before_a_cycle_begins_are_answered_by_it_and_who_asks_later_is_not() {
        let desk = Desk::default();
        let (mut first, mut second) = (desk.ask(FULL), desk.ask(YES));
        desk.bell().rung().await;
        let taken = desk.take();
        assert_eq!(taken.wish(), Some(Wish { scope: Scope::Full, adoption: Adoption::Yes }));
        let mut later = desk.ask(ORDINARY);
        for ticket in [&mut first, &mut second] {
            assert_eq!(ticket.next().await, Some(Stage::Begun));
        }
        taken.tell(&Ok(Report::default()));
        for ticket in [&mut first, &mut second] {
            assert_eq!(ticket.next().await, Some(Stage::Ended(Ok(Report::default()))));
        }
        let taken = desk.take();
        assert_eq!(taken.wish(), Some(ORDINARY));
        assert_eq!(later.next().await, Some(Stage::Begun));
        taken.tell(&Ok(Report::default()));
        assert_eq!(desk.take().wish(), None, "nobody asks twice");
    }

    #[tokio::test]
    async fn what_a_cycle_left_without_an_answer_waits_for_the_next() {
        let desk = Desk::default();
        let mut first = desk.ask(FULL);
        let taken = desk.take();
        assert_eq!(first.next().await, Some(Stage::Begun));
        let mut later = desk.ask(YES);
        drop(taken);
        assert_eq!(first.next().await, Some(Stage::Waiting));
        let taken = desk.take();
        assert_eq!(taken.wish(), Some(FULL.and(YES)));
        for ticket in [&mut first, &mut later] {
            assert_eq!(ticket.next().await, Some(Stage::Begun));
        }
    }

    #[tokio::test]
    async fn whoever_waits_is_told_why_no_cycle_can_begin() {
        let desk = Desk::default();
        let mut ticket = desk.ask(ORDINARY);
        let failure = Failure { said: "the register is locked".to_owned(), misconfigured: false };
        desk.refuse(&failure);
        assert_eq!(ticket.next().await, Some(Stage::Ended(Err(failure))));
    }

    #[tokio::test]
    async fn one_at_a_time_has_the_turn() {
        let desk = Desk::default();
        let first = desk.turn().await;
        let other = desk.clone();
        let mut second = tokio::spawn(async move { drop(other.turn().await) });
        assert!(tokio::time::timeout(std::time::Duration::from_millis(20), &mut second).await.is_err());
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test]
    async fn a_ticket_of_a_desk_that_is_gone_says_so() {
        let desk = Desk::default();
        let mut ticket = desk.ask(ORDINARY);
        drop(desk);
        assert_eq!(ticket.next().await, None);
    }
}
