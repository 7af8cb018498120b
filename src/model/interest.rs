//! Interests: what members say they want to hear about.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of interest (`topic`, `region`, `sector`): an interest category or a tag prefix in Mailchimp.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Dimension(String);

impl Dimension {
    /// The dimension of this name, without the white space around it.
    pub fn new(name: &str) -> Self {
        Self(name.trim().to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Dimension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One interest of a dimension, by the name the local side uses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Interest {
    /// The dimension it belongs to.
    pub dimension: Dimension,
    /// Its name.
    pub name: String,
}

/// The interests somebody has.
pub type InterestSet = BTreeSet<Interest>;

impl Interest {
    /// The interest `name` of `dimension`, without the white space around either.
    pub fn new(dimension: &str, name: &str) -> Self {
        Self { dimension: Dimension::new(dimension), name: name.trim().to_owned() }
    }

    /// Reads `dimension:name`, the form of working-group rules; `None` where the colon or a side is missing.
    pub fn parse(text: &str) -> Option<Self> {
        let (dimension, name) = text.split_once(':')?;
        let interest = Self::new(dimension, name);
        (!interest.dimension.as_str().is_empty() && !interest.name.is_empty()).then_some(interest)
    }
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.dimension, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interest_is_written_with_its_dimension() {
        let interest = Interest::parse("topic: Intergovernmental Finance: Basics").unwrap();
        assert_eq!(interest, Interest::new("topic", "Intergovernmental Finance: Basics"));
        assert_eq!(interest.to_string(), "topic:Intergovernmental Finance: Basics");
        assert_eq!(Interest::parse("topic"), None);
        assert_eq!(Interest::parse("topic: "), None);
    }
}
