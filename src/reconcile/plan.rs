//! The plan as a value: what to write on which side, and why.

mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Change, EmailAddress, Key, MemberId, RegistrationId, SubscriptionStatus, Value};
use crate::reconcile::consent::DecidedStatus;
use crate::reconcile::trio::{Base, Standing};

/// One of the two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// The registration store.
    Local,
    /// The Mailchimp audience.
    Remote,
}

/// One write to one side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "snake_case")]
pub enum Operation {
    /// Sets the status of an existing contact, in a request of its own.
    RemoteStatus {
        /// The status, as the consent rule decided it.
        decided: DecidedStatus,
        /// The consent part of the base once it is done.
        standing: Standing,
    },
    /// Archives the contact (Mailchimp's DELETE; reversible).
    RemoteArchive {
        /// The consent part of the base once it is done.
        standing: Standing,
    },
    /// Creates a contact.
    RemoteCreate {
        /// Its address.
        email: EmailAddress,
        /// Its status, as the consent rule decided it.
        decided: DecidedStatus,
        /// Its values, those that say something.
        #[serde(with = "keyed")]
        values: BTreeMap<Key, Value>,
        /// The tags of its working groups.
        group_tags: BTreeSet<String>,
        /// Proof of consent: the network address of the sign-up.
        signup_ip: Option<String>,
        /// Proof of consent: the time of the sign-up.
        signup_at: Option<Timestamp>,
        /// The consent part of the base once it is done.
        standing: Standing,
    },
    /// Unsubscribes a pending contact that stays behind at an old address, and unlinks it from the member.
    RemoteLeave {
        /// The status, as the consent rule decided it.
        decided: DecidedStatus,
        /// The consent part of the base once it is done.
        standing: Standing,
    },
    /// Gives the contact another address.
    RemoteRename {
        /// The new address.
        to: EmailAddress,
    },
    /// Changes merge fields and category interests of the contact, only those named.
    RemoteUpdate {
        /// What each value was and becomes.
        #[serde(with = "keyed")]
        changes: BTreeMap<Key, Change>,
        /// What the local side shows for each.
        #[serde(with = "keyed")]
        source: BTreeMap<Key, Value>,
    },
    /// Adds and removes tags of the contact, only those named.
    RemoteTags {
        /// The tags: to be there, or not.
        tags: BTreeMap<String, bool>,
        /// The interests that these tags stand for, as the local side shows them; empty for working groups.
        #[serde(with = "keyed")]
        source: BTreeMap<Key, Value>,
    },
    /// Sets the status of every row of the member.
    LocalStatus {
        /// The status.
        status: SubscriptionStatus,
        /// Mailchimp's time of it.
        changed_at: Option<Timestamp>,
        /// The consent part of the base once it is done.
        standing: Standing,
    },
    /// Creates a registration, with membership `subscriber`.
    LocalCreate {
        /// Its address.
        email: EmailAddress,
        /// Mailchimp's time of the opt-in.
        changed_at: Option<Timestamp>,
        /// Its values, those that say something.
        #[serde(with = "keyed")]
        values: BTreeMap<Key, Value>,
        /// The consent part of the base once it is done.
        standing: Standing,
    },
    /// Gives every row of the member that bears the old address the new one.
    LocalRename {
        /// The old address.
        from: EmailAddress,
        /// The new address.
        to: EmailAddress,
    },
    /// Changes values of the newest row, only those named.
    LocalUpdate {
        /// The row.
        row: RegistrationId,
        /// What each value was and becomes.
        #[serde(with = "keyed")]
        changes: BTreeMap<Key, Change>,
        /// What the remote side shows for each.
        #[serde(with = "keyed")]
        source: BTreeMap<Key, Value>,
    },
    /// Writes Rosterd's own columns and rows about one row.
    LocalKeep {
        /// The row.
        row: RegistrationId,
        /// The link to the preference center; `None` leaves it.
        preferences_url: Option<String>,
        /// Why the row cannot be synchronized, empty for nothing; `None` leaves it.
        sync_note: Option<String>,
        /// The working groups; `None` leaves them.
        working_groups: Option<BTreeSet<String>>,
    },
}

/// Why something is planned: the row of the merge or the consent table, or the policy, that says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason(pub String);

