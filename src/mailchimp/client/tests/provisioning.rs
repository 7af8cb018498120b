//! What `check` and `provision` ask for.

use secrecy::ExposeSecret;

use super::*;
use crate::mailchimp::AudienceError;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::client::scripted::{get, ok, response, write};
use crate::mailchimp::provision::{CategoryShape, InspectAudience, NewMergeField, ProvisionAudience};
use crate::mailchimp::transport::Method;

fn hook() -> Value {
    json!({
        "id": "h1", "url": "https://members.alliance.test/webhook/0123", "list_id": "a1",
        "events": {"subscribe": true, "unsubscribe": true, "profile": true, "cleaned": true, "upemail": true, "campaign": false},
        "sources": {"user": true, "admin": true, "api": false},
    })
}

#[tokio::test]
async fn webhooks_are_listed_with_what_is_on() {
    let answer = ok(&json!({"webhooks": [hook()], "total_items": 1}));
    let client = client([get("/lists/a1/webhooks", answer)]);
    let hooks = client.webhooks().await.unwrap();
    assert_eq!(hooks[0].sources, ["admin".to_owned(), "user".to_owned()].into());
    assert_eq!(hooks[0].events.len(), 5);
    assert!(!format!("{hooks:?}").contains("0123"));
}

#[tokio::test]
async fn categories_interests_and_fields_are_created() {
    let steps = [
        write(
            Method::Post,
            "/lists/a1/interest-categories",
            json!({"title": "Topics", "type": "checkboxes"}),
            ok(&json!({"id": "c1"})),
        ),
        write(
            Method::Post,
            "/lists/a1/interest-categories/c1/interests",
            json!({"name": "Finance"}),
            ok(&json!({"id": "t1"})),
        ),
        write(
            Method::Post,
            "/lists/a1/merge-fields",
            json!({"tag": "GRADE", "name": "Grade", "type": "dropdown", "public": true, "required": false, "options": {"choices": ["Gold"]}}),
            ok(&json!({"merge_id": 5})),
        ),
        write(
            Method::Post,
            "/lists/a1/merge-fields",
            json!({"tag": "ORG", "name": "Organisation", "type": "text", "public": true, "required": false}),
            ok(&json!({"merge_id": 6})),
        ),
    ];
    let client = client(steps);
    assert_eq!(client.create_category("Topics", CategoryShape::Checkboxes).await.unwrap(), "c1");
    assert_eq!(client.create_interest("c1", "Finance").await.unwrap(), "t1");
    let grade = NewMergeField {
        tag: tag("GRADE"),
        name: "Grade".to_owned(),
        kind: FieldKind::Dropdown,
        choices: vec!["Gold".to_owned()],
    };
    let organisation = NewMergeField {
        tag: tag("ORG"),
        name: "Organisation".to_owned(),
        kind: FieldKind::Text,
        choices: Vec::new(),
    };
    assert_eq!(client.create_merge_field(&grade).await.unwrap(), 5);
    assert_eq!(client.create_merge_field(&organisation).await.unwrap(), 6);
}

#[tokio::test]
async fn a_new_webhook_tells_its_secret_once_and_debug_never() {
    let url = "https://members.alliance.test/webhook/0123";
    let body = json!({
        "url": url,
        "events": {"subscribe": true, "unsubscribe": true, "profile": true, "cleaned": true, "upemail": true, "campaign": false},
        "sources": {"user": true, "admin": true, "api": false},
    });
    let answer = with(hook(), json!({"signing_enabled": true, "signing_secret": "whsec_77"}));
    let signed = client([write(Method::Post, "/lists/a1/webhooks", body.clone(), ok(&answer))]);
    let new = signed.create_webhook(url).await.unwrap();
    assert_eq!(new.signing_secret.as_ref().map(ExposeSecret::expose_secret), Some("whsec_77"));
    assert!(!format!("{new:?}").contains("whsec_77"));

    let problem = json!({
        "title": "Invalid Resource", "status": 400, "detail": "The resource submitted could not be validated.",
        "errors": [{"field": "", "message": "Sorry, you can't set up multiple WebHooks for one URL"}],
    });
    let answer = response(400, "application/problem+json", &problem.to_string());
    let outcome = client([write(Method::Post, "/lists/a1/webhooks", body, answer)]).create_webhook(url).await;
    assert!(
        matches!(&outcome, Err(AudienceError::Refused(refusal)) if refusal.class == RefusalClass::Exists),
        "{outcome:?}"
    );
}
