//! Creating contacts, up to five hundred in one call.
//! <https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/>

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::mailchimp::AudienceError;
use crate::mailchimp::Created;
use crate::mailchimp::NewContact;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::client::exchange::{Answer, Call, Exchange};
use crate::mailchimp::client::read;
use crate::mailchimp::client::write;
use crate::mailchimp::refusal;
use crate::mailchimp::refusal::Subject;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::transport::Method;
use crate::mailchimp::wire::member::{BulkAnswer, BulkError};
use crate::mailchimp::wire::reading::{Dictionary, Sighting};
use crate::mailchimp::wire::writing;
use crate::model::EmailAddress;

/// How many contacts one call may hold.
pub const MAX_NEW: usize = 500;

/// What an answer says about one address, before its tags are complete.
enum Mention {
    Seen(Sighting),
    Known(Created),
}

/// Creates contacts; one outcome for each, in the same order.
pub(crate) async fn create(
    exchange: &Exchange,
    schema: &AudienceSchema,
    new: &[NewContact],
) -> Result<Vec<Created>, AudienceError> {
    if new.len() > MAX_NEW {
        let said = format!("{} new contacts in one call, at most {MAX_NEW}", new.len());
        return Err(AudienceError::Protocol { said });
    }
    for contact in new {
        write::settable(contact.status)?;
    }
    let (members, mut outcomes) = bodies(schema, new);
    if members.is_empty() {
        return Ok(in_order(new, &mut outcomes));
    }
    let body = json!({"members": members, "update_existing": false, "sync_tags": false});
    let target = exchange.target(write::SKIP_VALIDATION);
    let answer = exchange.send(Call::write(Method::Post, Subject::Audience, target, &body)).await?;
    let dictionary = Dictionary::new(schema);
    for (address, mention) in mentions(&answer, &dictionary)? {
        let outcome = match mention {
            Mention::Known(outcome) => outcome,
            // The contact is there, whatever becomes of its further tags: unread, it is to be observed.
            Mention::Seen(seen) => match read::complete(exchange, &dictionary, seen).await {
                Ok(contact) => Created::Contact(Box::new(contact)),
                Err(_) => Created::Unmentioned,
            },
        };
        outcomes.entry(address).or_insert(outcome);
    }
    Ok(in_order(new, &mut outcomes))
}

/// What is sent, and the outcomes of those who cannot be.
fn bodies(schema: &AudienceSchema, new: &[NewContact]) -> (Vec<Value>, BTreeMap<String, Created>) {
    let mut members = Vec::with_capacity(new.len());
    let mut outcomes = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for contact in new {
        // Of two with one address the first is sent; the other then exists.
        if !seen.insert(contact.email.key()) {
            continue;
        }
        match writing::new_member(schema, contact) {
            Ok(body) => members.push(body),
            Err(unsayable) => {
                let refusal = write::refusal(RefusalClass::Schema, &unsayable.to_string());
                outcomes.insert(contact.email.key(), Created::Refused(refusal));
            }
        }
    }
    (members, outcomes)
}

fn mentions(answer: &Answer, dictionary: &Dictionary) -> Result<Vec<(String, Mention)>, AudienceError> {
    let BulkAnswer { new_members, updated_members, errors } = answer.json()?;
    let mut mentions = Vec::new();
    for row in new_members.iter().chain(&updated_members) {
        // An unreadable row is there all the same; unmentioned, it is observed.
        if let Ok(seen) = dictionary.read(row) {
            mentions.push((seen.contact.email.key(), Mention::Seen(seen)));
        }
    }
    for error in &errors {
        if let Ok(email) = EmailAddress::parse(&error.email_address) {
            mentions.push((email.key(), Mention::Known(refused(error))));
        }
    }
    Ok(mentions)
}

fn refused(error: &BulkError<'_>) -> Created {
    let refusal = refusal::sort_entry(&error.error, &error.field, &error.field_message);
    let exists = &*error.error_code == "ERROR_CONTACT_EXISTS" || refusal.class == RefusalClass::Exists;
    if exists { Created::Exists } else { Created::Refused(refusal) }
}

fn in_order(new: &[NewContact], outcomes: &mut BTreeMap<String, Created>) -> Vec<Created> {
    let mut given = BTreeSet::new();
    let mut outcome = |contact: &NewContact| {
        let key = contact.email.key();
        match outcomes.remove(&key) {
            Some(outcome) => {
                given.insert(key);
                outcome
            }
            None if given.contains(&key) => Created::Exists,
            None => Created::Unmentioned,
        }
    };
    new.iter().map(&mut outcome).collect()
}
