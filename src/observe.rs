//! Reads both sides into the mirror that the state keeps; writes to neither side.
//!
//! An incremental observation asks each side what changed since its cursor; a full one reads everything, several
//! pages at a time, and finds what no cursor shows: permanent deletions, rows removed without a trace, drift.

mod full;
mod incremental;
mod local;
mod missing;
mod named;

use std::sync::Arc;

use futures::future::try_join;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{AudienceError, ReadAudience};
use crate::progress::{Phase, Progress};
use crate::reconcile::guard::Limit;
use crate::registrations::{ReadRegistrations, RegisterError};
use crate::state::{Pending, State, StateError};

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// What changed since the cursors.
    Incremental,
    /// Everything.
    Full,
}

impl Scope {
    /// The word for it in reports and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Full => "full",
        }
    }
}

/// Both sides, for reading, with what an observation needs beside them.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The register.
    pub local: Arc<dyn ReadRegistrations>,
    /// The audience.
    pub remote: Arc<dyn ReadAudience>,
    /// The state, whose mirror takes what is read.
    pub state: State,
    /// The time.
    pub clock: Clock,
    /// How many requests may be under way at once.
    pub connections: usize,
    /// How many contacts may be missing at once before nothing is concluded from it.
    pub absences: Limit,
    /// Who wants to know how far it has come.
    pub progress: watch::Sender<Progress>,
    /// Set when the process is to stop: reading ends at the next page.
    pub stop: CancellationToken,
}

/// What an observation read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// Rows read.
    pub local: u64,
    /// Contacts read.
    pub remote: u64,
    /// Whether the lot of missing contacts was held: too many for comfort.
    pub missing_held: bool,
}

/// What goes wrong while reading.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// The register.
    #[error(transparent)]
    Local(#[from] RegisterError),
    /// The audience.
    #[error(transparent)]
    Remote(#[from] AudienceError),
    /// Our own state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The process was told to stop.
    #[error("stopped while reading")]
    Stopped,
}

impl ObserveError {
    /// Whether the configuration is at fault.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Local(error) => error.is_misconfigured(),
            Self::Remote(error) => error.is_misconfigured(),
            Self::State(error) => error.is_misconfigured(),
            Self::Stopped => false,
        }
    }
}

/// Reads both sides into the mirror.
pub async fn observe(
    sources: &Sources,
    schema: &AudienceSchema,
    scope: Scope,
) -> Result<Observed, ObserveError> {
    let mut observed = match scope {
        Scope::Incremental => {
            let (local, remote) =
                try_join(local::read_changes(sources), incremental::walk(sources, schema)).await?;
            Observed { local, remote, missing_held: false }
        }
        Scope::Full => {
            let (local, full) = try_join(local::read_all(sources), full::walk(sources, schema)).await?;
            full::follow_up(sources, schema, full.watermark).await?;
            let missing_held = missing::conclude(sources, schema).await?;
            sources.state.set_full_observed_at(sources.clock.now()).await?;
            Observed { local, remote: full.contacts, missing_held }
        }
    };
    observed.remote += named::read(sources, schema).await?;
    Ok(observed)
}

/// Reads what is in doubt and what was named, by itself and on both sides; says how many contacts were read.
pub async fn read_named(sources: &Sources, schema: &AudienceSchema) -> Result<u64, ObserveError> {
    named::read(sources, schema).await
}

/// Reads these of those who were named by themselves and on both sides; says how many contacts were read.
pub async fn read_these(
    sources: &Sources,
    schema: &AudienceSchema,
    named: Vec<Pending>,
) -> Result<u64, ObserveError> {
    named::read_these(sources, schema, named).await
}

impl Sources {
    fn report(&self, phase: Phase, done: u64, total: u64) {
        self.progress.send_replace(Progress { phase, done, total });
    }

    fn check_stop(&self) -> Result<(), ObserveError> {
        if self.stop.is_cancelled() { Err(ObserveError::Stopped) } else { Ok(()) }
    }
}
