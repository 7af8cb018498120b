//! `rosterd sync` beside a running daemon: it hands the work over, and says what came of it as if it had done it itself.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Output, Stdio};

use rosterd::mailchimp::transport::Method;
use rosterd::sandbox::{Fault, FaultKind};
use serde_json::Value;

use crate::daemon::{Daemon, check_log, in_mailchimp, patient_stage, signal, stage, website_in_the_way};
use crate::program::{PROGRAM, Rights, can_be_nobody, command, command_as, grant, is_root, run};
use crate::stage::Stage;

/// Nothing happens by itself within a test.
const SELDOM: &str = "\n[sync]\ninterval = \"1h\"\n";

/// What the daemon says once a request has reached it.
const ASKED: &str = "a cycle is asked for";

/// A daemon that has done its first cycle and does nothing more by itself.
fn at_rest(stage: &Stage) -> Daemon {
    stage.configure(SELDOM);
    let mut daemon = Daemon::start(stage);
    daemon.until_said("cycle.kind");
    daemon
}

/// `rosterd sync` with these words, under way.
fn begin(stage: &Stage, words: &[&str]) -> Child {
    let mut command = command(stage);
    command.arg("sync").args(words).env("ROSTERD_LOG", "off").stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// What it came to.
fn finish(sync: Child) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = sync.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn number(printed: &str) -> i64 {
    let report: Value = serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    report["cycle"].as_i64().unwrap()
}

/// The daemon in the midst of a cycle, for as long as the connection is kept.
fn in_the_midst(stage: &mut Stage) -> (Daemon, rusqlite::Connection) {
    let mut daemon = Daemon::start(stage);
    daemon.until_said("rosterd is running");
    let website = website_in_the_way(stage, &mut daemon);
    (daemon, website)
}

/// How many addresses wait to be looked at.
fn noted(stage: &Stage) -> i64 {
    stage.state().unwrap().query_row("SELECT COUNT(*) FROM pending", [], |row| row.get(0)).unwrap()
}

#[test]
fn a_sync_beside_a_daemon_does_what_it_does_without_one() {
    let mut stage = stage();
    let alone = run(&mut stage, "rosterd sync");
    let alone_json = run(&mut stage, "rosterd sync --json");
    let mut daemon = at_rest(&stage);

    stage.register.change(1, "first_name", "Augusta");
    let beside = run(&mut stage, "rosterd sync");
    assert_eq!((beside.exit, beside.lines.len()), (0, alone.lines.len()), "{:?}", beside.lines);
    assert_eq!(beside.lines[0], alone.lines[0]);
    assert_eq!(beside.lines[1], "|   planned 1  applied 1  failed 0");
    assert_eq!(in_mailchimp(&stage, 0)[0], "Augusta", "done when it says so");

    let full = run(&mut stage, "rosterd sync --full --json");
    let keys = |text: &str| -> Vec<String> {
        serde_json::from_str::<serde_json::Map<String, Value>>(text).unwrap().keys().cloned().collect()
    };
    assert_eq!((full.exit, keys(&full.stdout)), (0, keys(&alone_json.stdout)));
    assert!(
        full.stdout.contains("\"kind\":\"full\"") && full.stdout.contains("\"remote\":2"),
        "{}",
        full.stdout
    );

    let first = number(&full.stdout);
    let named = run(&mut stage, "rosterd sync ada@alliance.test --json");
    assert_eq!((named.exit, number(&named.stdout), noted(&stage)), (0, first + 1, 0));

    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    check_log(&mut stage, &daemon);
    assert!(!stage.path("state.db.sock").exists());
    assert_eq!(run(&mut stage, "rosterd sync").lines[0], alone.lines[0]);
}

#[test]
fn what_is_held_paused_or_set_aside_is_told_as_without_a_daemon() {
    let mut stage = Stage::build();
    let lines = ["email  first_name", "ada@alliance.test  Ada", "ben@alliance.test  Ben"].map(str::to_owned);
    stage.register.fill(&crate::table::Table::parse(&lines), &[]);
    let _daemon = at_rest(&stage);
    let held = run(&mut stage, "rosterd sync");
    assert!(held.exit == 3 && held.lines.concat().contains("held: 2 operations"), "{:?}", held.lines);
    let adopted = run(&mut stage, "rosterd sync --yes --json");
    assert_eq!(adopted.exit, 0, "{:?}", adopted.lines);
    assert_eq!(in_mailchimp(&stage, 1), ["Ben", "subscribed"]);

    assert_eq!(run(&mut stage, "rosterd pause").exit, 0);
    stage.register.change(1, "first_name", "Augusta");
    let paused = run(&mut stage, "rosterd sync");
    assert!(paused.exit == 0 && paused.lines.concat().contains("paused since"), "{:?}", paused.lines);
    assert_eq!(in_mailchimp(&stage, 0)[0], "Ada");

    let refused = FaultKind::Refused(
        400,
        "Invalid Resource".into(),
        "ada@alliance.test looks fake or invalid, please enter a real email address.".into(),
    );
    // A cycle begins as soon as it may.
    stage.audience.sandbox.faults().add(Fault::new(refused).always().on_method(Method::Patch));
    assert_eq!(run(&mut stage, "rosterd resume").exit, 0);
    let set_aside = run(&mut stage, "rosterd sync");
    assert!(set_aside.exit == 4, "{:?}", set_aside.lines);
}

#[test]
fn what_somebody_decides_begins_at_once() {
    // It waited for the next tick.
    let mut stage = Stage::build();
    let lines = ["email  first_name", "ada@alliance.test  Ada", "ben@alliance.test  Ben"].map(str::to_owned);
    stage.register.fill(&crate::table::Table::parse(&lines), &[]);
    let mut daemon = at_rest(&stage);
    let (hold, _) = stage.holds().remove(0);
    assert_eq!(run(&mut stage, &format!("rosterd approve {hold}")).exit, 0);
    daemon.until_said("cycle done");
    assert_eq!(in_mailchimp(&stage, 1), ["Ben", "subscribed"]);

    assert_eq!(run(&mut stage, "rosterd pause").exit, 0);
    daemon.until_said(ASKED);
    stage.register.change(1, "first_name", "Augusta");
    assert_eq!(run(&mut stage, "rosterd resume").exit, 0);
    daemon.until_said(ASKED);
    daemon.until("the edit is in Mailchimp", |_| in_mailchimp(&stage, 0)[0] == "Augusta");

    let refused = FaultKind::Refused(
        400,
        "Invalid Resource".into(),
        "ben@alliance.test looks fake or invalid, please enter a real email address.".into(),
    );
    stage.audience.sandbox.faults().add(Fault::new(refused).always().on_method(Method::Patch));
    stage.register.change(2, "first_name", "Benjamin");
    assert_eq!(run(&mut stage, "rosterd sync").exit, 4);
    stage.audience.sandbox.faults().clear();
    assert_eq!(run(&mut stage, "rosterd member retry ben@alliance.test").exit, 0);
    daemon.until("the edit is in Mailchimp", |_| in_mailchimp(&stage, 1)[0] == "Benjamin");
}

#[test]
fn why_no_cycle_can_work_is_told_with_the_exit_code_of_a_sync_alone() {
    let mut stage = stage();
    let _daemon = at_rest(&stage);
    let locked_out = FaultKind::Refused(401, "API Key Invalid".into(), "Your API key may be invalid.".into());
    stage.audience.sandbox.faults().add(Fault::new(locked_out).always());
    let said = run(&mut stage, "rosterd sync");
    assert!(
        said.exit == 2 && said.lines.concat().contains("Mailchimp does not let us in"),
        "{:?}",
        said.lines
    );
    stage.audience.sandbox.faults().clear();
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
}

#[test]
fn several_at_once_share_the_cycle_that_begins_after_the_one_under_way() {
    let mut stage = patient_stage();
    let (mut daemon, website) = in_the_midst(&mut stage);
    let under_way: i64 =
        stage.state().unwrap().query_row("SELECT max(id) FROM cycles", [], |row| row.get(0)).unwrap();
    let words: [&[&str]; 4] =
        [&["--json"], &["--json", "--full"], &["--json"], &["--json", "ben@alliance.test"]];
    let syncs: Vec<Child> = words.iter().map(|words| begin(&stage, words)).collect();
    for _ in &syncs {
        daemon.until_said(ASKED);
    }
    drop(website);
    for sync in syncs {
        let (exit, printed, complaint) = finish(sync);
        assert_eq!((exit, number(&printed)), (Some(0), under_way + 1), "{complaint}");
        assert!(printed.contains("\"kind\":\"full\""), "one of them asked for everything: {printed}");
    }
    assert_eq!(stage.register.count("unsubscribed"), "1");
}

#[test]
fn whoever_interrupts_the_command_does_not_interrupt_the_daemon() {
    let mut stage = patient_stage();
    let (mut daemon, website) = in_the_midst(&mut stage);
    let sync = begin(&stage, &["--full"]);
    daemon.until_said(ASKED);
    signal(&sync, "INT");
    let (exit, printed, _) = finish(sync);
    assert_eq!((exit, printed.as_str()), (None, ""), "ended by the signal");
    drop(website);
    daemon.until("the cycle that was asked for is done", |line| {
        line.contains("\"cycle.kind\":\"full\"") && line.contains("nothing to do")
    });
    assert_eq!(stage.register.count("unsubscribed"), "1");
}

#[test]
fn a_daemon_that_is_stopped_or_killed_meanwhile_is_told_of_and_whom_it_was_asked_for_stays_noted() {
    for (how, said) in [("TERM", "the daemon was stopped before"), ("KILL", "the daemon is gone before")] {
        let mut stage = patient_stage();
        let (mut daemon, website) = in_the_midst(&mut stage);
        let (named, unnamed) = (begin(&stage, &["ben@alliance.test"]), begin(&stage, &["--json"]));
        daemon.until_said(ASKED);
        daemon.until_said(ASKED);
        daemon.signal(how);
        let (exit, printed, complaint) = finish(named);
        assert_eq!((exit, printed.as_str()), (Some(1), ""));
        assert!(complaint.contains(said) && complaint.contains("whom you named stays noted"), "{complaint}");
        let (exit, printed, complaint) = finish(unnamed);
        assert_eq!((exit, printed.as_str()), (Some(1), ""));
        assert!(complaint.contains(said) && complaint.contains("run rosterd sync again"), "{complaint}");
        drop(website);
        daemon.ended();
        assert_eq!(noted(&stage), 1, "after {how}");
        // What a killed daemon left lying is no daemon.
        assert_eq!(stage.path("state.db.sock").exists(), how == "KILL");
        assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
        assert_eq!(noted(&stage), 0);
        let mut next = at_rest(&stage);
        assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
        next.signal("TERM");
        assert_eq!(next.ended(), Some(0));
    }
}

#[test]
fn a_reload_in_the_midst_of_it_is_no_end() {
    let mut stage = patient_stage();
    let (mut daemon, website) = in_the_midst(&mut stage);
    let sync = begin(&stage, &["--json", "--full"]);
    daemon.until_said(ASKED);
    daemon.signal("HUP");
    daemon.until_said("reloading the configuration");
    drop(website);
    let (exit, printed, complaint) = finish(sync);
    assert!(exit == Some(0) && printed.contains("\"kind\":\"full\""), "{printed}{complaint}");
    daemon.until_said("the configuration was read again");
}

#[test]
fn a_daemon_whose_register_is_locked_from_the_start_says_so() {
    let mut stage = stage();
    let path = stage.path("rosterd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[mailchimp]", "busy_timeout = \"50ms\"\n[mailchimp]")).unwrap();
    stage.register.lock();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said("no cycle can begin yet");
    let said = run(&mut stage, "rosterd sync");
    assert!(said.exit == 1 && said.lines.concat().contains("database is locked"), "{:?}", said.lines);
    stage.register.unlock();
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
}

