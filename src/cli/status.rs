//! `rosterd status`: how things stand, whether or not the daemon runs.

mod overview;

use jiff::Timestamp;

use crate::cli::exit::{Ending, Fault};
use crate::cli::fit::{arrivals, webhook_place};
use crate::cli::looking::state_to_look_at;
use crate::cli::moments::{ago, minute};
use crate::cli::output::{counted, print_json, print_table, say, table};
use crate::cli::status::overview::{LastCycle, Overview, gather};
use crate::cli::wiring::Settings;
use crate::cli::{Cli, Output};
use crate::clock::Clock;
use crate::state::{State, StateError};

/// How many of a kind people are shown; programs are shown all.
const SHOWN: usize = 20;

/// Shows how things stand. It is a question: whatever the answer, it ends well.
pub(super) async fn run(cli: &Cli, output: Output) -> Result<Ending, Fault> {
    let state = state_to_look_at(cli).await?;
    let now = Clock::System.now();
    // Whoever may look at the state need not be able to read the whole configuration.
    let overview = stand(&state, Settings::load(cli).ok().as_ref(), now).await.map_err(Fault::failed)?;
    if output.json {
        print_json(&overview)?;
    } else {
        print(&overview, now)?;
    }
    Ok(Ending::Done)
}

/// How things stand; where Mailchimp is to call us, with how that goes.
pub(super) async fn stand(
    state: &State,
    settings: Option<&Settings>,
    now: Timestamp,
) -> Result<Overview, StateError> {
    let mut overview = gather(state, now).await?;
    if settings.is_some_and(|settings| webhook_place(settings.config.web.as_ref()).is_some()) {
        let arrivals = arrivals(state, now).await?;
        overview.unannounced_opt_outs = arrivals.unannounced;
        overview.warnings.extend(arrivals.warning());
    }
    Ok(overview)
}

fn print(overview: &Overview, now: Timestamp) -> Result<(), Fault> {
    for line in headlines(overview, now) {
        say(&line)?;
    }
    print_parked(overview, now)?;
    print_holds(overview, now)?;
    print_list("Rows that cannot be synchronized as they stand", &unusable(overview))?;
    print_list("The audience is not as the configuration has it", &overview.warnings)
}

/// What matters first, a line each.
fn headlines(overview: &Overview, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(said) = &overview.fatal {
        lines.push(format!("NOTHING WORKS until somebody mends this: {said}"));
    }
    if let Some(since) = overview.paused_since {
        lines.push(format!(
            "PAUSED since {} UTC ({}): nothing is written. rosterd resume ends it.",
            minute(since),
            ago(now, since)
        ));
    }
    if overview.adopted_at.is_none() {
        lines.push(
            "The register and the audience have not adopted each other yet: rosterd sync asks.".to_owned(),
        );
    }
    let item = |label: &str, text: String| format!("{label:<12}{text}");
    lines.push(item(
        "Members",
        format!(
            "{} ({} in the register, {} in the audience)",
            overview.members, overview.in_register, overview.in_audience
        ),
    ));
    lines.push(item("Last cycle", cycle_text(overview.last_cycle.as_ref(), now)));
    lines.push(item("Last full", cycle_text(overview.last_full.as_ref(), now)));
    for cursor in &overview.cursors {
        lines.push(item("Cursor", format!("{} moved {}", cursor.name, ago(now, cursor.moved_at))));
    }
    lines.push(item(
        "Backlog",
        format!(
            "{} to look at, {} to decide about",
            if overview.pending_events == 1 {
                "1 address".to_owned()
            } else {
                format!("{} addresses", overview.pending_events)
            },
            counted(overview.unsettled, "member")
        ),
    ));
    if overview.unfinished_batches > 0 {
        let changes = counted(overview.batched_changes, "change");
        let batches = match overview.unfinished_batches {
            1 => "1 batch".to_owned(),
            n => format!("{n} batches"),
        };
        lines.push(item("Batches", format!("{changes} in {batches} that Mailchimp has not finished")));
    }
    for (what, count) in &overview.waiting {
        lines.push(item("Waiting", format!("{count}: {what}")));
    }
    let event = overview.last_event.as_ref().map_or("none".to_owned(), |event| {
        format!("{} by {}, {}", event.kind, event.source, ago(now, event.received_at))
    });
    lines.push(item("Last event", event));
    lines
}

