//! The configuration: the file, then the environment, then validation; all problems at once, each with its key.
//!
//! [`Config::load`] is called once, by the command line, and each adapter receives its own part. Commands that need
//! neither side read [`StateConfig::load`] and no secret.

mod alerts;
mod draft;
mod environment;
mod guard;
mod mailchimp;
mod mapping;
mod mistake;
mod privacy;
mod problem;
mod registrations;
mod secrets;
mod section;
mod state;
mod sync;
mod template;
mod values;
mod web;
mod web_address;
mod working_groups;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::de::DeTable;

pub use crate::config::alerts::AlertsConfig;
pub use crate::config::draft::Draft;
pub use crate::config::environment::{
    CONFIG_VARIABLE, Environment, LOCAL_PATH, LOG_VARIABLE, ProcessEnvironment, SYSTEM_PATH, journal_stream,
    locate, log_filter,
};
pub use crate::config::guard::{GuardConfig, Limit};
pub use crate::config::mailchimp::MailchimpConfig;
pub use crate::config::mapping::{FieldSource, InterestConfig, InterestTarget, MergeFieldConfig};
pub use crate::config::privacy::PrivacyConfig;
pub use crate::config::problem::{ConfigErrors, Problem};
pub use crate::config::registrations::{RegisterLocation, RegistrationsConfig};
pub use crate::config::state::StateConfig;
pub use crate::config::sync::SyncConfig;
pub use crate::config::template::TEMPLATE;
#[cfg(test)]
pub(crate) use crate::config::template::uncommented;
pub use crate::config::values::Share;
pub use crate::config::web::WebConfig;

use crate::config::mapping::Mapped;
use crate::config::section::{Document, Section};
use crate::config::working_groups::Taken;
use crate::reconcile::policy::{Policy, WorkingGroup};

/// What `rosterd init` calls the file.
const FILE_NAME: &str = "rosterd.toml";

/// Everything the file says, checked, with the secrets it points at.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file itself.
    pub path: PathBuf,
    /// The register.
    pub registrations: RegistrationsConfig,
    /// The audience.
    pub mailchimp: MailchimpConfig,
    /// Our own memory.
    pub state: StateConfig,
    /// How often, and who wins what.
    pub sync: SyncConfig,
    /// What a person is asked about.
    pub guard: GuardConfig,
    /// The merge fields, in the order of the file.
    pub merge_fields: Vec<MergeFieldConfig>,
    /// The dimensions, in the order of the file.
    pub interests: Vec<InterestConfig>,
    /// The working groups, in the order of the file, each with its tag.
    pub working_groups: Vec<WorkingGroup>,
    /// The HTTP interface; `None` where it is off.
    pub web: Option<WebConfig>,
    /// What is run when ops have to know of something; `None` where nothing is.
    pub alerts: Option<AlertsConfig>,
    /// What may be written where others read it.
    pub privacy: PrivacyConfig,
}

impl Config {
    /// Reads the file at `path` and the secrets it points at.
    ///
    /// # Errors
    ///
    /// All problems of the file together; the program exits with 2.
    pub fn load(path: &Path, environment: &dyn Environment) -> Result<Self, ConfigErrors> {
        Self::load_with::<toml::Table>(path, environment).map(|(config, _)| config)
    }

    /// The same, and reads the mapping of the register as an `M` (the register adapter's own type, which this layer
    /// does not know), so that a mistake in it is reported together with all others.
    ///
    /// # Errors
    ///
    /// All problems of the file together; the program exits with 2.
    pub fn load_with<M: DeserializeOwned>(
        path: &Path,
        environment: &dyn Environment,
    ) -> Result<(Self, M), ConfigErrors> {
        let text = read_file(path)?;
        Self::parse(path, &text, environment)
    }

    /// The part of the policy that the configuration alone decides; `fields`, `dimensions`, `subscribe_url` and
    /// `register` are left empty for whoever has seen the audience and the register.
    pub fn policy_seed(&self) -> Policy {
        Policy {
            new_local: self.sync.new_local,
            new_remote: self.sync.new_remote,
            resubscribe: self.sync.resubscribe,
            gone_local: self.sync.gone_local,
            prefer: self.sync.prefer,
            working_groups: self.working_groups.clone(),
            ..Policy::default()
        }
    }

    fn parse<M: DeserializeOwned>(
        path: &Path,
        text: &str,
        environment: &dyn Environment,
    ) -> Result<(Self, M), ConfigErrors> {
        Draft::parse(path, text, environment).complete()
    }
}