#[test]
fn whoever_talks_nonsense_or_nothing_at_the_socket_keeps_nobody_waiting() {
    let mut stage = stage();
    let _daemon = at_rest(&stage);
    let path = stage.path("state.db.sock");
    let connect = || UnixStream::connect(&path).unwrap();
    let silent: Vec<UnixStream> = (0..20).map(|_| connect()).collect();
    for (said, answer) in [
        (&b"GET / HTTP/1.1\r\n"[..], "this is no request"),
        (b"{\"version\":9,\"ask\":\"sync\"}\n", "speaks version 1, not 9"),
        (b"{\"version\":1,\"ask\":{\"drop\":{}}}\n", "this cannot be asked for"),
        (b"half a line", "no request was heard"),
    ] {
        let mut stream = connect();
        stream.write_all(said).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).unwrap();
        assert!(heard.starts_with("{\"refused\":") && heard.contains(answer), "{heard}");
    }
    let mut endless = connect();
    let flood = vec![b'['; 64 * 1024];
    while endless.write_all(&flood).is_ok() {}
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
    // All places taken is a moment's matter, too.
    let more: Vec<UnixStream> = (0..40).map(|_| connect()).collect();
    let mut last = more.last().unwrap();
    let mut heard = String::new();
    last.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("too many ask at once"), "{heard}");
    drop((silent, more));
    let mut tries = 0;
    while run(&mut stage, "rosterd sync").exit != 0 {
        tries += 1;
        assert!(tries < 100, "the places are not free again");
    }
}

