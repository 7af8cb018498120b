//! `rosterd run`: the daemon.

mod serving;
mod start;

use tokio::sync::watch;

use crate::cli::Cli;
use crate::cli::exit::{Ending, Fault};
use crate::cli::run::serving::Serving;
use crate::cli::run::start::start;
use crate::cli::wiring::Settings;
use crate::cycle::{Cycle, forget_schema_age};
use crate::daemon::{self, Ended, Signals};
use crate::state::State;
use crate::worker::{Bell, Health, Rhythm};

/// Runs until SIGTERM or SIGINT; SIGHUP reads the configuration again, and a wrong one leaves the old in force.
pub(super) async fn run(cli: &Cli) -> Result<Ending, Fault> {
    let mut settings = Settings::load(cli)?;
    let state = settings.state().await?;
    let mut signals = Signals::listen().map_err(Fault::failed)?;
    let (bell, health) = (Bell::default(), watch::Sender::default());
    // Before the register is opened: what comes in meanwhile waits in the state.
    let mut serving = Serving::start(&settings, &health).await?;
    let ending = run_cycles(cli, &mut settings, &state, &bell, &health, &mut serving, &mut signals).await;
    serving.end().await;
    ending
}

async fn run_cycles(
    cli: &Cli,
    settings: &mut Settings,
    state: &State,
    bell: &Bell,
    health: &watch::Sender<Health>,
    serving: &mut Serving,
    signals: &mut Signals,
) -> Result<Ending, Fault> {
    let Some(mut cycle) = start(cli, settings, state, signals).await? else {
        return Ok(Ending::Done);
    };
    forget_schema_age(state, &cycle.clock).await.map_err(Fault::failed)?;
    loop {
        match daemon::run(&cycle, rhythm(settings), bell, health, signals).await {
            Ended::Stopped => return Ok(Ending::Done),
            Ended::Reload => (),
        }
        let reloaded = tokio::select! {
            biased;
            () = signals.stop() => return Ok(Ending::Done),
            reloaded = reload(cli, settings, &cycle, serving) => reloaded,
        };
        match reloaded {
            Ok((new_settings, new_cycle)) => {
                tracing::info!("the configuration was read again");
                (*settings, cycle) = (new_settings, new_cycle);
            }
            Err(fault) => {
                keep_the_old(&fault);
                cycle.stop = tokio_util::sync::CancellationToken::new();
            }
        }
    }
}

async fn reload(
    cli: &Cli,
    old: &Settings,
    cycle: &Cycle,
    serving: &mut Serving,
) -> Result<(Settings, Cycle), Fault> {
    let settings = read_again(cli, old)?;
    let cycle = settings.cycle(cycle.state.clone()).await?;
    serving.follow(&settings).await?;
    Ok((settings, cycle))
}

/// The configuration as it stands now; the state stays where it is.
fn read_again(cli: &Cli, old: &Settings) -> Result<Settings, Fault> {
    let settings = Settings::load(cli)?;
    if settings.config.state.path != old.config.state.path {
        return Err(Fault::usage(anyhow::anyhow!(
            "[state] path cannot change while rosterd runs; restart it"
        )));
    }
    Ok(settings)
}

fn keep_the_old(fault: &Fault) {
    tracing::error!(error = format!("{:#}", fault.error()), "the old configuration stays in force");
}

fn rhythm(settings: &Settings) -> Rhythm {
    Rhythm { interval: settings.config.sync.interval, full_interval: settings.config.sync.full_interval }
}
