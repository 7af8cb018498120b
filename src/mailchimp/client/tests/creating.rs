//! Creating contacts in bulk: what is sent, and whose outcome is whose.

use super::*;
use crate::mailchimp::AudienceError;
use crate::mailchimp::client::scripted::{ok, write};
use crate::mailchimp::transport::Method;
use crate::mailchimp::{Created, NewContact};
use crate::model::{Key, Value as MemberValue};

const TARGET: &str = "/lists/a1?skip_merge_validation=true";

fn new(address: &str) -> NewContact {
    NewContact {
        email: email(address),
        status: decided("pending"),
        values: BTreeMap::new(),
        tags: [].into(),
        signup_ip: None,
        signup_at: None,
    }
}

fn sent(addresses: &[&str]) -> Value {
    let members: Vec<Value> =
        addresses.iter().map(|address| json!({"email_address": address, "status": "pending"})).collect();
    json!({"members": members, "update_existing": false, "sync_tags": false})
}

fn shown(address: &str, status: &str) -> Value {
    with(member(), json!({"email_address": address, "status": status}))
}

/// What came of each, in a word.
fn words(created: &[Created]) -> Vec<String> {
    created
        .iter()
        .map(|created| match created {
            Created::Contact(contact) => format!("{} {}", contact.email, contact.status),
            Created::Exists => "exists".to_owned(),
            Created::Refused(refusal) => format!("{:?}", refusal.class),
            Created::Unmentioned => "unmentioned".to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn a_new_contact_carries_its_values_tags_and_proof_of_consent() {
    let flag = |text: &str| (Key::Interest(interest(text)), MemberValue::Flag(true));
    let contact = NewContact {
        values: [
            (Key::Field(tag("FNAME")), MemberValue::text("Ada")),
            (Key::Choice(Dimension::new("region")), MemberValue::text("Asia")),
            flag("topic:Finance"),
            flag("sector:Public"),
        ]
        .into(),
        tags: ["WG: Finance".to_owned()].into(),
        signup_ip: Some(" 192.0.2.7 ".to_owned()),
        signup_at: moment("2026-02-01T10:00:00.5Z"),
        ..new("ada@alliance.test")
    };
    let body = json!({
        "members": [{
            "email_address": "ada@alliance.test",
            "status": "pending",
            "merge_fields": {"FIRST": "Ada"},
            "interests": {"t1": true, "r1": false, "r2": true},
            "tags": ["WG: Finance", "sector: Public"],
            "ip_signup": "192.0.2.7",
            "timestamp_signup": "2026-02-01T10:00:00+00:00",
        }],
        "update_existing": false,
        "sync_tags": false,
    });
    let answer =
        json!({"new_members": [shown("ada@alliance.test", "pending")], "updated_members": [], "errors": []});
    let client = client([write(Method::Post, TARGET, body, ok(&answer))]);
    let created = client.create(&schema(), &[contact]).await.unwrap();
    assert_eq!(words(&created), ["ada@alliance.test pending"]);
}

#[tokio::test]
async fn an_odd_network_address_costs_nobody_their_membership() {
    for ip in ["unknown", "", "10.0.0.1, 192.0.2.7", "300.1.1.1"] {
        let contact = NewContact { signup_ip: Some(ip.to_owned()), ..new("ada@alliance.test") };
        let client = client([write(Method::Post, TARGET, sent(&["ada@alliance.test"]), ok(&json!({})))]);
        assert_eq!(words(&client.create(&schema(), &[contact]).await.unwrap()), ["unmentioned"]);
    }
}

#[tokio::test]
async fn outcomes_are_matched_by_address_whatever_their_order_and_case() {
    let addresses = ["a@x.test", "B@x.test", "c@x.test", "d@x.test", "e@x.test", "f@x.test"];
    let answer = json!({
        "new_members": [shown("b@X.test", "subscribed"), shown("A@x.test", "pending")],
        "updated_members": [shown("f@x.test", "archived")],
        "errors": [
            {"email_address": "D@x.test", "error": "D@x.test has signed up to a lot of lists very recently", "error_code": "ERROR_GENERIC"},
            {"email_address": "c@x.test", "error": "irgendwas", "error_code": "ERROR_CONTACT_EXISTS"},
        ],
        "total_created": 2, "total_updated": 0, "error_count": 2,
    });
    let client = client([write(Method::Post, TARGET, sent(&addresses), ok(&answer))]);
    let created = client.create(&schema(), &addresses.map(new)).await.unwrap();
    assert_eq!(
        words(&created),
        ["A@x.test pending", "b@X.test subscribed", "exists", "Later", "unmentioned", "f@x.test archived"]
    );
}

#[tokio::test]
async fn of_two_with_one_address_the_first_is_sent() {
    let answer = json!({"new_members": [shown("a@x.test", "pending")]});
    let client = client([write(Method::Post, TARGET, sent(&["a@x.test"]), ok(&answer))]);
    let created = client.create(&schema(), &[new("a@x.test"), new("A@X.test")]).await.unwrap();
    assert_eq!(words(&created), ["a@x.test pending", "exists"]);
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_the_rest_is_sent() {
    let unknown = (Key::Interest(interest("topic:Unknown")), MemberValue::Flag(true));
    let odd = NewContact { values: [unknown].into(), ..new("odd@x.test") };
    let answer = json!({"new_members": [shown("a@x.test", "pending")]});
    let both = client([write(Method::Post, TARGET, sent(&["a@x.test"]), ok(&answer))]);
    let created = both.create(&schema(), &[odd.clone(), new("a@x.test")]).await.unwrap();
    assert_eq!(words(&created), ["Schema", "a@x.test pending"]);

    let none = client([]);
    assert_eq!(words(&none.create(&schema(), &[odd]).await.unwrap()), ["Schema"]);
    assert!(none.create(&schema(), &[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn too_many_or_an_impossible_status_are_not_sent() {
    let many: Vec<_> = (0..=MAX_NEW).map(|n| new(&format!("m{n}@x.test"))).collect();
    let cleaned = vec![NewContact { status: decided("cleaned"), ..new("a@x.test") }];
    for contacts in [many, cleaned] {
        let outcome = client([]).create(&schema(), &contacts).await;
        assert!(matches!(outcome, Err(AudienceError::Protocol { .. })), "{outcome:?}");
    }
}
