//! When to ask again: one back-off for the whole client, and the only user of the `backoff` crate.
//!
//! Mailchimp sends no `Retry-After`: when one request finds it busy, all of them wait, exponentially longer each time.
//! <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff as _;
use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// How patiently the client asks again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryOptions {
    /// The first pause.
    pub initial_interval: Duration,
    /// The longest pause.
    pub max_interval: Duration,
    /// For how long one request is tried before it is given up as busy.
    pub budget: Duration,
    /// By how much a pause varies, as a share of it: 0.5 is half to one and a half; 0 makes it exact.
    pub jitter: f64,
}

impl Default for RetryOptions {
    fn default() -> Self {
        Self {
            initial_interval: Duration::from_secs(1),
            max_interval: Duration::from_secs(60),
            budget: Duration::from_secs(180),
            jitter: 0.5,
        }
    }
}

/// The back-off that all requests of a client share.
pub struct SharedBackOff {
    clock: Clock,
    budget: Duration,
    state: Mutex<State>,
}

struct State {
    intervals: ExponentialBackoff,
    /// Grows with each pause: ten requests that fail together lengthen it once.
    round: u64,
    /// When the present pause ends.
    resume_at: Option<Timestamp>,
}

/// The round in which a request was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round(u64);

/// The pause outlasts what is left of the request's budget.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfTime;

impl SharedBackOff {
    /// A back-off at rest.
    pub fn new(options: RetryOptions, clock: Clock) -> Self {
        let intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(options.initial_interval)
            .with_max_interval(options.max_interval)
            .with_randomization_factor(options.jitter.clamp(0.0, 1.0))
            .with_multiplier(2.0)
            // The crate measures on the machine's clock; the budget is watched here, on ours.
            .with_max_elapsed_time(None)
            .build();
        let state = Mutex::new(State { intervals, round: 0, resume_at: None });
        Self { clock, budget: options.budget, state }
    }

    /// Until when a request that begins now may be tried.
    pub fn deadline(&self) -> Timestamp {
        later(self.clock.now(), self.budget)
    }

    /// Waits for the end of the present pause, and of those that begin meanwhile.
    pub async fn turn(&self, deadline: Timestamp) -> Result<Round, OutOfTime> {
        loop {
            let now = self.clock.now();
            let (round, resume_at) = {
                let state = self.state();
                (Round(state.round), state.resume_at)
            };
            match resume_at {
                Some(resume_at) if resume_at > now => {
                    if resume_at > deadline {
                        return Err(OutOfTime);
                    }
                    let pause = Duration::try_from(resume_at.duration_since(now)).unwrap_or_default();
                    self.clock.sleep(pause).await;
                }
                Some(_) | None => return Ok(round),
            }
        }
    }

    /// A request sent in `round` found Mailchimp busy: everybody pauses.
    pub fn busy(&self, round: Round) {
        let now = self.clock.now();
        let mut state = self.state();
        if state.round != round.0 {
            return;
        }
        let Some(pause) = state.intervals.next_backoff() else { return };
        state.round += 1;
        state.resume_at = Some(later(now, pause));
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(pause_ms, "Mailchimp is busy, all requests pause");
    }

    /// A request sent in `round` was answered: the next pause is a short one again.
    pub fn well(&self, round: Round) {
        let mut state = self.state();
        if state.round == round.0 && state.resume_at.take().is_some() {
            state.intervals.reset();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedBackOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBackOff").field("budget", &self.budget).finish_non_exhaustive()
    }
}

fn later(moment: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
    moment.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back_off(max_secs: u64, budget_secs: u64) -> (SharedBackOff, Clock) {
        let clock = Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap());
        let options = RetryOptions {
            max_interval: Duration::from_secs(max_secs),
            budget: Duration::from_secs(budget_secs),
            jitter: 0.0,
            ..RetryOptions::default()
        };
        (SharedBackOff::new(options, clock.clone()), clock)
    }

    async fn pause(back_off: &SharedBackOff, clock: &Clock) -> i64 {
        let before = clock.now();
        back_off.turn(Timestamp::MAX).await.unwrap();
        clock.now().duration_since(before).as_secs()
    }

    #[tokio::test]
    async fn pauses_double_up_to_the_longest_and_begin_afresh_after_an_answer() {
        let (back_off, clock) = back_off(5, 180);
        let mut pauses = Vec::new();
        for _ in 0..5 {
            let round = back_off.turn(Timestamp::MAX).await.unwrap();
            back_off.busy(round);
            pauses.push(pause(&back_off, &clock).await);
        }
        assert_eq!(pauses, [1, 2, 4, 5, 5]);

        let round = back_off.turn(Timestamp::MAX).await.unwrap();
        back_off.well(round);
        back_off.busy(round);
        assert_eq!(pause(&back_off, &clock).await, 1);
    }

    #[tokio::test]
    async fn requests_that_fail_together_lengthen_the_pause_once() {
        let (back_off, clock) = back_off(60, 180);
        let round = back_off.turn(Timestamp::MAX).await.unwrap();
        for _ in 0..10 {
            back_off.busy(round);
        }
        assert_eq!(pause(&back_off, &clock).await, 1);
    }

    #[tokio::test]
    async fn an_answer_from_before_the_pause_does_not_end_it() {
        let (back_off, clock) = back_off(60, 180);
        let round = back_off.turn(Timestamp::MAX).await.unwrap();
        back_off.busy(round);
        back_off.well(round);
        assert_eq!(pause(&back_off, &clock).await, 1);
    }

    #[tokio::test]
    async fn nobody_waits_longer_than_their_budget() {
        let (back_off, clock) = back_off(60, 3);
        let start = clock.now();
        let deadline = back_off.deadline();
        for _ in 0..2 {
            let round = back_off.turn(deadline).await.unwrap();
            back_off.busy(round);
        }
        // 1 s is over, the next pause of 2 s fits exactly, the one of 4 s does not.
        let round = back_off.turn(deadline).await.unwrap();
        back_off.busy(round);
        assert_eq!(back_off.turn(deadline).await, Err(OutOfTime));
        assert_eq!(clock.now().duration_since(start), SignedDuration::from_secs(3));
    }

    #[tokio::test]
    async fn pauses_vary_by_no_more_than_the_jitter() {
        let clock = Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap());
        for _ in 0..50 {
            let back_off = SharedBackOff::new(RetryOptions::default(), clock.clone());
            let round = back_off.turn(Timestamp::MAX).await.unwrap();
            back_off.busy(round);
            let before = clock.now();
            back_off.turn(Timestamp::MAX).await.unwrap();
            let pause = clock.now().duration_since(before).as_millis();
            assert!((500..=1501).contains(&pause), "{pause}");
        }
    }
}