/// Which limit of the guard a write counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "class", content = "at")]
pub enum Class {
    /// None.
    Free,
    /// Takes somebody out of the audience without a word of their own.
    Removal,
    /// Takes somebody out who said so at this time; many sharing one time are removals.
    TimedOptOut(Timestamp),
    /// Follows a contact that was archived or is gone in Mailchimp.
    Absence,
    /// Creates somebody on either side.
    Creation,
    /// Asks somebody back after they left.
    Invitation,
    /// Asks somebody back without proof that they want it: always held.
    UnprovenInvitation,
}

/// An operation with its reason and its class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// What to write.
    pub operation: Operation,
    /// Why.
    pub reason: Reason,
    /// What the guard counts it as.
    pub class: Class,
}

/// What no rule may decide: a person has to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "conflict", rename_all = "snake_case")]
pub enum Conflict {
    /// The address that the local side shows belongs to another contact.
    AddressTakenRemotely,
    /// The address that the remote side shows belongs to another row.
    AddressTakenLocally,
    /// Mailchimp shows somebody subscribed who left, without a later opt-in of their own.
    UnprovenOptIn,
    /// Both sides changed the address.
    AddressChangedTwice,
    /// Both sides changed one value; the policy named a winner and this is what lost.
    Overwritten {
        /// The value.
        key: Key,
        /// The side that lost.
        side: Side,
        /// What it showed.
        lost: Value,
    },
    /// A local interest that the audience does not have.
    UnknownInterest {
        /// The interest, as `dimension:name`.
        interest: String,
    },
}

/// Which row of the merge table a member falls under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Meeting {
    /// No base, a row, no contact.
    NewOnLocal,
    /// No base, no row, a contact.
    NewOnRemote,
    /// No base, a row and a contact.
    NewOnBoth,
    /// A base, a row and a contact.
    KnownOnBoth,
    /// A base and a row, no contact.
    GoneFromRemote,
    /// A base and a contact, no row.
    GoneFromLocal,
    /// A base, and nothing else.
    GoneFromBoth,
}

/// What to do about one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberPlan {
    /// The member.
    pub member: MemberId,
    /// The row of the merge table.
    pub meeting: Meeting,
    /// The address to name the member by; `None` where nothing of the member is left.
    pub email: Option<EmailAddress>,
    /// The writes, in the order in which they are to be made.
    pub operations: Vec<Planned>,
    /// What a person has to decide, and what was overwritten.
    pub conflicts: Vec<Conflict>,
    /// The base after the agreements that need no write; `None` where there is none (yet, or any more).
    pub base: Option<Base>,
    /// Why the member is looked at again in every cycle although neither side changes; `None` where nothing waits.
    pub waits: Option<String>,
    /// Set where the member is to be forgotten and not to be created again.
    pub tombstone: Option<Tombstone>,
}

/// What remains of a member who is gone from both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// When it was laid.
    pub at: Timestamp,
    /// Whether the person had left before.
    pub opted_out: bool,
}

impl Operation {
    /// The side that is written.
    pub fn side(&self) -> Side {
        match self {
            Self::RemoteStatus { .. }
            | Self::RemoteArchive { .. }
            | Self::RemoteCreate { .. }
            | Self::RemoteLeave { .. }
            | Self::RemoteRename { .. }
            | Self::RemoteUpdate { .. }
            | Self::RemoteTags { .. } => Side::Remote,
            Self::LocalStatus { .. }
            | Self::LocalCreate { .. }
            | Self::LocalRename { .. }
            | Self::LocalUpdate { .. }
            | Self::LocalKeep { .. } => Side::Local,
        }
    }

    /// The word for it in JSON, in the trail and in logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RemoteStatus { .. } | Self::LocalStatus { .. } => "status",
            Self::RemoteArchive { .. } => "archive",
            Self::RemoteCreate { .. } | Self::LocalCreate { .. } => "create",
            Self::RemoteLeave { .. } => "leave",
            Self::RemoteRename { .. } | Self::LocalRename { .. } => "rename",
            Self::RemoteUpdate { .. } | Self::LocalUpdate { .. } => "update",
            Self::RemoteTags { .. } => "tags",
            Self::LocalKeep { .. } => "keep",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// JSON has text keys only: maps by key travel as a list of key and value.
mod keyed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::model::Key;

    pub(super) fn serialize<S: Serializer, V: Serialize>(
        map: &BTreeMap<Key, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(map)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Key, V>, D::Error> {
        Ok(Vec::<(Key, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}
