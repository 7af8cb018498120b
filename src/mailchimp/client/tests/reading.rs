//! Reading: what is asked for, and what an answer becomes.

use super::*;
use crate::mailchimp::AudienceError;
use crate::mailchimp::client::scripted::{get, ok, problem, response};
use crate::mailchimp::client::tests::client as bare_client;
use crate::mailchimp::schema::DimensionTarget;
use crate::mailchimp::{Order, Shelf};

const PAGE_FIELDS: &str = "total_items,members.id,members.contact_id,members.email_address,members.status,\
                           members.unique_email_id,members.last_changed,members.timestamp_opt,\
                           members.merge_fields,members.interests,members.tags,members.tags_count";

fn gone() -> crate::mailchimp::transport::Response {
    problem(404, "Resource Not Found", "The requested resource could not be found.")
}

fn member_target(id: &str) -> String {
    format!("/lists/a1/members/{id}?fields={FIELDS}")
}

#[tokio::test]
async fn a_contact_is_read_in_local_names() {
    let client = client([get(&member_target("k1"), ok(&member()))]);
    let found = client.contact(&schema(), &ContactId::new("k1")).await.unwrap();
    assert_eq!(found, Some(contact()));
    assert_eq!(client.requests(), 1);
}

#[tokio::test]
async fn only_what_is_mapped_is_asked_for() {
    let bare = "id,contact_id,email_address,status,unique_email_id,last_changed,timestamp_opt";
    let client = client([get(&format!("/lists/a1/members/k1?fields={bare}"), ok(&member()))]);
    let found = client.contact(&AudienceSchema::default(), &ContactId::new("k1")).await.unwrap().unwrap();
    assert!(found.fields.is_empty() && found.interests.is_empty() && found.group_tags.is_empty());
}

#[tokio::test]
async fn an_absence_is_believed_in_mailchimps_words_only() {
    let forgotten = with(member(), json!({"email_address": "0a1b@forgotten.mailchimp.com", "status": "odd"}));
    for answer in [gone(), ok(&forgotten)] {
        let client = client([get(&member_target("k1"), answer)]);
        assert_eq!(client.contact(&schema(), &ContactId::new("k1")).await.unwrap(), None);
    }
    for odd in [
        json!({"email_address": ""}),
        json!({"email_address": "nobody"}),
        json!({"status": "limbo"}),
        json!({"id": "", "contact_id": null}),
    ] {
        let client = client([get(&member_target("k1"), ok(&with(member(), odd)))]);
        let found = client.contact(&schema(), &ContactId::new("k1")).await;
        assert!(matches!(found, Err(AudienceError::Unreadable { .. })), "{found:?}");
    }
}

#[tokio::test]
async fn an_address_is_looked_for_by_its_hash_and_then_by_itself() {
    let address = email("ada+news@alliance.test");
    let hash = address.hash();
    let found = client([get(&member_target(hash.as_str()), ok(&member()))]);
    assert!(found.contact_by_email(&schema(), &address).await.unwrap().is_some());

    let steps = [
        get(&member_target(hash.as_str()), gone()),
        get(&member_target("ada%2Bnews%40alliance.test"), gone()),
    ];
    assert_eq!(client(steps).contact_by_email(&schema(), &address).await.unwrap(), None);
}

#[tokio::test]
async fn more_tags_than_an_answer_holds_are_fetched() {
    let cut = with(member(), json!({"tags_count": 51, "tags": [{"name": "VIP"}]}));
    let all = json!({"tags": [{"name": "WG: FINANCE"}, {"name": "sector: Private"}], "total_items": 2});
    let client = client([
        get(&member_target("k1"), ok(&cut)),
        get("/lists/a1/members/90e2/tags?count=1000&fields=tags.name", ok(&all)),
    ]);
    let found = client.contact(&schema(), &ContactId::new("k1")).await.unwrap().unwrap();
    assert_eq!(found.group_tags, ["WG: Finance".to_owned()].into());
    assert_eq!(found.interests, ["topic:Finance", "region:Asia", "sector:Private"].map(interest).into());
}

