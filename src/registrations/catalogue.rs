//! What a register has: tables and columns as the store itself describes them.

use std::collections::BTreeMap;

/// A column as the store describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name, spelled as in the store.
    pub(super) name: String,
    /// Whether it may hold NULL.
    pub(super) nullable: bool,
    /// Whether the store fills it by itself in a new row.
    pub(super) has_default: bool,
    /// Whether it counts up by itself: the order of its values is the order in which rows came.
    pub(super) counts: bool,
    /// Whether the store makes its value of others, and takes none.
    pub(super) is_generated: bool,
    /// What it holds.
    pub(super) kind: Kind,
    /// PostgreSQL: the type that a parameter is turned into before it meets the column.
    pub(super) cast: String,
    /// The only words that it takes, where its type names them: those of an enumeration, of a set, and of an array of
    /// enumerations.
    pub(super) words: Option<Vec<String>>,
    /// How many characters it takes, where its type says so.
    pub(super) limit: Option<usize>,
}

impl Column {
    /// A column that may hold NULL and takes every value of its kind.
    pub(super) fn of(kind: Kind) -> Self {
        Self {
            name: String::new(),
            nullable: true,
            has_default: false,
            counts: false,
            is_generated: false,
            kind,
            cast: String::new(),
            words: None,
            limit: None,
        }
    }
}

/// What a column holds, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// SQLite: whatever was put there; what it is compared with takes the column's type.
    Loose,
    /// SQLite: an expression of a view, or a column without a type.
    Untyped,
    /// Texts.
    Text(Case),
    /// Whole numbers.
    Integer,
    /// Yes or no.
    Flag,
    /// A date with a time of day.
    Time {
        /// Whether it stands for a moment, or for what a clock shows.
        zone: Zone,
        /// How many digits follow the seconds.
        digits: usize,
    },
    /// A date.
    Date,
    /// Bytes.
    Binary,
    /// A universally unique identifier.
    Uuid,
    /// A JSON document.
    Json,
    /// PostgreSQL: an array, shown as JSON and written in the server's own spelling.
    Array,
    /// MySQL: any number of the type's own words, between commas.
    Set,
    /// Another type, which is read and written as a text.
    Other,
}

/// How a column of texts compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Case {
    /// `A` is not `a`.
    Matters,
    /// `A` is `a`.
    Folds,
}

/// What a time of a column means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Zone {
    /// A moment, which the store shows in UTC.
    Utc,
    /// What a clock shows, in the zone of the configuration.
    Unsaid,
}

/// A table or view that the mapping names, and that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name, for people.
    pub(super) name: String,
    /// Its name, quoted for SQL, with its schema where it has one.
    pub(super) sql: String,
    /// What it is.
    pub(super) sort: TableSort,
}

/// Tables and views.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableSort {
    /// A table, whose rows can be locked.
    Table,
    /// A view.
    View,
}

/// What the register has: the names of its tables, and the columns of those that the mapping names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Catalogue {
    /// The names of all tables and views.
    pub(super) names: Vec<String>,
    /// The tables that were asked for and are there with their columns, by the name that was asked for in lower case.
    pub(super) tables: BTreeMap<String, (Table, Vec<Column>)>,
}
