//! `[web]`: the HTTP interface, which is off where the section is absent.

use std::net::SocketAddr;

use secrecy::{ExposeSecret, SecretString};

use crate::config::mistake::Mistake;
use crate::config::secrets;
use crate::config::section::Section;
use crate::config::values;
use crate::config::web_address;

/// Only this machine can reach it: a proxy in front of it ends TLS.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 8420);

/// The HTTP interface.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What the world calls us, without a slash at the end; Mailchimp calls `{public_url}/webhook/{path secret}`.
    pub public_url: Option<String>,
    /// The secret part of the webhook's path; there is no webhook without it.
    pub webhook_path_secret: Option<SecretString>,
    /// What Mailchimp signs its calls with; what `provision` was told and kept beside the state counts, too.
    pub webhook_signing_secret: Option<SecretString>,
    /// Opens the whole API; the API is off without it.
    pub api_token: Option<SecretString>,
    /// Opens `POST /api/v1/events` only.
    pub events_token: Option<SecretString>,
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> WebConfig {
    let listen = section.read("listen", |value| {
        let text = values::text(value)?;
        text.parse().map_err(|_| Mistake::Listen(text))
    });
    let public_url = section.read("public_url", |value| web_address::parse(&values::text(value)?));
    let api_token = secrets::token(section, "api_token");
    let events_token = secrets::token(section, "events_token");
    let webhook_path_secret = secrets::token(section, "webhook_path_secret");
    let given = [("api_token", &api_token), ("events_token", &events_token)];
    for (name, secret) in given.into_iter().chain([("webhook_path_secret", &webhook_path_secret)]) {
        let twin = given
            .into_iter()
            .find(|(other, twin)| *other < name && are_equal(secret.as_ref(), twin.as_ref()));
        if let Some((other, _)) = twin {
            section.problem(&secrets::given_key(section, name), &Mistake::SecretShared { other });
        }
    }
    WebConfig {
        listen: listen.unwrap_or(LISTEN),
        public_url,
        webhook_path_secret,
        webhook_signing_secret: secrets::optional(section, "webhook_signing_secret"),
        api_token,
        events_token,
    }
}

fn are_equal(a: Option<&SecretString>, b: Option<&SecretString>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.expose_secret() == b.expose_secret())
}