#[tokio::test]
async fn a_page_is_asked_for_by_shelf_order_and_time() {
    let body = json!({"members": [member()], "total_items": 4711});
    let cases = [
        (
            Shelf::Living,
            Order::LastChanged,
            moment("2026-03-01T11:59:00Z"),
            0,
            5000,
            "count=1000&offset=0&sort_field=last_changed&sort_dir=ASC&since_last_changed=2026-03-01T11:59:00%2B00:00",
        ),
        (
            Shelf::Archived,
            Order::OptIn,
            None,
            2990,
            500,
            "count=500&offset=2990&sort_field=timestamp_opt&sort_dir=ASC&status=archived",
        ),
    ];
    for (shelf, order, since, offset, count, query) in cases {
        let client = client([get(&format!("/lists/a1/members?{query}&fields={PAGE_FIELDS}"), ok(&body))]);
        let request = PageRequest { shelf, order, since, offset, count };
        let page = client.page(&schema(), &request).await.unwrap();
        let date = moment("2026-03-01T12:00:05Z");
        let rows = vec![contact().contact_id];
        assert_eq!(page, Page { contacts: vec![contact()], unreadable: vec![], rows, total: 4711, date });
    }
}

fn first_page() -> PageRequest {
    PageRequest { shelf: Shelf::Living, order: Order::OptIn, since: None, offset: 0, count: 1000 }
}

fn page_step(answer: crate::mailchimp::transport::Response) -> Step {
    let query = "count=1000&offset=0&sort_field=timestamp_opt&sort_dir=ASC";
    get(&format!("/lists/a1/members?{query}&fields={PAGE_FIELDS}"), answer)
}

#[tokio::test]
async fn an_odd_row_stops_nobody_and_is_counted() {
    let members = json!([
        with(member(), json!({"email_address": "0a1b@forgotten.mailchimp.com"})),
        with(member(), json!({"email_address": "", "contact_id": "sms"})),
        with(member(), json!({"status": "limbo", "contact_id": null, "id": "old"})),
        with(member(), json!({"merge_fields": [], "interests": [], "tags": null, "tags_count": 0})),
        member(),
    ]);
    let client = client([page_step(ok(&json!({"members": members, "total_items": 5})))]);
    let page = client.page(&schema(), &first_page()).await.unwrap();
    let nothing_said = [(tag("FNAME"), String::new()), (tag("AGE"), String::new())].into();
    let empty = Contact { fields: nothing_said, interests: [].into(), group_tags: [].into(), ..contact() };
    assert_eq!(page.unreadable, ["sms", "old"].map(ContactId::new));
    assert_eq!((page.rows.len(), page.contacts), (5, vec![empty, contact()]));
}

