//! `rosterd run`: the daemon.

mod answers;
mod serving;
mod start;

use std::path::Path;
use std::time::Duration;

use crate::cli::Cli;
use crate::cli::exit::{Ending, Fault};
use crate::cli::run::serving::{Given, Listening, Serving};
use crate::cli::run::start::Start;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::config::{AlertsConfig, ProcessEnvironment, locate};
use crate::control::{self, ControlSocket};
use crate::cycle::{Cycle, forget_schema_age};
use crate::daemon::{
    self, Afterwards, Alerts, Ended, Signals, Surroundings, forget_the_end, tell_of_the_end,
};
use crate::mailchimp::refusal::chain;
use crate::state::{State, StateError};
use crate::worker::{Desk, LOOK_EVERY, Rhythm};

/// Runs until SIGTERM or SIGINT; SIGHUP reads the configuration again, and a wrong one leaves the old in force. Whoever is to
/// be told of what is wrong is told of an end that is no such signal's, too.
pub(super) async fn run(cli: &Cli) -> Result<Ending, Fault> {
    let ended = until_told(cli).await;
    // By the file as it stands: whatever else is wrong with it may be why the daemon ends.
    let path = locate(cli.config.as_deref(), &ProcessEnvironment);
    if let Some((alerts, state)) = AlertsConfig::load(&path, &ProcessEnvironment) {
        match &ended {
            Ok(_) => forget_the_end(&state.path).await,
            Err(fault) => last_words(&alerts, &state.path, fault).await,
        }
    }
    ended
}

async fn last_words(alerts: &AlertsConfig, state: &Path, fault: &Fault) {
    let afterwards = match fault {
        // Whoever holds the state does the work, and tells what is wrong with it.
        Fault::Failed(error) if matches!(error.downcast_ref(), Some(StateError::Locked { .. })) => return,
        Fault::Failed(_) => Afterwards::StartedAgain,
        Fault::Usage(_) => Afterwards::Left,
    };
    let said = format!("{:#}", fault.error());
    let told = tell_of_the_end(alerts, state, &said, afterwards, Clock::System.now());
    match Signals::listen() {
        Ok(mut signals) => tokio::select! {
            () = told => (),
            () = signals.stop() => (),
        },
        Err(_) => told.await,
    }
}

async fn until_told(cli: &Cli) -> Result<Ending, Fault> {
    let mut settings = Settings::load(cli)?;
    let given = Given::take()?;
    let mut signals = Signals::listen().map_err(Fault::failed)?;
    let mut surroundings = Surroundings { meter: settings.meter.clone(), ..Surroundings::default() };
    let (settings, surroundings, signals) = (&mut settings, &mut surroundings, &mut signals);
    let mut start = Start { cli, settings, surroundings, signals };
    let Some(state) = start.state().await? else { return Ok(Ending::Done) };
    let control = listen(&state, &start.surroundings.desk);
    let ending = match start.listening(&given, &state).await {
        Ok(Some(listening)) => serve(start, &state, given, listening).await,
        Ok(None) => Ok(Ending::Done),
        Err(fault) => Err(fault),
    };
    if let Some(control) = control {
        control.close().await;
    }
    ending
}

/// Serves and runs cycles until told to stop.
async fn serve(
    mut start: Start<'_>,
    state: &State,
    given: Given,
    listening: Listening,
) -> Result<Ending, Fault> {
    let Start { settings, surroundings, .. } = &mut start;
    // Before the register is opened: what comes in meanwhile waits in the state.
    let serving = Serving::start(settings, state, surroundings, (given, listening)).await?;
    let alerts = Alerts::start(
        settings.config.alerts.clone(),
        (state.clone(), settings.config.state.path.clone()),
        surroundings.health.subscribe(),
        Clock::System,
    );
    let mut beside = Beside { serving, alerts };
    let ending = run_cycles(start, state, &mut beside).await;
    beside.serving.end().await;
    ending
}

/// Opens the control socket. Members are kept in step without it, too: what is wrong with it is said, and nothing more.
fn listen(state: &State, desk: &Desk) -> Option<ControlSocket> {
    match control::serve(state.clone(), desk.clone(), Clock::System) {
        Ok(control) => Some(control),
        Err(error) => {
            let error = chain(&error);
            tracing::error!(error, "commands cannot ask this daemon for anything before it is restarted");
            None
        }
    }
}

/// What works beside the cycles.
struct Beside {
    serving: Serving,
    alerts: Alerts,
}

impl Beside {
    /// Goes by these settings from now on. Where their address cannot be had, everything stays as it was.
    async fn follow(&mut self, settings: &Settings) -> Result<(), Fault> {
        self.serving.follow(settings).await?;
        self.alerts.follow(settings.config.alerts.clone());
        settings.log_by_them();
        Ok(())
    }
}

async fn run_cycles(mut start: Start<'_>, state: &State, beside: &mut Beside) -> Result<Ending, Fault> {
    let Some(mut cycle) = start.cycle(state, beside).await? else { return Ok(Ending::Done) };
    let Start { cli, settings, surroundings, signals } = start;
    forget_schema_age(state, &cycle.clock).await.map_err(Fault::failed)?;
    loop {
        cycle.progress = surroundings.desk.progress().clone();
        let rhythm = rhythm(settings, surroundings.supervisor.beat());
        match daemon::run(&cycle, rhythm, surroundings, signals).await {
            Ended::Stopped => return Ok(Ending::Done),
            Ended::Reload => (),
        }
        let reloaded = tokio::select! {
            biased;
            () = signals.stop() => {
                surroundings.supervisor.stopping();
                return Ok(Ending::Done);
            }
            reloaded = reload(cli, settings, &cycle, beside) => reloaded,
        };
        match reloaded {
            Ok((new_settings, new_cycle)) => {
                tracing::info!("the configuration was read again");
                (*settings, cycle) = (new_settings, new_cycle);
            }
            Err(fault) => {
                keep_the_old(&fault);
                surroundings.supervisor.kept(&format!("{:#}", fault.error()));
                cycle.stop = tokio_util::sync::CancellationToken::new();
            }
        }
    }
}

async fn reload(
    cli: &Cli,
    old: &Settings,
    cycle: &Cycle,
    beside: &mut Beside,
) -> Result<(Settings, Cycle), Fault> {
    let settings = read_again(cli, old)?;
    let cycle = settings.cycle(cycle.state.clone()).await?;
    beside.follow(&settings).await?;
    Ok((settings, cycle))
}

/// The configuration as it stands now; the state stays where it is.
fn read_again(cli: &Cli, old: &Settings) -> Result<Settings, Fault> {
    let settings = Settings::read(cli)?;
    if settings.config.state.path != old.config.state.path {
        return Err(Fault::usage(anyhow::anyhow!(
            "[state] path cannot change while rosterd runs; restart it"
        )));
    }
    Ok(Settings { meter: old.meter.clone(), ..settings })
}

fn keep_the_old(fault: &Fault) {
    tracing::error!(error = format!("{:#}", fault.error()), "the old configuration stays in force");
}

fn rhythm(settings: &Settings, beat: Duration) -> Rhythm {
    let sync = &settings.config.sync;
    Rhythm { interval: sync.interval, full_interval: sync.full_interval, beat, look: Some(LOOK_EVERY) }
}
