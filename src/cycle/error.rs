//! Why a cycle ends early.

use crate::apply::ApplyError;
use crate::mailchimp::AudienceError;
use crate::observe::ObserveError;
use crate::registrations::RegisterError;
use crate::state::StateError;

/// Why a cycle ended early, by what is done about it.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
    /// While reading.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// While writing.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// Our own state.
    #[error(transparent)]
    State(#[from] StateError),
}

impl CycleError {
    /// Whether no cycle can work until somebody mends something: shown in status and health.
    pub fn is_fatal(&self) -> bool {
        let remote = match self {
            Self::Observe(ObserveError::Remote(error)) | Self::Apply(ApplyError::Remote(error)) => error,
            Self::Observe(_) | Self::Apply(_) | Self::State(_) => return false,
        };
        matches!(remote, AudienceError::Fatal { .. })
    }

    /// Whether the configuration is at fault: no other attempt helps before somebody mends it.
    pub fn is_misconfigured(&self) -> bool {
        match self {
            Self::Observe(error) => error.is_misconfigured(),
            Self::Apply(error) => error.is_misconfigured(),
            Self::State(error) => error.is_misconfigured(),
        }
    }

    /// Whether the cycle ended because the process was told to stop.
    pub fn is_stop(&self) -> bool {
        matches!(self, Self::Observe(ObserveError::Stopped) | Self::Apply(ApplyError::Stopped))
    }
}

/// A register error while noting is one of reading: the cycle comes again.
impl From<RegisterError> for CycleError {
    fn from(error: RegisterError) -> Self {
        Self::Observe(error.into())
    }
}
