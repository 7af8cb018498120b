//! Answers held against the description of the API: as strict as the description, which names every key.

use serde_json::Value;

/// Notes every key that the schema does not know, every one that is missing, and every value that is not as described.
pub(crate) fn check(root: &Value, schema: &Value, found: &Value, place: &str, mistakes: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = root.pointer(reference.trim_start_matches('#')).unwrap_or_else(|| panic!("{reference}"));
        return check(root, schema, found, place, mistakes);
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        let null = found.is_null();
        let choice = choices.iter().find(|choice| (choice["type"] == "null") == null);
        return check(root, choice.unwrap_or_else(|| panic!("{place}")), found, place, mistakes);
    }
    if !of_type(&schema["type"], found) {
        mistakes.push(format!("{place}: {found} is no {}", schema["type"]));
    }
    if schema["enum"].as_array().is_some_and(|accepted| !accepted.contains(found)) {
        mistakes.push(format!("{place}: {found} is none of {}", schema["enum"]));
    }
    for (index, item) in found.as_array().into_iter().flatten().enumerate() {
        check(root, &schema["items"], item, &format!("{place}[{index}]"), mistakes);
    }
    let Some(fields) = found.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(required) {
            mistakes.push(format!("{place}: {required} is missing"));
        }
    }
    for (key, value) in fields {
        let place = format!("{place}.{key}");
        match (schema["properties"].get(key), &schema["additionalProperties"]) {
            (Some(schema), _) | (None, schema @ Value::Object(_)) => {
                check(root, schema, value, &place, mistakes)
            }
            (None, Value::Bool(true)) => {}
            (None, _) => mistakes.push(format!("{place} is not described")),
        }
    }
}

fn of_type(expected: &Value, found: &Value) -> bool {
    let is = |name: &str| match name {
        "string" => found.is_string(),
        "integer" => found.is_i64() || found.is_u64(),
        "number" => found.is_number(),
        "boolean" => found.is_boolean(),
        "array" => found.is_array(),
        "object" => found.is_object(),
        "null" => found.is_null(),
        _ => false,
    };
    match expected {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    }
}
