//! Mailchimp's problem documents (RFC 9457), and their words without addresses.

use serde_json::Map;
use serde_json::Value;

/// At most this many bytes of Mailchimp's words are kept: they are stored and shown, and have no limit of their own.
const MAX_SAID_BYTES: usize = 600;

/// A problem as Mailchimp described it, addresses included: show [`Problem::said`] only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Problem {
    /// The title, without addresses.
    pub title: String,
    /// The detail in lower case, to be searched.
    pub detail: String,
    /// The complaints about fields: name as sent, message in lower case.
    pub fields: Vec<(String, String)>,
    said: String,
}

impl Problem {
    /// Reads a body; `None` where it is no JSON object with a title or a detail.
    pub fn read(body: &[u8]) -> Option<Self> {
        let document: Map<String, Value> = serde_json::from_slice(body).ok()?;
        let text = |key: &str| document.get(key).and_then(Value::as_str);
        let (title, detail) = (text("title"), text("detail"));
        if title.is_none() && detail.is_none() {
            return None;
        }
        let of = |error: &Value, key: &str| error.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
        let errors = document.get("errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let fields = errors.iter().map(|error| (of(error, "field"), of(error, "message"))).collect();
        Some(Self::new(title.unwrap_or(""), detail.unwrap_or(""), fields))
    }

    /// The problem of one entry of the `errors` of a bulk call.
    pub fn of_entry(error: &str, field: &str, message: &str) -> Self {
        let named = !field.is_empty() || !message.is_empty();
        let fields = if named { vec![(field.to_owned(), message.to_owned())] } else { Vec::new() };
        Self::new("", error, fields)
    }

    /// Mailchimp's own words, field messages included, with addresses replaced by `<address>`.
    pub fn said(&self) -> String {
        self.said.clone()
    }

    /// Whether the title is this one, without regard to case and white space.
    pub fn is_titled(&self, title: &str) -> bool {
        let letters = |text: &str| -> String {
            text.chars().filter(|c| !c.is_whitespace()).flat_map(char::to_lowercase).collect()
        };
        letters(&self.title) == letters(title)
    }

    /// Whether the detail or a message holds `fragment`, which is in lower case.
    pub fn mentions(&self, fragment: &str) -> bool {
        self.detail.contains(fragment) || self.fields.iter().any(|(_, message)| message.contains(fragment))
    }

    fn new(title: &str, detail: &str, fields: Vec<(String, String)>) -> Self {
        let mut said = detail.to_owned();
        for (field, message) in &fields {
            said.push_str(if said.is_empty() { "" } else { " " });
            said.push_str(&format!("[{field}] {message}"));
        }
        Self {
            title: cut(without_addresses(title)),
            detail: plain(detail),
            fields: fields.into_iter().map(|(field, message)| (field, plain(&message))).collect(),
            said: cut(without_addresses(&said)),
        }
    }
}

/// In lower case, with straight apostrophes: Mailchimp writes both.
fn plain(text: &str) -> String {
    text.replace('\u{2019}', "'").to_lowercase()
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_SAID_BYTES {
        text.truncate(text.floor_char_boundary(MAX_SAID_BYTES));
        text.push('…');
    }
    text
}

/// `text` with everything that looks like an e-mail address replaced by `<address>`.
pub fn without_addresses(text: &str) -> String {
    let ends_word = |c: char| c.is_whitespace() || "\"<>()[]{},;:|`„“”«»‘".contains(c);
    let mut cleaned = String::with_capacity(text.len());
    for piece in text.split_inclusive(ends_word) {
        let word = piece.trim_end_matches(ends_word);
        let bare = word.trim_matches(['\'', '.', '!', '?', '\u{2019}']);
        match bare.contains('@') {
            true => cleaned.push_str(&piece.replacen(bare, "<address>", 1)),
            false => cleaned.push_str(piece),
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_replaced_wherever_they_stand() {
        let cases = [
            ("ada@alliance.test is already a list member.", "<address> is already a list member."),
            ("\"o'brien+x@alliance.test\" is already", "\"<address>\" is already"),
            ("'ada@alliance.test'.", "'<address>'."),
            ("(ada@alliance.test,bob@alliance.test)", "(<address>,<address>)"),
            ("„ada@alliance.test“ ist ungültig", "„<address>“ ist ungültig"),
            ("mailto:ada@alliance.test!", "mailto:<address>!"),
            ("nobody is named", "nobody is named"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(without_addresses(text), expected, "{text}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let problem = Problem::of_entry(&"é".repeat(1000), "", "");
        assert!(problem.said().len() <= MAX_SAID_BYTES + '…'.len_utf8());
        assert!(problem.said().ends_with('…'));
        let titled = serde_json::json!({"title": "é".repeat(1000)}).to_string();
        let title = Problem::read(titled.as_bytes()).unwrap().title;
        assert!(title.len() <= MAX_SAID_BYTES + '…'.len_utf8() && title.ends_with('…'));
    }
}
