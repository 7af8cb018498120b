//! The HTTP interface: the router, and serving it until told to stop.
//!
//! A proxy in front of it ends TLS; what listens here trusts nobody who has not shown a secret.

mod connections;
mod health;
mod metrics;
mod requests;

use std::time::Duration;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::mailchimp::meter::Meter;
use crate::state::State;
use crate::worker;

pub use requests::Requests;

/// What the answers are made from; clones are the same one.
#[derive(Clone, Debug)]
pub struct Web {
    /// The time.
    pub clock: Clock,
    /// How the worker fares.
    pub health: watch::Receiver<worker::Health>,
    /// What of the configuration it goes by; changes when that is read again.
    pub terms: watch::Receiver<Terms>,
    /// Our own memory.
    pub state: State,
    /// What was asked of Mailchimp.
    pub meter: Meter,
    /// What was asked of the interface.
    pub requests: Requests,
}

/// What of the configuration the interface goes by.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Between two cycles.
    pub interval: Duration,
}

/// Serves until told to stop; answers under way are finished first.
pub async fn serve(listener: TcpListener, web: Web, stop: CancellationToken) {
    let clock = web.clock.clone();
    connections::serve(listener, router(web), &clock, stop).await;
}

fn router(web: Web) -> Router {
    let requests = web.requests.clone();
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::metrics))
        .layer(from_fn_with_state(requests, requests::count))
        .with_state(web)
}
