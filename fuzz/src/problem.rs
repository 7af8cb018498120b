//! Answers that are no success, and those that only say so. The bytes: two of the status, one of what was asked, one of
//! the content's type, then the body.

use std::collections::BTreeMap;

use rosterd::mailchimp::client::MailchimpClient;
use rosterd::mailchimp::refusal::{Problem, chain, sort_entry, without_addresses};
use rosterd::mailchimp::transport::Response;
use rosterd::mailchimp::{AudienceError, ContactChanges, ReadAudience, WriteAudience};
use rosterd::model::{Contact, ContactId, EmailAddress, Key, MergeTag, SubscriptionStatus, Value};
use serde::de::IgnoredAny;

use super::stage;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Contact,
    Batch,
    Change,
    Archive,
    Tag,
    Delete,
    Cancel,
}

const ASKED: [Asked; 7] =
    [Asked::Contact, Asked::Batch, Asked::Change, Asked::Archive, Asked::Tag, Asked::Delete, Asked::Cancel];

/// What became of it, as the caller sees it.
#[derive(Debug)]
enum Told {
    Shown,
    Absent,
    Done,
}

/// Every answer is sorted into one class, garbage never into a success, and nothing that is said of it does harm.
pub fn check(bytes: &[u8]) {
    let [low, high, asked, kind, body @ ..] = bytes else { return };
    let asked = ASKED[usize::from(*asked) % ASKED.len()];
    // Beyond these no client of HTTP gives an answer at all.
    let status = 200 + u16::from_le_bytes([*low, *high]) % 400;
    let types =
        ["application/problem+json; charset=utf-8", "application/json", "text/html", "text/plain", ""];
    let response = stage::response(status, types[usize::from(*kind) % types.len()], body);
    of_an_answer(asked, &response);
    of_words(body);
}

fn of_an_answer(asked: Asked, response: &Response) {
    let answer = response.clone();
    let client = stage::client(move |_| answer.clone());
    let told = stage::watched(ask(&client, asked));
    let (status, problem) = (response.status, Problem::read(&response.body));
    let is_success = (200..300).contains(&status);
    let is_json = serde_json::from_slice::<IgnoredAny>(&response.body).is_ok();
    match told {
        Ok(Told::Shown) => {
            assert!(is_success, "{status} is no success");
            assert!(is_json && response.body.trim_ascii_start().starts_with(b"{"), "nothing is shown");
        }
        Ok(Told::Absent) => {
            let is_forgotten = is_success && is_json;
            let said_so = (400..500).contains(&status) && problem.is_some();
            assert!(said_so || is_forgotten, "an absence is concluded from {status}");
        }
        Ok(Told::Done) => {
            let is_blank = response.body.trim_ascii().is_empty();
            let said_so = asked == Asked::Cancel && (400..500).contains(&status) && problem.is_some();
            assert!((is_success && (is_blank || is_json)) || said_so, "{status} with garbage is done");
        }
        Err(error) => {
            stage::harmless(&chain(&error));
            of_a_fault(asked, response, problem.as_ref(), &error);
        }
    }
}

async fn ask(client: &MailchimpClient, asked: Asked) -> Result<Told, AudienceError> {
    let (schema, contact) = (stage::schema(), somebody());
    match asked {
        Asked::Contact => {
            let found = client.contact(&schema, &contact.contact_id).await?;
            Ok(if found.is_some() { Told::Shown } else { Told::Absent })
        }
        Asked::Batch => client.batch("b1").await.map(|now| match now {
            rosterd::mailchimp::batch::BatchNow::Expired => Told::Absent,
            _ => Told::Shown,
        }),
        Asked::Change => {
            let tag = MergeTag::parse("TEXT").unwrap();
            let values = BTreeMap::from([(Key::Field(tag), Value::text("Ada"))]);
            let changes = ContactChanges { email: None, values };
            client.change(&schema, &contact, &changes).await.map(|_| Told::Shown)
        }
        Asked::Archive => client.archive(&contact).await.map(|()| Told::Done),
        Asked::Tag => {
            let tags = BTreeMap::from([("WG: Finance".to_owned(), true)]);
            client.tag(&contact, &tags).await.map(|()| Told::Done)
        }
        Asked::Delete => client.delete_permanently(&contact).await.map(|()| Told::Done),
        Asked::Cancel => client.cancel_batch("b1").await.map(|()| Told::Done),
    }
}

/// The class of what went wrong, as far as the status alone decides it.
fn of_a_fault(asked: Asked, response: &Response, problem: Option<&Problem>, error: &AudienceError) {
    let writes = !matches!(asked, Asked::Contact | Asked::Batch);
    let is_lost = matches!(error, AudienceError::Lost { .. });
    let is_busy = matches!(error, AudienceError::Busy { .. });
    let is_fatal = matches!(error, AudienceError::Fatal { .. });
    let is_unreadable = matches!(error, AudienceError::Unreadable { .. });
    assert!(!writes || !is_unreadable, "the effect of a write is unknown, not unreadable");
    assert!(writes || !is_lost, "a read has no effect");
    match response.status {
        200..=299 if writes => assert!(is_lost, "{asked:?} was answered: {error}"),
        200..=299 => assert!(is_busy || is_unreadable, "{asked:?} was answered: {error}"),
        401 | 402 => assert!(is_fatal, "{error}"),
        403 => assert!(if problem.is_some() { is_fatal } else { is_busy }, "{error}"),
        429 => assert!(is_busy, "{error}"),
        408 | 500..=599 => assert!(is_fatal || if writes { is_lost } else { is_busy }, "{error}"),
        // What was refused was not done; only a page of the web hides who answered.
        _ => assert!(!is_unreadable && (!is_busy || !writes), "{asked:?} {}: {error}", response.status),
    }
}

/// Mailchimp's words: kept without addresses and not without end, in a form that stays.
fn of_words(body: &[u8]) {
    if let Some(problem) = Problem::read(body) {
        stage::nameless(&problem.title);
        assert!(!problem.said().contains('@') && problem.said().len() < 1024);
    }
    let text = String::from_utf8_lossy(body);
    let cleaned = without_addresses(&text);
    assert!(!cleaned.contains('@'), "{cleaned}");
    assert_eq!(without_addresses(&cleaned), cleaned);
    let [error, field, message] = stage::parts(body).map(|part| String::from_utf8_lossy(&part).into_owned());
    let refusal = sort_entry(&error, &field, &message);
    stage::nameless(&refusal.title);
    assert!(!refusal.said.contains('@') && refusal.said.len() < 1024);
}

fn somebody() -> Contact {
    Contact {
        contact_id: ContactId::new("c1"),
        path_id: "d41d8cd98f00b204e9800998ecf8427e".to_owned(),
        email: EmailAddress::parse("ada@alliance.test").unwrap(),
        status: SubscriptionStatus::Subscribed,
        fields: Default::default(),
        interests: Default::default(),
        group_tags: Default::default(),
        unique_email_id: "u1".to_owned(),
        last_changed: None,
        timestamp_opt: None,
    }
}
