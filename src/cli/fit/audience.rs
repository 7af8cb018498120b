//! The audience as `check` and `provision` see it: everything it offers, and what of it the mapping names.

use std::path::Path;

use crate::clock::Clock;
use crate::mailchimp::AudienceError;
use crate::mailchimp::provision::{InspectAudience, Offer, Webhook};
use crate::mailchimp::schema::AudienceSchema;
use crate::state::{State, StateError};

/// What surrounds the members of an audience.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Audience {
    /// Everything it offers, mapped or not.
    pub(in crate::cli) offer: Offer,
    /// What of it the mapping names; what was renamed is followed.
    pub(in crate::cli) schema: AudienceSchema,
    /// Its webhooks, whoever created them.
    pub(in crate::cli) webhooks: Vec<Webhook>,
}

/// Reads the audience; `known` is its schema as remembered.
pub(in crate::cli) async fn audience(
    client: &dyn InspectAudience,
    known: Option<&AudienceSchema>,
) -> Result<Audience, AudienceError> {
    // One after the other: the second tells no more where the first is refused.
    let schema = client.schema(known).await?;
    let offer = client.offer().await?;
    let webhooks = client.webhooks().await?;
    Ok(Audience { offer, schema, webhooks })
}

/// A private copy of the state, where there is one: looking must leave no trace beside a running daemon.
pub(in crate::cli) async fn remembered(path: &Path) -> Result<Option<State>, StateError> {
    if path.exists() { State::copy_for_plan(path, &Clock::System).await.map(Some) } else { Ok(None) }
}
