//! Faults on request: what can go wrong between a program and Mailchimp.

use std::time::Duration;

use crate::mailchimp::transport::Method;
use crate::sandbox::Sandbox;
use crate::sandbox::batches;
use crate::sandbox::ids::Sequence;
use crate::sandbox::problem::Problem;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// 429 with the documented text.
    TooManyRequests,
    /// 403 without a body.
    BareForbidden,
    /// 500 with a problem document.
    ServerError,
    /// 502 with an HTML page.
    BadGateway,
    /// 503 with an HTML page.
    Unavailable,
    /// The connection is cut; nothing was done.
    CutBefore,
    /// The request is carried out; then the connection is cut.
    CutAfter,
    /// No answer comes, and nothing was done.
    TimeOutBefore(Duration),
    /// The request is carried out, and no answer comes.
    TimeOutAfter(Duration),
    /// The request is carried out; the answer breaks off in the middle.
    Truncated,
    /// The request is refused with this status, title and detail.
    Refused(u16, String, String),
}

/// A fault, and which requests it meets.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    kind: FaultKind,
    method: Option<Method>,
    path: Option<String>,
    skip: u32,
    times: Option<u32>,
    probability: f64,
}

impl Fault {
    /// A fault that meets the next request.
    pub fn new(kind: FaultKind) -> Self {
        Self { kind, method: None, path: None, skip: 0, times: Some(1), probability: 1.0 }
    }

    /// Meets so many requests instead of one.
    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    /// Meets requests until the faults are cleared.
    pub fn always(self) -> Self {
        Self { times: None, ..self }
    }

    /// Meets each request with this probability, until the faults are cleared.
    pub fn with_probability(self, probability: f64) -> Self {
        Self { probability, times: None, ..self }
    }

    /// Lets so many matching requests pass first.
    pub fn after(self, requests: u32) -> Self {
        Self { skip: requests, ..self }
    }

    /// Meets only requests of this method.
    pub fn on_method(self, method: Method) -> Self {
        Self { method: Some(method), ..self }
    }

    /// Meets only requests of this path: a route (`/lists/{list_id}/members`), a path, or a path with `*` for some parts.
    pub fn on_path(self, path: &str) -> Self {
        Self { path: Some(path.to_owned()), ..self }
    }

    fn matches(&self, method: Method, pattern: &str, path: &str) -> bool {
        let parts_match = |wanted: &str| {
            let (wanted, path): (Vec<_>, Vec<_>) = (wanted.split('/').collect(), path.split('/').collect());
            wanted.len() == path.len()
                && wanted.iter().zip(path).all(|(wanted, part)| *wanted == "*" || *wanted == part)
        };
        self.method.is_none_or(|wanted| wanted == method)
            && self.path.as_deref().is_none_or(|wanted| wanted == pattern || parts_match(wanted))
    }
}

/// The faults that wait, behind a lock of their own.
#[derive(Debug)]
pub(crate) struct FaultQueue {
    faults: Vec<Fault>,
    latency: Duration,
    chances: Sequence,
}

impl FaultQueue {
    /// An empty queue whose chances follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self { faults: Vec::new(), latency: Duration::ZERO, chances: Sequence::new(seed ^ 0xFA17) }
    }

    /// The fault that meets this request, if any.
    pub(crate) fn draw(&mut self, method: Method, pattern: &str, path: &str) -> Option<FaultKind> {
        for fault in &mut self.faults {
            if fault.times == Some(0) || !fault.matches(method, pattern, path) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if !self.chances.happens(fault.probability) {
                continue;
            }
            fault.times = fault.times.map(|times| times - 1);
            let kind = fault.kind.clone();
            self.faults.retain(|fault| fault.times != Some(0));
            return Some(kind);
        }
        None
    }

    /// How long every request takes.
    pub(crate) fn latency(&self) -> Duration {
        self.latency
    }
}

/// The switchboard of faults.
#[derive(Clone, Debug)]
pub struct Faults {
    pub(crate) sandbox: Sandbox,
}

impl Faults {
    /// Adds a fault; the first that matches a request meets it.
    pub fn add(&self, fault: Fault) {
        self.sandbox.fault_queue(|queue| queue.faults.push(fault));
    }

    /// Every request takes so long.
    pub fn latency(&self, latency: Duration) {
        self.sandbox.fault_queue(|queue| queue.latency = latency);
    }

    /// Removes all faults and the latency.
    pub fn clear(&self) {
        self.sandbox.fault_queue(|queue| {
            queue.faults.clear();
            queue.latency = Duration::ZERO;
        });
        self.sandbox.world(|world| {
            world.audience.throttled.clear();
            world.batches.stalled = false;
            world.batches.faults = crate::sandbox::batches::BatchFaults::default();
            world.hooks.faults = crate::sandbox::hooks::DeliveryFaults::default();
        });
    }

    /// How many faults wait for a request to meet.
    pub fn waiting(&self) -> usize {
        self.sandbox.fault_queue(|queue| queue.faults.len())
    }

    /// Refuses sign-ups of this address: it "has signed up to a lot of lists".
    pub fn throttle(&self, email: &str) {
        self.sandbox.world(|world| world.audience.throttled.insert(email.to_lowercase()));
    }

    /// Lets the address sign up again.
    pub fn unthrottle(&self, email: &str) {
        self.sandbox.world(|world| world.audience.throttled.remove(&email.to_lowercase()));
    }

    /// Batches stay in the state they are in.
    pub fn stall_batches(&self) {
        self.sandbox.world(|world| world.batches.stalled = true);
    }

    /// Batches move on again.
    pub fn release_batches(&self) {
        self.sandbox.world(|world| world.batches.stalled = false);
    }

    /// Archives of results end in their midst, until the faults are cleared.
    pub fn cut_batch_results(&self) {
        self.sandbox.world(|world| world.batches.faults.cut_results = true);
    }

    /// One operation in so many is carried out without an answer among the results, until the faults are cleared.
    pub fn leave_out_results(&self, one_in: usize) {
        self.sandbox.world(|world| world.batches.faults.leave_out_one_in = Some(one_in));
    }

    /// One operation of a batch in so many is refused so, until the faults are cleared.
    pub fn refuse_batch_operations(&self, one_in: usize, status: u16, title: &str, detail: &str) {
        let refused = (one_in, Problem::new(status, title, detail));
        self.sandbox.world(|world| world.batches.faults.refuse_one_in = Some(refused));
    }

    /// Every batch is forgotten, carried out or not.
    pub fn expire_batches(&self) {
        let now = self.sandbox.clock().now();
        self.sandbox.world(|world| {
            batches::advance(world, now);
            world.batches.expire();
        });
    }

    /// The next so many webhook events are lost.
    pub fn lose_webhooks(&self, events: u32) {
        self.sandbox.world(|world| world.hooks.faults.lose = events);
    }

    /// The next so many webhook events are delivered twice.
    pub fn double_webhooks(&self, events: u32) {
        self.sandbox.world(|world| world.hooks.faults.double = events);
    }

    /// Webhooks go out newest first, until the faults are cleared.
    pub fn reverse_webhooks(&self) {
        self.sandbox.world(|world| world.hooks.faults.reverse = true);
    }
}
