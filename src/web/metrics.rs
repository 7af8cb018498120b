//! `/metrics`: how the daemon fares, in Prometheus' text format.
//!
//! The text is written here and not by the `metrics` crate: what is counted is kept by whoever does the work (the loop,
//! the meter of requests, the state), most of it is read when it is asked for, and a recorder that is global to the
//! process would mix what two daemons of one test count. Nothing in it names a person.

use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use crate::aside::aside;
use crate::intake::{Lying, Spool};
use crate::mailchimp::refusal::chain;
use crate::state::{self, Decision, Pause, StateError};
use crate::telemetry::tally::{BUCKETS_MS, Tally};
use crate::web::requests::{Answered, Requests};
use crate::web::{EventCounts, Web};
use crate::worker::Health;

/// The format and its version.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// The cursors that say how far a side has been read.
const SIDES: [&str; 2] = ["local", "remote"];

/// Everything that is counted; 503 where the state cannot be read.
pub(super) async fn metrics(State(web): State<Web>) -> Response {
    let now = web.clock.now();
    match web.scrapes.of(&web.reader, now).await {
        Ok(of_state) => {
            let mut page = Page::default();
            page.build();
            page.health(&web.health.borrow());
            page.requests(&web);
            page.interface(&web.requests);
            page.events(&web.events);
            page.state(&of_state, now);
            page.spool(of_state.spool);
            ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.0).into_response()
        }
        Err(error) => {
            tracing::warn!(error = chain(&error), "the metrics cannot be told");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// What was last read of the state: it is read by one at a time, and by nobody again within a second.
#[derive(Debug, Default)]
pub struct Scrapes(tokio::sync::Mutex<Option<(Timestamp, Arc<OfState>)>>);

/// How long what was read is told again.
const TOLD_AGAIN: SignedDuration = SignedDuration::from_secs(1);

impl Scrapes {
    async fn of(&self, state: &state::State, now: Timestamp) -> Result<Arc<OfState>, StateError> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((read_at, read)) if now.duration_since(*read_at).abs() < TOLD_AGAIN => Ok(Arc::clone(read)),
            Some(_) | None => {
                let read = Arc::new(of_state(state, now).await?);
                *last = Some((now, Arc::clone(&read)));
                Ok(read)
            }
        }
    }
}

/// What the state knows.
#[derive(Debug)]
struct OfState {
    counts: state::Counts,
    parked: Vec<(String, u64)>,
    held: Vec<(String, u64)>,
    batched: u64,
    fatal: bool,
    paused: bool,
    last_full: Option<Timestamp>,
    last_event: Option<Timestamp>,
    read: Vec<(String, Timestamp)>,
    spool: Lying,
}

async fn of_state(state: &state::State, now: Timestamp) -> Result<OfState, StateError> {
    let mut held = std::collections::BTreeMap::new();
    for hold in state.holds().await?.into_iter().filter(|hold| hold.decision == Decision::Open) {
        *held.entry(hold.class).or_default() += hold.count;
    }
    let cursors = state.cursors().await?.into_iter();
    let spool = Spool::beside(state.path());
    Ok(OfState {
        spool: aside(move || spool.lying()).await.unwrap_or_default(),
        counts: state.counts().await?,
        parked: state.parked_by_class().await?.into_iter().collect(),
        held: held.into_iter().collect(),
        batched: state.unfinished_batches().await?.iter().map(|batch| batch.left).sum(),
        fatal: state.fatal().await?.is_some(),
        paused: matches!(state.paused().await?, Pause::Paused(_)),
        last_full: state.full_observed_at().await?,
        last_event: state.last_event().await?.map(|event| event.received_at.min(now)),
        read: cursors
            .filter(|(name, _, _)| SIDES.contains(&name.as_str()))
            .map(|(name, _, moved_at)| (name, moved_at))
            .collect(),
    })
}

/// A page of metrics.
#[derive(Default)]
struct Page(String);

