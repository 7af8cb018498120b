//! `rosterd member show`: one member on all sides, what happened to it, and what would happen next and why.

use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::exit::{Ending, Fault};
use crate::cli::looking::state_to_look_at;
use crate::cli::member::columns::{base_json, lines, local_json, remote_json, unsent};
use crate::cli::member::events;
use crate::cli::member::live::{From, Look, look};
use crate::cli::member::nobody;
use crate::cli::member::standing::{Facts, Standing, standing};
use crate::cli::moments::minute;
use crate::cli::output::{print_json, print_table, say, table};
use crate::cli::shown::cut;
use crate::cli::wiring::Settings;
use crate::cli::{Cli, Output};
use crate::model::EmailAddress;
use crate::reconcile::plan::{Class, MemberPlan, Planned};
use crate::reconcile::reconcile;
use crate::state::{Batch, Decision, MemberEvent, Parked, Pause, State, TrailEntry};

/// Somebody waits at a terminal: an audience that does not answer within this is out of reach.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many entries of the trail people are shown; programs are shown all.
const SHOWN: usize = 20;

/// A longer list of changes is cut in the trail; `--json` has it whole.
const LONGEST_CHANGES: usize = 160;

/// An operation that would come next, with the hold that keeps it back.
struct Next {
    planned: Planned,
    hold: Option<(String, Decision)>,
}

/// All there is to show.
struct View {
    email: EmailAddress,
    look: Look,
    plan: Option<MemberPlan>,
    next: Vec<Next>,
    parked: Option<Parked>,
    batch: Option<Batch>,
    trail: Vec<TrailEntry>,
    events: Vec<MemberEvent>,
    standing: Standing,
    notes: Vec<String>,
}

/// Shows one member.
pub(super) async fn run(cli: &Cli, email: &EmailAddress, output: Output) -> Result<Ending, Fault> {
    let state = state_to_look_at(cli).await?;
    let look = look(Settings::load(cli), &state, email, PATIENCE).await?;
    if look.is_nobody() {
        for note in &look.notes {
            tracing::warn!("{note}");
        }
        return Err(nobody(&state, email).await?);
    }
    if output.json {
        print_json(&json(&view(&state, email, look, usize::MAX).await?))?;
    } else {
        print(&view(&state, email, look, SHOWN).await?)?;
    }
    Ok(Ending::Done)
}

/// One member as `--json` shows them; `None` where nobody bears the address.
pub(in crate::cli) async fn told(
    settings: Settings,
    state: &State,
    email: &EmailAddress,
    patience: Duration,
) -> Result<Option<Value>, Fault> {
    let look = look(Ok(settings), state, email, patience).await?;
    if look.is_nobody() {
        return Ok(None);
    }
    Ok(Some(json(&view(state, email, look, usize::MAX).await?)))
}

/// All there is to show of whom was looked at, with so many entries of the trail.
async fn view(state: &State, email: &EmailAddress, mut look: Look, limit: usize) -> Result<View, Fault> {
    let now = look.trio.observed_at;
    let parked = state.parking_of(look.trio.id).await.map_err(Fault::failed)?;
    let due = parked.as_ref().and_then(|parked| parked.park.retry_at).is_some_and(|at| at <= now);
    if due || look.changed {
        // The next cycle tries again: what follows is what it would decide.
        look.trio.parked = None;
    }
    let plan = look.policy.as_ref().map(|policy| reconcile(&look.trio, policy));
    let next = held_back(state, plan.as_ref()).await?;
    let mut holds: Vec<String> = next.iter().filter_map(hold_that_keeps).collect();
    holds.extend(state.missing_hold_of(look.trio.id).await.map_err(Fault::failed)?);
    holds.sort();
    holds.dedup();
    let unsent = look.policy.as_ref().map(|policy| unsent(&look.trio, policy)).unwrap_or_default();
    let (plan_made, parked_now) = (plan.as_ref(), parked.as_ref());
    let facts =
        Facts { trio: &look.trio, plan: plan_made, parked: parked_now, holds: &holds, unsent: &unsent, now };
    let standing = standing(facts);
    let trail = state.trail(look.trio.id, limit).await.map_err(Fault::failed)?;
    let events = events::events(state, &look.trio, email, limit).await?;
    let notes = notes(state, &look, plan.as_ref()).await?;
    let batch = state.batch_of(look.trio.id).await.map_err(Fault::failed)?;
    Ok(View { email: email.clone(), look, plan, next, parked, batch, trail, events, standing, notes })
}

