//! The time, real or set by a test: the only place that asks the machine for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Where the program takes the time from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved; sleeping moves it and does not wait. Once released (`None`) it
    /// is the machine's.
    Set(Arc<Mutex<Option<Timestamp>>>),
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn set_at(start: Timestamp) -> Self {
        Self::Set(Arc::new(Mutex::new(Some(start))))
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that may ask the machine for the time"
    )]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Set(moment) => {
                moment.lock().unwrap_or_else(PoisonError::into_inner).unwrap_or_else(Timestamp::now)
            }
        }
    }

    /// Moves a set clock forward; the machine's clock moves by itself.
    pub fn advance(&self, duration: Duration) {
        let step = SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
        self.change(|moment| Some(moment.checked_add(step).unwrap_or(Timestamp::MAX)));
    }

    /// Sets a set clock to `to`.
    pub fn set(&self, to: Timestamp) {
        self.change(|_| Some(to));
    }

    /// From now on a set clock is the machine's.
    pub fn release(&self) {
        self.change(|_| None);
    }

    /// Waits for `duration`; on a set clock, moves it and lets other tasks run once.
    pub async fn sleep(&self, duration: Duration) {
        if self.stands_still() {
            self.advance(duration);
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep(duration).await;
        }
    }

    fn stands_still(&self) -> bool {
        match self {
            Self::System => false,
            Self::Set(moment) => moment.lock().unwrap_or_else(PoisonError::into_inner).is_some(),
        }
    }

    fn change(&self, change: impl FnOnce(Timestamp) -> Option<Timestamp>) {
        if let Self::Set(moment) = self {
            let mut moment = moment.lock().unwrap_or_else(PoisonError::into_inner);
            *moment = moment.and_then(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sleeping_on_a_set_clock_moves_it() {
        let start: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let clock = Clock::set_at(start);
        clock.sleep(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), "2026-03-01T12:01:30Z".parse().unwrap());
    }

    #[test]
    fn a_released_clock_is_the_machines() {
        let start: Timestamp = "2020-03-01T12:00:00Z".parse().unwrap();
        let clock = Clock::set_at(start);
        clock.release();
        clock.set(start);
        assert!(clock.now() > start);
    }
}
