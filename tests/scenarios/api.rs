//! The API of a running daemon: the JSON of the command line for whoever shows the token, as it is described.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rosterd::mailchimp::transport::Method;
use rosterd::sandbox::{Fault, FaultKind};
use serde_json::{Value, json};

use crate::daemon::{Daemon, stage};
use crate::description::check;
use crate::program::run;
use crate::stage::Stage;

const API_TOKEN: &str = "api-0123456789abcdef";
const EVENTS_TOKEN: &str = "events-0123456789abcdef";

const WEB: &str = "\n[sync]\ninterval = \"1h\"\n[web]\nlisten = \"127.0.0.1:0\"\napi_token_file = \"api-token\"\n\
                   events_token_file = \"events-token\"\n";

/// A daemon with an API, and what it was asked.
struct Api {
    daemon: Daemon,
    address: SocketAddr,
    description: Value,
    asked: BTreeSet<String>,
}

/// An answer.
struct Answered {
    status: u16,
    kind: String,
    body: Value,
}

impl Api {
    fn open(stage: &Stage) -> Self {
        stage.configure(WEB);
        std::fs::write(stage.path("api-token"), API_TOKEN).unwrap();
        std::fs::write(stage.path("events-token"), EVENTS_TOKEN).unwrap();
        let mut daemon = Daemon::start(stage);
        daemon.until_said("the HTTP interface is open");
        let opened = daemon.said().into_iter().find(|line| line.contains("\"listen\":")).unwrap();
        let opened: Value = serde_json::from_str(&opened).unwrap();
        daemon.until_said("cycle.kind");
        let address = opened["listen"].as_str().unwrap().parse().unwrap();
        let mut api = Self { daemon, address, description: Value::Null, asked: BTreeSet::new() };
        api.description = send(address, "GET", "/api/v1/openapi.json", None, "").body;
        api
    }

    /// Asks with the token of the API, and holds the answer against its description.
    fn ask(&mut self, method: &str, pattern: &str, path: &str, body: &str) -> Answered {
        let answered = send(self.address, method, path, Some(API_TOKEN), body);
        self.asked.insert(pattern.to_owned());
        let operation = &self.description["paths"][pattern][method.to_lowercase()];
        let described = &operation["responses"][answered.status.to_string()];
        let place = format!("{method} {pattern} {}", answered.status);
        assert!(described.is_object(), "{place} is not described: {}", answered.body);
        let schema = &described["content"][&answered.kind]["schema"];
        assert!(schema.is_object(), "{place}: {} is not described", answered.kind);
        let mut mistakes = Vec::new();
        check(&self.description, schema, &answered.body, &place, &mut mistakes);
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
        answered
    }

    fn sync(&mut self, body: &str) -> Answered {
        self.ask("POST", "/api/v1/sync", "/api/v1/sync", body)
    }
}

