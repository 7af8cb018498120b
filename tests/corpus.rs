//! The seeds of `fuzz/corpus`, held against the laws of `fuzz/src` with every run; `just fuzz` throws chance at the same.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[expect(unreachable_pub, reason = "the fuzz targets use it from another crate")]
#[path = "../fuzz/src/lib.rs"]
mod laws;

use std::fs;
use std::path::Path;

#[track_caller]
fn check(target: &str, law: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut n_seeds = 0;
    for seed in fs::read_dir(seeds).unwrap() {
        let bytes = fs::read(seed.unwrap().path()).unwrap();
        // Seeds are whole by their nature: cut off, they are tried too.
        law(&bytes);
        for cut in 1..=8 {
            law(&bytes[..bytes.len() * cut / 9]);
        }
        n_seeds += 1;
    }
    assert!(n_seeds > 2, "{target} has {n_seeds} seeds");
}

#[test]
fn the_seeds_of_every_parser_keep_its_laws() {
    check("audience_schema", laws::audience_schema::check);
    check("batch_archive", laws::batch_archive::check);
    check("bulk_answer", laws::bulk_answer::check);
    check("configuration", laws::configuration::check);
    check("field_value", laws::field_value::check);
    check("member_page", laws::member_page::check);
    check("problem", laws::problem::check);
    check("register_value", laws::register_value::check);
    check("webhook_body", laws::webhook_body::check);
}
