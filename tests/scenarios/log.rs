//! The log: no address and no key in it, one JSON object a line, and only fields that are known.

use serde_json::Value;

use crate::stage::Stage;

/// The page that names the fields of our own lines.
const VOCABULARY: &str = include_str!("../../docs/log.md");

/// Checks every line that the program wrote to standard error.
pub(crate) fn check(stage: &mut Stage) {
    let key = stage.audience.sandbox.api_key();
    let names = stage.names();
    for line in &stage.log {
        check_secrets(line, &key, names.iter().map(String::as_str));
        check_form(line);
    }
    for line in &stage.asides {
        check_secrets(line, &key, names.iter().map(String::as_str));
    }
}

/// No address, whole or in part, and no key.
pub(crate) fn check_secrets<'n>(line: &str, key: &str, names: impl Iterator<Item = &'n str>) {
    let lower = line.to_lowercase();
    assert!(!lower.contains('@') && !lower.contains("%40"), "an address is in the log: {line}");
    assert!(!lower.contains(&key[..16]), "the key is in the log: {line}");
    for name in names {
        let local = name.split('@').next().unwrap_or_default();
        assert!(!holds_word(&lower, local), "{name} is in the log: {line}");
    }
}

/// Whether a word stands in a text by itself: letters that a hash happens to hold are none.
fn holds_word(text: &str, word: &str) -> bool {
    let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        !joins(before.chars().next_back()) && !joins(after.chars().next())
    })
}

/// A JSON object with a time, a level, a place and a sentence.
pub(crate) fn check_form(line: &str) {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let object = value.as_object().unwrap();
    for key in ["timestamp", "level", "target"] {
        assert!(object.get(key).is_some_and(Value::is_string), "{key} is missing: {line}");
    }
    if !object["target"].as_str().unwrap().starts_with("rosterd") {
        return;
    }
    assert!(object.get("message").is_some_and(Value::is_string), "a line without a sentence: {line}");
    for field in
        object.keys().filter(|key| !["timestamp", "level", "target", "message"].contains(&key.as_str()))
    {
        let known = field == "span" || VOCABULARY.contains(&format!("| `{field}` |"));
        assert!(known, "docs/log.md does not know the field {field}: {line}");
    }
}

#[test]
fn addresses_are_logged_where_the_configuration_asks_for_them_and_keys_never() {
    let mut stage = crate::daemon::stage();
    stage.configure("\n[privacy]\nlog_addresses = true\n");
    stage.register.change(1, "first_name", "Augusta");
    stage.log.clear();
    assert_eq!(crate::program::run(&mut stage, "rosterd sync").exit, 0);
    let ended = |line: &&String| line.contains("an operation ended");
    let line: Value = serde_json::from_str(stage.log.iter().find(ended).unwrap()).unwrap();
    assert_eq!(line["member.address"], "ada@alliance.test");
    let key = stage.audience.sandbox.api_key();
    assert!(!stage.log.concat().contains(&key[..16]), "{:?}", stage.log);
}

#[test]
fn a_word_of_a_log_line_stands_by_itself() {
    for (text, found) in
        [("hash 0ada1", false), ("\"ada\"", true), ("ada", true), ("x.ada.y", true), ("bada", false)]
    {
        assert_eq!(holds_word(text, "ada"), found, "{text}");
    }
}
