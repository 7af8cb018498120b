//! Where a register is: a file, or a server that a URL names, whose password is never shown.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;

use crate::registrations::RegisterError;

/// Where a register is.
#[derive(Clone, Debug)]
pub enum RegisterPlace {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database on a server.
    Server(ServerPlace),
}

/// A database on a server, and how to reach it.
#[derive(Clone)]
pub struct ServerPlace {
    pub(super) options: ServerOptions,
    /// The place as people are shown it: scheme, host, port and database.
    shown: String,
}

/// How to reach a server.
#[derive(Clone)]
pub(super) enum ServerOptions {
    /// PostgreSQL.
    Postgres(Box<PgConnectOptions>),
    /// MySQL or MariaDB.
    Mysql(Box<MySqlConnectOptions>),
}

/// The parameters that a PostgreSQL URL may have.
const POSTGRES_KEYS: [&str; 8] =
    ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "port", "options", "statement-cache-capacity"];

/// The parameters that a MySQL URL may have.
const MYSQL_KEYS: [&str; 6] =
    ["ssl-mode", "ssl-ca", "ssl-cert", "ssl-key", "socket", "statement-cache-capacity"];

impl RegisterPlace {
    /// Reads `postgres://USER@HOST/DATABASE` or `mysql://USER@HOST/DATABASE`, without ever repeating the URL, which may
    /// hold a password.
    pub fn server(url: &str) -> Result<Self, RegisterError> {
        ServerPlace::parse(url.trim())
            .map(Self::Server)
            .map_err(|problem| RegisterError::Mapping { place: "[registrations] url".to_owned(), problem })
    }
}

impl ServerPlace {
    fn parse(url: &str) -> Result<Self, String> {
        let scheme = url.split_once(':').unwrap_or_default().0.to_ascii_lowercase();
        match scheme.as_str() {
            "postgres" | "postgresql" => {
                check_keys(url, &POSTGRES_KEYS)?;
                let options = PgConnectOptions::from_str(url).map_err(|_| unreadable("postgres"))?;
                let place = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => format!("{}:{}", options.get_host(), options.get_port()),
                };
                let database = options.get_database().unwrap_or_else(|| options.get_username());
                let shown = format!("postgres://{place}/{database}");
                Ok(Self { options: ServerOptions::Postgres(Box::new(options)), shown })
            }
            "mysql" | "mariadb" => {
                check_keys(url, &MYSQL_KEYS)?;
                let options = MySqlConnectOptions::from_str(url).map_err(|_| unreadable("mysql"))?;
                let place = match options.get_socket() {
                    Some(socket) => socket.display().to_string(),
                    None => format!("{}:{}", options.get_host(), options.get_port()),
                };
                let Some(database) = options.get_database() else {
                    return Err("the url names no database; write mysql://USER@HOST/DATABASE".to_owned());
                };
                let shown = format!("mysql://{place}/{database}");
                Ok(Self { options: ServerOptions::Mysql(Box::new(options)), shown })
            }
            _ => Err("the url must begin with sqlite:, postgres: or mysql:".to_owned()),
        }
    }
}

/// Refuses parameters that nobody would heed: a slip in the name of `sslmode` would leave the connection open to all.
fn check_keys(url: &str, known: &[&str]) -> Result<(), String> {
    let query = url.split_once('?').map(|(_, query)| query.split('#').next().unwrap_or_default());
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let key = pair.split('=').next().unwrap_or_default();
        let key = percent_decode_str(key).decode_utf8_lossy();
        if !known.contains(&key.as_ref()) {
            return Err(format!("the url has the parameter {key:?}; known are {}", known.join(", ")));
        }
    }
    Ok(())
}

fn unreadable(scheme: &str) -> String {
    format!(
        "the url cannot be read; write {scheme}://USER@HOST/DATABASE, with what is not a letter or a digit in a password \
         as %XX, and check the parameters behind the question mark"
    )
}

impl fmt::Display for ServerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for ServerPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerPlace").field(&self.shown).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_without_user_and_password() {
        for (url, shown) in [
            ("postgres://web:s3cret@db.test/site", "postgres://db.test:5432/site"),
            ("postgresql://web@db.test:5433/site?sslmode=verify-full", "postgres://db.test:5433/site"),
            ("postgres://web:s3cret@localhost/site?host=/run/postgresql", "postgres:///run/postgresql/site"),
            ("mysql://web:s3cret@db.test/site?ssl-mode=VERIFY_IDENTITY", "mysql://db.test:3306/site"),
            ("mariadb://web:s3cret@db.test:3307/site", "mysql://db.test:3307/site"),
            ("mysql://web:s3cret@localhost/site?socket=/run/mysqld.sock", "mysql:///run/mysqld.sock/site"),
        ] {
            let RegisterPlace::Server(place) = RegisterPlace::server(url).unwrap() else { panic!("{url}") };
            assert_eq!(place.to_string(), shown);
            assert!(!format!("{place:?}").contains("s3cret"));
        }
    }

    #[test]
    fn a_url_that_cannot_be_read_is_refused_without_its_password() {
        for (url, part) in [
            ("oracle://web:s3cret@db/site", "postgres:"),
            ("postgres://web:s3cret@db:port/site", "postgres://USER@HOST"),
            ("postgres://web:s3cret@db/site?sslmode=s3cret", "parameters"),
            ("postgres://web:s3cret@db/site?sslmod=require", "\"sslmod\""),
            ("postgres://web@db/site?password=s3cret", "\"password\""),
            ("mysql://web:s3cret@db", "names no database"),
            ("mysql://web:s3cret@db/site?sslmode=s3cret", "\"sslmode\""),
            ("s3cret", "must begin"),
        ] {
            let said = RegisterPlace::server(url).unwrap_err().to_string();
            assert!(said.contains(part) && !said.contains("s3cret"), "{said}");
        }
    }
}
