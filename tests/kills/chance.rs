//! Chance that can be repeated: the same seed and number give the same moments.

use std::time::Duration;

/// A source of numbers (`SplitMix64`).
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of one run.
    pub(crate) fn new(seed: u64, run: usize) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::try_from(run).unwrap())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A time before `limit`.
    pub(crate) fn below(&mut self, limit: Duration) -> Duration {
        let limit = u64::try_from(limit.as_micros()).unwrap().max(1);
        Duration::from_micros(self.next() % limit)
    }
}
