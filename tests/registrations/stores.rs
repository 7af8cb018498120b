//! The stores that the contract is held against: SQLite always, a server where its address is in the environment.

use std::path::PathBuf;
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};

use rosterd::registrations::RegisterPlace;
use rusqlite::types::Value;
use tempfile::TempDir;

use crate::site::Site;

/// The stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Store {
    /// A SQLite file.
    Sqlite,
    /// The PostgreSQL server of `ROSTERD_TEST_POSTGRES`.
    Postgres,
    /// The MariaDB or MySQL server of `ROSTERD_TEST_MARIADB`.
    Mariadb,
}

impl Store {
    /// The stores that are there; what is left out is said once.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Sqlite].into_iter().chain(Self::servers())
    }

    /// The servers that are there.
    pub(crate) fn servers() -> impl Iterator<Item = Self> {
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            for store in [Self::Postgres, Self::Mariadb].into_iter().filter(|store| !store.is_there()) {
                eprintln!("skipped: registers on {store:?}: {} is not set", store.variable());
            }
        });
        [Self::Postgres, Self::Mariadb].into_iter().filter(|store| store.is_there())
    }

    /// Whether it is there.
    pub(crate) fn is_there(self) -> bool {
        self == Self::Sqlite || self.address().is_some()
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => "ROSTERD_TEST_POSTGRES",
            Self::Mariadb => "ROSTERD_TEST_MARIADB",
        }
    }

    /// The address of the server, with a database that is always there.
    pub(crate) fn address(self) -> Option<String> {
        std::env::var(self.variable()).ok().filter(|address| !address.is_empty())
    }

    /// A name, spelled for SQL.
    pub(crate) fn quoted(self, name: &str) -> String {
        match self {
            Self::Sqlite | Self::Postgres => format!("\"{}\"", name.replace('"', "\"\"")),
            Self::Mariadb => format!("`{}`", name.replace('`', "``")),
        }
    }

    /// A value, spelled for SQL.
    pub(crate) fn literal(self, value: &Value) -> String {
        match value {
            Value::Null => "NULL".to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Text(text) => {
                let text = text.replace('\'', "''");
                let text = if self == Self::Mariadb { text.replace('\\', "\\\\") } else { text };
                format!("'{text}'")
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A database of its own for one test, gone with it.
pub(crate) enum Database {
    /// A file.
    File {
        /// Where it is.
        path: PathBuf,
        /// Its directory, where that goes with it.
        directory: Option<TempDir>,
    },
    /// A database on a server.
    Server {
        /// Which.
        store: Store,
        /// Its name.
        name: String,
    },
}

impl Database {
    /// A file, perhaps in a directory that goes with it.
    pub(crate) fn file(path: PathBuf, directory: Option<TempDir>) -> Self {
        Self::File { path, directory }
    }

    /// A new, empty database.
    pub(crate) fn new(store: Store) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if store == Store::Sqlite {
            let directory = tempfile::tempdir().unwrap();
            return Self::file(directory.path().join("register.db"), Some(directory));
        }
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("rosterd_{}_{number}", std::process::id());
        let site = Site::server(store, &store.address().unwrap());
        site.run(&format!("DROP DATABASE IF EXISTS {name}"));
        site.run(&match store {
            Store::Mariadb => format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"),
            _ => format!("CREATE DATABASE {name} TEMPLATE template0"),
        });
        Self::Server { store, name }
    }

    pub(crate) fn store(&self) -> Store {
        match self {
            Self::File { .. } => Store::Sqlite,
            Self::Server { store, .. } => *store,
        }
    }

    /// Its address; for a file, its path.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::File { path, .. } => path.display().to_string(),
            Self::Server { store, name } => {
                let address = store.address().unwrap();
                let (server, _) = address.rsplit_once('/').unwrap();
                format!("{server}/{name}")
            }
        }
    }

    /// Where Rosterd finds it.
    pub(crate) fn place(&self) -> RegisterPlace {
        match self {
            Self::File { .. } => RegisterPlace::Sqlite(self.address().into()),
            Self::Server { .. } => RegisterPlace::server(&self.address()).unwrap(),
        }
    }

    /// The website beside it.
    pub(crate) fn site(&self) -> Site {
        match self {
            Self::File { .. } => Site::file(&self.address()),
            Self::Server { store, .. } => Site::server(*store, &self.address()),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        match self {
            Self::File { directory, .. } => drop(directory.take()),
            Self::Server { store, name } => {
                let force = if *store == Store::Postgres { " WITH (FORCE)" } else { "" };
                Site::server(*store, &store.address().unwrap()).run(&format!("DROP DATABASE {name}{force}"));
            }
        }
    }
}
