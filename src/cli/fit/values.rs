//! Whether a text of the register can stand in a merge field of the audience.

use std::collections::BTreeMap;

use jiff::civil::Date;

use crate::mailchimp::schema::FieldSchema;
use crate::model::FieldKind;

/// Whether Mailchimp takes `text` for the field; doubt counts as yes.
/// <https://mailchimp.com/developer/marketing/docs/merge-fields/>
pub(super) fn fits(field: &FieldSchema, text: &str) -> bool {
    let normal = field.kind.normal_form(text);
    match field.kind {
        FieldKind::Text => true,
        FieldKind::Number => normal.chars().any(|c| c.is_ascii_digit()) && normal.parse::<f64>().is_ok(),
        FieldKind::Date => normal.parse::<Date>().is_ok(),
        FieldKind::Birthday => is_birthday(&normal),
        FieldKind::Address => serde_json::from_str::<BTreeMap<String, serde_json::Value>>(text).is_ok(),
        FieldKind::Phone => normal.chars().any(|c| c.is_ascii_digit()),
        FieldKind::Zip => is_zip(&normal),
        FieldKind::Url | FieldKind::ImageUrl => normal.contains('.') && !normal.contains(char::is_whitespace),
        FieldKind::Radio | FieldKind::Dropdown => {
            field.choices.iter().any(|choice| field.kind.agree(text, choice))
        }
    }
}

/// What a field of this kind holds, for people.
pub(super) fn holds(kind: FieldKind) -> &'static str {
    match kind {
        FieldKind::Text => "texts",
        FieldKind::Number => "numbers",
        FieldKind::Address => "postal addresses (JSON objects with addr1, city, state, zip, country)",
        FieldKind::Phone => "phone numbers",
        FieldKind::Date => "days (2026-01-31)",
        FieldKind::Birthday => "birthdays (01/31)",
        FieldKind::Zip => "United States ZIP codes",
        FieldKind::Url => "web addresses",
        FieldKind::ImageUrl => "web addresses of images",
        FieldKind::Radio | FieldKind::Dropdown => "one of its own choices",
    }
}

fn is_birthday(normal: &str) -> bool {
    // A leap year: 02/29 is somebody's birthday.
    normal.split_once('/').is_some_and(|(month, day)| {
        month
            .parse()
            .ok()
            .zip(day.parse().ok())
            .is_some_and(|(month, day)| Date::new(2024, month, day).is_ok())
    })
}

fn is_zip(normal: &str) -> bool {
    let (first, more) = normal.split_once('-').unwrap_or((normal, "0000"));
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(first, 5) && digits(more, 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_fits_where_mailchimp_would_take_it() {
        use FieldKind::*;
        let cases = [
            (Text, "anything", true),
            (Number, "7.5", true),
            (Number, "-3", true),
            (Number, "seven", false),
            (Number, "inf", false),
            (Date, "31-01-2026", true),
            (Date, "soon", false),
            (Birthday, "2/29", true),
            (Birthday, "2/30", false),
            (Birthday, "spring", false),
            (Address, r#"{"addr1":"Markt 1","city":"Bern"}"#, true),
            (Address, "Markt 1, Bern", false),
            (Phone, "+41 31 000 00 00", true),
            (Phone, "none", false),
            (Zip, "90210", true),
            (Zip, "90210-1234", true),
            (Zip, "3011", false),
            (Url, "https://alliance.test", true),
            (Url, "my page", false),
            (Radio, " gold ", false),
            (Dropdown, " Gold ", true),
        ];
        for (kind, text, expected) in cases {
            let field =
                FieldSchema { merge_id: 1, wire_tag: "X".to_owned(), kind, choices: vec!["Gold".to_owned()] };
            assert_eq!(fits(&field, text), expected, "{kind:?} {text:?}");
        }
    }
}
