//! Throws chance at the laws of `register_value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::register_value::check(bytes));
