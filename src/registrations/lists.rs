//! Lists: several interests in one cell, as a JSON array, as names between commas, or as the column's own type has them.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::registrations::catalogue::{Column, Kind};
use crate::registrations::cell::Cell;
use crate::registrations::query::element;

/// Several names in one cell, in the form in which they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ListCell {
    /// A JSON array; elements keep their type.
    Json(Vec<Json>),
    /// An array of PostgreSQL's; elements are written as they are spelled.
    Array(Vec<Json>),
    /// Names between commas, and what stands between them.
    Commas(Vec<String>, &'static str),
    /// A name, or none.
    One(Option<String>),
    /// Nothing, in no form yet.
    Empty,
}

/// Why a cell is no list, or cannot become the list that is wanted; a sentence's end, for staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadList(pub String);

/// Reads a cell of `column` as a list.
pub(super) fn read_list(column: &Column, cell: &Cell<'_>) -> Result<ListCell, BadList> {
    let text = cell.text();
    let text = text.trim();
    // A JSON document that says null says nothing.
    let is_empty = text.is_empty() || text == "null";
    let names =
        || text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    Ok(match column.kind {
        Kind::Array if is_empty => ListCell::Array(Vec::new()),
        Kind::Array => ListCell::Array(elements(text)?),
        Kind::Set => ListCell::Commas(names(), ","),
        _ if column.words.is_some() => ListCell::One((!text.is_empty()).then(|| text.to_owned())),
        _ if is_empty => ListCell::Empty,
        Kind::Json => ListCell::Json(elements(text)?),
        _ if text.starts_with(['[', '{', '"']) => ListCell::Json(elements(text)?),
        _ if text.contains(',') && !text.contains(", ") => ListCell::Commas(names(), ","),
        _ => ListCell::Commas(names(), ", "),
    })
}

/// The elements of a JSON array of names.
fn elements(text: &str) -> Result<Vec<Json>, BadList> {
    match serde_json::from_str(text) {
        Ok(Json::Array(elements)) if elements.iter().all(|one| !one.is_array() && !one.is_object()) => {
            Ok(elements)
        }
        _ => Err(BadList("holds something else than a list of names".to_owned())),
    }
}

impl ListCell {
    /// The names, without the white space around them.
    pub(super) fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Json(elements) | Self::Array(elements) => elements.iter().filter_map(name_of).collect(),
            Self::Commas(names, _) => names.iter().cloned().collect(),
            Self::One(name) => name.iter().cloned().collect(),
            Self::Empty => BTreeSet::new(),
        }
    }

    /// The same list with exactly these names: those that stay keep their place, new ones come last.
    ///
    /// An empty list takes the form of `sample`, another cell of the column, or JSON where that is empty too.
    pub(super) fn with(&self, wanted: &BTreeSet<String>, sample: &Self) -> Result<Cell<'static>, BadList> {
        let here = self.names();
        let new = wanted.difference(&here);
        let stays = |element: &&Json| name_of(element).is_some_and(|name| wanted.contains(&name));
        match (self, sample) {
            (Self::Json(elements), _) => {
                let kept = elements.iter().filter(stays);
                let all: Vec<Json> = kept.cloned().chain(new.cloned().map(Json::String)).collect();
                Ok(Cell::owned(Json::Array(all).to_string()))
            }
            (Self::Array(elements), _) => {
                let kept = elements.iter().filter(stays).map(|kept| match kept {
                    Json::String(text) => text.clone(),
                    other => other.to_string(),
                });
                let all: Vec<String> = kept.chain(new.cloned()).map(|text| element(&text)).collect();
                Ok(Cell::owned(format!("{{{}}}", all.join(","))))
            }
            (Self::One(_), _) => match wanted.iter().collect::<Vec<_>>().as_slice() {
                [] => Ok(Cell::Null),
                [name] => Ok(Cell::owned(name.as_str())),
                _ => Err(BadList("takes one name and no more; use a column that holds a list".to_owned())),
            },
            (Self::Commas(names, between), _) => {
                let kept = names.iter().filter(|name| wanted.contains(*name));
                join(kept.chain(new).cloned().collect(), between)
            }
            (Self::Empty, Self::Commas(_, between)) => join(new.cloned().collect(), between),
            (Self::Empty, Self::Json(_) | Self::Array(_) | Self::One(_) | Self::Empty) => {
                let all = new.cloned().map(Json::String).collect();
                Ok(Cell::owned(Json::Array(all).to_string()))
            }
        }
    }
}

/// The name that an element stands for; `None` for null and blanks.
fn name_of(element: &Json) -> Option<String> {
    let name = match element {
        Json::String(name) => name.trim().to_owned(),
        Json::Null => String::new(),
        other => other.to_string(),
    };
    (!name.is_empty()).then_some(name)
}