impl Page {
    fn build(&mut self) {
        self.family("rosterd_build_info", "gauge", "The program.");
        self.sample("rosterd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    }

    fn health(&mut self, health: &Health) {
        self.family("rosterd_cycles", "counter", "Cycles that ended.");
        for ((scope, end), tally) in &health.ended {
            let labels = [("kind", scope.as_str()), ("outcome", end.as_str())];
            self.sample("rosterd_cycles_total", &labels, tally.count);
        }
        self.family("rosterd_cycle_duration_seconds", "histogram", "How long cycles took.");
        for ((scope, end), tally) in &health.ended {
            let labels = [("kind", scope.as_str()), ("outcome", end.as_str())];
            self.histogram("rosterd_cycle_duration_seconds", &labels, tally);
        }
        self.family("rosterd_operations", "counter", "Operations that were tried, by what became of them.");
        let operations = health.operations;
        for (outcome, count) in [
            ("applied", operations.applied),
            ("failed", operations.failed),
            ("refused", operations.refused),
            ("skipped", operations.skipped),
        ] {
            self.sample("rosterd_operations_total", &[("outcome", outcome)], count);
        }
        self.family("rosterd_refusals", "counter", "Refusals, by what each was taken for.");
        for (class, count) in &health.refusals {
            self.sample("rosterd_refusals_total", &[("class", class)], count);
        }
        self.gauge(
            "rosterd_consecutive_failures",
            "Cycles that failed since the last that worked.",
            health.failures,
        );
        let last = "When the last cycle that worked ended; absent before the first.";
        self.moment("rosterd_last_success_timestamp_seconds", last, health.worked_at);
    }

    fn requests(&mut self, web: &Web) {
        let tallies = web.meter.tallies();
        self.family("rosterd_mailchimp_request_duration_seconds", "histogram", "Requests to Mailchimp.");
        for (kind, tally) in &tallies {
            let labels =
                [("method", kind.method.as_str()), ("route", kind.route), ("outcome", kind.outcome.as_str())];
            self.histogram("rosterd_mailchimp_request_duration_seconds", &labels, tally);
        }
    }

    fn interface(&mut self, requests: &Requests) {
        self.family("rosterd_http_requests", "counter", "Requests to the HTTP interface.");
        for ((route, answered), count) in requests.counts() {
            let code = match answered {
                Answered::With(status) => status.to_string(),
                Answered::Gone => "gone".to_owned(),
            };
            let labels = [("route", route.as_str()), ("code", &code)];
            self.sample("rosterd_http_requests_total", &labels, count);
        }
    }

    fn events(&mut self, events: &EventCounts) {
        self.family("rosterd_events", "counter", "Events that came in, by what became of them.");
        for (outcome, count) in [
            ("stored", &events.stored),
            ("not_stored", &events.not_stored),
            ("stale", &events.stale),
            ("forged", &events.forged),
            ("not_understood", &events.not_understood),
            ("too_long", &events.too_long),
        ] {
            self.sample("rosterd_events_total", &[("outcome", outcome)], count.load(Ordering::Relaxed));
        }
    }

    fn state(&mut self, state: &OfState, now: Timestamp) {
        let counts = state.counts;
        self.gauge("rosterd_members", "Members that both sides agree to speak of.", counts.with_base);
        self.gauge("rosterd_members_in_register", "Members with rows in the register.", counts.with_rows);
        self.gauge(
            "rosterd_members_in_audience",
            "Members whose contact is not archived.",
            counts.with_contact,
        );
        self.gauge(
            "rosterd_unusable_rows",
            "Rows that cannot be synchronized as they stand.",
            counts.unusable,
        );
        self.family(
            "rosterd_backlog",
            "gauge",
            "Addresses to look at, members to decide about, changes in batches.",
        );
        let backlog =
            [("addresses", counts.pending), ("members", counts.unsettled), ("batched", state.batched)];
        for (what, count) in backlog {
            self.sample("rosterd_backlog", &[("what", what)], count);
        }
        self.family(
            "rosterd_parked",
            "gauge",
            "Members set aside after a refusal, by what it was taken for.",
        );
        for (class, count) in &state.parked {
            self.sample("rosterd_parked", &[("class", class)], count);
        }
        self.family(
            "rosterd_held",
            "gauge",
            "Operations that wait for a person's decision, by what they are held as.",
        );
        for (class, count) in &state.held {
            self.sample("rosterd_held", &[("class", class)], count);
        }
        self.gauge(
            "rosterd_fatal",
            "1 where no cycle can work until somebody mends what is wrong.",
            u8::from(state.fatal),
        );
        self.gauge(
            "rosterd_paused",
            "1 where nothing is written until somebody resumes.",
            u8::from(state.paused),
        );
        let full = "When everybody was last read, on both sides; absent before the first time.";
        self.moment("rosterd_last_full_timestamp_seconds", full, state.last_full);
        let event = "When the last event came; absent before the first.";
        self.moment("rosterd_last_event_timestamp_seconds", event, state.last_event);
        self.family("rosterd_lag_seconds", "gauge", "How long ago a side was last read to its end.");
        for (side, read) in &state.read {
            let lag = Duration::try_from(now.duration_since(*read)).unwrap_or_default();
            self.sample("rosterd_lag_seconds", &[("side", side)], lag.as_secs_f64());
        }
    }

    fn spool(&mut self, spool: Lying) {
        let help =
            "Files of events in the spool: those that wait to be taken up, and those that cannot be read.";
        self.family("rosterd_spool_files", "gauge", help);
        for (what, count) in [("waiting", spool.waiting), ("damaged", spool.damaged)] {
            self.sample("rosterd_spool_files", &[("what", what)], count);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.family(name, "gauge", help);
        self.sample(name, &[], value);
    }

    fn moment(&mut self, name: &str, help: &str, moment: Option<Timestamp>) {
        self.family(name, "gauge", help);
        if let Some(moment) = moment {
            self.sample(name, &[], moment.as_second());
        }
    }

    /// The head of what follows; a counter's samples end in `_total`, its head does too.
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let total = if kind == "counter" { "_total" } else { "" };
        self.line(format_args!("# HELP {name}{total} {help}"));
        self.line(format_args!("# TYPE {name}{total} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        match labels.is_empty() {
            true => self.line(format_args!("{name} {value}")),
            false => self.line(format_args!("{name}{{{}}} {value}", labels.join(","))),
        }
    }

    fn histogram(&mut self, name: &str, labels: &[(&str, &str)], tally: &Tally) {
        let bucket = format!("{name}_bucket");
        let mut below = 0;
        for (end_ms, count) in BUCKETS_MS.into_iter().zip(tally.buckets) {
            below += count;
            let end = Duration::from_millis(end_ms).as_secs_f64().to_string();
            self.sample(&bucket, &[labels, &[("le", &end)]].concat(), below);
        }
        self.sample(&bucket, &[labels, &[("le", "+Inf")]].concat(), tally.count);
        self.sample(&format!("{name}_sum"), labels, tally.total.as_secs_f64());
        self.sample(&format!("{name}_count"), labels, tally.count);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A text takes whatever is written to it.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A label's value as it stands between quotes.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::Scope;
    use crate::worker::CycleEnd;

    #[test]
    fn a_histogram_counts_up_to_everything() {
        let mut tally = Tally::default();
        for took in [10, 80, 80, 2_000_000] {
            tally.add(Duration::from_millis(took));
        }
        let mut page = Page::default();
        page.histogram("x_seconds", &[("kind", "full")], &tally);
        let lines: Vec<&str> = page.0.lines().collect();
        assert_eq!(lines[0], "x_seconds_bucket{kind=\"full\",le=\"0.05\"} 1");
        assert_eq!(lines[1], "x_seconds_bucket{kind=\"full\",le=\"0.1\"} 3");
        assert_eq!(lines[11], "x_seconds_bucket{kind=\"full\",le=\"900\"} 3");
        assert_eq!(
            lines[12..],
            [
                "x_seconds_bucket{kind=\"full\",le=\"+Inf\"} 4",
                "x_seconds_sum{kind=\"full\"} 2000.17",
                "x_seconds_count{kind=\"full\"} 4"
            ]
        );
    }

    #[test]
    fn a_label_cannot_end_before_its_quote() {
        let mut page = Page::default();
        page.sample("x", &[("class", "a\"b\\c\nd")], 1);
        assert_eq!(page.0, "x{class=\"a\\\"b\\\\c\\nd\"} 1\n");
    }

    #[test]
    fn cycles_are_told_by_what_they_read_and_how_they_ended() {
        let refusals = [("forgotten".to_owned(), 3)].into();
        let mut health = Health { failures: 2, refusals, ..Health::default() };
        health.ended.entry((Scope::Full, CycleEnd::Failed)).or_default().add(Duration::from_secs(1));
        let mut page = Page::default();
        page.health(&health);
        for line in [
            "# TYPE rosterd_cycles_total counter",
            "rosterd_cycles_total{kind=\"full\",outcome=\"failed\"} 1",
            "rosterd_operations_total{outcome=\"applied\"} 0",
            "rosterd_refusals_total{class=\"forgotten\"} 3",
            "rosterd_consecutive_failures 2",
        ] {
            assert!(page.0.lines().any(|found| found == line), "{line}:\n{}", page.0);
        }
        assert!(!page.0.contains("\nrosterd_last_success"), "no cycle has worked yet:\n{}", page.0);
    }
}
