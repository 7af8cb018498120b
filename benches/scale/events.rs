//! From an event to the row, and many events while a full cycle runs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};
use rusqlite::Connection;
use serde_json::json;

use crate::{Audience, LATENCY_MS, row};

/// The secret part of the webhook's path, as the configuration names it.
const PATH_SECRET: &str = "0123456789abcdef";
/// Events whose way to the row is measured.
const MEASURED: usize = 200;
/// Events that are posted as fast as possible.
const FLOOD: usize = 5_000;
/// So many are posted at a time: one could not wait for the answer to another.
const AT_A_TIME: usize = 64;

/// A daemon with a webhook of its own.
struct Daemon {
    child: Child,
    webhook: String,
    client: reqwest::Client,
}

impl Daemon {
    /// Starts it with these lines in `[sync]`, over the sides of `config`, and waits until it answers.
    async fn start(config: &Path, rhythm: &str) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_rosterd"))
            .arg("--config")
            .arg(configure(config, rhythm, &address.to_string()))
            .arg("run")
            .env("ROSTERD_LOG", "warn")
            .env("HOOK", PATH_SECRET)
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let daemon = Self { child, webhook: format!("http://{address}/webhook/{PATH_SECRET}"), client };
        while !daemon
            .client
            .get(&daemon.webhook)
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        daemon
    }

    /// Posts an event; whether it was taken, and how long the answer took.
    async fn post(&self, body: &str) -> (bool, Duration) {
        let begun = Instant::now();
        let answer = self.client.post(&self.webhook).body(body.to_owned()).send().await;
        (answer.is_ok_and(|answer| answer.status().is_success()), begun.elapsed())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configure(config: &Path, rhythm: &str, address: &str) -> PathBuf {
    let text = std::fs::read_to_string(config).unwrap().replace("interval = \"1s\"", rhythm);
    let web = format!("\n[web]\nlisten = \"{address}\"\nwebhook_path_secret_env = \"HOOK\"\n");
    let path = config.with_file_name("events.toml");
    std::fs::write(&path, text + &web).unwrap();
    path
}

pub(crate) async fn measure(config: &Path, audience: &Audience) {
    let register = Connection::open(config.with_file_name("registrations.db")).unwrap();
    let whom = "subscription = 'subscribed' AND email LIKE 'member%' ORDER BY id";
    let sql = format!("SELECT email FROM registrations WHERE {whom} LIMIT {FLOOD}");
    let mut statement = register.prepare(&sql).unwrap();
    let emails = statement.query_map([], |row| row.get(0)).unwrap();
    let emails: Vec<String> = emails.collect::<Result<_, _>>().unwrap();
    to_the_row(config, audience, &register, &emails).await;
    flood(config, &emails).await;
}

/// Somebody edits their preferences, Mailchimp calls, and the register is looked at until it shows it.
async fn to_the_row(config: &Path, audience: &Audience, register: &Connection, emails: &[String]) {
    // What was changed before is settled first; no cycle comes by itself afterwards.
    let daemon = Daemon::start(config, "interval = \"1h\"").await;
    let mut name = register.prepare("SELECT first_name FROM registrations WHERE email = ?1").unwrap();
    let mut taken = Vec::new();
    for (number, email) in emails.iter().take(MEASURED + 1).enumerate() {
        let edited = format!("Edited {number}");
        let act = json!({"act": "edit", "email": email, "merge_fields": {"FNAME": edited}});
        audience.control("person", Some(act)).await;
        let begun = Instant::now();
        daemon.post(&body(email, "edit")).await;
        while name.query_row([email], |row| row.get::<_, Option<String>>(0)).unwrap().as_ref()
            != Some(&edited)
        {
            assert!(begun.elapsed() < Duration::from_secs(60), "event {number} is lost");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        taken.push(begun.elapsed());
    }
    // The first one waits for the cycle with which the daemon begins.
    taken.remove(0);
    taken.sort();
    let (median, worst) = (taken[taken.len() / 2], taken[taken.len() - 1]);
    row(
        &format!("webhook to the local row, {MEASURED} events"),
        &format!("{} ms, worst {} ms", median.as_millis(), worst.as_millis()),
        &format!("one GET, {LATENCY_MS} ms"),
        "1 s",
    );
}

/// An event about somebody, told from every other by its mark.
fn body(email: &str, mark: &str) -> String {
    format!("type=profile&fired_at={mark}&data%5Bemail%5D={}", email.replace('@', "%40"))
}

/// Everybody is read over and over, and events come as fast as they are answered; after the last answer the daemon is killed,
/// and the next one has to have all that were answered with a success.
async fn flood(config: &Path, emails: &[String]) {
    let daemon = Daemon::start(config, "interval = \"1s\"\nfull_interval = \"1s\"").await;
    let bodies: Vec<String> = emails.iter().map(|email| body(email, "flood")).collect();
    let begun = Instant::now();
    let answers: Vec<(bool, Duration)> =
        stream::iter(&bodies).map(|body| daemon.post(body)).buffered(AT_A_TIME).collect().await;
    let wall = begun.elapsed();
    drop(daemon);
    let taken: BTreeSet<&String> =
        emails.iter().zip(&answers).filter(|(_, (taken, _))| *taken).map(|(email, _)| email).collect();
    let mut times: Vec<Duration> = answers.into_iter().map(|(_, time)| time).collect();
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 1000].as_secs_f64() * 1000.0;
    row(
        &format!("{} events at once, full cycles meanwhile", times.len()),
        &format!("{} taken, 99 %: {:.1} ms", taken.len(), at(990)),
        &format!("median {:.1} ms, worst {:.1} ms", at(500), at(1000)),
        &format!("50 ms; {:.0} a second", times.len() as f64 / wall.as_secs_f64()),
    );
    let next = Daemon::start(config, "interval = \"1s\"").await;
    let (begun, mut lost) = (Instant::now(), taken.len());
    while lost > 0 && begun.elapsed() < Duration::from_secs(60) {
        let kept = kept(config);
        lost = taken.iter().filter(|email| !kept.contains(**email)).count();
    }
    row("  of them lost across a kill -9", &lost.to_string(), "-", "0");
    // Whom they name is looked at before anything else is measured.
    while waiting(config) > 0 {
        assert!(begun.elapsed() < Duration::from_secs(600), "the flood is never over");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    drop(next);
}

/// How many addresses wait to be looked at.
fn waiting(config: &Path) -> i64 {
    let state = Connection::open(config.with_file_name("state.db")).unwrap();
    state.query_row("SELECT COUNT(*) FROM pending", [], |row| row.get(0)).unwrap()
}

/// Whom the events name that the state keeps of the flood.
fn kept(config: &Path) -> BTreeSet<String> {
    let state = Connection::open(config.with_file_name("state.db")).unwrap();
    let sql = "SELECT json_extract(addresses, '$[0]') FROM events WHERE json_extract(details, '$.fired_at') = 'flood'";
    let mut statement = state.prepare(sql).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}