fn join(names: Vec<String>, between: &str) -> Result<Cell<'static>, BadList> {
    if let Some(name) = names.iter().find(|name| name.contains(',')) {
        let problem = format!("holds names between commas and cannot hold {name:?}; use a JSON array");
        return Err(BadList(problem));
    }
    Ok(if names.is_empty() { Cell::Null } else { Cell::owned(names.join(between)) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registrations::catalogue::Case;

    const TEXT: Kind = Kind::Text(Case::Matters);

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn enumeration() -> Column {
        Column { words: Some(vec!["Water".to_owned(), "null".to_owned()]), ..Column::of(TEXT) }
    }

    #[test]
    fn lists_are_read_in_the_form_of_their_column() {
        let names = |names: &[&str]| Ok(set(names));
        let cases = [
            (Column::of(TEXT), "", names(&[])),
            (Column::of(TEXT), "[]", names(&[])),
            (Column::of(TEXT), "null", names(&[])),
            (Column::of(TEXT), r#"["Finance", " Water ", null, 7]"#, names(&["7", "Finance", "Water"])),
            (Column::of(TEXT), "Finance, Water,,Energy", names(&["Energy", "Finance", "Water"])),
            (Column::of(TEXT), "Économie", names(&["Économie"])),
            (Column::of(TEXT), "[\"Finance\"", Err(())),
            (Column::of(TEXT), r#"{"topic":"Finance"}"#, Err(())),
            (Column::of(TEXT), r#"[["Finance"]]"#, Err(())),
            (Column::of(Kind::Json), r#"["Finance"]"#, names(&["Finance"])),
            (Column::of(Kind::Json), "null", names(&[])),
            // A document that is no list is none because it has no bracket.
            (Column::of(Kind::Json), "7", Err(())),
            (Column::of(Kind::Json), "true", Err(())),
            (Column::of(Kind::Array), r#"["Finance, all",null]"#, names(&["Finance, all"])),
            (Column::of(Kind::Array), r#"[["Finance"],["Water"]]"#, Err(())),
            (Column::of(Kind::Array), "", names(&[])),
            (Column::of(Kind::Set), "Finance,[odd", names(&["Finance", "[odd"])),
            (Column::of(Kind::Set), "", names(&[])),
            (enumeration(), "Water", names(&["Water"])),
            (enumeration(), "null", names(&["null"])),
            (enumeration(), "", names(&[])),
        ];
        for (column, text, expected) in cases {
            let names = read_list(&column, &Cell::owned(text)).map(|list| list.names()).map_err(|_| ());
            assert_eq!(names, expected, "{:?} {text}", column.kind);
        }
    }

    #[test]
    fn lists_keep_their_form_and_their_order() {
        let cases = [
            (TEXT, r#"["Water", 7, "Énergie"]"#, "", r#"["Water",7,"Finance"]"#),
            (TEXT, "Water,7,Énergie", "", "Water,7,Finance"),
            (TEXT, "Water, 7, Énergie", "", "Water, 7, Finance"),
            (TEXT, "", "", r#"["7","Finance","Water"]"#),
            (TEXT, "null", "", r#"["7","Finance","Water"]"#),
            (TEXT, "", "a,b", "7,Finance,Water"),
            (TEXT, "", r#"["a"]"#, r#"["7","Finance","Water"]"#),
            (Kind::Json, "", "", r#"["7","Finance","Water"]"#),
            (Kind::Array, r#"["Water", 7, null, "Énergie"]"#, "", r#"{"Water","7","Finance"}"#),
            (Kind::Array, "", "", r#"{"7","Finance","Water"}"#),
            (Kind::Set, "Water", "", "Water,7,Finance"),
            (Kind::Set, "", "", "7,Finance,Water"),
        ];
        for (kind, text, sample, expected) in cases {
            let column = Column::of(kind);
            let list = read_list(&column, &Cell::owned(text)).unwrap();
            let sample = read_list(&column, &Cell::owned(sample)).unwrap();
            let written = list.with(&set(&["7", "Finance", "Water"]), &sample).unwrap();
            assert_eq!(written, Cell::owned(expected), "{kind:?} {text}");
        }
    }

    #[test]
    fn an_enumeration_takes_one_name_or_none() {
        let list = read_list(&enumeration(), &Cell::owned("Water")).unwrap();
        let with = |names: &[&str]| list.with(&set(names), &ListCell::Empty);
        assert_eq!(with(&["null"]), Ok(Cell::owned("null")));
        assert_eq!(with(&[]), Ok(Cell::Null));
        assert!(with(&["null", "Water"]).unwrap_err().0.contains("one name"));
    }

    #[test]
    fn a_name_with_a_comma_does_not_go_between_commas() {
        let list = read_list(&Column::of(TEXT), &Cell::owned("Water, Energy")).unwrap();
        assert!(list.with(&set(&["Health, social care"]), &ListCell::Empty).is_err());
    }
}
