//! The webhook that calls us, as the configuration names it.

use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use crate::clock::Clock;
use crate::config::WebConfig;
use crate::mailchimp::provision::Webhook;
use crate::state::signing_secrets;

/// What Mailchimp is to call.
#[derive(Clone, Debug)]
pub(in crate::cli) struct WebhookPlace {
    /// The URL, whose path is a secret.
    pub(in crate::cli) url: SecretString,
    /// The URL without its secret.
    pub(in crate::cli) shown: String,
    /// What every webhook of ours begins with.
    start: String,
}

/// The webhook that the configuration asks for; `None` where it asks for none.
pub(in crate::cli) fn webhook_place(web: Option<&WebConfig>) -> Option<WebhookPlace> {
    let web = web?;
    let (public_url, secret) = (web.public_url.as_ref()?, web.webhook_path_secret.as_ref()?);
    let start = format!("{public_url}/webhook/");
    let url = SecretString::from(format!("{start}{}", secret.expose_secret()));
    Some(WebhookPlace { url, shown: format!("{start}…"), start })
}

/// What is to be done so that Mailchimp calls us, and nobody else by mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum WebhookStep {
    /// There is none.
    Create,
    /// It does not call for all that it should, or for what programs do.
    Mend {
        /// Its id.
        id: String,
    },
    /// It signs with a secret that is not known here; Mailchimp tells one only of a new webhook.
    Replace {
        /// Its id.
        id: String,
    },
    /// It calls us under another secret, which is refused.
    Remove {
        /// Its id.
        id: String,
    },
}

/// Whether what Mailchimp signs with is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum SigningSecret {
    /// The configuration names it, or it was kept.
    Known,
    /// Nobody told it, or it was lost.
    Unknown,
}

impl WebhookPlace {
    /// What is to be done, in this order.
    pub(in crate::cli) fn steps(&self, webhooks: &[Webhook], secret: SigningSecret) -> Vec<WebhookStep> {
        let mut steps = Vec::new();
        match webhooks.iter().find(|webhook| webhook.url == self.url.expose_secret()) {
            None => steps.push(WebhookStep::Create),
            Some(Webhook { id, is_signed: true, .. }) if secret == SigningSecret::Unknown => {
                steps.push(WebhookStep::Replace { id: id.clone() });
            }
            Some(webhook) if !webhook.is_as_wanted() => {
                steps.push(WebhookStep::Mend { id: webhook.id.clone() });
            }
            Some(_) => (),
        }
        let is_outdated = |webhook: &&Webhook| {
            webhook.url.starts_with(&self.start) && webhook.url != self.url.expose_secret()
        };
        let outdated = webhooks.iter().filter(is_outdated);
        steps.extend(outdated.map(|webhook| WebhookStep::Remove { id: webhook.id.clone() }));
        steps
    }
}

/// Whether what Mailchimp signs with is known to whoever keeps the state at `state`; what cannot be read may be.
pub(in crate::cli) fn signing_secret(web: Option<&WebConfig>, state: &Path) -> SigningSecret {
    let configured = web.and_then(|web| web.webhook_signing_secret.as_ref());
    let known = signing_secrets(state, configured, Clock::System.now());
    if known.map_or(true, |known| !known.is_empty()) { SigningSecret::Known } else { SigningSecret::Unknown }
}
