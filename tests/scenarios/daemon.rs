//! The daemon: changes of either side arrive by themselves, signals are obeyed, and one process does the work.
//!
//! Nothing here waits for a fixed time: each wait ends with the line of the log after which the condition holds.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rosterd::sandbox::FormEntry;

use crate::log;
use crate::program::{command, run};
use crate::stage::Stage;
use crate::table::Table;

/// Everything arrives within this time, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(120);
/// The daemon ends within this time after SIGTERM: as long as its unit gives it, on a machine that does much else.
const LAST_WORDS: Duration = Duration::from_secs(30);

pub(crate) const EVERY_SECOND: &str = "\n[sync]\ninterval = \"1s\"\n";

/// A daemon and its log, ended when it is dropped.
pub(crate) struct Daemon {
    process: Child,
    lines: Receiver<String>,
    pub(crate) log: Vec<String>,
}

impl Daemon {
    pub(crate) fn start(stage: &Stage) -> Self {
        Self::start_as(command(stage))
    }

    /// The program with an environment of the caller's.
    pub(crate) fn start_as(mut command: Command) -> Self {
        command.arg("run").env("ROSTERD_LOG", "rosterd=trace").stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
        });
        Self { process, lines, log: Vec::new() }
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.process, name);
    }

    /// Waits until the condition holds, and looks whenever the daemon says something.
    pub(crate) fn until(&mut self, what: &str, mut holds: impl FnMut(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut line = String::new();
        while !holds(&line) {
            let left = deadline.saturating_duration_since(Instant::now());
            line = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("never: {what}\n{}", self.log.join("\n")));
            self.log.push(line.clone());
        }
    }

    pub(crate) fn until_said(&mut self, words: &str) {
        self.until(words, |line| line.contains(words));
    }

    /// Waits until it has said these words at any time.
    fn until_it_has_said(&mut self, words: &str) {
        if !self.log.iter().any(|line| line.contains(words)) {
            self.until_said(words);
        }
    }

    /// What it said so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.log.clone()
    }

    /// The exit code, once its log ends.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let deadline = Instant::now() + LAST_WORDS;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            self.log.push(line);
        }
        assert!(Instant::now() < deadline, "it still runs:\n{}", self.log.join("\n"));
        self.process.wait().unwrap().code()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already ended where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Sends a signal to a process.
pub(crate) fn signal(process: &Child, name: &str) {
    let pid = process.id().to_string();
    assert!(Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
}

/// Two members on both sides, adopted.
pub(crate) fn stage() -> Stage {
    let mut stage = Stage::build();
    stage.configure(EVERY_SECOND);
    let lines = ["email  first_name", "ada@alliance.test  Ada", "ben@alliance.test  Ben"].map(str::to_owned);
    stage.register.fill(&Table::parse(&lines), &[]);
    assert_eq!(run(&mut stage, "rosterd sync --yes").exit, 0);
    stage.later(1);
    stage
}

fn first_name(stage: &Stage, row: usize) -> String {
    stage.register.show(&["first_name".to_owned()], &[]).rows[row].concat()
}

pub(crate) fn in_mailchimp(stage: &Stage, row: usize) -> Vec<String> {
    stage.audience.show(&["FNAME", "status"].map(str::to_owned)).rows[row].clone()
}

#[test]
fn changes_of_either_side_arrive_at_a_running_daemon_until_it_is_told_to_stop() {
    let mut stage = stage();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("rosterd is running");

    stage.register.change(1, "first_name", "Augusta");
    daemon.until("the edit on the website is in Mailchimp", |_| {
        in_mailchimp(&stage, 0) == ["Augusta", "subscribed"]
    });
    stage
        .audience
        .person()
        .edit_preferences("ben@alliance.test", &FormEntry::new().field("FNAME", "Benj"))
        .unwrap();
    daemon.until("the edit in Mailchimp is in the register", |_| first_name(&stage, 1) == "Benj");
    stage.audience.person().unsubscribe("ada@alliance.test").unwrap();
    daemon.until("the opt-out is in the register", |_| stage.register.count("unsubscribed") == "1");

    daemon.until_it_has_said("cycle done");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    check_log(&mut stage, &daemon);
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0, "nobody holds the state any more");
}

