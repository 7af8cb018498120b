//! The cycle of a `sync` that holds the state itself.

use crate::cli::SyncArgs;
use crate::cli::exit::Fault;
use crate::cli::progress::{Bar, show};
use crate::cli::sync::{Done, says_yes_to_adoption};
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::cycle::{Adoption, Cycle, Report};
use crate::observe::Scope;
use crate::state::{Pause, State, StateError};

/// Runs one cycle; on a terminal, a second one where the first adoption was agreed to.
pub(super) async fn alone(settings: &Settings, state: &State, args: &SyncArgs) -> Result<Done, Fault> {
    let scope = if args.full { Scope::Full } else { Scope::Incremental };
    let cycle = match ready(settings, state).await {
        Ok(cycle) => cycle,
        Err(fault) => {
            note_failure(state, scope, &fault).await.map_err(Fault::failed)?;
            return Err(fault);
        }
    };
    settings.take_up_events(state).await?;
    if !args.emails.is_empty() {
        let reason = "asked for by sync".to_owned();
        let noted = state.add_pending(args.emails.clone(), reason, cycle.clock.now());
        noted.await.map_err(Fault::failed)?;
    }
    let adoption = if args.yes { Adoption::Yes } else { Adoption::Ask };
    let mut report = with_bar(&cycle, scope, adoption).await?;
    if adoption == Adoption::Ask && says_yes_to_adoption(state).await? {
        report = with_bar(&cycle, Scope::Incremental, Adoption::Yes).await?;
    }
    let paused_since = match state.paused().await.map_err(Fault::failed)? {
        Pause::Paused(since) => Some(since),
        Pause::Running => None,
    };
    Ok(Done { report, paused_since })
}

/// Both sides within reach.
async fn ready(settings: &Settings, state: &State) -> Result<Cycle, Fault> {
    let cycle = settings.cycle(state.clone()).await?;
    settings.within_reach().await?;
    Ok(cycle)
}

/// A cycle that could not begin is one that failed, for whoever asks for the status; a mistake of the caller's is none.
async fn note_failure(state: &State, scope: Scope, fault: &Fault) -> Result<(), StateError> {
    let Fault::Failed(error) = fault else { return Ok(()) };
    let cycle = state.begin_cycle(scope.into(), Clock::System.now()).await?;
    state.end_cycle(cycle, None, Some(format!("{error:#}")), Clock::System.now()).await
}

async fn with_bar(cycle: &Cycle, scope: Scope, adoption: Adoption) -> Result<Report, Fault> {
    let bar = Bar::new();
    let report = show(&bar, &cycle.progress, cycle.run(scope, adoption)).await;
    report.map_err(Fault::of_cycle)
}
