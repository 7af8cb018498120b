//! `rosterd held`, `approve` and `reject`: what the guard holds, and what a person decides about it.

use serde_json::{Value, json};

use crate::cli::exit::{Ending, Fault};
use crate::cli::looking::state_to_look_at;
use crate::cli::moments::{ago, minute};
use crate::cli::output::{operations, print_json, put, say};
use crate::cli::wiring::shared_state;
use crate::cli::{Cli, HeldArgs, HoldArgs};
use crate::clock::Clock;
use crate::control::knock;
use crate::cycle::ADOPTION;
use crate::state::{Decision, HeldOperation, HoldSummary, Pause, State, StateError};

/// How many operations are read at a time.
const PAGE: usize = 500;

/// How many lines of a hold people are shown.
const SHOWN: usize = 20;

/// What contacts are held as that a whole walk did not show; they are looked into by full cycles only.
const MISSING: &str = "missing";

/// Shows what is held.
pub(super) async fn held(cli: &Cli, args: &HeldArgs) -> Result<Ending, Fault> {
    let state = state_to_look_at(cli).await?;
    let mut holds = state.holds().await.map_err(Fault::failed)?;
    if let Some(given) = &args.id {
        let id = resolve(&state, given).await?;
        holds.retain(|hold| hold.id == id);
    }
    let shown = if args.id.is_some() { usize::MAX } else { SHOWN };
    if args.output.json {
        print_holds_json(&state, &holds).await?;
    } else if holds.is_empty() {
        say("Nothing is held.")?;
    } else {
        for hold in &holds {
            print_hold(&state, hold, shown).await?;
        }
    }
    let open = holds.iter().any(|hold| hold.decision == Decision::Open);
    Ok(if open { Ending::Held } else { Ending::Done })
}

/// Lets a hold through.
pub(super) async fn approve(cli: &Cli, args: &HoldArgs) -> Result<Ending, Fault> {
    let state = shared_state(cli).await?;
    let id = resolve(&state, &args.id).await?;
    let hold = state.approve(id, Clock::System.now()).await.map_err(undecidable)?;
    knock(state.path()).await;
    let paused = state.paused().await.map_err(Fault::failed)? != Pause::Running;
    if args.output.json {
        print_json(&decided_json(&hold))?;
        return Ok(Ending::Done);
    }
    for line in after_approval(&hold, paused) {
        say(&line)?;
    }
    say_what_is_open(&state).await
}

/// Keeps a hold from ever happening.
pub(super) async fn reject(cli: &Cli, args: &HoldArgs) -> Result<Ending, Fault> {
    let state = shared_state(cli).await?;
    let id = resolve(&state, &args.id).await?;
    let hold = state.reject(id, Clock::System.now()).await.map_err(undecidable)?;
    if args.output.json {
        print_json(&decided_json(&hold))?;
        return Ok(Ending::Done);
    }
    say(&format!(
        "Rejected {}: the {} it lists stay back for as long as they are wanted.",
        hold.id,
        operations(hold.count)
    ))?;
    say("Mend the side that asks for them, and they go away by themselves.")?;
    say(&format!("You can still change your mind: rosterd approve {}", hold.id))?;
    say_what_is_open(&state).await
}

/// The whole id that `given` stands for, the only one that begins so.
async fn resolve(state: &State, given: &str) -> Result<String, Fault> {
    let given = given.trim().to_ascii_lowercase();
    let holds = state.holds().await.map_err(Fault::failed)?;
    match pick(&holds, &given) {
        Ok(id) => Ok(id),
        Err(said) => match state.hold_summary(given.clone()).await {
            Ok(_) => Err(undecidable(StateError::HoldIsDone { id: given })),
            Err(_) => Err(Fault::usage(anyhow::anyhow!(said))),
        },
    }
}

/// The id among `holds` that `given` is, or is the beginning of.
fn pick(holds: &[HoldSummary], given: &str) -> Result<String, String> {
    if let Some(hold) = holds.iter().find(|hold| hold.id == given) {
        return Ok(hold.id.clone());
    }
    let begins = |hold: &&HoldSummary| !given.is_empty() && hold.id.starts_with(given);
    let found: Vec<&str> = holds.iter().filter(begins).map(|hold| hold.id.as_str()).collect();
    match found.as_slice() {
        [only] => Ok((*only).to_owned()),
        [] if holds.is_empty() => Err("nothing is held".to_owned()),
        [] => {
            let ids: Vec<&str> = holds.iter().map(|hold| hold.id.as_str()).collect();
            Err(format!("nothing is held under {given:?}; what is held: {}", ids.join(", ")))
        }
        several => Err(format!("{given:?} may be any of {}: give more of it", several.join(", "))),
    }
}

fn undecidable(error: StateError) -> Fault {
    match error {
        StateError::NoSuchHold { .. } | StateError::HoldIsDone { .. } => Fault::usage(error),
        error => Fault::failed(error),
    }
}

/// What comes after an approval.
fn after_approval(hold: &HoldSummary, paused: bool) -> Vec<String> {
    let (what, command) = match hold.class.as_str() {
        MISSING => (
            format!("the next full cycle reads the {} contacts by themselves", hold.count),
            "rosterd sync --full",
        ),
        ADOPTION => (
            format!(
                "the next cycle adopts: {}, as far as they are still wanted then",
                operations(hold.count)
            ),
            "rosterd sync",
        ),
        _ => (
            format!(
                "the next cycle carries out {}, as far as they are still wanted then",
                operations(hold.count)
            ),
            "rosterd sync",
        ),
    };
    let mut lines = vec![
        format!("Approved {}: {what}.", hold.id),
        format!("A running daemon does it by itself; without one: {command}"),
    ];
    if paused {
        lines.push("But writing is paused: rosterd resume".to_owned());
    }
    lines
}

