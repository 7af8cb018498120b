//! `rosterd plan`: one cycle without the apply. It is handed no writer of either side, and a copy of the state.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{Ending, Fault};
use crate::cli::output::{operations, put, say};
use crate::cli::progress::{Bar, show};
use crate::cli::wiring::{Settings, refuse_other_register};
use crate::cli::{Cli, PlanArgs};
use crate::clock::Clock;
use crate::cycle::{Adoption, adoption_phase, assemble, guard, must_read_all, read_schema, reconcile_all};
use crate::mailchimp::ReadAudience;
use crate::model::EmailAddress;
use crate::observe::{ObserveError, Scope, Sources, observe};
use crate::progress::Progress;
use crate::registrations::ReadRegistrations;
use crate::state::{Place, StagedConflict, State};

/// How many operations are read and printed at a time.
const PAGE: usize = 500;

/// Shows what a cycle would do.
pub(super) async fn run(cli: &Cli, args: &PlanArgs) -> Result<Ending, Fault> {
    let settings = Settings::load(cli)?;
    let state =
        State::copy_for_plan(&settings.config.state.path, &Clock::System).await.map_err(Fault::failed)?;
    settings.refuse_other_audience(&state).await?;
    let sources = sources(&settings, state.clone()).await?;
    refuse_other_register(&state, sources.local.as_ref()).await?;
    state
        .add_pending(args.emails.clone(), "asked for by plan".to_owned(), sources.clock.now())
        .await
        .map_err(Fault::failed)?;
    settings.within_reach().await?;
    let scope = if args.full { Scope::Full } else { Scope::Incremental };
    let bar = Bar::new();
    let made = show(&bar, &sources.progress, make(&settings, &sources, scope)).await;
    made.map_err(Fault::of_observation)?;
    drop(bar);
    if args.output.json {
        print_plan_json(&state, &args.emails).await?;
    } else {
        print_plan(&state, &args.emails).await?;
    }
    let held = n_held(&state, &args.emails).await?;
    Ok(if held > 0 { Ending::Held } else { Ending::Done })
}

/// How many operations about those asked for are held.
async fn n_held(state: &State, only: &[EmailAddress]) -> Result<u64, Fault> {
    if only.is_empty() {
        return state.count_planned_held().await.map_err(Fault::failed);
    }
    let (mut after, mut n_held) = (Place::default(), 0);
    loop {
        let page = state.planned(after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { return Ok(n_held) };
        after = last.place();
        let held = page.iter().filter(|staged| staged.held.is_some() && concerns(only, &staged.email));
        n_held += held.count() as u64;
    }
}

async fn sources(settings: &Settings, state: State) -> Result<Sources, Fault> {
    let remote: Arc<dyn ReadAudience> = Arc::new(settings.audience()?);
    let local: Arc<dyn ReadRegistrations> = settings.register_read_only().await?;
    Ok(Sources {
        local,
        remote,
        state,
        clock: Clock::System,
        connections: settings.config.mailchimp.connections,
        absences: settings.config.guard.limits().removals,
        progress: watch::Sender::new(Progress::default()),
        stop: CancellationToken::new(),
    })
}

/// Observes, reconciles and guards, all on the copy.
async fn make(settings: &Settings, sources: &Sources, scope: Scope) -> Result<(), ObserveError> {
    let schema = read_schema(sources.remote.as_ref(), &sources.state, &sources.clock).await?;
    let mut policy =
        assemble(&settings.seed(), &schema, sources.local.features(), |key| sources.local.holds(key));
    policy.adoption = adoption_phase(&sources.state).await?;
    let full = must_read_all(&sources.state, &settings.seed(), &schema).await?;
    let scope = if full { Scope::Full } else { scope };
    observe(sources, &schema, scope).await?;
    reconcile_all(&sources.state, &policy, &sources.clock).await?;
    guard(&sources.state, &settings.config.guard.limits(), Adoption::Ask, sources.clock.now()).await?;
    Ok(())
}

/// The plan for people: a line an operation, what is held marked with its hold.
async fn print_plan(state: &State, only: &[EmailAddress]) -> Result<(), Fault> {
    let (mut after, mut n_shown) = (Place::default(), 0_u64);
    loop {
        let page = state.planned(after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { break };
        after = last.place();
        for staged in page.iter().filter(|staged| concerns(only, &staged.email)) {
            let held = staged.held.as_ref().map(|id| format!("  [held {id}]")).unwrap_or_default();
            say(&format!("{}{held}", staged.planned.line(&staged.email)))?;
            n_shown += 1;
        }
    }
    print_conflicts(state, only).await?;
    match (n_shown, n_held(state, only).await?) {
        (0, _) => say("Nothing to do."),
        (n, 0) => say(&format!("{}.", operations(n))),
        // No cycle may have made these holds yet: `rosterd held` shows them after the next one.
        (n, held) if n == held => say(&format!("{}, to be held until somebody approves.", operations(n))),
        (n, held) => say(&format!("{}, of which {held} to be held until somebody approves.", operations(n))),
    }
}

async fn print_conflicts(state: &State, only: &[EmailAddress]) -> Result<(), Fault> {
    let mut after = Place::default();
    loop {
        let page = state.conflicts(after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.place.clone();
        for StagedConflict { email, conflict, .. } in page.iter().filter(|found| concerns(only, &found.email))
        {
            say(&format!("conflict  {email}  {conflict}"))?;
        }
    }
}

async fn counts(state: &State) -> Result<std::collections::BTreeMap<String, u64>, Fault> {
    let mut counts = std::collections::BTreeMap::new();
    let mut after = Place::default();
    loop {
        let page = state.planned(after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { return Ok(counts) };
        after = last.place();
        for staged in &page {
            let operation = &staged.planned.operation;
            *counts.entry(format!("{} {}", operation.side(), operation.kind())).or_default() += 1;
        }
    }
}

/// The plan for programs, in the form of the contract; written page by page.
async fn print_plan_json(state: &State, only: &[EmailAddress]) -> Result<(), Fault> {
    put("{\"operations\":[")?;
    let (mut after, mut separator) = (Place::default(), "");
    loop {
        let page = state.planned(after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { break };
        after = last.place();
        for staged in page.iter().filter(|staged| concerns(only, &staged.email)) {
            put(separator)?;
            put(&staged.planned.json(&staged.email).to_string())?;
            separator = ",";
        }
    }
    put("],\"conflicts\":[")?;
    (after, separator) = (Place::default(), "");
    loop {
        let page = state.conflicts(after, PAGE).await.map_err(Fault::failed)?;
        let Some(last) = page.last() else { break };
        after = last.place.clone();
        for found in page.iter().filter(|found| concerns(only, &found.email)) {
            put(separator)?;
            put(&found.conflict.json(&found.email).to_string())?;
            separator = ",";
        }
    }
    let held: Vec<Value> = state.holds().await.map_err(Fault::failed)?.iter().map(hold_json).collect();
    let rest = json!({ "held": held, "counts": counts(state).await? }).to_string();
    put("],")?;
    put(rest.trim_start_matches('{'))?;
    put("\n")
}

fn hold_json(hold: &crate::state::HoldSummary) -> Value {
    json!({ "id": hold.id, "class": hold.class, "count": hold.count, "since": hold.since })
}

fn concerns(only: &[EmailAddress], email: &EmailAddress) -> bool {
    only.is_empty() || only.contains(email)
}
