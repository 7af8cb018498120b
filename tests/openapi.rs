//! What the sandbox answers is held against Mailchimp's own description of its API, where that is at hand.
//!
//! `ROSTERD_OPENAPI` names the file, else `../shared/mailchimp/openapi-audience.json` beside the project is tried.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

use std::env;
use std::fs;
use std::path::Path;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::mailchimp::transport::Method;
use rosterd::mailchimp::transport::Request;
use rosterd::sandbox::FormEntry;
use rosterd::sandbox::Sandbox;
use rosterd::sandbox::SandboxOptions;
use serde_json::Value;
use serde_json::json;

/// What the description at hand leaves out: links, and what came after its version (webhooks are signed since 2026).
const KNOWN: &[&str] = &["_links", "signing_enabled", "signing_secret"];

struct Checked {
    description: Value,
    sandbox: Sandbox,
    mistakes: Vec<String>,
    answered: usize,
}

impl Checked {
    /// Asks, and holds the answer against the description of `pattern`.
    async fn ask(&mut self, method: Method, pattern: &str, target: &str, body: Option<Value>) -> Value {
        let request = Request {
            method,
            target: target.to_owned(),
            body: body.map(|body| body.to_string().into_bytes()),
            authorization: Some(format!("Bearer {}", self.sandbox.api_key())),
        };
        let response = self.sandbox.answer(request).await.unwrap();
        let document: Value = serde_json::from_slice(&response.body).unwrap_or_default();
        let name = format!("{} {pattern}", method.as_str());
        let operation = &self.description["paths"][pattern][method.as_str().to_lowercase()];
        assert!(operation.is_object(), "{name} is not described");
        let status = response.status.to_string();
        let described = &operation["responses"][&status];
        if described.is_null() {
            self.mistakes.push(format!("{name}: {status} is not described: {document}"));
        }
        let content = described["content"].as_object().and_then(|content| content.values().next());
        if let Some(schema) = content.map(|content| &content["schema"]) {
            compare(&self.description, schema, &document, &name, &mut self.mistakes);
        }
        self.answered += 1;
        document
    }
}

/// Notes every key that the schema does not know, and every value that is not of its type.
fn compare(root: &Value, schema: &Value, found: &Value, place: &str, mistakes: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = root.pointer(reference.trim_start_matches('#')).unwrap();
        return compare(root, schema, found, place, mistakes);
    }
    let fits = match schema["type"].as_str() {
        Some("string") => found.is_string(),
        Some("integer") => found.is_i64() || found.is_u64(),
        Some("number") => found.is_number(),
        Some("boolean") => found.is_boolean(),
        Some("array") => found.is_array(),
        Some("object") => found.is_object(),
        _ => true,
    };
    if !fits {
        mistakes.push(format!("{place}: {found} is no {}", schema["type"]));
    }
    if let Some(accepted) = schema["enum"].as_array().filter(|accepted| !accepted.contains(found)) {
        mistakes.push(format!("{place}: {found} is none of {accepted:?}"));
    }
    for (index, item) in found.as_array().into_iter().flatten().enumerate() {
        compare(root, &schema["items"], item, &format!("{place}[{index}]"), mistakes);
    }
    for (key, value) in found.as_object().into_iter().flatten() {
        match (schema["properties"].get(key), schema.get("properties"), schema.get("additionalProperties")) {
            (Some(schema), _, _) => compare(root, schema, value, &format!("{place}.{key}"), mistakes),
            (None, _, Some(Value::Object(_))) => {
                compare(root, &schema["additionalProperties"], value, &format!("{place}.{key}"), mistakes);
            }
            (None, Some(_), _) if !KNOWN.contains(&key.as_str()) => {
                mistakes.push(format!("{place}: the key {key} is not described"));
            }
            (None, _, _) => (),
        }
    }
}

async fn members(checked: &mut Checked, list: &str) {
    let pattern = "/lists/{list_id}/members";
    let one = "/lists/{list_id}/members/{subscriber_hash}";
    let body = json!({"email_address": "ada@town.example.org", "status": "subscribed", "tags": ["Donor"]});
    let member = checked.ask(Method::Post, pattern, &format!("{list}/members"), Some(body)).await;
    let target = format!("{list}/members/{}", member["id"].as_str().unwrap());
    checked.ask(Method::Get, one, &target, None).await;
    let address = json!({"addr1": "1 Main St", "city": "Springfield", "state": "IL", "zip": "62701"});
    let fields = json!({"merge_fields": {"FNAME": "Ada", "ADDRESS": address}});
    checked.ask(Method::Patch, one, &target, Some(fields)).await;
    checked.ask(Method::Put, one, &target, Some(json!({"status": "unsubscribed"}))).await;
    let tags = format!("{one}/tags");
    let body = json!({"tags": [{"name": "Board", "status": "active"}]});
    checked.ask(Method::Post, &tags, &format!("{target}/tags"), Some(body)).await;
    checked.ask(Method::Get, &tags, &format!("{target}/tags"), None).await;
    checked.ask(Method::Get, "/lists/{list_id}/tag-search", &format!("{list}/tag-search?name=b"), None).await;
    let body = json!({"members": [
        {"email_address": "ada@town.example.org", "status": "subscribed"},
        {"email_address": "grace@town.example.org", "status": "pending"},
        {"email_address": "foo@example.com", "status": "subscribed"},
    ], "update_existing": true});
    checked.ask(Method::Post, "/lists/{list_id}", list, Some(body)).await;
    checked.ask(Method::Delete, one, &target, None).await;
    for status in ["subscribed", "unsubscribed", "cleaned", "pending", "archived"] {
        checked.ask(Method::Get, pattern, &format!("{list}/members?status={status}&count=50"), None).await;
    }
    let delete = format!("{one}/actions/delete-permanent");
    checked.ask(Method::Post, &delete, &format!("{target}/actions/delete-permanent"), None).await;
}

