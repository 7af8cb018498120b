//! Throws chance at the laws of `field_value`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::field_value::check(bytes));
