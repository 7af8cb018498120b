//! The mapping: which table and column of the register holds what, as the configuration says it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::model::{Dimension, Interest, MergeTag, SubscriptionStatus};
use crate::registrations::report::MappingProblem;
use crate::registrations::words::StatusWords;

/// What `[registrations]` says beside where the register is; the defaults are the schema that `rosterd init` creates.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegisterMapping {
    /// The table (or view) of the registrations.
    pub table: String,
    /// Its columns.
    pub columns: ColumnMapping,
    /// Its words for where a person stands.
    pub statuses: StatusWords,
    /// Where the interests are.
    pub interests: InterestMapping,
    /// Where removed rows leave a trace.
    pub removals: RemovalMapping,
    /// Where Rosterd keeps who is in which working group; nowhere by default.
    pub working_groups: Option<GroupMapping>,
    /// The IANA name of the zone of times that are written without an offset (`Europe/Zurich`, `UTC`).
    pub time_zone: Option<String>,
    /// How long to wait for the website's lock before the cycle is given up.
    #[serde(deserialize_with = "span")]
    pub busy_timeout: SignedDuration,
    /// A server: how long to wait for a connection.
    #[serde(deserialize_with = "span")]
    pub connection_timeout: SignedDuration,
    /// A server: how long one statement may take.
    #[serde(deserialize_with = "span")]
    pub statement_timeout: SignedDuration,
    /// How far back each reading of changes begins: writes that took longer than this to be committed are missed by it.
    #[serde(deserialize_with = "span")]
    pub overlap: SignedDuration,
}

/// The name of a table or column, and whether somebody wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// Nobody named it: it is used if it is there.
    Default(&'static str),
    /// The configuration names it: it must be there.
    Given(String),
    /// The configuration switches it off (an empty text).
    Off,
}

impl Name {
    /// The name, where there is one.
    pub fn get(&self) -> Option<&str> {
        match self {
            Self::Default(name) => Some(name),
            Self::Given(name) => Some(name),
            Self::Off => None,
        }
    }

    /// Whether its absence is a mistake rather than a feature switched off.
    pub fn must_exist(&self) -> bool {
        matches!(self, Self::Given(_))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Ok(if name.is_empty() { Self::Off } else { Self::Given(name) })
    }
}

/// The columns of the registrations; all but the key, the address and one of the two that say where a person stands may be
/// switched off with an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ColumnMapping {
    /// The key: a number or a text, never empty, never the same twice.
    pub id: String,
    /// The address.
    pub email: String,
    /// The status, in the register's words for it.
    pub subscription: Name,
    /// In place of the status: since when the person is not subscribed; NULL while they are.
    pub unsubscribed_at: Name,
    /// When the person last changed the status.
    pub subscription_changed_at: Name,
    /// `member`, `supporter`, `subscriber`, or the register's own word.
    pub membership: Name,
    /// The network address of the sign-up.
    pub signup_ip: Name,
    /// The time of the sign-up.
    pub signup_at: Name,
    /// Written by Rosterd: the member's preference center.
    pub preferences_url: Name,
    /// Written by Rosterd: why the row cannot be synchronized.
    pub sync_note: Name,
    /// When the row came to be.
    pub created_at: Name,
    /// When the row, or one of its interests, last changed.
    pub updated_at: Name,
    /// When the row was marked as removed; a row with a value here is not there.
    pub deleted_at: Name,
}

/// How the register keeps interests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InterestLayout {
    /// A table with a row for each interest of each registration.
    #[default]
    Rows,
    /// A column for each dimension, holding a JSON array or names between commas.
    List,
    /// A column for each interest, holding yes or no.
    Flags,
}

/// Where the interests are: `table` and its columns for rows, `columns` for lists and flags.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InterestMapping {
    /// How they are kept.
    pub layout: InterestLayout,
    /// Rows: the table.
    pub table: Name,
    /// Rows: the column with the registration's key.
    pub registration_id: String,
    /// Rows: the column with the dimension.
    pub dimension: String,
    /// Rows: the column with the interest.
    pub interest: String,
    /// Lists: the column by dimension. Flags: `dimension:interest` by column.
    pub columns: BTreeMap<String, String>,
}

/// Where removed rows leave a trace.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RemovalMapping {
    /// The table.
    pub table: Name,
    /// The column with the key of the removed registration.
    pub registration_id: String,
}

/// Where Rosterd keeps the members of working groups.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupMapping {
    /// The table.
    pub table: String,
    /// The column with the registration's key.
    #[serde(default = "registration_id")]
    pub registration_id: String,
    /// The column with the name of the group.
    #[serde(default = "group_name")]
    pub name: String,
}

