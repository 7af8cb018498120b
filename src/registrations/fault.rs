//! What goes wrong with a register, sorted by what is done about it, before it is known where.

use crate::registrations::RegisterError;

/// A cause.
pub(super) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What went wrong.
#[derive(Debug)]
pub(super) enum Fault {
    /// Locked, out of reach, or changed under us.
    Away(Cause),
    /// Another transaction wrote what this one was about to.
    Raced(Cause),
    /// One row's write cannot be made.
    Refused(String),
    /// The register is not as configured.
    Mapping(String),
    /// Anything else.
    Failed(Cause),
}

impl Fault {
    /// The fault in the words of the contract.
    pub(super) fn at(self, place: &str, row: &str) -> RegisterError {
        let place = place.to_owned();
        match self {
            Self::Away(source) | Self::Raced(source) => RegisterError::Busy { place, source },
            Self::Refused(said) => RegisterError::Refused { row: row.to_owned(), said: redacted(&said) },
            Self::Mapping(problem) => RegisterError::Mapping { place, problem },
            Self::Failed(source) => RegisterError::Failed { place, source },
        }
    }

    /// What was said, for a sentence of another problem.
    pub(super) fn said(&self) -> String {
        match self {
            Self::Away(cause) | Self::Raced(cause) | Self::Failed(cause) => cause.to_string(),
            Self::Refused(said) | Self::Mapping(said) => said.clone(),
        }
    }
}

/// A write failed for want of room, or because the disk fails, which a store cannot always tell apart.
#[derive(Debug, thiserror::Error)]
#[error("it cannot be written: make room on its disk or in its quota; if there is room, the disk is failing")]
pub(super) struct NoRoom(#[source] pub(super) Cause);

/// The website's triggers say what they like: addresses in it are left out.
fn redacted(said: &str) -> String {
    let words = said.split(' ').map(|word| if word.contains('@') { "<address>" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_trigger_says_is_repeated_without_addresses() {
        let fault = Fault::Refused("no room for ada@alliance.test here".to_owned());
        let said = fault.at("register.db", "7").to_string();
        assert_eq!(said, "the register refused to write row 7: no room for <address> here");
    }
}
