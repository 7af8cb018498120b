//! From the API key to the base URL.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};

use crate::mailchimp::http;

/// Why there is no base URL. Never shows the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableAddress {
    /// The key does not end in a data centre.
    #[error("the API key does not end in its data centre, like -us21: copy it whole, or set base_url")]
    NoDataCentre,
    /// The base URL is no URL of the web.
    #[error("base_url must be a URL like https://us21.api.mailchimp.com/3.0")]
    Url,
    /// The base URL holds a name, a password, a query or a fragment.
    #[error("base_url must hold nothing but host, port and path")]
    Ornaments,
    /// The key would travel in the clear.
    #[error("base_url must begin with https, but for this machine's own addresses")]
    Clear,
}

/// The base URL of the API: the configured one, else that of the key's data centre, without a slash at its end.
///
/// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-structure>
pub fn base_url(api_key: &SecretString, configured: Option<&str>) -> Result<String, UnusableAddress> {
    match configured {
        Some(url) => checked(url.trim()),
        None => {
            let centre = data_centre(api_key.expose_secret().trim()).ok_or(UnusableAddress::NoDataCentre)?;
            Ok(format!("https://{centre}.api.mailchimp.com/3.0"))
        }
    }
}

/// What follows the last hyphen, where it is letters and then digits: it becomes part of a host's name.
fn data_centre(key: &str) -> Option<&str> {
    let (rest, centre) = key.rsplit_once('-')?;
    let digits = centre.trim_start_matches(|c: char| c.is_ascii_lowercase());
    let has_letters = digits.len() < centre.len();
    let has_digits = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    (!rest.is_empty() && has_letters && has_digits && centre.len() <= 8).then_some(centre)
}

fn checked(text: &str) -> Result<String, UnusableAddress> {
    let url = Url::parse(text).map_err(|_| UnusableAddress::Url)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err(UnusableAddress::Url);
    }
    let ornaments =
        [Some(url.username()).filter(|name| !name.is_empty()), url.password(), url.query(), url.fragment()];
    if ornaments.iter().any(Option::is_some) {
        return Err(UnusableAddress::Ornaments);
    }
    if url.scheme() == "http" && !http::is_loopback(text) {
        return Err(UnusableAddress::Clear);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_url_comes_from_the_key_or_the_configuration() {
        let key = "0123456789abcdef0123456789abcdef-us21";
        let cases = [
            (key, None, Ok("https://us21.api.mailchimp.com/3.0")),
            ("key-us7\n", None, Ok("https://us7.api.mailchimp.com/3.0")),
            ("a-b-us7", None, Ok("https://us7.api.mailchimp.com/3.0")),
            ("0123456789abcdef", None, Err(UnusableAddress::NoDataCentre)),
            ("key-", None, Err(UnusableAddress::NoDataCentre)),
            ("key-us", None, Err(UnusableAddress::NoDataCentre)),
            ("key-21", None, Err(UnusableAddress::NoDataCentre)),
            ("-us21", None, Err(UnusableAddress::NoDataCentre)),
            ("key-us1.evil.test/x", None, Err(UnusableAddress::NoDataCentre)),
            ("", None, Err(UnusableAddress::NoDataCentre)),
            (key, Some("http://127.0.0.1:9001/3.0/"), Ok("http://127.0.0.1:9001/3.0")),
            ("any", Some("http://[::1]:9001/3.0"), Ok("http://[::1]:9001/3.0")),
            ("any", Some("http://localhost:9001/3.0"), Ok("http://localhost:9001/3.0")),
            (key, Some("https://api.mailchimp.com/3.0"), Ok("https://api.mailchimp.com/3.0")),
            (key, Some("http://api.mailchimp.com/3.0"), Err(UnusableAddress::Clear)),
            (key, Some("https://me:secret@api.mailchimp.com/3.0"), Err(UnusableAddress::Ornaments)),
            (key, Some("https://api.mailchimp.com/3.0?a=b"), Err(UnusableAddress::Ornaments)),
            (key, Some("ftp://api.mailchimp.com"), Err(UnusableAddress::Url)),
            (key, Some("us21"), Err(UnusableAddress::Url)),
        ];
        for (key, configured, expected) in cases {
            let found = base_url(&SecretString::from(key), configured);
            assert_eq!(found.as_deref().map_err(Clone::clone), expected, "{key} {configured:?}");
        }
    }
}
