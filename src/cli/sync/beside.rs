//! The cycle of a running daemon, asked for by `sync` and followed to its end.

use std::path::Path;

use anyhow::anyhow;
use tokio::sync::watch;

use crate::cli::Cli;
use crate::cli::asking::somebody_is_there;
use crate::cli::exit::Fault;
use crate::cli::looking::state_to_look_at;
use crate::cli::progress::{Bar, show};
use crate::cli::sync::{Done, says_yes_to_adoption};
use crate::control::{Answer, Answers, Ask, ask};
use crate::progress::Progress;
use crate::worker::CycleWanted;

/// Follows the cycle that was asked for; on a terminal, asks for a second one where the first adoption was agreed to.
pub(super) async fn beside(
    cli: &Cli,
    state: &Path,
    answers: Answers,
    wanted: &CycleWanted,
) -> Result<Done, Fault> {
    let done = follow(answers, wanted).await?;
    if wanted.yes || !somebody_is_there() || !says_yes_to_adoption(&state_to_look_at(cli).await?).await? {
        return Ok(done);
    }
    let agreed = CycleWanted { full: false, yes: true, addresses: Vec::new() };
    match ask(state, &Ask::Sync(agreed.clone())).await.map_err(Fault::failed)? {
        Some(answers) => follow(answers, &agreed).await,
        None => {
            Err(Fault::failed(anyhow!("the daemon has ended since: rosterd sync --yes adopts without it")))
        }
    }
}

/// Shows how far the cycle has come, until it has ended.
async fn follow(answers: Answers, wanted: &CycleWanted) -> Result<Done, Fault> {
    let progress = watch::Sender::new(Progress::default());
    let bar = Bar::new();
    show(&bar, &progress, hear(answers, wanted, &progress)).await
}

async fn hear(
    mut answers: Answers,
    wanted: &CycleWanted,
    progress: &watch::Sender<Progress>,
) -> Result<Done, Fault> {
    let mut accepted = false;
    while let Some(answer) = answers.next().await.map_err(Fault::failed)? {
        match answer {
            Answer::Accepted => accepted = true,
            Answer::Begun => {
                progress.send_replace(Progress::default());
            }
            Answer::Progress(now) => {
                progress.send_replace(now);
            }
            Answer::Report { report, paused_since } => return Ok(Done { report, paused_since }),
            Answer::Failed(failure) if failure.misconfigured => {
                return Err(Fault::usage(anyhow!(failure.said)));
            }
            Answer::Failed(failure) => return Err(Fault::failed(anyhow!(failure.said))),
            Answer::Stopping => return Err(unfinished("the daemon was stopped", accepted, wanted)),
            Answer::Refused { said } => return Err(Fault::failed(anyhow!(said))),
        }
    }
    Err(unfinished("the daemon is gone", accepted, wanted))
}

/// What becomes of what was asked for, where nobody is left to tell what came of it.
fn unfinished(what: &str, accepted: bool, wanted: &CycleWanted) -> Fault {
    let next = if accepted && !wanted.addresses.is_empty() {
        "whom you named stays noted, and the next cycle looks at them"
    } else {
        "run rosterd sync again, with the daemon or without it"
    };
    Fault::failed(anyhow!("{what} before the cycle came to its end: {next}"))
}

#[cfg(test)]
mod tests {
    use crate::model::EmailAddress;

    use super::*;

    #[test]
    fn whoever_named_somebody_is_told_that_they_stay_noted_and_only_then() {
        let check = |accepted, addresses: &[&str], expected: &str| {
            let addresses = addresses.iter().map(|text| EmailAddress::parse(text).unwrap()).collect();
            let wanted = CycleWanted { full: false, yes: false, addresses };
            let said = unfinished("the daemon is gone", accepted, &wanted).error().to_string();
            assert!(said.contains(expected), "{said}");
        };
        check(true, &["ada@alliance.test"], "stays noted");
        check(false, &["ada@alliance.test"], "run rosterd sync again");
        check(true, &[], "run rosterd sync again");
    }
}
