//! The webhook that calls us, as the configuration names it.

use secrecy::{ExposeSecret, SecretString};

use crate::config::WebConfig;
use crate::mailchimp::provision::Webhook;

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

impl WebhookPlace {
    /// Whether one of the audience's webhooks calls it.
    pub(in crate::cli) fn is_called_by(&self, webhooks: &[Webhook]) -> bool {
        webhooks.iter().any(|webhook| webhook.url == self.url.expose_secret())
    }

    /// How many of the audience's webhooks call us under another secret.
    pub(in crate::cli) fn outdated(&self, webhooks: &[Webhook]) -> usize {
        let is_ours = |webhook: &&Webhook| {
            webhook.url.starts_with(&self.start) && webhook.url != self.url.expose_secret()
        };
        webhooks.iter().filter(is_ours).count()
    }
}
