//! A member as Mailchimp stores it.

use serde_json::Value;

use crate::sandbox::ids::md5_hex;

/// The subscription status of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Status {
    /// Receives campaigns.
    Subscribed,
    /// Left, or was never asked.
    Unsubscribed,
    /// Given up after bounces.
    Cleaned,
    /// Asked to confirm.
    Pending,
    /// Receives what they bought, and nothing else.
    Transactional,
    /// Put aside; hidden from unfiltered lists.
    Archived,
}

impl Status {
    /// Every status, in the order of the declaration.
    pub(crate) const ALL: [Self; 6] = [
        Self::Subscribed,
        Self::Unsubscribed,
        Self::Cleaned,
        Self::Pending,
        Self::Transactional,
        Self::Archived,
    ];

    /// The name on the wire.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Subscribed => "subscribed",
            Self::Unsubscribed => "unsubscribed",
            Self::Cleaned => "cleaned",
            Self::Pending => "pending",
            Self::Transactional => "transactional",
            Self::Archived => "archived",
        }
    }

    /// The status with this name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// The name in the message about an address that is taken.
    pub(crate) fn in_collision(self) -> &'static str {
        match self {
            Self::Subscribed => "Subscribed",
            Self::Unsubscribed => "Unsubscribed",
            Self::Cleaned => "Cleaned",
            Self::Pending => "Pending",
            Self::Transactional => "Non-Subscribed",
            Self::Archived => "Deleted",
        }
    }
}

/// Why the API may not subscribe somebody; hidden from its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compliance {
    /// Unsubscribed with their own click.
    Left,
    /// Complained of spam.
    Complained,
    /// The address bounced.
    Bounced,
}

/// A contact of the audience, in whatever status.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    /// The address as last written.
    pub(crate) email: String,
    /// The id in paths: MD5 of the lower-cased address, but for some old members.
    pub(crate) id: String,
    /// The id that survives a change of address.
    pub(crate) contact_id: String,
    /// The id in links and webhooks; changes with the address.
    pub(crate) unique_email_id: String,
    /// The id in Mailchimp's web pages.
    pub(crate) web_id: u64,
    /// The present status.
    pub(crate) status: Status,
    /// Whether the API may subscribe them.
    pub(crate) compliance: Option<Compliance>,
    /// Shown while unsubscribed.
    pub(crate) unsubscribe_reason: String,
    /// Value by `merge_id`; what is not there is empty.
    pub(crate) fields: Vec<(u32, Value)>,
    /// A bit for each interest, by its slot (an audience has at most 60).
    pub(crate) interests: u64,
    /// Tag ids with the second of adding, in the order of adding.
    pub(crate) tags: Vec<(u32, i64)>,
    /// `html` or `text`.
    pub(crate) email_type: String,
    /// The language code, or empty.
    pub(crate) language: String,
    /// Marked by staff.
    pub(crate) vip: bool,
    /// Latitude and longitude.
    pub(crate) location: (f64, f64),
    /// Proof of consent.
    pub(crate) ip_signup: String,
    /// Proof of consent.
    pub(crate) timestamp_signup: Option<i64>,
    /// Proof of consent.
    pub(crate) ip_opt: String,
    /// When they opted in.
    pub(crate) timestamp_opt: Option<i64>,
    /// When anything changed.
    pub(crate) last_changed: i64,
    /// How they came.
    pub(crate) source: &'static str,
}

impl Member {
    /// The address as compared: lower-cased.
    pub(crate) fn key(&self) -> String {
        self.email.to_lowercase()
    }

    /// The stored value of a merge field.
    pub(crate) fn field(&self, merge_id: u32) -> Option<&Value> {
        self.fields.iter().find(|(id, _)| *id == merge_id).map(|(_, value)| value)
    }

    /// Stores the value of a merge field; the empty text empties it.
    pub(crate) fn set_field(&mut self, merge_id: u32, value: Value) {
        self.fields.retain(|(id, _)| *id != merge_id);
        if value.as_str() != Some("") {
            self.fields.push((merge_id, value));
            self.fields.sort_by_key(|(id, _)| *id);
        }
    }

    /// Whether the interest in this slot is ticked.
    pub(crate) fn has_interest(&self, slot: u32) -> bool {
        self.interests >> slot & 1 == 1
    }

    /// Ticks or clears the interest in this slot.
    pub(crate) fn set_interest(&mut self, slot: u32, ticked: bool) {
        if ticked {
            self.interests |= 1 << slot;
        } else {
            self.interests &= !(1 << slot);
        }
    }
}

/// The id of an address in paths.
pub(crate) fn subscriber_hash(email: &str) -> String {
    md5_hex(&email.to_lowercase())
}