/// What the rest of the configuration maps: the columns of merge fields, and the dimensions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MappedValues {
    /// The column of each merge field.
    pub fields: BTreeMap<MergeTag, String>,
    /// Those that are never written.
    pub read_only: BTreeSet<MergeTag>,
    /// The merge fields of which everybody's value is this one.
    pub constants: BTreeMap<MergeTag, String>,
    /// The dimensions that are kept in step; interests of others are neither read nor touched.
    pub dimensions: BTreeSet<Dimension>,
}

impl RegisterMapping {
    /// The zone of times without an offset; `None` where none is given or its name is unknown.
    pub fn zone(&self) -> Option<TimeZone> {
        self.time_zone.as_deref().and_then(|name| TimeZone::get(name).ok())
    }

    /// What is wrong with the mapping by itself, without a look at the register.
    pub fn mistakes(&self) -> Vec<MappingProblem> {
        let mut mistakes = Vec::new();
        if let Some(zone) = self.time_zone.as_deref().filter(|_| self.zone().is_none()) {
            let problem = format!("there is no time zone {zone:?}; use an IANA name such as Europe/Zurich");
            mistakes.push(MappingProblem::error("registrations.time_zone", problem));
        }
        mistakes.extend(self.statuses.mistakes());
        mistakes.extend(self.two_standings());
        let interests = &self.interests;
        match interests.layout {
            InterestLayout::Rows if !interests.columns.is_empty() => {
                let problem = "columns are for the layouts \"list\" and \"flags\" only".to_owned();
                mistakes.push(MappingProblem::error("registrations.interests.columns", problem));
            }
            InterestLayout::Rows | InterestLayout::List => (),
            InterestLayout::Flags => {
                for (column, interest) in &interests.columns {
                    if Interest::parse(interest).is_none() {
                        let problem = format!("{interest:?} must be \"dimension:interest\"");
                        let key = format!("registrations.interests.columns.{column}");
                        mistakes.push(MappingProblem::error(&key, problem));
                    }
                }
            }
        }
        if interests.layout != InterestLayout::Rows && interests.table.must_exist() {
            let problem = "a table is for the layout \"rows\" only".to_owned();
            mistakes.push(MappingProblem::error("registrations.interests.table", problem));
        }
        for (key, span) in [
            ("busy_timeout", self.busy_timeout),
            ("connection_timeout", self.connection_timeout),
            ("statement_timeout", self.statement_timeout),
            ("overlap", self.overlap),
        ] {
            if span.is_negative() {
                let problem = "a length of time cannot be negative".to_owned();
                mistakes.push(MappingProblem::error(&format!("registrations.{key}"), problem));
            }
        }
        mistakes
    }

    /// Whether a column of times stands in place of the words.
    pub(super) fn dates_opt_outs(&self) -> bool {
        self.columns.unsubscribed_at != Name::Off
    }

    /// Whether the register has no word for a status.
    pub fn lacks(&self, status: SubscriptionStatus) -> bool {
        match status {
            SubscriptionStatus::Pending | SubscriptionStatus::Cleaned => {
                self.dates_opt_outs() || self.statuses.word(status).is_none()
            }
            SubscriptionStatus::Subscribed
            | SubscriptionStatus::Unsubscribed
            | SubscriptionStatus::Transactional
            | SubscriptionStatus::Archived => false,
        }
    }

    /// One column says where a person stands.
    fn two_standings(&self) -> Vec<MappingProblem> {
        let mut mistakes = Vec::new();
        let mut error = |key: &str, problem: &str| {
            mistakes.push(MappingProblem::error(&format!("registrations.{key}"), problem.to_owned()));
        };
        match (&self.columns.subscription, self.dates_opt_outs()) {
            (Name::Given(_), true) => {
                error("columns.unsubscribed_at", "stands in place of `subscription`: give one of the two");
            }
            (Name::Off, false) => {
                error("columns.subscription", "must be mapped, or unsubscribed_at in its place");
            }
            (Name::Default(_) | Name::Given(_) | Name::Off, _) => (),
        }
        if self.dates_opt_outs() && self.statuses != StatusWords::default() {
            error(
                "statuses",
                "are words of the column `subscription`, and unsubscribed_at stands in its place",
            );
        }
        mistakes
    }
}

/// A length of time, refused in our own words.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let refused = || D::Error::custom(format!("{text:?} is no duration; write 5s, 1m or 250ms"));
    text.parse().map_err(|_| refused())
}

fn registration_id() -> String {
    "registration_id".to_owned()
}

fn group_name() -> String {
    "name".to_owned()
}

