//! E-mail addresses, parsed once, and the hash Mailchimp knows them by.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An address that has the form of one; spelled as it was given, compared without regard to case.
///
/// `Debug` shows the hash, so that an address cannot slip into a log.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

/// Why a text is no e-mail address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEmailAddress {
    /// Nothing but white space.
    #[error("the address is empty")]
    Empty,
    /// No `@`, or more than one.
    #[error("the address needs exactly one @")]
    AtSign,
    /// Nothing before the `@`, or more than 64 bytes (RFC 5321, 4.5.3.1.1).
    #[error("the part before the @ must have 1 to 64 characters")]
    LocalPart,
    /// The domain has no dot, an empty label or more than 255 bytes (RFC 5321, 4.5.3.1.2).
    #[error("the part after the @ is not a domain name")]
    Domain,
    /// White space, control characters, commas, quotes or brackets.
    #[error("the address holds a character that no address may have")]
    Character,
}

impl EmailAddress {
    /// Parses `text`, without the white space around it.
    pub fn parse(text: &str) -> Result<Self, InvalidEmailAddress> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidEmailAddress::Empty);
        }
        if text.chars().any(|c| c.is_whitespace() || c.is_control() || "<>()[],;:\\\"".contains(c)) {
            return Err(InvalidEmailAddress::Character);
        }
        let Some((local, domain)) = text.split_once('@') else {
            return Err(InvalidEmailAddress::AtSign);
        };
        if domain.contains('@') {
            return Err(InvalidEmailAddress::AtSign);
        }
        // Lower case can be longer, and the address in lower case is one, too.
        let length = |part: &str| part.len().max(part.to_lowercase().len());
        if local.is_empty() || length(local) > 64 {
            return Err(InvalidEmailAddress::LocalPart);
        }
        if length(domain) > 255 || !domain.contains('.') || domain.split('.').any(str::is_empty) {
            return Err(InvalidEmailAddress::Domain);
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as it was spelled.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address in lower case: equal for addresses that Mailchimp takes for one.
    pub fn key(&self) -> String {
        self.0.to_lowercase()
    }

    /// The subscriber hash of the address.
    pub fn hash(&self) -> SubscriberHash {
        SubscriberHash(format!("{:x}", md5::compute(self.key())))
    }

    /// Whether this is the stand-in that Mailchimp shows for a permanently deleted person.
    pub fn is_forgotten(&self) -> bool {
        self.key().ends_with("@forgotten.mailchimp.com")
    }
}

impl PartialEq for EmailAddress {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for EmailAddress {}

impl PartialOrd for EmailAddress {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for EmailAddress {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress({})", self.hash())
    }
}

impl fmt::Display for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = InvalidEmailAddress;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

/// MD5 of an address in lower case, 32 hex digits.
///
/// Mailchimp computes it the same way for all but some old members: in paths use the id it returned.
/// <https://mailchimp.com/developer/marketing/docs/methods-parameters/#path-parameters>
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubscriberHash(String);

impl SubscriberHash {
    /// Reads one: 32 hex digits in lower case.
    pub fn parse(text: &str) -> Option<Self> {
        let is_one =
            text.len() == 32 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        is_one.then(|| Self(text.to_owned()))
    }

    /// The 32 hex digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SubscriberHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_parsed_once() {
        let cases = [
            ("ada@alliance.test", Ok("ada@alliance.test")),
            ("  Ada.Byron@Alliance.Test \n", Ok("Ada.Byron@Alliance.Test")),
            ("ada+news@sub.alliance.test", Ok("ada+news@sub.alliance.test")),
            ("o'brien@alliance.test", Ok("o'brien@alliance.test")),
            ("", Err(InvalidEmailAddress::Empty)),
            (" \t", Err(InvalidEmailAddress::Empty)),
            ("ada", Err(InvalidEmailAddress::AtSign)),
            ("a@b@c.test", Err(InvalidEmailAddress::AtSign)),
            ("@alliance.test", Err(InvalidEmailAddress::LocalPart)),
            ("ada@localhost", Err(InvalidEmailAddress::Domain)),
            ("ada@alliance..test", Err(InvalidEmailAddress::Domain)),
            ("ada@.test", Err(InvalidEmailAddress::Domain)),
            ("ada byron@alliance.test", Err(InvalidEmailAddress::Character)),
            ("Ada <ada@alliance.test>", Err(InvalidEmailAddress::Character)),
        ];
        for (text, expected) in cases {
            let parsed = EmailAddress::parse(text);
            assert_eq!(parsed.as_ref().map(EmailAddress::as_str).map_err(|e| *e), expected, "{text:?}");
        }
    }

    #[test]
    fn an_address_that_grows_beyond_the_limit_in_lower_case_is_none() {
        let grows = |times| format!("{}@alliance.test", "İ".repeat(times));
        assert_eq!(EmailAddress::parse(&grows(32)), Err(InvalidEmailAddress::LocalPart));
        assert!(EmailAddress::parse(&grows(21)).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn an_address_in_lower_case_is_the_same_address(text in "[a-zİȺΣẞ.]{1,70}@[a-zİȺΣ]{1,130}\\.[a-zİȺ]{1,10}") {
            if let Ok(address) = EmailAddress::parse(&text) {
                let stored = EmailAddress::parse(&address.key()).unwrap();
                proptest::prop_assert_eq!(stored.hash(), address.hash());
            }
        }
    }

    #[test]
    fn the_hash_is_that_of_the_address_in_lower_case() {
        let address = EmailAddress::parse("Urist.McVankab@Freddiesjokes.com").unwrap();
        assert_eq!(
            address.hash().as_str(),
            format!("{:x}", md5::compute("urist.mcvankab@freddiesjokes.com"))
        );
    }

    #[test]
    fn debug_never_shows_the_address() {
        let address = EmailAddress::parse("ada@alliance.test").unwrap();
        assert!(!format!("{address:?}").contains('@'));
    }

    #[test]
    fn forgotten_people_are_recognised() {
        assert!(EmailAddress::parse("0a1b@Forgotten.Mailchimp.com").unwrap().is_forgotten());
        assert!(!EmailAddress::parse("ada@alliance.test").unwrap().is_forgotten());
    }
}
