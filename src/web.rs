//! The HTTP interface: the router, and serving it until told to stop.
//!
//! A proxy in front of it ends TLS; what listens here trusts nobody who has not shown a secret. The log shows no path:
//! that of the webhook is a secret.

pub mod api;
mod bodies;
mod connections;
mod events_api;
mod failures;
mod health;
mod metrics;
mod requests;
mod secrets;
mod storing;
mod webhook;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use jiff::Timestamp;
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::intake::Letterbox;
use crate::mailchimp::meter::Meter;
use crate::state::State;
use crate::telemetry::seldom::Seldom;
use crate::web::api::Answers;
use crate::worker::{self, Desk};

pub use bodies::Bodies;
pub use failures::Failures;
pub use metrics::Scrapes;
pub use requests::Requests;
pub use secrets::Signing;

/// What the answers are made from; clones are the same one.
#[derive(Clone, Debug)]
pub struct Web {
    /// The time.
    pub clock: Clock,
    /// How the worker fares.
    pub health: watch::Receiver<worker::Health>,
    /// What of the configuration it goes by; changes when that is read again.
    pub terms: watch::Receiver<Terms>,
    /// Our own memory, for what is written.
    pub state: State,
    /// The same by a connection of its own: whoever reads waits for no cycle, and no cycle for them.
    pub reader: State,
    /// What was asked of Mailchimp.
    pub meter: Meter,
    /// What was asked of the interface.
    pub requests: Requests,
    /// Where events are handed in.
    pub letterbox: Letterbox,
    /// What Mailchimp may have signed with.
    pub signing: Arc<Signing>,
    /// What came of events.
    pub events: Arc<EventCounts>,
    /// How many more requests may fail.
    pub failures: Arc<Failures>,
    /// The room for their bodies.
    pub bodies: Bodies,
    /// What the metrics last read of the state.
    pub scrapes: Arc<Scrapes>,
    /// Where a cycle is asked for.
    pub desk: Desk,
    /// What the command line can tell.
    pub answers: Arc<dyn Answers>,
}

/// What of the configuration the interface goes by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Between two cycles.
    pub interval: Duration,
    /// The secret part of the webhook's path.
    pub webhook_path_secret: Option<SecretString>,
    /// What Mailchimp signs with, where the configuration says so.
    pub webhook_signing_secret: Option<SecretString>,
    /// Opens the whole API.
    pub api_token: Option<SecretString>,
    /// Opens the posting of events.
    pub events_token: Option<SecretString>,
}

/// What came of events and requests since the start.
#[derive(Debug, Default)]
pub struct EventCounts {
    /// Events that were stored.
    pub stored: AtomicU64,
    /// Events that could not be stored: whoever sent them was told to try again.
    pub not_stored: AtomicU64,
    /// Calls of the webhook that were rightly signed, but long ago.
    pub stale: AtomicU64,
    /// Calls of the webhook that were not rightly signed.
    pub forged: AtomicU64,
    /// Calls of the webhook that held no event.
    pub not_understood: AtomicU64,
    /// Calls of the webhook that were rightly signed, and longer than what is taken.
    pub too_long: AtomicU64,
    /// Requests that were refused, forged calls among them.
    pub refused: AtomicU64,
    /// Stale calls that the log does not tell of yet.
    pub untold_stale: Seldom,
    /// The same of calls that held no event.
    pub untold_strange: Seldom,
    /// Calls for which the disk did not answer in time, and that the log does not tell of yet.
    pub untold_hanging: Seldom,
}

/// Serves until told to stop; answers under way are finished first.
pub async fn serve(listener: TcpListener, web: Web, stop: CancellationToken) {
    let clock = web.clock.clone();
    connections::serve(listener, router(web), connections::LIMITS, &clock, stop).await;
}

fn router(web: Web) -> Router {
    let requests = web.requests.clone();
    let router = Router::new()
        .route("/webhook/{secret}", get(webhook::validate).post(webhook::receive))
        .route("/api/v1/events", post(events_api::receive))
        .merge(api::router(&web))
        .layer(from_fn_with_state(web.clone(), failures::limit))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .with_state(web);
    requests.counting(router, requests::ANSWERED_WITHIN)
}

impl Web {
    /// How long ago something was; nothing was long ago because the clock was set back.
    fn since(&self, moment: Timestamp) -> Duration {
        Duration::try_from(self.clock.now().duration_since(moment)).unwrap_or_default()
    }
}
