//! What `check` and `provision` ask of Mailchimp beside members.
//!
//! Two traits, as with members: whoever holds only [`InspectAudience`] cannot create anything.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::mailchimp::AudienceError;
use crate::mailchimp::ReadAudience;
use crate::model::{FieldKind, MergeTag};

/// Looks at what surrounds the members.
#[async_trait]
pub trait InspectAudience: ReadAudience {
    /// Whether Mailchimp is there and the key is good (`GET /ping`).
    async fn ping(&self) -> Result<(), AudienceError>;

    /// Everything that the audience offers, mapped or not: merge fields, and categories with their interests.
    async fn offer(&self) -> Result<Offer, AudienceError>;

    /// The webhooks of the audience, whoever created them.
    async fn webhooks(&self) -> Result<Vec<Webhook>, AudienceError>;
}

/// Creates what the mapping names and the audience lacks. Nothing here changes or removes what is there but our webhook.
#[async_trait]
pub trait ProvisionAudience: InspectAudience {
    /// Creates an interest category; answers its id.
    async fn create_category(&self, title: &str, shape: CategoryShape) -> Result<String, AudienceError>;

    /// Creates an interest in the category with this id; answers the interest's id.
    async fn create_interest(&self, category_id: &str, name: &str) -> Result<String, AudienceError>;

    /// Creates a merge field that members see on their forms and need not fill; answers its `merge_id`.
    async fn create_merge_field(&self, new: &NewMergeField) -> Result<i64, AudienceError>;

    /// Creates a webhook for everything that people and staff do, not for what programs do: our own writes would
    /// come back. Mailchimp calls the URL at once, which must answer a GET with 200.
    ///
    /// A URL that has a webhook already is refused with [`Exists`](crate::mailchimp::RefusalClass::Exists).
    async fn create_webhook(&self, url: &str) -> Result<NewWebhook, AudienceError>;

    /// Has a webhook call for what [`create_webhook`](Self::create_webhook) has it call for.
    async fn mend_webhook(&self, id: &str) -> Result<(), AudienceError>;

    /// Removes a webhook; one that is not there is removed.
    async fn remove_webhook(&self, id: &str) -> Result<(), AudienceError>;
}

/// What an audience offers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// The merge fields by tag, each with the word for what it holds.
    pub merge_fields: BTreeMap<String, String>,
    /// The interest categories.
    pub categories: Vec<OfferedCategory>,
}

/// An interest category of the audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedCategory {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The names of its interests.
    pub interests: BTreeSet<String>,
}

/// How an interest category shows on forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CategoryShape {
    /// Any number can be chosen.
    Checkboxes,
    /// One can be chosen, from buttons.
    Radio,
    /// One can be chosen, from a list.
    Dropdown,
}

impl CategoryShape {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Checkboxes => "checkboxes",
            Self::Radio => "radio",
            Self::Dropdown => "dropdown",
        }
    }
}

/// A merge field to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMergeField {
    /// Its tag.
    pub tag: MergeTag,
    /// The label on forms.
    pub name: String,
    /// What it holds.
    pub kind: FieldKind,
    /// The choices of a radio or dropdown field; empty otherwise.
    pub choices: Vec<String>,
}

/// A webhook of the audience. `Debug` leaves the URL out: it holds a secret path.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: String,
    /// What it calls.
    pub url: String,
    /// What makes it call: `subscribe`, `unsubscribe`, `profile`, …
    pub events: BTreeSet<String>,
    /// Whose doing makes it call: `user`, `admin`, `api`.
    pub sources: BTreeSet<String>,
    /// Whether its calls are signed.
    pub is_signed: bool,
}

/// What makes a webhook of ours call: everything that concerns a member.
pub const WANTED_EVENTS: [&str; 5] = ["subscribe", "unsubscribe", "profile", "cleaned", "upemail"];
/// Whose doing makes it call: not that of programs, since our own writes would come back.
pub const WANTED_SOURCES: [&str; 2] = ["user", "admin"];

impl Webhook {
    /// Whether it calls for all that it should, and not for what programs do.
    pub fn is_as_wanted(&self) -> bool {
        WANTED_EVENTS.iter().all(|event| self.events.contains(*event))
            && self.sources == WANTED_SOURCES.map(str::to_owned).into()
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, url: _, events, sources, is_signed: _ } = self;
        f.debug_struct("Webhook")
            .field("id", id)
            .field("events", events)
            .field("sources", sources)
            .finish_non_exhaustive()
    }
}

/// A webhook just created.
#[derive(Debug)]
pub struct NewWebhook {
    /// The webhook.
    pub webhook: Webhook,
    /// What its calls are signed with. Mailchimp tells it this once, and not to every account.
    pub signing_secret: Option<SecretString>,
}
