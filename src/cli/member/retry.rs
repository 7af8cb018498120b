//! `rosterd member retry`: has the next cycle try again what was refused.

use serde_json::json;

use crate::cli::exit::{Ending, Fault};
use crate::cli::member::{bearers, nobody};
use crate::cli::output::{print_json, say};
use crate::cli::wiring::shared_state;
use crate::cli::{Cli, Output};
use crate::clock::Clock;
use crate::control::knock;
use crate::model::EmailAddress;
use crate::state::{Parked, Pause, State};

/// Lets a member that was set aside be tried again.
pub(super) async fn run(cli: &Cli, email: &EmailAddress, output: Output) -> Result<Ending, Fault> {
    let state = shared_state(cli).await?;
    let now = Clock::System.now();
    let trios = bearers(&state, email, now).await?;
    if trios.is_empty() {
        return Err(nobody(&state, email).await?);
    }
    let mut retried = Vec::new();
    for trio in &trios {
        let parked = state.parking_of(trio.id).await.map_err(Fault::failed)?;
        if state.retry(trio.id, now).await.map_err(Fault::failed)? {
            retried.extend(parked);
        }
    }
    if !retried.is_empty() {
        knock(state.path()).await;
    }
    if output.json {
        let parks: Vec<_> = retried
            .iter()
            .map(|Parked { park, since, attempts, .. }| {
                json!({
                    "class": park.class, "title": park.title, "said": park.said, "since": since,
                    "attempts": attempts,
                })
            })
            .collect();
        print_json(&json!({ "email": email, "was_parked": !parks.is_empty(), "refusals": parks }))?;
        return Ok(Ending::Done);
    }
    print(&state, email, &retried).await
}

async fn print(state: &State, email: &EmailAddress, retried: &[Parked]) -> Result<Ending, Fault> {
    if retried.is_empty() {
        say(&format!("{email} is not set aside: nothing is to be tried again."))?;
        say(&format!("What is due, and why, shows rosterd member show {email}"))?;
        return Ok(Ending::Done);
    }
    for Parked { park, .. } in retried {
        say(&format!("{email} was set aside: {}: {}", park.title, park.said))?;
    }
    say("The next cycle tries again. A running daemon does it by itself; without one: rosterd sync")?;
    if state.paused().await.map_err(Fault::failed)? != Pause::Running {
        say("But writing is paused: rosterd resume")?;
    }
    Ok(Ending::Done)
}
