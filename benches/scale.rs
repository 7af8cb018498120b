//! The figures of the design, each beside its floor, measured in the same run: `cargo bench --bench scale -- 100000`.
//!
//! The sandbox is a process of its own, and so is `rosterd`: CPU time and memory are those of `rosterd` alone. No figure
//! fails anything; the last column says by how much the bar is kept or missed.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark prints, and may panic")]

#[path = "scale/events.rs"]
mod events;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use rosterd::mailchimp::http::{HttpOptions, HttpTransport};
use rosterd::mailchimp::transport::{Method, Request, Transport};
use rosterd::registrations::{create_register, run_script};
use serde_json::{Value, json};
use tempfile::TempDir;

const LATENCY_MS: u64 = 100;
const CONNECTIONS: usize = 10;
const NEW_REGISTRATIONS: usize = 10_000;
const CHANGED_MEMBERS: usize = 10_000;
/// Cycles before an idle one is one: the first reads the schema, and what was written just before is read once more.
const SETTLING: i64 = 20;
/// Idle cycles that are measured: the kernel counts CPU time in steps of 10 ms.
const IDLE_CYCLES: i64 = 20;

/// A sandbox in a process of its own.
struct Audience {
    child: Child,
    base_url: String,
    key: String,
    id: String,
    transport: HttpTransport,
}

