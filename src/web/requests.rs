//! Requests to the interface, counted by the pattern of their route and by the answer: never by what was asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// The route of what no route matches.
const OTHER: &str = "other";

/// Counts requests; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Requests(Arc<Mutex<BTreeMap<(String, u16), u64>>>);

impl Requests {
    /// How many there were, by route and status code.
    pub(super) fn counts(&self) -> BTreeMap<(String, u16), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Counts a request when it is answered.
pub(super) async fn count(State(requests): State<Requests>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or(OTHER, MatchedPath::as_str).to_owned();
    let response = next.run(request).await;
    let mut counts = requests.0.lock().unwrap_or_else(PoisonError::into_inner);
    *counts.entry((route, response.status().as_u16())).or_default() += 1;
    response
}
