//! The HTTP interface and the worker beside it, over a world whose clock is the machine's from then on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rosterd::intake::{Spool, attend, keep_letterbox};
use rosterd::mailchimp::meter::Meter;
use rosterd::mailchimp::provision::ProvisionAudience;
use rosterd::state::{State, keep_signing_secret};
use rosterd::web::api::{Answers, Untold, Verdict};
use rosterd::web::{self, Bodies, Requests, Terms, Web};
use rosterd::worker::{Desk, Health, Rhythm, work};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::parts::{self, mapping};
use crate::world::{Topics, World};

pub(crate) const PATH_SECRET: &str = "0123456789abcdef0123456789abcdef";
pub(crate) const EVENTS_TOKEN: &str = "events-0123456789abcdef";
pub(crate) const API_TOKEN: &str = "api-0123456789abcdef";

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(120);
/// No cycle comes by itself.
const NEVER: Duration = Duration::from_hours(24 * 3_650);

/// A world that is served.
pub(crate) struct Served {
    pub(crate) world: World,
    pub(crate) web: Web,
    pub(crate) terms: watch::Sender<Terms>,
    pub(crate) health: watch::Sender<Health>,
    pub(crate) address: SocketAddr,
    http: reqwest::Client,
    _stop: DropGuard,
}

impl Served {
    /// Everything that `rosterd run` has, and the sandbox on the wire, so that it delivers webhooks.
    pub(crate) async fn over(world: World) -> Self {
        world.clock.release();
        world.later(0);
        let stop = CancellationToken::new();
        let spool = Spool::beside(world.cycle.state.path());
        let written = Arc::new(Notify::new());
        let (letterbox, keeping) = keep_letterbox(spool.clone(), written.clone());
        tokio::spawn(keeping);
        let desk = Desk::default();
        let (terms, health) = (watch::Sender::new(terms()), watch::Sender::default());
        let web = Web {
            clock: world.clock.clone(),
            health: health.subscribe(),
            terms: terms.subscribe(),
            state: world.cycle.state.clone(),
            reader: State::open_shared(world.cycle.state.path()).await.unwrap(),
            meter: Meter::default(),
            requests: Requests::default(),
            letterbox,
            signing: Arc::default(),
            events: Arc::default(),
            failures: Arc::default(),
            bodies: Bodies::default(),
            scrapes: Arc::default(),
            desk: desk.clone(),
            answers: Arc::new(Mute),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(web::serve(listener, web.clone(), stop.clone()));
        work_beside(&world, &spool, written, desk, health.clone(), &stop);
        let (sandbox, token) = (world.sandbox.clone(), stop.clone());
        let wire = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tokio::spawn(async move { sandbox.serve(wire, token).await });
        // Each request has a connection of its own: one that is idle may be closed whenever somebody needs its place.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).timeout(PATIENCE);
        let http = http.build().unwrap();
        let served = Self { world, web, terms, health, address, http, _stop: stop.drop_guard() };
        served.until(|served| served.health.borrow().cycles > 0).await;
        served
    }

    /// The folder in which events wait.
    pub(crate) fn spool(&self) -> Spool {
        Spool::beside(self.world.cycle.state.path())
    }

    /// The same interface once more, over a disk on which nothing is ever written down.
    pub(crate) async fn hanging(&self) -> Hanging {
        let (letterbox, keeping) = keep_letterbox(self.spool(), Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let web = Web { letterbox, ..self.web.clone() };
        tokio::spawn(web::serve(listener, web, stop.clone()));
        Hanging { address, http: self.http.clone(), _keeping: Box::pin(keeping), _stop: stop.drop_guard() }
    }

    /// Changes what the configuration says.
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Terms)) {
        self.terms.send_modify(change);
    }

    /// Has Mailchimp call us, and keeps what it signs with.
    pub(crate) async fn provision(&self) -> String {
        let World { sandbox, clock, .. } = &self.world;
        let client = parts::client(
            sandbox,
            Arc::new(sandbox.transport()),
            clock,
            mapping(Topics::Checkboxes, Vec::new()),
        );
        let new = client.create_webhook(&self.url(&format!("/webhook/{PATH_SECRET}"))).await.unwrap();
        let secret = new.signing_secret.unwrap();
        self.keep(secret.expose_secret());
        secret.expose_secret().to_owned()
    }