/// What would be done, each with the hold that lists it.
async fn held_back(state: &State, plan: Option<&MemberPlan>) -> Result<Vec<Next>, Fault> {
    let mut next = Vec::new();
    let Some(plan) = plan else { return Ok(next) };
    for planned in &plan.operations {
        let hold = match &plan.email {
            Some(email) => {
                state.holding_of(email.clone(), planned.operation.clone()).await.map_err(Fault::failed)?
            }
            None => None,
        };
        next.push(Next { planned: planned.clone(), hold });
    }
    Ok(next)
}

fn hold_that_keeps(next: &Next) -> Option<String> {
    let (id, decision) = next.hold.as_ref()?;
    matches!(decision, Decision::Open | Decision::Rejected).then(|| id.clone())
}

/// What staff should know beside what the sides show.
async fn notes(state: &State, look: &Look, plan: Option<&MemberPlan>) -> Result<Vec<String>, Fault> {
    let mut notes = look.notes.clone();
    if !look.is_known() {
        notes.push("no cycle has seen this member yet".to_owned());
    } else if look.changed {
        notes.push("a side has changed since the last cycle".to_owned());
    }
    notes.extend(plan.iter().flat_map(|plan| &plan.conflicts).map(ToString::to_string));
    if state.adopted_at().await.map_err(Fault::failed)?.is_none() {
        notes.push(
            "the register and the audience have not adopted each other yet: rosterd sync asks".to_owned(),
        );
    }
    if let Pause::Paused(since) = state.paused().await.map_err(Fault::failed)? {
        notes.push(format!("writing is paused since {} UTC: rosterd resume", minute(since)));
    }
    Ok(notes)
}

fn source(from: From) -> &'static str {
    match from {
        From::Side => "live",
        From::Mirror => "as last observed",
    }
}

fn print(view: &View) -> Result<(), Fault> {
    say(&format!("{}  {}", view.email, view.standing.because))?;
    for note in &view.notes {
        say(&format!("  note: {note}"))?;
    }
    say("")?;
    let sides = [("local", view.look.local), ("remote", view.look.remote)];
    say(&sides.map(|(side, from)| format!("{side} {}", source(from))).join(", "))?;
    let mut sides = table(&["", "base", "local", "remote"]);
    for line in lines(&view.look.trio, view.look.policy.as_ref()) {
        sides.add_row(line);
    }
    print_table(&sides)?;
    if let Some(row) = view.look.trio.local.last() {
        for (label, text) in [("preferences", &row.preferences_url), ("note", &row.sync_note)] {
            if let Some(text) = text.as_deref().filter(|text| !text.is_empty()) {
                say(&format!(" {label}: {text}"))?;
            }
        }
    }
    print_trail(view)?;
    events::print(&view.events)?;
    print_next(view)
}

fn print_trail(view: &View) -> Result<(), Fault> {
    say("")?;
    if view.trail.is_empty() {
        return say("Trail: nothing was ever written for this member.");
    }
    say("Trail, newest first")?;
    let mut trail = table(&["when", "what", "why", "decided by", "outcome"]);
    for entry in &view.trail {
        let operation = &entry.operation;
        let changes = cut(&operation.changes().to_string(), LONGEST_CHANGES);
        let what = format!("{} {}: {changes}", operation.side(), operation.kind());
        let outcome = entry.outcome.map_or("under way", |outcome| outcome.as_str());
        let said = entry.said.as_ref().map(|said| format!(": {said}")).unwrap_or_default();
        trail.add_row([
            minute(entry.begun_at),
            what,
            entry.reason.to_string(),
            entry.decided_by.clone(),
            format!("{outcome}{said}"),
        ]);
    }
    print_table(&trail)?;
    if view.trail.len() == SHOWN {
        say(&format!("  older ones: rosterd member show {} --json", view.email))?;
    }
    Ok(())
}

