//! `rosterd sync`: one cycle now.

use crate::cli::adoption::adoption;
use crate::cli::asking::{says_yes, somebody_is_there, tell};
use crate::cli::exit::{Ending, Fault};
use crate::cli::moments::minute;
use crate::cli::output::{operations, print_json, say};
use crate::cli::progress::{Bar, show};
use crate::cli::wiring::Settings;
use crate::cli::{Cli, SyncArgs};
use crate::clock::Clock;
use crate::cycle::{Adoption, Cycle, Report};
use crate::observe::Scope;
use crate::state::{Pause, State, StateError};

/// Runs one cycle and prints what came of it.
pub(super) async fn run(cli: &Cli, args: &SyncArgs) -> Result<Ending, Fault> {
    let settings = Settings::load(cli)?;
    let state = settings.state().await?;
    let scope = if args.full { Scope::Full } else { Scope::Incremental };
    let cycle = match ready(&settings, &state).await {
        Ok(cycle) => cycle,
        Err(fault) => {
            note_failure(&state, scope, &fault).await.map_err(Fault::failed)?;
            return Err(fault);
        }
    };
    settings.take_up_events(&cycle.state).await?;
    let now = cycle.clock.now();
    if !args.emails.is_empty() {
        cycle
            .state
            .add_pending(args.emails.clone(), "asked for by sync".to_owned(), now)
            .await
            .map_err(Fault::failed)?;
    }
    let adoption = if args.yes { Adoption::Yes } else { Adoption::Ask };
    let mut report = with_bar(&cycle, scope, adoption).await?;
    if adoption == Adoption::Ask && says_yes_to_adoption(&cycle).await? {
        report = with_bar(&cycle, Scope::Incremental, Adoption::Yes).await?;
    }
    if args.output.json {
        print_json(&report)?;
    } else {
        print_report(&report)?;
        if let Pause::Paused(since) = cycle.state.paused().await.map_err(Fault::failed)? {
            say(&format!("  paused since {} UTC: nothing is written until rosterd resume.", minute(since)))?;
        }
    }
    if report.failed > 0 {
        return Err(Fault::failed(anyhow::anyhow!(
            "{} failed; the next cycle tries again",
            operations(report.failed)
        )));
    }
    Ok(ending(&report))
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

/// Held before refused, refused before done: the order of the contract. What failed is tried again by the next cycle.
pub(super) fn ending(report: &Report) -> Ending {
    match (report.held, report.parked) {
        (0, 0) => Ending::Done,
        (0, _) => Ending::Refused,
        (_, _) => Ending::Held,
    }
}

async fn with_bar(cycle: &Cycle, scope: Scope, adoption: Adoption) -> Result<Report, Fault> {
    let bar = Bar::new();
    let report = show(&bar, &cycle.progress, cycle.run(scope, adoption)).await;
    report.map_err(Fault::of_cycle)
}

/// Shows the first adoption, where it waits for an answer, and asks on a terminal; elsewhere the answer is no.
async fn says_yes_to_adoption(cycle: &Cycle) -> Result<bool, Fault> {
    if !somebody_is_there() {
        return Ok(false);
    }
    let Some(lines) = adoption(&cycle.state).await? else { return Ok(false) };
    lines.iter().try_for_each(|line| tell(&format!("{line}\n")))?;
    says_yes("Let the register and the audience adopt each other like this?").await
}

/// What became of the plan; what became of none of it is left out.
fn figures(report: &Report) -> String {
    let Report { planned, applied, failed, refused, skipped, .. } = report;
    let mut text = format!("  planned {planned}  applied {applied}  failed {failed}");
    for (count, what) in [(refused, "refused"), (skipped, "left for the next cycle")] {
        if *count > 0 {
            text.push_str(&format!("  {what} {count}"));
        }
    }
    text
}

/// The report for people.
pub(super) fn print_report(report: &Report) -> Result<(), Fault> {
    say(&format!(
        "Cycle {} ({}): read {} rows and {} contacts with {} requests in {:.1} s.",
        report.cycle,
        report.kind,
        report.observed.local,
        report.observed.remote,
        report.requests,
        std::time::Duration::from_millis(report.duration_ms).as_secs_f64(),
    ))?;
    say(&figures(report))?;
    if report.held > 0 {
        say(&format!(
            "  held: {}; rosterd held shows what and why, rosterd approve ID lets it through.",
            operations(report.held)
        ))?;
    }
    if report.rejected > 0 {
        say(&format!("  rejected: {} stay back; rosterd held shows them.", operations(report.rejected)))?;
    }
    match report.parked {
        0 => {}
        1 => say("  1 member is set aside after a refusal; rosterd status says who and why.")?,
        n => say(&format!("  {n} members are set aside after refusals; rosterd status says who and why."))?,
    }
    Ok(())
}