fn send(address: SocketAddr, method: &str, path: &str, token: Option<&str>, body: &str) -> Answered {
    let mut caller = TcpStream::connect(address).unwrap();
    caller.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    let authorization = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
    let length = body.len();
    write!(
        caller,
        "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n{authorization}Content-Length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let header = |name: &str| {
        let line = head.lines().find(|line| line.to_lowercase().starts_with(name));
        line.and_then(|line| line.split_once(": ")).map(|(_, value)| value.to_owned()).unwrap_or_default()
    };
    assert!(header("transfer-encoding").is_empty(), "{head}");
    Answered {
        status: head[9..12].parse().unwrap(),
        kind: header("content-type"),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

fn printed(stage: &mut Stage, words: &str) -> Value {
    serde_json::from_str(&run(stage, words).stdout).unwrap()
}

#[test]
fn programs_are_told_what_the_command_line_prints_and_all_of_it_is_described() {
    let mut stage = stage();
    let mut api = Api::open(&stage);
    stage.register.change(1, "first_name", "Augusta");
    let synced = api.sync("{\"full\":true,\"addresses\":[\"ada@alliance.test\"]}");
    assert_eq!(
        (synced.status, &synced.body["kind"], &synced.body["applied"]),
        (200, &json!("full"), &json!(1))
    );
    assert_eq!(api.sync("").body["cycle"], json!(synced.body["cycle"].as_i64().unwrap() + 1));

    let status = api.ask("GET", "/api/v1/status", "/api/v1/status", "");
    assert_eq!(status.body, printed(&mut stage, "rosterd status --json"));

    let member = "/api/v1/members/{name}";
    let by_address = api.ask("GET", member, "/api/v1/members/ada@alliance.test", "");
    let shown = printed(&mut stage, "rosterd member show ada@alliance.test --json");
    assert_eq!((by_address.status, shown["state"].as_str()), (200, Some("in_step")));
    let hash = shown["hash"].as_str().unwrap().to_owned();
    assert_eq!(by_address.body, shown);
    assert_eq!(api.ask("GET", member, &format!("/api/v1/members/{hash}"), "").body, shown);
    for nobody in ["zoe@alliance.test", "0123456789abcdef0123456789abcdef", "nonsense"] {
        assert_eq!(api.ask("GET", member, &format!("/api/v1/members/{nobody}"), "").status, 404);
    }

    let fake = "looks fake or invalid, please enter a real email address.";
    let refused = FaultKind::Refused(400, "Invalid Resource".into(), fake.into());
    stage.audience.sandbox.faults().add(Fault::new(refused).always().on_method(Method::Patch));
    stage.register.change(1, "first_name", "Ada");
    assert_eq!(api.sync("").body["parked"], 1);
    let parked = api.ask("GET", member, "/api/v1/members/ada@alliance.test", "");
    assert_eq!(parked.body["state"], "parked");
    api.ask("GET", "/api/v1/status", "/api/v1/status", "");
    api.ask("POST", "/api/v1/held/{id}/approve", "/api/v1/held/0a1b2c3d/approve", "");
    api.ask("POST", "/api/v1/held/{id}/reject", "/api/v1/held/0a1b2c3d/reject", "");
    let described: BTreeSet<String> = api.description["paths"].as_object().unwrap().keys().cloned().collect();
    api.asked.extend(["/api/v1/openapi.json", "/api/v1/events"].map(str::to_owned));
    assert_eq!(api.asked, described, "what is described and never asked here is not held against anything");
    assert!(
        !api.daemon.log.iter().any(|line| line.contains(&hash) && line.contains("/api/")),
        "a path is in the log"
    );
    api.daemon.signal("TERM");
    assert_eq!(api.daemon.ended(), Some(0));
    crate::daemon::check_log(&mut stage, &api.daemon);
}

#[test]
fn a_hold_is_decided_by_a_program_as_by_staff_and_carried_out_at_once() {
    let stage = Stage::build();
    let lines = ["email  first_name", "ada@alliance.test  Ada"].map(str::to_owned);
    stage.register.fill(&crate::table::Table::parse(&lines), &[]);
    let mut api = Api::open(&stage);
    let holds = api.ask("GET", "/api/v1/status", "/api/v1/status", "").body["holds"].clone();
    let id = holds[0]["id"].as_str().unwrap().to_owned();
    let (approve, reject) = (format!("/api/v1/held/{id}/approve"), format!("/api/v1/held/{id}/reject"));
    let rejected = api.ask("POST", "/api/v1/held/{id}/reject", &reject, "");
    assert_eq!((rejected.status, &rejected.body["decision"]), (200, &json!("rejected")));
    let approved = api.ask("POST", "/api/v1/held/{id}/approve", &approve, "");
    assert_eq!((approved.status, &approved.body["decision"]), (200, &json!("approved")));
    api.daemon.until("what was approved is carried out", |line| line.contains("\"applied\":2"));
    assert_eq!(api.ask("POST", "/api/v1/held/{id}/approve", &approve, "").status, 409);
}

#[test]
fn nothing_is_told_or_done_without_the_token_and_the_events_token_opens_none_of_it() {
    let stage = stage();
    let api = Api::open(&stage);
    let routes = [
        ("POST", "/api/v1/sync"),
        ("GET", "/api/v1/status"),
        ("GET", "/api/v1/members/ada@alliance.test"),
        ("POST", "/api/v1/held/0a1b2c3d/approve"),
        ("POST", "/api/v1/held/0a1b2c3d/reject"),
    ];
    for (method, path) in routes {
        for token in [None, Some("wrong-0123456789abcdef"), Some(EVENTS_TOKEN), Some("")] {
            let answered = send(api.address, method, path, token, "");
            assert_eq!(
                (answered.status, answered.kind.as_str()),
                (401, "application/problem+json"),
                "{path}"
            );
            assert!(!answered.body.to_string().contains("ada"), "{}", answered.body);
        }
    }
}

#[test]
fn a_request_that_cannot_be_answered_says_why() {
    let stage = stage();
    let mut api = Api::open(&stage);
    for body in ["{", "[]", "{\"dry\":true}", "{\"addresses\":[\"nobody\"]}"] {
        assert_eq!(api.sync(body).status, 400, "{body}");
    }
    let locked_out = FaultKind::Refused(401, "API Key Invalid".into(), "Your API key may be invalid.".into());
    stage.audience.sandbox.faults().add(Fault::new(locked_out).always());
    let refused = api.sync("");
    assert_eq!(refused.status, 500);
    assert!(refused.body["detail"].as_str().unwrap().contains("Mailchimp does not let us in"));
    stage.audience.sandbox.faults().clear();
    assert_eq!(api.sync("").status, 200);
}

#[test]
fn a_cycle_that_takes_long_is_answered_for_before_it_has_ended() {
    let stage = stage();
    let path = stage.path("rosterd.toml");
    let patient = "[registrations]\nbusy_timeout = \"5m\"\n";
    let mut api = Api::open(&stage);
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[registrations]\n", patient)).unwrap();
    api.daemon.signal("HUP");
    api.daemon.until_said("the configuration was read again");
    api.daemon.until_said("cycle.kind");
    let website = rusqlite::Connection::open(stage.path("registrations.db")).unwrap();
    website.execute_batch("BEGIN IMMEDIATE").unwrap();
    stage.audience.person().unsubscribe("ada@alliance.test").unwrap();
    let accepted = api.sync("");
    assert_eq!((accepted.status, &accepted.body["accepted"]), (202, &json!(true)));
    drop(website);
    let report = api.sync("");
    assert_eq!(report.status, 200);
    assert_eq!(stage.register.count("unsubscribed"), "1");
}
