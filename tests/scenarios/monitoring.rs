//! `/metrics` of the running daemon, and what the dashboard and the alert rules ask of it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rosterd::sandbox::FormEntry;

use crate::daemon::{Daemon, EVERY_SECOND, stage};
use crate::log::check_secrets;
use crate::program::command;

/// The body of an answer.
fn get(address: SocketAddr, path: &str) -> String {
    let mut caller = TcpStream::connect(address).unwrap();
    caller.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    write!(caller, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    caller.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.0 200"), "{head}");
    body.to_owned()
}

/// The names that an expression or a dashboard speaks of.
fn names(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .filter(|word| word.starts_with("rosterd_"))
        .map(str::to_owned)
        .collect()
}

/// What the text format offers: each family, and the series that a histogram has.
fn offered(metrics: &str) -> BTreeSet<String> {
    let mut offered = BTreeSet::new();
    for line in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(kind == "counter" || !name.ends_with("_total"), "{line}");
        match kind {
            "histogram" => {
                offered.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")))
            }
            _ => assert!(offered.insert(name.to_owned()), "{name} is there twice"),
        }
    }
    offered
}

#[test]
fn the_dashboard_and_the_rules_ask_for_what_the_daemon_exports() {
    let mut stage = stage();
    stage.configure(&format!("{EVERY_SECOND}[web]\nlisten = \"127.0.0.1:0\"\n"));
    let mut daemon = Daemon::start_as(command(&stage));
    daemon.until_said("the HTTP interface is open");
    let opened = daemon.said().into_iter().find(|line| line.contains("\"listen\":")).unwrap();
    let opened: serde_json::Value = serde_json::from_str(&opened).unwrap();
    let address: SocketAddr = opened["listen"].as_str().unwrap().parse().unwrap();
    let person = stage.audience.person();
    person.edit_preferences("ben@alliance.test", &FormEntry::new().field("FNAME", "Benj")).unwrap();
    daemon.until_said("cycle done");

    get(address, "/healthz");
    let metrics = get(address, "/metrics");
    for line in [
        "rosterd_members 2",
        "rosterd_fatal 0",
        "rosterd_consecutive_failures 0",
        "rosterd_http_requests_total{route=\"/healthz\",code=\"200\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}:\n{metrics}");
    }
    let read = metrics.lines().find_map(|line| line.strip_prefix("rosterd_last_full_timestamp_seconds "));
    assert!(read.is_some_and(|read| read.parse::<i64>().unwrap() > 1_700_000_000), "{read:?}");
    let held = "rosterd_mailchimp_request_duration_seconds_count{method=\"GET\",route=\"/lists/{list_id}/members\",outcome=\"done\"} ";
    assert!(metrics.lines().any(|line| line.starts_with(held)), "{metrics}");
    let key = stage.audience.sandbox.api_key();
    check_secrets(&metrics, &key, stage.names().iter().map(String::as_str));

    let offered = offered(&metrics);
    let monitoring = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/monitoring");
    for file in ["dashboard.json", "rules.yml", "rules.test.yml"] {
        let text = std::fs::read_to_string(monitoring.join(file)).unwrap();
        let asked = names(&text);
        assert!(asked.len() > 5, "{file} asks for nothing");
        let unknown: Vec<&String> = asked.difference(&offered).collect();
        assert!(unknown.is_empty(), "{file} asks for what nobody exports: {unknown:?}");
    }
    let dashboard = std::fs::read_to_string(monitoring.join("dashboard.json")).unwrap();
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).unwrap();
    let shown = names(&dashboard["panels"].to_string());
    let unseen =
        |name: &&String| !shown.contains(*name) && !name.ends_with("_sum") && !name.ends_with("_count");
    let unseen: Vec<&String> = offered.iter().filter(unseen).collect();
    assert!(unseen.is_empty(), "no panel shows {unseen:?}");
    check_by_promtool(&metrics);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

/// Prometheus' own judge, where it is installed or `ROSTERD_TEST_PROMTOOL` names it.
#[expect(clippy::print_stdout, reason = "a test says what it skipped")]
fn check_by_promtool(metrics: &str) {
    let promtool = std::env::var("ROSTERD_TEST_PROMTOOL").unwrap_or("promtool".to_owned());
    let piped = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut judge) = piped else {
        println!("skipped: promtool is not there");
        return;
    };
    judge.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = judge.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}
