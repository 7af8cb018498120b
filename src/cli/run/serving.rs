//! What goes on beside the worker: received events go into the state, and the HTTP interface is open where `[web]` is. It
//! follows the configuration when that is read again. A socket that the service manager hands over takes the place of the
//! configured address for as long as the process lives.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Error};
use listenfd::ListenFd;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::aside::aside;
use crate::cli::exit::Fault;
use crate::cli::run::answers::Told;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::daemon::Surroundings;
use crate::intake::{Spool, attend, keep_letterbox, trim_damaged};
use crate::state::{State, keep_configured_secret};
use crate::web::{self, Bodies, Requests, Terms, Web};
use crate::worker::{Bell, Health};

/// What goes on beside the worker.
pub(super) struct Serving {
    web: Web,
    terms: watch::Sender<Terms>,
    in_force: watch::Sender<Settings>,
    open: Option<Open>,
    given: Given,
    letterbox: JoinHandle<()>,
    attending: JoinHandle<()>,
}

/// The socket that the service manager listened on before we did, if there is one: see `rosterd.socket`.
pub(super) struct Given(Option<std::net::TcpListener>);

/// Where the interface listens, and what the configuration says of that; nowhere where the interface is off.
pub(super) type Listening = Option<(SocketAddr, TcpListener)>;

