//! What can be read of a file whatever is wrong with the rest: for `check`, which looks at both sides all the same.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::config::section::Document;
use crate::config::{
    AlertsConfig, Config, ConfigErrors, Environment, GuardConfig, InterestConfig, MailchimpConfig,
    MergeFieldConfig, PrivacyConfig, RegistrationsConfig, StateConfig, SyncConfig, WebConfig, parse_toml,
    read_file, read_root, whole_file,
};
use crate::reconcile::policy::WorkingGroup;

/// The sections of a file that can be read, and everything that is wrong with it.
///
/// What is wrong within a section may leave the rest of it usable; then the default stands for what is wrong.
#[derive(Clone, Debug)]
pub struct Draft<M> {
    /// The file itself.
    pub path: PathBuf,
    /// Where the register is.
    pub registrations: Option<RegistrationsConfig>,
    /// How its tables and columns are called.
    pub register_mapping: Option<M>,
    /// The audience.
    pub mailchimp: Option<MailchimpConfig>,
    /// Our own memory.
    pub state: Option<StateConfig>,
    /// How often, and who wins what.
    pub sync: Option<SyncConfig>,
    /// What a person is asked about.
    pub guard: Option<GuardConfig>,
    /// The merge fields that can be read, in the order of the file.
    pub merge_fields: Vec<MergeFieldConfig>,
    /// The dimensions that can be read, in the order of the file.
    pub interests: Vec<InterestConfig>,
    /// The working groups that can be read, in the order of the file.
    pub working_groups: Vec<WorkingGroup>,
    /// The HTTP interface; `None` where it is off.
    pub web: Option<WebConfig>,
    /// What is run when ops have to know of something.
    pub alerts: Option<AlertsConfig>,
    /// What may be written where others read it.
    pub privacy: PrivacyConfig,
    /// Everything that is wrong with the file.
    pub errors: Option<ConfigErrors>,
}

impl<M: DeserializeOwned> Draft<M> {
    /// Reads what can be read of the file at `path`, and the secrets it points at.
    pub fn load(path: &Path, environment: &dyn Environment) -> Self {
        match read_file(path) {
            Ok(text) => Self::parse(path, &text, environment),
            Err(errors) => Self::nothing(path, Some(errors)),
        }
    }

    /// Nothing that could be read.
    pub(crate) fn nothing(path: &Path, errors: Option<ConfigErrors>) -> Self {
        Self {
            path: path.to_owned(),
            registrations: None,
            register_mapping: None,
            mailchimp: None,
            state: None,
            sync: None,
            guard: None,
            merge_fields: Vec::new(),
            interests: Vec::new(),
            working_groups: Vec::new(),
            web: None,
            alerts: None,
            privacy: PrivacyConfig::default(),
            errors,
        }
    }

    pub(crate) fn parse(path: &Path, text: &str, environment: &dyn Environment) -> Self {
        let table = match parse_toml(path, text) {
            Ok(table) => table,
            Err(errors) => return Self::nothing(path, Some(errors)),
        };
        let document = Document::new(path, text, environment);
        let read = read_root::<M>(path, document.root(&table));
        Self { errors: document.verdict().err(), ..read }
    }

    /// The whole configuration with the mapping of the register, where nothing is wrong with the file.
    ///
    /// # Errors
    ///
    /// All problems of the file together.
    pub fn complete(self) -> Result<(Config, M), ConfigErrors> {
        let Self { path, registrations, register_mapping, mailchimp, state, sync, guard, .. } = self;
        if let Some(errors) = self.errors {
            return Err(errors);
        }
        // Whoever yields nothing has noted why: a verdict without a problem comes with every section.
        let missing = || whole_file(&path, "cannot be read".to_owned());
        let mapping = register_mapping.ok_or_else(missing)?;
        let config = Config {
            registrations: registrations.ok_or_else(missing)?,
            mailchimp: mailchimp.ok_or_else(missing)?,
            state: state.ok_or_else(missing)?,
            sync: sync.ok_or_else(missing)?,
            guard: guard.ok_or_else(missing)?,
            merge_fields: self.merge_fields,
            interests: self.interests,
            working_groups: self.working_groups,
            web: self.web,
            alerts: self.alerts,
            privacy: self.privacy,
            path,
        };
        Ok((config, mapping))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_mistake_in_one_section_leaves_the_others_readable() {
        let text = "[registrations]\nurl = \"sqlite:r.db\"\n[mailchimp]\naudience = \"a1\"\napi_key_env = \"KEY\"\n\
                    [sync]\nintervall = \"1m\"\n[[merge_field]]\ncolumn = \"a\"\ntag = \"A\"\n[[merge_field]]\ntag = \"B\"\n";
        let environment: BTreeMap<String, String> = BTreeMap::new();
        let draft = Draft::<toml::Table>::parse(Path::new("a.toml"), text, &environment);
        assert!(draft.registrations.is_some() && draft.mailchimp.is_none() && draft.sync.is_some());
        assert_eq!(draft.merge_fields.len(), 1);
        assert_eq!(draft.errors.as_ref().unwrap().problems.len(), 3);
        assert_eq!(draft.complete().unwrap_err().problems.len(), 3);
    }
}
