//! The limits of the guard: how much of what may happen in a day before a person has to look.

use serde::{Deserialize, Serialize};

/// The limits of one class: both must be passed before anything is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Hundredths of a per cent of the members in the base.
    pub basis_points: u32,
    /// More than this many.
    pub more_than: u64,
}

impl Limit {
    /// Whether `count` out of `members` passes the limit.
    pub fn is_passed_by(self, count: u64, members: u64) -> bool {
        let share = u128::from(count) * 10_000 > u128::from(members) * u128::from(self.basis_points);
        share && count > self.more_than
    }
}

/// The limits of all classes, each over a rolling day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// People taken out of the audience without a word of their own; absences in Mailchimp likewise.
    pub removals: Limit,
    /// People created on either side.
    pub creations: Limit,
    /// People asked back after they left.
    pub invitations: Limit,
}

/// Opt-outs that share one time are one person's word no more once there are more than this many of them.
pub const SHARED_TIME: u64 = 10;

impl Default for Limits {
    /// Removals 5 % and more than 10, creations 20 % and more than 500, invitations 1 % and more than 10.
    fn default() -> Self {
        Self {
            removals: Limit { basis_points: 500, more_than: 10 },
            creations: Limit { basis_points: 2_000, more_than: 500 },
            invitations: Limit { basis_points: 100, more_than: 10 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_passed_by_share_and_by_number() {
        let limit = Limit { basis_points: 500, more_than: 10 };
        let cases = [
            (10, 100, false),
            (11, 100, true),
            (11, 220, false),
            (12, 220, true),
            (0, 0, false),
            (11, 0, true),
            (50, 1000, false),
            (51, 1000, true),
        ];
        for (count, members, expected) in cases {
            assert_eq!(limit.is_passed_by(count, members), expected, "{count} of {members}");
        }
    }
}
