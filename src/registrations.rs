//! The local side: a SQL database that a website writes.
//!
//! Two traits, so that a dry run is one by type: whoever holds only [`ReadRegistrations`] cannot write.

mod catalogue;
mod cell;
mod cells;
mod changes;
mod decode;
mod dialect;
mod examine;
mod fault;
mod layout;
mod link;
mod lists;
pub mod mapping;
mod mysql;
mod place;
mod position;
mod postgres;
mod query;
mod read;
mod register;
mod report;
mod resolve;
mod server;
mod sqlite;
mod statements;
mod times;
pub mod words;
mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::model::{
    EmailAddress, Key, Registration, RegistrationId, SubscriptionStatus, UnusableRegistration, Value,
};
use crate::reconcile::policy::RegisterFeatures;
use crate::registrations::mapping::{MappedValues, RegisterMapping};

use crate::registrations::server::Access;

pub use crate::registrations::place::{RegisterPlace, ServerPlace};
pub use crate::registrations::register::SqlRegister;
pub use crate::registrations::report::{MappingProblem, RegisterReport, Severity};
pub use crate::registrations::sqlite::{create_register, open_sqlite, open_sqlite_read_only, run_script};

/// Opens a register for reading and writing; everything that the mapping names must be there.
pub async fn open(
    place: &RegisterPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<Arc<dyn WriteRegistrations>, RegisterError> {
    match place {
        RegisterPlace::Sqlite(path) => Ok(Arc::new(open_sqlite(path, mapping, values).await?)),
        RegisterPlace::Server(place) => {
            Ok(Arc::new(server::open_server(place, mapping, values, Access::ReadWrite).await?))
        }
    }
}

/// Opens a register for reading only: no right to write is needed.
pub async fn open_read_only(
    place: &RegisterPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<Arc<dyn ReadRegistrations>, RegisterError> {
    match place {
        RegisterPlace::Sqlite(path) => Ok(Arc::new(open_sqlite_read_only(path, mapping, values).await?)),
        RegisterPlace::Server(place) => {
            Ok(Arc::new(server::open_server(place, mapping, values, Access::ReadOnly).await?))
        }
    }
}

/// Looks at a register for `check`: every problem at once, and its first rows. Fails only where it cannot be opened.
pub async fn examine(
    place: &RegisterPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<RegisterReport, RegisterError> {
    match place {
        RegisterPlace::Sqlite(path) => sqlite::examine_sqlite(path, mapping, values).await,
        RegisterPlace::Server(place) => server::examine_server(place, mapping, values).await,
    }
}

/// Creates an empty register with the tables of the default mapping; what is there is left alone.
pub async fn create(place: &RegisterPlace) -> Result<(), RegisterError> {
    match place {
        RegisterPlace::Sqlite(path) => create_register(path).await,
        RegisterPlace::Server(place) => server::create_on_server(place).await,
    }
}

/// A row as it was read: as a registration, or with what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A row that can be synchronized.
    Usable(Registration),
    /// A row that cannot, as it stands.
    Unusable(UnusableRegistration),
}

impl Reading {
    /// The row's key.
    pub fn id(&self) -> &RegistrationId {
        match self {
            Self::Usable(registration) => &registration.id,
            Self::Unusable(row) => &row.id,
        }
    }
}

/// The rows that can be synchronized, and those that cannot.
pub fn split(readings: Vec<Reading>) -> (Vec<Registration>, Vec<UnusableRegistration>) {
    let mut rows = (Vec::new(), Vec::new());
    for reading in readings {
        match reading {
            Reading::Usable(row) => rows.0.push(row),
            Reading::Unusable(row) => rows.1.push(row),
        }
    }
    rows
}

/// How far the changes of the store have been read; opaque to everybody but the store, and text in our state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalCursor(pub String);

/// One page of changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The rows that changed; rows that did not may be among them.
    pub rows: Vec<Reading>,
    /// The rows known to be removed (deleted, or marked so).
    pub removed: Vec<RegistrationId>,
    /// Where the next page begins.
    pub next: LocalCursor,
    /// Whether more pages follow at once.
    pub more: bool,
}

/// What a write sets on one row; `None` and absent keys are left alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowChanges {
    /// The address.
    pub email: Option<EmailAddress>,
    /// The status and when the person said so (`None`: now unknown, the column is set to NULL).
    pub status: Option<(SubscriptionStatus, Option<Timestamp>)>,
    /// The values, by key: fields, choices (empty for none), interests (to be there, or not).
    pub values: BTreeMap<Key, Value>,
    /// The link to the preference center.
    pub preferences_url: Option<String>,
    /// The note; empty for none (NULL).
    pub sync_note: Option<String>,
    /// The working groups.
    pub working_groups: Option<BTreeSet<String>>,
}

/// What came of a compare-and-set write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteOutcome {
    /// It was written; this is the row as it now stands.
    Written(Box<Registration>),
    /// The row cannot be synchronized as it stands: the opt-out is there, and nothing else was written.
    OptOutOnly,
    /// The row is not as it was observed: nothing was written.
    Changed,
    /// The row is gone: nothing was written.
    Gone,
}

