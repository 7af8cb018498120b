//! How a command ends: the exit codes of the contract.

use std::process::ExitCode;

use crate::cli::output::NobodyReads;
use crate::cycle::CycleError;
use crate::mailchimp::AudienceError;
use crate::observe::ObserveError;
use crate::registrations::RegisterError;
use crate::state::StateError;

/// How a command ended that could say all it had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Done.
    Done,
    /// Something is held: a person must decide.
    Held,
    /// Done, but members were refused.
    Refused,
    /// A side was out of reach, as the output says.
    Unreached,
    /// The configuration is wrong, as the output says.
    Wrong,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        Self::from(match ending {
            Ending::Done => 0,
            Ending::Held => 3,
            Ending::Refused => 4,
            Ending::Unreached => 1,
            Ending::Wrong => 2,
        })
    }
}

/// Why a command could not do what it was asked for.
#[derive(Debug)]
pub enum Fault {
    /// Try again: a side is out of reach, another process holds the state.
    Failed(anyhow::Error),
    /// The usage or the configuration is wrong.
    Usage(anyhow::Error),
}

impl Fault {
    /// Something failed that may work another time.
    pub fn failed(error: impl Into<anyhow::Error>) -> Self {
        Self::Failed(error.into())
    }

    /// Something is wrong that stays wrong until somebody mends it.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    /// What the audience answered: a key or an audience that Mailchimp does not know is a matter of the configuration.
    pub(super) fn of_audience(error: AudienceError) -> Self {
        if error.is_misconfigured() { Self::usage(error) } else { Self::failed(error) }
    }

    /// What the register answered: one that is not as configured is a matter of the configuration.
    pub(super) fn of_register(error: RegisterError) -> Self {
        if error.is_misconfigured() { Self::usage(error) } else { Self::failed(error) }
    }

    /// What is wrong with the state: one that belongs to others is a matter of the configuration.
    pub(super) fn of_state(error: StateError) -> Self {
        if error.is_misconfigured() { Self::usage(error) } else { Self::failed(error) }
    }

    /// Why both sides could not be read.
    pub(super) fn of_observation(error: ObserveError) -> Self {
        if error.is_misconfigured() { Self::usage(error) } else { Self::failed(error) }
    }

    /// Why a cycle ended early.
    pub(super) fn of_cycle(error: CycleError) -> Self {
        if error.is_misconfigured() { Self::usage(error) } else { Self::failed(error) }
    }

    /// The error itself.
    pub fn error(&self) -> &anyhow::Error {
        match self {
            Self::Failed(error) | Self::Usage(error) => error,
        }
    }
}

impl From<&Fault> for ExitCode {
    fn from(fault: &Fault) -> Self {
        Self::from(match fault {
            // `rosterd held | head` is no failure of anybody's.
            Fault::Failed(error) if error.is::<NobodyReads>() => 0,
            Fault::Failed(_) => 1,
            Fault::Usage(_) => 2,
        })
    }
}
