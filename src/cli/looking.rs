//! The state for commands that only look: beside a running daemon, and without the right to write it.

use crate::cli::Cli;
use crate::cli::exit::Fault;
use crate::cli::wiring::state_path;
use crate::clock::Clock;
use crate::state::{State, StateError};

/// Opens the state for looking at it; whoever may only read the file gets a private copy.
pub(super) async fn state_to_look_at(cli: &Cli) -> Result<State, Fault> {
    let path = state_path(cli)?;
    let opened = match State::open_shared(&path).await {
        Err(StateError::Inaccessible { .. } | StateError::Older { .. }) => {
            State::copy_for_plan(&path, &Clock::System).await
        }
        opened => opened,
    };
    opened.map_err(Fault::failed)
}
