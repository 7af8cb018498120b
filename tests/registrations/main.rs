//! The contract of every register, held against each store and each layout of interests.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod changes;
mod examining;
mod fixture;
mod odd_rows;
mod reading;
mod robustness;
mod schema;
mod writing;
