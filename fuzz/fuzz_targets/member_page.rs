//! Throws chance at the laws of `member_page`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rosterd_fuzz::member_page::check(bytes));
