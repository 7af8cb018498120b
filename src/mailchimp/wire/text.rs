//! Lenient scalars: whatever JSON says, read as a text or as yes and no.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON scalar as a text, borrowed from the body where it has no escapes; empty for `null`, arrays and objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor(PhantomData))
    }
}

struct TextVisitor<'a>(PhantomData<&'a ()>);

impl<'de: 'a, 'a> Visitor<'de> for TextVisitor<'a> {
    type Value = Text<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Self::Value, E> {
        Ok(Text(Cow::Borrowed(if yes { "true" } else { "false" })))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        // Rust writes floats without an exponent: a plain decimal.
        Ok(Text(Cow::Owned(number.to_string())))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Text::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Text::default())
    }
}

impl Text<'_> {
    /// Whether the text stands for yes: `true`, `1`.
    pub fn is_yes(&self) -> bool {
        matches!(&*self.0, "true" | "1")
    }
}

/// Reads `null` as the empty value.
pub fn null_is_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads the object that a body is. A list is none, though what is read may have been told in one.
pub fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, serde_json::Error> {
    if body.trim_ascii_start().starts_with(b"{") {
        serde_json::from_slice(body)
    } else {
        Err(serde_json::Error::custom("no object"))
    }
}

/// Reads an id: an empty text is none.
pub fn not_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let id = String::deserialize(deserializer)?;
    if id.is_empty() { Err(D::Error::invalid_length(0, &"an id")) } else { Ok(id) }
}

/// The pairs of a JSON object in their order; none where PHP wrote its empty map as `[]`, or `null` stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pairs<'a, V>(pub Vec<(Text<'a>, V)>);

impl<V> Default for Pairs<'_, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de: 'a, 'a, V: Deserialize<'de> + 'a> Deserialize<'de> for Pairs<'a, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PairsVisitor(PhantomData))
    }
}

struct PairsVisitor<'a, V>(PhantomData<&'a V>);

impl<'de: 'a, 'a, V: Deserialize<'de>> Visitor<'de> for PairsVisitor<'a, V> {
    type Value = Pairs<'a, V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(8));
        while let Some(pair) = map.next_entry()? {
            pairs.push(pair);
        }
        Ok(Pairs(pairs))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Pairs::default())
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Pairs::default())
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Pairs::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_is_a_text() {
        let cases = [
            (r#""Ada""#, "Ada"),
            (r#""A\u00e9""#, "Aé"),
            ("7", "7"),
            ("-7", "-7"),
            ("7.50", "7.5"),
            ("1e21", "1000000000000000000000"),
            ("0.0000001", "0.0000001"),
            ("true", "true"),
            ("null", ""),
            (r#"{"a":[1]}"#, ""),
            ("[1,[2]]", ""),
        ];
        for (json, expected) in cases {
            let text: Text<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(&*text, expected, "{json}");
        }
    }

    #[test]
    fn an_empty_map_may_come_as_an_array() {
        for json in ["[]", "{}", "null", r#""""#] {
            let pairs: Pairs<'_, Text<'_>> = serde_json::from_str(json).unwrap();
            assert_eq!(pairs, Pairs::default(), "{json}");
        }
        let pairs: Pairs<'_, Text<'_>> = serde_json::from_str(r#"{"b":true,"a":false}"#).unwrap();
        let yes: Vec<_> = pairs.0.iter().map(|(key, value)| (&**key, value.is_yes())).collect();
        assert_eq!(yes, [("b", true), ("a", false)]);
    }

    #[test]
    fn texts_without_escapes_are_borrowed_from_the_body() {
        let text: Text<'_> = serde_json::from_str(r#""Ada""#).unwrap();
        assert!(matches!(text.0, Cow::Borrowed(_)));
    }
}
