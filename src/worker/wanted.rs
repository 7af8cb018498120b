//! A cycle as people and programs ask for it: in words that travel.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cycle::Adoption;
use crate::model::EmailAddress;
use crate::observe::Scope;
use crate::state::{State, StateError};
use crate::worker::desk::{Desk, Ticket, Wish};

/// What kind of cycle is wanted, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CycleWanted {
    /// Whether both sides are read in full.
    pub full: bool,
    /// Whether the first adoption is answered beforehand.
    pub yes: bool,
    /// Whom to look at whatever the cursors say.
    pub addresses: Vec<EmailAddress>,
}

impl CycleWanted {
    /// What the worker is asked for.
    pub fn wish(&self) -> Wish {
        Wish {
            scope: if self.full { Scope::Full } else { Scope::Incremental },
            adoption: if self.yes { Adoption::Yes } else { Adoption::Ask },
        }
    }

    /// Notes whom to look at, so that it outlives the process, and asks for the cycle.
    ///
    /// # Errors
    ///
    /// They cannot be noted: nothing was asked for.
    pub async fn ask(self, desk: &Desk, state: &State, now: Timestamp) -> Result<Ticket, StateError> {
        let wish = self.wish();
        if !self.addresses.is_empty() {
            state.add_pending(self.addresses, "asked for by sync".to_owned(), now).await?;
        }
        Ok(desk.ask(wish))
    }
}
