//! The values that travel between the sides, each under its key.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Dimension, Interest, MergeTag};

/// What a value is the value of. Ordered: fields, then choices, then interests.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// A merge field; its value is a text, empty where nothing is said.
    Field(MergeTag),
    /// A dimension of which at most one interest can be chosen; its value is the name, empty for none.
    Choice(Dimension),
    /// An interest of a dimension of which any number can be chosen; its value is yes or no.
    Interest(Interest),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(tag) => write!(f, "{tag}"),
            Self::Choice(dimension) => write!(f, "{dimension}"),
            Self::Interest(interest) => write!(f, "{interest}"),
        }
    }
}

/// A value as one side shows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Yes or no.
    Flag(bool),
    /// A text; empty means nothing is said.
    Text(String),
}

impl Value {
    /// A text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// Whether the value says nothing: an empty text, or no.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Flag(yes) => !yes,
            Self::Text(text) => text.trim().is_empty(),
        }
    }

    /// The text of a text value; empty for a flag.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Flag(_) => "",
            Self::Text(text) => text,
        }
    }

    /// Whether the value is a flag that says yes.
    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Flag(true))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(true) => f.write_str("yes"),
            Self::Flag(false) => f.write_str("no"),
            Self::Text(text) if text.is_empty() => f.write_str("(empty)"),
            Self::Text(text) => write!(f, "\"{text}\""),
        }
    }
}

/// What a value was and what it becomes on one side.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Change {
    /// What the side shows now.
    pub before: Value,
    /// What is written.
    pub after: Value,
}
