//! One call as the rules see it: path, query and body, read and checked for shape.

use percent_encoding::percent_decode_str;
use serde_json::Map;
use serde_json::Value;

use crate::sandbox::problem::Problem;

/// A call whose route is known.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    /// The variable parts of the path below `/lists/{list_id}` (or of `/batches/{batch_id}`), decoded.
    pub(crate) ids: Vec<String>,
    /// The query.
    pub(crate) query: Query,
    /// The body, where one was sent.
    pub(crate) body: Option<Value>,
    /// The time, in seconds since 1970.
    pub(crate) now: i64,
}

/// The answer to a call that was not refused.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    /// A document, made by hand.
    Bytes(Vec<u8>),
    /// A document.
    Json(Value),
    /// 204, nothing.
    Empty,
}

impl Call {
    /// The `index`th variable part of the path.
    pub(crate) fn id(&self, index: usize) -> &str {
        self.ids.get(index).map_or("", String::as_str)
    }

    /// The body, which must be an object.
    pub(crate) fn object(&self) -> Result<&Map<String, Value>, Problem> {
        match &self.body {
            Some(Value::Object(object)) => Ok(object),
            Some(other) => Err(Problem::field("", schema_message("object", other))),
            None => Err(Problem::not_json()),
        }
    }
}

/// Name and value pairs in the order they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(pub(crate) Vec<(String, String)>);

impl Query {
    /// Reads the part after the question mark.
    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// The last value given for `name`; an empty one is none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Whether `name` is given and says yes.
    pub(crate) fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value == "true" || value == "1")
    }

    /// How many rows a page has: 10 unless told, silently capped at 1000.
    pub(crate) fn count(&self) -> Result<usize, Problem> {
        Ok(self.number("count")?.unwrap_or(10).min(1000))
    }

    /// How many rows come before the page.
    pub(crate) fn offset(&self) -> Result<usize, Problem> {
        Ok(self.number("offset")?.unwrap_or(0))
    }

    fn number(&self, name: &str) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Problem::field(name, "This value should be 0 or more.")),
        }
    }
}

/// Undoes the percent encoding of one part of a query; a bare plus is a space.
fn decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// What the API says of a value that is not of the described type.
pub(crate) fn schema_message(described: &str, found: &Value) -> String {
    let found = match found {
        Value::Null => "NULL",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "double",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("Schema describes {described}, {found} found instead")
}

/// The text under `key`; nothing when the key is not there.
pub(crate) fn text<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a str>, Problem> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(Problem::field(key, schema_message("string", other))),
    }
}

/// The boolean under `key`.
pub(crate) fn boolean(object: &Map<String, Value>, key: &str) -> Result<Option<bool>, Problem> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(other) => Err(Problem::field(key, schema_message("boolean", other))),
    }
}

/// The whole number under `key`.
pub(crate) fn integer(object: &Map<String, Value>, key: &str) -> Result<Option<i64>, Problem> {
    match object.get(key) {
        None => Ok(None),
        Some(value) => match value.as_i64() {
            Some(number) => Ok(Some(number)),
            None => Err(Problem::field(key, schema_message("integer", value))),
        },
    }
}

/// The array under `key`.
pub(crate) fn array<'a>(object: &'a Map<String, Value>, key: &str) -> Result<Option<&'a [Value]>, Problem> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Array(items)) => Ok(Some(items)),
        Some(other) => Err(Problem::field(key, schema_message("array", other))),
    }
}

/// The object under `key`.
pub(crate) fn nested<'a>(
    object: &'a Map<String, Value>,
    key: &str,
) -> Result<Option<&'a Map<String, Value>>, Problem> {
    match object.get(key) {
        None => Ok(None),
        Some(Value::Object(nested)) => Ok(Some(nested)),
        Some(other) => Err(Problem::field(key, schema_message("object", other))),
    }
}

/// A text that must be there and not be empty.
pub(crate) fn required<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, Problem> {
    match text(object, key)? {
        None => Err(Problem::field("", format!("Required fields were not provided: {key}"))),
        Some(value) if value.trim().is_empty() => Err(Problem::field(key, "This value should not be blank.")),
        Some(value) => Ok(value),
    }
}

/// One of `accepted`, where the key is there.
pub(crate) fn one_of<'a>(
    object: &'a Map<String, Value>,
    key: &str,
    accepted: &[&str],
) -> Result<Option<&'a str>, Problem> {
    match text(object, key)? {
        Some(value) if !accepted.contains(&value) => {
            let list = accepted.join(", ");
            Err(Problem::field(key, format!("Data presented is not one of the accepted values: {list}.")))
        }
        other => Ok(other),
    }
}
