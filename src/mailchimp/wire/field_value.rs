//! The values of merge fields: a text, a number or an object on the wire, always a text with us.
//! <https://mailchimp.com/developer/marketing/docs/merge-fields/>

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::mailchimp::wire::text::Text;
use crate::model::FieldKind;

/// Beyond this many digits a number would not survive the way through a float.
const MAX_EXACT_DIGITS: usize = 15;

/// The value of a merge field as a text: numbers in plain decimal, an address as a JSON object with sorted keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldText<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for FieldText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor(PhantomData))
    }
}

struct FieldVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for FieldVisitor<'a> {
    type Value = FieldText<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a merge field")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(FieldText(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(FieldText(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Self::Value, E> {
        Ok(FieldText(Cow::Owned(yes.to_string())))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(FieldText(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(FieldText(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(FieldText(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(FieldText::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut parts = BTreeMap::new();
        while let Some((key, part)) = map.next_entry::<Text<'de>, Text<'de>>()? {
            let part = part.trim();
            if !part.is_empty() {
                parts.insert(key.to_string(), Value::from(part));
            }
        }
        let text = if parts.is_empty() { String::new() } else { Value::from_iter(parts).to_string() };
        Ok(FieldText(Cow::Owned(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<Text<'de>>()?.is_some() {}
        Ok(FieldText::default())
    }
}

/// The value to send for a text; an empty one clears the field, whatever it holds.
pub fn to_wire(kind: FieldKind, text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::from("");
    }
    match kind {
        FieldKind::Number => number(text.trim()).map_or_else(|| Value::from(text), Value::Number),
        FieldKind::Address => address(text).unwrap_or_else(|| Value::from(text)),
        FieldKind::Text
        | FieldKind::Phone
        | FieldKind::Date
        | FieldKind::Birthday
        | FieldKind::Zip
        | FieldKind::Url
        | FieldKind::ImageUrl
        | FieldKind::Radio
        | FieldKind::Dropdown => Value::from(text),
    }
}

fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let plain = digits.chars().all(|c| c.is_ascii_digit() || c == '.');
    if !plain || digits.chars().filter(char::is_ascii_digit).count() > MAX_EXACT_DIGITS {
        return None;
    }
    match text.parse::<i64>() {
        Ok(whole) => Some(Number::from(whole)),
        Err(_) => Number::from_f64(text.parse().ok()?),
    }
}

fn address(text: &str) -> Option<Value> {
    let parts: Map<String, Value> = serde_json::from_str(text).ok()?;
    let parts: Map<String, Value> = parts
        .into_iter()
        .map(|(key, part)| match part {
            Value::String(_) => (key, part),
            Value::Null => (key, Value::from("")),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                (key, Value::from(part.to_string()))
            }
        })
        .collect();
    // An object that says nothing: Mailchimp shows an unset address as an empty text.
    let says_nothing = parts.values().all(|part| part.as_str().is_none_or(|text| text.trim().is_empty()));
    Some(if says_nothing { Value::from("") } else { Value::Object(parts) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(json: &str) -> String {
        serde_json::from_str::<FieldText<'_>>(json).unwrap().0.into_owned()
    }

    #[test]
    fn whatever_is_on_the_wire_becomes_a_text() {
        let cases = [
            (r#""Ada""#, "Ada"),
            (r#""""#, ""),
            ("null", ""),
            ("42", "42"),
            ("4500000.5", "4500000.5"),
            ("1.5e3", "1500"),
            ("true", "true"),
            ("[]", ""),
            (
                r#"{"zip":"3011","addr1":" Markt 1 ","addr2":"","city":"Bern"}"#,
                r#"{"addr1":"Markt 1","city":"Bern","zip":"3011"}"#,
            ),
            (r#"{"addr1":"","city":"","state":"","zip":"","country":" "}"#, ""),
            (r#"{"addr1":"A \"B\"","zip":3011}"#, r#"{"addr1":"A \"B\"","zip":"3011"}"#),
        ];
        for (json, expected) in cases {
            assert_eq!(read(json), expected, "{json}");
        }
    }

    #[test]
    fn texts_are_sent_in_the_type_of_their_field() {
        use FieldKind::*;
        let cases = [
            (Text, "Ada", json!("Ada")),
            (Text, "7", json!("7")),
            (Text, "", json!("")),
            (Number, "7", json!(7)),
            (Number, "007", json!(7)),
            (Number, "-7.5", json!(-7.5)),
            (Number, "", json!("")),
            (Number, " ", json!("")),
            (Number, "seven", json!("seven")),
            (Number, "1e5", json!("1e5")),
            (Number, "inf", json!("inf")),
            (Number, ".", json!(".")),
            (Number, "12345678901234567.25", json!("12345678901234567.25")),
            (Address, r#"{"addr1":"Markt 1","zip":3011}"#, json!({"addr1": "Markt 1", "zip": "3011"})),
            (Address, r#"{"addr1":"","city":null}"#, json!("")),
            (Address, "Markt 1, Bern", json!("Markt 1, Bern")),
            (Address, "", json!("")),
            (Date, "2026-03-01", json!("2026-03-01")),
            (Dropdown, "Gold", json!("Gold")),
        ];
        for (kind, text, expected) in cases {
            assert_eq!(to_wire(kind, text), expected, "{kind:?} {text:?}");
        }
    }

    proptest! {
        #[test]
        fn a_number_survives_the_way_there_and_back(whole in -99_999_999_i64..99_999_999, cents in 0_u8..100) {
            let text = format!("{whole}.{cents:02}");
            let back = read(&to_wire(FieldKind::Number, &text).to_string());
            prop_assert!(FieldKind::Number.agree(&text, &back), "{text} {back}");
        }

        #[test]
        fn an_address_survives_the_way_there_and_back(
            parts in prop::collection::btree_map("addr[12]|city|zip", "\\PC{0,12}", 0..4)
        ) {
            let text = serde_json::to_string(&parts).unwrap();
            let back = read(&to_wire(FieldKind::Address, &text).to_string());
            prop_assert!(FieldKind::Address.agree(&text, &back), "{text} {back}");
        }

        #[test]
        fn nothing_is_ever_sent_as_null(kind in 0_usize..3, text in "\\PC{0,12}") {
            let kind = [FieldKind::Text, FieldKind::Number, FieldKind::Address][kind];
            prop_assert!(!to_wire(kind, &text).is_null());
        }
    }
}
