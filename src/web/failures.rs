//! Requests that fail: answered for what they are up to a rate, and briefly beyond it.
//!
//! Beyond it the connection is closed, and nothing more is read from it. Whoever shows the right secret never meets the limit, whatever others do: behind a proxy all of them have one address.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};

use crate::web::Web;

/// So many may fail at once.
const AT_ONCE: u32 = 60;
/// One more may fail after this long.
const ONE_EACH: SignedDuration = SignedDuration::from_secs(1);

/// Seconds after which what found no room, or could not be stored, may come again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// How many more may fail.
#[derive(Debug, Default)]
pub struct Failures(Mutex<Option<Budget>>);

#[derive(Clone, Copy, Debug)]
struct Budget {
    left: u32,
    since: Timestamp,
}

impl Failures {
    /// Whether one more may fail now and be told why.
    fn may_fail(&self, now: Timestamp) -> bool {
        let mut budget = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Budget { left, since } = budget.unwrap_or(Budget { left: AT_ONCE, since: now });
        let passed = now.duration_since(since).max(SignedDuration::ZERO).as_secs() / ONE_EACH.as_secs();
        let left = left.saturating_add(u32::try_from(passed).unwrap_or(u32::MAX)).min(AT_ONCE);
        // What is short of a whole second counts the next time; a clock that was set back begins anew.
        let since = if passed > 0 || now < since { now } else { since };
        *budget = Some(Budget { left: left.saturating_sub(1), since });
        left > 0
    }
}

/// On an answer to somebody who showed the right secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trusted;

/// Limits what fails.
pub(super) async fn limit(State(web): State<Web>, request: Request, next: Next) -> Response {
    let mut answered = next.run(request).await;
    if answered.status() == StatusCode::SERVICE_UNAVAILABLE {
        answered.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    if !answered.status().is_client_error() || answered.extensions().get::<Trusted>().is_some() {
        return answered;
    }
    web.events.refused.fetch_add(1, Ordering::Relaxed);
    let status = answered.status().as_u16();
    if web.failures.may_fail(web.clock.now()) {
        tracing::warn!(status, "a request was refused");
        return answered;
    }
    // Nothing more is heard of whoever it is on this connection, the rest of their body neither.
    (StatusCode::TOO_MANY_REQUESTS, [(header::CONNECTION, "close")]).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_fail_at_once_and_then_one_a_second() {
        let at = |tenth: i64| Timestamp::from_millisecond(1_000_000 + tenth * 100).unwrap();
        let failures = Failures::default();
        let failed = |tenth, n: usize| (0..n).filter(|_| failures.may_fail(at(tenth))).count();
        assert_eq!(failed(0, 100), 60);
        assert_eq!(failed(9, 10), 0);
        assert_eq!(failed(10, 10), 1);
        assert_eq!(failed(45, 10), 3);
        assert_eq!(failed(10_000, 100), 60, "it does not add up for ever");
        assert_eq!(failed(0, 10), 0, "a clock that is set back gives nothing");
        assert_eq!(failed(10, 10), 1);
    }
}
