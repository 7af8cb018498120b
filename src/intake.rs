//! Events on their way in: written down before anybody is told that they were received, taken into the state at once.
//!
//! The state has one writer, and a cycle may keep it for longer than a caller should wait. So what is received is first a
//! synced file in the *spool*, a folder beside the state, many events in one file where many come at a time ([`Letterbox`]);
//! `rosterd event` writes the same files, whether or not a daemon runs. [`take_up`] brings them into the state, where the
//! addresses that they name wait for the next cycle, and removes a file only then. A file that is taken up twice, after
//! a crash between the two, changes nothing.
//!
//! Between being read and being in the state an event is in nobody's file. So whoever takes events up has a [`Turn`] meanwhile,
//! and so has whoever erases a person: nothing that was read before the erasure is noted after it.

mod content;
mod forgetting;
mod letterbox;
mod mention;
mod room;
mod spool;
mod taking;
mod turn;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use forgetting::trim_damaged;
pub use letterbox::{Letterbox, NotStored, keep_letterbox};
pub use spool::{Lying, Spool, SpoolError};
pub use taking::{TakenUp, TakingError, attend, take_up};
pub use turn::Turn;

/// Where an event came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Mailchimp called us.
    Webhook,
    /// Somebody posted it who may.
    Api,
    /// A program wrote it into the spool.
    Spool,
}

impl Source {
    /// The word it is stored under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Webhook => "webhook",
            Self::Api => "api",
            Self::Spool => "spool",
        }
    }
}

/// An event as it was received: a line of a file in the spool. `Debug` leaves the body out, which names people.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Where it came in.
    pub source: Source,
    /// When.
    pub at: Timestamp,
    /// The body of one event.
    pub body: String,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { source, at, body: _ } = self;
        f.debug_struct("Received").field("source", source).field("at", at).finish_non_exhaustive()
    }
}