async fn schema(checked: &mut Checked, list: &str) {
    let categories = "/lists/{list_id}/interest-categories";
    let category = "/lists/{list_id}/interest-categories/{interest_category_id}";
    let body = json!({"title": "Topics", "type": "checkboxes"});
    let made =
        checked.ask(Method::Post, categories, &format!("{list}/interest-categories"), Some(body)).await;
    let target = format!("{list}/interest-categories/{}", made["id"].as_str().unwrap());
    checked.ask(Method::Get, categories, &format!("{list}/interest-categories"), None).await;
    checked.ask(Method::Get, category, &target, None).await;
    checked.ask(Method::Patch, category, &target, Some(json!({"title": "Themes"}))).await;
    let (interests, interest) =
        (format!("{category}/interests"), format!("{category}/interests/{{interest_id}}"));
    let body = json!({"name": "Finance"});
    let made = checked.ask(Method::Post, &interests, &format!("{target}/interests"), Some(body)).await;
    let below = format!("{target}/interests/{}", made["id"].as_str().unwrap());
    checked.ask(Method::Get, &interests, &format!("{target}/interests"), None).await;
    checked.ask(Method::Get, &interest, &below, None).await;
    checked.ask(Method::Patch, &interest, &below, Some(json!({"name": "Money"}))).await;
    for kind in ["text", "number", "date", "birthday", "zip", "phone", "url", "dropdown"] {
        let body = json!({"name": kind, "type": kind, "options": {"choices": ["a", "b"]}});
        let fields = "/lists/{list_id}/merge-fields";
        let made = checked.ask(Method::Post, fields, &format!("{list}/merge-fields"), Some(body)).await;
        let target = format!("{list}/merge-fields/{}", made["merge_id"]);
        let field = "/lists/{list_id}/merge-fields/{merge_id}";
        checked.ask(Method::Get, field, &target, None).await;
        checked.ask(Method::Patch, field, &target, Some(json!({"required": false}))).await;
    }
    checked
        .ask(Method::Get, "/lists/{list_id}/merge-fields", &format!("{list}/merge-fields?count=50"), None)
        .await;
    let hooks = "/lists/{list_id}/webhooks";
    let body = json!({"url": "https://hooks.alliance.test/x", "events": {"subscribe": true}});
    let made = checked.ask(Method::Post, hooks, &format!("{list}/webhooks"), Some(body)).await;
    checked.ask(Method::Get, hooks, &format!("{list}/webhooks"), None).await;
    let target = format!("{list}/webhooks/{}", made["id"].as_str().unwrap());
    checked.ask(Method::Get, "/lists/{list_id}/webhooks/{webhook_id}", &target, None).await;
}

async fn account(checked: &mut Checked, list: &str) {
    checked.ask(Method::Get, "/ping", "/ping", None).await;
    checked.ask(Method::Get, "/", "/", None).await;
    checked.ask(Method::Get, "/lists", "/lists", None).await;
    checked.ask(Method::Get, "/lists/{list_id}", list, None).await;
    checked.ask(Method::Patch, "/lists/{list_id}", list, Some(json!({"name": "People"}))).await;
    let body = json!({"operations": [{"method": "GET", "path": "/ping", "operation_id": "one"}]});
    let made = checked.ask(Method::Post, "/batches", "/batches", Some(body)).await;
    let target = format!("/batches/{}", made["id"].as_str().unwrap());
    checked.ask(Method::Get, "/batches/{batch_id}", &target, None).await;
    checked.ask(Method::Get, "/batches", "/batches", None).await;
    checked.ask(Method::Delete, "/batches/{batch_id}", &target, None).await;
}

#[tokio::test]
async fn every_answer_is_as_described() {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/mailchimp/openapi-audience.json");
    let path = env::var("ROSTERD_OPENAPI").unwrap_or_else(|_| beside.to_owned());
    if !Path::new(&path).is_file() {
        eprintln!("skipped: there is no description of the API at {path} (set ROSTERD_OPENAPI)");
        return;
    }
    let description = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let options = SandboxOptions { batch_step: Duration::ZERO, ..SandboxOptions::default() };
    let sandbox = Sandbox::with_options(Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap()), options);
    let list = format!("/lists/{}", sandbox.audience_id());
    sandbox.populate(50);
    sandbox.person().subscribe_by_form("eve@town.example.org", &FormEntry::new()).unwrap();
    let mut checked = Checked { description, sandbox, mistakes: Vec::new(), answered: 0 };
    account(&mut checked, &list).await;
    schema(&mut checked, &list).await;
    members(&mut checked, &list).await;
    assert!(checked.mistakes.is_empty(), "{}", checked.mistakes.join("\n"));
    assert!(checked.answered > 50, "{} answers", checked.answered);
}
