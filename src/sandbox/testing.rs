//! What the tests of the sandbox share: a sandbox on a set clock, asked without waiting.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::runtime::Builder;

use crate::clock::Clock;
use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::mailchimp::transport::TransportError;
use crate::sandbox::FormEntry;
use crate::sandbox::Person;
use crate::sandbox::Sandbox;
use crate::sandbox::SandboxOptions;
use crate::sandbox::member::subscriber_hash;

/// Where the clock of every test begins.
pub(crate) const START: &str = "2026-03-01T12:00:00Z";

/// A sandbox with its clock.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
}

impl Api {
    pub(crate) fn new() -> Self {
        Self::with(SandboxOptions::default())
    }

    pub(crate) fn with(options: SandboxOptions) -> Self {
        let clock = Clock::set_at(START.parse().unwrap());
        Self { sandbox: Sandbox::with_options(clock.clone(), options), clock }
    }

    /// A sandbox with one member in each situation that the status machine tells apart; the clock is a minute later.
    pub(crate) fn with_everybody(options: SandboxOptions) -> Self {
        let api = Self::with(options);
        let person = api.sandbox.person();
        for name in EVERYBODY {
            person.subscribe_by_form(&address(name), &FormEntry::new().field("FNAME", "Ada")).unwrap();
            api.bring_into(&person, name);
        }
        api.clock.advance(Duration::from_secs(60));
        api
    }

    fn bring_into(&self, person: &Person, name: &str) {
        let email = address(name);
        match name {
            "subscribed" => (),
            "unsubscribed" => person.staff_unsubscribe(&email).unwrap(),
            "left" => person.unsubscribe(&email).unwrap(),
            "complained" => person.complain(&email).unwrap(),
            "bounced" => person.bounce(&email).unwrap(),
            "archived" => person.staff_archive(&email).unwrap(),
            "left-archived" => {
                person.unsubscribe(&email).unwrap();
                person.staff_archive(&email).unwrap();
            }
            "pending" => drop(self.patch(&email, serde_json::json!({"status": "pending"}))),
            "transactional" => {
                person.staff_delete_permanently(&email).unwrap();
                self.sandbox.world(|world| world.audience.forgotten.clear());
                let body = serde_json::json!({"email_address": email, "status": "transactional"});
                self.post("/members", body);
            }
            "forgotten" => person.staff_delete_permanently(&email).unwrap(),
            other => panic!("nobody is {other}"),
        }
    }

    pub(crate) fn send(&self, request: Request) -> Result<Response, TransportError> {
        Builder::new_current_thread().build().unwrap().block_on(self.sandbox.answer(request))
    }

    /// A request by target below the base URL.
    pub(crate) fn raw(&self, method: Method, target: &str, body: Option<Vec<u8>>) -> Response {
        let key = STANDARD.encode(format!("any:{}", self.sandbox.api_key()));
        // Results of batches lie elsewhere, where the key is not wanted.
        let authorization = target.starts_with('/').then(|| format!("Basic {key}"));
        self.send(Request { method, target: target.to_owned(), body, authorization }).unwrap()
    }

    /// A request below the audience: status and document.
    pub(crate) fn call(&self, method: Method, below: &str, body: Option<Value>) -> (u16, Value) {
        let target = format!("/lists/{}{below}", self.sandbox.audience_id());
        let response = self.raw(method, &target, body.map(|body| body.to_string().into_bytes()));
        let document = match response.body.is_empty() {
            true => Value::Null,
            false => serde_json::from_slice(&response.body).unwrap(),
        };
        (response.status, document)
    }

    pub(crate) fn get(&self, below: &str) -> (u16, Value) {
        self.call(Method::Get, below, None)
    }

    pub(crate) fn post(&self, below: &str, body: Value) -> (u16, Value) {
        self.call(Method::Post, below, Some(body))
    }

    pub(crate) fn put(&self, email: &str, body: Value) -> (u16, Value) {
        self.call(Method::Put, &member_path(email), Some(body))
    }

    pub(crate) fn patch(&self, email: &str, body: Value) -> (u16, Value) {
        self.call(Method::Patch, &member_path(email), Some(body))
    }

    /// The value of one key of a member, as the API shows it.
    pub(crate) fn shows(&self, email: &str, key: &str) -> Value {
        self.sandbox.member(email).map_or(Value::Null, |member| member[key].clone())
    }

    /// Creates an interest category with interests: their ids.
    pub(crate) fn interests(&self, title: &str, kind: &str, names: &[&str]) -> Vec<String> {
        let body = serde_json::json!({"title": title, "type": kind});
        let (_, category) = self.post("/interest-categories", body);
        let below = format!("/interest-categories/{}/interests", category["id"].as_str().unwrap());
        let create = |name: &&str| {
            let (_, interest) = self.post(&below, serde_json::json!({"name": name}));
            interest["id"].as_str().unwrap().to_owned()
        };
        names.iter().map(create).collect()
    }
}

/// The situations of [`Api::with_everybody`].
pub(crate) const EVERYBODY: [&str; 10] = [
    "subscribed",
    "unsubscribed",
    "left",
    "complained",
    "bounced",
    "archived",
    "left-archived",
    "pending",
    "transactional",
    "forgotten",
];

/// The address of the member in a situation.
pub(crate) fn address(name: &str) -> String {
    format!("{name}@town.example.org")
}

/// The path of a member below the audience.
pub(crate) fn member_path(email: &str) -> String {
    format!("/members/{}", subscriber_hash(email))
}

/// Status, title and the sentence that says what is wrong.
pub(crate) fn refusal((status, document): &(u16, Value)) -> (u16, String, String) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let message = &document["errors"][0]["message"];
    let sentence = if message.is_string() { message } else { &document["detail"] };
    (*status, text(&document["title"]), text(sentence))
}
