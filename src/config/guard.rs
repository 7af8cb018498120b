//! `[guard]`: how much may happen in a day before a person is asked.

use crate::config::section::Section;
use crate::config::values;
use crate::config::values::Share;
use crate::reconcile::guard;
use crate::reconcile::guard::Limits;

/// When a class of writes is held: more than this share of the base and more than this many, both in 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The share of the base.
    pub share: Share,
    /// The number that is never held, however small the base.
    pub more_than: u64,
}

/// The limits of the guard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardConfig {
    /// People taken out of the audience without a word of their own; absences in Mailchimp likewise.
    pub removals: Limit,
    /// People created on either side.
    pub creations: Limit,
    /// People asked back after they left.
    pub invitations: Limit,
}

impl GuardConfig {
    /// The limits as the guard takes them.
    pub fn limits(&self) -> Limits {
        let limit = |limit: Limit| guard::Limit {
            basis_points: limit.share.hundredths_of_percent(),
            more_than: limit.more_than,
        };
        Limits {
            removals: limit(self.removals),
            creations: limit(self.creations),
            invitations: limit(self.invitations),
        }
    }
}

/// Reads the section; the defaults are those of the design.
pub(crate) fn read(section: &mut Section<'_>) -> Option<GuardConfig> {
    Some(GuardConfig {
        removals: limit(section, "removals", Limit { share: Share::percent(5), more_than: 10 }),
        creations: limit(section, "creations", Limit { share: Share::percent(20), more_than: 500 }),
        invitations: limit(section, "invitations", Limit { share: Share::percent(1), more_than: 10 }),
    })
}

fn limit(section: &mut Section<'_>, key: &str, default: Limit) -> Limit {
    let share = section.read(key, values::share);
    let more_than = section.read(&format!("{key}_more_than"), |value| values::count(value, 0, 1_000_000_000));
    Limit { share: share.unwrap_or(default.share), more_than: more_than.unwrap_or(default.more_than) }
}
