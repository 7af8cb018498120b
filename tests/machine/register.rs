//! The register as the process has it: the real one, under whose hands people change rows, and watched.

use std::sync::Arc;

use async_trait::async_trait;
use rosterd::model::{EmailAddress, Key, Registration, RegistrationId};
use rosterd::reconcile::policy::RegisterFeatures;
use rosterd::registrations::{
    Changes, CreateOutcome, LocalCursor, NewRegistration, ReadRegistrations, Reading, RegisterError,
    RowChanges, SqlRegister, WriteOutcome, WriteRegistrations,
};

use crate::wire::Wire;

/// The register, and who watches it.
#[derive(Debug)]
pub(crate) struct WatchedRegister {
    register: Arc<SqlRegister>,
    wire: Wire,
}

impl WatchedRegister {
    pub(crate) fn new(register: Arc<SqlRegister>, wire: Wire) -> Self {
        Self { register, wire }
    }

    /// What happens before a write, between the observation and it.
    fn begin(&self) -> UnderWay<'_> {
        let mut inner = self.wire.lock();
        inner.before_row();
        inner.ground.looked.rows_under_way += 1;
        UnderWay(&self.wire)
    }
}

/// A write that is under way, until it ends or the process dies.
struct UnderWay<'a>(&'a Wire);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let looked = &mut self.0.lock().ground.looked;
        looked.rows_under_way -= 1;
        looked.rows = None;
    }
}

#[async_trait]
impl ReadRegistrations for WatchedRegister {
    fn features(&self) -> RegisterFeatures {
        self.register.features()
    }

    fn holds(&self, key: &Key) -> bool {
        self.register.holds(key)
    }

    async fn identity(&self) -> Result<String, RegisterError> {
        self.register.identity().await
    }

    async fn page(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<Reading>, RegisterError> {
        self.register.page(after, limit).await
    }

    async fn cursor(&self) -> Result<LocalCursor, RegisterError> {
        self.register.cursor().await
    }

    async fn changes(&self, cursor: &LocalCursor, limit: usize) -> Result<Option<Changes>, RegisterError> {
        self.register.changes(cursor, limit).await
    }

    async fn by_id(&self, ids: &[RegistrationId]) -> Result<Vec<Reading>, RegisterError> {
        self.register.by_id(ids).await
    }

    async fn by_email(&self, email: &EmailAddress) -> Result<Vec<Reading>, RegisterError> {
        self.register.by_email(email).await
    }

    async fn ids(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<RegistrationId>, RegisterError> {
        self.register.ids(after, limit).await
    }
}

#[async_trait]
impl WriteRegistrations for WatchedRegister {
    async fn write(&self, seen: &Registration, changes: &RowChanges) -> Result<WriteOutcome, RegisterError> {
        let _under_way = self.begin();
        self.register.write(seen, changes).await
    }

    async fn create(&self, new: &NewRegistration) -> Result<CreateOutcome, RegisterError> {
        let _under_way = self.begin();
        self.register.create(new).await
    }

    async fn note(&self, id: &RegistrationId, note: &str) -> Result<(), RegisterError> {
        let _under_way = self.begin();
        self.register.note(id, note).await
    }

    async fn drop_orphaned_groups(&self) -> Result<u64, RegisterError> {
        self.register.drop_orphaned_groups().await
    }

    async fn erase(&self, ids: &[RegistrationId]) -> Result<(), RegisterError> {
        self.register.erase(ids).await
    }
}
