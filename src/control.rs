//! The control socket: how the command line asks a running daemon for something.
//!
//! The socket lies beside the state file, under its whole name and `.sock` (`state.db.sock`). Who may ask is decided by
//! the file: mode 0660, so its owner (the user that the daemon runs as) and its group. Whoever may connect may ask for
//! everything below, but for having cycles stand aside.
//!
//! # The protocol, version 1
//!
//! A connection carries one request and its answers, each a JSON object on a line of its own. The request says which
//! version it speaks; a daemon refuses every other. Unknown keys are errors, so that no word of a request is overheard.
//!
//! ```text
//! → {"version":1,"ask":{"sync":{"full":false,"yes":false,"addresses":["ada@alliance.test"]}}}
//! ← "accepted"                                                 the addresses are in the state file by now
//! ← {"progress":{"phase":"queued","done":400,"total":1000}}    another cycle is under way and comes first
//! ← "begun"                                                    the cycle that answers this request has begun
//! ← {"progress":{"phase":"applying","done":3,"total":9}}
//! ← {"report":{"report":{"cycle":12,…},"paused_since":null}}   the last line; or one of these:
//! ← {"failed":{"said":"…","misconfigured":false}}              the cycle failed, or cannot begin
//! ← "stopping"                                                 the daemon ends before the cycle did
//! ← {"refused":{"said":"…"}}                                   the request itself is not understood, or one too many
//! ```
//!
//! `progress` comes whenever there is any, ten times a second at most, and every few seconds in any case: whoever hears
//! nothing for long speaks to a daemon that stands still. Whoever asks while a cycle is under way is answered by the
//! next that begins, all such together. Hanging up takes nothing back.
//!
//! `"stand_aside"` is the other request: once no cycle is under way, the daemon says `"begun"` and begins none before the
//! peer hangs up, for ten minutes at most, so that a command with the right to write the state can do by itself what no
//! cycle may meet halfway (`rosterd member erase`). It does so for root and for its own user only, as the kernel names the
//! peer, and for one at a time.
//!
//! # What a peer cannot do
//!
//! Keep the daemon from its work without asking it to stand aside: a request is one line of bounded length that has to be there within seconds, answers
//! that nobody reads are given up, and so many connections at a time are served, each by a task of its own that no cycle
//! waits for.

mod client;
mod message;
mod place;
mod server;

use std::path::PathBuf;

pub use client::{Answers, ask, is_answered, knock};
pub use message::{Answer, Ask, VERSION};
pub use place::socket_path;
pub use server::{ControlSocket, serve};

/// Why a daemon cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Another process answers there.
    #[error("another process answers at {}", .path.display())]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has the socket's name.
    #[error("{} is in the way of the control socket: move it elsewhere", .path.display())]
    InTheWay {
        /// What is there.
        path: PathBuf,
    },
    /// The socket's mode lets only its owner and its group in.
    #[error(
        "a daemon is there, but its socket {} is for its user and its group only: run this as that user, or have \
        yourself taken into the group",
        .path.display()
    )]
    Forbidden {
        /// The socket.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("the control socket {} cannot be used", .path.display())]
    System {
        /// The socket.
        path: PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
    /// More than one line may hold.
    #[error(
        "that is more than a daemon takes at once: name fewer addresses, or ask for everything with --full"
    )]
    TooLong,
    /// Nothing was heard for so long that the daemon must stand still.
    #[error("the daemon does not answer: see what it does with systemctl status rosterd, and ask again")]
    Silent,
    /// The daemon speaks otherwise than described.
    #[error("the daemon's answer is not understood: it is of another version, restart it")]
    Unreadable,
}
