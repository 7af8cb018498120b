//! What came of a cycle, for people and for programs, and the exit code that says the same.

use crate::cli::Output;
use crate::cli::exit::{Ending, Fault};
use crate::cli::moments::minute;
use crate::cli::output::{operations, print_json, say};
use crate::cli::sync::Done;
use crate::cycle::Report;

/// Prints what came of the cycle.
pub(super) fn print(done: &Done, output: Output) -> Result<Ending, Fault> {
    let Done { report, paused_since } = done;
    if output.json {
        print_json(report)?;
    } else {
        print_report(report)?;
        if let Some(since) = paused_since {
            say(&format!("  paused since {} UTC: nothing is written until rosterd resume.", minute(*since)))?;
        }
    }
    if report.failed > 0 {
        return Err(Fault::failed(anyhow::anyhow!(
            "{} failed; the next cycle tries again",
            operations(report.failed)
        )));
    }
    Ok(ending(report))
}

/// Held before refused, refused before done: the order of the contract. What failed is tried again by the next cycle.
fn ending(report: &Report) -> Ending {
    match (report.held, report.parked) {
        (0, 0) => Ending::Done,
        (0, _) => Ending::Refused,
        (_, _) => Ending::Held,
    }
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
fn print_report(report: &Report) -> Result<(), Fault> {
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
