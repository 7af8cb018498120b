//! What the API answers: the JSON of the commands, made by the same code.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cli::exit::Fault;
use crate::cli::held::decided_json;
use crate::cli::member::{nobody, told};
use crate::cli::status::stand;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::mailchimp::refusal::chain;
use crate::model::{EmailAddress, SubscriberHash};
use crate::state::{State, StateError};
use crate::web::api::{Answers, Untold, Verdict};

/// Another program waits, whose connection is not kept for long: an audience that does not answer within this is out of
/// reach.
const PATIENCE: Duration = Duration::from_secs(5);

/// Tells what the state and both sides show, by the configuration in force.
#[derive(Debug)]
pub(super) struct Told {
    state: State,
    /// The same by a connection that no cycle uses.
    reader: State,
    settings: watch::Receiver<Settings>,
}

impl Told {
    /// Tells by whatever configuration is in force.
    pub(super) fn new(state: State, reader: State, settings: watch::Receiver<Settings>) -> Self {
        Self { state, reader, settings }
    }

    /// The configuration in force. What is asked for whoever waits is no sign that the cycles go on.
    fn settings(&self) -> Settings {
        let settings = self.settings.borrow().clone();
        Settings { meter: settings.meter.aside(), ..settings }
    }

    /// The address that a member is named by, itself or by its hash.
    async fn address(&self, name: &str) -> Result<EmailAddress, Untold> {
        match SubscriberHash::parse(name) {
            None => EmailAddress::parse(name).map_err(|error| {
                Untold::Unknown(format!("this names nobody: {error}, nor is it a hash of one"))
            }),
            Some(hash) => {
                let known = self.reader.address_of(hash).await.map_err(failed)?;
                known.ok_or_else(|| {
                    Untold::Unknown("nobody who is known has an address of this hash".to_owned())
                })
            }
        }
    }
}

#[async_trait]
impl Answers for Told {
    async fn status(&self) -> Result<Value, Untold> {
        let settings = self.settings();
        let overview = stand(&self.reader, Some(&settings), Clock::System.now()).await.map_err(failed)?;
        Ok(json!(overview))
    }

    async fn member(&self, name: &str) -> Result<Value, Untold> {
        let email = self.address(name).await?;
        let shown =
            told(self.settings(), &self.reader, &email, PATIENCE).await.map_err(|fault| fault_of(&fault))?;
        match shown {
            Some(member) => Ok(member),
            None => match nobody(&self.reader, &email).await {
                Ok(fault) => Err(Untold::Unknown(format!("{:#}", fault.error()))),
                Err(fault) => Err(fault_of(&fault)),
            },
        }
    }

    async fn decide(&self, id: &str, verdict: Verdict) -> Result<Value, Untold> {
        let (id, now) = (id.to_owned(), Clock::System.now());
        let decided = match verdict {
            Verdict::Approve => self.state.approve(id, now).await,
            Verdict::Reject => self.state.reject(id, now).await,
        };
        decided.map(|hold| decided_json(&hold)).map_err(failed)
    }
}

fn failed(error: StateError) -> Untold {
    match error {
        StateError::NoSuchHold { .. } => Untold::Unknown(error.to_string()),
        StateError::HoldIsDone { .. } => Untold::Over(error.to_string()),
        error => Untold::Failed(chain(&error)),
    }
}

fn fault_of(fault: &Fault) -> Untold {
    Untold::Failed(format!("{:#}", fault.error()))
}