#[tokio::test]
async fn a_broken_page_is_no_empty_audience() {
    for body in
        ["{}", "[]", "", r#"{"members":[]}"#, r#"{"total_items":0}"#, r#"{"members":null,"total_items":0}"#]
    {
        let client = client([page_step(response(200, "application/json", body))]);
        let page = client.page(&schema(), &first_page()).await;
        assert!(matches!(page, Err(AudienceError::Unreadable { .. })), "{body}: {page:?}");
    }
    let client = client([page_step(gone())]);
    let page = client.page(&schema(), &first_page()).await;
    assert!(matches!(page, Err(AudienceError::Fatal { .. })), "{page:?}");
}

#[tokio::test]
async fn a_large_page_is_read_like_a_small_one() {
    let members: Vec<Value> = (0..1000)
        .map(|n| {
            with(member(), json!({"id": format!("i{n}"), "email_address": format!("m{n}@alliance.test")}))
        })
        .collect();
    let client = client([page_step(ok(&json!({"members": members, "total_items": 1000})))]);
    let page = client.page(&schema(), &first_page()).await.unwrap();
    assert_eq!((page.rows.len(), page.contacts.len()), (1000, 1000));
    assert_eq!(page.contacts[999].path_id, "i999");
}

#[tokio::test]
async fn somebody_who_goes_while_their_tags_are_fetched_is_left_out() {
    let cut = with(member(), json!({"tags_count": 51}));
    let client = client([
        page_step(ok(&json!({"members": [cut, member()], "total_items": 2}))),
        get("/lists/a1/members/90e2/tags?count=1000&fields=tags.name", gone()),
    ]);
    let page = client.page(&schema(), &first_page()).await.unwrap();
    assert_eq!((page.rows.len(), page.contacts), (2, vec![contact()]));
}

#[tokio::test]
async fn the_schema_is_read_in_as_few_requests_as_the_mapping_needs() {
    let list = json!({"id": "a1", "name": "Alliance", "subscribe_url_long": "https://x.test/subscribe?u=1&id=2", "double_optin": true});
    let fields = json!({"merge_fields": [
        {"merge_id": 1, "tag": "FNAME", "type": "text", "options": {"size": 25}},
        {"merge_id": 5, "tag": "GRADE", "type": "dropdown", "options": {"choices": ["Gold", "Silver"]}},
    ]});
    let categories = json!({"categories": [
        {"id": "c1", "title": " topics", "type": "hidden"}, {"id": "c2", "title": "Regions", "type": "radio"},
    ]});
    let list_step = || get("/lists/a1?fields=id,name,subscribe_url_long,double_optin", ok(&list));
    let steps = [
        list_step(),
        get(
            "/lists/a1/merge-fields?count=1000&fields=merge_fields.merge_id,merge_fields.tag,merge_fields.type,merge_fields.options",
            ok(&fields),
        ),
        get(
            "/lists/a1/interest-categories?count=1000&fields=categories.id,categories.title,categories.type",
            ok(&categories),
        ),
        get(
            "/lists/a1/interest-categories/c1/interests?count=1000&fields=interests.id,interests.name",
            ok(&json!({"interests": [{"id": "t1", "name": "Finance"}]})),
        ),
    ];
    let mapping = AudienceMapping {
        tags: vec![tag("FNAME"), tag("GRADE")],
        dimensions: [(Dimension::new("topic"), DimensionTarget::Category("Topics".to_owned()))].into(),
        group_tags: vec!["WG: Finance".to_owned()],
    };
    let client = MailchimpClient::new(options(), mapping, clock(), Arc::new(Scripted::new(steps))).unwrap();
    let found = client.schema(None).await.unwrap();
    let grade = FieldSchema {
        choices: vec!["Gold".to_owned(), "Silver".to_owned()],
        ..field(5, "GRADE", FieldKind::Dropdown)
    };
    let expected = AudienceSchema {
        fields: [(tag("FNAME"), field(1, "FNAME", FieldKind::Text)), (tag("GRADE"), grade)].into(),
        dimensions: [(
            Dimension::new("topic"),
            dimension(DimensionKind::Checkboxes, "c1", &[("t1", "Finance")]),
        )]
        .into(),
        group_tags: vec!["WG: Finance".to_owned()],
        subscribe_url: Some("https://x.test/subscribe?u=1&id=2".to_owned()),
        audience_name: "Alliance".to_owned(),
        double_optin: true,
        warnings: Vec::new(),
    };
    assert_eq!(found, expected);

    let bare = bare_client([list_step()]);
    assert_eq!(bare.schema(None).await.unwrap().audience_name, "Alliance");
    assert_eq!(bare.requests(), 1);
}

#[tokio::test]
async fn an_audience_that_is_gone_is_fatal() {
    let client = client([get("/lists/a1?fields=id,name,subscribe_url_long,double_optin", gone())]);
    let found = client.schema(None).await;
    assert!(matches!(found, Err(AudienceError::Fatal { .. })), "{found:?}");
}
