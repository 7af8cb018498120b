//! Identifiers, drawn from a seeded sequence so that every run gives the same ones.

/// A seeded sequence (SplitMix64): ids, shuffles and the chances of faults come from it.
#[derive(Clone, Debug)]
pub(crate) struct Sequence {
    state: u64,
}

impl Sequence {
    /// A sequence that always gives the same numbers for the same `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound` (0 when the bound is 0).
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap_or(u64::MAX);
        let number = self.number().checked_rem(bound).unwrap_or(0);
        usize::try_from(number).unwrap_or(0)
    }

    /// Whether something with this probability happens now.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        const STEPS: u32 = 1 << 24;
        let drawn = u32::try_from(self.number() >> 40).unwrap_or(0);
        f64::from(drawn) < probability * f64::from(STEPS)
    }

    /// `digits` hexadecimal digits, at most 32.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = format!("{:016x}{:016x}", self.number(), self.number());
        text.truncate(digits);
        text
    }

    /// An id in the form of `X-Request-Id`.
    pub(crate) fn request_id(&mut self) -> String {
        let hex = self.hex(32);
        format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }

    /// Puts `items` in a random order.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last + 1);
            items.swap(last, other);
        }
    }
}

/// The MD5 of `text`, as 32 hexadecimal digits.
pub(crate) fn md5_hex(text: &str) -> String {
    format!("{:x}", md5::compute(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids() {
        assert_eq!(Sequence::new(7).hex(32), Sequence::new(7).hex(32));
        assert_ne!(Sequence::new(7).hex(32), Sequence::new(8).hex(32));
        assert_eq!(Sequence::new(7).request_id().len(), 36);
    }

    #[test]
    fn chances_are_kept_on_the_whole() {
        let mut sequence = Sequence::new(1);
        let hits = (0..10_000).filter(|_| sequence.happens(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits} of 10000 at 25 %");
        assert!(!sequence.happens(0.0) && sequence.happens(1.0));
    }
}
