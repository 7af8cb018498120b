//! `rosterd run`: the daemon.

mod start;

use crate::cli::Cli;
use crate::cli::exit::{Ending, Fault};
use crate::cli::run::start::start;
use crate::cli::wiring::Settings;
use crate::cycle::{Cycle, forget_schema_age};
use crate::daemon::{self, Ended, Signals};
use crate::worker::{Bell, Rhythm};

/// Runs until SIGTERM or SIGINT; SIGHUP reads the configuration again, and a wrong one leaves the old in force.
pub(super) async fn run(cli: &Cli) -> Result<Ending, Fault> {
    let mut settings = Settings::load(cli)?;
    let state = settings.state().await?;
    let mut signals = Signals::listen().map_err(Fault::failed)?;
    let Some(mut cycle) = start(cli, &mut settings, &state, &mut signals).await? else {
        return Ok(Ending::Done);
    };
    forget_schema_age(&state, &cycle.clock).await.map_err(Fault::failed)?;
    let bell = Bell::default();
    loop {
        match daemon::run(&cycle, rhythm(&settings), &bell, &mut signals).await {
            Ended::Stopped => return Ok(Ending::Done),
            Ended::Reload => (),
        }
        let reloaded = tokio::select! {
            biased;
            () = signals.stop() => return Ok(Ending::Done),
            reloaded = reload(cli, &settings, &cycle) => reloaded,
        };
        match reloaded {
            Ok((new_settings, new_cycle)) => {
                tracing::info!("the configuration was read again");
                (settings, cycle) = (new_settings, new_cycle);
            }
            Err(fault) => {
                keep_the_old(&fault);
                cycle.stop = tokio_util::sync::CancellationToken::new();
            }
        }
    }
}

async fn reload(cli: &Cli, old: &Settings, cycle: &Cycle) -> Result<(Settings, Cycle), Fault> {
    let settings = read_again(cli, old)?;
    let cycle = settings.cycle(cycle.state.clone()).await?;
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