impl Audience {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rosterd"))
            .args(["sandbox", "--listen", "127.0.0.1:0", "--json"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| told[key].as_str().unwrap().to_owned();
        let base_url = text("base_url");
        let transport = HttpTransport::new(HttpOptions::new(base_url.clone())).unwrap();
        Self { child, key: text("api_key"), id: text("audience"), base_url, transport }
    }

    async fn control(&self, path: &str, body: Option<Value>) -> Value {
        let root = HttpTransport::new(HttpOptions::new(self.base_url.trim_end_matches("/3.0"))).unwrap();
        let method = if body.is_some() { Method::Post } else { Method::Get };
        let body = body.map(|body| body.to_string().into_bytes());
        let target = format!("/_sandbox/{path}");
        let answer = root.send(Request { method, target, body, authorization: None }).await.unwrap();
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }

    async fn latency(&self, milliseconds: u64) {
        self.control("faults", Some(json!({ "latency_ms": milliseconds }))).await;
    }

    /// Sends the requests again that were logged, ten at a time, and throws the answers away.
    async fn replay(&self, log: &Value) -> Duration {
        let authorization = format!("Bearer {}", self.key);
        let entries = log.as_array().unwrap();
        let pages = entries.iter().filter(|entry| entry["pattern"] == "/lists/{list_id}/members");
        let targets: Vec<String> = pages.map(target).collect();
        let begun = Instant::now();
        stream::iter(targets)
            .for_each_concurrent(CONNECTIONS, |target| {
                let authorization = Some(authorization.clone());
                async {
                    drop(
                        self.transport
                            .send(Request { method: Method::Get, target, body: None, authorization })
                            .await,
                    )
                }
            })
            .await;
        begun.elapsed()
    }
}

impl Audience {
    /// Submits one batch that changes as many members, waits for its end and throws the results away.
    async fn one_batch(&self) -> Duration {
        let authorization = Some(format!("Bearer {}", self.key));
        let ask = async |method, target: String, body: Option<Value>| -> Value {
            let body = body.map(|body| body.to_string().into_bytes());
            let request = Request { method, target, body, authorization: authorization.clone() };
            serde_json::from_slice(&self.transport.send(request).await.unwrap().body).unwrap()
        };
        let operation = |number: usize| {
            let hash = md5::compute(format!("new{}@alliance.test", number + 1));
            let body = json!({"merge_fields": {"FNAME": "F"}}).to_string();
            json!({"method": "PATCH", "path": format!("/lists/{}/members/{hash:x}", self.id), "body": body})
        };
        let operations: Value = (0..CHANGED_MEMBERS).map(operation).collect();
        let begun = Instant::now();
        let batch = ask(Method::Post, "/batches".to_owned(), Some(json!({ "operations": operations }))).await;
        let target = format!("/batches/{}", batch["id"].as_str().unwrap());
        let url = loop {
            let now = ask(Method::Get, target.clone(), None).await;
            if now["status"] == "finished" {
                break now["response_body_url"].as_str().unwrap().to_owned();
            }
        };
        let request = Request { method: Method::Get, target: url, body: None, authorization: None };
        drop(self.transport.send(request).await.unwrap());
        begun.elapsed()
    }
}

fn target(entry: &Value) -> String {
    let (path, query) = (entry["path"].as_str().unwrap(), entry["query"].as_str().unwrap_or_default());
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}

impl Drop for Audience {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What one run of `rosterd` took.
struct Taken {
    wall: Duration,
    cpu: Duration,
    peak_mib: u64,
    report: Value,
}

fn configure(directory: &Path, audience: &Audience) -> PathBuf {
    std::fs::write(directory.join("key"), &audience.key).unwrap();
    let text = format!(
        "[registrations]\nurl = \"sqlite:registrations.db\"\n[mailchimp]\napi_key_file = \"key\"\naudience = \"{}\"\n\
         base_url = \"{}\"\nconnections = {CONNECTIONS}\n[state]\npath = \"state.db\"\n\
         [sync]\ninterval = \"1s\"\n[guard]\ncreations = \"100%\"\n\
         [[merge_field]]\ncolumn = \"first_name\"\ntag = \"FNAME\"\n[[merge_field]]\ncolumn = \"last_name\"\ntag = \"LNAME\"\n",
        audience.id, audience.base_url
    );
    let path = directory.join("rosterd.toml");
    std::fs::write(&path, text).unwrap();
    path
}

/// Runs `rosterd sync`; its peak is read from the kernel while it runs.
fn sync(config: &Path, arguments: &[&str]) -> Taken {
    let begun = Instant::now();
    let before = children();
    let mut child = Command::new(env!("CARGO_BIN_EXE_rosterd"))
        .arg("--config")
        .arg(config)
        .args(["sync", "--json"])
        .args(arguments)
        .env("ROSTERD_LOG", "warn")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut peak_mib = 0;
    while child.try_wait().unwrap().is_none() {
        peak_mib = peak_mib.max(resident_peak(child.id()));
        std::thread::sleep(Duration::from_millis(10));
    }
    let wall = begun.elapsed();
    let output = child.wait_with_output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| {
        println!("{}", String::from_utf8_lossy(&output.stderr));
        Value::Null
    });
    let after = children();
    Taken { wall, cpu: after - before, peak_mib, report }
}

/// The largest resident memory of a process so far, in MiB.
fn resident_peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// CPU time of all children that ended so far: fields 16 and 17 of the kernel's record.
fn children() -> Duration {
    ticks("self", 13)
}

/// CPU time of a process that runs: fields 14 and 15.
fn spent_by(pid: u32) -> Duration {
    ticks(&pid.to_string(), 11)
}

/// Two neighbouring fields of `/proc/PID/stat`, in ticks of 10 ms; counted after the name in brackets.
fn ticks(pid: &str, field: usize) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[field].parse::<u64>().unwrap() + fields[field + 1].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn row(work: &str, measured: &str, floor: &str, bar: &str) {
    println!("| {work:44} | {measured:28} | {floor:22} | {bar:22} |");
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}

async fn measure(members: usize) {
    let directory = TempDir::new().unwrap();
    let audience = Audience::start();
    let config = configure(directory.path(), &audience);
    create_register(&directory.path().join("registrations.db")).await.unwrap();
    audience.control("populate", Some(json!({ "count": members }))).await;
    let adoption = sync(&config, &["--full", "--yes"]);
    row(&format!("first adoption, {members} members, no latency"), &seconds(adoption.wall), "-", "-");
    sync(&config, &[]);
    audience.latency(LATENCY_MS).await;
    audience.control("reset-log", Some(json!({}))).await;
    let full = sync(&config, &["--full"]);
    let log = audience.control("log", None).await;
    let floor = audience.replay(&log).await;
    let ratio = format!(
        "{:.2} x (bar 1.3 x)",
        full.report["duration_ms"].as_f64().unwrap_or(0.0) / 1000.0 / floor.as_secs_f64()
    );
    let duration = Duration::from_millis(full.report["duration_ms"].as_u64().unwrap_or(0));
    let measured = format!("{}, {} CPU", seconds(duration), seconds(full.cpu));
    row(&format!("full cycle, nothing changed, {members}"), &measured, &seconds(floor), &ratio);
    row(
        "  its peak of resident memory",
        &format!("{} MiB", full.peak_mib),
        "one page a connection",
        "150 MiB",
    );
    let idle = idle(&config);
    row(
        "idle incremental cycle of the daemon",
        &format!("{} requests, {:.2} ms CPU", idle.requests, idle.cpu_ms),
        "2 requests",
        "2 requests, 5 ms CPU",
    );
    events::measure(&config, &audience).await;
    sync(&config, &[]);
    add_registrations(directory.path()).await;
    let mut new = sync(&config, &[]);
    if new.report["held"].as_u64() > Some(0) {
        // So many at once are more than the guard lets through unasked in a small audience.
        approve_all(&config);
        new = sync(&config, &[]);
    }
    let applied = format!("{} requests, {} applied", new.report["requests"], new.report["applied"]);
    row(&format!("{NEW_REGISTRATIONS} new registrations"), &applied, "20 requests", "25 requests");
    change_members(&config, &audience, directory.path()).await;
}

/// The requests of the cycle that changes them and of the next, which walks over what was changed.
async fn change_members(config: &Path, audience: &Audience, directory: &Path) {
    sync(config, &[]);
    let floor = audience.one_batch().await;
    sync(config, &[]);
    let script = "UPDATE registrations SET last_name = 'Byron' WHERE email LIKE 'new%@alliance.test'";
    run_script(&directory.join("registrations.db"), script).await.unwrap();
    let changed = sync(config, &[]);
    let after = sync(config, &[]);
    let requests = |taken: &Taken| taken.report["requests"].as_u64().unwrap_or(0);
    let measured = format!(
        "{} requests, {}, {} MiB",
        requests(&changed) + requests(&after),
        seconds(changed.wall),
        changed.peak_mib
    );
    let work = format!("{} changed members", changed.report["applied"]);
    row(&work, &measured, &format!("1 batch, {}", seconds(floor)), "40 requests");
}

/// What an idle cycle costs, over some of them.
struct Idle {
    requests: i64,
    cpu_ms: f64,
}

/// Lets the daemon turn over idle for a while: CPU time from the kernel, requests from its own record of cycles.
fn idle(config: &Path) -> Idle {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_rosterd"))
        .arg("--config")
        .arg(config)
        .arg("run")
        .env("ROSTERD_LOG", "warn")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let first = last_cycle(config)["cycle"].as_i64().unwrap_or(0);
    let begin = wait_for_cycle(config, first + SETTLING);
    let before = spent_by(daemon.id());
    let end = wait_for_cycle(config, begin + IDLE_CYCLES);
    let cpu = spent_by(daemon.id()) - before;
    let requests = last_cycle(config)["requests"].as_i64().unwrap_or(0);
    let _ = daemon.kill();
    let _ = daemon.wait();
    let cycles = u32::try_from(end - begin).unwrap_or(u32::MAX).max(1);
    Idle { requests, cpu_ms: (cpu / cycles).as_secs_f64() * 1000.0 }
}

fn approve_all(config: &Path) {
    let rosterd = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.arg("--config").arg(config);
        command
    };
    let output = rosterd().args(["held", "--json"]).output().unwrap();
    let held: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    for hold in held["held"].as_array().into_iter().flatten() {
        rosterd().args(["approve", hold["id"].as_str().unwrap_or_default()]).output().unwrap();
    }
}

fn last_cycle(config: &Path) -> Value {
    let mut status = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    let output = status.arg("--config").arg(config).args(["status", "--json"]).output().unwrap();
    let status: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    status["last_cycle"].clone()
}

/// Waits until a cycle of this number or a later one has ended; its number.
fn wait_for_cycle(config: &Path, number: i64) -> i64 {
    loop {
        let last = last_cycle(config);
        match last["cycle"].as_i64() {
            Some(cycle) if cycle >= number && !last["ended_at"].is_null() => return cycle,
            _ => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

async fn add_registrations(directory: &Path) {
    let script = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {NEW_REGISTRATIONS})
         INSERT INTO registrations (email, first_name) SELECT 'new' || i || '@alliance.test', 'N' || i FROM n;"
    );
    run_script(&directory.join("registrations.db"), &script).await.unwrap();
}

#[tokio::main]
async fn main() {
    let sizes: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let sizes = if sizes.is_empty() { vec![1_000, 100_000] } else { sizes };
    row("work", "measured", "floor", "bar");
    for members in sizes {
        measure(members).await;
    }
}
