//! The remote side: one Mailchimp audience, Marketing API 3.0.
//!
//! Two traits, so that a dry run is one by type: whoever holds only [`ReadAudience`] cannot write.

pub mod batch;
pub mod client;
pub mod http;
mod matching;
pub mod meter;
pub mod provision;
pub mod refusal;
pub mod retry;
pub mod schema;
pub mod transport;
pub mod webhook;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::mailchimp::batch::archive::Extent;
use crate::mailchimp::batch::{BatchAnswer, BatchNow, BatchedChange};
use crate::mailchimp::schema::{AudienceMapping, AudienceSchema};
use crate::model::{Contact, ContactId, EmailAddress, Key, Value};
use crate::reconcile::consent::DecidedStatus;

/// Which members a walk shows: an unfiltered listing leaves the archived ones out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Everybody but the archived.
    Living,
    /// The archived (`status=archived`).
    Archived,
}

/// In which order a listing comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By `last_changed`, oldest first: for incremental walks.
    LastChanged,
    /// By `timestamp_opt`, oldest first: edits do not disturb it, for full walks.
    OptIn,
}

/// A page to ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The living or the archived.
    pub shelf: Shelf,
    /// The order.
    pub order: Order,
    /// Only members whose `last_changed` is after this.
    pub since: Option<Timestamp>,
    /// How many to leave out at the beginning.
    pub offset: usize,
    /// How many at most; Mailchimp caps it at 1000.
    pub count: usize,
}

/// A page as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The contacts of the page, but for those that cannot be read and `@forgotten.mailchimp.com`.
    pub contacts: Vec<Contact>,
    /// The keys of contacts that are there and cannot be read: without an address, with an unknown status.
    pub unreadable: Vec<ContactId>,
    /// The keys of all rows, in their order: by these one page is told from its neighbour.
    pub rows: Vec<ContactId>,
    /// How many members match, whatever the paging.
    pub total: usize,
    /// The server's clock when it answered.
    pub date: Option<Timestamp>,
}

/// What to change on an existing contact: never a status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactChanges {
    /// Another address.
    pub email: Option<EmailAddress>,
    /// Merge fields and category interests, only those named.
    pub values: BTreeMap<Key, Value>,
}

/// A contact to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    /// Its address.
    pub email: EmailAddress,
    /// Its status.
    pub status: DecidedStatus,
    /// Its values, those that say something; interests of tag dimensions among them.
    pub values: BTreeMap<Key, Value>,
    /// Further tags: those of its working groups.
    pub tags: BTreeSet<String>,
    /// Proof of consent: the network address of the sign-up.
    pub signup_ip: Option<String>,
    /// Proof of consent: the time of the sign-up.
    pub signup_at: Option<Timestamp>,
}

/// What came of one creation in a bulk call.
#[derive(Debug)]
pub enum Created {
    /// It was created, with the status asked for or another: compare.
    Contact(Box<Contact>),
    /// It was there already: nothing was changed.
    Exists,
    /// It was refused.
    Refused(Refusal),
    /// The answer does not mention it: its fate is unknown, observe it.
    Unmentioned,
}

/// A refusal of Mailchimp's that concerns one member, sorted by what is done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What is done about it.
    pub class: RefusalClass,
    /// The HTTP status; 0 where we did not even send it, 200 for an entry of a bulk answer.
    pub status: u16,
    /// Mailchimp's own title.
    pub title: String,
    /// Mailchimp's own words, field messages included, with addresses replaced by `<address>`.
    pub said: String,
}

/// What is done about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalClass {
    /// Parks the member until either side changes or staff retry.
    Permanent,
    /// Permanent, and only for the status asked: the person must come back by themselves (`Member In Compliance State`).
    Compliance,
    /// The address was permanently deleted: only a form of Mailchimp's brings it back.
    Forgotten,
    /// The contact is not there (404): observe it.
    Missing,
    /// Another record bears the address.
    Exists,
    /// Retries the member hours later (signed up to many lists).
    Later,
    /// The audience's own schema is not what we think (unknown interest, field invalid for its type): read it afresh.
    Schema,
    /// Nobody knows the text: loud, retried at growing distances.
    Unknown,
}

/// What goes wrong with the audience, by what is done about it.
#[derive(Debug, thiserror::Error)]
pub enum AudienceError {
    /// This request was refused; others may well go through.
    #[error("Mailchimp refused: {} ({}): {}", .0.title, .0.status, .0.said)]
    Refused(Refusal),
    /// The whole client must back off: 429, bare 403, 5xx, HTML, no connection.
    #[error("Mailchimp is busy or out of reach: {said}")]
    Busy {
        /// What it looked like.
        said: String,
    },
    /// A write whose effect is unknown (time-out, cut connection, 5xx): observe before anything else.
    #[error("Mailchimp's answer to a write was lost: {said}")]
    Lost {
        /// What it looked like.
        said: String,
    },
    /// No cycle can work: key invalid, account disabled, audience gone.
    #[error("Mailchimp does not let us in: {said}")]
    Fatal {
        /// What it said, and what to do.
        said: String,
    },
    /// Our request is at fault, for every member alike (405, 414, 422, 426): the cycle stops.
    #[error("Mailchimp did not understand a request: {said}")]
    Protocol {
        /// What it said.
        said: String,
    },
    /// The answer is not what the API describes.
    #[error("Mailchimp's answer cannot be read: {said}")]
    Unreadable {
        /// Where and why.
        said: String,
    },
}

