//! The values of merge fields: what each type takes, and what it makes of it.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::Audience;
use crate::sandbox::audience::MergeField;
use crate::sandbox::call::schema_message;
use crate::sandbox::member::Member;
use crate::sandbox::problem::Problem;

/// Text is cut at so many bytes.
const TEXT_BYTES: usize = 255;
const MISSING: &str = "Please enter a value";
const INCOMPLETE_ADDRESS: &str = "Please enter a complete address";
const ADDRESS_KEYS: [&str; 6] = ["addr1", "addr2", "city", "state", "zip", "country"];

/// Whether merge fields that should have a value may be without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Validation {
    /// Required fields and stored addresses are looked at.
    Full,
    /// `skip_merge_validation=true`.
    Skipped,
}

/// Writes the values that were sent into the member; unknown tags are silently ignored.
pub(crate) fn write_values(
    audience: &Audience,
    member: &mut Member,
    sent: &Map<String, Value>,
    validation: Validation,
) -> Result<(), Problem> {
    let mut errors = Vec::new();
    for field in &audience.fields {
        let Some(value) = sent.get(&field.tag) else { continue };
        match normal_form(field, value, validation) {
            Ok(value) => member.set_field(field.merge_id, value),
            Err(message) => errors.push((field.tag.clone(), message)),
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(Problem::merge_fields(errors)) }
}

/// Looks at all values of a member as they would be stored.
///
/// An incomplete address that is stored refuses every later update, even one that does not mention it.
pub(crate) fn check_stored(
    audience: &Audience,
    member: &Member,
    validation: Validation,
) -> Result<(), Problem> {
    if validation == Validation::Skipped {
        return Ok(());
    }
    let errors: Vec<_> = audience
        .fields
        .iter()
        .filter_map(|field| {
            let message = match member.field(field.merge_id) {
                None if field.required => MISSING,
                Some(Value::Object(address)) if !is_complete(address) => INCOMPLETE_ADDRESS,
                _ => return None,
            };
            Some((field.tag.clone(), message.to_owned()))
        })
        .collect();
    if errors.is_empty() { Ok(()) } else { Err(Problem::merge_fields(errors)) }
}

/// What is stored of a value, or why it is refused. The empty text empties every type.
fn normal_form(field: &MergeField, value: &Value, validation: Validation) -> Result<Value, String> {
    if let (Value::Object(address), "address") = (value, field.kind.as_str()) {
        return address_form(address, validation);
    }
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        Value::Array(_) => return Err(schema_message("object", value)),
        Value::Null | Value::Bool(_) | Value::Object(_) => {
            return Err("Data did not match any of the schemas described in anyOf.".to_owned());
        }
    };
    if text.is_empty() {
        return Ok(json!(""));
    }
    match field.kind.as_str() {
        "number" => number_form(&text),
        "date" => date_form(&text).map(Value::String).ok_or_else(|| "Please enter the date".to_owned()),
        "birthday" => birthday_form(&text),
        "zip" if text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(json!(text)),
        "zip" => Err("Please enter a zip code (5 digits)".to_owned()),
        "radio" | "dropdown" if field.choices.contains(&text) => Ok(json!(text)),
        "radio" | "dropdown" => Err(MISSING.to_owned()),
        "address" => Err(INCOMPLETE_ADDRESS.to_owned()),
        "url" | "imageurl" if !text.contains("://") => Err("Please enter a valid URL".to_owned()),
        _ => Ok(json!(cut(&text))),
    }
}

fn number_form(text: &str) -> Result<Value, String> {
    let message = || "Please enter a number".to_owned();
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(json!(whole));
    }
    let number: f64 = text.parse().map_err(|_| message())?;
    if number.is_finite() { Ok(json!(number)) } else { Err(message()) }
}

/// `YYYY-MM-DD`, `YYYY/MM/DD`, `DD-MM-YYYY`, `MM/DD/YYYY`, or a moment; always stored as the first.
fn date_form(text: &str) -> Option<String> {
    let day = text.split(['T', ' ']).next()?;
    let parts: Vec<&str> = day.split(['-', '/']).collect();
    let [first, second, third] = parts[..] else { return None };
    let (year, month, date) = match (first.len(), third.len(), day.contains('/')) {
        (4, 1..=2, _) => (first, second, third),
        (1..=2, 4, false) => (third, second, first),
        (1..=2, 4, true) => (third, first, second),
        _ => return None,
    };
    let date = jiff::civil::Date::new(year.parse().ok()?, month.parse().ok()?, date.parse().ok()?).ok()?;
    Some(date.to_string())
}

