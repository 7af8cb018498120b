//! Registrations: the rows of the local store.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{EmailAddress, InterestSet, MergeFields, SubscriptionStatus};

/// The key of a row, as text whatever its type in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RegistrationId(String);

impl RegistrationId {
    /// The row with this key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What sorts rows by age: numbers by size, then texts by their letters.
    pub fn order(&self) -> (u64, &str) {
        (self.0.parse().unwrap_or(u64::MAX), &self.0)
    }
}

impl fmt::Display for RegistrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One row as it was observed, with what the mapping names and nothing else.
///
/// A value whose column is not mapped is absent (`None`, or no key in `fields`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// The row's key.
    pub id: RegistrationId,
    /// The person's address.
    pub email: EmailAddress,
    /// `member`, `supporter` or `subscriber`, or the register's own word.
    pub membership: Option<String>,
    /// Where the person stands: subscribed, unsubscribed, pending or cleaned.
    pub status: SubscriptionStatus,
    /// When the person last said so, where the store knows.
    pub status_changed_at: Option<Timestamp>,
    /// The network address of the sign-up: proof of consent.
    pub signup_ip: Option<String>,
    /// The time of the sign-up: proof of consent.
    pub signup_at: Option<Timestamp>,
    /// When the row came to be.
    pub created_at: Option<Timestamp>,
    /// When the row last changed.
    pub updated_at: Option<Timestamp>,
    /// The mapped merge fields; every mapped column has its tag here, empty where the row says nothing.
    pub fields: MergeFields,
    /// The interests of the row.
    pub interests: InterestSet,
    /// The link that Rosterd keeps; `None` where the column is not mapped, empty where nothing was written yet.
    pub preferences_url: Option<String>,
    /// The note that Rosterd keeps; `None` where the column is not mapped, empty where there is none.
    pub sync_note: Option<String>,
    /// The working groups that Rosterd keeps; `None` where no table is mapped.
    pub working_groups: Option<BTreeSet<String>>,
}

impl Registration {
    /// When the person last gave or withdrew consent: `subscription_changed_at`, else `signup_at`, else `created_at`.
    pub fn consent_at(&self) -> Option<Timestamp> {
        self.status_changed_at.or(self.signup_at).or(self.created_at)
    }

    /// What sorts the rows of one member by age, oldest first. Not by the last change: our own writes would reorder them.
    pub fn age(&self) -> (Option<Timestamp>, (u64, &str)) {
        (self.created_at, self.id.order())
    }
}

/// A row that cannot be synchronized as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnusableRegistration {
    /// The row's key.
    pub id: RegistrationId,
    /// What is wrong, as a sentence for staff; never contains the address.
    pub problem: String,
    /// The note that Rosterd keeps, as observed.
    pub sync_note: Option<String>,
    /// The person's address, where it can be read.
    pub email: Option<EmailAddress>,
    /// Where the person stands, where that can be read.
    pub status: Option<SubscriptionStatus>,
    /// When the person last said so, where that can be read.
    pub status_changed_at: Option<Timestamp>,
}

impl UnusableRegistration {
    /// What the row is to be taken to say, where that is news after what it `last` said: it stands for what it last said,
    /// but an opt-out is heard at once, whatever else is wrong with the row.
    pub fn heard_after(&self, last: Option<Registration>) -> Option<Registration> {
        let leaves =
            matches!(self.status, Some(SubscriptionStatus::Unsubscribed | SubscriptionStatus::Cleaned));
        if !leaves {
            return None;
        }
        let Some(last) = last else { return self.as_first_read() };
        let has_left = last.status == SubscriptionStatus::Unsubscribed || Some(last.status) == self.status;
        let says_when = self.status_changed_at.is_some() && self.status_changed_at != last.status_changed_at;
        (!has_left || says_when).then_some(Registration {
            status: SubscriptionStatus::Unsubscribed,
            status_changed_at: self.status_changed_at,
            ..last
        })
    }

    /// A row that never was usable: nothing but whose opt-out it is.
    fn as_first_read(&self) -> Option<Registration> {
        Some(Registration {
            id: self.id.clone(),
            email: self.email.clone()?,
            membership: None,
            status: SubscriptionStatus::Unsubscribed,
            status_changed_at: self.status_changed_at,
            signup_ip: None,
            signup_at: None,
            created_at: None,
            updated_at: None,
            fields: MergeFields::new(),
            interests: InterestSet::new(),
            preferences_url: None,
            sync_note: None,
            working_groups: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_keys_sort_by_size() {
        let mut keys = ["10", "9", "b", "a"].map(RegistrationId::new);
        keys.sort_by(|a, b| a.order().cmp(&b.order()));
        assert_eq!(keys.map(|key| key.as_str().to_owned()), ["9", "10", "a", "b"]);
    }
}
