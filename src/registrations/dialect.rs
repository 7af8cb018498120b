//! Where the stores' SQL differs: quoting, showing, comparing, locking. Everything else is spelled once.

use crate::model::{EmailAddress, RegistrationId};
use crate::registrations::catalogue::{Case, Column, Kind, Table, TableSort, Zone};
use crate::registrations::cell::Cell;
use crate::registrations::query::Query;

/// The SQL of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    Mysql,
}

/// What may stand around an address that a form or an import left as it came.
const PADDINGS: [(&str, &str); 9] = [
    ("", ""),
    ("", " "),
    ("", "  "),
    ("", "\t"),
    ("", "\n"),
    ("", "\r\n"),
    ("", " \r\n"),
    (" ", ""),
    ("\u{feff}", ""),
];

impl Dialect {
    /// A name in quotes, whatever stands in it.
    pub(super) fn quoted(self, name: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Mysql => format!("`{}`", name.replace('`', "``")),
        }
    }

    /// A column of the table with this alias. Columns are always named with their table: SQLite takes a quoted name that
    /// no column bears for a text, and a lost column would then read as its own name.
    pub(super) fn of(self, alias: &str, column: &Column) -> String {
        format!("{alias}.{}", self.quoted(&column.name))
    }

    /// A column of keys of the table with this alias, to be compared with keys: without a type of its own, as a text.
    ///
    /// Else a key that is a text of digits would be found by no number, and sort after every one.
    pub(super) fn key_in(self, alias: &str, column: &Column) -> String {
        let name = self.of(alias, column);
        if column.kind == Kind::Untyped { format!("CAST({name} AS TEXT)") } else { name }
    }

    /// A column as it is selected: a whole number, or the text that the store makes of the value.
    ///
    /// The servers' types are many, and their binary forms more; of each they make a text that we read like SQLite's.
    pub(super) fn shown(self, alias: &str, column: &Column) -> String {
        let name = self.of(alias, column);
        match (self, column.kind) {
            (Self::Sqlite, _) | (Self::Mysql, Kind::Integer) => name,
            (Self::Postgres, Kind::Integer) => format!("{name}::int8"),
            (Self::Postgres, Kind::Array) => format!("array_to_json({name})::text"),
            (Self::Postgres, _) => format!("{name}::text"),
            (Self::Mysql, Kind::Flag) => format!("{name} + 0"),
            // The session's zone is UTC, which MySQL does not say.
            (Self::Mysql, Kind::Time { zone: Zone::Utc, .. }) => {
                format!("CONCAT(CAST({name} AS CHAR), 'Z')")
            }
            (Self::Mysql, _) => format!("CAST({name} AS CHAR)"),
        }
    }

    /// The condition that a row is there, by the mark of removed rows.
    pub(super) fn live(self, alias: &str, mark: &Column) -> String {
        let column = self.of(alias, mark);
        match self {
            Self::Sqlite => format!("({column} IS NULL OR {column} IN ('', 0, '0', '0000-00-00 00:00:00'))"),
            Self::Postgres => format!(
                "({column} IS NULL OR {column}::text IN ('', '0', 'false', 'f', '0000-00-00 00:00:00'))"
            ),
            Self::Mysql => {
                let shown = self.shown(alias, mark);
                format!("({column} IS NULL OR {shown} IN ('', '0') OR {shown} LIKE '0000-00-00%')")
            }
        }
    }

    /// The condition that a column says something.
    pub(super) fn says(self, alias: &str, column: &Column) -> String {
        let name = self.of(alias, column);
        match self {
            Self::Sqlite => format!("{name} <> '' AND {name} <> 0"),
            Self::Postgres => format!("{name}::text NOT IN ('', '0')"),
            Self::Mysql => format!("CAST({name} AS CHAR) NOT IN ('', '0')"),
        }
    }

    /// Adds the condition that a row may bear an address, whatever its case and what stands around it. It lets through more
    /// than bears it, and is made so that an index can answer it.
    pub(super) fn bears(self, query: Query, alias: &str, column: &Column, email: &EmailAddress) -> Query {
        let (name, key) = (self.of(alias, column), email.key());
        // The stores know the case of ASCII for certain: other addresses are compared by whoever reads the rows.
        if !key.is_ascii() {
            return match self {
                Self::Sqlite => query.push("TRUE"),
                Self::Postgres => {
                    query.push(&format!("octet_length({name}::text) <> char_length({name}::text)"))
                }
                Self::Mysql => query.push(&format!("LENGTH({name}) <> CHAR_LENGTH({name})")),
            };
        }
        match (self, column.kind) {
            // From the address up to "address!": itself, and itself with white space after it, which all sorts before "!".
            (Self::Sqlite, _) => {
                let bound = |text: String| Cell::owned(text);
                query
                    .push(&format!("(lower({name}) >= "))
                    .bind(bound(key.clone()))
                    .push(&format!(" AND lower({name}) < "))
                    .bind(bound(format!("{key}!")))
                    .push(&format!(" OR lower({name}) >= "))
                    .bind(bound(format!(" {key}")))
                    .push(&format!(" AND lower({name}) < "))
                    .bind(bound(format!(" {key}!")))
                    .push(")")
            }
            (Self::Postgres | Self::Mysql, Kind::Text(Case::Folds)) => {
                padded(query.push(&format!("{name} IN (")), &key, column)
            }
            (Self::Postgres | Self::Mysql, _) => {
                let texts = Column { cast: "text".to_owned(), ..column.clone() };
                padded(query.push(&format!("lower({name}) IN (")), &key, &texts)
            }
        }
    }

    /// A key as the store compares it; `None` where no row can bear it.
    pub(super) fn key(self, column: &Column, id: &RegistrationId) -> Option<Cell<'static>> {
        let text = || Cell::owned(id.as_str());
        match (self, column.kind) {
            // Numbers as numbers: a column's own type turns them into texts where it keeps texts.
            (Self::Sqlite, _) => Some(whole_number(id).map_or_else(text, Cell::Integer)),
            (_, Kind::Integer) => whole_number(id).map(Cell::Integer),
            (_, Kind::Uuid) => is_uuid(id.as_str()).then(text),
            _ => Some(text()),
        }
    }

    /// What follows a selection of one row of registrations that is about to be written.
    pub(super) fn lock(self, table: &Table) -> &'static str {
        match (self, table.sort) {
            (Self::Sqlite, _) => "",
            // A view with triggers cannot be locked everywhere: there the isolation finds out who was faster.
            (Self::Postgres, TableSort::View) => "",
            (Self::Postgres, TableSort::Table) => " FOR UPDATE OF r",
            (Self::Mysql, _) => " FOR UPDATE",
        }
    }

    /// `DELETE` from a table under an alias.
    pub(super) fn delete(self, table: &str, alias: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("DELETE FROM {table} AS {alias} WHERE "),
            Self::Mysql => format!("DELETE {alias} FROM {table} AS {alias} WHERE "),
        }
    }

    /// The column by which removals are told apart and follow each other; `None` where there is none.
    pub(super) fn position(self, alias: &str, columns: &[Column]) -> Option<String> {
        match self {
            Self::Sqlite => Some(format!("{alias}._rowid_")),
            Self::Postgres | Self::Mysql => {
                columns.iter().find(|column| column.counts).map(|column| self.of(alias, column))
            }
        }
    }

    /// Whether rows become visible in the order in which they were written: there is one writer at a time.
    pub(super) fn commits_in_order(self) -> bool {
        self == Self::Sqlite
    }

    /// Whether a new row's key comes back with the statement that makes it.
    pub(super) fn returns_keys(self) -> bool {
        // MariaDB's would, MySQL's does not.
        self != Self::Mysql
    }
}

fn padded(query: Query, key: &str, column: &Column) -> Query {
    let mut query = query;
    for (at, (before, after)) in PADDINGS.iter().enumerate() {
        if at > 0 {
            query = query.push(", ");
        }
        query = query.bind_to(column, Cell::owned(format!("{before}{key}{after}")));
    }
    query.push(")")
}

pub(super) fn whole_number(id: &RegistrationId) -> Option<i64> {
    id.as_str().parse().ok().filter(|number: &i64| number.to_string() == id.as_str())
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit())
}