#[test]
fn a_wrong_configuration_at_a_reload_leaves_the_old_one_in_force() {
    let mut stage = stage();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("rosterd is running");

    let elsewhere = "\n[web]\nlisten = \"192.0.2.1:8420\"\n[privacy]\nlog_addresses = true\n";
    for wrong in ["\n[sync]\ninterval = \"soon\"\n", elsewhere] {
        stage.configure(wrong);
        daemon.signal("HUP");
        daemon.until_said("the old configuration stays in force");
    }
    stage.register.change(1, "first_name", "Augusta");
    daemon.until("the edit arrives all the same", |_| in_mailchimp(&stage, 0)[0] == "Augusta");

    stage.configure(&format!("{EVERY_SECOND}prefer = \"remote\"\n"));
    daemon.signal("HUP");
    daemon.until_said("reloading the configuration");
    daemon.until_said("the configuration was read again");
    assert!(!daemon.log.join("\n").contains("stop"), "a reload is no stop:\n{}", daemon.log.join("\n"));
    stage.register.change(1, "first_name", "Ada");
    daemon.until("the edit arrives under the new one", |_| in_mailchimp(&stage, 0)[0] == "Ada");

    daemon.until_it_has_said("cycle done");
    daemon.signal("INT");
    assert_eq!(daemon.ended(), Some(0));
    check_log(&mut stage, &daemon);
}

#[test]
fn a_signing_secret_that_is_replaced_at_a_reload_is_kept_and_one_that_never_came_into_force_is_not() {
    let stage = stage();
    std::fs::write(stage.path("path"), "0123456789abcdef").unwrap();
    let web = |listen: &str| {
        format!(
            "{EVERY_SECOND}[web]\nlisten = \"{listen}\"\nwebhook_path_secret_file = \"path\"\nwebhook_signing_secret_file = \"signing\"\n"
        )
    };
    let signing = |secret: &str| std::fs::write(stage.path("signing"), secret).unwrap();
    signing("first-0123456789");
    stage.configure(&web("127.0.0.1:0"));
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("rosterd is running");
    let kept = |stage: &Stage| {
        let text = std::fs::read_to_string(stage.path("state.db.secrets")).unwrap();
        let kept: std::collections::BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
        let name = "configured_webhook_signing_secret";
        [name.to_owned(), format!("{name}_before")].map(|name| kept.get(&name).cloned().unwrap_or_default())
    };
    assert_eq!(kept(&stage), ["first-0123456789", ""]);
    signing("second-0123456789");
    daemon.signal("HUP");
    daemon.until_said("the configuration was read again");
    assert_eq!(kept(&stage), ["second-0123456789", "first-0123456789"]);
    signing("third-0123456789");
    stage.configure(&web("192.0.2.1:8420"));
    daemon.signal("HUP");
    daemon.until_said("the old configuration stays in force");
    assert_eq!(kept(&stage), ["second-0123456789", "first-0123456789"]);
    daemon.signal("INT");
    assert_eq!(daemon.ended(), Some(0));
}

/// The website holds its register while the daemon wants to write an opt-out into it, for as long as this is kept.
pub(crate) fn website_in_the_way(stage: &mut Stage, daemon: &mut Daemon) -> rusqlite::Connection {
    let website = rusqlite::Connection::open(stage.path("registrations.db")).unwrap();
    website.execute_batch("BEGIN IMMEDIATE").unwrap();
    stage.audience.person().unsubscribe("ada@alliance.test").unwrap();
    let deadline = Instant::now() + PATIENCE;
    let begun = |stage: &Stage| -> i64 {
        let sql = "SELECT COUNT(*) FROM operations WHERE outcome IS NULL";
        stage.state().unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    };
    while begun(stage) == 0 {
        assert!(Instant::now() < deadline, "nothing is written:\n{}", daemon.log.join("\n"));
        std::thread::yield_now();
    }
    website
}

