//! `fields` and `exclude_fields`: which parts of an answer are wanted.

use std::collections::BTreeMap;

use serde_json::Map;
use serde_json::Value;

use crate::sandbox::call::Query;
use crate::sandbox::problem::Problem;

/// Objects whose keys differ from audience to audience: any name below them is known.
const OPEN: &[&str] =
    &["merge_fields", "interests", "_links", "last_note", "options", "stats", "location", "contact"];

/// What of a document is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Projection {
    /// All of it.
    All,
    /// These keys, and of each what its own projection says.
    Only(BTreeMap<String, Projection>),
    /// All but these keys; `All` below a key means the whole of it is not wanted.
    Except(BTreeMap<String, Projection>),
}

impl Projection {
    /// Reads the two parameters; `sample` is an answer of this endpoint and tells which names there are.
    pub(crate) fn from_query(query: &Query, sample: &Value) -> Result<Self, Problem> {
        let (name, list) = match (query.get("fields"), query.get("exclude_fields")) {
            (None, None) => return Ok(Self::All),
            (Some(_), Some(_)) => {
                let detail = "The fields and exclude_fields parameters are mutually exclusive.";
                return Err(Problem::field("fields", detail));
            }
            (Some(list), None) => ("fields", list),
            (None, Some(list)) => ("exclude_fields", list),
        };
        let mut tree = BTreeMap::new();
        for path in list.split(',').map(str::trim).filter(|path| !path.is_empty()) {
            if is_known(sample, path) {
                insert(&mut tree, path, name == "fields");
            } else if name == "fields" || !is_known_without_prefix(sample, path) {
                return Err(Problem::field(name, format!("Invalid field: '{path}'")));
            }
        }
        Ok(if name == "fields" { Self::Only(tree) } else { Self::Except(tree) })
    }

    /// What is wanted of `key`; nothing when it is not wanted at all.
    pub(crate) fn of(&self, key: &str) -> Option<&Self> {
        static ALL: Projection = Projection::All;
        match self {
            Self::All => Some(&ALL),
            Self::Only(tree) => tree.get(key),
            Self::Except(tree) => match tree.get(key) {
                None => Some(&ALL),
                Some(Self::All) => None,
                Some(part) => Some(part),
            },
        }
    }

    /// Takes what is not wanted out of `value`.
    pub(crate) fn apply(&self, value: Value) -> Value {
        match (self, value) {
            (Self::All, value) => value,
            (_, Value::Array(items)) => items.into_iter().map(|item| self.apply(item)).collect(),
            (_, Value::Object(object)) => {
                let wanted = object.into_iter().filter_map(|(key, value)| {
                    let part = self.of(&key)?;
                    Some((key, part.apply(value)))
                });
                Value::Object(wanted.collect::<Map<_, _>>())
            }
            (_, value) => value,
        }
    }
}

/// Adds one dotted path to the tree.
fn insert(tree: &mut BTreeMap<String, Projection>, path: &str, only: bool) {
    let empty = || if only { Projection::Only(BTreeMap::new()) } else { Projection::Except(BTreeMap::new()) };
    match path.split_once('.') {
        None => drop(tree.insert(path.to_owned(), Projection::All)),
        Some((head, rest)) => match tree.entry(head.to_owned()).or_insert_with(empty) {
            Projection::All => (),
            Projection::Only(below) | Projection::Except(below) => insert(below, rest, only),
        },
    }
}

fn is_known(sample: &Value, path: &str) -> bool {
    let (head, rest) = path.split_once('.').map_or((path, None), |(head, rest)| (head, Some(rest)));
    let sample = sample.as_array().and_then(|items| items.first()).unwrap_or(sample);
    match (sample.get(head), rest) {
        _ if head == "_links" => true,
        (None, _) => false,
        (Some(_), None) => true,
        (Some(_), Some(_)) if OPEN.contains(&head) => true,
        (Some(below), Some(rest)) => is_known(below, rest),
    }
}

/// A name of the rows given without the collection's name: met in recordings, where it had no effect.
fn is_known_without_prefix(sample: &Value, path: &str) -> bool {
    let Value::Object(object) = sample else { return false };
    object.values().any(|value| value.is_array() && is_known(value, path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(query: &str, expected: Result<Value, &str>) {
        let document = json!({
            "members": [{"id": "a", "email_address": "x", "merge_fields": {"FNAME": "F", "LNAME": "L"}, "tags": []}],
            "total_items": 1,
        });
        let found = Projection::from_query(&Query::parse(query), &document)
            .map(|projection| projection.apply(document))
            .map_err(|problem| problem.sentence());
        assert_eq!(found, expected.map_err(str::to_owned), "{query}");
    }

    #[test]
    fn only_the_named_fields_are_answered() {
        check("fields=members.id,total_items", Ok(json!({"members": [{"id": "a"}], "total_items": 1})));
        check(
            "fields=members.merge_fields.FNAME",
            Ok(json!({"members": [{"merge_fields": {"FNAME": "F"}}]})),
        );
        check(
            "exclude_fields=members.merge_fields.FNAME,members.tags,total_items",
            Ok(json!({"members": [{"id": "a", "email_address": "x", "merge_fields": {"LNAME": "L"}}]})),
        );
    }

    #[test]
    fn unknown_names_are_refused() {
        check("fields=members.mail", Err("Invalid field: 'members.mail'"));
        check("fields=email_address", Err("Invalid field: 'email_address'"));
        check("exclude_fields=members.mail", Err("Invalid field: 'members.mail'"));
        let both = "fields=total_items&exclude_fields=members.id";
        check(both, Err("The fields and exclude_fields parameters are mutually exclusive."));
    }

    #[test]
    fn excluding_without_the_name_of_the_collection_has_no_effect() {
        let query = Query::parse("exclude_fields=email_address");
        let sample = json!({"members": [{"email_address": "x"}]});
        assert_eq!(Projection::from_query(&query, &sample).unwrap().apply(sample.clone()), sample);
    }
}
