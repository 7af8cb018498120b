//! Batches on the wire: what is submitted, how they stand, what the results say.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::mailchimp::AudienceError;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::batch::MAX_BODY_BYTES;
use crate::mailchimp::client::scripted::{elsewhere, get, no_content, ok, problem, response, write};
use crate::mailchimp::transport::{Method, Response, TransportError};
use crate::model::{Key, Value as MemberValue};

const URL: &str = "https://batches.s3.test/9.tar.gz?X-Amz-Expires=600";
const LOOK: &str = "/batches/9f?fields=id,status,response_body_url";

fn change(values: &[(Key, MemberValue)]) -> Result<Option<BatchedChange>, AudienceError> {
    let values =
        ContactChanges { email: Some(email("never@sent.test")), values: values.iter().cloned().collect() };
    BatchedChange::new(&schema(), &contact(), values)
}

fn name(text: &str) -> (Key, MemberValue) {
    (Key::Field(tag("FNAME")), MemberValue::text(text))
}

fn archive(rows: &[Value]) -> Response {
    let text = Value::from(rows).to_string();
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    tar.append_data(&mut header, "a.json", text.as_bytes()).unwrap();
    let body = tar.into_inner().unwrap().finish().unwrap();
    Response { body, ..response(200, "application/gzip", "") }
}

async fn read_results(client: &MailchimpClient) -> Result<(Vec<BatchAnswer>, Extent), AudienceError> {
    client.batch_results(&schema(), URL).await
}

