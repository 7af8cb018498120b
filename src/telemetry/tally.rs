//! How many there were and how long they took, sorted by length: what the metrics are made from.

use std::time::Duration;

/// The upper ends of the buckets, in milliseconds: from a quick answer, over the longest that a request may take (125 s),
/// to a full cycle over a large audience.
pub const BUCKETS_MS: [u64; 12] =
    [50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 125_000, 300_000, 900_000];

/// How many there were of a kind, and how long they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// How long they took together.
    pub total: Duration,
    /// How many took at most as long as each of [`BUCKETS_MS`] and longer than the one before it.
    pub buckets: [u64; BUCKETS_MS.len()],
}

impl Tally {
    /// Counts one that took so long.
    pub fn add(&mut self, took: Duration) {
        self.count += 1;
        self.total += took;
        if let Some(at) = BUCKETS_MS.iter().position(|end| took <= Duration::from_millis(*end)) {
            self.buckets[at] += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_long_as_a_bucket_belongs_to_it_and_the_longest_to_none() {
        let mut tally = Tally::default();
        for took in [10, 50, 51, 1_000_000] {
            tally.add(Duration::from_millis(took));
        }
        assert_eq!((tally.count, tally.total), (4, Duration::from_millis(1_000_111)));
        assert_eq!(tally.buckets[..3], [2, 1, 0]);
        assert_eq!(tally.buckets.iter().sum::<u64>(), 3);
    }
}
