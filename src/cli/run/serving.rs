//! The HTTP interface beside the worker: it starts where `[web]` is, and follows the configuration when that is read again.
//! A socket that the service manager hands over takes the place of the configured address for as long as the process lives.

use std::net::SocketAddr;

use anyhow::{Context, Error};
use listenfd::ListenFd;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Fault;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::daemon::Surroundings;
use crate::state::State;
use crate::web::{self, Requests, Terms, Web};

/// The interface, where there is one.
pub(super) struct Serving {
    web: Web,
    terms: watch::Sender<Terms>,
    open: Option<Open>,
    /// The socket that was handed over.
    given: Option<std::net::TcpListener>,
}

/// A listener and the task that answers on it.
struct Open {
    asked: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Serving {
    /// Begins to serve, if the configuration says so.
    pub(super) async fn start(
        settings: &Settings,
        state: &State,
        surroundings: &Surroundings,
    ) -> Result<Self, Fault> {
        let terms = watch::Sender::new(terms(settings));
        let web = Web {
            clock: Clock::System,
            health: surroundings.health.subscribe(),
            terms: terms.subscribe(),
            state: state.clone(),
            meter: surroundings.meter.clone(),
            requests: Requests::default(),
        };
        let mut serving = Self { web, terms, open: None, given: given()? };
        serving.open = serving.opened(listen(settings)).await?;
        Ok(serving)
    }

    /// Listens where the configuration says, or on what was handed over; where the interface is off, nowhere.
    async fn opened(&self, asked: Option<SocketAddr>) -> Result<Option<Open>, Fault> {
        let Some(asked) = asked else { return Ok(None) };
        let listener = match &self.given {
            Some(given) => given.try_clone().and_then(TcpListener::from_std).map_err(Error::from),
            None => TcpListener::bind(asked).await.map_err(Error::from),
        };
        let listener = listener.with_context(|| format!("[web] listen: {asked} cannot be listened on"));
        Ok(Some(Open::on(listener.map_err(Fault::failed)?, asked, &self.web)?))
    }

    /// Goes by this configuration from now on. Where its address cannot be had, everything stays as it was.
    pub(super) async fn follow(&mut self, settings: &Settings) -> Result<(), Fault> {
        let asked = listen(settings);
        let now = self.open.as_ref().map(|open| open.asked);
        let stays = asked == now || (self.given.is_some() && asked.is_some() && now.is_some());
        if !stays {
            let new = self.opened(asked).await?;
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
    fn on(listener: TcpListener, asked: SocketAddr, web: &Web) -> Result<Self, Fault> {
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

/// The socket that the service manager listened on before we did, if there is one: see `rosterd.socket`.
fn given() -> Result<Option<std::net::TcpListener>, Fault> {
    let taken = ListenFd::from_env().take_tcp_listener(0).and_then(|listener| {
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
        }
        Ok(listener)
    });
    taken.context("the socket that was handed over cannot be used").map_err(Fault::usage)
}

fn listen(settings: &Settings) -> Option<SocketAddr> {
    settings.config.web.as_ref().map(|web| web.listen)
}

fn terms(settings: &Settings) -> Terms {
    Terms { interval: settings.config.sync.interval }
}