/// A listener and the task that answers on it.
struct Open {
    asked: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Serving {
    /// Begins to take events up, and to serve where something listens.
    pub(super) async fn start(
        settings: &Settings,
        state: &State,
        surroundings: &Surroundings,
        (given, listening): (Given, Listening),
    ) -> Result<Self, Fault> {
        let spool = Spool::beside(state.path());
        prove(&spool).await?;
        keep_secret(settings, state).await?;
        let reader = State::open_shared(state.path()).await.map_err(Fault::of_state)?;
        let written = Arc::new(Notify::new());
        let (letterbox, keeping) = keep_letterbox(spool.clone(), written.clone());
        let terms = watch::Sender::new(terms(settings));
        let in_force = watch::Sender::new(settings.clone());
        let web = Web {
            clock: Clock::System,
            health: surroundings.health.subscribe(),
            terms: terms.subscribe(),
            state: state.clone(),
            reader: reader.clone(),
            meter: surroundings.meter.clone(),
            requests: Requests::default(),
            letterbox,
            signing: Arc::default(),
            events: Arc::default(),
            failures: Arc::default(),
            bodies: Bodies::default(),
            scrapes: Arc::default(),
            desk: surroundings.desk.clone(),
            answers: Arc::new(Told::new(state.clone(), reader, in_force.subscribe())),
        };
        let attending = tokio::spawn(take_up_all(
            state.clone(),
            spool,
            in_force.subscribe(),
            written,
            surroundings.desk.bell().clone(),
            surroundings.health.subscribe(),
        ));
        let letterbox = tokio::spawn(keeping);
        let open = listening.map(|listening| Open::on(listening, &web)).transpose()?;
        Ok(Self { web, terms, in_force, open, given, letterbox, attending })
    }

    /// Goes by this configuration from now on. Where its address cannot be had, everything stays as it was.
    pub(super) async fn follow(&mut self, settings: &Settings) -> Result<(), Fault> {
        let asked = asked(settings);
        let now = self.open.as_ref().map(|open| open.asked);
        let stays = asked == now || (self.given.0.is_some() && asked.is_some() && now.is_some());
        let new = if stays { None } else { Some(self.given.listen(settings).await?) };
        keep_secret(settings, &self.web.state).await?;
        if let Some(new) = new {
            let new = new.map(|listening| Open::on(listening, &self.web)).transpose()?;
            if let Some(old) = std::mem::replace(&mut self.open, new) {
                old.end().await;
            }
        }
        self.terms.send_replace(terms(settings));
        self.in_force.send_replace(settings.clone());
        Ok(())
    }

    /// Ends; answers under way are finished first. What is in the spool by then waits for the next start.
    pub(super) async fn end(self) {
        let Self { web, terms: _, in_force: _, open, given: _, letterbox, attending } = self;
        if let Some(open) = open {
            open.end().await;
        }
        drop(web);
        attending.abort();
        if let Err(error) = letterbox.await {
            tracing::error!(error = error.to_string(), "the letterbox for events was left by mistake");
        }
    }
}

/// Proves that events can be written down: what cannot would be answered 503 for ever.
async fn prove(spool: &Spool) -> Result<(), Fault> {
    let spool = spool.clone();
    aside(move || spool.prove()).await.map_err(Fault::failed)?.map_err(Fault::failed)
}

/// Keeps what Mailchimp signs with by this configuration, and proves thereby that what is kept can be read.
async fn keep_secret(settings: &Settings, state: &State) -> Result<(), Fault> {
    let Some(web) = &settings.config.web else { return Ok(()) };
    let (state, configured) = (state.path().to_owned(), web.webhook_signing_secret.clone());
    let kept = aside(move || keep_configured_secret(&state, configured.as_ref(), Clock::System.now())).await;
    kept.map_err(Fault::failed)?.map_err(|error| {
        Fault::failed(Error::from(error).context(
            "what Mailchimp signs its calls with cannot be read or kept: give the file and its folder to the user that \
             rosterd runs as, or remove the file and run `rosterd provision`",
        ))
    })
}

/// Takes events up as they come, and keeps what nobody can read no longer than them. While cycles fail, or cannot begin, nobody is called: events must not have either side asked
/// more often than the growing distances allow, and are looked at by the next cycle that works. Who asks for a cycle by
/// name (`rosterd sync`) is tried for at once.
async fn take_up_all(
    state: State,
    spool: Spool,
    in_force: watch::Receiver<Settings>,
    written: Arc<Notify>,
    bell: Bell,
    health: watch::Receiver<Health>,
) {
    let named = || {
        if health.borrow().failures == 0 {
            bell.ring();
        }
    };
    let audience = || in_force.borrow().config.mailchimp.audience.clone();
    let keep = || in_force.borrow().config.state.keep_events;
    tokio::join!(
        attend(&state, &spool, audience, &Clock::System, &written, named),
        trim_damaged(&spool, keep, &Clock::System),
    );
}

impl Open {
    fn on((asked, listener): (SocketAddr, TcpListener), web: &Web) -> Result<Self, Fault> {
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

impl Given {
    /// What this process was started with. It can be taken once.
    pub(super) fn take() -> Result<Self, Fault> {
        let taken = ListenFd::from_env().take_tcp_listener(0).and_then(|listener| {
            if let Some(listener) = &listener {
                listener.set_nonblocking(true)?;
            }
            Ok(listener)
        });
        taken.map(Self).context("the socket that was handed over cannot be used").map_err(Fault::usage)
    }

    /// Listens where the configuration says, or on what was handed over; where the interface is off, nowhere.
    pub(super) async fn listen(&self, settings: &Settings) -> Result<Listening, Fault> {
        let Some(asked) = asked(settings) else { return Ok(None) };
        let listener = match &self.0 {
            Some(given) => given.try_clone().and_then(TcpListener::from_std),
            None => TcpListener::bind(asked).await,
        };
        match listener {
            Ok(listener) => Ok(Some((asked, listener))),
            Err(error) => {
                // A port that only root may have stays one.
                let is_forbidden = error.kind() == ErrorKind::PermissionDenied;
                let error =
                    Error::from(error).context(format!("[web] listen: {asked} cannot be listened on"));
                Err(if is_forbidden { Fault::usage(error) } else { Fault::failed(error) })
            }
        }
    }
}

fn asked(settings: &Settings) -> Option<SocketAddr> {
    settings.config.web.as_ref().map(|web| web.listen)
}

fn terms(settings: &Settings) -> Terms {
    let web = settings.config.web.as_ref();
    Terms {
        interval: settings.config.sync.interval,
        webhook_path_secret: web.and_then(|web| web.webhook_path_secret.clone()),
        webhook_signing_secret: web.and_then(|web| web.webhook_signing_secret.clone()),
        api_token: web.and_then(|web| web.api_token.clone()),
        events_token: web.and_then(|web| web.events_token.clone()),
    }
}
