//! Requests to the interface: each is answered in time, and counted by the pattern of its route and by the answer, never by
//! what was asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

/// A request must have come whole and been answered within this time: Mailchimp waits ten seconds for an answer.
pub(super) const ANSWERED_WITHIN: Duration = Duration::from_secs(10);

/// The route of what no route matches.
const OTHER: &str = "other";

/// Counts requests; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<(String, Answered), u64>>>);

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Answered {
    /// An answer of this status.
    With(u16),
    /// None: whoever asked had hung up before.
    Gone,
}

/// A request under way, counted when it is over, however it ends.
struct Counted {
    requests: Requests,
    route: String,
    answered: Answered,
}

impl Requests {
    /// How many there were, by route and by what came of them.
    pub(super) fn counts(&self) -> BTreeMap<(String, Answered), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has whatever `router` is asked answered within this time, and counted.
    pub(super) fn counting(self, router: Router, within: Duration) -> Router {
        router.layer(from_fn_with_state((self, within), answer))
    }
}

async fn answer(
    State((requests, within)): State<(Requests, Duration)>,
    request: Request,
    next: Next,
) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or(OTHER, MatchedPath::as_str).to_owned();
    let mut counted = Counted { requests, route, answered: Answered::Gone };
    let answered = tokio::time::timeout(within, next.run(request)).await;
    let answered = answered.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response());
    counted.answered = Answered::With(answered.status().as_u16());
    answered
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut counts = self.requests.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((std::mem::take(&mut self.route), self.answered)).or_default() += 1;
    }
}
