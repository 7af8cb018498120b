//! How things stand, gathered from the state alone.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::mailchimp::schema::AudienceSchema;
use crate::model::EmailAddress;
use crate::state::{Cycle, CycleKind, Decision, Parked, Pause, State, StateError};

/// How many members or rows are read at a time.
const PAGE: usize = 500;

/// How things stand. What the contract does not name comes on top of it.
#[derive(Clone, Debug, Serialize)]
pub(in crate::cli) struct Overview {
    /// Members with a base.
    pub(super) members: u64,
    /// Members with rows in the register.
    pub(super) in_register: u64,
    /// Members with a contact that is not archived.
    pub(super) in_audience: u64,
    /// The latest cycle.
    pub(super) last_cycle: Option<LastCycle>,
    /// The latest full cycle.
    pub(super) last_full: Option<LastCycle>,
    /// Members set aside after a refusal.
    pub(super) parked: u64,
    /// Operations that are held.
    pub(super) held: u64,
    /// Addresses that somebody named and that are yet to be looked at.
    pub(super) pending_events: u64,
    /// Why no cycle can work.
    pub(super) fatal: Option<String>,
    /// Since when nothing is written.
    pub(super) paused_since: Option<Timestamp>,
    /// When both sides were first joined and approved.
    pub(super) adopted_at: Option<Timestamp>,
    /// Members yet to be decided about.
    pub(super) unsettled: u64,
    /// Batches that Mailchimp has not finished.
    pub(super) unfinished_batches: usize,
    /// Changes in them whose outcome is not known.
    pub(super) batched_changes: u64,
    /// How many members wait for what.
    pub(super) waiting: BTreeMap<String, u64>,
    /// Who is set aside, and why.
    pub(super) parked_members: Vec<ParkedMember>,
    /// What is held.
    pub(super) holds: Vec<Hold>,
    /// Rows that cannot be synchronized as they stand.
    pub(super) unusable: Vec<Unusable>,
    /// How far each side has been read.
    pub(super) cursors: Vec<Cursor>,
    /// The latest event.
    pub(super) last_event: Option<Event>,
    /// People who left in Mailchimp in the last day, as polling found, whom no event had named; 0 where none is expected.
    pub(super) unannounced_opt_outs: u64,
    /// What the configuration names and the audience lacks.
    pub(super) warnings: Vec<String>,
}

/// A cycle with its report.
#[derive(Clone, Debug, Serialize)]
pub(super) struct LastCycle {
    /// Its number.
    pub(super) cycle: i64,
    /// `incremental` or `full`.
    pub(super) kind: &'static str,
    /// When it began.
    pub(super) started_at: Timestamp,
    /// When it ended; `None` while it is under way, or where the program ended in its midst.
    pub(super) ended_at: Option<Timestamp>,
    /// Why it failed.
    pub(super) error: Option<String>,
    /// What else its report says.
    #[serde(flatten)]
    pub(super) report: Map<String, Value>,
}

/// A member that is set aside.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ParkedMember {
    pub(super) email: Option<EmailAddress>,
    pub(super) since: Timestamp,
    pub(super) class: String,
    pub(super) title: String,
    pub(super) said: String,
    pub(super) attempts: u32,
    pub(super) retry_at: Option<Timestamp>,
    /// Whether it still rests; else its turn has come to be tried again.
    pub(super) rests: bool,
}

/// A hold without what it lists.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Hold {
    pub(super) id: String,
    pub(super) class: String,
    pub(super) count: u64,
    pub(super) since: Timestamp,
    pub(super) reason: String,
    pub(super) decision: &'static str,
    #[serde(skip)]
    pub(super) is_open: bool,
}

/// A row that cannot be synchronized as it stands.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Unusable {
    pub(super) row: String,
    pub(super) problem: String,
}

/// How far something has been read.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Cursor {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) moved_at: Timestamp,
}

/// The latest event, without its content.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Event {
    pub(super) received_at: Timestamp,
    pub(super) source: String,
    pub(super) kind: String,
}

