//! Hostile weather for the built program: a disk that fills, a register that vanishes and returns, a state that cannot be
//! written, a clock that jumps. Nothing is lost, nobody is mailed, and the next clean cycles make good what was left.
//!
//! What a machine does not let a test do is skipped, and the test says so.

mod clock;
mod disk;
mod register;
mod state;

use std::fmt::Display;
use std::process::Command;

use crate::people;
use crate::stage::Stage;

/// Both sides before they meet.
fn before_they_meet() -> Stage {
    let stage = Stage::build();
    people::before_they_meet(&stage);
    stage
}

/// Both sides after they met.
fn adopted() -> Stage {
    let stage = before_they_meet();
    stage.clean("sync --full --yes");
    stage
}

/// How often somebody's status was written to Mailchimp, and how often somebody was asked to confirm.
fn status_writes(stage: &Stage) -> (u64, u64) {
    let counters = stage.sandbox.counters();
    (counters.status_writes, counters.confirmation_mails.values().map(|mails| u64::from(*mails)).sum())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n")
}

#[expect(clippy::print_stdout, reason = "a test says what it skipped")]
fn skipped(why: impl Display) {
    println!("skipped: {why}");
}
