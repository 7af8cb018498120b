//! Writing to one contact: what is sent, and what is not.

use super::*;
use crate::mailchimp::AudienceError;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::client::scripted::{get, no_content, ok, problem, response, write};
use crate::mailchimp::transport::Method;
use crate::model::{Key, Value as MemberValue};

const MEMBER: &str = "/lists/a1/members/90e2";
const PATCHED: &str = "/lists/a1/members/90e2?skip_merge_validation=true";

fn class<T: std::fmt::Debug>(outcome: Result<T, AudienceError>) -> (RefusalClass, u16) {
    match outcome {
        Err(AudienceError::Refused(refusal)) => (refusal.class, refusal.status),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_status_travels_alone() {
    let left = with(member(), json!({"status": "unsubscribed"}));
    let client = client([write(Method::Patch, PATCHED, json!({"status": "unsubscribed"}), ok(&left))]);
    let found = client.set_status(&schema(), &contact(), decided("unsubscribed")).await.unwrap();
    assert_eq!(found.status, crate::model::SubscriptionStatus::Unsubscribed);
}

#[tokio::test]
async fn a_status_that_is_not_ours_to_set_is_not_sent() {
    for status in ["cleaned", "archived", "transactional"] {
        let outcome = client([]).set_status(&schema(), &contact(), decided(status)).await;
        assert!(matches!(outcome, Err(AudienceError::Protocol { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_change_names_what_changes_and_nothing_else() {
    let topic = |name: &str| Key::Interest(crate::model::Interest::new("topic", name));
    let choice = || Key::Choice(Dimension::new("region"));
    let text = |text: &str| MemberValue::text(text);
    let cases = [
        (vec![(Key::Field(tag("FNAME")), text("Ada"))], json!({"merge_fields": {"FIRST": "Ada"}})),
        (vec![(Key::Field(tag("AGE")), text("36"))], json!({"merge_fields": {"AGE": 36}})),
        (vec![(Key::Field(tag("AGE")), text(""))], json!({"merge_fields": {"AGE": ""}})),
        (
            vec![(topic("Finance"), MemberValue::Flag(true)), (topic("health"), MemberValue::Flag(false))],
            json!({"interests": {"t1": true, "t2": false}}),
        ),
        (vec![(choice(), text("Africa"))], json!({"interests": {"r1": true, "r2": false}})),
        (vec![(choice(), text(""))], json!({"interests": {"r1": false, "r2": false}})),
    ];
    for (values, body) in cases {
        let client = client([write(Method::Patch, PATCHED, body, ok(&member()))]);
        let changes = ContactChanges { email: None, values: values.into_iter().collect() };
        assert_eq!(client.change(&schema(), &contact(), &changes).await.unwrap(), contact());
    }
}

#[tokio::test]
async fn an_address_is_changed_on_the_old_path() {
    let changes = ContactChanges { email: Some(email("Ada@New.test")), ..ContactChanges::default() };
    let renamed = with(member(), json!({"email_address": "Ada@New.test", "id": "77aa"}));
    let client =
        client([write(Method::Patch, PATCHED, json!({"email_address": "Ada@New.test"}), ok(&renamed))]);
    let found = client.change(&schema(), &contact(), &changes).await.unwrap();
    assert_eq!((found.path_id.as_str(), &found.contact_id), ("77aa", &contact().contact_id));
}

#[tokio::test]
async fn a_change_of_nothing_only_reads() {
    let client = client([get(&format!("{MEMBER}?fields={FIELDS}"), ok(&member()))]);
    let found = client.change(&schema(), &contact(), &ContactChanges::default()).await.unwrap();
    assert_eq!(found, contact());
}

#[tokio::test]
async fn what_the_audience_does_not_have_is_not_sent() {
    let flag = |text: &str| (Key::Interest(interest(text)), MemberValue::Flag(true));
    for (key, value) in [
        (Key::Field(tag("LNAME")), MemberValue::text("Byron")),
        flag("topic:Unknown"),
        flag("nowhere:Finance"),
        (Key::Choice(Dimension::new("region")), MemberValue::text("Europe")),
    ] {
        let changes = ContactChanges { email: None, values: [(key, value)].into() };
        assert_eq!(
            class(client([]).change(&schema(), &contact(), &changes).await),
            (RefusalClass::Schema, 0)
        );
    }
    let changes = ContactChanges { email: None, values: [flag("sector:Public")].into() };
    let outcome = client([]).change(&schema(), &contact(), &changes).await;
    assert!(matches!(outcome, Err(AudienceError::Protocol { .. })), "{outcome:?}");
}

#[tokio::test]
async fn tags_are_named_and_set_off_nothing() {
    let body = json!({
        "tags": [{"name": "A", "status": "active"}, {"name": "B", "status": "inactive"}],
        "is_syncing": true,
    });
    let client = client([write(Method::Post, "/lists/a1/members/90e2/tags", body, no_content())]);
    client.tag(&contact(), &[("A".to_owned(), true), ("B".to_owned(), false)].into()).await.unwrap();
    client.tag(&contact(), &BTreeMap::new()).await.unwrap();
    assert_eq!(client.requests(), 1);
}

#[tokio::test]
async fn archiving_what_is_archived_is_done() {
    let deleted = || write(Method::Delete, MEMBER, Value::Null, no_content());
    client([deleted()]).archive(&contact()).await.unwrap();

    let said =
        "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived";
    let cases = [
        ("archived", None),
        ("pending", Some(RefusalClass::Permanent)),
        ("cleaned", Some(RefusalClass::Permanent)),
        ("subscribed", Some(RefusalClass::Unknown)),
        ("limbo", Some(RefusalClass::Unknown)),
    ];
    for (status, expected) in cases {
        let client = client([
            write(Method::Delete, MEMBER, Value::Null, problem(405, "Method Not Allowed", said)),
            get("/lists/a1/members/90e2?fields=status", ok(&json!({"status": status}))),
        ]);
        let outcome = client.archive(&contact()).await;
        match expected {
            None => outcome.unwrap(),
            Some(expected) => assert_eq!(class(outcome), (expected, 405), "{status}"),
        }
    }
}

#[tokio::test]
async fn archiving_nobody_says_so() {
    let answer = problem(404, "Resource Not Found", "The requested resource could not be found.");
    let client = client([write(Method::Delete, MEMBER, Value::Null, answer)]);
    assert_eq!(class(client.archive(&contact()).await), (RefusalClass::Missing, 404));
}

#[tokio::test]
async fn deleting_for_good_is_a_call_of_its_own() {
    let target = "/lists/a1/members/90e2/actions/delete-permanent";
    let client = client([write(Method::Post, target, Value::Null, no_content())]);
    client.delete_permanently(&contact()).await.unwrap();
}

#[tokio::test]
async fn a_write_whose_answer_cannot_be_read_is_lost() {
    let odd = with(member(), json!({"status": "limbo"}));
    let answers = [
        response(200, "application/json", r#"{"id":"90e2","email_"#),
        response(200, "application/json", ""),
        response(200, "text/html", "<html>"),
        ok(&odd),
        response(500, "application/problem+json", r#"{"title":"Internal Server Error","status":500}"#),
        response(503, "text/html", "<html>"),
    ];
    for answer in answers {
        let shown = format!("{answer:?}");
        let client = client([write(Method::Patch, PATCHED, json!({"status": "pending"}), answer)]);
        let outcome = client.set_status(&schema(), &contact(), decided("pending")).await;
        assert!(matches!(outcome, Err(AudienceError::Lost { .. })), "{shown}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_write_whose_tags_cannot_be_read_afterwards_is_lost() {
    let cut = with(member(), json!({"tags_count": 51}));
    let gone = problem(404, "Resource Not Found", "The requested resource could not be found.");
    let client = client([
        write(Method::Patch, PATCHED, json!({"status": "pending"}), ok(&cut)),
        get("/lists/a1/members/90e2/tags?count=1000&fields=tags.name", gone),
    ]);
    let outcome = client.set_status(&schema(), &contact(), decided("pending")).await;
    assert!(matches!(outcome, Err(AudienceError::Lost { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_success_that_is_no_json_is_none() {
    // A proxy that greets everybody with 200 had erased nobody, and it counted as done.
    let gone = || response(200, "text/plain", "welcome to the wireless network");
    let delete = "/lists/a1/members/90e2/actions/delete-permanent";
    let tags = BTreeMap::from([("WG: Finance".to_owned(), true)]);
    let body = json!({"tags": [{"name": "WG: Finance", "status": "active"}], "is_syncing": true});
    let outcomes = [
        client([write(Method::Post, delete, Value::Null, gone())]).delete_permanently(&contact()).await,
        client([write(Method::Delete, MEMBER, Value::Null, gone())]).archive(&contact()).await,
        client([write(Method::Post, &format!("{MEMBER}/tags"), body, gone())]).tag(&contact(), &tags).await,
        client([write(Method::Delete, "/batches/b1", Value::Null, gone())]).cancel_batch("b1").await,
    ];
    for outcome in outcomes {
        assert!(matches!(outcome, Err(AudienceError::Lost { .. })), "{outcome:?}");
    }
    let blank = response(200, "application/json", " \n");
    let client = client([write(Method::Delete, MEMBER, Value::Null, blank)]);
    client.archive(&contact()).await.unwrap();
}

#[tokio::test]
async fn no_refusal_repeats_the_key() {
    let said = problem(400, "secret-us21?", "the key secret-us21 is not for ada@alliance.test");
    let client = client([write(Method::Delete, MEMBER, Value::Null, said)]);
    let Err(AudienceError::Refused(refusal)) = client.archive(&contact()).await else { panic!("refused") };
    assert_eq!((refusal.title.as_str(), refusal.said.as_str()), ("***?", "the key *** is not for <address>"));
}
