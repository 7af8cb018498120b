//! Contacts: the members of the remote audience as they were observed.

use std::collections::BTreeSet;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{EmailAddress, InterestSet, MergeFields, SubscriptionStatus};

/// Mailchimp's key of a contact; it survives a change of address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ContactId(String);

impl ContactId {
    /// The contact with this key.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ContactId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One contact as it was observed, in local names, with what the mapping names and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// The key that survives a change of address.
    pub contact_id: ContactId,
    /// The `id` that Mailchimp returned: what its paths take. Mostly, not always, the subscriber hash.
    pub path_id: String,
    /// The address.
    pub email: EmailAddress,
    /// Where the person stands.
    pub status: SubscriptionStatus,
    /// The mapped merge fields, in normal spelling of the wire; empty where nothing is said.
    pub fields: MergeFields,
    /// The interests, of categories and of tag prefixes alike, by their local names.
    pub interests: InterestSet,
    /// The working-group tags the contact carries, of those the configuration owns, by tag.
    pub group_tags: BTreeSet<String>,
    /// What the preference center's link is made of; changes with the address.
    pub unique_email_id: String,
    /// When anything last changed, in whole seconds.
    pub last_changed: Option<Timestamp>,
    /// When the person last opted in by their own act, or by ours through the API.
    pub timestamp_opt: Option<Timestamp>,
}

/// Our own number for a member, kept in the state file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MemberId(pub i64);

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
