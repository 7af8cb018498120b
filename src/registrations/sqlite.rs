//! Registers in SQLite files: every call runs on a thread of its own, on one connection.

mod catalogue;
mod create;
mod fault;
mod file;
mod notices;
mod session;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::registrations::examine::{examine, try_to_write, unreadable};
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::Session;
use crate::registrations::mapping::{MappedValues, RegisterMapping};
use crate::registrations::register::{SqlRegister, Store, Work, on_a_thread};
use crate::registrations::sqlite::file::{Access, Opening, RegisterFile, connect, find_layout};
use crate::registrations::{RegisterError, RegisterReport};

pub use crate::registrations::sqlite::create::{create_register, run_script};

/// A SQLite file.
///
/// A file that was replaced (a restored backup) is noticed at the next call and opened anew.
struct FileStore {
    place: String,
    path: PathBuf,
    layout: Arc<Layout>,
    file: Mutex<RegisterFile>,
}

/// Opens the register in `path` for reading and writing; the file must be there.
pub async fn open_sqlite(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<SqlRegister, RegisterError> {
    open(path, mapping, values, Access::ReadWrite).await
}

/// Opens the register in `path` for reading only; no right to write is needed, neither to the file nor its directory.
pub async fn open_sqlite_read_only(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<SqlRegister, RegisterError> {
    open(path, mapping, values, Access::ReadOnly).await
}

async fn open(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
    access: Access,
) -> Result<SqlRegister, RegisterError> {
    let place = path.display().to_string();
    let opening = Opening { path: path.to_owned(), mapping: mapping.clone(), values: values.clone(), access };
    let file = on_a_thread(&place, "-", move || RegisterFile::open(opening)).await?;
    let layout = Arc::clone(&file.layout);
    Ok(SqlRegister::new(FileStore { place, path: path.to_owned(), layout, file: Mutex::new(file) }))
}

/// Looks at the register in `path`: what is missing, whether it can be written, what stands in it. Changes nothing.
///
/// Fails only where the file cannot be opened at all.
pub(super) async fn examine_sqlite(
    path: &Path,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<RegisterReport, RegisterError> {
    let opening = Opening {
        path: path.to_owned(),
        mapping: mapping.clone(),
        values: values.clone(),
        access: Access::ReadOnly,
    };
    on_a_thread(&path.display().to_string(), "-", move || {
        let (conn, ..) = connect(&opening)?;
        if let Err(problems) = find_layout(&conn, &opening)? {
            return Ok(unreadable(problems));
        }
        drop(conn);
        let (mapping, values) = (opening.mapping.clone(), opening.values.clone());
        let writing = Opening { access: Access::ReadWrite, ..opening.clone() };
        let tried = RegisterFile::open(writing).and_then(|file| try_to_write(&file.link()));
        examine(&RegisterFile::open(opening)?.link(), &mapping, &values, tried)
    })
    .await
}

impl Store for FileStore {
    fn place(&self) -> &str {
        &self.place
    }

    fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    fn identity(&self) -> Result<String, Fault> {
        let path = self.path.canonicalize().map_err(|error| Fault::Away(Box::new(error)))?;
        Ok(format!("sqlite:{}#{}", path.display(), self.layout.table.name))
    }

    fn was_changed(&self) -> Result<bool, Fault> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.refresh()?;
        file.was_changed()
    }

    fn link(&self, work: &mut Work<'_>) -> Result<(), Fault> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A panic in earlier work left its transaction open.
        file.session.roll_back();
        file.refresh()?;
        work(&file.link())?;
        file.confirm()
    }
}
