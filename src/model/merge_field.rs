//! Merge fields: the named values of a member, and the normal forms in which they are compared.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The name of a merge field (`FNAME`), in upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MergeTag(String);

/// Texts by merge tag; an empty text says nothing.
pub type MergeFields = BTreeMap<MergeTag, String>;

/// Why a text is no merge tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a merge tag is 1 to 50 letters, digits or underscores, not {0:?}")]
pub struct InvalidMergeTag(pub String);

impl MergeTag {
    /// Parses a tag without regard to case.
    pub fn parse(text: &str) -> Result<Self, InvalidMergeTag> {
        let tag = text.trim().to_uppercase();
        let valid =
            (1..=50).contains(&tag.len()) && tag.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if valid { Ok(Self(tag)) } else { Err(InvalidMergeTag(text.to_owned())) }
    }

    /// The tag in upper case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MergeTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MergeTag {
    type Error = InvalidMergeTag;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<MergeTag> for String {
    fn from(tag: MergeTag) -> Self {
        tag.0
    }
}

/// What a merge field holds; decides its normal form.
/// <https://mailchimp.com/developer/marketing/docs/merge-fields/>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// Free text, cut at 255 bytes by Mailchimp.
    #[default]
    Text,
    /// A decimal number.
    Number,
    /// A postal address: a JSON object of texts.
    Address,
    /// A phone number.
    Phone,
    /// A day, `YYYY-MM-DD`.
    Date,
    /// A day without a year, `MM/DD`.
    Birthday,
    /// A United States ZIP code.
    Zip,
    /// A web address.
    Url,
    /// The web address of an image.
    ImageUrl,
    /// One of a list of choices.
    Radio,
    /// One of a list of choices.
    Dropdown,
}

/// Mailchimp cuts texts at this many bytes.
/// <https://mailchimp.com/developer/marketing/docs/merge-fields/>
const MAX_TEXT_BYTES: usize = 255;

impl FieldKind {
    /// The form in which values of this kind are compared: two texts with one normal form agree.
    pub fn normal_form(self, text: &str) -> String {
        let text = text.trim();
        match self {
            Self::Text
            | Self::Phone
            | Self::Zip
            | Self::Url
            | Self::ImageUrl
            | Self::Radio
            | Self::Dropdown => cut(text).trim_end().to_owned(),
            Self::Number => normal_number(text),
            Self::Date => normal_date(text).unwrap_or_else(|| text.to_owned()),
            Self::Birthday => normal_birthday(text).unwrap_or_else(|| text.to_owned()),
            Self::Address => normal_address(text),
        }
    }

    /// Whether what the local side and the remote side show is one value.
    pub fn agree(self, local: &str, remote: &str) -> bool {
        local == remote || self.normal_form(local) == self.normal_form(remote)
    }
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or(text)
}

/// `007.50` is `7.5`; what is no plain decimal number stays as it is.
fn normal_number(text: &str) -> String {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let plain = !digits.is_empty()
        && digits != "."
        && format!("{whole}{fraction}").bytes().all(|b| b.is_ascii_digit());
    if !plain {
        return text.to_owned();
    }
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let whole = if whole.is_empty() { "0" } else { whole };
    match (whole, fraction) {
        ("0", "") => "0".to_owned(),
        (whole, "") => format!("{sign}{whole}"),
        (whole, fraction) => format!("{sign}{whole}.{fraction}"),
    }
}

/// The four forms that Mailchimp accepts (`2026-01-31`, `2026/01/31`, `31-01-2026`, `01/31/2026`), and times, as a day.
fn normal_date(text: &str) -> Option<String> {
    let day = text.split(['T', ' ']).next()?;
    let parts: Vec<&str> = day.split(['-', '/']).collect();
    let [a, b, c] = parts.as_slice() else { return None };
    let (year, month, date) = match (a.len(), day.contains('/')) {
        (4, _) => (a, b, c),
        (_, true) => (c, a, b),
        (_, false) => (c, b, a),
    };
    let (year, month, date): (i16, i8, i8) = (year.parse().ok()?, month.parse().ok()?, date.parse().ok()?);
    jiff::civil::Date::new(year, month, date).ok().map(|date| date.to_string())
}

/// `3/7` is `03/07`; a whole date loses its year.
fn normal_birthday(text: &str) -> Option<String> {
    if let Some(date) = normal_date(text) {
        return Some(format!("{}/{}", date.get(5..7)?, date.get(8..10)?));
    }
    let (month, day) = text.split_once(['/', '-'])?;
    let (month, day): (u8, u8) = (month.parse().ok()?, day.parse().ok()?);
    Some(format!("{month:02}/{day:02}"))
}

/// A JSON object of texts with its keys sorted and its empty parts left out, numbers and the like as they are sent;
/// anything else as it is.
fn normal_address(text: &str) -> String {
    let Ok(parts) = serde_json::from_str::<BTreeMap<String, Json>>(text) else {
        return text.to_owned();
    };
    let plain = |part: Json| match part {
        Json::String(part) => part.trim().to_owned(),
        Json::Null => String::new(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => part.to_string(),
    };
    let parts: BTreeMap<_, _> = parts
        .into_iter()
        .map(|(key, part)| (key, plain(part)))
        .filter(|(_, part)| !part.is_empty())
        .collect();
    if parts.is_empty() { String::new() } else { serde_json::to_string(&parts).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read_without_regard_to_case() {
        assert_eq!(MergeTag::parse(" fname ").unwrap().as_str(), "FNAME");
        assert_eq!(MergeTag::parse("F NAME"), Err(InvalidMergeTag("F NAME".to_owned())));
        assert_eq!(MergeTag::parse(""), Err(InvalidMergeTag(String::new())));
    }

    #[test]
    fn values_are_compared_in_their_normal_form() {
        use FieldKind::*;
        let long = "é".repeat(200);
        let cases = [
            (Text, " Ada ", "Ada", true),
            (Text, "Ada", "ada", false),
            (Text, long.as_str(), &"é".repeat(127), true),
            (Number, "007.50", "7.5", true),
            (Number, "-0", "0", true),
            (Number, "7", "8", false),
            (Number, "seven", "seven", true),
            (Date, "31-01-2026", "2026-01-31", true),
            (Date, "01/31/2026", "2026-01-31", true),
            (Date, "2026/01/31", "2026-01-31", true),
            (Date, "2026-01-31T10:00:00Z", "2026-01-31", true),
            (Date, "2026-02-31", "2026-03-03", false),
            (Birthday, "3/7", "03/07", true),
            (Birthday, "1970-03-07", "03/07", true),
            (
                Address,
                r#"{"city":"Bern","addr1":"Markt 1","addr2":""}"#,
                r#"{"addr1":"Markt 1","city":"Bern"}"#,
                true,
            ),
            (Address, r#"{"addr1":"","city":""}"#, "", true),
            (
                Address,
                r#"{"addr1":"Markt 1","zip":3011,"state":null}"#,
                r#"{"addr1":"Markt 1","zip":"3011"}"#,
                true,
            ),
            (Dropdown, "Gold", "Gold ", true),
        ];
        for (kind, local, remote, expected) in cases {
            assert_eq!(kind.agree(local, remote), expected, "{kind:?} {local:?} {remote:?}");
        }
    }
}