async fn say_what_is_open(state: &State) -> Result<Ending, Fault> {
    let holds = state.holds().await.map_err(Fault::failed)?;
    let n_open = holds.iter().filter(|hold| hold.decision == Decision::Open).count();
    if n_open > 0 {
        let word = if n_open == 1 { "hold waits" } else { "holds wait" };
        say(&format!("{n_open} more {word} for an answer: rosterd held"))?;
    }
    Ok(Ending::Done)
}

/// One hold for people: why, what, and what to do.
async fn print_hold(state: &State, hold: &HoldSummary, shown: usize) -> Result<(), Fault> {
    let since = format!("since {} UTC ({})", minute(hold.since), ago(Clock::System.now(), hold.since));
    say(&format!("{}  {}  {}  {since}", hold.id, hold.class, operations(hold.count)))?;
    say(&format!("  {}", hold.reason))?;
    let (mut after, mut n_shown) = (0, 0);
    while n_shown < shown {
        let limit = PAGE.min(shown - n_shown);
        let page = state.held_operations(hold.id.clone(), after, limit).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        n_shown += page.len();
        page.iter().try_for_each(|held| say(&format!("    {}", line(held))))?;
    }
    let rest = hold.count.saturating_sub(n_shown as u64);
    if rest > 0 {
        say(&format!("    … and {rest} more: rosterd held {} lists all", hold.id))?;
    }
    let next = match hold.decision {
        Decision::Open => format!("rosterd approve {0}   or   rosterd reject {0}", hold.id),
        Decision::Approved => "approved: the next cycle carries it out".to_owned(),
        Decision::Rejected => format!("rejected: it stays back; rosterd approve {} changes that", hold.id),
        Decision::Done => "done".to_owned(),
    };
    say(&format!("  {next}"))?;
    say("")
}

fn line(held: &HeldOperation) -> String {
    match &held.planned {
        Some(planned) => planned.line(&held.email),
        None => format!("remote  missing  {}  (no page of the audience showed the contact)", held.email),
    }
}

/// What was decided about a hold, for programs.
pub(super) fn decided_json(hold: &HoldSummary) -> Value {
    json!({
        "id": hold.id, "class": hold.class, "count": hold.count, "since": hold.since,
        "decision": hold.decision.as_str(), "decided_at": hold.decided_at,
    })
}

/// Everything for programs, in the form of the contract; written page by page.
async fn print_holds_json(state: &State, holds: &[HoldSummary]) -> Result<(), Fault> {
    put("{\"held\":[")?;
    for (n, hold) in holds.iter().enumerate() {
        let mut head = decided_json(hold);
        if let Value::Object(fields) = &mut head {
            fields.insert("reason".to_owned(), json!(hold.reason));
        }
        put(if n == 0 { "" } else { "," })?;
        put(head.to_string().trim_end_matches('}'))?;
        put(",\"operations\":[")?;
        let mut after = 0;
        loop {
            let page = state.held_operations(hold.id.clone(), after, PAGE).await.map_err(Fault::failed)?;
            for held in &page {
                put(if after == 0 { "" } else { "," })?;
                put(&operation_json(held).to_string())?;
                after = held.seq;
            }
            if page.len() < PAGE {
                break;
            }
        }
        put("]}")?;
    }
    put("]}\n")
}

fn operation_json(held: &HeldOperation) -> Value {
    match &held.planned {
        Some(planned) => planned.json(&held.email),
        None => json!({
            "side": "remote", "kind": "missing", "email": held.email, "hash": held.email.hash(),
            "changes": {}, "reason": "no page of the audience showed the contact",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hold(id: &str, class: &str) -> HoldSummary {
        HoldSummary {
            id: id.to_owned(),
            class: class.to_owned(),
            reason: "a test".to_owned(),
            since: "2026-03-01T12:00:00Z".parse().unwrap(),
            count: 12,
            decision: Decision::Open,
            decided_at: None,
        }
    }

    fn check(given: &str, expected: Result<&str, &str>) {
        let holds =
            [hold("0a1b2c3d", "removals"), hold("0a1bffff", "creations"), hold("9e000000", "missing")];
        let picked = pick(&holds, given);
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(picked, expected, "{given}");
    }

    #[test]
    fn a_hold_is_named_by_the_beginning_of_its_id() {
        check("0a1b2c3d", Ok("0a1b2c3d"));
        check("9", Ok("9e000000"));
        check("0a1b", Err("\"0a1b\" may be any of 0a1b2c3d, 0a1bffff: give more of it"));
        let there = "what is held: 0a1b2c3d, 0a1bffff, 9e000000";
        check("77", Err(&format!("nothing is held under \"77\"; {there}")));
        check("", Err(&format!("nothing is held under \"\"; {there}")));
        assert_eq!(pick(&[], "77"), Err("nothing is held".to_owned()));
    }

    #[test]
    fn an_approval_says_what_comes_next() {
        let words = |class: &str, paused| after_approval(&hold("9e000000", class), paused).join("\n");
        assert!(words("removals", false).contains("the next cycle carries out 12 operations"));
        assert!(words(MISSING, false).contains("rosterd sync --full"));
        assert!(words(ADOPTION, false).contains("the next cycle adopts: 12 operations"));
        assert!(words("removals", true).ends_with("But writing is paused: rosterd resume"));
    }
}