#[test]
fn the_socket_is_for_the_daemons_user_and_group_and_for_nobody_else() {
    let mut stage = stage();
    let daemon = at_rest(&stage);
    let mode = std::fs::metadata(stage.path("state.db.sock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // Whoever may read everything is no member of the group either.
    grant(&mut stage, Rights::Read);
    std::fs::set_permissions(stage.path("state.db.sock"), std::fs::Permissions::from_mode(0o660)).unwrap();
    let said = run(&mut stage, "rosterd sync");
    if said.exit == 0 {
        // Where the test cannot become somebody else, it is the daemon's own user.
        return;
    }
    assert!(
        said.exit == 1 && said.lines.concat().contains("for its user and its group only"),
        "{:?}",
        said.lines
    );
    grant(&mut stage, Rights::All);
    drop(daemon);
}

#[test]
fn somebody_is_erased_beside_a_daemon_that_stands_aside_for_it() {
    let mut stage = patient_stage();
    let (mut daemon, website) = in_the_midst(&mut stage);
    let mut command = command(&stage);
    command.args(["member", "erase", "ben@alliance.test", "--yes", "--json"]).env("ROSTERD_LOG", "off");
    let erase = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    daemon.until_said("cycles are to stand aside");
    assert!(stage.audience.sandbox.member("ben@alliance.test").is_some(), "not while a cycle is under way");
    drop(website);
    let (exit, printed, complaint) = finish(erase);
    assert!(exit == Some(0) && printed.contains("\"erased\":true"), "{printed}{complaint}");
    assert!(stage.audience.sandbox.member("ben@alliance.test").is_none());
    assert_eq!(run(&mut stage, "rosterd sync --full").exit, 0, "the daemon goes on");
    let said = run(&mut stage, "rosterd member show ben@alliance.test");
    assert!(said.exit == 1 && said.lines.concat().contains("was erased on"), "{:?}", said.lines);
    assert_eq!(stage.register.count("unsubscribed"), "1", "of whom nobody asked to erase");
}

#[test]
fn no_cycle_begins_while_the_daemon_stands_aside_and_every_one_that_was_asked_for_does_afterwards() {
    let mut stage = stage();
    let mut daemon = at_rest(&stage);
    let mut aside = UnixStream::connect(stage.path("state.db.sock")).unwrap();
    aside.write_all(b"{\"version\":1,\"ask\":\"stand_aside\"}\n").unwrap();
    let mut begun = [0; 8];
    aside.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"\"begun\"\n");
    let cycles = |stage: &Stage| -> i64 {
        stage.state().unwrap().query_row("SELECT COUNT(*) FROM cycles", [], |row| row.get(0)).unwrap()
    };
    let before = cycles(&stage);
    let sync = begin(&stage, &["--json"]);
    daemon.until_said(ASKED);
    assert_eq!(cycles(&stage), before);
    // One at a time: who comes second is told so at once.
    let mut second = UnixStream::connect(stage.path("state.db.sock")).unwrap();
    second.write_all(b"{\"version\":1,\"ask\":\"stand_aside\"}\n").unwrap();
    let mut heard = String::new();
    second.read_to_string(&mut heard).unwrap();
    assert!(heard.contains("refused") && heard.contains("another command"), "{heard}");
    drop(aside);
    let (exit, printed, complaint) = finish(sync);
    assert_eq!((exit, number(&printed)), (Some(0), before + 1), "{complaint}");
    let held = UnixStream::connect(stage.path("state.db.sock")).unwrap();
    (&held).write_all(b"{\"version\":1,\"ask\":\"stand_aside\"}\n").unwrap();
    (&held).read_exact(&mut begun).unwrap();
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0), "whoever has the turn keeps nobody from stopping");
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
}

