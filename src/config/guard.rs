//! `[guard]`: how much may happen in a day before a person is asked.

use crate::config::section::Section;
use crate::config::values;
use crate::config::values::Share;

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
    /// Writes that take people out of the audience without a word of their own.
    pub removals: Limit,
    /// Contacts that were archived or are gone in Mailchimp.
    pub absences: Limit,
    /// People created on either side.
    pub creations: Limit,
    /// People asked back after they left.
    pub invitations: Limit,
}

impl Limit {
    /// Whether `part` of `whole` is more than may happen unasked.
    pub fn is_exceeded_by(self, part: u64, whole: u64) -> bool {
        part > self.more_than && self.share.is_exceeded_by(part, whole)
    }
}

/// Reads the section; the defaults are those of the design, and absences follow removals unless they are set.
pub(crate) fn read(section: &mut Section<'_>) -> Option<GuardConfig> {
    let removals = limit(section, "removals", Limit { share: Share::percent(5), more_than: 10 });
    Some(GuardConfig {
        removals,
        absences: limit(section, "absences", removals),
        creations: limit(section, "creations", Limit { share: Share::percent(20), more_than: 500 }),
        invitations: limit(section, "invitations", Limit { share: Share::percent(1), more_than: 10 }),
    })
}

fn limit(section: &mut Section<'_>, key: &str, default: Limit) -> Limit {
    let share = section.read(key, values::share);
    let more_than = section.read(&format!("{key}_more_than"), |value| values::count(value, 0, 1_000_000_000));
    Limit { share: share.unwrap_or(default.share), more_than: more_than.unwrap_or(default.more_than) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exceeded_only_by_share_and_number_together() {
        let limit = Limit { share: Share::percent(5), more_than: 10 };
        let cases = [(10, 20, false), (11, 20, true), (50, 1000, false), (51, 1000, true), (11, 0, true)];
        for (part, whole, expected) in cases {
            assert_eq!(limit.is_exceeded_by(part, whole), expected, "{part} of {whole}");
        }
    }
}
