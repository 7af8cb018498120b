//! Waiting for a server: never for ever, and on a thread that may wait.

use std::cell::Cell;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::registrations::fault::Fault;
use crate::registrations::mapping::RegisterMapping;

/// How long beyond its own limit the server is given to say that it gave up.
const GRACE: Duration = Duration::from_secs(5);

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub(in crate::registrations) struct Patience {
    /// For a connection.
    pub(in crate::registrations) connect: Duration,
    /// For a statement.
    pub(in crate::registrations) statement: Duration,
    /// For somebody else's lock.
    pub(in crate::registrations) lock: Duration,
}

impl Patience {
    pub(super) fn of(mapping: &RegisterMapping) -> Self {
        let at_least = |span, least| Duration::try_from(span).unwrap_or_default().max(least);
        Self {
            connect: at_least(mapping.connection_timeout, Duration::from_millis(100)),
            statement: at_least(mapping.statement_timeout, Duration::from_millis(100)),
            lock: at_least(mapping.busy_timeout, Duration::from_millis(1)),
        }
    }
}

/// Waits for one connection's answers.
pub(in crate::registrations) struct Waiting {
    runtime: Handle,
    pub(in crate::registrations) patience: Patience,
    is_sound: Cell<bool>,
}

impl Waiting {
    pub(super) fn new(runtime: Handle, patience: Patience) -> Self {
        Self { runtime, patience, is_sound: Cell::new(true) }
    }

    /// Waits for a connection.
    pub(in crate::registrations) fn connection<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.until(self.patience.connect, work)
    }

    /// Waits for a statement.
    pub(in crate::registrations) fn answer<T>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        self.until(self.patience.statement + GRACE, work)
    }

    fn until<T>(&self, limit: Duration, work: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        match self.runtime.block_on(async { timeout(limit, work).await }) {
            Ok(done) => done,
            Err(_) => {
                // The answer may still come, and would be taken for that of the next question.
                self.give_up();
                Err(Fault::Away(Box::from(format!("no answer within {} s", limit.as_secs_f32()))))
            }
        }
    }

    /// The connection is not used again.
    pub(in crate::registrations) fn give_up(&self) {
        self.is_sound.set(false);
    }

    /// Whether the connection can be used again.
    pub(in crate::registrations) fn is_sound(&self) -> bool {
        self.is_sound.get()
    }
}
