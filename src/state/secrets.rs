//! Secrets that others give us and that no configuration can hold: in a file of their own beside the state, mode 0600.
//!
//! The state itself is backed up and shown around; this file is not, and losing it loses nobody.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};

use crate::state::error::StateError;
use crate::state::lock::beside;
use crate::state::owner::{folder_of, give_away};

const ENDING: &str = ".secrets";
const SIGNING: &str = "webhook_signing_secret";
const SIGNING_BEFORE: &str = "webhook_signing_secret_before";
const CHANGED_AT: &str = "webhook_signing_secret_changed_at";
/// How long the secret before the latest counts, too.
const BOTH_COUNT: SignedDuration = SignedDuration::from_hours(24);

/// Where the secrets of the state at `state` are.
pub fn secrets_path(state: &Path) -> PathBuf {
    beside(state, ENDING)
}

/// What Mailchimp may sign its webhook's calls with, as [`keep_signing_secret`] kept it.
///
/// The latest comes first. For a day the one before it counts, too: calls that were signed with that are tried again for 75
/// minutes.
///
/// # Errors
///
/// [`StateError::Inaccessible`], [`StateError::Damaged`].
pub fn signing_secrets(state: &Path, now: Timestamp) -> Result<Vec<SecretString>, StateError> {
    let mut secrets = read(&secrets_path(state))?;
    let changed_at = secrets.get(CHANGED_AT).and_then(|at| at.parse::<Timestamp>().ok());
    let fresh = changed_at.is_some_and(|at| now.duration_since(at).abs() < BOTH_COUNT);
    let before = secrets.remove(SIGNING_BEFORE).filter(|_| fresh);
    Ok(secrets.remove(SIGNING).into_iter().chain(before).map(SecretString::from).collect())
}

/// Keeps what Mailchimp signs its webhook's calls with: Mailchimp tells it once. The file is replaced as a whole.
///
/// # Errors
///
/// [`StateError::Inaccessible`], [`StateError::Damaged`].
pub fn keep_signing_secret(state: &Path, secret: &SecretString, now: Timestamp) -> Result<(), StateError> {
    let path = secrets_path(state);
    let mut secrets = read(&path)?;
    if let Some(before) = secrets.insert(SIGNING.to_owned(), secret.expose_secret().to_owned()) {
        secrets.insert(SIGNING_BEFORE.to_owned(), before);
        secrets.insert(CHANGED_AT.to_owned(), now.to_string());
    }
    write(&path, &secrets).map_err(|source| inaccessible(&path, source))
}

/// Tries whether a secret could be kept, before one is asked for that is told only once.
///
/// # Errors
///
/// [`StateError::Inaccessible`], [`StateError::Damaged`].
pub fn can_keep_secrets(state: &Path) -> Result<(), StateError> {
    let path = secrets_path(state);
    let secrets = read(&path)?;
    let trial = beside(&path, ".new");
    write(&trial, &secrets)
        .and_then(|()| fs::remove_file(&trial))
        .map_err(|source| inaccessible(&path, source))
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, StateError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => return Err(inaccessible(path, source)),
    };
    serde_json::from_slice(&text).map_err(|error| {
        // The error's own words may quote the text: say where and of which kind only.
        let source = format!("line {}, column {}: {:?}", error.line(), error.column(), error.classify());
        StateError::Damaged { path: path.to_owned(), source: source.into() }
    })
}

/// Writes a file that only its owner may read, beside the old one and then in its place.
fn write(path: &Path, secrets: &BTreeMap<String, String>) -> std::io::Result<()> {
    let directory = folder_of(path);
    // Created with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(serde_json::to_string(secrets)?.as_bytes())?;
    file.write_all(b"\n")?;
    give_away(file.as_file(), directory)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    File::open(directory)?.sync_all()
}

fn inaccessible(path: &Path, source: std::io::Error) -> StateError {
    StateError::of_system(path, source)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::state::sample::{later, now};

    #[test]
    fn a_secret_is_kept_for_the_owner_alone_and_replaced_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        assert_eq!(known(&state, 0), [""; 0]);
        keep_signing_secret(&state, &SecretString::from("first"), now()).unwrap();
        can_keep_secrets(&state).unwrap();
        let names: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["state.db.secrets"]);
        let mode = fs::metadata(secrets_path(&state)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    fn known(state: &Path, hours: i64) -> Vec<String> {
        let secrets = signing_secrets(state, later(hours * 3_600)).unwrap();
        secrets.iter().map(|secret| secret.expose_secret().to_owned()).collect()
    }

    #[test]
    fn while_a_secret_changes_the_one_before_it_counts_too() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        let keep = |secret: &str, at| keep_signing_secret(&state, &SecretString::from(secret), at).unwrap();
        keep("first", now());
        assert_eq!(known(&state, 100), ["first"]);
        keep("second", later(3_600));
        assert_eq!(known(&state, 24), ["second", "first"]);
        assert_eq!(known(&state, 25), ["second"]);
        keep("third", later(26 * 3_600));
        assert_eq!(known(&state, 26), ["third", "second"]);
    }

    #[test]
    fn a_damaged_file_is_said_without_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        fs::write(secrets_path(&state), "hush").unwrap();
        let error = signing_secrets(&state, now()).unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }));
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}
