//! The layout: the mapping, resolved against the tables and columns that the register really has.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::model::{Dimension, Interest, Key, MergeTag, SubscriptionStatus};
use crate::reconcile::policy::RegisterFeatures;
use crate::registrations::catalogue::{Column, Table};
use crate::registrations::words::StatusWords;

/// Where everything is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Layout {
    /// The table of registrations.
    pub(super) table: Table,
    /// The key.
    pub(super) id: Column,
    /// The address.
    pub(super) email: Column,
    /// Where the person stands.
    pub(super) subscription: Column,
    /// How it says that.
    pub(super) standing: Standing,
    /// The consent time.
    pub(super) subscription_changed_at: Option<Column>,
    /// The membership.
    pub(super) membership: Option<Column>,
    /// The network address of the sign-up.
    pub(super) signup_ip: Option<Column>,
    /// The time of the sign-up.
    pub(super) signup_at: Option<Column>,
    /// Rosterd's own link.
    pub(super) preferences_url: Option<Column>,
    /// Rosterd's own note.
    pub(super) sync_note: Option<Column>,
    /// The birth of the row.
    pub(super) created_at: Option<Column>,
    /// The last change of the row.
    pub(super) updated_at: Option<Column>,
    /// The mark of removed rows.
    pub(super) deleted_at: Option<Column>,
    /// The merge fields.
    pub(super) fields: BTreeMap<MergeTag, Column>,
    /// Those of them that are never written.
    pub(super) read_only: BTreeSet<MergeTag>,
    /// The merge fields of which every row says the same.
    pub(super) constants: BTreeMap<MergeTag, String>,
    /// The interests.
    pub(super) interests: InterestPlace,
    /// Where removed rows leave a trace.
    pub(super) removals: Option<Removals>,
    /// The table of working groups, its column with the row's key, and the one with the group.
    pub(super) groups: Option<(Table, Column, Column)>,
    /// The dimensions that are kept in step.
    pub(super) dimensions: BTreeSet<Dimension>,
    /// The zone of times without an offset.
    pub(super) zone: Option<TimeZone>,
}

/// How a column says where a person stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing {
    /// By a word.
    Words(StatusWords),
    /// By the time since when they are not subscribed; by nothing while they are.
    LeftAt,
}

/// Where removed rows leave a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removals {
    /// The table.
    pub(super) table: Table,
    /// The column with their keys.
    pub(super) key: Column,
    /// The column that counts them, named with its table.
    pub(super) position: String,
}

/// Where the interests are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "a register has one")]
pub(super) enum InterestPlace {
    /// Nowhere.
    Nowhere,
    /// In a table of their own.
    Rows {
        /// The table.
        table: Table,
        /// The column with the registration's key.
        registration_id: Column,
        /// The column with the dimension.
        dimension: Column,
        /// The column with the interest.
        interest: Column,
    },
    /// In one column for each dimension.
    Lists(BTreeMap<Dimension, Column>),
    /// In one column for each interest.
    Flags(BTreeMap<Interest, Column>),
}

impl Layout {
    /// Which optional columns the register has.
    pub(super) fn features(&self) -> RegisterFeatures {
        RegisterFeatures {
            consent_time: self.subscription_changed_at.is_some(),
            preferences_url: self.preferences_url.is_some(),
            sync_note: self.sync_note.is_some(),
            working_groups: self.groups.is_some(),
            lacks_pending: self.lacks(SubscriptionStatus::Pending),
            lacks_cleaned: self.lacks(SubscriptionStatus::Cleaned),
        }
    }

    fn lacks(&self, status: SubscriptionStatus) -> bool {
        match &self.standing {
            Standing::Words(words) => words.word(status).is_none(),
            Standing::LeftAt => true,
        }
    }

    /// Whether the register has a place for the value.
    pub(super) fn holds(&self, key: &Key) -> bool {
        match key {
            Key::Field(tag) => self.fields.contains_key(tag) || self.constants.contains_key(tag),
            Key::Interest(interest) => self.homeless(interest).is_none(),
            Key::Choice(dimension) => self.holds_dimension(dimension),
        }
    }

    fn holds_dimension(&self, dimension: &Dimension) -> bool {
        self.dimensions.contains(dimension)
            && match &self.interests {
                InterestPlace::Nowhere => false,
                InterestPlace::Rows { .. } => true,
                InterestPlace::Lists(columns) => columns.contains_key(dimension),
                InterestPlace::Flags(columns) => columns.keys().any(|key| key.dimension == *dimension),
            }
    }

    /// The column of a merge field, where it can be written; else why it cannot.
    pub(super) fn writable(&self, tag: &MergeTag) -> Result<&Column, String> {
        let Some(column) = self.fields.get(tag) else {
            return Err(match self.constants.get(tag) {
                Some(_) => format!("{tag} is the same for everybody by the configuration, and has no column"),
                None => format!("no column is mapped for {tag}"),
            });
        };
        let name = &column.name;
        if column.is_generated {
            return Err(format!("the column {name:?} is generated and cannot be written"));
        }
        if self.read_only.contains(tag) {
            return Err(format!(
                "the column {name:?} is read and never written: its direction is to_mailchimp"
            ));
        }
        Ok(column)
    }

    /// Why the register has no place for an interest, with the way out; `None` where it has one.
    pub(super) fn homeless(&self, interest: &Interest) -> Option<String> {
        let unmapped = || format!("no column is mapped for the interest {interest}");
        if !self.holds_dimension(&interest.dimension) {
            return Some(unmapped());
        }
        match &self.interests {
            InterestPlace::Nowhere | InterestPlace::Rows { .. } => None,
            InterestPlace::Flags(columns) => (!columns.contains_key(interest)).then(unmapped),
            InterestPlace::Lists(columns) => {
                let column = columns.get(&interest.dimension)?;
                let is_unknown = column.words.as_ref().is_some_and(|words| !words.contains(&interest.name));
                is_unknown.then(|| {
                    let name = &interest.name;
                    format!(
                        "the type of the column {:?} does not know the word {name:?}; add it to the type",
                        column.name
                    )
                })
            }
        }
    }
}