fn cycle_text(cycle: Option<&LastCycle>, now: Timestamp) -> String {
    let Some(cycle) = cycle else { return "none yet".to_owned() };
    let head = format!("{} {}", cycle.cycle, cycle.kind);
    match (cycle.ended_at, &cycle.error) {
        (None, _) => format!("{head}, begun {}, not ended", ago(now, cycle.started_at)),
        (Some(ended), Some(error)) => format!("{head}, FAILED {}: {error}", ago(now, ended)),
        (Some(ended), None) => format!(
            "{head}, {}: read {} rows and {} contacts, planned {}, applied {}, failed {}, held {}",
            ago(now, ended),
            cycle.observed("local"),
            cycle.observed("remote"),
            cycle.number("planned"),
            cycle.number("applied"),
            cycle.number("failed"),
            cycle.number("held"),
        ),
    }
}

fn print_parked(overview: &Overview, now: Timestamp) -> Result<(), Fault> {
    if overview.parked_members.is_empty() {
        return Ok(());
    }
    say("")?;
    say(&format!("Set aside after a refusal: {} (rosterd member retry EMAIL tries again)", overview.parked))?;
    let mut table = table(&["address", "since", "why", "next try"]);
    for member in overview.parked_members.iter().take(SHOWN) {
        let email = member.email.as_ref().map_or("?".to_owned(), ToString::to_string);
        let next = match (member.rests, member.retry_at) {
            (false, _) => "next cycle".to_owned(),
            (true, Some(at)) => ago(now, at),
            (true, None) => "on a change".to_owned(),
        };
        let why = format!("{}: {}", member.title, member.said);
        table.add_row([email, ago(now, member.since), why, next]);
    }
    print_table(&table)?;
    say_rest(overview.parked_members.len())
}

fn print_holds(overview: &Overview, now: Timestamp) -> Result<(), Fault> {
    if overview.holds.is_empty() {
        return Ok(());
    }
    say("")?;
    say("Held (rosterd held shows what, rosterd approve ID and rosterd reject ID decide)")?;
    let mut table = table(&["id", "class", "count", "since", "why", "next"]);
    for hold in overview.holds.iter().take(SHOWN) {
        let next =
            if hold.is_open { format!("rosterd approve {}", hold.id) } else { hold.decision.to_owned() };
        let count = hold.count.to_string();
        table.add_row([&hold.id, &hold.class, &count, &ago(now, hold.since), &hold.reason, &next]);
    }
    print_table(&table)?;
    say_rest(overview.holds.len())
}

fn unusable(overview: &Overview) -> Vec<String> {
    overview.unusable.iter().map(|row| format!("row {}: {}", row.row, row.problem)).collect()
}

fn print_list(title: &str, lines: &[String]) -> Result<(), Fault> {
    if lines.is_empty() {
        return Ok(());
    }
    say("")?;
    say(title)?;
    for line in lines.iter().take(SHOWN) {
        say(&format!("  {line}"))?;
    }
    say_rest(lines.len())
}

fn say_rest(count: usize) -> Result<(), Fault> {
    match count.saturating_sub(SHOWN) {
        0 => Ok(()),
        rest => say(&format!("  … and {rest} more: rosterd status --json lists all")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn cycle(ended_at: Option<&str>, error: Option<&str>) -> LastCycle {
        let mut report = Map::new();
        report.insert("planned".to_owned(), json!(3));
        report.insert("observed".to_owned(), json!({"local": 7, "remote": 5}));
        LastCycle {
            cycle: 12,
            kind: "full",
            started_at: "2026-03-01T11:50:00Z".parse().unwrap(),
            ended_at: ended_at.map(|at| at.parse().unwrap()),
            error: error.map(str::to_owned),
            report,
        }
    }

    fn check(cycle: Option<LastCycle>, expected: &str) {
        assert_eq!(cycle_text(cycle.as_ref(), now()), expected);
    }

    #[test]
    fn a_cycle_is_one_line() {
        let ended = Some("2026-03-01T11:55:00Z");
        check(None, "none yet");
        check(Some(cycle(None, None)), "12 full, begun 10 min ago, not ended");
        check(Some(cycle(ended, Some("no answer"))), "12 full, FAILED 5 min ago: no answer");
        let done = "12 full, 5 min ago: read 7 rows and 5 contacts, planned 3, applied 0, failed 0, held 0";
        check(Some(cycle(ended, None)), done);
    }

    #[test]
    fn a_cycle_keeps_its_names_in_json() {
        let shown = serde_json::to_value(cycle(None, None)).unwrap();
        assert_eq!(shown["cycle"], 12);
        assert_eq!(shown["observed"]["local"], 7);
        assert_eq!(shown["ended_at"], serde_json::Value::Null);
    }
}
