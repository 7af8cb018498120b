//! Web addresses in the configuration: encrypted, unless they stay on this machine.

use reqwest::Url;

use crate::config::mistake::Mistake;

/// Parses an address to which paths are added; without the slash at its end.
pub(crate) fn parse(text: &str) -> Result<String, Mistake> {
    let url = Url::parse(text).map_err(|_| Mistake::Url(text.to_owned()))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(Mistake::Url(text.to_owned()));
    }
    if url.password().is_some()
        || !url.username().is_empty()
        || url.query().is_some()
        || url.fragment().is_some()
    {
        return Err(Mistake::UrlExtras);
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(Mistake::NotHttps);
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_encrypted_unless_they_stay_here() {
        let cases = [
            ("https://us6.api.mailchimp.com/3.0/", Ok("https://us6.api.mailchimp.com/3.0")),
            ("http://127.0.0.1:9001/3.0", Ok("http://127.0.0.1:9001/3.0")),
            ("http://[::1]:9001", Ok("http://[::1]:9001")),
            ("http://localhost:9001", Ok("http://localhost:9001")),
            ("http://members.alliance.test", Err(Mistake::NotHttps)),
            ("http://127.0.0.1.alliance.test", Err(Mistake::NotHttps)),
            ("https://u:p@alliance.test", Err(Mistake::UrlExtras)),
            ("https://alliance.test?a=b", Err(Mistake::UrlExtras)),
            ("ftp://alliance.test", Err(Mistake::Url("ftp://alliance.test".into()))),
            ("alliance.test", Err(Mistake::Url("alliance.test".into()))),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text), expected.map(str::to_owned), "{text}");
        }
    }
}
