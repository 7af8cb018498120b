//! Throws chance at the laws of `batch_archive`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::batch_archive::check(bytes));