/// A registration to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRegistration {
    /// The address.
    pub email: EmailAddress,
    /// The membership.
    pub membership: String,
    /// The status.
    pub status: SubscriptionStatus,
    /// When the person said so.
    pub status_changed_at: Option<Timestamp>,
    /// The values that say something.
    pub values: BTreeMap<Key, Value>,
}

/// What came of creating a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// It was created; this is the row as it now stands.
    Created(Box<Registration>),
    /// A row with this address is there by now: nothing was written.
    Exists,
}

/// What goes wrong with the store, by what is done about it.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// Locked or unreachable for longer than the busy time-out: the cycle fails and comes again.
    #[error("the register at {place} is busy or out of reach")]
    Busy {
        /// Which register.
        place: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The store refused this one row's write (a constraint, a trigger): the member is parked.
    #[error("the register refused to write row {row}: {said}")]
    Refused {
        /// The row.
        row: String,
        /// What the store said.
        said: String,
    },
    /// The store is not what the configuration says: a missing table or column, no permission.
    #[error("the register at {place} is not as configured: {problem}")]
    Mapping {
        /// Which register.
        place: String,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Anything else.
    #[error("the register at {place} failed")]
    Failed {
        /// Which register.
        place: String,
        /// What the store said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RegisterError {
    /// Whether the configuration is at fault: the register is not as it says.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Mapping { .. } => true,
            Self::Busy { .. } | Self::Refused { .. } | Self::Failed { .. } => false,
        }
    }

    /// Whether trying the same write again is useless until the row changes.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::Refused { .. })
    }
}

/// What the owner of a register can run in it so that changes are told at once; nothing where they are, or cannot be.
pub async fn telling_script(
    place: &RegisterPlace,
    mapping: &RegisterMapping,
    values: &MappedValues,
) -> Result<Option<String>, RegisterError> {
    match place {
        RegisterPlace::Sqlite(_) => Ok(None),
        RegisterPlace::Server(place) => server::telling_script(place, mapping, values).await,
    }
}

/// Reads the local side.
#[async_trait]
pub trait ReadRegistrations: Send + Sync + std::fmt::Debug {
    /// What the register can hold, from the mapping.
    fn features(&self) -> RegisterFeatures;

    /// Whether the register has a place for the value: a column for the field, a flag for the interest.
    /// A write of a value that it does not hold is refused.
    fn holds(&self, _key: &Key) -> bool {
        true
    }

    /// A text that tells this register from others (for a file: where it lies and a mark kept in it).
    async fn identity(&self) -> Result<String, RegisterError>;

    /// Up to `limit` rows in key order, those after `after`; shorter than `limit` at the end.
    async fn page(&self, after: Option<&RegistrationId>, limit: usize)
    -> Result<Vec<Reading>, RegisterError>;

    /// A cursor that stands at the present: taken before a full read, it misses nothing that comes later.
    async fn cursor(&self) -> Result<LocalCursor, RegisterError>;

    /// The rows changed since `cursor`, with overlap; `None` where the store cannot tell and must be read in full.
    async fn changes(&self, cursor: &LocalCursor, limit: usize) -> Result<Option<Changes>, RegisterError>;

    /// Whether somebody else changed the register since this was last asked, where the store tells so at next to no cost;
    /// `false` where it cannot. It is no promise: whoever asks reads what changed every now and then all the same.
    async fn was_changed(&self) -> Result<bool, RegisterError> {
        Ok(false)
    }

    /// The rows of these keys that are there.
    async fn by_id(&self, ids: &[RegistrationId]) -> Result<Vec<Reading>, RegisterError>;

    /// The rows that bear this address, without regard to case.
    async fn by_email(&self, email: &EmailAddress) -> Result<Vec<Reading>, RegisterError>;

    /// Up to `limit` keys of rows, in key order, those after `after`.
    async fn ids(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<RegistrationId>, RegisterError>;
}

/// Writes the local side.
#[async_trait]
pub trait WriteRegistrations: ReadRegistrations {
    /// Writes `changes` to the row that was observed as `seen`, if it still is as observed.
    ///
    /// Rosterd's own columns do not count as a difference. A row that cannot be synchronized as it stands takes an opt-out,
    /// whatever it was observed to be, and nothing else.
    async fn write(&self, seen: &Registration, changes: &RowChanges) -> Result<WriteOutcome, RegisterError>;

    /// Creates a registration unless a row with its address is there by now.
    async fn create(&self, new: &NewRegistration) -> Result<CreateOutcome, RegisterError>;

    /// Writes the note of a row that cannot be synchronized; empty for none.
    async fn note(&self, id: &RegistrationId, note: &str) -> Result<(), RegisterError>;

    /// Takes rows that are gone or no longer live out of the table of working groups; says how many places that were.
    /// Nothing where no such table is mapped.
    async fn drop_orphaned_groups(&self) -> Result<u64, RegisterError>;

    /// Removes these rows for good, with their interests: erasure on request.
    async fn erase(&self, ids: &[RegistrationId]) -> Result<(), RegisterError>;
}
