//! The register, whatever its store: every call runs aside from the runtime's threads, over a link to the store.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::aside::aside;
use crate::model::{EmailAddress, Key, Registration, RegistrationId};
use crate::reconcile::policy::RegisterFeatures;
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::link::Link;
use crate::registrations::{
    Changes, CreateOutcome, LocalCursor, NewRegistration, ReadRegistrations, Reading, RegisterError,
    RowChanges, WriteOutcome, WriteRegistrations, changes, read, write,
};

/// What is done over a link.
pub(super) type Work<'w> = dyn FnMut(&Link<'_>) -> Result<(), Fault> + 'w;

/// Where links come from: a file, or a server. Calls wait.
pub(super) trait Store: Send + Sync {
    /// Where it is, for people; no password.
    fn place(&self) -> &str;

    /// Where everything in it is.
    fn layout(&self) -> Arc<Layout>;

    /// A text that tells this register from others.
    fn identity(&self) -> Result<String, Fault>;

    /// Whether somebody else changed it since this was last asked, where it can tell.
    fn was_changed(&self) -> Result<bool, Fault>;

    /// Does work over a link to it.
    fn link(&self, work: &mut Work<'_>) -> Result<(), Fault>;
}

/// A register in a SQL database.
pub struct SqlRegister {
    store: Arc<dyn Store>,
    layout: Arc<Layout>,
}

impl SqlRegister {
    pub(super) fn new(store: impl Store + 'static) -> Self {
        let layout = store.layout();
        Self { store: Arc::new(store), layout }
    }

    /// Does `work` over a link; `row` names what a refusal is about.
    async fn run<T: Send + 'static>(
        &self,
        row: &str,
        work: impl FnOnce(&Link<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, RegisterError> {
        let store = Arc::clone(&self.store);
        on_a_thread(self.store.place(), row, move || over(store.as_ref(), work)).await
    }
}

/// Does work that is done once, and says what came of it.
fn over<T>(store: &dyn Store, work: impl FnOnce(&Link<'_>) -> Result<T, Fault>) -> Result<T, Fault> {
    let (mut work, mut done) = (Some(work), None);
    store.link(&mut |link| {
        if let Some(work) = work.take() {
            done = Some(work(link)?);
        }
        Ok(())
    })?;
    done.ok_or_else(|| Fault::Failed(Box::from("the store did nothing")))
}

/// Runs blocking work where it blocks nobody, and says what went wrong in the words of the contract.
pub(super) async fn on_a_thread<T: Send + 'static>(
    place: &str,
    row: &str,
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, RegisterError> {
    match aside(work).await {
        Ok(result) => result.map_err(|fault| fault.at(place, row)),
        Err(panic) => Err(RegisterError::Failed { place: place.to_owned(), source: Box::new(panic) }),
    }
}

impl fmt::Debug for SqlRegister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let table = &self.layout.table.name;
        f.debug_struct("SqlRegister").field("place", &self.store.place()).field("table", table).finish()
    }
}

#[async_trait]
impl ReadRegistrations for SqlRegister {
    fn features(&self) -> RegisterFeatures {
        self.layout.features()
    }

    fn holds(&self, key: &Key) -> bool {
        self.layout.holds(key)
    }

    async fn identity(&self) -> Result<String, RegisterError> {
        let store = Arc::clone(&self.store);
        on_a_thread(self.store.place(), "-", move || store.identity()).await
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

    async fn was_changed(&self) -> Result<bool, RegisterError> {
        let store = Arc::clone(&self.store);
        on_a_thread(self.store.place(), "-", move || store.was_changed()).await
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
impl WriteRegistrations for SqlRegister {
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