impl Default for RegisterMapping {
    fn default() -> Self {
        Self {
            table: "registrations".to_owned(),
            columns: ColumnMapping::default(),
            statuses: StatusWords::default(),
            interests: InterestMapping::default(),
            removals: RemovalMapping::default(),
            working_groups: None,
            time_zone: None,
            busy_timeout: SignedDuration::from_secs(5),
            connection_timeout: SignedDuration::from_secs(10),
            statement_timeout: SignedDuration::from_mins(1),
            overlap: SignedDuration::from_secs(5),
        }
    }
}

impl Default for ColumnMapping {
    fn default() -> Self {
        Self {
            id: "id".to_owned(),
            email: "email".to_owned(),
            subscription: Name::Default("subscription"),
            unsubscribed_at: Name::Off,
            subscription_changed_at: Name::Default("subscription_changed_at"),
            membership: Name::Default("membership"),
            signup_ip: Name::Default("signup_ip"),
            signup_at: Name::Default("signup_at"),
            preferences_url: Name::Default("preferences_url"),
            sync_note: Name::Default("sync_note"),
            created_at: Name::Default("created_at"),
            updated_at: Name::Default("updated_at"),
            deleted_at: Name::Default("deleted_at"),
        }
    }
}

impl Default for InterestMapping {
    fn default() -> Self {
        Self {
            layout: InterestLayout::Rows,
            table: Name::Default("registration_interests"),
            registration_id: registration_id(),
            dimension: "dimension".to_owned(),
            interest: "interest".to_owned(),
            columns: BTreeMap::new(),
        }
    }
}

impl Default for RemovalMapping {
    fn default() -> Self {
        Self { table: Name::Default("registration_removals"), registration_id: registration_id() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_schema_of_init() {
        assert_eq!(toml::from_str::<RegisterMapping>("").unwrap(), RegisterMapping::default());
    }

    #[test]
    fn a_mapping_is_read_key_by_key() {
        let mapping: RegisterMapping = toml::from_str(
            r#"
            table = "people"
            time_zone = "Europe/Zurich"
            busy_timeout = "250ms"
            [columns]
            id = "person_id"
            sync_note = ""
            updated_at = "modified"
            [interests]
            layout = "flags"
            columns = { likes_finance = "topic:Finance" }
            [working_groups]
            table = "group_members"
            "#,
        )
        .unwrap();
        assert_eq!(mapping.columns.id, "person_id");
        assert_eq!(mapping.columns.sync_note, Name::Off);
        assert!(mapping.columns.updated_at.must_exist());
        assert_eq!(mapping.columns.deleted_at, Name::Default("deleted_at"));
        assert_eq!(mapping.busy_timeout, SignedDuration::from_millis(250));
        assert_eq!(mapping.interests.layout, InterestLayout::Flags);
        assert_eq!(mapping.working_groups.as_ref().unwrap().name, "name");
        assert_eq!(mapping.mistakes(), []);
    }

    #[test]
    fn unknown_keys_are_errors() {
        for text in ["tabel = 'x'", "[columns]\nemial = 'x'", "[interests]\ncolumn = 'x'"] {
            assert!(toml::from_str::<RegisterMapping>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn one_column_says_where_a_person_stands() {
        let cases = [
            ("", &[][..]),
            ("[columns]\nunsubscribed_at = 'left'", &[]),
            ("[columns]\nunsubscribed_at = 'left'\nsubscription = ''", &[]),
            ("[columns]\nsubscription = ''", &["registrations.columns.subscription"]),
            (
                "[columns]\nunsubscribed_at = 'left'\nsubscription = 'standing'",
                &["registrations.columns.unsubscribed_at"],
            ),
            (
                "[columns]\nunsubscribed_at = 'left'\n[statuses]\nsubscribed = 'yes'",
                &["registrations.statuses"],
            ),
        ];
        for (text, expected) in cases {
            let mapping: RegisterMapping = toml::from_str(text).unwrap();
            let keys: Vec<_> = mapping.mistakes().into_iter().map(|mistake| mistake.key).collect();
            assert_eq!(keys, expected, "{text}");
        }
        let dated: RegisterMapping = toml::from_str("[columns]\nunsubscribed_at = 'left'").unwrap();
        assert!(dated.lacks(SubscriptionStatus::Pending) && dated.lacks(SubscriptionStatus::Cleaned));
        assert!(!dated.lacks(SubscriptionStatus::Unsubscribed));
    }

    #[test]
    fn mistakes_name_their_keys() {
        let mapping: RegisterMapping = toml::from_str(
            "time_zone = 'Mars/Base'\n[interests]\nlayout = 'flags'\ncolumns = { a = 'finance' }",
        )
        .unwrap();
        let keys: Vec<_> = mapping.mistakes().into_iter().map(|mistake| mistake.key).collect();
        assert_eq!(keys, ["registrations.time_zone", "registrations.interests.columns.a"]);
    }
}