/// Two members on both sides, and a register that is waited for a long time.
pub(crate) fn patient_stage() -> Stage {
    let stage = stage();
    let path = stage.path("rosterd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let patient = text.replace("[registrations]\n", "[registrations]\nbusy_timeout = \"5m\"\n");
    assert_ne!(patient, text);
    std::fs::write(path, patient).unwrap();
    stage
}

#[test]
fn a_daemon_that_is_told_to_stop_while_it_reloads_stops() {
    let mut stage = patient_stage();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("rosterd is running");
    let website = website_in_the_way(&mut stage, &mut daemon);
    daemon.signal("HUP");
    daemon.until_said("the operation under way is finished first");
    daemon.signal("TERM");
    drop(website);
    assert_eq!(daemon.ended(), Some(0));
    assert_eq!(stage.register.count("unsubscribed"), "1");
}

#[test]
fn a_register_that_lets_nobody_write_keeps_no_daemon_from_stopping() {
    let mut stage = patient_stage();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("rosterd is running");
    let website = website_in_the_way(&mut stage, &mut daemon);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    drop(website);
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
    assert_eq!(stage.register.count("unsubscribed"), "1");
}

/// The log of the daemon is as that of every command, and tells of its cycles by the documented fields.
pub(crate) fn check_log(stage: &mut Stage, daemon: &Daemon) {
    stage.log.extend(daemon.log.clone());
    log::check(stage);
    let cycle = daemon.log.iter().find(|line| line.contains("cycle done")).expect("a cycle is told of");
    for field in [rosterd::telemetry::field::CYCLE_ID, rosterd::telemetry::field::DURATION_MS] {
        assert!(cycle.contains(&format!("\"{field}\":")), "{cycle}");
    }
}

#[test]
fn a_register_that_is_locked_at_the_start_is_waited_for() {
    let mut stage = stage();
    let path = stage.path("rosterd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[mailchimp]", "busy_timeout = \"50ms\"\n[mailchimp]")).unwrap();
    stage.register.lock();
    let writes = stage.audience.sandbox.counters().status_writes;
    let mut daemon = Daemon::start(&stage);
    // It died here, with exit code 1, before its first cycle.
    daemon.until_said("no cycle can begin yet");
    let status = run(&mut stage, "rosterd status").lines.join("\n");
    assert!(
        status.contains("FAILED") && status.contains("busy or out of reach: database is locked"),
        "{status}"
    );
    daemon.signal("HUP");
    daemon.until_said("no cycle can begin yet");
    assert_eq!(stage.audience.sandbox.counters().status_writes, writes);
    stage.register.unlock();
    stage.register.change(1, "first_name", "Augusta");
    daemon.until("the edit on the website is in Mailchimp", |_| in_mailchimp(&stage, 0)[0] == "Augusta");
    daemon.until_it_has_said("cycle done");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    check_log(&mut stage, &daemon);
}

#[test]
fn whoever_waits_for_a_register_can_still_be_told_to_stop() {
    let stage = stage();
    stage.register.lock();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("no cycle can begin yet");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_mailchimp_out_of_reach_at_the_start_is_waited_for() {
    let mut stage = stage();
    stage.cut_off();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("Mailchimp is busy, all requests pause");
    stage.serve();
    stage.register.change(1, "first_name", "Augusta");
    daemon.until("the edit on the website is in Mailchimp", |_| in_mailchimp(&stage, 0)[0] == "Augusta");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_daemon_that_only_waits_ends_at_once() {
    let mut stage = stage();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("cycle.kind");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    // It went on asking until its time to end was over.
    stage.cut_off();
    let mut waiting = Daemon::start(&stage);
    waiting.until_said("Mailchimp is busy, all requests pause");
    waiting.signal("TERM");
    assert_eq!(waiting.ended(), Some(0));
    for daemon in [daemon, waiting] {
        let log = daemon.log.join("\n");
        assert!(log.contains("\"stopping: ") && !log.contains("is left under way"), "{log}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_fault() {
    let stage = stage();
    for args in
        [&["plan", "--json"][..], &["held", "--json"], &["held"], &["groups", "--csv"], &["groups", "--json"]]
    {
        let mut command = command(&stage);
        command.args(args).env("ROSTERD_LOG", "off").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), said.as_str()), (Some(0), ""), "{args:?}");
    }
}
