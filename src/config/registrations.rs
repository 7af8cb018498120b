//! `[registrations]`: where the register is; how its tables and columns are called is read by the register's own adapter.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use crate::config::mistake::Mistake;
use crate::config::secrets;
use crate::config::section;
use crate::config::section::Section;
use crate::config::values;

/// The keys that say where the register is; all others of the section are the mapping.
const PLACE_KEYS: [&str; 3] = ["url", "url_env", "url_file"];

/// The register.
#[derive(Clone, Debug)]
pub struct RegistrationsConfig {
    /// Where it is.
    pub location: RegisterLocation,
    /// The rest of the section as it stands: table, columns and the like, for the register's adapter to read.
    pub mapping: toml::Table,
}

/// Where the register is, and what kind of database it is.
#[derive(Clone, Debug)]
pub enum RegisterLocation {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A PostgreSQL address, `postgres://…`, with what may be a password in it.
    Postgres(SecretString),
    /// A MySQL or MariaDB address, `mysql://…`, with what may be a password in it.
    Mysql(SecretString),
}

/// Reads the section, and the mapping as an `M`, which knows the keys of the mapping and refuses others. The one is of
/// use without the other to whoever looks for mistakes.
pub(crate) fn read<M: DeserializeOwned>(
    section: &mut Section<'_>,
) -> (Option<RegistrationsConfig>, Option<M>) {
    let location = read_location(section);
    let rest = section.rest();
    let table = read_mapping::<toml::Table>(section, rest.clone());
    let mapping = read_mapping::<M>(section, rest);
    let config = location.zip(table).map(|(location, mapping)| RegistrationsConfig { location, mapping });
    (config, mapping)
}

fn read_location(section: &mut Section<'_>) -> Option<RegisterLocation> {
    let plain = section.read("url", values::text);
    if section.has("url") && (section.has("url_env") || section.has("url_file")) {
        section.problem("url", &Mistake::ExactlyOne(PLACE_KEYS.map(str::to_owned).to_vec()));
    }
    if PLACE_KEYS.iter().all(|key| !section.has(key)) {
        section.problem("url", &Mistake::ExactlyOne(PLACE_KEYS.map(str::to_owned).to_vec()));
    }
    let secret = secrets::pointed_at(section, "url");
    let (key, url) = match (plain, secret) {
        (Some(plain), None) => ("url".to_owned(), SecretString::from(plain)),
        (None, Some(secret)) => (secrets::given_key(section, "url"), secret),
        _ => return None,
    };
    let location = locate(section, &key, &url);
    location.map_err(|mistake| section.problem(&key, &mistake)).ok()
}

fn locate(section: &Section<'_>, key: &str, url: &SecretString) -> Result<RegisterLocation, Mistake> {
    let text = url.expose_secret().trim();
    let (scheme, rest) = text.split_once(':').ok_or(Mistake::RegisterUrl)?;
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    if key == "url" && holds_password(rest) {
        return Err(Mistake::RegisterPassword);
    }
    match scheme.to_ascii_lowercase().as_str() {
        _ if rest.is_empty() || rest.starts_with(':') => Err(Mistake::RegisterUrl),
        "sqlite" => Ok(RegisterLocation::Sqlite(section.document.resolve(rest))),
        "postgres" | "postgresql" => Ok(RegisterLocation::Postgres(SecretString::from(text))),
        "mysql" | "mariadb" => Ok(RegisterLocation::Mysql(SecretString::from(text))),
        _ => Err(Mistake::RegisterUrl),
    }
}

/// Whether an address names a password, before its host or among its parameters.
fn holds_password(rest: &str) -> bool {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let before_host = place.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'));
    before_host || query.to_lowercase().contains("password=")
}

/// Reads the mapping without what is wrong in it, all of which is noted.
fn read_mapping<M: DeserializeOwned>(section: &Section<'_>, table: Spanned<DeTable<'_>>) -> Option<M> {
    let at = table.span();
    let mut table = table.into_inner();
    let mut n_set_aside = 0;
    loop {
        let value = Spanned::new(at.clone(), DeValue::Table(table.clone()));
        let error = match M::deserialize(ValueDeserializer::from(value)) {
            Ok(mapping) => return Some(mapping),
            Err(error) => error,
        };
        let wrong = error.span().map_or(at.start, |span| span.start);
        // What is missing may have been set aside, and was told then.
        if n_set_aside == 0 || !error.message().starts_with("missing field") {
            note(section, &error, wrong);
        }
        // What was found is set aside, to find what is behind it.
        if !remove(&mut table, wrong) {
            return None;
        }
        n_set_aside += 1;
    }
}

/// Removes the innermost entry that stands at this byte of the file; whether there was one.
fn remove(table: &mut DeTable<'_>, at: usize) -> bool {
    let inner = table.iter_mut().any(|(_, value)| match value.get_mut() {
        DeValue::Table(inner) => remove(inner, at),
        _ => false,
    });
    let here = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        (key.span().contains(&at) || value.span().contains(&at)).then(|| key.clone())
    };
    inner || table.iter().find_map(here).is_some_and(|key| table.remove(&key).is_some())
}

fn note(section: &Section<'_>, error: &toml::de::Error, at: usize) {
    let shown = error.to_string();
    // Serde's own message has no key; the printed form ends with it.
    let key = shown.lines().find_map(|line| line.strip_prefix("in `")?.strip_suffix('`')).unwrap_or_default();
    let name = section.name(key).trim_end().to_owned();
    section.document.problem(Some(at), name, &translate(error.message()));
}

/// Serde's words for an unknown key and an unknown word, in ours.
fn translate(said: &str) -> Mistake {
    let mut quoted = said.split('`').skip(1).step_by(2);
    let Some(found) = quoted.next() else { return Mistake::Said(said.to_owned()) };
    if said.starts_with("unknown field") {
        let nearest = section::nearest(found, quoted.chain(PLACE_KEYS));
        Mistake::UnknownIn { found: found.to_owned(), nearest }
    } else if said.starts_with("unknown variant") {
        Mistake::Said(format!("\"{found}\" is none of {}", quoted.collect::<Vec<_>>().join(", ")))
    } else {
        Mistake::Said(said.to_owned())
    }
}
