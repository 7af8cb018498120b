//! How the configuration, the register and the audience fit together: what `check` tells and `provision` mends.

mod audience;
mod events;
mod lacking;
mod likeness;
mod rows;
mod values;
mod webhook;

pub(super) use audience::{Audience, audience, remembered};
pub(super) use events::{Arrivals, arrivals};
pub(super) use lacking::{Lacking, lacking};
pub(super) use likeness::did_you_mean;
pub(super) use rows::{Rows, rows};
pub(super) use webhook::{SigningSecret, WebhookPlace, WebhookStep, signing_secret, webhook_place};

/// Mailchimp allows so many interests over all categories of an audience; the next one is refused with
/// "Cannot have more than 60 interests per list (Across all categories)".
pub(super) const MAX_INTERESTS: usize = 60;

/// Mailchimp cuts the tag of a new merge field here.
/// <https://mailchimp.com/developer/marketing/docs/merge-fields/>
pub(super) const MAX_MERGE_TAG: usize = 10;

/// Mailchimp's limit for the name of a tag, in characters. <https://mailchimp.com/help/getting-started-tags/>
pub(super) const MAX_TAG: usize = 100;
