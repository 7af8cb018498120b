//! The time, real or set by a test: the only place that asks the machine for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// Where the program takes the time from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// A clock that stands still until it is moved; sleeping moves it and does not wait.
    Set(Arc<Mutex<Timestamp>>),
}

impl Clock {
    /// A clock that stands at `start`.
    pub fn set_at(start: Timestamp) -> Self {
        Self::Set(Arc::new(Mutex::new(start)))
    }

    /// The present moment.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that may ask the machine for the time"
    )]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::now(),
            Self::Set(moment) => *moment.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Moves a set clock forward; the machine's clock moves by itself.
    pub fn advance(&self, duration: Duration) {
        if let Self::Set(moment) = self {
            let mut moment = moment.lock().unwrap_or_else(PoisonError::into_inner);
            let step = SignedDuration::try_from(duration).unwrap_or(SignedDuration::ZERO);
            *moment = moment.checked_add(step).unwrap_or(Timestamp::MAX);
        }
    }

    /// Waits for `duration`; on a set clock, moves it and lets other tasks run once.
    pub async fn sleep(&self, duration: Duration) {
        match self {
            Self::System => tokio::time::sleep(duration).await,
            Self::Set(_) => {
                self.advance(duration);
                tokio::task::yield_now().await;
            }
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
}
