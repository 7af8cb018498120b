//! The configuration file. The bytes: its text.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use rosterd::config::{ConfigErrors, Draft, StateConfig};
use rosterd::registrations::mapping::RegisterMapping;
use tempfile::NamedTempFile;

use super::stage;

/// Variables that the text may point at, all of them secret.
const VARIABLES: [&str; 3] = ["MAILCHIMP_API_KEY", "REGISTER_URL", "TOKEN"];

thread_local! {
    static FILE: RefCell<NamedTempFile> = RefCell::new({
        let memory = tempfile::NamedTempFile::new_in("/dev/shm");
        memory.or_else(|_| tempfile::NamedTempFile::new()).unwrap()
    });
}

/// A file is right, or everything that is wrong with it is told, each at its place, and never a secret.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    FILE.with_borrow_mut(|file| {
        std::fs::write(file.path(), text).unwrap();
        of_a_file(file.path(), text);
    });
}

fn of_a_file(path: &Path, text: &str) {
    let url = format!("postgres://web:{}@db/site", stage::KEY);
    let values = [stage::KEY, &url, stage::KEY].map(str::to_owned);
    let environment: BTreeMap<String, String> =
        VARIABLES.into_iter().map(str::to_owned).zip(values).collect();
    let load = || Draft::<RegisterMapping>::load(path, &environment);
    let draft = load();
    kept_secret(&format!("{draft:?}"));
    if let Some(errors) = &draft.errors {
        of_errors(errors, text);
    }
    let state = StateConfig::load(path);
    match (draft.errors.is_some(), draft.complete(), load().complete()) {
        (true, Err(errors), Err(again)) => assert_eq!(errors, again),
        (false, Ok((config, mapping)), Ok((again, mapping_again))) => {
            assert_eq!(format!("{config:?}"), format!("{again:?}"));
            assert_eq!(mapping, mapping_again);
            assert_eq!(state.expect("a part of what is right is right"), config.state);
            assert!((1..=10).contains(&config.mailchimp.connections));
            assert!(!config.sync.interval.is_zero() && !config.sync.full_interval.is_zero());
            assert!(!config.mailchimp.audience.is_empty());
            kept_secret(&format!("{:?}", config.policy_seed()));
        }
        (_, one, other) => panic!("{one:?} and then {other:?}"),
    }
}

fn of_errors(errors: &ConfigErrors, text: &str) {
    assert!(!errors.problems.is_empty(), "something is wrong, and nothing is told");
    kept_secret(&errors.to_string());
    let lines: Vec<&str> = text.split('\n').collect();
    for problem in &errors.problems {
        assert!(!problem.said.is_empty());
        let Some((line, column)) = problem.place else { continue };
        let there = lines.get(line - 1).unwrap_or_else(|| panic!("there is no line {line}: {problem}"));
        assert!(column <= there.chars().count() + 1, "line {line} has no column {column}: {problem}");
    }
}

fn kept_secret(said: &str) {
    assert!(!said.contains(stage::KEY), "a secret is told: {said}");
}