/// Gathers how things stand.
pub(super) async fn gather(state: &State, now: Timestamp) -> Result<Overview, StateError> {
    let counts = state.counts().await?;
    let incremental = state.last_cycle(CycleKind::Incremental).await?;
    let full = state.last_cycle(CycleKind::Full).await?;
    let latest = [&incremental, &full].into_iter().flatten().max_by_key(|cycle| cycle.id).cloned();
    let schema: Option<AudienceSchema> = state.schema().await?;
    let cursors = state.cursors().await?.into_iter();
    let event = state.last_event().await?;
    let batches = state.unfinished_batches().await?;
    Ok(Overview {
        members: counts.with_base,
        in_register: counts.with_rows,
        in_audience: counts.with_contact,
        last_cycle: latest.map(last_cycle),
        last_full: full.map(last_cycle),
        parked: counts.parked,
        held: counts.held,
        pending_events: counts.pending,
        fatal: state.fatal().await?,
        paused_since: match state.paused().await? {
            Pause::Paused(since) => Some(since),
            Pause::Running => None,
        },
        adopted_at: state.adopted_at().await?,
        unsettled: counts.unsettled,
        unfinished_batches: batches.len(),
        batched_changes: batches.iter().map(|batch| batch.left).sum(),
        waiting: state.waiting().await?,
        parked_members: parked_members(state, now).await?,
        holds: holds(state).await?,
        unusable: unusable(state).await?,
        cursors: cursors.map(|(name, value, moved_at)| Cursor { name, value, moved_at }).collect(),
        last_event: event.map(|event| Event {
            received_at: event.received_at,
            source: event.source,
            kind: event.kind,
        }),
        unannounced_opt_outs: 0,
        warnings: schema.map(|schema| schema.warnings).unwrap_or_default(),
    })
}

fn last_cycle(cycle: Cycle) -> LastCycle {
    let report = cycle.report.and_then(|text| serde_json::from_str(&text).ok());
    let mut report: Map<String, Value> = report.unwrap_or_default();
    for named_above in ["cycle", "kind"] {
        report.remove(named_above);
    }
    LastCycle {
        cycle: cycle.id.0,
        kind: cycle.kind.as_str(),
        started_at: cycle.started_at,
        ended_at: cycle.ended_at,
        error: cycle.error,
        report,
    }
}

async fn parked_members(state: &State, now: Timestamp) -> Result<Vec<ParkedMember>, StateError> {
    let mut members = Vec::new();
    let mut after = None;
    loop {
        let page = state.parked(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(members) };
        after = Some(last.member);
        for parked in page {
            let trio = state.trio(parked.member, now).await?;
            let email = trio.and_then(|trio| {
                let contact = trio.remote.map(|contact| contact.email);
                trio.local.last().map(|row| row.email.clone()).or(contact)
            });
            members.push(parked_member(email, parked));
        }
    }
}

fn parked_member(email: Option<EmailAddress>, parked: Parked) -> ParkedMember {
    let Parked { member: _, park, since, attempts, rests } = parked;
    ParkedMember {
        email,
        since,
        class: park.class,
        title: park.title,
        said: park.said,
        attempts,
        retry_at: park.retry_at,
        rests,
    }
}

async fn holds(state: &State) -> Result<Vec<Hold>, StateError> {
    let holds = state.holds().await?.into_iter();
    let hold = |hold: crate::state::HoldSummary| Hold {
        id: hold.id,
        class: hold.class,
        count: hold.count,
        since: hold.since,
        reason: hold.reason,
        decision: hold.decision.as_str(),
        is_open: hold.decision == Decision::Open,
    };
    Ok(holds.map(hold).collect())
}

async fn unusable(state: &State) -> Result<Vec<Unusable>, StateError> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = state.unusable(after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(rows) };
        after = Some(last.id.clone());
        let shown = |row: crate::state::UnusableRow| Unusable {
            row: row.id.as_str().to_owned(),
            problem: row.problem,
        };
        rows.extend(page.into_iter().map(shown));
    }
}

impl LastCycle {
    /// A number of the report; 0 where it does not say.
    pub(super) fn number(&self, key: &str) -> u64 {
        self.report.get(key).and_then(Value::as_u64).unwrap_or(0)
    }

    /// A number of what was read of a side.
    pub(super) fn observed(&self, side: &str) -> u64 {
        self.report.get("observed").unwrap_or(&json!({})).get(side).and_then(Value::as_u64).unwrap_or(0)
    }
}
