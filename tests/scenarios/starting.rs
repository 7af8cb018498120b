//! The daemon's start where something is in its way: what passes by itself is waited for.

use std::net::TcpListener;

use crate::daemon::{Daemon, EVERY_SECOND, stage};
use crate::program::run;
use crate::stage::Stage;
use crate::supervised::Manager;

/// What is said of a start that waits.
const WAITS: &str = "the start waits";

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
