//! Secrets: read from a file (systemd credentials) or from the environment, never from the configuration itself.

use std::fs;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};

use crate::config::environment::CREDENTIALS_VARIABLE;
use crate::config::mistake::Mistake;
use crate::config::section::Section;
use crate::config::values;

/// Shorter secrets of our own HTTP interface could be guessed: 16 characters of hex are 64 bits.
const LEAST_SECRET: usize = 16;

/// Reads the secret that `NAME_file` or `NAME_env` points at; `None` where neither is given, or what is wrong is noted.
pub(crate) fn optional(section: &mut Section<'_>, name: &str) -> Option<SecretString> {
    section.refuse(name, &Mistake::SecretInFile { name: name.to_owned() });
    pointed_at(section, name)
}

/// The same where `NAME` itself may stand in the file, because it need not hold a secret.
pub(crate) fn pointed_at(section: &mut Section<'_>, name: &str) -> Option<SecretString> {
    let (file, env) = (format!("{name}_file"), format!("{name}_env"));
    match (section.read(&file, values::text), section.read(&env, values::text)) {
        (Some(_), Some(_)) => {
            section.problem(&env, &Mistake::ExactlyOne(vec![file, env.clone()]));
            None
        }
        (Some(path), None) => noted(section, &file, from_file(section, &path)),
        (None, Some(variable)) => noted(section, &env, from_variable(section, variable)),
        (None, None) => None,
    }
}

/// Reads a secret that must be given.
pub(crate) fn required(section: &mut Section<'_>, name: &str) -> Option<SecretString> {
    let (file, env) = (format!("{name}_file"), format!("{name}_env"));
    if !section.has(&file) && !section.has(&env) && !section.has(name) {
        section.problem(&file, &Mistake::ExactlyOne(vec![file.clone(), env]));
    }
    optional(section, name)
}

/// Reads a secret of our own HTTP interface: long enough not to be guessed, and fit for a path or a header.
pub(crate) fn token(section: &mut Section<'_>, name: &str) -> Option<SecretString> {
    let secret = optional(section, name)?;
    let text = secret.expose_secret();
    let fit = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    let verdict = match (text.len() < LEAST_SECRET, fit) {
        (true, _) => Err(Mistake::SecretShort { least: LEAST_SECRET }),
        (false, false) => Err(Mistake::SecretCharacters),
        (false, true) => Ok(secret),
    };
    noted(section, &given_key(section, name), verdict)
}

/// The key by which a secret was given: for problems with the secret itself.
pub(crate) fn given_key(section: &Section<'_>, name: &str) -> String {
    let file = format!("{name}_file");
    if section.has(&file) { file } else { format!("{name}_env") }
}

fn from_file(section: &Section<'_>, path: &str) -> Result<SecretString, Mistake> {
    let path = credential(section, path).unwrap_or_else(|| section.document.resolve(path));
    let read = fs::read_to_string(&path);
    let text = read
        .map_err(|error| Mistake::Unreadable { path: path.display().to_string(), said: error.to_string() })?;
    filled(text.trim_end_matches(['\r', '\n']))
}

/// The service manager's copy of a file that is named by a relative path: what it lets the service read of a file that
/// lies beside the configuration and that nobody but root may read.
fn credential(section: &Section<'_>, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let directory = section.document.environment.variable(CREDENTIALS_VARIABLE)?;
    let copy = Path::new(&directory).join(path.file_name()?);
    (path.is_relative() && copy.exists()).then_some(copy)
}

fn from_variable(section: &Section<'_>, variable: String) -> Result<SecretString, Mistake> {
    let value = section.document.environment.variable(&variable);
    filled(&value.ok_or(Mistake::VariableUnset(variable))?)
}

fn filled(text: &str) -> Result<SecretString, Mistake> {
    if text.trim().is_empty() { Err(Mistake::SecretEmpty) } else { Ok(SecretString::from(text)) }
}

fn noted(section: &Section<'_>, key: &str, read: Result<SecretString, Mistake>) -> Option<SecretString> {
    read.map_err(|mistake| section.problem(key, &mistake)).ok()
}
