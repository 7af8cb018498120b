//! The HTTP interface beside the worker: it starts where `[web]` is, and follows the configuration when that is read again.

use std::net::SocketAddr;

use anyhow::{Context, Error};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Fault;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::web::{self, Terms, Web};
use crate::worker::Health;

/// The interface, where there is one.
pub(super) struct Serving {
    web: Web,
    terms: watch::Sender<Terms>,
    open: Option<Open>,
}

/// A listener and the task that answers on it.
struct Open {
    asked: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Serving {
    /// Begins to serve, if the configuration says so.
    pub(super) async fn start(settings: &Settings, health: &watch::Sender<Health>) -> Result<Self, Fault> {
        let terms = watch::Sender::new(terms(settings));
        let web = Web { clock: Clock::System, health: health.subscribe(), terms: terms.subscribe() };
        let open = match listen(settings) {
            Some(address) => Some(Open::at(address, &web).await?),
            None => None,
        };
        Ok(Self { web, terms, open })
    }

    /// Goes by this configuration from now on. Where its address cannot be had, everything stays as it was.
    pub(super) async fn follow(&mut self, settings: &Settings) -> Result<(), Fault> {
        let asked = listen(settings);
        if asked != self.open.as_ref().map(|open| open.asked) {
            let new = match asked {
                Some(address) => Some(Open::at(address, &self.web).await?),
                None => None,
            };
            if let Some(old) = std::mem::replace(&mut self.open, new) {
                old.end().await;
            }
        }
        self.terms.send_replace(terms(settings));
        Ok(())
    }

    /// Ends; answers under way are finished first.
    pub(super) async fn end(self) {
        if let Some(open) = self.open {
            open.end().await;
        }
    }
}

impl Open {
    async fn at(asked: SocketAddr, web: &Web) -> Result<Self, Fault> {
        let listener = TcpListener::bind(asked).await.map_err(Error::from);
        let listener = listener.with_context(|| format!("[web] listen: {asked} cannot be listened on"));
        let listener = listener.map_err(Fault::failed)?;
        let listen = listener.local_addr().map_err(Fault::failed)?;
        tracing::info!(%listen, "the HTTP interface is open");
        let stop = CancellationToken::new();
        let task = tokio::spawn(web::serve(listener, web.clone(), stop.clone()));
        Ok(Self { asked, stop, task })
    }

    async fn end(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(error = error.to_string(), "the HTTP interface ended by mistake");
        }
    }
}

fn listen(settings: &Settings) -> Option<SocketAddr> {
    settings.config.web.as_ref().map(|web| web.listen)
}

fn terms(settings: &Settings) -> Terms {
    Terms { interval: settings.config.sync.interval }
}
