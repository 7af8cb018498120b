//! Writing to one existing contact.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::mailchimp::AudienceError;
use crate::mailchimp::ContactChanges;
use crate::mailchimp::Refusal;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::client::exchange::{Answer, Call, Exchange};
use crate::mailchimp::client::read;
use crate::mailchimp::refusal::Subject;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::transport::Method;
use crate::mailchimp::wire::writing;
use crate::mailchimp::wire::writing::Unsayable;
use crate::model::{Contact, SubscriptionStatus};
use crate::reconcile::consent::DecidedStatus;

/// An incomplete address of long ago would block every change.
/// <https://mailchimp.com/developer/marketing/api/list-members/update-list-member/>
pub(crate) const SKIP_VALIDATION: &str = "?skip_merge_validation=true";

/// Sets a status, and nothing else.
pub(crate) async fn set_status(
    exchange: &Exchange,
    schema: &AudienceSchema,
    contact: &Contact,
    status: DecidedStatus,
) -> Result<Contact, AudienceError> {
    patch(exchange, schema, contact, &json!({"status": settable(status)?})).await
}

/// Changes what is named; a change that names nothing only reads.
pub(crate) async fn change(
    exchange: &Exchange,
    schema: &AudienceSchema,
    contact: &Contact,
    changes: &ContactChanges,
) -> Result<Contact, AudienceError> {
    let body = writing::change(schema, changes).map_err(|unsayable| unsaid(&unsayable))?;
    if body.as_object().is_some_and(|body| !body.is_empty()) {
        return patch(exchange, schema, contact, &body).await;
    }
    let found = read::contact(exchange, schema, &contact.path_id).await?;
    found.ok_or_else(|| AudienceError::Refused(refusal(RefusalClass::Missing, "the contact is not there")))
}

/// Adds and removes named tags.
pub(crate) async fn tag(
    exchange: &Exchange,
    contact: &Contact,
    tags: &BTreeMap<String, bool>,
) -> Result<(), AudienceError> {
    if tags.is_empty() {
        return Ok(());
    }
    let target = exchange.member_target(&contact.path_id, "/tags");
    let call = Call::write(Method::Post, Subject::Contact, target, &writing::tags(tags));
    exchange.send(call).await?.done()
}

/// Archives a contact. Mailchimp answers 405 for one that is archived, bounced or pending: it is read, to tell which.
/// <https://mailchimp.com/developer/marketing/api/list-members/archive-list-member/>
pub(crate) async fn archive(exchange: &Exchange, contact: &Contact) -> Result<(), AudienceError> {
    let target = exchange.member_target(&contact.path_id, "");
    let call = Call::write(Method::Delete, Subject::Contact, target, &Value::Null);
    let refusal = match exchange.send(call).await {
        Err(AudienceError::Refused(refusal)) if refusal.status == 405 => refusal,
        answer => return answer?.done(),
    };
    let class = match status_of(exchange, contact).await? {
        Some(SubscriptionStatus::Archived) => return Ok(()),
        Some(SubscriptionStatus::Pending | SubscriptionStatus::Cleaned) => RefusalClass::Permanent,
        Some(
            SubscriptionStatus::Subscribed
            | SubscriptionStatus::Unsubscribed
            | SubscriptionStatus::Transactional,
        )
        | None => RefusalClass::Unknown,
    };
    Err(AudienceError::Refused(Refusal { class, ..refusal }))
}

/// Deletes a contact for good.
/// <https://mailchimp.com/developer/marketing/api/list-members/delete-list-member/>
pub(crate) async fn delete_permanently(exchange: &Exchange, contact: &Contact) -> Result<(), AudienceError> {
    let target = exchange.member_target(&contact.path_id, "/actions/delete-permanent");
    let call = Call::write(Method::Post, Subject::Contact, target, &Value::Null);
    exchange.send(call).await?.done()
}

/// The word for a status that may be sent.
///
/// Bounces are Mailchimp's to see, archiving is a call of its own, orders make people transactional.
pub(crate) fn settable(status: DecidedStatus) -> Result<&'static str, AudienceError> {
    let status = status.get();
    match status {
        SubscriptionStatus::Subscribed | SubscriptionStatus::Unsubscribed | SubscriptionStatus::Pending => {
            Ok(status.as_str())
        }
        SubscriptionStatus::Cleaned | SubscriptionStatus::Transactional | SubscriptionStatus::Archived => {
            Err(AudienceError::Protocol { said: format!("the status {status} cannot be set") })
        }
    }
}

/// A value that cannot be said: nothing was sent.
pub(crate) fn unsaid(unsayable: &Unsayable) -> AudienceError {
    match unsayable {
        Unsayable::Unknown(_) => {
            AudienceError::Refused(refusal(RefusalClass::Schema, &unsayable.to_string()))
        }
        Unsayable::IsTag(_) => AudienceError::Protocol { said: unsayable.to_string() },
    }
}

/// A refusal of our own, before anything was sent: its status is 0.
pub(crate) fn refusal(class: RefusalClass, said: &str) -> Refusal {
    Refusal { class, status: 0, title: "Not sent".to_owned(), said: said.to_owned() }
}

/// Whatever goes wrong after a write was answered leaves what it did unread: the contact is to be observed.
pub(crate) fn after_write(error: AudienceError) -> AudienceError {
    match error {
        AudienceError::Lost { .. } => error,
        AudienceError::Refused(_)
        | AudienceError::Busy { .. }
        | AudienceError::Fatal { .. }
        | AudienceError::Protocol { .. }
        | AudienceError::Unreadable { .. } => AudienceError::Lost { said: error.to_string() },
    }
}

async fn patch(
    exchange: &Exchange,
    schema: &AudienceSchema,
    contact: &Contact,
    body: &Value,
) -> Result<Contact, AudienceError> {
    let target = exchange.member_target(&contact.path_id, SKIP_VALIDATION);
    let answer = exchange.send(Call::write(Method::Patch, Subject::Contact, target, body)).await?;
    read::shown(exchange, schema, &answer).await.map_err(after_write)
}

/// The status as it stands; `None` where it is no word that we know.
async fn status_of(
    exchange: &Exchange,
    contact: &Contact,
) -> Result<Option<SubscriptionStatus>, AudienceError> {
    #[derive(Deserialize)]
    struct StatusAnswer {
        status: String,
    }
    let target = exchange.member_target(&contact.path_id, "?fields=status");
    let answer: Answer = exchange.send(Call::get(Subject::Contact, target)).await?;
    let StatusAnswer { status } = answer.json()?;
    Ok(SubscriptionStatus::parse(&status))
}
