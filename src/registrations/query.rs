//! A statement in the making: text of ours, and values that are bound, never spelled.

use serde_json::Value as Json;

use crate::model::RegistrationId;
use crate::registrations::catalogue::{Column, Kind};
use crate::registrations::cell::Cell;
use crate::registrations::dialect::{Dialect, whole_number};

/// A statement with its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Query {
    dialect: Dialect,
    /// The text.
    pub(super) text: String,
    /// The values, in the order of their places.
    pub(super) params: Vec<Cell<'static>>,
    /// Whether what it selects first is a key.
    pub(super) begins_with_key: bool,
}

/// MySQL: lists of keys come in these lengths, filled up with their last, so that few statements are prepared.
const LENGTHS: [usize; 4] = [1, 16, 128, 1000];

impl Query {
    /// Begins a statement.
    pub(super) fn new(dialect: Dialect, text: impl Into<String>) -> Self {
        Self { dialect, text: text.into(), params: Vec::new(), begins_with_key: true }
    }

    /// What it selects first is no key, and may be anything.
    pub(super) fn of_values(self) -> Self {
        Self { begins_with_key: false, ..self }
    }

    /// Adds text: of ours, or names in quotes.
    pub(super) fn push(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Adds a value.
    pub(super) fn bind(mut self, cell: Cell<'static>) -> Self {
        match (self.dialect, &cell) {
            (Dialect::Sqlite, _) => self.text.push('?'),
            (_, Cell::Null) => {
                self.text.push_str("NULL");
                return self;
            }
            (Dialect::Mysql, _) => self.text.push('?'),
            (Dialect::Postgres, cell) => {
                let place = self.params.len() + 1;
                let cast = match cell {
                    Cell::Integer(_) => "int8",
                    Cell::Real(_) => "float8",
                    Cell::Text(_) | Cell::Null => "text",
                };
                self.text.push_str(&format!("${place}::{cast}"));
            }
        }
        self.params.push(cell);
        self
    }

    /// Adds a value that is to be kept in, or compared with, a column.
    pub(super) fn bind_to(mut self, column: &Column, cell: Cell<'static>) -> Self {
        match self.dialect {
            Dialect::Sqlite => self.bind(cell),
            Dialect::Mysql => self.bind(as_mysql(column.kind, cell)),
            Dialect::Postgres => {
                let is_number = column.kind == Kind::Integer && matches!(cell, Cell::Integer(_));
                if cell == Cell::Null || is_number {
                    return self.bind(cell);
                }
                let text = Cell::owned(cell.text().into_owned());
                // A longer text than the column takes is an error in an assignment; a cast to its full type would cut it.
                self.text.push_str("CAST(");
                self = self.bind(text);
                self.text.push_str(&format!(" AS {})", column.cast));
                self
            }
        }
    }

    /// Adds `IN (…)`, or what stands for it, with the keys of rows; those that no row can bear are left out.
    pub(super) fn among(mut self, column: &Column, ids: &[RegistrationId]) -> Self {
        if self.dialect == Dialect::Sqlite {
            // The plus makes an expression of the value, which then takes the type of what it is compared with: a number
            // finds a key that is kept as a text.
            self.text.push_str(" IN (SELECT +value FROM json_each(?))");
            self.params.push(Cell::owned(json(ids)));
            return self;
        }
        let keys: Vec<Cell<'static>> = ids.iter().filter_map(|id| self.dialect.key(column, id)).collect();
        if self.dialect == Dialect::Postgres {
            let elements: Vec<String> = keys.iter().map(|key| element(&key.text())).collect();
            self.text.push_str(" = ANY(CAST(");
            self = self.bind(Cell::owned(format!("{{{}}}", elements.join(","))));
            self.text.push_str(&format!(" AS {}[]))", column.cast));
            return self;
        }
        let Some(last) = keys.last().cloned() else { return self.push(" IN (NULL)") };
        let length = LENGTHS.into_iter().find(|length| *length >= keys.len()).unwrap_or(keys.len());
        let keys = keys.into_iter().chain(std::iter::repeat(last)).take(length);
        self.text.push_str(" IN (");
        for (at, key) in keys.enumerate() {
            self = if at > 0 { self.push(", ") } else { self };
            self = self.bind_to(column, key);
        }
        self.push(")")
    }
}

/// What MySQL makes no mistake about: numbers for columns of numbers, times without the mark of UTC.
fn as_mysql(kind: Kind, cell: Cell<'static>) -> Cell<'static> {
    match (kind, &cell) {
        (Kind::Integer | Kind::Flag, Cell::Text(text)) => {
            text.trim().parse().map_or(cell.clone(), Cell::Integer)
        }
        (Kind::Time { .. }, Cell::Text(text)) => match text.strip_suffix('Z') {
            Some(text) => Cell::owned(text),
            None => cell,
        },
        _ => cell,
    }
}

/// Keys as a JSON array, numbers as numbers.
fn json(ids: &[RegistrationId]) -> String {
    let key = |id: &RegistrationId| {
        whole_number(id).map_or_else(|| Json::String(id.as_str().to_owned()), Json::from)
    };
    Json::Array(ids.iter().map(key).collect()).to_string()
}

/// A text as an element of PostgreSQL's spelling of arrays.
pub(super) fn element(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registrations::catalogue::Case;

    fn column(kind: Kind, cast: &str) -> Column {
        Column { cast: cast.to_owned(), ..Column::of(kind) }
    }

    #[test]
    fn values_are_bound_in_every_dialect() {
        let value = || Cell::owned("x'); DROP TABLE registrations; --");
        for (dialect, expected) in [
            (Dialect::Sqlite, "a = ?"),
            (Dialect::Mysql, "a = ?"),
            (Dialect::Postgres, "a = CAST($1::text AS citext)"),
        ] {
            let text = column(Kind::Text(Case::Folds), "citext");
            let query = Query::new(dialect, "a = ").bind_to(&text, value());
            assert_eq!(query.text, expected);
            assert_eq!(query.params, [value()]);
        }
    }

    #[test]
    fn keys_that_no_row_can_bear_are_not_asked_for() {
        let ids = ["7", "seven", "8"].map(RegistrationId::new);
        let query = Query::new(Dialect::Postgres, "id").among(&column(Kind::Integer, "int8"), &ids);
        assert_eq!(query.params, [Cell::owned("{\"7\",\"8\"}")]);
        let query = Query::new(Dialect::Mysql, "id").among(&column(Kind::Integer, ""), &ids);
        assert_eq!(query.params.len(), 16);
        assert!(query.params.iter().skip(1).all(|key| *key == Cell::Integer(8)));
        let uuid = column(Kind::Uuid, "uuid");
        let ids = ["7", "6b1f6c3e-93a5-4a1e-8f0c-0f2f6a1f9d10"].map(RegistrationId::new);
        let query = Query::new(Dialect::Postgres, "id").among(&uuid, &ids);
        assert_eq!(query.params, [Cell::owned("{\"6b1f6c3e-93a5-4a1e-8f0c-0f2f6a1f9d10\"}")]);
    }

    #[test]
    fn an_element_of_an_array_keeps_its_quotes() {
        assert_eq!(element(r#"a"b\c,d}"#), r#""a\"b\\c,d}""#);
    }
}
