//! Throws chance at the laws of `audience_schema`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::audience_schema::check(bytes));
