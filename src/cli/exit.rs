//! How a command ends: the exit codes of the contract.

use std::process::ExitCode;

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
            Fault::Failed(_) => 1,
            Fault::Usage(_) => 2,
        })
    }
}
