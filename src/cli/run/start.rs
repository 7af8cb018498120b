//! The daemon's start. What passes by itself is waited for, however long it takes: another process that holds the state,
//! a predecessor that still has the address, a register that is locked or away. Only what somebody has to mend ends it.
//! Nothing is written to either side before both are proven to be those that the state belongs to.

use std::io;
use std::time::Duration;

use crate::cli::Cli;
use crate::cli::exit::Fault;
use crate::cli::run::serving::{Given, Listening};
use crate::cli::run::{Beside, keep_the_old, read_again};
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::control;
use crate::cycle::Cycle;
use crate::daemon::{Ended, Signals, Surroundings};
use crate::registrations::RegisterError;
use crate::state::{CycleKind, State, StateError};
use crate::worker::{Failure, Health, pause_after};

/// What another process on this machine lets go of is looked at this often at first, and at growing distances later.
const SOON: Duration = Duration::from_secs(1);
/// As [`SOON`], later.
const SOON_AT_MOST: Duration = Duration::from_secs(15);
/// A register is tried again at this distance at most: it bounds what the service manager is asked for, too.
const LONGEST: Duration = Duration::from_mins(15);

/// What the start works with.
pub(super) struct Start<'s> {
    pub(super) cli: &'s Cli,
    pub(super) settings: &'s mut Settings,
    pub(super) surroundings: &'s mut Surroundings,
    pub(super) signals: &'s mut Signals,
}

/// Why something is not there yet.
enum Trouble {
    /// It may come by itself.
    Passes(anyhow::Error),
    /// Somebody has to mend it.
    Stays(Fault),
}

/// Whose absence is waited for, and so how often it is tried again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// A process on this machine: soon.
    Near,
    /// A store that others use, too: as after a cycle that failed.
    Far,
}

impl Start<'_> {
    /// The state, as its one writer; `None` where we are told to stop meanwhile.
    pub(super) async fn state(&mut self) -> Result<Option<State>, Fault> {
        self.until_there(Pace::Near, (None, None), async |settings| match settings.state().await {
            Ok(state) => Ok(state),
            Err(Fault::Failed(error)) if is_kept(&error) => {
                // Whoever does this very work goes on doing it.
                match control::is_answered(&settings.config.state.path).await {
                    true => Err(Trouble::Stays(Fault::Failed(error))),
                    false => Err(Trouble::Passes(error)),
                }
            }
            Err(fault) => Err(Trouble::Stays(fault)),
        })
        .await
    }

    /// Where the HTTP interface listens; `None` where we are told to stop meanwhile.
    pub(super) async fn listening(
        &mut self,
        given: &Given,
        state: &State,
    ) -> Result<Option<Listening>, Fault> {
        self.until_there(Pace::Near, (Some(state), None), async |settings| {
            given.listen(settings).await.map_err(|fault| match fault {
                Fault::Failed(error) if is_taken(&error) => Trouble::Passes(error),
                fault => Trouble::Stays(fault),
            })
        })
        .await
    }

    /// Both sides; `None` where we are told to stop meanwhile.
    pub(super) async fn cycle(&mut self, state: &State, beside: &mut Beside) -> Result<Option<Cycle>, Fault> {
        self.until_there(Pace::Far, (Some(state), Some(beside)), async |settings| {
            settings.cycle(state.clone()).await.map_err(|fault| match fault {
                Fault::Failed(error) if may_come_back(&error) => Trouble::Passes(error),
                fault => Trouble::Stays(fault),
            })
        })
        .await
    }

    /// Tries until it is there, until somebody has to mend why it is not, or until we are told to stop.
    async fn until_there<T>(
        &mut self,
        pace: Pace,
        (state, mut beside): (Option<&State>, Option<&mut Beside>),
        open: impl AsyncFn(&Settings) -> Result<T, Trouble>,
    ) -> Result<Option<T>, Fault> {
        let Self { cli, settings, surroundings, signals } = self;
        let (mut failures, mut said) = (0, None);
        loop {
            let opened = tokio::select! {
                opened = open(settings) => Ok(opened),
                ended = signals.next() => Err(ended),
            };
            let ended = match opened {
                Ok(Ok(there)) => {
                    surroundings.health.send_modify(Health::can_begin);
                    return Ok(Some(there));
                }
                Ok(Err(Trouble::Stays(fault))) => return Err(fault),
                Ok(Err(Trouble::Passes(error))) => {
                    failures += 1;
                    let (error, pause) = (format!("{error:#}"), pause(pace, settings, failures));
                    if pace == Pace::Far || said.as_ref() != Some(&error) {
                        note(pace, state, &error).await;
                    }
                    surroundings.health.send_modify(|health| health.could_not_begin(error.clone()));
                    let failure = Failure { said: error.clone(), misconfigured: false };
                    surroundings.desk.refuse(&failure);
                    surroundings.supervisor.waiting(&error, pause);
                    said = Some(error);
                    tokio::select! {
                        () = Clock::System.sleep(pause) => continue,
                        () = surroundings.desk.bell().rung() => continue,
                        ended = signals.next() => ended,
                    }
                }
                Err(ended) => ended,
            };
            match ended {
                Ended::Stopped => {
                    surroundings.supervisor.stopping();
                    return Ok(None);
                }
                Ended::Reload => {
                    said = None;
                    match reread(cli, settings, beside.as_deref_mut()).await {
                        Ok(new) => **settings = new,
                        Err(fault) => keep_the_old(&fault),
                    }
                }
            }
        }
    }
}

