//! Connections: how many, how long they may say nothing, and how they end.
//!
//! Whoever connects and says nothing costs a place and no more: where all places are taken, the one that has been idle
//! for longest is closed. So neither a thousand idle connections nor headers that come a byte at a time keep anybody out.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// How much is given to connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Connections at a time.
    places: usize,
    /// A request's headers must have come within this time, and a connection is idle no longer.
    headers_within: Duration,
}

/// The places are, with the files that a process has open beside them, below the usual limit of 1024.
pub(super) const LIMITS: Limits = Limits { places: 512, headers_within: Duration::from_secs(10) };
/// Bytes of all headers together; the least that hyper takes is 8 KiB.
const HEADER_BYTES: usize = 16 << 10;
/// Headers of a request.
const HEADERS: usize = 64;
/// Answers under way at the end are waited for this long: less than the worker is given.
const LAST_ANSWERS: Duration = Duration::from_secs(3);
/// Whoever is still sending when all has been answered is listened to no longer than this, and no further.
const LINGERING: Duration = Duration::from_secs(2);
/// As [`LINGERING`], in bytes.
const LINGERING_BYTES: u64 = 8 << 20;
/// Nothing can be accepted while there is no file descriptor left.
const OUT_OF_FILES: Duration = Duration::from_millis(100);

/// Serves `router`, which sees to it that each request is answered in time, until told to stop; answers under way are
/// finished first.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    clock: &Clock,
    stop: CancellationToken,
) {
    let places = Places::new(limits.places);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                // Where nobody can make room, whoever comes is sent away.
                if let Some(place) = places.take() {
                    connections.spawn(answer(stream, router.clone(), limits, place, stop.clone()));
                }
            }
            Err(error) if is_the_clients(&error) => (),
            Err(error) => {
                tracing::warn!(error = error.to_string(), "no connection can be accepted");
                clock.sleep(OUT_OF_FILES).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_ANSWERS, all).await.is_err() {
        tracing::warn!("an answer was left under way");
    }
}

/// Whether only this one connection failed, before it was accepted.
fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Answers the requests of one connection until either side ends it.
async fn answer(stream: TcpStream, router: Router, limits: Limits, place: Place, stop: CancellationToken) {
    let leave = place.leave.clone();
    let router = TowerToHyperService::new(router);
    let has_failed_too_often = CancellationToken::new();
    let service = service_fn(|request: hyper::Request<Incoming>| {
        let (busy, has_failed_too_often) = (place.busy(), has_failed_too_often.clone());
        let has_body = !request.body().is_end_stream();
        let answered = router.call(request);
        Box::pin(async move {
            let mut answered = answered.await;
            drop(busy);
            if let Ok(answered) = &mut answered {
                if answered.status() == StatusCode::TOO_MANY_REQUESTS {
                    has_failed_too_often.cancel();
                }
                // Their body may not have been read to its end: then the connection ends, and nobody is to send another
                // request on it.
                if has_body && !answered.status().is_success() {
                    answered.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
            }
            answered
        })
    });
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.headers_within)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(stream), service);
    // What goes wrong on a connection is the other end's doing, or its loss.
    let is_over = tokio::select! {
        biased;
        () = leave.cancelled() => return,
        _ = &mut connection => true,
        () = stop.cancelled() => false,
    };
    if !is_over {
        Pin::new(&mut connection).graceful_shutdown();
        let _ = (&mut connection).await;
    }
    // Whether they get to read why is no matter any more.
    if has_failed_too_often.is_cancelled() {
        return;
    }
    let stream = connection.into_parts().io.into_inner();
    let lingering = tokio::time::timeout(LINGERING, read_away(stream));
    tokio::select! {
        biased;
        () = leave.cancelled() => (),
        () = stop.cancelled() => (),
        _ = lingering => (),
    }
}

/// Reads what still comes, so that whoever was answered before they had said everything gets to read the answer: a
/// connection that is closed with something unread is reset, and the answer with it.
async fn read_away(stream: TcpStream) {
    let _ = tokio::io::copy(&mut stream.take(LINGERING_BYTES), &mut tokio::io::sink()).await;
}

/// The places for connections.
#[derive(Clone, Debug)]
struct Places(Arc<Mutex<Taken>>);

#[derive(Debug)]
struct Taken {
    most: usize,
    n_taken: usize,
    next: u64,
    /// Who says nothing at the moment, those first who have for longest.
    idle: BTreeMap<u64, CancellationToken>,
}

/// A place, taken until it is dropped.
#[derive(Debug)]
struct Place {
    places: Places,
    leave: CancellationToken,
    /// Under which number it is idle.
    number: Mutex<u64>,
}

/// While it lives, the connection has a request under way and keeps its place.
struct Busy<'p>(&'p Place);

impl Places {
    fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Taken { most, n_taken: 0, next: 0, idle: BTreeMap::new() })))
    }

    /// A place; where all are taken, whoever has been idle for longest has to leave theirs, and where nobody is idle there
    /// is none.
    fn take(&self) -> Option<Place> {
        let leave = CancellationToken::new();
        let number = self.with(|taken| {
            if taken.n_taken >= taken.most {
                let (_, longest) = taken.idle.pop_first()?;
                longest.cancel();
            }
            taken.n_taken += 1;
            Some(taken.sit_down(&leave))
        });
        number.map(|number| Place { places: self.clone(), leave, number: Mutex::new(number) })
    }

    fn with<T>(&self, change: impl FnOnce(&mut Taken) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Taken {
    fn sit_down(&mut self, leave: &CancellationToken) -> u64 {
        self.next += 1;
        self.idle.insert(self.next, leave.clone());
        self.next
    }
}

impl Place {
    fn busy(&self) -> Busy<'_> {
        let number = *self.number();
        self.places.with(|taken| taken.idle.remove(&number));
        Busy(self)
    }

    fn number(&self) -> std::sync::MutexGuard<'_, u64> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        let Self(place) = self;
        *place.number() = place.places.with(|taken| taken.sit_down(&place.leave));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let number = *self.number();
        self.places.with(|taken| {
            taken.idle.remove(&number);
            taken.n_taken -= 1;
        });
    }
}

#[cfg(test)]
mod tests;
