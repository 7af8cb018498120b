//! The audience's own schema, matched with the mapping: which id stands for which local name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::model::{Dimension, FieldKind, MergeTag};
use crate::reconcile::policy::DimensionKind;

/// What the mapping asks of the audience.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceMapping {
    /// The merge fields that are mapped.
    pub tags: Vec<MergeTag>,
    /// The dimensions that are mapped.
    pub dimensions: BTreeMap<Dimension, DimensionTarget>,
    /// The tags of working groups, which Rosterd owns.
    pub group_tags: Vec<String>,
}

/// Where a dimension stands in the audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DimensionTarget {
    /// In the interest category with this title.
    Category(String),
    /// In the tags that begin with this prefix.
    TagPrefix(String),
}

/// What the audience has of what the mapping asks.
///
/// A renamed category, interest or merge field is followed by its id; the local name stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudienceSchema {
    /// The merge fields by the tag that the mapping names.
    pub fields: BTreeMap<MergeTag, FieldSchema>,
    /// The dimensions that the audience has.
    pub dimensions: BTreeMap<Dimension, DimensionSchema>,
    /// The tags of working groups, which Rosterd owns.
    pub group_tags: Vec<String>,
    /// The address of the sign-up form, from which preference-center links are made.
    pub subscribe_url: Option<String>,
    /// The audience's name.
    pub audience_name: String,
    /// Whether Mailchimp's own forms ask for confirmation.
    pub double_optin: bool,
    /// What the mapping names and the audience lacks or has renamed, as sentences for staff.
    pub warnings: Vec<String>,
}

/// A merge field of the audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Mailchimp's stable number of it.
    pub merge_id: i64,
    /// The tag it bears today.
    pub wire_tag: String,
    /// What it holds.
    pub kind: FieldKind,
    /// The choices of a dropdown or radio field.
    pub choices: Vec<String>,
}

/// A dimension of the audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DimensionSchema {
    /// How it shows.
    pub kind: DimensionKind,
    /// The id of the interest category; empty for tags.
    pub category_id: String,
    /// The local name by interest id; empty for tags.
    pub interests: BTreeMap<String, String>,
}
