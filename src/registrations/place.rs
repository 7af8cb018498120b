//! Where a register is: the URL of the configuration, read.

use std::path::{Path, PathBuf};

use crate::registrations::RegisterError;

/// Where a register is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RegisterPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
}

impl RegisterPlace {
    /// Reads `sqlite:PATH` or `sqlite://PATH`; a relative path begins at `directory`.
    ///
    /// Refuses what this build cannot open, without repeating the URL, which may hold a password.
    pub fn parse(url: &str, directory: &Path) -> Result<Self, RegisterError> {
        let (scheme, rest) = url.trim().split_once(':').unwrap_or_default();
        let problem = match scheme.to_ascii_lowercase().as_str() {
            "sqlite" => {
                let path = rest.strip_prefix("//").unwrap_or(rest);
                if !path.is_empty() {
                    return Ok(Self::Sqlite(directory.join(path)));
                }
                "the url names no file; write sqlite:PATH"
            }
            "postgres" | "postgresql" => "this build cannot open PostgreSQL registers, only sqlite:PATH",
            "mysql" | "mariadb" => "this build cannot open MySQL registers, only sqlite:PATH",
            _ => "the url must begin with sqlite:",
        };
        Err(RegisterError::Mapping { place: "[registrations] url".to_owned(), problem: problem.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_files_from_the_directory_of_the_configuration() {
        let cases = [
            ("sqlite:register.db", "/etc/rosterd/register.db"),
            ("sqlite://register.db", "/etc/rosterd/register.db"),
            ("sqlite:/var/lib/site/register.db", "/var/lib/site/register.db"),
            ("SQLite:///var/lib/my site/r.db", "/var/lib/my site/r.db"),
        ];
        for (url, path) in cases {
            let place = RegisterPlace::parse(url, Path::new("/etc/rosterd")).unwrap();
            assert_eq!(place, RegisterPlace::Sqlite(PathBuf::from(path)), "{url}");
        }
    }

    #[test]
    fn other_stores_are_refused_without_their_password() {
        for (url, part) in [
            ("postgres://web:secret@db/site", "PostgreSQL"),
            ("mysql://web:secret@db/site", "MySQL"),
            ("register.db", "sqlite:"),
            ("sqlite:", "names no file"),
        ] {
            let said = RegisterPlace::parse(url, Path::new("/")).unwrap_err().to_string();
            assert!(said.contains(part) && !said.contains("secret"), "{said}");
        }
    }
}
