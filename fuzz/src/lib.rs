//! What holds whatever the bytes: the laws of every parser of foreign bytes, each a function that panics where one does
//! not hold.
//!
//! The targets in `fuzz_targets/` throw chance at them; `tests/corpus.rs` of the program replays `corpus/` with every
//! `cargo test`.

pub mod audience_schema;
pub mod batch_archive;
pub mod bulk_answer;
pub mod configuration;
pub mod field_value;
pub mod member_page;
pub mod problem;
pub mod register_value;
mod stage;
pub mod webhook_body;
