//! The register's own words for where a person stands.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::model::SubscriptionStatus;
use crate::registrations::catalogue::{Case, Column, Kind};
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::report::MappingProblem;

/// The words for each status: the first is written, each is read, without regard to case. An empty one is NULL where the
/// column may hold it, and stands for an empty text, too.
///
/// Each status has words of its own: a register with one word for two would say after the write what nobody decided. It may
/// have none for `pending` and for `cleaned`, which then are never written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "Given")]
pub struct StatusWords {
    /// For `subscribed`.
    pub subscribed: Vec<Word>,
    /// For `unsubscribed`.
    pub unsubscribed: Vec<Word>,
    /// For `pending`.
    pub pending: Vec<Word>,
    /// For `cleaned`.
    pub cleaned: Vec<Word>,
}

/// A word for a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// A text, or a whole number as one.
    Text(String),
    /// Yes or no, however the column spells that.
    Flag(bool),
}

/// How yes is spelled where it says nothing else, and how no is. Not "nothing" for no: that is no word of anybody's.
const YES_AND_NO: [[&str; 6]; 2] =
    [["true", "t", "1", "yes", "y", "on"], ["false", "f", "0", "no", "n", "off"]];

/// What the configuration says.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default, deserialize_with = "words_or_flags")]
    subscribed: Option<Vec<Word>>,
    #[serde(default, deserialize_with = "words_or_flags")]
    unsubscribed: Option<Vec<Word>>,
    #[serde(default, deserialize_with = "words")]
    pending: Option<Vec<Word>>,
    #[serde(default, deserialize_with = "words")]
    cleaned: Option<Vec<Word>>,
}

impl From<Given> for StatusWords {
    /// A column of yes and no has no room for a third word, unless one is given.
    fn from(given: Given) -> Self {
        let own = |status: SubscriptionStatus| vec![Word::Text(status.as_str().to_owned())];
        let subscribed = given.subscribed.unwrap_or_else(|| own(SubscriptionStatus::Subscribed));
        let unsubscribed = given.unsubscribed.unwrap_or_else(|| own(SubscriptionStatus::Unsubscribed));
        let is_two_valued = subscribed.iter().chain(&unsubscribed).any(|word| matches!(word, Word::Flag(_)));
        let third = |status| if is_two_valued { Vec::new() } else { own(status) };
        Self {
            subscribed,
            unsubscribed,
            pending: given.pending.unwrap_or_else(|| third(SubscriptionStatus::Pending)),
            cleaned: given.cleaned.unwrap_or_else(|| third(SubscriptionStatus::Cleaned)),
        }
    }
}

impl Default for StatusWords {
    fn default() -> Self {
        Given { subscribed: None, unsubscribed: None, pending: None, cleaned: None }.into()
    }
}

impl Word {
    /// What stands for it in a cell, in lower case.
    fn spellings(&self) -> Vec<String> {
        match self {
            Self::Text(text) => vec![folded(text)],
            Self::Flag(yes) => YES_AND_NO[usize::from(!yes)].map(str::to_owned).into(),
        }
    }

    /// The word, for people.
    fn said(&self) -> String {
        match self {
            Self::Text(text) if text.is_empty() => "nothing".to_owned(),
            Self::Text(text) => text.clone(),
            Self::Flag(yes) => yes.to_string(),
        }
    }

    /// Whether it can be written into a column, as far as the column's type tells.
    fn fits(&self, column: &Column, dialect: Dialect) -> bool {
        let text = match self {
            Self::Text(text) if text.is_empty() && column.nullable => return true,
            Self::Text(text) => text,
            Self::Flag(_) => {
                let is_any = matches!(column.kind, Kind::Loose | Kind::Untyped | Kind::Text(_));
                return column.words.is_none()
                    && (is_any || matches!(column.kind, Kind::Flag | Kind::Integer));
            }
        };
        if let Some(words) = &column.words {
            let folds = column.kind == Kind::Text(Case::Folds);
            return words.iter().any(|own| own == text || folds && folded(own) == folded(text));
        }
        match column.kind {
            Kind::Loose | Kind::Untyped | Kind::Other => true,
            Kind::Text(_) => column.limit.is_none_or(|limit| text.chars().count() <= limit),
            Kind::Integer => text.trim().parse::<i64>().is_ok(),
            Kind::Flag if dialect == Dialect::Mysql => matches!(text.trim(), "0" | "1"),
            // As it is shown again.
            Kind::Flag => matches!(folded(text).as_str(), "true" | "false"),
            Kind::Time { .. } | Kind::Date | Kind::Binary | Kind::Uuid => false,
            Kind::Json | Kind::Array | Kind::Set => false,
        }
    }
}

