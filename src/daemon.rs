//! The daemon: the worker until a signal says stop, then an orderly end.

mod alerts;
mod last_words;
mod supervisor;

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cycle::Cycle;
use crate::mailchimp::meter::Meter;
use crate::worker::{Desk, Health, Rhythm, work};

pub use alerts::Alerts;
pub use last_words::{Afterwards, forget_the_end, tell_of_the_end};
pub use supervisor::Supervisor;

/// The operations under way are finished within this long after a signal, or left to the next start to look into: with
/// what `main` gives to calls that cannot be interrupted, less than the ten seconds after which people reach for SIGKILL.
const GRACE: Duration = Duration::from_secs(7);

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

/// The signals that the process obeys. Made once: what comes while it starts again is heard afterwards.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// Begins to listen: from now on the signals end the process no more by themselves.
    ///
    /// # Errors
    ///
    /// The operating system refuses signal handlers.
    pub fn listen() -> Result<Self, DaemonError> {
        let listen = |kind| signal(kind).map_err(DaemonError::Signals);
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    /// Waits until SIGTERM or SIGINT says that the process is to end.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => (),
            _ = self.interrupt.recv() => (),
        }
    }

    /// Waits for any of them; one that ends the process goes before one that does not.
    pub async fn next(&mut self) -> Ended {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Ended::Stopped,
            _ = self.interrupt.recv() => Ended::Stopped,
            _ = self.hangup.recv() => Ended::Reload,
        }
    }
}

/// What outlives a change of the configuration: where the loop is asked for cycles, how it fares, and who is told of it.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Where the loop is asked for cycles.
    pub desk: Desk,
    /// How the loop fares.
    pub health: watch::Sender<Health>,
    /// What was asked of Mailchimp.
    pub meter: Meter,
    /// Whoever started the process.
    pub supervisor: Supervisor,
}

/// Runs cycles until a signal says otherwise.
pub async fn run(
    cycle: &Cycle,
    rhythm: Rhythm,
    surroundings: &mut Surroundings,
    signals: &mut Signals,
) -> Ended {
    let Surroundings { desk, health, meter, supervisor } = surroundings;
    tracing::info!(interval_s = rhythm.interval.as_secs(), "rosterd is running");
    supervisor.ready(&health.borrow());
    let worker = work(cycle, rhythm, desk, health, &cycle.stop);
    let mut worker = std::pin::pin!(worker);
    let (mut turns, mut steps) = (health.subscribe(), cycle.progress.subscribe());
    let ended = loop {
        // A step of the loop or of the cycle in it feeds the watchdog; while none is taken, nobody does.
        tokio::select! {
            biased;
            ended = signals.next() => break ended,
            () = &mut worker => return Ended::Stopped,
            _ = turns.changed() => supervisor.status(&turns.borrow_and_update()),
            _ = steps.changed() => stepped(health, &cycle.clock),
            () = meter.moved() => stepped(health, &cycle.clock),
        }
        supervisor.alive();
    };
    match ended {
        Ended::Stopped => {
            supervisor.stopping();
            tracing::info!("stopping: the operation under way is finished first");
        }
        Ended::Reload => {
            supervisor.reloading();
            tracing::info!("reloading the configuration: the operation under way is finished first");
        }
    }
    match (ended, end(ended, &cycle.stop, worker, signals).await) {
        (Ended::Reload, Ended::Stopped) => {
            supervisor.stopping();
            Ended::Stopped
        }
        (_, ended) => ended,
    }
}

/// Notes that the cycle took a step. Nobody is woken for it, us neither.
fn stepped(health: &watch::Sender<Health>, clock: &Clock) {
    health.send_if_modified(|health| {
        health.moved(clock.now());
        false
    });
}

/// Tells the worker to stop and waits for it, but not for ever; hears meanwhile whether the process is to end, too.
async fn end(
    mut ended: Ended,
    stop: &CancellationToken,
    worker: impl Future<Output = ()>,
    signals: &mut Signals,
) -> Ended {
    stop.cancel();
    let mut worker = std::pin::pin!(tokio::time::timeout(GRACE, worker));
    loop {
        tokio::select! {
            finished = &mut worker => {
                if finished.is_err() {
                    tracing::warn!(
                        "an operation is left under way: the next cycle looks what became of it"
                    );
                }
                return ended;
            }
            () = signals.stop() => ended = Ended::Stopped,
        }
    }
}
