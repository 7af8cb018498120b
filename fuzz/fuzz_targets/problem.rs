//! Throws chance at the laws of `problem`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::problem::check(bytes));
