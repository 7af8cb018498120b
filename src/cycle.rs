//! One cycle: observe, reconcile, guard, apply, report.

mod attending;
mod error;
mod guarding;
mod policy;
mod prepare;
mod report;
mod rounds;
mod staging;

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::mailchimp::WriteAudience;
use crate::mailchimp::refusal::chain;
use crate::observe::Scope;
use crate::progress::Progress;
use crate::reconcile::guard::Limits;
use crate::registrations::WriteRegistrations;
use crate::state::{Keep, State, StateError};

pub use error::CycleError;
pub use guarding::{ADOPTION, Adoption, guard};
pub use policy::{Seed, assemble};
pub use prepare::{adoption_phase, forget_schema_age, must_read_all, read_schema};
pub use report::{Report, SidesRead};
pub use staging::reconcile_all;

/// Both sides, the state, and everything a cycle goes by.
#[derive(Clone, Debug)]
pub struct Cycle {
    /// The register.
    pub local: Arc<dyn WriteRegistrations>,
    /// The audience.
    pub remote: Arc<dyn WriteAudience>,
    /// The state.
    pub state: State,
    /// The time.
    pub clock: Clock,
    /// What the configuration says of the policy.
    pub seed: Seed,
    /// The guard's limits.
    pub limits: Limits,
    /// How long what is over is kept.
    pub keep: Keep,
    /// How many requests may be under way at once.
    pub connections: usize,
    /// Who wants to know how far it has come.
    pub progress: watch::Sender<Progress>,
    /// Set when the process is to stop.
    pub stop: CancellationToken,
}

impl Cycle {
    /// Runs one cycle of `scope`; a state that never saw everything sees everything first.
    pub async fn run(&self, scope: Scope, adoption: Adoption) -> Result<Report, CycleError> {
        let started_at = self.clock.now();
        let requests = self.remote.requests();
        // Noted before anything is asked of anybody: a cycle that cannot even begin is one that failed.
        let id = self.state.begin_cycle(scope.into(), started_at).await?;
        let mut report = Report::new(id, scope);
        let result = match self.unless_stopped(self.prepare(scope)).await {
            Ok(prepared) => {
                if prepared.scope != scope {
                    self.state.set_cycle_kind(id, prepared.scope.into()).await?;
                    report.kind = prepared.scope.as_str().to_owned();
                }
                self.carry_out(id, &prepared, adoption, &mut report).await
            }
            Err(error) => Err(error),
        };
        report.requests = self.remote.requests() - requests;
        report.duration_ms = self.clock.now().duration_since(started_at).as_millis().try_into().unwrap_or(0);
        let error = result.as_ref().err().map(|error| chain(error));
        self.state.end_cycle(id, report.to_json(), error, self.clock.now()).await?;
        self.note_fatal(result.as_ref().err()).await?;
        self.state.trim(self.keep, self.clock.now()).await?;
        result.map(|()| report)
    }

    /// Remembers why no cycle can work, for whoever asks for the status; a cycle that was told to stop knows nothing of it.
    async fn note_fatal(&self, error: Option<&CycleError>) -> Result<(), StateError> {
        if error.is_some_and(CycleError::is_stop) {
            return Ok(());
        }
        let fatal = error.filter(|error| error.is_fatal()).map(|error| chain(error));
        if self.state.fatal().await? == fatal {
            return Ok(());
        }
        self.state.set_fatal(fatal).await
    }
}
