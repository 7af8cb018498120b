//! The wire to the sandbox, with a finger on it: what happens between two requests, and where the power fails.

use std::fmt;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_trait::async_trait;
use rosterd::mailchimp::transport::{Request, Response, Transport, TransportError};
use rosterd::sandbox::Sandbox;
use tokio::sync::Notify;

/// Which side of a request's effect something happens on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nothing was done yet.
    Before,
    /// It was carried out, and nobody heard the answer.
    After,
}

type Act = Box<dyn FnMut(u64, &Request) + Send>;

type Retell = Box<dyn FnMut(&Request, &mut Response) + Send>;

/// Carries requests to the sandbox.
#[derive(Clone)]
pub(crate) struct Tap(Arc<Inner>);

struct Inner {
    sandbox: Sandbox,
    sent: AtomicU64,
    act: Mutex<Option<Act>>,
    retell: Mutex<Option<Retell>>,
    cut: Mutex<Option<(u64, Moment)>>,
    dark: Notify,
}

impl Tap {
    pub(crate) fn new(sandbox: Sandbox) -> Self {
        let (act, retell, cut) = (Mutex::new(None), Mutex::new(None), Mutex::new(None));
        Self(Arc::new(Inner { sandbox, sent: AtomicU64::new(0), act, retell, cut, dark: Notify::new() }))
    }

    /// Has `act` done before each request from now on; it is told how many came since.
    pub(crate) fn before_each(&self, act: impl FnMut(u64, &Request) + Send + 'static) {
        self.0.sent.store(0, Ordering::SeqCst);
        *self.0.act.lock().unwrap() = Some(Box::new(act));
    }

    /// Has every answer told otherwise from now on.
    pub(crate) fn retell(&self, retell: impl FnMut(&Request, &mut Response) + Send + 'static) {
        *self.0.retell.lock().unwrap() = Some(Box::new(retell));
    }

    /// Nothing happens between requests any more, and answers are as they are.
    pub(crate) fn calm(&self) {
        *self.0.retell.lock().unwrap() = None;
        *self.0.act.lock().unwrap() = None;
        *self.0.cut.lock().unwrap() = None;
    }

    /// How many requests came since the count was begun anew.
    pub(crate) fn sent(&self) -> u64 {
        self.0.sent.load(Ordering::SeqCst)
    }

    /// Runs `work` until it is done, or until the power fails at its request number `request`.
    pub(crate) async fn until_power_cut<F: Future>(
        &self,
        request: u64,
        moment: Moment,
        work: F,
    ) -> Option<F::Output> {
        self.0.sent.store(0, Ordering::SeqCst);
        *self.0.cut.lock().unwrap() = Some((request, moment));
        let outcome = tokio::select! {
            biased;
            () = self.0.dark.notified() => None,
            outcome = work => Some(outcome),
        };
        *self.0.cut.lock().unwrap() = None;
        outcome
    }
}

/// Runs `work` for so many polls at most, and drops it then.
pub(crate) async fn until_poll<F: Future>(polls: usize, work: F) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tap").field("sent", &self.sent()).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for Tap {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let number = self.0.sent.fetch_add(1, Ordering::SeqCst) + 1;
        if let Some(act) = self.0.act.lock().unwrap().as_mut() {
            act(number, &request);
        }
        let cut = *self.0.cut.lock().unwrap();
        match cut.filter(|(at, _)| *at == number) {
            None => {
                let mut response = self.0.sandbox.answer(request.clone()).await?;
                if let Some(retell) = self.0.retell.lock().unwrap().as_mut() {
                    retell(&request, &mut response);
                }
                Ok(response)
            }
            Some((_, moment)) => {
                if moment == Moment::After {
                    let _ = self.0.sandbox.answer(request).await;
                }
                self.0.dark.notify_one();
                pending().await
            }
        }
    }
}
