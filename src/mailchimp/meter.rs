//! What was asked of Mailchimp: every exchange is counted by its route and by what came of it, and timed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::mailchimp::transport::{Method, Request, Response, Transport, TransportError};
use crate::telemetry::tally::Tally;

/// What came of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// A success.
    Done,
    /// A refusal of what was asked (4xx).
    Refused,
    /// Too many requests (429).
    TooMany,
    /// Mailchimp's own trouble (5xx), or whatever else is no answer of its API.
    Trouble,
    /// No connection came about.
    Unconnected,
    /// The connection broke.
    Broken,
    /// No answer came in time.
    TimedOut,
}

impl Outcome {
    /// The word for it in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::TooMany => "too_many",
            Self::Trouble => "trouble",
            Self::Unconnected => "unconnected",
            Self::Broken => "broken",
            Self::TimedOut => "timed_out",
        }
    }

    fn of(result: &Result<Response, TransportError>) -> Self {
        match result {
            Ok(response) => match response.status {
                200..=299 => Self::Done,
                429 => Self::TooMany,
                400..=499 => Self::Refused,
                _ => Self::Trouble,
            },
            Err(TransportError::Connect(_)) => Self::Unconnected,
            Err(TransportError::Broken(_)) => Self::Broken,
            Err(TransportError::TimedOut(_)) => Self::TimedOut,
        }
    }
}

/// A kind of exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    /// The method.
    pub method: Method,
    /// The pattern of the path.
    pub route: &'static str,
    /// What came of it.
    pub outcome: Outcome,
}

/// Counts exchanges; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Meter {
    tallies: Arc<Mutex<BTreeMap<Kind, Tally>>>,
    moved: Arc<Notify>,
}

impl Meter {
    /// Counts into the same tallies, but is no sign of life: for what is asked beside the cycles.
    #[must_use]
    pub fn aside(&self) -> Self {
        Self { tallies: self.tallies.clone(), moved: Arc::default() }
    }

    /// What was counted so far.
    pub fn tallies(&self) -> BTreeMap<Kind, Tally> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for the end of an exchange, or finds that one has ended since the last time.
    pub async fn moved(&self) {
        self.moved.notified().await;
    }

    fn count(&self, kind: Kind, took: Duration) {
        let mut tallies = self.tallies.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.entry(kind).or_default().add(took);
        drop(tallies);
        self.moved.notify_one();
    }
}

/// A transport whose exchanges are counted.
#[derive(Debug)]
pub struct Metered<T> {
    transport: T,
    meter: Meter,
    clock: Clock,
}

impl<T: Transport> Metered<T> {
    /// Counts with `meter` what `transport` carries.
    pub fn new(transport: T, meter: Meter, clock: Clock) -> Self {
        Self { transport, meter, clock }
    }
}

#[async_trait]
impl<T: Transport> Transport for Metered<T> {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (method, route) = (request.method, route(&request.target));
        let began = self.clock.now();
        let result = self.transport.send(request).await;
        let took = Duration::try_from(self.clock.now().duration_since(began)).unwrap_or_default();
        self.meter.count(Kind { method, route, outcome: Outcome::of(&result) }, took);
        result
    }
}

/// The paths that are asked for, as the API's description writes them.
const ROUTES: [&str; 17] = [
    "/ping",
    "/lists/{list_id}",
    "/lists/{list_id}/members",
    "/lists/{list_id}/members/{subscriber_hash}",
    "/lists/{list_id}/members/{subscriber_hash}/actions/delete-permanent",
    "/lists/{list_id}/members/{subscriber_hash}/tags",
    "/lists/{list_id}/tag-search",
    "/lists/{list_id}/segments",
    "/lists/{list_id}/segments/{segment_id}",
    "/lists/{list_id}/segments/{segment_id}/members",
    "/lists/{list_id}/merge-fields",
    "/lists/{list_id}/interest-categories",
    "/lists/{list_id}/interest-categories/{interest_category_id}/interests",
    "/lists/{list_id}/webhooks",
    "/lists/{list_id}/webhooks/{webhook_id}",
    "/batches",
    "/batches/{batch_id}",
];
/// What is fetched from another host: the results of a batch.
const ELSEWHERE: &str = "elsewhere";
/// A path that stands in no row of the table.
const OTHER: &str = "other";

/// The pattern of a target: a hash or an address never becomes a label.
fn route(target: &str) -> &'static str {
    let Some(path) = target.strip_prefix('/') else { return ELSEWHERE };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let matches = |pattern: &str| {
        let (mut wanted, mut given) = (pattern.split('/').skip(1), path.split('/'));
        loop {
            match (wanted.next(), given.next()) {
                (None, None) => return true,
                (Some(wanted), Some(given)) if wanted.starts_with('{') || wanted == given => (),
                _ => return false,
            }
        }
    };
    ROUTES.into_iter().find(|pattern| matches(pattern)).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_asked_beside_the_cycles_counts_but_is_no_sign_of_life() {
        let meter = Meter::default();
        let kind = Kind { method: Method::Get, route: "/ping", outcome: Outcome::Done };
        let moved = || futures::FutureExt::now_or_never(meter.moved()).is_some();
        meter.aside().count(kind, Duration::ZERO);
        assert_eq!(meter.tallies().len(), 1);
        assert!(!moved(), "what others ask");
        meter.clone().count(kind, Duration::ZERO);
        assert!(moved(), "what a cycle asks");
    }

    #[test]
    fn a_route_names_nobody() {
        let hash = "/lists/a1b2c3d4e5/members/0123456789abcdef0123456789abcdef";
        for (target, expected) in [
            ("/ping", "/ping"),
            ("/lists/a1/members?count=1000&offset=0", "/lists/{list_id}/members"),
            (hash, "/lists/{list_id}/members/{subscriber_hash}"),
            (&format!("{hash}/tags"), "/lists/{list_id}/members/{subscriber_hash}/tags"),
            (&format!("{hash}/secrets"), "other"),
            ("https://results.mailchimp.test/x.tar.gz?key=1", "elsewhere"),
        ] {
            assert_eq!(route(target), expected, "{target}");
        }
    }
}
