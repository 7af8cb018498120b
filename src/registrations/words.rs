//! The register's own words for where a person stands.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::model::SubscriptionStatus;
use crate::registrations::catalogue::Column;
use crate::registrations::cell::Cell;
use crate::registrations::report::MappingProblem;

/// The words for each status: the first is written, each is read, without regard to case. An empty one is NULL where the
/// column may hold it, and stands for an empty text, too.
///
/// Each status has words of its own: a register with one word for two would say after the write what nobody decided.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StatusWords {
    /// For `subscribed`.
    #[serde(deserialize_with = "words")]
    pub subscribed: Vec<String>,
    /// For `unsubscribed`.
    #[serde(deserialize_with = "words")]
    pub unsubscribed: Vec<String>,
    /// For `pending`.
    #[serde(deserialize_with = "words")]
    pub pending: Vec<String>,
    /// For `cleaned`.
    #[serde(deserialize_with = "words")]
    pub cleaned: Vec<String>,
}

impl Default for StatusWords {
    fn default() -> Self {
        let own = |status: SubscriptionStatus| vec![status.as_str().to_owned()];
        Self {
            subscribed: own(SubscriptionStatus::Subscribed),
            unsubscribed: own(SubscriptionStatus::Unsubscribed),
            pending: own(SubscriptionStatus::Pending),
            cleaned: own(SubscriptionStatus::Cleaned),
        }
    }
}

impl StatusWords {
    fn all(&self) -> [(SubscriptionStatus, &[String]); 4] {
        [
            (SubscriptionStatus::Subscribed, &self.subscribed),
            (SubscriptionStatus::Unsubscribed, &self.unsubscribed),
            (SubscriptionStatus::Pending, &self.pending),
            (SubscriptionStatus::Cleaned, &self.cleaned),
        ]
    }

    /// What is wrong with them by themselves.
    pub(super) fn mistakes(&self) -> Vec<MappingProblem> {
        let mut mistakes = Vec::new();
        let mut taken: Vec<(String, SubscriptionStatus)> = Vec::new();
        for (status, words) in self.all() {
            let key = format!("registrations.statuses.{status}");
            if words.is_empty() {
                let problem = format!("Rosterd needs a word to write for {status}");
                mistakes.push(MappingProblem::error(&key, problem));
            }
            for word in words.iter().map(|word| folded(word)) {
                match taken.iter().find(|(other, _)| *other == word) {
                    Some((_, other)) if *other != status => {
                        let problem = format!("the word {word:?} stands for {other} already");
                        mistakes.push(MappingProblem::error(&key, problem));
                    }
                    _ => taken.push((word, status)),
                }
            }
        }
        mistakes
    }

    /// The status that a cell holds; else what is wrong with it.
    pub(super) fn read(&self, column: &Column, cell: &Cell<'_>) -> Result<SubscriptionStatus, String> {
        let (name, text) = (&column.name, cell.text());
        let word = folded(&text);
        let found = self.all().into_iter().find(|(_, words)| words.iter().any(|own| folded(own) == word));
        found.map(|(status, _)| status).ok_or_else(|| {
            let wanted = self.wanted();
            // Another column mapped by mistake could hold anything, addresses included.
            let is_a_word = word.chars().count() <= 30
                && word.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '_' | '-'));
            match (word.is_empty(), is_a_word) {
                (true, _) => format!("the column {name:?} holds no status; {wanted}"),
                (false, true) => format!("the column {name:?} holds {:?}; {wanted}", text.trim()),
                (false, false) => format!("the column {name:?} holds something else than a status; {wanted}"),
            }
        })
    }

    /// The words that are written, for people.
    fn wanted(&self) -> String {
        let said = |word: &str| if word.is_empty() { "nothing".to_owned() } else { word.to_owned() };
        let mut words: Vec<String> =
            self.all().into_iter().flat_map(|(_, words)| words.iter().map(|word| said(word))).collect();
        let last = words.pop().unwrap_or_default();
        format!("it must be {} or {last}", words.join(", "))
    }

    /// What to write for a status.
    pub(super) fn cell(&self, column: &Column, status: SubscriptionStatus) -> Cell<'static> {
        let own = self.all().into_iter().find(|(known, _)| *known == status);
        match own.and_then(|(_, words)| words.first()) {
            Some(word) if word.is_empty() && column.nullable => Cell::Null,
            Some(word) => Cell::owned(word.as_str()),
            // Of `transactional` and `archived` nothing is ever decided for a row.
            None => Cell::owned(status.as_str()),
        }
    }
}

fn folded(word: &str) -> String {
    word.trim().to_lowercase()
}

/// One word or a list of them; whole numbers stand for themselves.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Word {
        Text(String),
        Number(i64),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(Word),
        Several(Vec<Word>),
    }
    let spelled = |word| match word {
        Word::Text(text) => text,
        Word::Number(number) => number.to_string(),
    };
    match Given::deserialize(deserializer) {
        Ok(Given::One(word)) => Ok(vec![spelled(word)]),
        Ok(Given::Several(words)) => Ok(words.into_iter().map(spelled).collect()),
        Err(_) => Err(D::Error::custom("this is no word for a status; write \"yes\", 1, or a list of such")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> StatusWords {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_status_without_own_words_keeps_its_name() {
        let words = words("subscribed = ['yes', 1]\nunsubscribed = ''");
        assert_eq!(words.subscribed, ["yes", "1"]);
        assert_eq!(words.unsubscribed, [""]);
        assert_eq!(words.pending, ["pending"]);
        assert_eq!(words.mistakes(), []);
    }

    #[test]
    fn a_word_stands_for_one_status() {
        for (text, keys) in [
            ("subscribed = 'Cleaned'", &["registrations.statuses.cleaned"][..]),
            ("pending = ['x', 'No ']\nunsubscribed = ['no']", &["registrations.statuses.pending"]),
            ("cleaned = []", &["registrations.statuses.cleaned"]),
            ("cleaned = ['dead', 'DEAD']", &[]),
        ] {
            let found: Vec<_> = words(text).mistakes().into_iter().map(|mistake| mistake.key).collect();
            assert_eq!(found, keys, "{text}");
        }
    }

    #[test]
    fn what_is_no_word_is_refused_with_a_way_out() {
        for text in ["pending = true", "pending = ['x', ['y']]", "pending = 1.5"] {
            let refused = toml::from_str::<StatusWords>(text).unwrap_err().to_string();
            assert!(refused.contains("write \"yes\", 1, or a list of such"), "{refused}");
        }
        assert!(toml::from_str::<StatusWords>("archived = 'x'").is_err());
    }
}
