//! Who wins what: the configuration as the decisions see it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{Dimension, FieldKind, Interest, MergeTag, SubscriptionStatus};

/// What becomes of a registration that Mailchimp does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewLocal {
    /// It is created as `subscribed`.
    #[default]
    Subscribe,
    /// It is created as `pending`: Mailchimp asks the person to confirm.
    Confirm,
    /// Nothing is created.
    Ignore,
}

/// What becomes of a subscriber that the register does not know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NewRemote {
    /// They become a registration.
    #[default]
    Create,
    /// Nothing is created.
    Ignore,
}

/// What becomes of somebody who left and registers again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resubscribe {
    /// Mailchimp asks them to confirm.
    #[default]
    Confirm,
    /// They are subscribed; where Mailchimp refuses, it asks them to confirm.
    Direct,
    /// They are set aside with a note.
    Never,
}

/// What becomes of a contact whose rows were removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GoneLocal {
    /// It is archived.
    #[default]
    Archive,
    /// It is set `unsubscribed`.
    Unsubscribe,
    /// It is left as it is.
    Leave,
}

/// Which side wins where both changed one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prefer {
    /// The side that changed last.
    #[default]
    Newest,
    /// The register.
    Local,
    /// The audience.
    Remote,
}

/// Whether the sides have adopted each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdoptionPhase {
    /// They have.
    #[default]
    Done,
    /// They are about to: nobody is asked to confirm because of it.
    UnderWay,
}

/// Which way a value travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// From the register to Mailchimp only.
    ToMailchimp,
    /// From Mailchimp to the register only.
    ToLocal,
}

/// How one merge field is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldRule {
    /// What the field holds; decides the normal form.
    pub kind: FieldKind,
    /// Which way it travels.
    pub direction: Direction,
}

/// How a dimension shows in the audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DimensionKind {
    /// An interest category of which any number can be chosen.
    Checkboxes,
    /// A radio or dropdown category: at most one.
    Choice,
    /// Tags that begin with a prefix.
    Tags {
        /// The prefix, white space included: `topic: `.
        prefix: String,
    },
}

/// How the interests of one dimension are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DimensionRule {
    /// How it shows in the audience.
    pub kind: DimensionKind,
    /// The local names of the interests that the audience has; others are switched off. Empty and unused for tags.
    pub known: BTreeSet<String>,
}

/// A working group: a rule over what members say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkingGroup {
    /// Its name.
    pub name: String,
    /// The tag that shows it in Mailchimp.
    pub tag: String,
    /// At least one of these interests; no condition where empty.
    pub any: BTreeSet<Interest>,
    /// All of these interests.
    pub all: BTreeSet<Interest>,
    /// None of these interests.
    pub none: BTreeSet<Interest>,
    /// One of these memberships; no condition where empty.
    pub membership: BTreeSet<String>,
    /// Each of these merge fields has one of these values, compared without regard to case.
    pub fields: BTreeMap<MergeTag, BTreeSet<String>>,
}

/// Which of Rosterd's own columns and of the optional ones the register has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisterFeatures {
    /// `subscription_changed_at` is mapped; without it the consent rule is stricter.
    pub consent_time: bool,
    /// `preferences_url` is mapped.
    pub preferences_url: bool,
    /// `sync_note` is mapped.
    pub sync_note: bool,
    /// A table for working groups is mapped.
    pub working_groups: bool,
    /// The register has no word for `pending`.
    #[serde(default)]
    pub lacks_pending: bool,
    /// The register has no word for `cleaned`.
    #[serde(default)]
    pub lacks_cleaned: bool,
}

impl RegisterFeatures {
    /// Whether the register has no word for a status.
    pub fn lacks(self, status: SubscriptionStatus) -> bool {
        match status {
            SubscriptionStatus::Pending => self.lacks_pending,
            SubscriptionStatus::Cleaned => self.lacks_cleaned,
            SubscriptionStatus::Subscribed | SubscriptionStatus::Unsubscribed => false,
            // Of these nothing is ever decided for a row.
            SubscriptionStatus::Transactional | SubscriptionStatus::Archived => true,
        }
    }
}

/// All that a decision needs to know beside the member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// Whether this is the first adoption.
    pub adoption: AdoptionPhase,
    /// A registration new to Mailchimp.
    pub new_local: NewLocal,
    /// A subscriber new to the register.
    pub new_remote: NewRemote,
    /// Somebody who left and registers again.
    pub resubscribe: Resubscribe,
    /// A contact whose rows were removed.
    pub gone_local: GoneLocal,
    /// Both sides changed one value.
    pub prefer: Prefer,
    /// The merge fields that are mapped and that the audience has.
    pub fields: BTreeMap<MergeTag, FieldRule>,
    /// The dimensions that are mapped and that the audience has.
    pub dimensions: BTreeMap<Dimension, DimensionRule>,
    /// The working groups.
    pub working_groups: Vec<WorkingGroup>,
    /// The audience's `subscribe_url_long`, from which preference-center links are made.
    pub subscribe_url: Option<String>,
    /// What the register can hold.
    pub register: RegisterFeatures,
}
