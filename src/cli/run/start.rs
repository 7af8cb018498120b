//! The daemon's start: a register that is locked or away is waited for, as a cycle would; nothing is written to either
//! side before both are proven to be those that the state belongs to.

use crate::cli::Cli;
use crate::cli::exit::Fault;
use crate::cli::run::{keep_the_old, read_again};
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::cycle::Cycle;
use crate::daemon::{Ended, Signals, Surroundings};
use crate::registrations::RegisterError;
use crate::state::{CycleKind, State, StateError};
use crate::worker::{Desk, Failure, pause_after};

/// Opens both sides, again and again where the register keeps us waiting; `None` where we are told to stop meanwhile.
pub(super) async fn start(
    cli: &Cli,
    settings: &mut Settings,
    state: &State,
    surroundings: &mut Surroundings,
    signals: &mut Signals,
) -> Result<Option<Cycle>, Fault> {
    let Surroundings { desk, supervisor, .. } = surroundings;
    let mut failures = 0;
    loop {
        let ended = tokio::select! {
            opened = settings.cycle(state.clone()) => match opened {
                Ok(cycle) => return Ok(Some(cycle)),
                Err(Fault::Failed(error)) if may_come_back(&error) => {
                    note(state, desk, &error).await.map_err(Fault::failed)?;
                    failures += 1;
                    let pause = pause_after(settings.config.sync.interval, failures);
                    supervisor.waiting(&format!("{error:#}"), pause);
                    tokio::select! {
                        () = Clock::System.sleep(pause) => continue,
                        () = desk.bell().rung() => continue,
                        ended = signals.next() => ended,
                    }
                }
                Err(fault) => return Err(fault),
            },
            ended = signals.next() => ended,
        };
        match ended {
            Ended::Stopped => {
                supervisor.stopping();
                return Ok(None);
            }
            Ended::Reload => match read_again(cli, settings) {
                Ok(new) => *settings = new,
                Err(fault) => keep_the_old(&fault),
            },
        }
    }
}

/// Whether waiting may mend it: the register is locked, or out of reach.
fn may_come_back(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<RegisterError>() {
        Some(RegisterError::Busy { .. } | RegisterError::Failed { .. }) => true,
        Some(RegisterError::Refused { .. } | RegisterError::Mapping { .. }) | None => false,
    }
}

/// Says it in the log, to whoever waits for a cycle, and in the state as a cycle that failed, where `rosterd status`
/// finds it.
async fn note(state: &State, desk: &Desk, error: &anyhow::Error) -> Result<(), StateError> {
    let said = format!("{error:#}");
    desk.refuse(&Failure { said: said.clone(), misconfigured: false });
    let now = Clock::System.now();
    let cycle = state.begin_cycle(CycleKind::Incremental, now).await?;
    state.end_cycle(cycle, None, Some(said.clone()), now).await?;
    tracing::error!(error = said, "no cycle can begin yet: the register is tried again");
    Ok(())
}
