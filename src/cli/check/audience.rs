//! What `check` finds on the way to the audience: the key, the address, the audience's id.

use std::time::Duration;

use crate::cli::check::finding::Finding;
use crate::cli::fit::{Audience, audience};
use crate::cli::mapped::Mapped;
use crate::cli::wiring::client;
use crate::config::MailchimpConfig;
use crate::mailchimp::AudienceError;
use crate::mailchimp::meter::Meter;
use crate::mailchimp::provision::InspectAudience;
use crate::mailchimp::retry::RetryOptions;
use crate::mailchimp::schema::AudienceSchema;

/// Somebody waits for the answer: a hiccup is forgiven, an outage is told.
const PATIENCE: RetryOptions = RetryOptions {
    initial_interval: Duration::from_millis(500),
    max_interval: Duration::from_secs(2),
    budget: Duration::from_secs(3),
    jitter: 0.5,
};

/// Reads the audience; `known` is its schema as remembered.
pub(super) async fn look(
    config: &MailchimpConfig,
    mapped: &Mapped<'_>,
    known: Option<&AudienceSchema>,
) -> Result<Audience, Finding> {
    let client = client(config, mapped.audience(), PATIENCE, &Meter::default())
        .map_err(|fault| Finding::error("[mailchimp]", format!("{:#}", fault.error())))?;
    client.ping().await.map_err(|error| not_let_in(config, &error))?;
    audience(&client, known).await.map_err(|error| not_read(config, &error))
}

/// The first request fails: the key or the way is wrong.
fn not_let_in(config: &MailchimpConfig, error: &AudienceError) -> Finding {
    match error {
        AudienceError::Fatal { said } => {
            let problem = format!(
                "Mailchimp refuses the key at {}: {said}; copy the key whole, with the data centre at its end, from \
                 Account, Extras, API keys",
                config.base_url
            );
            Finding::error("[mailchimp] api_key", problem)
        }
        other => not_reached(config, other),
    }
}

/// The key is good, the audience cannot be read.
fn not_read(config: &MailchimpConfig, error: &AudienceError) -> Finding {
    match error {
        AudienceError::Fatal { said } => {
            let problem = format!(
                "Mailchimp does not show this audience: {said}; its id stands in Audience, Settings, Audience name and \
                 defaults"
            );
            Finding::error(format!("[mailchimp] audience {:?}", config.audience), problem)
        }
        other => not_reached(config, other),
    }
}

fn not_reached(config: &MailchimpConfig, error: &AudienceError) -> Finding {
    let base_url = &config.base_url;
    match error {
        AudienceError::Busy { said } | AudienceError::Lost { said } => {
            let problem = format!(
                "{base_url} does not answer: {said}; check the network and the data centre in the address, then again"
            );
            Finding::unreached("[mailchimp] base_url", problem)
        }
        AudienceError::Refused(_)
        | AudienceError::Fatal { .. }
        | AudienceError::Protocol { .. }
        | AudienceError::Unreadable { .. } => {
            let problem = format!("{base_url} does not answer like Mailchimp's API: {error}");
            Finding::error("[mailchimp] base_url", problem)
        }
    }
}
