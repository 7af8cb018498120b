//! Cells: values as a store gave them, and the lenient reading of texts and booleans.

use std::borrow::Cow;

/// One value as a store gave it, or as it is given to a store.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    /// Nothing.
    Null,
    /// A whole number.
    Integer(i64),
    /// A number.
    Real(f64),
    /// A text.
    Text(Cow<'a, str>),
}

impl Cell<'_> {
    /// A text that lives on its own.
    pub(super) fn owned(text: impl Into<String>) -> Cell<'static> {
        Cell::Text(Cow::Owned(text.into()))
    }

    /// The value as a text, whatever its type; empty for nothing.
    pub(super) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Null => Cow::Borrowed(""),
            Self::Integer(number) => Cow::Owned(number.to_string()),
            Self::Real(number) => Cow::Owned(number.to_string()),
            Self::Text(text) => Cow::Borrowed(text),
        }
    }

    /// The text, or `None` where there is nothing but white space.
    pub(super) fn said(&self) -> Option<String> {
        let text = self.text();
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether the value says yes; `None` where it says neither yes nor no.
    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Self::Null => Some(false),
            Self::Integer(number) => Some(*number != 0),
            Self::Real(number) => Some(*number != 0.0),
            Self::Text(text) => {
                let text = text.trim();
                let is = |word: &str| text.eq_ignore_ascii_case(word);
                if text.is_empty() || FLAG_WORDS.iter().any(|(_, no)| is(no)) {
                    Some(false)
                } else {
                    FLAG_WORDS.iter().any(|(yes, _)| is(yes)).then_some(true)
                }
            }
        }
    }
}

/// The words that registers write for yes and no.
const FLAG_WORDS: [(&str, &str); 7] =
    [("1", "0"), ("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("on", "off"), ("x", "-")];

/// What to write for yes or no into a column that holds `sample` elsewhere: in its words, else 1 or 0.
pub(super) fn flag_like(sample: &Cell<'_>, yes: FlagWord) -> Cell<'static> {
    let number = Cell::Integer(i64::from(yes == FlagWord::Yes));
    let Cell::Text(sample) = sample else { return number };
    let sample = sample.trim();
    let pair = FLAG_WORDS
        .iter()
        .find(|(yes, no)| yes.eq_ignore_ascii_case(sample) || no.eq_ignore_ascii_case(sample));
    let Some((yes_word, no_word)) = pair else { return number };
    let word = if yes == FlagWord::Yes { yes_word } else { no_word };
    let is_upper = sample.chars().next().is_some_and(char::is_uppercase);
    let is_all_upper = is_upper && sample.chars().all(char::is_uppercase);
    match (is_all_upper, is_upper) {
        (true, _) => Cell::owned(word.to_uppercase()),
        (false, true) => Cell::owned(format!("{}{}", word[..1].to_uppercase(), &word[1..])),
        (false, false) => Cell::owned(*word),
    }
}

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FlagWord {
    /// Yes.
    Yes,
    /// No.
    No,
}

impl From<bool> for FlagWord {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_read_in_the_words_of_registers() {
        let cases = [
            (Cell::Null, Some(false)),
            (Cell::Integer(0), Some(false)),
            (Cell::Integer(2), Some(true)),
            (Cell::Real(0.0), Some(false)),
            (Cell::owned(""), Some(false)),
            (Cell::owned(" TRUE "), Some(true)),
            (Cell::owned("off"), Some(false)),
            (Cell::owned("1"), Some(true)),
            (Cell::owned("maybe"), None),
        ];
        for (cell, expected) in cases {
            assert_eq!(cell.flag(), expected, "{cell:?}");
        }
    }

    #[test]
    fn booleans_are_written_in_the_words_of_the_column() {
        let cases = [
            (Cell::Null, Cell::Integer(1), Cell::Integer(0)),
            (Cell::Integer(0), Cell::Integer(1), Cell::Integer(0)),
            (Cell::owned("f"), Cell::owned("t"), Cell::owned("f")),
            (Cell::owned("No"), Cell::owned("Yes"), Cell::owned("No")),
            (Cell::owned("YES"), Cell::owned("YES"), Cell::owned("NO")),
            (Cell::owned("1"), Cell::owned("1"), Cell::owned("0")),
            (Cell::owned("maybe"), Cell::Integer(1), Cell::Integer(0)),
        ];
        for (sample, yes, no) in cases {
            assert_eq!(flag_like(&sample, FlagWord::Yes), yes, "{sample:?}");
            assert_eq!(flag_like(&sample, FlagWord::No), no, "{sample:?}");
        }
    }
}
