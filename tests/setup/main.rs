//! The commands that set Rosterd up, through the program itself, against a sandbox served in the test.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod checking;
mod fitting;
mod init;
mod provisioning;
mod sandbox;
mod servers;
#[path = "../registrations/site.rs"]
#[allow(dead_code, reason = "the contract of registers asks for more")]
mod site;
mod stage;
#[path = "../registrations/stores.rs"]
#[allow(dead_code, reason = "the contract of registers asks for more")]
mod stores;
#[path = "../registrations/tap.rs"]
#[allow(dead_code, reason = "the contract of registers asks for more")]
mod tap;
mod webhook;
