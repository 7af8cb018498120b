//! The client: one audience over any transport, with authentication, a limit of connections and a back-off.

mod create;
pub(crate) mod exchange;
mod key;
mod provision;
pub(crate) mod read;
#[cfg(test)]
pub(crate) mod scripted;
mod tags;
pub(crate) mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;

use crate::clock::Clock;
use crate::mailchimp::AudienceError;
use crate::mailchimp::ContactChanges;
use crate::mailchimp::Created;
use crate::mailchimp::NewContact;
use crate::mailchimp::Page;
use crate::mailchimp::PageRequest;
use crate::mailchimp::ReadAudience;
use crate::mailchimp::WriteAudience;
use crate::mailchimp::batch;
use crate::mailchimp::batch::archive::Extent;
use crate::mailchimp::batch::{BatchAnswer, BatchNow, BatchedChange};
use crate::mailchimp::client::exchange::Exchange;
use crate::mailchimp::retry::RetryOptions;
use crate::mailchimp::schema::AudienceMapping;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::transport::Transport;
use crate::model::{Contact, ContactId, EmailAddress};
use crate::reconcile::consent::DecidedStatus;

pub use crate::mailchimp::client::create::MAX_NEW;
pub use crate::mailchimp::client::key::{UnusableAddress, base_url};

/// Mailchimp allows ten simultaneous connections a user, other programs included.
/// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>
pub const MAX_CONNECTIONS: usize = 10;

/// What the client needs to know.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// The API key; white space around it is cut off.
    pub api_key: SecretString,
    /// The audience's id.
    pub audience: String,
    /// How many requests are made at a time, 1 to [`MAX_CONNECTIONS`].
    pub connections: usize,
    /// How patiently busy answers are met.
    pub retry: RetryOptions,
}

/// Options that make no client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnusableOptions {
    /// No API key.
    #[error("the API key is empty")]
    NoKey,
    /// White space or control characters within the key.
    #[error("the API key holds a character that no key has")]
    Key,
    /// The audience's id is empty or no word.
    #[error("the audience's id must be letters and digits, as in the audience's settings in Mailchimp")]
    Audience,
    /// Too few or too many connections.
    #[error("connections must be 1 to 10")]
    Connections,
}

/// One Mailchimp audience. Clones share the limit of connections, the back-off and the count of requests.
#[derive(Clone)]
pub struct MailchimpClient {
    mapping: Arc<AudienceMapping>,
    exchange: Arc<Exchange>,
}

impl MailchimpClient {
    /// A client that speaks over `transport`.
    pub fn new(
        options: ClientOptions,
        mapping: AudienceMapping,
        clock: Clock,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, UnusableOptions> {
        let exchange = Exchange::new(options, clock, transport)?;
        Ok(Self { mapping: Arc::new(mapping), exchange: Arc::new(exchange) })
    }
}

impl fmt::Debug for MailchimpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailchimpClient").field("exchange", &self.exchange).finish_non_exhaustive()
    }
}

#[async_trait]
impl ReadAudience for MailchimpClient {
    async fn schema(&self, known: Option<&AudienceSchema>) -> Result<AudienceSchema, AudienceError> {
        read::schema(&self.exchange, &self.mapping, known).await
    }

    async fn page(&self, schema: &AudienceSchema, request: &PageRequest) -> Result<Page, AudienceError> {
        read::page(&self.exchange, schema, request).await
    }

    async fn contact(
        &self,
        schema: &AudienceSchema,
        id: &ContactId,
    ) -> Result<Option<Contact>, AudienceError> {
        read::contact(&self.exchange, schema, id.as_str()).await
    }

    async fn contact_by_email(
        &self,
        schema: &AudienceSchema,
        email: &EmailAddress,
    ) -> Result<Option<Contact>, AudienceError> {
        read::contact_by_email(&self.exchange, schema, email).await
    }

    fn mapping(&self) -> &AudienceMapping {
        &self.mapping
    }

    async fn batch(&self, handle: &str) -> Result<BatchNow, AudienceError> {
        batch::look(&self.exchange, handle).await
    }

    async fn batch_results(
        &self,
        schema: &AudienceSchema,
        url: &str,
    ) -> Result<(Vec<BatchAnswer>, Extent), AudienceError> {
        batch::results(&self.exchange, schema, url).await
    }

    fn requests(&self) -> u64 {
        self.exchange.requests()
    }
}

#[async_trait]
impl WriteAudience for MailchimpClient {
    async fn set_status(
        &self,
        schema: &AudienceSchema,
        contact: &Contact,
        status: DecidedStatus,
    ) -> Result<Contact, AudienceError> {
        write::set_status(&self.exchange, schema, contact, status).await
    }

    async fn change(
        &self,
        schema: &AudienceSchema,
        contact: &Contact,
        changes: &ContactChanges,
    ) -> Result<Contact, AudienceError> {
        write::change(&self.exchange, schema, contact, changes).await
    }

    async fn tag(&self, contact: &Contact, tags: &BTreeMap<String, bool>) -> Result<(), AudienceError> {
        write::tag(&self.exchange, contact, tags).await
    }

    async fn tag_many(
        &self,
        tag: &str,
        add: &[EmailAddress],
        remove: &[EmailAddress],
    ) -> Result<BTreeSet<String>, AudienceError> {
        tags::tag_many(&self.exchange, tag, add, remove).await
    }

    async fn submit_batch(&self, changes: &[(i64, BatchedChange)]) -> Result<String, AudienceError> {
        batch::submit(&self.exchange, changes).await
    }

    async fn cancel_batch(&self, handle: &str) -> Result<(), AudienceError> {
        batch::cancel(&self.exchange, handle).await
    }

    async fn create(
        &self,
        schema: &AudienceSchema,
        new: &[NewContact],
    ) -> Result<Vec<Created>, AudienceError> {
        create::create(&self.exchange, schema, new).await
    }

    async fn archive(&self, contact: &Contact) -> Result<(), AudienceError> {
        write::archive(&self.exchange, contact).await
    }

    async fn delete_permanently(&self, contact: &Contact) -> Result<(), AudienceError> {
        write::delete_permanently(&self.exchange, contact).await
    }
}

#[cfg(test)]
mod tests;
