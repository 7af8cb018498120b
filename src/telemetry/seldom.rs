//! What happens as often as a stranger likes is told of at most once a minute, with how often it happened since.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// How often it is told of.
const EVERY: SignedDuration = SignedDuration::from_mins(1);

/// What the log does not tell of yet.
#[derive(Debug, Default)]
pub struct Seldom(Mutex<Untold>);

#[derive(Clone, Copy, Debug, Default)]
struct Untold {
    count: usize,
    told_at: Option<Timestamp>,
}

impl Seldom {
    /// Counts more of it; how many there are by now, where they are to be told of.
    pub fn add(&self, count: usize, now: Timestamp) -> Option<usize> {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.count += count;
        let is_due = untold.told_at.is_none_or(|at| now.duration_since(at).abs() >= EVERY);
        is_due.then(|| {
            untold.told_at = Some(now);
            std::mem::take(&mut untold.count)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_of_at_once_and_then_every_minute_with_how_often_it_was() {
        let seldom = Seldom::default();
        let now = Timestamp::UNIX_EPOCH;
        assert_eq!([3, 2, 5].map(|count| seldom.add(count, now)), [Some(3), None, None]);
        assert_eq!([1, 1].map(|count| seldom.add(count, now + EVERY)), [Some(8), None]);
    }
}
