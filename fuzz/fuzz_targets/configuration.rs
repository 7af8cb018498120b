//! Throws chance at the laws of `configuration`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::configuration::check(bytes));
