//! `rosterd sync`: one cycle now, by the running daemon where there is one.

mod alone;
mod beside;
mod report;

use std::time::Duration;

use jiff::Timestamp;

use crate::cli::adoption::adoption;
use crate::cli::asking::{says_yes, somebody_is_there, tell};
use crate::cli::exit::{Ending, Fault};
use crate::cli::sync::alone::alone;
use crate::cli::sync::beside::beside;
use crate::cli::wiring::{Settings, state_path};
use crate::cli::{Cli, SyncArgs};
use crate::clock::Clock;
use crate::control::{Ask, ask};
use crate::cycle::Report;
use crate::state::{State, StateError};
use crate::worker::CycleWanted;

/// A daemon that starts holds the state before it listens: for so long somebody who holds it may turn out to be one.
const START: Duration = Duration::from_secs(1);

/// How often that is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// What came of the cycle.
struct Done {
    report: Report,
    /// Since when nothing is written, where that is so.
    paused_since: Option<Timestamp>,
}

/// Runs one cycle and prints what came of it.
pub(super) async fn run(cli: &Cli, args: &SyncArgs) -> Result<Ending, Fault> {
    let wanted = CycleWanted { full: args.full, yes: args.yes, addresses: args.emails.clone() };
    // Whoever asks a daemon needs to know no more of the configuration than where the state is.
    let path = state_path(cli).ok();
    if let Some(path) = &path
        && let Some(answers) = ask(path, &Ask::Sync(wanted.clone())).await.map_err(Fault::failed)?
    {
        return report::print(&beside(cli, path, answers, &wanted).await?, args.output);
    }
    let settings = Settings::load(cli)?;
    let path = &settings.config.state.path;
    let mut waited = Duration::ZERO;
    let done = loop {
        match settings.state().await {
            Ok(state) => break alone(&settings, &state, args).await?,
            Err(Fault::Failed(error)) if waited < START && is_held(&error) => {}
            Err(fault) => return Err(fault),
        }
        Clock::System.sleep(GLANCE).await;
        waited += GLANCE;
        if let Some(answers) = ask(path, &Ask::Sync(wanted.clone())).await.map_err(Fault::failed)? {
            break beside(cli, path, answers, &wanted).await?;
        }
    };
    report::print(&done, args.output)
}

fn is_held(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref::<StateError>(), Some(StateError::Locked { .. }))
}

/// Shows the first adoption, where it waits for an answer, and asks on a terminal; elsewhere the answer is no.
async fn says_yes_to_adoption(state: &State) -> Result<bool, Fault> {
    if !somebody_is_there() {
        return Ok(false);
    }
    let Some(lines) = adoption(state).await? else { return Ok(false) };
    lines.iter().try_for_each(|line| tell(&format!("{line}\n")))?;
    says_yes("Let the register and the audience adopt each other like this?").await
}
