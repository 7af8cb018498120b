//! One member from three sides: the base, the local rows, the remote contact.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{
    Contact, ContactId, EmailAddress, Key, MemberId, Registration, RegistrationId, SubscriptionStatus, Value,
};
use crate::reconcile::plan::{Side, Tombstone};

/// Everything that a decision about one member may look at.
#[derive(Clone, Debug)]
pub struct Trio {
    /// Our number for the member.
    pub id: MemberId,
    /// What both sides last agreed on; `None` at the first meeting.
    pub base: Option<Base>,
    /// The rows linked to the member or bearing its address, oldest first; empty where there is none.
    pub local: Vec<Registration>,
    /// Those of the rows that cannot be synchronized as they stand: they say what they last said, and that they leave.
    pub unusable: BTreeSet<RegistrationId>,
    /// The contact; `None` where there is none, proven by an answer and not by silence.
    pub remote: Option<Contact>,
    /// What was laid when a member with this address was gone from both sides before.
    pub tombstone: Option<Tombstone>,
    /// Why the member was set aside, while neither side has changed since.
    pub parked: Option<String>,
    /// Whether another member's contact already bears the address that the local side shows.
    pub taken_remotely: bool,
    /// Whether a row that is not the member's bears the address that the remote side shows: another member's, or one that
    /// cannot be synchronized as it stands and is nobody's yet.
    pub taken_locally: bool,
    /// When the sides were observed: the only time a decision knows.
    pub observed_at: Timestamp,
}

impl Trio {
    /// The rows that can be synchronized, oldest first; of the others an opt-out is heard, and into them one is written.
    pub fn usable(&self) -> impl DoubleEndedIterator<Item = &Registration> {
        self.local.iter().filter(|row| !self.unusable.contains(&row.id))
    }
}

/// What each side showed when both last agreed, per value and per side.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The linked rows, each with the address it bore.
    pub rows: BTreeMap<RegistrationId, EmailAddress>,
    /// The linked contact, with the address it bore; `None` where the member is not in Mailchimp.
    pub contact: Option<(ContactId, EmailAddress)>,
    /// The values, each as both sides showed it; a value without an entry is adopted.
    #[serde(with = "pairs")]
    pub values: BTreeMap<Key, Pair>,
    /// Where the person stood.
    pub consent: Standing,
    /// `updated_at` of the newest row after our own last write: an edit of that time is ours.
    pub local_written_at: Option<Timestamp>,
    /// `last_changed` of the contact after our own last write: an edit of that time is ours.
    pub remote_written_at: Option<Timestamp>,
    /// Writes whose answer nobody heard, until the member is looked at again.
    #[serde(default)]
    pub unheard: Vec<Unheard>,
}

/// The values of a write whose answer nobody heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unheard {
    /// The side that was written to.
    pub side: Side,
    /// The values, each as both sides show it if the write was carried out and nobody changed it since.
    #[serde(with = "pairs")]
    pub values: BTreeMap<Key, Pair>,
    /// Where it was to create the contact: how it would be known by then.
    #[serde(default)]
    pub creation: Option<Creation>,
}

/// A creation in Mailchimp whose answer nobody heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Creation {
    /// The address of the contact.
    pub email: EmailAddress,
    /// Where the person stands if it was carried out.
    pub standing: Standing,
    /// When it was tried, by our own clock.
    pub at: Timestamp,
}

/// One value as each side showed it when they agreed: two, because Mailchimp trims, cuts and reformats.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    /// What the local side showed.
    pub local: Value,
    /// What the remote side showed.
    pub remote: Value,
}

/// The consent part of the base.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The status the local side showed; `None` where the member had no row.
    pub local: Option<SubscriptionStatus>,
    /// The status the remote side showed; `None` where the member had no contact.
    pub remote: Option<SubscriptionStatus>,
    /// The consent time the local side showed: an opt-in of that time is none since.
    pub local_at: Option<Timestamp>,
    /// The `timestamp_opt` the remote side showed: an opt-in of that time is none since.
    pub remote_at: Option<Timestamp>,
    /// When the person left, as first seen; kept until they are back.
    pub opted_out_at: Option<Timestamp>,
    /// When the rows of somebody who had not left were found removed; kept until they are back.
    pub removed_at: Option<Timestamp>,
    /// The status before the address bounced; kept while it is `cleaned`.
    pub before_bounce: Option<SubscriptionStatus>,
    /// When a confirmation was asked for, so that it is never asked for twice.
    pub asked_at: Option<Timestamp>,
    /// The consent time of the row that asked for it: another, later one may ask again.
    pub asked_for: Option<Timestamp>,
    /// Whether the register showed them in since they left, and nothing was agreed on: whoever is out after that has left
    /// anew.
    #[serde(default)]
    pub seen_in_locally: bool,
    /// Whether Mailchimp did.
    #[serde(default)]
    pub seen_in_remotely: bool,
    /// A request for more consent whose answer nobody has heard yet.
    pub asking: Option<Asking>,
}

/// A request for a status that raises consent, as it is noted before it is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asking {
    /// Where the person stands if it was carried out.
    pub standing: Box<Standing>,
    /// `last_changed` of the contact as it was read right before; `None` where there was none.
    pub changed_at: Option<Timestamp>,
    /// When it was made, by our own clock.
    pub at: Timestamp,
    /// Whether it was decided otherwise since: should it be carried out late, it is nobody's opt-in.
    #[serde(default)]
    pub superseded: bool,
}

/// JSON has text keys only: the values travel as a list of key and pair.
mod pairs {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer};

    use crate::model::Key;
    use crate::reconcile::trio::Pair;

    pub(super) fn serialize<S: Serializer>(
        pairs: &BTreeMap<Key, Pair>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Key, Pair>, D::Error> {
        Ok(Vec::<(Key, Pair)>::deserialize(deserializer)?.into_iter().collect())
    }
}
