//! What archives may hold: answers, oddities, and what is meant to do harm.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::*;

const LIMITS: Limits = Limits { bytes: 4 << 20, entries: 50, answer_bytes: 256 << 10 };

fn row(id: &str, status: u16) -> Value {
    json!({"status_code": status, "operation_id": id, "response": json!({"id": id}).to_string()})
}

fn header(kind: tar::EntryType, size: usize) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(u64::try_from(size).unwrap());
    header.set_mode(0o644);
    header
}

/// A tar of these files, whatever their names: the builder would refuse some.
fn tar_of(files: &[(tar::EntryType, &str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (kind, name, content) in files {
        let mut header = header(*kind, content.len());
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn file(name: &'static str, rows: &[Value]) -> (tar::EntryType, &'static str, Vec<u8>) {
    (tar::EntryType::Regular, name, Value::from(rows).to_string().into_bytes())
}

fn read_with(archive: &[u8], limits: Limits) -> (Vec<String>, Extent) {
    let mut ids = Vec::new();
    let extent = read(archive, limits, &mut |answer| {
        ids.push(answer.id);
        true
    });
    (ids, extent)
}

#[track_caller]
fn check(archive: &[u8], ids: &[&str], is_whole: bool) {
    let (found, extent) = read_with(archive, LIMITS);
    assert_eq!((found, extent == Extent::Whole), (ids.iter().map(|id| (*id).to_owned()).collect(), is_whole));
}

#[test]
fn answers_are_read_from_every_file_with_or_without_compression() {
    let tar = tar_of(&[
        (tar::EntryType::Directory, "./", Vec::new()),
        file("a.json", &[row("1", 200), row("2", 400)]),
        (tar::EntryType::Regular, "empty.json", Vec::new()),
        file("./b.json", &[row("3", 200)]),
    ]);
    check(&gzip(&tar), &["1", "2", "3"], true);
    check(&tar, &["1", "2", "3"], true);
}

#[test]
fn an_answer_is_taken_as_it_is_documented_and_as_it_might_come() {
    let rows = [
        row("1", 404),
        json!({"status_code": "200", "operation_id": 2, "response": {"id": "x"}}),
        json!({"status_code": 204, "operation_id": "3", "response": null}),
        json!({"operation_id": "no status"}),
        json!({"status_code": 200, "operation_id": null}),
        json!("no object"),
    ];
    let mut answers = Vec::new();
    let extent = read(&gzip(&tar_of(&[file("a.json", &rows)])), LIMITS, &mut |answer| {
        answers.push((answer.id, answer.status, String::from_utf8(answer.body).unwrap()));
        true
    });
    let expected = [("1", 404, r#"{"id":"1"}"#), ("2", 200, r#"{"id":"x"}"#), ("3", 204, "")];
    assert_eq!(extent, Extent::Whole);
    assert_eq!(answers, expected.map(|(id, status, body)| (id.to_owned(), status, body.to_owned())));
}

#[test]
fn files_with_odd_paths_and_other_kinds_are_left_out() {
    let odd = ["../up.json", "/etc/passwd.json", "a/b.json", "a/../b.json", "plain.txt", "..", "json"];
    let mut files: Vec<_> = odd.iter().map(|name| file(name, &[row("odd", 200)])).collect();
    let links =
        [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo, tar::EntryType::XHeader];
    files.extend(
        links.map(|kind| (kind, "link.json", Value::from(vec![row("odd", 200)]).to_string().into_bytes())),
    );
    files.push(file("good.json", &[row("good", 200)]));
    check(&gzip(&tar_of(&files)), &["good"], true);
}

#[test]
fn a_name_of_endless_length_is_not_read() {
    let long = (tar::EntryType::GNULongName, "././@LongLink", vec![b'a'; 1 << 20]);
    check(&gzip(&tar_of(&[long, file("good.json", &[row("good", 200)])])), &["good"], true);
}

#[test]
fn what_was_read_before_the_archive_breaks_off_is_known() {
    let rows: Vec<Value> = (0..400).map(|id| row(&id.to_string(), 200)).collect();
    let tar = tar_of(&[file("a.json", &rows), file("b.json", &[row("last", 200)])]);
    let whole = gzip(&tar);
    let (all, _) = read_with(&whole, LIMITS);
    assert_eq!(all.len(), 401);
    for cut in [whole.len() / 2, whole.len() - 200] {
        let (ids, extent) = read_with(&whole[..cut], LIMITS);
        assert!(matches!(extent, Extent::Broken(_)), "{extent:?}");
        assert!(!ids.is_empty() && ids.len() < 401, "{}", ids.len());
        assert_eq!(ids[..], all[..ids.len()]);
    }
    let (ids, extent) = read_with(&tar[..6000], LIMITS);
    assert!(matches!(extent, Extent::Broken(_)) && ids.len() > 10, "{extent:?} {}", ids.len());
}

#[test]
fn a_file_that_is_no_array_of_answers_spoils_no_other() {
    let text = |text: &str| (tar::EntryType::Regular, "bad.json", text.as_bytes().to_vec());
    for bad in ["{}", "[1,", "<html>", "[] []", r#"[{"operation_id":"1""#, &"[".repeat(10_000)] {
        let tar = tar_of(&[file("a.json", &[row("a", 200)]), text(bad), file("c.json", &[row("c", 200)])]);
        check(&gzip(&tar), &["a", "c"], false);
    }
}

#[test]
fn what_is_no_archive_has_no_answers() {
    for odd in [&b""[..], b"<html>503</html>", b"\x1f\x8b", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 1, 2, 3]] {
        let (ids, _) = read_with(odd, LIMITS);
        assert_eq!(ids, Vec::<String>::new());
    }
}

#[test]
fn a_bomb_is_given_up() {
    let zeros = vec![b' '; 16 << 20];
    let bomb = gzip(&tar_of(&[
        file("a.json", &[row("a", 200)]),
        (tar::EntryType::Regular, "b.json", zeros.clone()),
    ]));
    assert!(bomb.len() < 200_000, "{}", bomb.len());
    check(&bomb, &["a"], false);
    let skipped =
        gzip(&tar_of(&[(tar::EntryType::Regular, "b.txt", zeros), file("c.json", &[row("c", 200)])]));
    check(&skipped, &[], false);
}

#[test]
fn one_answer_that_is_far_too_long_is_given_up() {
    let long = json!({"status_code": 200, "operation_id": "long", "response": "a".repeat(1 << 20)});
    let tar =
        tar_of(&[file("a.json", &[row("a", 200), long, row("b", 200)]), file("c.json", &[row("c", 200)])]);
    check(&gzip(&tar), &["a", "c"], false);
}

#[test]
fn many_entries_are_given_up() {
    let files: Vec<_> = (0..60).map(|_| file("a.json", &[row("a", 200)])).collect();
    let (ids, extent) = read_with(&gzip(&tar_of(&files)), LIMITS);
    assert_eq!((ids.len(), extent), (50, Extent::Broken("more than 50 entries".to_owned())));
}

#[test]
fn whoever_wants_no_more_is_told_no_more() {
    let tar = tar_of(&[file("a.json", &[row("1", 200), row("2", 200)]), file("b.json", &[row("3", 200)])]);
    let mut taken = 0;
    let extent = read(&gzip(&tar), LIMITS, &mut |_| {
        taken += 1;
        false
    });
    assert_eq!((taken, extent), (1, Extent::Enough));
}

#[test]
fn what_is_said_of_a_broken_archive_quotes_nothing_of_it() {
    let mut tar = tar_of(&[file("a.json", &[row("a", 200)])]);
    // An error of the tar's quoted what stood where the header's check sum should.
    tar[148..156].copy_from_slice(b"ada@a.te");
    let (ids, extent) = read_with(&tar, LIMITS);
    assert_eq!((ids, extent), (Vec::new(), Extent::Broken("other error".to_owned())));
    let large = tar_of(&[(tar::EntryType::Regular, "a.txt", vec![0; 5 << 20])]);
    let told = Extent::Broken("larger than any that the API describes".to_owned());
    assert_eq!(read_with(&gzip(&large), LIMITS).1, told);
}