impl StateConfig {
    /// Reads where the state is and nothing else, for commands that need neither side and may know no secret.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no TOML, or its `[state]` is wrong; the program exits with 2.
    pub fn load(path: &Path) -> Result<Self, ConfigErrors> {
        let text = read_file(path)?;
        let table = parse_toml(path, &text)?;
        let document = Document::new(path, &text, &ProcessEnvironment);
        let read = document.root(&table).table("state", state::read).flatten();
        document.verdict()?;
        read.ok_or_else(|| whole_file(path, "cannot be read".to_owned()))
    }
}

impl AlertsConfig {
    /// Reads who is to be told, and where the state is, of a file in which everything else may be wrong; `None` where nobody
    /// is named, or these two are wrong themselves.
    pub fn load(path: &Path, environment: &dyn Environment) -> Option<(Self, StateConfig)> {
        let text = read_file(path).ok()?;
        let table = parse_toml(path, &text).ok()?;
        let document = Document::new(path, &text, environment);
        let mut root = document.root(&table);
        let state = root.table("state", state::read).flatten();
        let alerts = root.optional_table("alerts", alerts::read).flatten();
        document.verdict().ok()?;
        alerts.zip(state)
    }
}

impl RegisterLocation {
    /// Reads where a register is from one line of `[registrations]`, for whoever is about to write the file.
    ///
    /// # Errors
    ///
    /// What would be wrong with the line; the program exits with 2.
    pub fn of_line(line: &str, environment: &dyn Environment) -> Result<Self, ConfigErrors> {
        let (path, text) = (Path::new(FILE_NAME), format!("[registrations]\n{line}\n"));
        let table = parse_toml(path, &text)?;
        let document = Document::new(path, &text, environment);
        let read = document.root(&table).table("registrations", registrations::read::<toml::Table>);
        document.verdict()?;
        let (config, _) = read.unwrap_or_default();
        config.map(|config| config.location).ok_or_else(|| whole_file(path, "cannot be read".to_owned()))
    }
}

fn read_root<M: DeserializeOwned>(path: &Path, mut root: Section<'_>) -> Draft<M> {
    let (registrations, register_mapping) =
        root.table("registrations", registrations::read::<M>).unwrap_or_default();
    let mailchimp = root.table("mailchimp", mailchimp::read).flatten();
    let state = root.table("state", state::read).flatten();
    let sync = root.table("sync", sync::read).flatten();
    let guard = root.table("guard", guard::read).flatten();
    let mut mapped = Mapped::default();
    let merge_fields = root.tables("merge_field", |section| {
        let field = mapping::read_merge_field(section, &mut mapped)?;
        if let Some(registrations) = &registrations {
            mapping::refuse_reserved(section, &field, &registrations.mapping);
        }
        Some(field)
    });
    let interests = root.tables("interest", |section| mapping::read_interest(section, &mut mapped));
    let mut taken = Taken::default();
    let working_groups =
        root.tables("working_group", |section| working_groups::read(section, &mapped, &mut taken));
    let web = root.optional_table("web", web::read);
    let alerts = root.optional_table("alerts", alerts::read).flatten();
    let privacy = root.optional_table("privacy", privacy::read).unwrap_or_default();
    root.finish();
    Draft {
        registrations,
        register_mapping,
        mailchimp,
        state,
        sync,
        guard,
        merge_fields,
        interests,
        working_groups,
        web,
        alerts,
        privacy,
        ..Draft::nothing(path, None)
    }
}

fn read_file(path: &Path) -> Result<String, ConfigErrors> {
    fs::read_to_string(path).map_err(|error| {
        let advice = match error.kind() {
            ErrorKind::NotFound => "`rosterd init` writes one".to_owned(),
            ErrorKind::IsADirectory => format!("name the file in it, {}", path.join(FILE_NAME).display()),
            ErrorKind::PermissionDenied => "let the user who runs rosterd read it".to_owned(),
            _ => "name a file of text".to_owned(),
        };
        whole_file(path, format!("cannot be read: {error}; {advice}"))
    })
}

/// Parses the text; a broken text is all that can be said about the file.
fn parse_toml<'t>(path: &Path, text: &'t str) -> Result<DeTable<'t>, ConfigErrors> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table.into_inner());
    }
    let problems = errors.iter().map(|error| {
        let place = error.span().map(|span| section::line_and_column(text, span.start));
        Problem { place, key: String::new(), said: error.message().to_owned() }
    });
    Err(ConfigErrors { path: path.to_owned(), problems: problems.collect() })
}

fn whole_file(path: &Path, said: String) -> ConfigErrors {
    let problem = Problem { place: None, key: String::new(), said };
    ConfigErrors { path: path.to_owned(), problems: vec![problem] }
}

#[cfg(test)]
mod tests;