fn birthday_form(text: &str) -> Result<Value, String> {
    let parse = || -> Option<String> {
        let (month, day) = text.split_once('/')?;
        let (month, day) = (month.parse::<i8>().ok()?, day.parse::<i8>().ok()?);
        // A leap year, for those born on 29 February.
        jiff::civil::Date::new(2000, month, day).ok()?;
        Some(format!("{month:02}/{day:02}"))
    };
    parse().map(Value::String).ok_or_else(|| "Please enter a month (01-12) and a day (01-31)".to_owned())
}

fn address_form(address: &Map<String, Value>, validation: Validation) -> Result<Value, String> {
    let part = |key: &str| match address.get(key) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(cut(text.trim())),
        Some(other) => Err(schema_message("string", other)),
    };
    let mut stored = Map::new();
    for key in ADDRESS_KEYS {
        stored.insert(key.to_owned(), Value::String(part(key)?));
    }
    if stored.iter().all(|(_, value)| value.as_str() == Some("")) {
        return Ok(json!(""));
    }
    if validation == Validation::Full && !is_complete(&stored) {
        return Err(INCOMPLETE_ADDRESS.to_owned());
    }
    if stored.get("country").and_then(Value::as_str) == Some("") {
        stored.insert("country".to_owned(), json!("US"));
    }
    Ok(Value::Object(stored))
}

fn is_complete(address: &Map<String, Value>) -> bool {
    let has = |key: &str| address.get(key).and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    ["addr1", "city", "state", "zip"].into_iter().all(has)
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES)].trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, sent: Value, expected: Result<Value, &str>) {
        let field = MergeField {
            merge_id: 1,
            tag: "X".to_owned(),
            name: "X".to_owned(),
            kind: kind.to_owned(),
            required: false,
            choices: vec!["North".to_owned(), "South".to_owned()],
            rest: Map::new(),
        };
        let found = normal_form(&field, &sent, Validation::Full);
        assert_eq!(found, expected.map_err(str::to_owned), "{kind} {sent}");
    }

    #[test]
    fn values_are_brought_into_their_normal_form() {
        check("text", json!("  Ada  "), Ok(json!("Ada")));
        check("text", json!("é".repeat(200)), Ok(json!("é".repeat(127))));
        check("text", json!(7), Ok(json!("7")));
        check("number", json!(" 15.5 "), Ok(json!(15.5)));
        check("number", json!(15), Ok(json!(15)));
        check("date", json!("2026-03-01"), Ok(json!("2026-03-01")));
        check("date", json!("2026/03/01"), Ok(json!("2026-03-01")));
        check("date", json!("01-03-2026"), Ok(json!("2026-03-01")));
        check("date", json!("03/01/2026"), Ok(json!("2026-03-01")));
        check("date", json!("1980-12-21T00:00:00.000Z"), Ok(json!("1980-12-21")));
        check("birthday", json!("2/29"), Ok(json!("02/29")));
        check("zip", json!("04005"), Ok(json!("04005")));
        check("dropdown", json!("North"), Ok(json!("North")));
        check("url", json!("https://a.test/"), Ok(json!("https://a.test/")));
    }

    #[test]
    fn the_empty_text_empties_every_type() {
        for kind in ["text", "number", "date", "birthday", "zip", "dropdown", "address", "url", "phone"] {
            check(kind, json!(""), Ok(json!("")));
        }
    }

    #[test]
    fn values_of_the_wrong_kind_are_refused() {
        check("number", json!("many"), Err("Please enter a number"));
        check("date", json!("2026-02-30"), Err("Please enter the date"));
        check("birthday", json!("13/01"), Err("Please enter a month (01-12) and a day (01-31)"));
        check("zip", json!("8001"), Err("Please enter a zip code (5 digits)"));
        check("radio", json!("East"), Err("Please enter a value"));
        check("address", json!("Main Street"), Err("Please enter a complete address"));
        check("address", json!({"addr1": "1 Main St"}), Err("Please enter a complete address"));
        check("text", json!([]), Err("Schema describes object, array found instead"));
        check("text", json!(true), Err("Data did not match any of the schemas described in anyOf."));
        check("text", json!(null), Err("Data did not match any of the schemas described in anyOf."));
    }
}
