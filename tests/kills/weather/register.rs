//! A register that vanishes under the daemon and returns, and that is another for a while.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rosterd::registrations::create_register;

use crate::Work;
use crate::expected;
use crate::people;
use crate::stage::Stage;
use crate::weather::{adopted, status_writes};

/// Everything is told within this time, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon and what it says; it ends when it is dropped.
struct Daemon {
    process: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Daemon {
    fn start(stage: &Stage) -> Self {
        let mut command = stage.command(&[], ["run"]);
        command.env("ROSTERD_LOG", "rosterd=debug").stdout(Stdio::null());
        let mut process = command.spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { process, lines, said: Vec::new() }
    }

    /// Waits until it says all of this in one line, from now on.
    fn until_said(&mut self, words: &[&str]) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("never: {words:?}\n{}", self.said.join("\n")));
            let found = words.iter().all(|word| line.contains(word));
            self.said.push(line);
            if found {
                return;
            }
        }
    }

    /// What was said so far counts no more.
    fn forget(&mut self) {
        self.said.extend(self.lines.try_iter());
    }

    fn stop(mut self) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args(["-s", "TERM", &pid]).status().unwrap().success());
        assert_eq!(self.process.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Both sides after they met, and a daemon that looks every second.
fn with_a_daemon() -> (Stage, Daemon) {
    let stage = adopted();
    stage.configure("[state]", "[sync]\ninterval = \"1s\"\n[state]");
    let mut daemon = Daemon::start(&stage);
    daemon.until_said(&["cycle.id"]);
    (stage, daemon)
}

/// Moves the register with what lies beside it.
fn put(stage: &Stage, from: &str, to: &str) {
    for suffix in ["-wal", "-shm", ""] {
        let [from, to] = [from, to].map(|name| stage.path(&format!("{name}{suffix}")));
        if from.exists() {
            std::fs::rename(from, to).unwrap();
        }
    }
}

#[test]
fn nothing_is_concluded_from_a_register_that_is_away() {
    let (stage, mut daemon) = with_a_daemon();
    people::a_day(&stage);
    put(&stage, "registrations.db", "away.db");
    daemon.forget();
    daemon.until_said(&["the cycle failed", "registrations.db", "there is no such file"]);
    let writes = status_writes(&stage);
    // A file of nothing, as a backup that was cut off leaves it.
    std::fs::write(stage.path("registrations.db"), "").unwrap();
    daemon.forget();
    daemon.until_said(&["the cycle failed", "registrations.db", "table"]);
    std::fs::remove_file(stage.path("registrations.db")).unwrap();
    daemon.forget();
    daemon.until_said(&["the cycle failed", "there is no such file"]);
    assert_eq!(status_writes(&stage), writes, "something was concluded");
    put(&stage, "away.db", "registrations.db");
    daemon.forget();
    daemon.until_said(&["cycle.id"]);
    daemon.stop();
    Work::Cycle.recover(&stage);
    expected::check(&stage, Work::Cycle);
}

#[test]
fn a_register_without_people_in_its_place_takes_nobody_away() {
    let stage = adopted();
    let writes = status_writes(&stage);
    put(&stage, "registrations.db", "away.db");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(create_register(&stage.path("registrations.db"))).unwrap();
    for words in ["sync", "sync --full", "sync"] {
        stage.clean(words);
        assert_eq!(status_writes(&stage), writes, "something was concluded");
    }
    assert!(stage.has_hold(), "what is gone at once is asked about");
    let is_archived =
        |email: &String| stage.sandbox.member(email).is_some_and(|member| member["status"] == "archived");
    assert!(!stage.sandbox.addresses().iter().any(is_archived), "somebody was put away");
    std::fs::remove_file(stage.path("registrations.db")).unwrap();
    put(&stage, "away.db", "registrations.db");
    stage.clean("sync --full");
    assert!(!stage.has_hold(), "nothing is gone any more");
    Work::Adoption.recover(&stage);
    expected::check(&stage, Work::Adoption);
}