impl AudienceError {
    /// Whether only what was asked for is at fault, so that others may well go through.
    pub fn concerns_one(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Unreadable { .. } => true,
            Self::Busy { .. } | Self::Lost { .. } | Self::Fatal { .. } | Self::Protocol { .. } => false,
        }
    }

    /// Whether the configuration is at fault: a key or an audience that Mailchimp does not know.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Fatal { .. } | Self::Protocol { .. } => true,
            Self::Refused(_) | Self::Busy { .. } | Self::Lost { .. } | Self::Unreadable { .. } => false,
        }
    }

    /// Whether trying the same again is useless until something changes on either side.
    pub fn is_permanent(&self) -> bool {
        matches!(
            self,
            Self::Refused(Refusal {
                class: RefusalClass::Permanent | RefusalClass::Compliance | RefusalClass::Forgotten,
                ..
            })
        )
    }
}

/// Reads the remote side.
#[async_trait]
pub trait ReadAudience: Send + Sync + std::fmt::Debug {
    /// The audience's own schema, matched with the mapping; `known` is the one remembered, so that renames are followed.
    async fn schema(&self, known: Option<&AudienceSchema>) -> Result<AudienceSchema, AudienceError>;

    /// One page of members, in local names.
    async fn page(&self, schema: &AudienceSchema, request: &PageRequest) -> Result<Page, AudienceError>;

    /// The contact with this key; `None` where Mailchimp says that it is not there.
    async fn contact(
        &self,
        schema: &AudienceSchema,
        id: &ContactId,
    ) -> Result<Option<Contact>, AudienceError>;

    /// The contact with this address; `None` where Mailchimp says that it is not there.
    async fn contact_by_email(
        &self,
        schema: &AudienceSchema,
        email: &EmailAddress,
    ) -> Result<Option<Contact>, AudienceError>;

    /// What of the audience is mapped: a schema that was matched with another mapping is none.
    fn mapping(&self) -> &AudienceMapping;

    /// How a batch stands that was submitted under this id.
    async fn batch(&self, handle: &str) -> Result<BatchNow, AudienceError>;

    /// Reads the results of a finished batch: the answers, and how far they could be read.
    async fn batch_results(
        &self,
        schema: &AudienceSchema,
        url: &str,
    ) -> Result<(Vec<BatchAnswer>, Extent), AudienceError>;

    /// How many requests were sent since the client was made.
    fn requests(&self) -> u64;
}

/// Writes the remote side.
#[async_trait]
pub trait WriteAudience: ReadAudience {
    /// Sets the status of an existing contact, alone. The answer shows the contact.
    async fn set_status(
        &self,
        schema: &AudienceSchema,
        contact: &Contact,
        status: DecidedStatus,
    ) -> Result<Contact, AudienceError>;

    /// Changes what is named of an existing contact, with `skip_merge_validation=true`, never a status.
    async fn change(
        &self,
        schema: &AudienceSchema,
        contact: &Contact,
        changes: &ContactChanges,
    ) -> Result<Contact, AudienceError>;

    /// Adds (`true`) and removes (`false`) the named tags, with `is_syncing`.
    async fn tag(&self, contact: &Contact, tags: &BTreeMap<String, bool>) -> Result<(), AudienceError>;

    /// Gives a tag to up to 500 and takes it from up to 500, without `is_syncing`: that call does not know it. Says which
    /// addresses, in lower case, Mailchimp does not know.
    async fn tag_many(
        &self,
        tag: &str,
        add: &[EmailAddress],
        remove: &[EmailAddress],
    ) -> Result<BTreeSet<String>, AudienceError>;

    /// Has Mailchimp make changes later, each told apart by its number; gives Mailchimp's id of the batch.
    async fn submit_batch(&self, changes: &[(i64, BatchedChange)]) -> Result<String, AudienceError>;

    /// Stops a batch: what it has not yet carried out never is.
    async fn cancel_batch(&self, handle: &str) -> Result<(), AudienceError>;

    /// Creates up to 500 contacts in one call with `update_existing: false`; one outcome for each, in the same order.
    async fn create(
        &self,
        schema: &AudienceSchema,
        new: &[NewContact],
    ) -> Result<Vec<Created>, AudienceError>;

    /// Archives a contact; also done where it was archived already.
    async fn archive(&self, contact: &Contact) -> Result<(), AudienceError>;

    /// Deletes a contact for good: erasure on request only.
    async fn delete_permanently(&self, contact: &Contact) -> Result<(), AudienceError>;
}
