//! The process environment: the only place that reads its variables.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where a configuration lies on an installed system.
pub const SYSTEM_PATH: &str = "/etc/rosterd/rosterd.toml";

/// Where a configuration lies while one is tried out.
pub const LOCAL_PATH: &str = "rosterd.toml";

/// Names the configuration file.
pub const CONFIG_VARIABLE: &str = "ROSTERD_CONFIG";

/// Says what is logged, in the words of `tracing-subscriber`'s filter: `rosterd=debug`.
pub const LOG_VARIABLE: &str = "ROSTERD_LOG";

/// Where the service manager keeps what it lets the service read: see `LoadCredential=` in `systemd.exec(5)`.
pub(crate) const CREDENTIALS_VARIABLE: &str = "CREDENTIALS_DIRECTORY";

/// Where variables are read from: the process, or a map in a test.
pub trait Environment {
    /// The value of the variable; `None` where it is not set, is empty or is not Unicode.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The variables of this process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

impl Environment for BTreeMap<String, String> {
    fn variable(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).cloned()
    }
}

/// The configuration file to use: the one asked for, else `$ROSTERD_CONFIG`, else the system's where it exists,
/// else the one in the working directory.
pub fn locate(asked: Option<&Path>, environment: &dyn Environment) -> PathBuf {
    let named =
        asked.map(Path::to_owned).or_else(|| environment.variable(CONFIG_VARIABLE).map(PathBuf::from));
    named.unwrap_or_else(|| {
        let system = Path::new(SYSTEM_PATH);
        if system.exists() { system.to_owned() } else { PathBuf::from(LOCAL_PATH) }
    })
}

/// The log filter that `$ROSTERD_LOG` names.
pub fn log_filter(environment: &dyn Environment) -> Option<String> {
    environment.variable(LOG_VARIABLE)
}

/// What the service manager says of the journal that standard error may be: its device and inode.
pub fn journal_stream(environment: &dyn Environment) -> Option<String> {
    environment.variable("JOURNAL_STREAM")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_asked_for_comes_before_the_variable_and_the_variable_before_the_defaults() {
        let set = BTreeMap::from([(CONFIG_VARIABLE.to_owned(), "/srv/a.toml".to_owned())]);
        assert_eq!(locate(Some(Path::new("b.toml")), &set), Path::new("b.toml"));
        assert_eq!(locate(None, &set), Path::new("/srv/a.toml"));
        let unset = BTreeMap::from([(CONFIG_VARIABLE.to_owned(), String::new())]);
        let default = if Path::new(SYSTEM_PATH).exists() { SYSTEM_PATH } else { LOCAL_PATH };
        assert_eq!(locate(None, &unset), Path::new(default));
    }
}
