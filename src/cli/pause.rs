//! `rosterd pause` and `rosterd resume`: nothing is written until resumed, across restarts.

use serde_json::json;

use crate::cli::exit::{Ending, Fault};
use crate::cli::moments::minute;
use crate::cli::output::{print_json, say};
use crate::cli::wiring::shared_state;
use crate::cli::{Cli, Output};
use crate::clock::Clock;
use crate::control::knock;
use crate::state::Pause;

/// Pauses the writes; somebody's earlier pause keeps its time.
pub(super) async fn pause(cli: &Cli, output: Output) -> Result<Ending, Fault> {
    let state = shared_state(cli).await?;
    let before = state.paused().await.map_err(Fault::failed)?;
    let since = match before {
        Pause::Paused(since) => since,
        Pause::Running => Clock::System.now(),
    };
    state.set_paused(Pause::Paused(since)).await.map_err(Fault::failed)?;
    knock(state.path()).await;
    if output.json {
        print_json(&json!({ "paused": true, "paused_since": since }))?;
        return Ok(Ending::Done);
    }
    let words = match before {
        Pause::Paused(_) => "Paused already, since",
        Pause::Running => "Paused,",
    };
    say(&format!("{words} {} UTC: nothing is written to either side.", minute(since)))?;
    say("Both sides are still looked at. rosterd resume lets writes through again.")?;
    Ok(Ending::Done)
}

/// Lets writes be made again.
pub(super) async fn resume(cli: &Cli, output: Output) -> Result<Ending, Fault> {
    let state = shared_state(cli).await?;
    let before = state.paused().await.map_err(Fault::failed)?;
    state.set_paused(Pause::Running).await.map_err(Fault::failed)?;
    knock(state.path()).await;
    if output.json {
        print_json(&json!({ "paused": false, "paused_since": null }))?;
        return Ok(Ending::Done);
    }
    match before {
        Pause::Running => say("Nothing was paused.")?,
        Pause::Paused(since) => {
            say(&format!("Resumed; it was paused since {} UTC.", minute(since)))?;
            say("The daemon writes again in its next cycle; without a daemon: rosterd sync")?;
        }
    }
    Ok(Ending::Done)
}