impl StatusWords {
    fn all(&self) -> [(SubscriptionStatus, &[Word]); 4] {
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
            let may_lack = matches!(status, SubscriptionStatus::Pending | SubscriptionStatus::Cleaned);
            if words.is_empty() && !may_lack {
                let problem = format!("Rosterd needs a word to write for {status}");
                mistakes.push(MappingProblem::error(&key, problem));
            }
            for word in words.iter().flat_map(Word::spellings) {
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

    /// Words to be written that the column's type does not take.
    pub(super) fn misfits(&self, column: &Column, dialect: Dialect) -> Vec<MappingProblem> {
        let name = &column.name;
        let written = self.all().into_iter().filter_map(|(status, words)| Some((status, words.first()?)));
        written
            .filter(|(_, word)| !word.fits(column, dialect))
            .map(|(status, word)| {
                let advice = match (column.kind, &column.words, status) {
                    (Kind::Time { .. } | Kind::Date, _, _) => {
                        "it is a column of times; name it as unsubscribed_at instead of subscription"
                            .to_owned()
                    }
                    (_, Some(words), _) => format!("its type knows {} alone", words.join(", ")),
                    (Kind::Flag, None, SubscriptionStatus::Subscribed | SubscriptionStatus::Unsubscribed) => {
                        format!("it holds yes and no; write {status} = true, or false")
                    }
                    (_, None, SubscriptionStatus::Subscribed | SubscriptionStatus::Unsubscribed) => {
                        "give a word that its type takes".to_owned()
                    }
                    (_, None, _) => {
                        format!("give a word that its type takes, or {status} = [] where there is none")
                    }
                };
                let problem = format!("the column {name:?} cannot hold {:?}: {advice}", word.said());
                MappingProblem::error(&format!("registrations.statuses.{status}"), problem)
            })
            .collect()
    }

    /// The status that a cell holds; else what is wrong with it.
    pub(super) fn read(&self, column: &Column, cell: &Cell<'_>) -> Result<SubscriptionStatus, String> {
        let (name, text) = (&column.name, cell.text());
        let word = folded(&text);
        let is_said = |words: &[Word]| words.iter().any(|own| own.spellings().contains(&word));
        let found = self.all().into_iter().find(|(_, words)| is_said(words));
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

    /// The words that are read, for people.
    fn wanted(&self) -> String {
        let mut words: Vec<String> =
            self.all().into_iter().flat_map(|(_, words)| words.iter().map(Word::said)).collect();
        let last = words.pop().unwrap_or_default();
        format!("it must be {} or {last}", words.join(", "))
    }

    /// The word to write for a status; `None` where the register has none.
    pub(super) fn word(&self, status: SubscriptionStatus) -> Option<&Word> {
        self.all().into_iter().find(|(known, _)| *known == status)?.1.first()
    }
}

fn folded(word: &str) -> String {
    word.trim().to_lowercase()
}

/// One word or a list of them; whole numbers stand for themselves, `true` and `false` for however a column spells them.
fn words_or_flags<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Word>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Spelled {
        Text(String),
        Number(i64),
        Flag(bool),
    }
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(Spelled),
        Several(Vec<Spelled>),
    }
    let word = |spelled| match spelled {
        Spelled::Text(text) => Word::Text(text),
        Spelled::Number(number) => Word::Text(number.to_string()),
        Spelled::Flag(yes) => Word::Flag(yes),
    };
    match Given::deserialize(deserializer) {
        Ok(Given::One(one)) => Ok(Some(vec![word(one)])),
        Ok(Given::Several(several)) => Ok(Some(several.into_iter().map(word).collect())),
        Err(_) => Err(D::Error::custom(NO_WORD)),
    }
}

/// The same for a status that is neither yes nor no.
fn words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Word>>, D::Error> {
    let words = words_or_flags(deserializer)?;
    let is_flag = words.iter().flatten().any(|word| matches!(word, Word::Flag(_)));
    if is_flag { Err(D::Error::custom(NO_WORD)) } else { Ok(words) }
}

const NO_WORD: &str = "this is no word for a status; write \"yes\", 1, or a list of such";

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> StatusWords {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn a_status_without_own_words_keeps_its_name() {
        let words = words("subscribed = ['yes', 1]\nunsubscribed = ''");
        let text = |text: &str| Word::Text(text.to_owned());
        assert_eq!(words.subscribed, [text("yes"), text("1")]);
        assert_eq!(words.unsubscribed, [text("")]);
        assert_eq!(words.pending, [text("pending")]);
        assert_eq!(words.mistakes(), []);
    }

    #[test]
    fn a_word_stands_for_one_status() {
        for (text, keys) in [
            ("subscribed = 'Cleaned'", &["registrations.statuses.cleaned"][..]),
            ("pending = ['x', 'No ']\nunsubscribed = ['no']", &["registrations.statuses.pending"]),
            ("subscribed = []", &["registrations.statuses.subscribed"]),
            ("subscribed = true\nunsubscribed = [false, '']", &[]),
            ("subscribed = true\nunsubscribed = ['no', 1]", &["registrations.statuses.unsubscribed"]),
            ("subscribed = true\nunsubscribed = false\npending = 'f'", &["registrations.statuses.pending"]),
            ("cleaned = []", &[]),
            ("cleaned = ['dead', 'DEAD']", &[]),
        ] {
            let found: Vec<_> = words(text).mistakes().into_iter().map(|mistake| mistake.key).collect();
            assert_eq!(found, keys, "{text}");
        }
    }

    #[test]
    fn a_column_of_yes_and_no_has_no_room_for_a_third_word_unless_one_is_given() {
        let two = words("subscribed = false\nunsubscribed = true");
        assert_eq!((two.pending.len(), two.cleaned.len()), (0, 0));
        assert_eq!(two.word(SubscriptionStatus::Pending), None);
        assert_eq!(two.word(SubscriptionStatus::Subscribed), Some(&Word::Flag(false)));
        let three = words("subscribed = true\nunsubscribed = false\npending = 'asked'");
        assert_eq!(three.word(SubscriptionStatus::Pending), Some(&Word::Text("asked".to_owned())));
    }

    #[test]
    fn yes_and_no_are_read_where_they_are_certain() {
        use SubscriptionStatus::{Subscribed, Unsubscribed};
        // The column says who left: what says nothing is not taken for no.
        let (is_out, is_in) = (
            words("subscribed = false\nunsubscribed = true"),
            words("subscribed = true\nunsubscribed = false"),
        );
        let cases = [
            (Cell::Integer(1), Some((Unsubscribed, Subscribed))),
            (Cell::Integer(0), Some((Subscribed, Unsubscribed))),
            (Cell::owned("true"), Some((Unsubscribed, Subscribed))),
            (Cell::owned(" F "), Some((Subscribed, Unsubscribed))),
            (Cell::owned("No"), Some((Subscribed, Unsubscribed))),
            (Cell::Real(1.0), Some((Unsubscribed, Subscribed))),
            (Cell::Integer(2), None),
            (Cell::Integer(-1), None),
            (Cell::Null, None),
            (Cell::owned(""), None),
            (Cell::owned("x"), None),
            (Cell::owned("maybe"), None),
        ];
        let column = Column::of(Kind::Loose);
        for (cell, expected) in cases {
            let read = is_out.read(&column, &cell).ok().zip(is_in.read(&column, &cell).ok());
            assert_eq!(read, expected, "{cell:?}");
        }
    }

    /// What is wrong with words in a column, each by a part of its sentence.
    #[track_caller]
    fn misfits(dialect: Dialect, column: &Column, given: &str, expected: &[&str]) {
        let found: Vec<_> =
            words(given).misfits(column, dialect).into_iter().map(|found| found.problem).collect();
        let named = found.iter().zip(expected).all(|(found, part)| found.contains(part));
        assert!(named && found.len() == expected.len(), "{given:?} {found:?}");
    }

    #[test]
    fn a_word_that_the_type_does_not_take_is_named_with_a_way_out() {
        let text = |limit| Column { limit, ..Column::of(Kind::Text(Case::Matters)) };
        let known = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
        let standing = Column { words: known(&["subscribed", "unsubscribed"]), ..text(None) };
        let folding = Column { kind: Kind::Text(Case::Folds), words: known(&["JA", "NEIN"]), ..text(None) };
        let time = Column::of(Kind::Time { zone: crate::registrations::catalogue::Zone::Utc, digits: 0 });
        let two = "subscribed = 'ja'\nunsubscribed = 'nein'\npending = []\ncleaned = []";
        let postgres = |column: &Column, given, expected| misfits(Dialect::Postgres, column, given, expected);
        postgres(&text(None), "", &[]);
        postgres(&text(Some(10)), "", &["\"unsubscribed\": give a word that its type takes"]);
        let unknown = ["\"pending\": its type knows subscribed, unsubscribed alone", "\"cleaned\""];
        postgres(&standing, "", &unknown);
        misfits(Dialect::Mysql, &folding, two, &[]);
        postgres(&time, two, &["\"ja\": it is a column of times; name it as unsubscribed_at", "\"nein\""]);
    }

    #[test]
    fn a_column_of_yes_and_no_takes_those_alone() {
        let (flag, number) = (Column::of(Kind::Flag), Column::of(Kind::Integer));
        let (yes_and_no, rest) = ("subscribed = true\nunsubscribed = false", "\npending = []\ncleaned = []");
        misfits(Dialect::Postgres, &flag, yes_and_no, &[]);
        misfits(Dialect::Mysql, &number, yes_and_no, &[]);
        misfits(Dialect::Sqlite, &Column::of(Kind::Loose), yes_and_no, &[]);
        let spelled = format!("subscribed = 't'\nunsubscribed = 'False'{rest}");
        misfits(Dialect::Postgres, &flag, &spelled, &["\"t\""]);
        let spelled = format!("subscribed = 't'\nunsubscribed = 0{rest}");
        misfits(Dialect::Mysql, &flag, &spelled, &["\"t\""]);
        let spelled = "subscribed = 1\nunsubscribed = 0\npending = 2\ncleaned = 'x'";
        misfits(Dialect::Mysql, &number, spelled, &["\"x\""]);
        let all = [
            "\"subscribed\": it holds yes and no; write subscribed = true, or false",
            "\"unsubscribed\": it holds yes and no",
            "\"pending\": give a word that its type takes, or pending = [] where there is none",
            "\"cleaned\"",
        ];
        misfits(Dialect::Postgres, &flag, "", &all);
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
