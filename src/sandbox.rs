//! A pretend Mailchimp Marketing API 3.0: one account with one audience, strict where the real one is strict.
//!
//! It is used in process, through [`Sandbox::answer`] or [`SandboxTransport`], and over real HTTP, through
//! [`Sandbox::serve`]. What people and staff do in Mailchimp's own pages is done with [`Sandbox::person`], what goes
//! wrong on the way with [`Sandbox::faults`]. Over HTTP both are reached below `/_sandbox/`, as the table in
//! [`Sandbox::control`] says.
//!
//! All ids follow from the seed and the order of creation, and all times come from the [`Clock`].

mod audience;
mod batches;
mod bulk;
mod call;
mod control;
mod delivery;
mod events;
mod exchange;
mod faults;
mod filters;
mod hooks;
mod http;
mod ids;
mod interests;
mod listing;
mod lists;
mod log;
mod member;
mod member_body;
mod members;
mod merge_fields;
mod merge_values;
mod moment;
mod operation;
mod options;
mod payload;
mod person;
mod populate;
mod problem;
mod projection;
mod rename;
mod render;
mod respond;
mod results;
mod route;
mod segments;
mod staff;
mod status;
mod store;
mod tags;
#[cfg(test)]
mod testing;
mod views;
mod webhooks;

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::mailchimp::transport::Transport;
use crate::mailchimp::transport::TransportError;
use crate::sandbox::audience::World;
use crate::sandbox::exchange::Exchange;
use crate::sandbox::faults::FaultQueue;
use crate::sandbox::render::Columns;

pub use crate::sandbox::faults::Fault;
pub use crate::sandbox::faults::FaultKind;
pub use crate::sandbox::faults::Faults;
pub use crate::sandbox::hooks::WebhookDelivery;
pub use crate::sandbox::log::Counters;
pub use crate::sandbox::log::LoggedRequest;
pub use crate::sandbox::options::ArchivedInBulk;
pub use crate::sandbox::options::ComplianceInBulk;
pub use crate::sandbox::options::SandboxOptions;
pub use crate::sandbox::person::FormEntry;
pub use crate::sandbox::person::Person;
pub use crate::sandbox::person::PersonError;

/// The pretend Mailchimp; clones are the same one.
#[derive(Clone, Debug)]
pub struct Sandbox(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    clock: Clock,
    under_way: AtomicUsize,
    world: Mutex<World>,
    faults: Mutex<FaultQueue>,
}

/// One of the connections that are open at a time.
#[derive(Debug)]
pub(crate) struct Slot {
    shared: Arc<Shared>,
    number: usize,
}

