//! The client against scripted exchanges.

mod batches;
mod creating;
mod provisioning;
mod reading;
mod retrying;
mod writing;

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::mailchimp::client::scripted::{Scripted, Step};
use crate::mailchimp::schema::{DimensionSchema, FieldSchema};
use crate::model::{Dimension, FieldKind, MergeTag};
use crate::reconcile::policy::DimensionKind;

/// The `fields` of one member, with everything mapped.
const FIELDS: &str = "id,contact_id,email_address,status,unique_email_id,last_changed,timestamp_opt,\
                      merge_fields,interests,tags,tags_count";

fn options() -> ClientOptions {
    ClientOptions {
        api_key: "secret-us21\n".to_owned().into(),
        audience: "a1".to_owned(),
        connections: 2,
        retry: RetryOptions { budget: Duration::from_secs(5), jitter: 0.0, ..RetryOptions::default() },
    }
}

fn clock() -> Clock {
    Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap())
}

fn client(steps: impl IntoIterator<Item = Step>) -> MailchimpClient {
    let transport = Arc::new(Scripted::new(steps));
    MailchimpClient::new(options(), AudienceMapping::default(), clock(), transport).unwrap()
}

fn tag(text: &str) -> MergeTag {
    MergeTag::parse(text).unwrap()
}

fn field(merge_id: i64, wire_tag: &str, kind: FieldKind) -> FieldSchema {
    FieldSchema { merge_id, wire_tag: wire_tag.to_owned(), kind, choices: Vec::new() }
}

fn dimension(kind: DimensionKind, category_id: &str, interests: &[(&str, &str)]) -> DimensionSchema {
    DimensionSchema {
        kind,
        category_id: category_id.to_owned(),
        interests: interests.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect(),
    }
}

/// An audience with two merge fields, a checkbox and a radio category, a tag dimension and a working group.
fn schema() -> AudienceSchema {
    let tags = DimensionKind::Tags { prefix: "sector: ".to_owned() };
    AudienceSchema {
        fields: [
            (tag("FNAME"), field(1, "FIRST", FieldKind::Text)),
            (tag("AGE"), field(2, "AGE", FieldKind::Number)),
        ]
        .into(),
        dimensions: [
            (
                Dimension::new("topic"),
                dimension(DimensionKind::Checkboxes, "c1", &[("t1", "Finance"), ("t2", "Health")]),
            ),
            (
                Dimension::new("region"),
                dimension(DimensionKind::Choice, "c2", &[("r1", "Africa"), ("r2", "Asia")]),
            ),
            (Dimension::new("sector"), dimension(tags, "", &[])),
        ]
        .into(),
        group_tags: vec!["WG: Finance".to_owned()],
        ..AudienceSchema::default()
    }
}

/// A member as Mailchimp shows it, with links and other things that nobody asked for.
fn member() -> Value {
    json!({
        "id": "90e2",
        "email_address": "Ada@Alliance.test",
        "unique_email_id": "u1",
        "contact_id": "k1",
        "full_name": "Ada Byron",
        "web_id": 7,
        "status": "subscribed",
        "merge_fields": {"FIRST": "Ada", "AGE": 36, "OTHER": "x"},
        "interests": {"t1": true, "t2": false, "r2": true, "zz": true},
        "timestamp_opt": "2026-02-01T10:00:00+00:00",
        "timestamp_signup": "",
        "last_changed": "2026-02-02T10:00:00+00:00",
        "tags_count": 3,
        "tags": [
            {"id": 1, "name": "wg: finance"}, {"id": 2, "name": "Sector: Public"}, {"id": 3, "name": "VIP"}
        ],
        "_links": [{"rel": "self"}],
    })
}

/// What [`member`] is in local names.
fn contact() -> Contact {
    Contact {
        contact_id: ContactId::new("k1"),
        path_id: "90e2".to_owned(),
        email: email("ada@alliance.test"),
        status: crate::model::SubscriptionStatus::Subscribed,
        fields: [(tag("FNAME"), "Ada".to_owned()), (tag("AGE"), "36".to_owned())].into(),
        interests: ["topic:Finance", "region:Asia", "sector:Public"].map(interest).into(),
        group_tags: ["WG: Finance".to_owned()].into(),
        unique_email_id: "u1".to_owned(),
        last_changed: moment("2026-02-02T10:00:00Z"),
        timestamp_opt: moment("2026-02-01T10:00:00Z"),
    }
}

fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

fn interest(text: &str) -> crate::model::Interest {
    crate::model::Interest::parse(text).unwrap()
}

fn moment(text: &str) -> Option<Timestamp> {
    Some(text.parse().unwrap())
}

fn decided(status: &str) -> DecidedStatus {
    serde_json::from_value(json!(status)).unwrap()
}

/// `value` with other keys set.
fn with(mut value: Value, keys: Value) -> Value {
    for (key, new) in keys.as_object().unwrap() {
        value[key] = new.clone();
    }
    value
}

#[test]
fn options_that_make_no_client_say_what_is_wrong() {
    let cases = [
        (ClientOptions { api_key: " \n".to_owned().into(), ..options() }, UnusableOptions::NoKey),
        (ClientOptions { api_key: "two words-us1".to_owned().into(), ..options() }, UnusableOptions::Key),
        (ClientOptions { audience: " ".to_owned(), ..options() }, UnusableOptions::Audience),
        (ClientOptions { audience: "a1/members".to_owned(), ..options() }, UnusableOptions::Audience),
        (ClientOptions { connections: 0, ..options() }, UnusableOptions::Connections),
        (ClientOptions { connections: 11, ..options() }, UnusableOptions::Connections),
    ];
    for (options, expected) in cases {
        let made =
            MailchimpClient::new(options, AudienceMapping::default(), clock(), Arc::new(Scripted::new([])));
        assert_eq!(made.err(), Some(expected));
    }
}

#[test]
fn the_key_is_shown_nowhere() {
    let client = client([]);
    let request = crate::mailchimp::transport::Request {
        method: crate::mailchimp::transport::Method::Get,
        target: "/ping".to_owned(),
        body: Some(b"ada@alliance.test".to_vec()),
        authorization: Some("Basic cm9zdGVyZDpzZWNyZXQtdXMyMQ==".to_owned()),
    };
    for shown in [format!("{client:?}"), format!("{:?}", options()), format!("{request:?}")] {
        for secret in ["secret", "cm9zdGVyZDpzZWNyZXQ", "alliance"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}
