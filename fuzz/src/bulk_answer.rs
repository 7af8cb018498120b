//! Answers to what is asked for many at once: creations, and tags by their segment. The bytes: the answer to a creation,
//! zero, the tags of whoever has more, zero, the search for a tag, zero, its creation, zero, who was tagged.

use std::collections::BTreeSet;

use rosterd::mailchimp::refusal::chain;
use rosterd::mailchimp::transport::Method;
use rosterd::mailchimp::{AudienceError, Created, NewContact, WriteAudience};
use rosterd::model::EmailAddress;
use serde_json::json;

use super::stage;

/// One outcome for each that was asked for, of nobody else; what cannot be read may have been done.
pub fn check(bytes: &[u8]) {
    let [created, more, found, made, tagged] = stage::parts(bytes);
    let client = stage::client(move |request| {
        let is_read = request.method == Method::Get;
        let body = match request.target.as_str() {
            target if target.contains("/tag-search") => &found,
            target if target.contains("/tags?") && is_read => &more,
            target if target.ends_with("/segments") => &made,
            target if target.contains("/segments/") => &tagged,
            _ => &created,
        };
        stage::json(200, body)
    });
    let addresses = ["ada@alliance.test", "ben@alliance.test", "Ada@alliance.test"].map(email);
    let new: Vec<NewContact> = addresses.iter().cloned().map(person).collect();
    match stage::watched(client.create(&stage::schema(), &new)) {
        Ok(outcomes) => {
            assert_eq!(outcomes.len(), new.len());
            outcomes.iter().zip(&new).for_each(|(outcome, new)| of_one(outcome, new));
        }
        Err(error) => unknown(&error),
    }
    let (add, remove) = addresses.split_at(2);
    match stage::watched(client.tag_many("WG: Finance", add, remove)) {
        Ok(unknown) => assert!(unknown.iter().all(|key| *key == email(key).key())),
        // Nobody was tagged where the tag itself was not found.
        Err(error @ (AudienceError::Unreadable { .. } | AudienceError::Busy { .. })) => {
            stage::harmless(&chain(&error));
        }
        Err(error) => unknown(&error),
    }
}

fn of_one(outcome: &Created, new: &NewContact) {
    match outcome {
        Created::Contact(contact) => assert_eq!(contact.email, new.email, "somebody else's contact"),
        Created::Refused(refusal) => {
            stage::nameless(&refusal.title);
            stage::nameless(&refusal.said);
        }
        Created::Exists | Created::Unmentioned => {}
    }
}

fn unknown(error: &AudienceError) {
    assert!(matches!(error, AudienceError::Lost { .. }), "a write that was answered is {error}");
    stage::harmless(&chain(error));
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).expect("an address is one")
}

fn person(email: EmailAddress) -> NewContact {
    let status = serde_json::from_value(json!("subscribed")).unwrap();
    let (values, tags) = (Default::default(), BTreeSet::new());
    NewContact { email, status, values, tags, signup_ip: None, signup_at: None }
}
