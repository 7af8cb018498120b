//! Throws chance at the laws of `webhook_body`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::webhook_body::check(bytes));
