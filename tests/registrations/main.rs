//! The contract of every register, held against each store and each layout of interests.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skipped")]

mod changes;
mod examining;
mod fields;
mod fixture;
mod lists;
mod odd_rows;
mod reading;
mod robustness;
mod schema;
mod schemas;
mod servers;
mod site;
mod standing;
mod stores;
mod tap;
mod words;
mod writing;
