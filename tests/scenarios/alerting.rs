//! What ops are told by a command of theirs, and what is not given to it.

use std::path::PathBuf;

use rosterd::sandbox::{Fault, FaultKind};
use serde_json::Value;

use crate::daemon::{Daemon, EVERY_SECOND, stage};
use crate::program::command;
use crate::stage::Stage;
use crate::table::Table;

/// A command that keeps what it is told, a line for each time, and its environment beside it.
fn listening(stage: &Stage, more: &str) -> PathBuf {
    let (told, environment) = (stage.path("told"), stage.path("environment"));
    let script = format!("{{ cat; echo; }} >>{}; env >{}", told.display(), environment.display());
    let alerts =
        format!("[alerts]\non_alert = [\"/bin/sh\", \"-c\", \"{script}\"]\nat_most_every = \"1s\"\n");
    stage.configure(&format!("{EVERY_SECOND}{alerts}{more}"));
    told
}

/// The alerts of the first message.
fn first(told: &PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(told).unwrap();
    assert!(!text.contains('@'), "nobody is named: {text}");
    let message: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert!(message["state"].as_str().unwrap().ends_with("state.db"), "{message}");
    message["alerts"].as_array().unwrap().clone()
}

#[test]
fn what_is_held_is_told_once_with_the_command_that_shows_it() {
    let mut stage = Stage::build();
    let lines = ["email  first_name", "ada@alliance.test  Ada"].map(str::to_owned);
    stage.register.fill(&Table::parse(&lines), &[]);
    let told = listening(&stage, "");
    let mut daemon = Daemon::start_as(command(&stage));
    daemon.until_said("ops were told");
    let alerts = first(&told);
    assert_eq!((alerts[0]["kind"].as_str(), alerts[0]["count"].as_u64()), (Some("held"), Some(1)));
    let id = stage.holds()[0].0.clone();
    assert_eq!(alerts[0]["next"], format!("rosterd held {id}"));
    // It is still held when further cycles have ended.
    for _ in 0..3 {
        daemon.until_said("\"held\":1");
    }
    assert_eq!(std::fs::read_to_string(&told).unwrap().lines().count(), 1);
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
    stage.log.extend(daemon.said());
    crate::log::check(&mut stage);
}

#[test]
fn a_key_that_is_revoked_is_told_and_the_command_knows_none() {
    let stage = stage();
    let told = listening(&stage, "");
    let mut daemon = Daemon::start_as(command(&stage));
    daemon.until_said("cycle.kind");
    stage.audience.person().staff_revoke_key();
    daemon.until_said("ops were told");
    let alerts = first(&told);
    assert_eq!(alerts[0]["kind"], "fatal", "{alerts:?}");
    let environment = std::fs::read_to_string(stage.path("environment")).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("MAILCHIMP"), "{environment}");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn that_nothing_works_for_a_while_is_told_and_a_command_that_fails_is_run_again() {
    let stage = stage();
    let told = listening(&stage, "no_success_for = \"1s\"\n");
    let text = std::fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    let failing = text.replace("; env >", "; test -e environment || { env >environment; exit 1; }; env >");
    assert_ne!(failing, text);
    std::fs::write(stage.path("rosterd.toml"), failing).unwrap();
    stage.audience.sandbox.faults().add(Fault::new(FaultKind::Unavailable).always());
    let mut daemon = Daemon::start_as(command(&stage));
    daemon.until_said("ops could not be told");
    daemon.until_said("ops were told");
    let alerts = first(&told);
    assert_eq!(alerts[0]["kind"], "silent", "{alerts:?}");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_start_that_fails_is_told_once_until_it_was_mended() {
    // Nobody was told: ops hear only of a daemon that is up.
    let stage = stage();
    let wrong = "[privacy]\nlog_addresses = 3\n";
    let told = listening(&stage, wrong);
    let starts = || Daemon::start_as(command(&stage)).ended();
    let times = || std::fs::read_to_string(&told).unwrap().lines().count();
    assert_eq!((starts(), times()), (Some(2), 1));
    let alerts = first(&told);
    assert_eq!((&alerts[0]["kind"], &alerts[0]["next"]), (&"ended".into(), &"rosterd check".into()));
    assert!(alerts[0]["error"].as_str().unwrap().contains("[privacy] log_addresses"), "{alerts:?}");
    assert_eq!((starts(), times()), (Some(2), 1));
    listening(&stage, "");
    let mut mended = Daemon::start_as(command(&stage));
    mended.until_said("cycle.kind");
    mended.signal("TERM");
    assert_eq!(mended.ended(), Some(0));
    listening(&stage, wrong);
    assert_eq!((starts(), times()), (Some(2), 2));
}
