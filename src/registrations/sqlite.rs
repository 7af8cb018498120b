//! Registers in SQLite files: every call runs on a thread of its own, on one connection.

mod catalogue;
mod cells;
mod changes;
mod create;
mod examine;
mod fault;
mod link;
mod position;
mod read;
mod statements;
mod write;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::aside::aside;
use crate::model::{EmailAddress, Key, Registration, RegistrationId};
use crate::reconcile::policy::RegisterFeatures;
use crate::registrations::layout::Layout;
use crate::registrations::mapping::{MappedValues, RegisterMapping};
use crate::registrations::sqlite::fault::Fault;
use crate::registrations::sqlite::link::{Access, Link, Opening};
use crate::registrations::{
    Changes, CreateOutcome, LocalCursor, NewRegistration, ReadRegistrations, Reading, RegisterError,
    RowChanges, WriteOutcome, WriteRegistrations,
};

pub use crate::registrations::sqlite::create::{create_register, run_script};
pub(super) use crate::registrations::sqlite::examine::examine_sqlite;

/// A register in a SQLite file.
///
/// A file that was replaced (a restored backup) is noticed at the next call and opened anew.
pub struct SqliteRegister {
    place: String,
    path: PathBuf,
    table: String,
    features: RegisterFeatures,
    layout: Arc<Layout>,
    link: Arc<Mutex<Link>>,
}

/// Opens the register in `path` for reading and writing; the file must be there.
pub async fn open_sqlite(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<SqliteRegister, RegisterError> {
    SqliteRegister::open(path, mapping, values, Access::ReadWrite).await
}

/// Opens the register in `path` for reading only; no right to write is needed, neither to the file nor its directory.
pub async fn open_sqlite_read_only(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<SqliteRegister, RegisterError> {
    SqliteRegister::open(path, mapping, values, Access::ReadOnly).await
}

impl SqliteRegister {
    async fn open(
        path: &Path,
        mapping: &RegisterMapping,
        values: &MappedValues,
        access: Access,
    ) -> Result<Self, RegisterError> {
        let place = path.display().to_string();
        let opening =
            Opening { path: path.to_owned(), mapping: mapping.clone(), values: values.clone(), access };
        let link = on_a_thread(&place, "-", move || Link::open(opening)).await?;
        Ok(Self {
            place,
            path: path.to_owned(),
            table: link.layout.table.clone(),
            features: link.layout.features(),
            layout: Arc::clone(&link.layout),
            link: Arc::new(Mutex::new(link)),
        })
    }

    /// Runs `work` on the connection; `row` names what a refusal is about.
    async fn run<T: Send + 'static>(
        &self,
        row: &str,
        work: impl FnOnce(&mut Link) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RegisterError> {
        let link = Arc::clone(&self.link);
        on_a_thread(&self.place, row, move || {
            // A panic in earlier work rolled its transaction back: the connection is as good as before.
            let mut link = link.lock().unwrap_or_else(PoisonError::into_inner);
            link.refresh()?;
            let result = work(&mut link)?;
            link.confirm()?;
            Ok(result)
        })
        .await
    }
}

/// Runs blocking work where it blocks nobody, and says what went wrong in the words of the contract.
async fn on_a_thread<T: Send + 'static>(
    place: &str,
    row: &str,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, RegisterError> {
    match aside(work).await {
        Ok(result) => result.map_err(|fault| fault.at(place, row)),
        Err(panic) => Err(RegisterError::Failed { place: place.to_owned(), source: Box::new(panic) }),
    }
}

impl fmt::Debug for SqliteRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteRegister").field("path", &self.path).field("table", &self.table).finish()
    }
}

#[async_trait]
impl ReadRegistrations for SqliteRegister {
    fn features(&self) -> RegisterFeatures {
        self.features
    }

    fn holds(&self, key: &Key) -> bool {
        self.layout.holds(key)
    }

    async fn identity(&self) -> Result<String, RegisterError> {
        let (path, table) = (self.path.clone(), self.table.clone());
        on_a_thread(&self.place, "-", move || {
            let path = path.canonicalize().map_err(|error| Fault::Away(Box::new(error)))?;
            Ok(format!("sqlite:{}#{table}", path.display()))
        })
        .await
    }

    async fn page(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<Reading>, RegisterError> {
        let after = after.cloned();
        self.run("-", move |link| read::page(link, after.as_ref(), limit)).await
    }

    async fn cursor(&self) -> Result<LocalCursor, RegisterError> {
        self.run("-", changes::cursor).await
    }

    async fn changes(&self, cursor: &LocalCursor, limit: usize) -> Result<Option<Changes>, RegisterError> {
        let cursor = cursor.clone();
        self.run("-", move |link| changes::changes(link, &cursor, limit)).await
    }

    async fn by_id(&self, ids: &[RegistrationId]) -> Result<Vec<Reading>, RegisterError> {
        let ids = ids.to_vec();
        self.run("-", move |link| read::by_id(link, &ids)).await
    }

    async fn by_email(&self, email: &EmailAddress) -> Result<Vec<Reading>, RegisterError> {
        let email = email.clone();
        self.run("-", move |link| read::by_email(link, &email)).await
    }

    async fn ids(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<RegistrationId>, RegisterError> {
        let after = after.cloned();
        self.run("-", move |link| read::ids(link, after.as_ref(), limit)).await
    }
}

#[async_trait]
impl WriteRegistrations for SqliteRegister {
    async fn write(&self, seen: &Registration, changes: &RowChanges) -> Result<WriteOutcome, RegisterError> {
        let (seen, changes) = (seen.clone(), changes.clone());
        let row = seen.id.to_string();
        self.run(&row, move |link| write::write(link, &seen, &changes)).await
    }

    async fn create(&self, new: &NewRegistration) -> Result<CreateOutcome, RegisterError> {
        let new = new.clone();
        self.run("(new)", move |link| write::create(link, &new)).await
    }

    async fn note(&self, id: &RegistrationId, note: &str) -> Result<(), RegisterError> {
        let (id, note, row) = (id.clone(), note.to_owned(), id.to_string());
        self.run(&row, move |link| write::note(link, &id, &note)).await
    }

    async fn drop_orphaned_groups(&self) -> Result<u64, RegisterError> {
        self.run("-", write::drop_orphaned_groups).await
    }

    async fn erase(&self, ids: &[RegistrationId]) -> Result<(), RegisterError> {
        let ids = ids.to_vec();
        let row = ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.run(&row, move |link| write::erase(link, &ids)).await
    }
}
