//! Lists: several interests in one cell, as a JSON array or as names between commas.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use crate::registrations::cell::Cell;

/// Several names in one cell, in the form in which they are written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ListCell {
    /// A JSON array; elements keep their type.
    Json(Vec<Json>),
    /// Names between commas, and what stands between them.
    Commas(Vec<String>, &'static str),
    /// Nothing, in no form yet.
    Empty,
}

/// Why a cell is no list, or cannot become the list that is wanted; a sentence's end, for staff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BadList(pub String);

/// Reads a cell as a list.
pub(super) fn read_list(cell: &Cell<'_>) -> Result<ListCell, BadList> {
    let text = cell.text();
    let text = text.trim();
    if text.is_empty() {
        return Ok(ListCell::Empty);
    }
    if text.starts_with(['[', '{', '"']) {
        let bad = || BadList("holds something else than a list of names".to_owned());
        let Ok(Json::Array(elements)) = serde_json::from_str(text) else { return Err(bad()) };
        let is_flat = elements.iter().all(|element| !element.is_array() && !element.is_object());
        return if is_flat { Ok(ListCell::Json(elements)) } else { Err(bad()) };
    }
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned);
    let between = if text.contains(',') && !text.contains(", ") { "," } else { ", " };
    Ok(ListCell::Commas(names.collect(), between))
}

impl ListCell {
    /// The names, without the white space around them.
    pub(super) fn names(&self) -> BTreeSet<String> {
        match self {
            Self::Json(elements) => elements.iter().filter_map(name_of).collect(),
            Self::Commas(names, _) => names.iter().cloned().collect(),
            Self::Empty => BTreeSet::new(),
        }
    }

    /// The same list with exactly these names: those that stay keep their place, new ones come last.
    ///
    /// An empty list takes the form of `sample`, another cell of the column, or JSON where that is empty too.
    pub(super) fn with(&self, wanted: &BTreeSet<String>, sample: &Self) -> Result<Cell<'static>, BadList> {
        let here = self.names();
        let new = wanted.difference(&here);
        match (self, sample) {
            (Self::Json(elements), _) => {
                let kept = elements.iter().filter(|e| name_of(e).is_some_and(|name| wanted.contains(&name)));
                let all: Vec<Json> = kept.cloned().chain(new.cloned().map(Json::String)).collect();
                Ok(Cell::owned(Json::Array(all).to_string()))
            }
            (Self::Commas(names, between), _) => {
                let kept = names.iter().filter(|name| wanted.contains(*name));
                join(kept.chain(new).cloned().collect(), between)
            }
            (Self::Empty, Self::Commas(_, between)) => join(new.cloned().collect(), between),
            (Self::Empty, Self::Json(_) | Self::Empty) => {
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

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn lists_are_read_in_both_forms() {
        let cases = [
            ("", Ok(set(&[]))),
            ("[]", Ok(set(&[]))),
            (r#"["Finance", " Water ", null, 7]"#, Ok(set(&["7", "Finance", "Water"]))),
            ("Finance, Water,,Energy", Ok(set(&["Energy", "Finance", "Water"]))),
            ("Économie", Ok(set(&["Économie"]))),
            ("[\"Finance\"", Err(())),
            (r#"{"topic":"Finance"}"#, Err(())),
            (r#"[["Finance"]]"#, Err(())),
        ];
        for (text, expected) in cases {
            let names = read_list(&Cell::owned(text)).map(|list| list.names()).map_err(|_| ());
            assert_eq!(names, expected, "{text}");
        }
    }

    #[test]
    fn lists_keep_their_form_and_their_order() {
        let cases = [
            (r#"["Water", 7, "Énergie"]"#, "", r#"["Water",7,"Finance"]"#),
            ("Water,7,Énergie", "", "Water,7,Finance"),
            ("Water, 7, Énergie", "", "Water, 7, Finance"),
            ("", "", r#"["7","Finance","Water"]"#),
            ("", "a,b", "7,Finance,Water"),
            ("", r#"["a"]"#, r#"["7","Finance","Water"]"#),
        ];
        for (text, sample, expected) in cases {
            let list = read_list(&Cell::owned(text)).unwrap();
            let sample = read_list(&Cell::owned(sample)).unwrap();
            let written = list.with(&set(&["7", "Finance", "Water"]), &sample).unwrap();
            assert_eq!(written, Cell::owned(expected), "{text}");
        }
    }

    #[test]
    fn a_name_with_a_comma_does_not_go_between_commas() {
        let list = read_list(&Cell::owned("Water, Energy")).unwrap();
        assert!(list.with(&set(&["Health, social care"]), &ListCell::Empty).is_err());
    }
}
