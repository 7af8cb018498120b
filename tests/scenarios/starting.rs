//! The daemon's start where something is in its way: what passes by itself is waited for.

use std::net::TcpListener;

use rosterd::clock::Clock;
use rosterd::intake::{Received, Source, Spool};

use crate::daemon::{Daemon, EVERY_SECOND, stage};
use crate::program::run;
use crate::stage::Stage;
use crate::supervised::Manager;

/// What is said of a start that waits.
const WAITS: &str = "the start waits";
/// What is said of a register that cannot be opened.
const TRIED: &str = "no cycle can begin yet";

/// Has the HTTP interface listen at an address that somebody else has until the listener is dropped.
fn taken_address(stage: &Stage) -> TcpListener {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    stage.configure(&format!("{EVERY_SECOND}[web]\nlisten = \"{address}\"\n"));
    listener
}

#[test]
fn a_state_that_a_command_holds_is_waited_for() {
    // It ended with exit code 1, and the service manager gave it up after five such starts.
    let mut stage = stage();
    stage.hold_state();
    let (mut manager, mut daemon) = Manager::start(&stage);
    let waits = manager.until("STATUS=waiting: ");
    assert!(waits.starts_with("EXTEND_TIMEOUT_USEC=") && waits.contains("is held by process"), "{waits}");
    daemon.until_said(WAITS);
    assert!(!manager.heard.concat().contains("READY=1"), "{:?}", manager.heard);
    daemon.signal("HUP");
    daemon.until_said(WAITS);
    stage.release_state();
    manager.until("READY=1");
    daemon.until_said("cycle.kind");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn an_address_that_a_predecessor_still_has_is_waited_for() {
    let mut stage = stage();
    let taken = taken_address(&stage);
    let (mut manager, mut daemon) = Manager::start(&stage);
    let waits = manager.until("STATUS=waiting: ");
    assert!(waits.contains("[web] listen: ") && waits.contains("in use"), "{waits}");
    daemon.until_said(WAITS);
    let sync = run(&mut stage, "rosterd sync");
    assert!(sync.exit == 1 && sync.lines.concat().contains("[web] listen: "), "{:?}", sync.lines);
    drop(taken);
    daemon.until_said("the HTTP interface is open");
    manager.until("READY=1");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_start_that_waits_can_be_told_to_stop() {
    let mut stage = stage();
    let _taken = taken_address(&stage);
    let mut for_the_address = Daemon::start(&stage);
    for_the_address.until_said(WAITS);
    for_the_address.signal("TERM");
    assert_eq!(for_the_address.ended(), Some(0));
    stage.hold_state();
    let mut for_the_state = Daemon::start(&stage);
    for_the_state.until_said(WAITS);
    for_the_state.signal("INT");
    assert_eq!(for_the_state.ended(), Some(0));
}

#[test]
fn no_event_shortens_the_wait_for_a_register_that_is_away() {
    // Each event had the register tried again at once.
    let mut stage = stage();
    stage.configure("\n[sync]\ninterval = \"1h\"\n");
    let path = stage.path("rosterd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("[mailchimp]", "busy_timeout = \"50ms\"\n[mailchimp]")).unwrap();
    stage.register.lock();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said(TRIED);
    let spool = Spool::beside(&stage.path("state.db"));
    for number in 0..5 {
        let body = format!("type=profile&data[email]=e{number}%40alliance.test");
        spool.put(&[Received { source: Source::Spool, at: Clock::System.now(), body }]).unwrap();
        daemon.until_said("events were received");
    }
    assert_eq!(run(&mut stage, "rosterd sync").exit, 1);
    daemon.until_said(TRIED);
    let tries = daemon.log.iter().filter(|line| line.contains(TRIED)).count();
    assert_eq!(tries, 2, "at the start, and for whoever asked:\n{}", daemon.log.join("\n"));
    stage.register.unlock();
    assert_eq!(run(&mut stage, "rosterd sync").exit, 0);
}

#[test]
fn a_configuration_that_is_read_again_while_the_register_is_away_is_in_force_at_once() {
    let stage = stage();
    stage.register.lock();
    let mut daemon = Daemon::start(&stage);
    daemon.until_said(TRIED);
    stage.configure(&format!("{EVERY_SECOND}[web]\nlisten = \"127.0.0.1:0\"\n"));
    daemon.signal("HUP");
    daemon.until_said("the HTTP interface is open");
    assert!(!daemon.log.concat().contains("rosterd is running"), "{:?}", daemon.log);
    stage.register.unlock();
    daemon.until_said("rosterd is running");
}

#[test]
fn a_second_daemon_of_one_state_is_refused_and_what_only_a_person_can_mend_is_final() {
    let stage = stage();
    let mut first = Daemon::start(&stage);
    first.until_said("cycle.kind");
    let mut second = Daemon::start(&stage);
    assert_eq!(second.ended(), Some(1), "the first one does the work");
    assert!(second.log.concat().contains("is held by process"), "{:?}", second.log);
    first.signal("TERM");
    assert_eq!(first.ended(), Some(0));
    stage.configure("\n[sync]\ninterval = \"soon\"\n");
    assert_eq!(Daemon::start(&stage).ended(), Some(2));
}
