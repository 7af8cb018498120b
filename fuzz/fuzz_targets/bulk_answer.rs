//! Throws chance at the laws of `bulk_answer`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::bulk_answer::check(bytes));