/// The configuration as it stands now, in force for whatever works already.
async fn reread(cli: &Cli, old: &Settings, beside: Option<&mut Beside>) -> Result<Settings, Fault> {
    let new = read_again(cli, old)?;
    match beside {
        Some(beside) => beside.follow(&new).await?,
        None => new.log_by_them(),
    }
    Ok(new)
}

fn pause(pace: Pace, settings: &Settings, failures: u32) -> Duration {
    match pace {
        Pace::Near => pause_after(SOON, failures - 1).min(SOON_AT_MOST),
        Pace::Far => pause_after(settings.config.sync.interval, failures).min(LONGEST),
    }
}

/// Whether another process keeps the state from us, or its disk is full.
fn is_kept(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref::<StateError>(),
        Some(StateError::Locked { .. } | StateError::Busy { .. } | StateError::DiskFull { .. })
    )
}

/// Whether somebody else listens there, or the machine does not have the address yet.
fn is_taken(error: &anyhow::Error) -> bool {
    let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    matches!(kind, Some(io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable))
}

/// Whether waiting may mend it: a store is locked, or out of reach.
fn may_come_back(error: &anyhow::Error) -> bool {
    match error.downcast_ref::<RegisterError>() {
        Some(RegisterError::Busy { .. } | RegisterError::Failed { .. }) => true,
        Some(RegisterError::Refused { .. } | RegisterError::Mapping { .. }) => false,
        None => is_kept(error),
    }
}

/// Says it in the state, as a cycle that failed, where `rosterd status` finds it, and in the log once it is there.
async fn note(pace: Pace, state: Option<&State>, said: &str) {
    if let Some(state) = state
        && let Err(error) = note_cycle(state, said.to_owned()).await
    {
        tracing::warn!(error = error.to_string(), "it cannot be noted that no cycle can begin");
    }
    match pace {
        Pace::Near => {
            tracing::warn!(error = said, "the start waits for what is kept from it: it is tried again")
        }
        Pace::Far => tracing::error!(error = said, "no cycle can begin yet: the register is tried again"),
    }
}

async fn note_cycle(state: &State, said: String) -> Result<(), StateError> {
    let now = Clock::System.now();
    let cycle = state.begin_cycle(CycleKind::Incremental, now).await?;
    state.end_cycle(cycle, None, Some(said), now).await
}
