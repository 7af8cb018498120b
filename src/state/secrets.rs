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
use crate::state::lock::{self, beside};
use crate::state::owner::{folder_of, give_away};

const ENDING: &str = ".secrets";
/// What Mailchimp told once, and [`keep_signing_secret`] kept.
const TOLD: &str = "webhook_signing_secret";
/// What the configuration said when it was last read: it does not say what it said before.
const CONFIGURED: &str = "configured_webhook_signing_secret";
/// How long the secret before the latest counts, too: calls that were signed with that are tried again for 75 minutes.
const BOTH_COUNT: SignedDuration = SignedDuration::from_hours(24);

/// Where the secrets of the state at `state` are.
pub fn secrets_path(state: &Path) -> PathBuf {
    beside(state, ENDING)
}

/// What Mailchimp may sign its webhook's calls with: what is `configured`, and what [`keep_signing_secret`] kept.
///
/// For a day the one before either counts, too, beside another one: where the last was taken away, there is none.
///
/// # Errors
///
/// [`StateError::Inaccessible`], [`StateError::Damaged`].
pub fn signing_secrets(
    state: &Path,
    configured: Option<&SecretString>,
    now: Timestamp,
) -> Result<Vec<SecretString>, StateError> {
    let mut secrets = read(&secrets_path(state))?;
    let told = secrets.remove(TOLD).map(SecretString::from);
    let mut known: Vec<SecretString> = configured.cloned().into_iter().chain(told).collect();
    if !known.is_empty() {
        let earlier = [CONFIGURED, TOLD].into_iter().filter_map(|name| {
            let changed_at = secrets.get(&changed_at(name))?.parse::<Timestamp>().ok()?;
            let is_fresh = now.duration_since(changed_at).abs() < BOTH_COUNT;
            secrets.get(&before(name)).filter(|_| is_fresh).map(|secret| SecretString::from(secret.as_str()))
        });
        known.extend(earlier);
    }
    Ok(known)
}

/// Keeps what Mailchimp signs its webhook's calls with: Mailchimp tells it once. The file is replaced as a whole.
///
/// # Errors
///
/// [`StateError::Inaccessible`], [`StateError::Damaged`].
pub fn keep_signing_secret(state: &Path, secret: &SecretString, now: Timestamp) -> Result<(), StateError> {
    keep(state, TOLD, Some(secret), now)
}

/// Keeps what the configuration says that Mailchimp signs with, so that the next start knows what it said before. Nothing is
/// written where it says the same.
///
/// # Errors
///
/// [`StateError::Inaccessible`], [`StateError::Damaged`].
pub fn keep_configured_secret(
    state: &Path,
    secret: Option<&SecretString>,
    now: Timestamp,
) -> Result<(), StateError> {
    keep(state, CONFIGURED, secret, now)
}

fn keep(state: &Path, name: &str, secret: Option<&SecretString>, now: Timestamp) -> Result<(), StateError> {
    let path = secrets_path(state);
    // Held until this returns: a command and the daemon may keep something at the same time.
    let lock = lock::open(&beside(&path, ".lock")).and_then(|lock| lock.lock().map(|()| lock));
    let _lock = lock.map_err(|source| inaccessible(&path, source))?;
    let mut secrets = read(&path)?;
    let secret = secret.map(|secret| secret.expose_secret().to_owned());
    let was = match secret.clone() {
        Some(secret) => secrets.insert(name.to_owned(), secret),
        None => secrets.remove(name),
    };
    let is_new = was != secret;
    let n_outdated = drop_outdated(&mut secrets, now);
    if !is_new && n_outdated == 0 {
        return Ok(());
    }
    if let Some(was) = was.filter(|_| is_new) {
        secrets.insert(before(name), was);
        secrets.insert(changed_at(name), now.to_string());
    }
    write(&path, &secrets).map_err(|source| inaccessible(&path, source))
}

/// Forgets what counts no more; says how many.
fn drop_outdated(secrets: &mut BTreeMap<String, String>, now: Timestamp) -> usize {
    let outdated = [CONFIGURED, TOLD].into_iter().filter(|name| {
        let changed_at = secrets.get(&changed_at(name)).and_then(|at| at.parse::<Timestamp>().ok());
        changed_at.is_some_and(|at| now.duration_since(at).abs() >= BOTH_COUNT)
    });
    let outdated: Vec<&str> = outdated.collect();
    for name in &outdated {
        secrets.remove(&before(name));
        secrets.remove(&changed_at(name));
    }
    outdated.len()
}

fn before(name: &str) -> String {
    format!("{name}_before")
}

fn changed_at(name: &str) -> String {
    format!("{name}_changed_at")
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
        let mut names: Vec<_> =
            fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["state.db.secrets", "state.db.secrets.lock"]);
        let mode = fs::metadata(secrets_path(&state)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    fn known(state: &Path, hours: i64) -> Vec<String> {
        known_beside(state, None, hours)
    }

    fn known_beside(state: &Path, configured: Option<&str>, hours: i64) -> Vec<String> {
        let configured = configured.map(SecretString::from);
        let secrets = signing_secrets(state, configured.as_ref(), later(hours * 3_600)).unwrap();
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
        keep("third", later(27 * 3_600));
        assert_eq!(known(&state, 27), ["third", "second"], "told the same once more");
    }

    #[test]
    fn what_the_configuration_said_before_counts_beside_another_one_for_a_day_whoever_started_since() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        let configure = |secret: Option<&str>, hours: i64| {
            let secret = secret.map(SecretString::from);
            keep_configured_secret(&state, secret.as_ref(), later(hours * 3_600)).unwrap();
        };
        configure(None, 0);
        assert!(!secrets_path(&state).exists(), "nothing is kept where there is nothing");
        configure(Some("first"), 0);
        assert_eq!(known_beside(&state, Some("first"), 0), ["first"]);
        configure(Some("second"), 1);
        configure(Some("second"), 2);
        assert_eq!(known_beside(&state, Some("second"), 24), ["second", "first"]);
        assert_eq!(known_beside(&state, Some("second"), 25), ["second"]);
        configure(Some("second"), 26);
        assert!(!fs::read_to_string(secrets_path(&state)).unwrap().contains("first"), "it is kept no longer");
        configure(None, 30);
        assert_eq!(known(&state, 30), [""; 0], "it was taken away");
        keep_signing_secret(&state, &SecretString::from("told"), later(30 * 3_600)).unwrap();
        assert_eq!(known(&state, 31), ["told", "second"], "Mailchimp told another one in its place");
        assert_eq!(known(&state, 54), ["told"]);
    }

    #[test]
    fn a_damaged_file_is_said_without_its_content() {
        let directory = tempfile::tempdir().unwrap();
        let state = directory.path().join("state.db");
        fs::write(secrets_path(&state), "hush").unwrap();
        let error = signing_secrets(&state, None, now()).unwrap_err();
        assert!(matches!(error, StateError::Damaged { .. }));
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
    }
}
