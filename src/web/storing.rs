//! What a call waits for the disk for, and how long: one that hangs is answered 503, which has whoever called come again,
//! before the request's own time-out says 408 and before Mailchimp gives the call up.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;

use crate::intake::{NotStored, Received};
use crate::web::Web;
use crate::web::bodies::Whole;

/// The disk has done its part within this time of a call's beginning: half of what there is for the answer
/// (`ANSWERED_WITHIN`), and a disk that is only busy needs less.
const WITHIN: Duration = Duration::from_secs(5);
/// It is given so much at least, however slowly the body came.
const AT_LEAST: Duration = Duration::from_secs(1);

/// A call that waits for the disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    began: Timestamp,
}

impl Call {
    /// One that begins now.
    pub(super) fn begins(web: &Web) -> Self {
        Self { began: web.clock.now() }
    }

    /// What comes of `work`, or 503 where nothing does in time.
    pub(super) async fn waits_for<T>(
        self,
        web: &Web,
        work: impl Future<Output = T>,
    ) -> Result<T, StatusCode> {
        let left = WITHIN.saturating_sub(web.since(self.began)).max(AT_LEAST);
        let done = tokio::time::timeout(left, work).await;
        done.map_err(|_| {
            if let Some(calls) = web.events.untold_hanging.add(1, web.clock.now()) {
                tracing::error!(calls, "the disk does not answer: whoever sent events is told to try again");
            }
            StatusCode::SERVICE_UNAVAILABLE
        })
    }
}

impl Web {
    /// Stores the events of a body; the status says whether they are on the disk. Where that takes too long it goes on, and
    /// the body keeps its room meanwhile: what waits for a disk that hangs is bounded, too.
    pub(super) async fn store(&self, events: Vec<Received>, body: Whole, call: Call) -> StatusCode {
        let number = u64::try_from(events.len()).unwrap_or(u64::MAX);
        let web = self.clone();
        let storing = tokio::spawn(async move {
            let stored = web.letterbox.hand_in(events).await;
            drop(body);
            if stored == Ok(()) {
                web.events.stored.fetch_add(number, Ordering::Relaxed);
            }
            stored
        });
        match call.waits_for(self, storing).await {
            Ok(Ok(Ok(()))) => StatusCode::OK,
            Ok(Ok(Err(NotStored)) | Err(_)) | Err(_) => {
                self.events.not_stored.fetch_add(number, Ordering::Relaxed);
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}
