//! What staff do at the command line, through the program itself, against a sandbox over real HTTP.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod deciding;
mod erasing;
mod events;
mod groups;
mod scene;
mod showing;
mod status;
