//! Results of batches. The bytes: one that says what the rest is (an archive as it comes, a tar to be compressed, files to
//! be put into one, each a name, zero, its content and zero), one that says where it is cut off, then the rest.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use rosterd::mailchimp::batch::archive::{Extent, Limits, RawAnswer, read};
use rosterd::mailchimp::batch::{BatchAnswer, MAX_OPERATIONS};
use rosterd::mailchimp::refusal::chain;
use rosterd::mailchimp::{AudienceError, ReadAudience};

use super::stage;

/// Small enough for chance to meet them.
const LIMITS: Limits = Limits { bytes: 256 * 1024, entries: 16, answer_bytes: 4 * 1024 };

/// How much larger an answer may be than its text: numbers are written out.
const WRITTEN_OUT: usize = 8;

/// No archive gives more than its limits allow, unpacks otherwise than it came, or makes a success of a failure.
pub fn check(bytes: &[u8]) {
    let [kind, cut, rest @ ..] = bytes else { return };
    let archive = match kind % 3 {
        0 => rest.to_vec(),
        1 => gzip(rest),
        _ => gzip(&tar_of(rest)),
    };
    let (answers, extent) = within_limits(&archive);
    let whole = archive.len() * usize::from(*cut) / 255;
    let (before, cut_off) = within_limits(&archive[..whole]);
    assert!(answers.starts_with(&before), "what is cut off is read otherwise");
    assert!(
        cut_off != Extent::Whole || extent == Extent::Whole || before == answers || whole < archive.len()
    );
    enough(&archive, &answers);
    if kind % 3 == 1 {
        assert_eq!(within_limits(rest).0, answers, "compression changes nothing");
    }
    through_the_client(archive);
}

fn within_limits(archive: &[u8]) -> (Vec<RawAnswer>, Extent) {
    let mut answers = Vec::new();
    let extent = read(archive, LIMITS, &mut |answer| {
        answers.push(answer);
        true
    });
    assert_ne!(extent, Extent::Enough, "more was wanted");
    let most = usize::try_from(LIMITS.answer_bytes).unwrap() * WRITTEN_OUT;
    assert!(answers.iter().all(|answer| answer.body.len() + answer.id.len() <= most));
    let all: usize = answers.iter().map(|answer| answer.body.len()).sum();
    assert!(all <= usize::try_from(LIMITS.bytes).unwrap() * WRITTEN_OUT);
    if let Extent::Broken(said) = &extent {
        stage::harmless(said);
    }
    (answers, extent)
}

/// Whoever wants no more is asked no more.
fn enough(archive: &[u8], answers: &[RawAnswer]) {
    let mut n_taken = 0;
    let extent = read(archive, LIMITS, &mut |_| {
        n_taken += 1;
        false
    });
    assert_eq!(n_taken, usize::from(!answers.is_empty()));
    assert_eq!(extent == Extent::Enough, !answers.is_empty());
}

fn through_the_client(archive: Vec<u8>) {
    let client = stage::client(move |request| {
        if request.target.starts_with('/') {
            return stage::json(200, br#"{"tags":[]}"#);
        }
        stage::response(200, "application/gzip", &archive)
    });
    let schema = stage::schema();
    match stage::watched(client.batch_results(&schema, "https://results.test/r1.tar.gz")) {
        Ok((answers, _)) => {
            assert!(answers.len() <= MAX_OPERATIONS);
            answers.iter().for_each(of_one);
        }
        Err(error @ AudienceError::Unreadable { .. }) => stage::harmless(&chain(&error)),
        Err(error) => panic!("an archive that was fetched is {error}"),
    }
}

fn of_one(answer: &BatchAnswer) {
    match &answer.outcome {
        Ok(contact) => assert!(!contact.path_id.is_empty()),
        Err(AudienceError::Unreadable { said }) => panic!("a write cannot be unreadable: {said}"),
        Err(error) => stage::nameless(&chain(error)),
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar of files with whatever names.
fn tar_of(bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut parts = bytes.split(|byte| *byte == 0);
    while let (Some(name), Some(content)) = (parts.next(), parts.next()) {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(u64::try_from(content.len()).unwrap());
        header.set_mode(0o644);
        let name = &name[..name.len().min(100)];
        header.as_mut_bytes()[..name.len()].copy_from_slice(name);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}