impl Slot {
    fn under_way(&self) -> usize {
        self.number
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.shared.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Sandbox {
    /// An account with one empty audience.
    pub fn new(clock: Clock) -> Self {
        Self::with_options(clock, SandboxOptions::default())
    }

    /// An account with one empty audience, set up otherwise.
    pub fn with_options(clock: Clock, options: SandboxOptions) -> Self {
        let faults = Mutex::new(FaultQueue::new(options.seed));
        let world = Mutex::new(World::new(options, clock.now().as_second()));
        Self(Arc::new(Shared { clock, under_way: AtomicUsize::new(0), world, faults }))
    }

    /// Another account with an audience as this one's is now, by another clock and set up otherwise; the seed is this one's.
    #[must_use]
    pub fn copy(&self, clock: Clock, options: SandboxOptions) -> Self {
        let faults = Mutex::new(FaultQueue::new(options.seed));
        let mut world = self.world(|world| world.clone());
        world.options = options;
        Self(Arc::new(Shared { clock, under_way: AtomicUsize::new(0), world: Mutex::new(world), faults }))
    }

    /// The key that opens it.
    pub fn api_key(&self) -> String {
        "0123456789abcdef0123456789abcdef-us1".to_owned()
    }

    /// The id of the audience: ten hexadecimal digits.
    pub fn audience_id(&self) -> String {
        self.world(|world| world.audience.id.clone())
    }

    /// The present switches.
    pub fn options(&self) -> SandboxOptions {
        self.world(|world| world.options.clone())
    }

    /// Changes switches; the seed only counts at the start.
    pub fn set_options(&self, options: SandboxOptions) {
        self.world(|world| world.options = options);
    }

    /// Answers a request in process: connections, key, faults and rules as over the wire.
    ///
    /// Targets below `/_sandbox/` and whole URLs, such as those of batch results, are answered too.
    pub async fn answer(&self, request: Request) -> Result<Response, TransportError> {
        let broken =
            |what: &str| TransportError::Broken(io::Error::new(io::ErrorKind::ConnectionReset, what).into());
        let target = below_base(&request.target);
        if target.starts_with("/_sandbox/batch-results/") && request.authorization.is_some() {
            return Ok(self.refuse_key());
        }
        if target.starts_with("/_sandbox/") {
            return Ok(self.control(request.method, &target, request.body.as_deref().unwrap_or_default()));
        }
        match self.exchange(Request { target, ..request }).await {
            Exchange::Answered(response) => Ok(response),
            Exchange::Cut => Err(broken("connection reset")),
            Exchange::Truncated(_) => Err(broken("connection closed before the answer was complete")),
            Exchange::Held(time, _slot) => {
                self.0.clock.sleep(time).await;
                Err(TransportError::TimedOut(time))
            }
        }
    }

    /// Serves HTTP below `/3.0/` and `/_sandbox/`, delivers webhooks and carries out batches, until stopped.
    pub async fn serve(&self, listener: TcpListener, stop: CancellationToken) -> io::Result<()> {
        http::serve(self, listener, stop).await
    }

    /// The requests so far, oldest first: at most 20 000, [`Counters::log_dropped`] tells of more.
    pub fn log(&self) -> Vec<LoggedRequest> {
        self.world(|world| world.log.entries())
    }

    /// Sums over all requests so far.
    pub fn counters(&self) -> Counters {
        self.world(|world| Counters {
            confirmation_mails: world.mails.clone(),
            tag_automations: world.tag_automations,
            ..world.log.sums()
        })
    }

    /// Empties the log and its sums; the counts of mails stay.
    pub fn reset_log(&self) {
        self.world(|world| world.log = log::Log::default());
    }

    /// What people and staff do in Mailchimp's own pages.
    pub fn person(&self) -> Person {
        Person { sandbox: self.clone() }
    }

    /// What goes wrong on purpose.
    pub fn faults(&self) -> Faults {
        Faults { sandbox: self.clone() }
    }

    /// A transport that reaches this sandbox in process.
    pub fn transport(&self) -> SandboxTransport {
        SandboxTransport(self.clone())
    }

    /// How many mails asking for a confirmation Mailchimp would have sent to this address.
    pub fn confirmation_mails(&self, email: &str) -> u32 {
        self.world(|world| world.mails.get(&email.to_lowercase()).copied().unwrap_or(0))
    }

    /// The member with this address as the API shows it, archived or not; nothing is logged.
    pub fn member(&self, email: &str) -> Option<Value> {
        self.world(|world| {
            let member = world.audience.store.get(world.audience.store.by_email(email)?)?;
            serde_json::from_slice(&render::member_bytes(world, member, &Columns::all())).ok()
        })
    }

    /// The addresses of all members that were not deleted for good, archived ones included, in the order of creation.
    pub fn addresses(&self) -> Vec<String> {
        self.world(|world| world.audience.store.iter().map(|(_, member)| member.email.clone()).collect())
    }

    /// Takes the webhook calls that are due out of the queue, as they would go over the wire.
    pub fn take_webhooks(&self) -> Vec<WebhookDelivery> {
        let now = self.0.clock.now();
        self.world(|world| {
            std::iter::from_fn(|| world.next_delivery(now)).map(|(_, delivery)| delivery).collect()
        })
    }

    /// How many requests are under way.
    pub fn connections(&self) -> usize {
        self.0.under_way.load(Ordering::SeqCst)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn world<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.world.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn fault_queue<T>(&self, act: impl FnOnce(&mut FaultQueue) -> T) -> T {
        act(&mut self.0.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn connect(&self) -> Slot {
        let number = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        Slot { shared: Arc::clone(&self.0), number }
    }
}

/// Path and query below `/3.0`, also of a whole URL.
fn below_base(target: &str) -> String {
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |slash| &rest[slash..]),
        None => target,
    };
    let below = path.strip_prefix("/3.0").filter(|rest| rest.is_empty() || rest.starts_with(['/', '?']));
    below.unwrap_or(path).to_owned()
}

/// Reaches a [`Sandbox`] without a wire.
#[derive(Clone, Debug)]
pub struct SandboxTransport(Sandbox);

#[async_trait]
impl Transport for SandboxTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        self.0.answer(request).await
    }
}