fn print_next(view: &View) -> Result<(), Fault> {
    say("")?;
    if let Some(batch) = &view.batch {
        say(&format!(
            "A change is in a batch that Mailchimp has had since {} UTC and has not finished: until its outcome is \
             known nothing is written but an opt-out.",
            minute(batch.begun_at)
        ))?;
    }
    if view.plan.is_none() {
        return say("Next: cannot be told without the configuration and the audience's own schema.");
    }
    if view.next.is_empty() {
        return say(&nothing_next(view));
    }
    say("Next")?;
    for next in &view.next {
        let hold = match &next.hold {
            None => String::new(),
            Some((id, Decision::Approved)) => format!("  [approved in {id}]"),
            Some((id, _)) => format!("  [held in {id}]"),
        };
        say(&format!("  {}{hold}", next.planned.line(&view.email)))?;
    }
    Ok(())
}

/// What has to happen before anything is done, where nothing is.
fn nothing_next(view: &View) -> String {
    let rests = view.look.trio.parked.is_some();
    match (view.parked.as_ref().filter(|_| rests), view.standing.word) {
        (Some(Parked { park, .. }), _) => match park.retry_at {
            Some(at) => format!(
                "Next: tried again at {} UTC, or at once by rosterd member retry {}",
                minute(at),
                view.email
            ),
            None => format!(
                "Next: nothing until the registration or the contact changes, or rosterd member retry {}",
                view.email
            ),
        },
        (None, "waits") => "Next: nothing until then.".to_owned(),
        (None, _) => "Next: nothing.".to_owned(),
    }
}

fn json(view: &View) -> Value {
    let trio = &view.look.trio;
    let policy = view.look.policy.as_ref();
    let next: Vec<Value> = view.next.iter().map(|next| next_json(next, &view.email)).collect();
    let trail: Vec<Value> = view.trail.iter().map(|entry| entry_json(entry, &view.email)).collect();
    let conflicts = view.plan.iter().flat_map(|plan| &plan.conflicts);
    let conflicts: Vec<Value> = conflicts.map(|conflict| conflict.json(&view.email)).collect();
    json!({
        "email": view.email, "hash": view.email.hash(),
        "base": base_json(trio.base.as_ref()),
        "local": local_json(trio, policy),
        "remote": remote_json(trio, policy),
        "state": view.standing.word, "because": view.standing.because,
        "parked": view.parked.as_ref().map(parked_json),
        "trail": trail, "events": events::json(&view.events), "next": next,
        "batch": view.batch.as_ref().map(|batch| json!({ "id": batch.handle, "since": batch.begun_at })),
        "conflicts": conflicts, "waits": view.plan.as_ref().and_then(|plan| plan.waits.as_ref()),
        "meeting": view.plan.as_ref().map(|plan| plan.meeting),
        "read": { "local": source(view.look.local), "remote": source(view.look.remote) },
        "notes": view.notes,
    })
}

fn next_json(next: &Next, email: &EmailAddress) -> Value {
    let mut json = next.planned.json(email);
    if let Value::Object(fields) = &mut json {
        let (id, decision) = next.hold.clone().unzip();
        fields.insert("hold".to_owned(), json!(id));
        fields.insert("decision".to_owned(), json!(decision.map(Decision::as_str)));
    }
    json
}

fn entry_json(entry: &TrailEntry, email: &EmailAddress) -> Value {
    let planned =
        Planned { operation: entry.operation.clone(), reason: entry.reason.clone(), class: Class::Free };
    let mut json = planned.json(email);
    if let Value::Object(fields) = &mut json {
        fields.insert("at".to_owned(), json!(entry.begun_at));
        fields.insert("ended_at".to_owned(), json!(entry.ended_at));
        fields.insert("cycle".to_owned(), json!(entry.cycle.0));
        fields.insert("decided_by".to_owned(), json!(entry.decided_by));
        fields.insert("outcome".to_owned(), json!(entry.outcome.map(crate::state::Outcome::as_str)));
        fields.insert("said".to_owned(), json!(entry.said));
    }
    json
}

fn parked_json(parked: &Parked) -> Value {
    let Parked { member: _, park, since, attempts, rests } = parked;
    json!({
        "class": park.class, "title": park.title, "said": park.said, "since": since, "attempts": attempts,
        "retry_at": park.retry_at, "rests": rests,
    })
}
