//! The daemon: the worker until a signal says stop, then an orderly end.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cycle::Cycle;
use crate::worker::{Bell, Health, Rhythm, work};

/// The operations under way are finished within this long after a signal, or left to the next start to look into.
const GRACE: Duration = Duration::from_secs(8);

/// What goes wrong beside the cycles.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The operating system refuses signal handlers.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// Why the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// SIGTERM or SIGINT: the process ends.
    Stopped,
    /// SIGHUP: the configuration is to be read again.
    Reload,
}

/// The signals that the process obeys, none of which is lost from here on.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen.
    ///
    /// # Errors
    ///
    /// The operating system refuses signal handlers.
    pub fn listen() -> Result<Self, DaemonError> {
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal; what it says.
    pub async fn next(&mut self) -> Ended {
        tokio::select! {
            _ = self.terminate.recv() => Ended::Stopped,
            _ = self.interrupt.recv() => Ended::Stopped,
            _ = self.hangup.recv() => Ended::Reload,
        }
    }
}

/// Runs cycles until a signal says otherwise.
pub async fn run(cycle: &Cycle, rhythm: Rhythm, bell: &Bell, signals: &mut Signals) -> Ended {
    let (health, _) = watch::channel(Health::default());
    tracing::info!(interval_s = rhythm.interval.as_secs(), "rosterd is running");
    let worker = work(cycle, rhythm, bell, &health, &cycle.stop);
    let mut worker = std::pin::pin!(worker);
    let ended = tokio::select! {
        () = &mut worker => Ended::Stopped,
        ended = signals.next() => ended,
    };
    tracing::info!("stopping: the operation under way is finished first");
    end(&cycle.stop, worker).await;
    ended
}

fn listen(kind: SignalKind) -> Result<Signal, DaemonError> {
    signal(kind).map_err(DaemonError::Signals)
}

/// Tells the worker to stop and waits for it, but not for ever.
async fn end(stop: &CancellationToken, worker: impl Future<Output = ()>) {
    stop.cancel();
    if tokio::time::timeout(GRACE, worker).await.is_err() {
        tracing::warn!("stopped with an operation under way: the next start looks what became of it");
    }
}
