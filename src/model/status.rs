//! The subscription statuses, in Mailchimp's words.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a member stands with the newsletter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SubscriptionStatus {
    /// Receives mail.
    Subscribed,
    /// Has left.
    Unsubscribed,
    /// Was asked to confirm and has not yet.
    Pending,
    /// Mailchimp gave the address up after bounces.
    Cleaned,
    /// Known to Mailchimp from orders only: never opted in, never opted out.
    Transactional,
    /// Put away in Mailchimp; the former status is hidden.
    Archived,
}

impl SubscriptionStatus {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 6] = [
        Self::Subscribed,
        Self::Unsubscribed,
        Self::Pending,
        Self::Cleaned,
        Self::Transactional,
        Self::Archived,
    ];

    /// The word on the wire and in the register.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
            Self::Pending => "pending",
            Self::Cleaned => "cleaned",
            Self::Transactional => "transactional",
            Self::Archived => "archived",
        }
    }

    /// Reads a word of the wire or the register, without regard to case.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for SubscriptionStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_reads_back_from_its_word() {
        for status in SubscriptionStatus::ALL {
            assert_eq!(SubscriptionStatus::parse(&status.as_str().to_uppercase()), Some(status));
        }
        assert_eq!(SubscriptionStatus::parse("active"), None);
    }
}
