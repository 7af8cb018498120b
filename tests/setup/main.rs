//! The commands that set Rosterd up, through the program itself, against a sandbox served in the test.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod checking;
mod fitting;
mod init;
mod provisioning;
mod sandbox;
mod stage;
mod webhook;