    /// Keeps what Mailchimp signs with.
    pub(crate) fn keep(&self, secret: &str) {
        let state = self.world.cycle.state.path();
        keep_signing_secret(state, &SecretString::from(secret), self.world.clock.now()).unwrap();
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The status and the body of an answer to a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        answer(self.http.get(self.url(path))).await
    }

    /// The status and the body of an answer to a POST.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
        let request = self.http.post(self.url(path)).body(body.to_owned());
        answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// The status of an answer to a call of the webhook with this signature.
    pub(crate) async fn call(&self, signature: Option<&str>, body: &str) -> u16 {
        let headers: Vec<_> = signature.into_iter().map(|value| ("X-Mailchimp-Signature", value)).collect();
        self.post(&format!("/webhook/{PATH_SECRET}"), &headers, body).await.0
    }

    /// Signs a body, so many seconds from now.
    pub(crate) fn sign(&self, secret: &str, in_seconds: i64, body: &str) -> String {
        let time = self.world.clock.now().as_second() + in_seconds;
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{time}.{body}").as_bytes());
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={time},v1={hex}")
    }

    /// The kinds of the events that are kept, the oldest first.
    pub(crate) fn kept(&self) -> Vec<String> {
        let state = rusqlite::Connection::open(self.world.cycle.state.path()).unwrap();
        let mut statement = state.prepare("SELECT source || ' ' || kind FROM events ORDER BY id").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, holds: impl Fn(&Self) -> bool) {
        let waiting = async {
            let mut beat = tokio::time::interval(Duration::from_millis(5));
            while !holds(self) {
                beat.tick().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }

    /// Waits until everything that was received was looked at.
    pub(crate) async fn until_settled(&self) {
        let waiting = async {
            let mut beat = tokio::time::interval(Duration::from_millis(5));
            loop {
                beat.tick().await;
                let empty = std::fs::read_dir(self.spool().folder()).map_or(0, Iterator::count) == 0;
                if empty && self.world.names_nobody().await {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap();
    }
}

/// The interface over a disk that hangs.
pub(crate) struct Hanging {
    address: SocketAddr,
    http: reqwest::Client,
    _keeping: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
    _stop: DropGuard,
}

impl Hanging {
    /// The status of an answer to a POST with a token for events.
    pub(crate) async fn post(&self, path: &str, body: &str) -> u16 {
        let request = self.http.post(format!("http://{}{path}", self.address)).bearer_auth(EVENTS_TOKEN);
        answer(request.body(body.to_owned())).await.0
    }
}

fn terms() -> Terms {
    Terms {
        interval: NEVER,
        webhook_path_secret: Some(SecretString::from(PATH_SECRET)),
        webhook_signing_secret: None,
        api_token: Some(SecretString::from(API_TOKEN)),
        events_token: Some(SecretString::from(EVENTS_TOKEN)),
    }
}

/// Events go into the state, and ring for a cycle.
fn work_beside(
    world: &World,
    spool: &Spool,
    written: Arc<Notify>,
    desk: Desk,
    health: watch::Sender<Health>,
    stop: &CancellationToken,
) {
    let cycle = world.cycle.clone();
    let (state, spool, clock) = (cycle.state.clone(), spool.clone(), world.clock.clone());
    let (audience, ring, token) = (world.sandbox.audience_id(), desk.bell().clone(), stop.clone());
    tokio::spawn(async move {
        let attending = attend(&state, &spool, || audience.clone(), &clock, &written, || ring.ring());
        token.run_until_cancelled(attending).await
    });
    let (rhythm, token) =
        (Rhythm { interval: NEVER, full_interval: NEVER, beat: NEVER, look: None }, stop.clone());
    tokio::spawn(async move { work(&cycle, rhythm, &desk, &health, &token).await });
}

async fn answer(request: reqwest::RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Nobody is asked here what the command line can tell.
#[derive(Debug)]
struct Mute;

#[async_trait::async_trait]
impl Answers for Mute {
    async fn status(&self) -> Result<Value, Untold> {
        Err(mute())
    }

    async fn member(&self, _: &str) -> Result<Value, Untold> {
        Err(mute())
    }

    async fn decide(&self, _: &str, _: Verdict) -> Result<Value, Untold> {
        Err(mute())
    }
}

fn mute() -> Untold {
    Untold::Failed("nothing is told here".to_owned())
}