#[tokio::test]
async fn changes_are_submitted_as_patches_without_status_or_address() {
    let operation = |id: &str, body: &str| {
        json!({
            "method": "PATCH",
            "path": "/lists/a1/members/90e2",
            "params": {"skip_merge_validation": "true"},
            "operation_id": id,
            "body": body,
        })
    };
    let operations = json!({"operations": [
        operation("7", r#"{"merge_fields":{"FIRST":"Ada \"A.\""}}"#),
        operation("8", r#"{"interests":{"r1":true,"r2":false}}"#),
    ]});
    let answer = json!({"id": "9f", "status": "pending", "response_body_url": ""});
    let client = client([write(Method::Post, "/batches", operations, ok(&answer))]);
    let region = (Key::Choice(Dimension::new("region")), MemberValue::text("Africa"));
    let changes = [(7, change(&[name("Ada \"A.\"")])), (8, change(&[region]))];
    let changes = changes.map(|(number, change)| (number, change.unwrap().unwrap()));
    assert_eq!(client.submit_batch(&changes).await.unwrap(), "9f");
}

#[tokio::test]
async fn a_submission_without_a_readable_answer_is_lost() {
    let changes = [(7, change(&[name("Ada")]).unwrap().unwrap())];
    for answer in
        [ok(&json!({"status": "pending"})), ok(&json!({"id": ""})), response(502, "text/html", "<html>")]
    {
        let shown = format!("{answer:?}");
        let body = json!({"operations": [{
            "method": "PATCH", "path": "/lists/a1/members/90e2", "params": {"skip_merge_validation": "true"},
            "operation_id": "7", "body": r#"{"merge_fields":{"FIRST":"Ada"}}"#,
        }]});
        let outcome = client([write(Method::Post, "/batches", body, answer)]).submit_batch(&changes).await;
        assert!(matches!(outcome, Err(AudienceError::Lost { .. })), "{shown}: {outcome:?}");
    }
}

#[test]
fn what_cannot_be_said_or_says_nothing_is_no_change_of_a_batch() {
    let unknown = (Key::Field(tag("LNAME")), MemberValue::text("Byron"));
    assert!(
        matches!(change(&[unknown]), Err(AudienceError::Refused(refusal)) if refusal.class == RefusalClass::Schema)
    );
    assert_eq!(change(&[]).unwrap(), None);
}

#[test]
fn the_size_of_a_change_is_never_taken_for_less_than_it_is() {
    for text in ["Ada", &"\"".repeat(200), &"é\\\n".repeat(80)] {
        let change = change(&[name(text)]).unwrap().unwrap();
        let sent = json!({"method": "PATCH", "path": "/lists/a1b2c3d4e5/members/90e2", "body": change.text(),
            "params": {"skip_merge_validation": "true"}, "operation_id": i64::MAX.to_string()});
        assert!(sent.to_string().len() <= change.bytes(), "{text:?}");
        assert!(change.bytes() < MAX_BODY_BYTES);
    }
}

#[tokio::test]
async fn a_batch_stands_where_mailchimp_says() {
    let document =
        |status: &str, url: Value| ok(&json!({"id": "9f", "status": status, "response_body_url": url}));
    let finished = BatchNow::Finished { results: URL.to_owned() };
    let gone = problem(404, "Resource Not Found", "The requested resource could not be found.");
    let cases = [
        (document("pending", json!("")), BatchNow::UnderWay),
        (document("finalizing", json!(null)), BatchNow::UnderWay),
        (document("something new", json!(URL)), BatchNow::UnderWay),
        (document("finished", json!("")), BatchNow::UnderWay),
        (document("finished", json!(URL)), finished),
        (gone, BatchNow::Expired),
    ];
    for (answer, expected) in cases {
        assert_eq!(client([get(LOOK, answer)]).batch("9f").await.unwrap(), expected);
    }
}

#[tokio::test]
async fn a_404_that_is_not_mailchimps_own_proves_no_end() {
    let steps = (0..8).map(|_| get(LOOK, response(404, "text/html", "<html>")));
    let transport = Arc::new(Scripted::new(steps.take(3)));
    let client = MailchimpClient::new(options(), AudienceMapping::default(), clock(), transport).unwrap();
    assert!(matches!(client.batch("9f").await, Err(AudienceError::Busy { .. })));
}

#[tokio::test]
async fn a_batch_is_stopped_whether_or_not_it_is_still_there() {
    let gone = problem(404, "Resource Not Found", "The requested resource could not be found.");
    for answer in [no_content(), gone] {
        client([write(Method::Delete, "/batches/9f", Value::Null, answer)]).cancel_batch("9f").await.unwrap();
    }
}

#[tokio::test]
async fn each_answer_is_sorted_like_that_to_a_single_change() {
    let row = |id: &str, status: u16, response: &Value| json!({"operation_id": id, "status_code": status, "response": response.to_string()});
    let problem = |title: &str, detail: &str| json!({"title": title, "detail": detail});
    let rows = [
        row("1", 200, &member()),
        row("2", 404, &problem("Resource Not Found", "The requested resource could not be found.")),
        row(
            "3",
            400,
            &problem(
                "Invalid Resource",
                "ada@x.test looks fake or invalid, please enter a real email address.",
            ),
        ),
        row("4", 500, &problem("Internal Server Error", "A deep, internal error has occurred.")),
        row(
            "5",
            429,
            &problem("Too Many Requests", "You have exceeded the limit of 10 simultaneous connections."),
        ),
        row("6", 200, &json!({"id": "90e2"})),
        row("not ours", 200, &member()),
        json!({"operation_id": "7", "status_code": 200, "response": "<html>"}),
    ];
    let client = client([elsewhere(URL, archive(&rows))]);
    let (answers, extent) = read_results(&client).await.unwrap();
    assert_eq!(extent, Extent::Whole);
    let told: Vec<(i64, String)> = answers
        .iter()
        .map(|answer| match &answer.outcome {
            Ok(shown) => (answer.number, format!("{}", *shown == contact())),
            Err(AudienceError::Refused(refusal)) => (answer.number, format!("{:?}", refusal.class)),
            Err(AudienceError::Lost { .. }) => (answer.number, "Lost".to_owned()),
            Err(AudienceError::Busy { .. }) => (answer.number, "Busy".to_owned()),
            Err(other) => panic!("{other:?}"),
        })
        .collect();
    let expected = ["true", "Missing", "Permanent", "Lost", "Busy", "Lost", "Lost"];
    assert_eq!(told, (1..).zip(expected.map(str::to_owned)).collect::<Vec<_>>());
}

#[tokio::test]
async fn tags_that_an_answer_leaves_out_are_read() {
    let cut = with(member(), json!({"tags_count": 51}));
    let row = json!({"operation_id": "1", "status_code": 200, "response": cut.to_string()});
    let tags = json!({"tags": [{"name": "WG: Finance"}, {"name": "sector: Public"}]});
    let client = client([
        elsewhere(URL, archive(&[row])),
        get("/lists/a1/members/90e2/tags?count=1000&fields=tags.name", ok(&tags)),
    ]);
    let (answers, _) = read_results(&client).await.unwrap();
    assert_eq!(answers[0].outcome.as_ref().unwrap(), &contact());
}

#[tokio::test]
async fn results_that_are_not_there_say_nothing_about_anybody() {
    let refused = || response(403, "application/xml", "<Error><Code>AccessDenied</Code></Error>");
    let cut = || elsewhere(URL, refused()).fails(TransportError::TimedOut(Duration::from_secs(1)));
    for step in [elsewhere(URL, refused()), elsewhere(URL, response(200, "text/html", "<html>")), cut()] {
        let client = client([step]);
        let read = read_results(&client).await;
        assert!(matches!(read, Err(AudienceError::Unreadable { .. })), "{read:?}");
        assert_eq!(client.requests(), 1, "and nobody else waits because of it");
    }
}

const SEARCH: &str = "/lists/a1/tag-search?name=WG%3A%20Finance";

#[tokio::test]
async fn a_tag_is_changed_through_its_segment_whatever_its_capitals() {
    let found = json!({"tags": [{"id": 4, "name": "WG: Finance 2"}, {"id": 5, "name": "wg: finance"}], "total_items": 2});
    let body = json!({"members_to_add": ["Ada@x.test"], "members_to_remove": ["ben@x.test"]});
    let answer =
        json!({"members_added": [], "errors": [{"email_addresses": ["Ben@x.test"], "error": "Not there."}]});
    let client =
        client([get(SEARCH, ok(&found)), write(Method::Post, "/lists/a1/segments/5", body, ok(&answer))]);
    let unknown =
        client.tag_many("WG: Finance", &[email("Ada@x.test")], &[email("ben@x.test")]).await.unwrap();
    assert_eq!(unknown, ["ben@x.test".to_owned()].into());
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_made_where_somebody_is_to_have_it() {
    let none = || get(SEARCH, ok(&json!({"tags": [], "total_items": 0})));
    let segment = json!({"name": "WG: Finance", "static_segment": []});
    let body = json!({"members_to_add": ["ada@x.test"], "members_to_remove": []});
    let client = client([
        none(),
        write(Method::Post, "/lists/a1/segments", segment, ok(&json!({"id": 9}))),
        write(Method::Post, "/lists/a1/segments/9", body, ok(&json!({}))),
        none(),
    ]);
    assert!(client.tag_many("WG: Finance", &[email("ada@x.test")], &[]).await.unwrap().is_empty());
    assert!(client.tag_many("WG: Finance", &[], &[email("ada@x.test")]).await.unwrap().is_empty());
    let many = vec![email("ada@x.test"); 501];
    assert!(matches!(client.tag_many("x", &many, &[]).await, Err(AudienceError::Protocol { .. })));
}