#[test]
#[expect(clippy::print_stdout, reason = "a test says what it skipped")]
fn who_may_only_ask_for_cycles_cannot_keep_them_from_beginning() {
    if !is_root() || !can_be_nobody() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let stage = stage();
    let _daemon = at_rest(&stage);
    // A member of the group: the state is theirs to write here, too, and the daemon is not.
    for name in
        ["", "state.db", "state.db-wal", "state.db-shm", "state.db.lock", "registrations.db", "state.db.sock"]
    {
        let mode = if name.is_empty() { 0o770 } else { 0o660 };
        std::fs::set_permissions(stage.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let as_member = |words: &[&str]| {
        let mut setpriv = std::process::Command::new("setpriv");
        setpriv.args(["--reuid=65534", "--regid=0", "--clear-groups", PROGRAM]);
        let mut command = command_as(&stage, setpriv);
        command.args(words).env("ROSTERD_LOG", "off").stdout(Stdio::piped()).stderr(Stdio::piped());
        finish(command.spawn().unwrap())
    };
    assert_eq!(as_member(&["sync"]).0, Some(0));
    let (exit, _, complaint) = as_member(&["member", "erase", "ben@alliance.test", "--yes"]);
    assert!(exit == Some(1) && complaint.contains("for root and for the user"), "{complaint}");
    assert!(stage.audience.sandbox.member("ben@alliance.test").is_some());
}
