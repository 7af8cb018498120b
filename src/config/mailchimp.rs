//! `[mailchimp]`: the key, the audience, and how hard we may knock.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use crate::config::mistake::Mistake;
use crate::config::secrets;
use crate::config::section::Section;
use crate::config::values;
use crate::config::web_address;

/// How many requests at a time, where the file does not say: some are left for the account's other integrations.
const CONNECTIONS: u64 = 6;
/// Mailchimp allows ten connections a user and raises that for nobody.
/// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>
const MOST_CONNECTIONS: u64 = 10;
/// Mailchimp ends a call after 120 s itself; a little more, so that its answer is the one we hear.
/// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>
const REQUEST_TIMEOUT: Duration = Duration::from_secs(125);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The audience and how it is reached.
#[derive(Clone, Debug)]
pub struct MailchimpConfig {
    /// The API key.
    pub api_key: SecretString,
    /// The audience's id ("list id").
    pub audience: String,
    /// Where the API is, without a slash at the end: `https://us6.api.mailchimp.com/3.0`.
    pub base_url: String,
    /// How many requests may be under way at a time, 1 to 10.
    pub connections: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a request may take in all.
    pub request_timeout: Duration,
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> Option<MailchimpConfig> {
    let second = Duration::from_secs(1);
    let api_key = secrets::required(section, "api_key");
    let audience = section.require("audience", |value| {
        let id = values::text(value)?;
        if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) { Ok(id) } else { Err(Mistake::Audience) }
    });
    let base_url = read_base_url(section, api_key.as_ref());
    let connections =
        section.read("connections", |value| values::count(value, 1, MOST_CONNECTIONS)).unwrap_or(CONNECTIONS);
    let connect_timeout = section.read("connect_timeout", |value| values::duration(value, second));
    let request_timeout = section.read("request_timeout", |value| values::duration(value, second));
    Some(MailchimpConfig {
        api_key: api_key?,
        audience: audience?,
        base_url: base_url?,
        connections: usize::try_from(connections).ok()?,
        connect_timeout: connect_timeout.unwrap_or(CONNECT_TIMEOUT),
        request_timeout: request_timeout.unwrap_or(REQUEST_TIMEOUT),
    })
}

/// The address given, else the one that the key names.
fn read_base_url(section: &mut Section<'_>, api_key: Option<&SecretString>) -> Option<String> {
    let given = section.read("base_url", |value| web_address::parse(&values::text(value)?));
    if section.has("base_url") {
        return given;
    }
    let derived = from_key_suffix(api_key?.expose_secret());
    if derived.is_none() {
        section.problem(&secrets::given_key(section, "api_key"), &Mistake::NoDataCentre);
    }
    derived
}

/// The data centre stands behind the key's hyphen.
/// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-structure>
fn from_key_suffix(api_key: &str) -> Option<String> {
    let (key, centre) = api_key.rsplit_once('-')?;
    let (letters, digits) = centre.split_at(centre.find(|c: char| c.is_ascii_digit())?);
    let plain = !key.is_empty()
        && !letters.is_empty()
        && letters.bytes().all(|byte| byte.is_ascii_lowercase())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| format!("https://{centre}.api.mailchimp.com/3.0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_names_its_data_centre_and_nothing_else() {
        let cases = [
            ("0123abcd-us6", Some("https://us6.api.mailchimp.com/3.0")),
            ("0123abcd-us21", Some("https://us21.api.mailchimp.com/3.0")),
            ("0123abcd", None),
            ("-us6", None),
            ("0123abcd-us", None),
            ("0123abcd-6", None),
            ("0123abcd-us6.evil.test/", None),
        ];
        for (key, expected) in cases {
            assert_eq!(from_key_suffix(key).as_deref(), expected, "{key}");
        }
    }
}
