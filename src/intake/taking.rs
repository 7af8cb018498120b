//! From the spool into the state.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use crate::aside::aside;
use crate::clock::Clock;
use crate::intake::content::{Content, DamagedLines};
use crate::intake::{Received, Spool, SpoolError};
use crate::mailchimp::refusal::chain;
use crate::mailchimp::webhook::{self, WebhookEvent};
use crate::state::{ReceivedEvent, State, StateError};

/// How often the folder is looked at for what other programs wrote. What came in by HTTP is told at once; looking costs
/// one listing of a folder that is nearly always empty, and works on every file system and in every container, where a
/// watch of the kernel's does not.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After a failure it is tried again after this long.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// An erasure takes seconds, and minutes where Mailchimp pauses.
const LONG: SignedDuration = SignedDuration::from_mins(1);
/// So many events go into the state in one transaction: a cycle that is under way waits no longer for it than for a page
/// of its own.
const AT_A_TIME: usize = 1_000;

/// What was taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenUp {
    /// Events that are in the state now.
    pub events: usize,
    /// Addresses that they name.
    pub addresses: usize,
    /// Addresses that are not looked at because too many wait already: reading what changed finds what there is to find.
    pub left_out: usize,
    /// Events of other audiences: they are let go.
    pub foreign: usize,
    /// Files that could not be read and were put aside, whole or in part.
    pub damaged: usize,
    /// What stays in the spool because it cannot be read, and why: nothing waits for it.
    pub passed: BTreeMap<OsString, String>,
}

impl TakenUp {
    /// Warns of what was passed over, once for as long as it lies there.
    pub fn warn(&self, spool: &Spool, told: &mut BTreeSet<OsString>) {
        told.retain(|name| self.passed.contains_key(name));
        for (name, error) in &self.passed {
            if told.insert(name.clone()) {
                let path = spool.folder().join(name).display().to_string();
                tracing::warn!(path, error, "what lies in the spool cannot be taken up: it is passed over");
            }
        }
    }
}

/// What goes wrong on the way.
#[derive(Debug, thiserror::Error)]
pub enum TakingError {
    /// The spool.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The work was cut off.
    #[error("the spool could not be read")]
    Failed(#[from] tokio::task::JoinError),
}

/// Takes everything up that waits in the spool; a file is removed once what it holds is in the state. `None` while somebody
/// else has the turn: everything waits.
///
/// # Errors
///
/// The rest waits.
pub async fn take_up(
    state: &State,
    spool: &Spool,
    audience: &str,
    clock: &Clock,
) -> Result<Option<TakenUp>, TakingError> {
    let Some(_turn) = blocking(spool, Spool::take_turn).await? else { return Ok(None) };
    let now = clock.now();
    let names = blocking(spool, move |spool| spool.waiting(now)).await?;
    let mut taken = TakenUp::default();
    let (mut read, mut events) = (Vec::new(), Vec::new());
    for name in names {
        let file = name.clone();
        let found = match aside_of(spool, move |spool| spool.read(&file)).await? {
            Content::Lines { events, damaged } => {
                put_lines_aside(spool, &name, damaged, &mut taken).await?.map(|()| events)
            }
            Content::Damaged => put_aside(spool, &name, &mut taken).await?.map(|()| Vec::new()),
            Content::Passed(why) => Err(why.to_string()),
            Content::Gone => continue,
        };
        match found {
            Ok(received) => {
                events
                    .extend(received.into_iter().filter_map(|event| understood(event, audience, &mut taken)));
                read.push(name);
            }
            Err(why) => {
                taken.passed.insert(name, why);
            }
        }
        if events.len() >= AT_A_TIME {
            let (read, events) = (std::mem::take(&mut read), std::mem::take(&mut events));
            taken.left_out += note(state, spool, read, events, clock).await?;
        }
    }
    taken.left_out += note(state, spool, read, events, clock).await?;
    Ok(Some(taken))
}

/// The events into the state, then the files away. Says how many addresses are not looked at.
async fn note(
    state: &State,
    spool: &Spool,
    read: Vec<OsString>,
    events: Vec<ReceivedEvent>,
    clock: &Clock,
) -> Result<usize, TakingError> {
    let left_out = if events.is_empty() { 0 } else { state.note_events(events, clock.now()).await? };
    blocking(spool, move |spool| read.iter().try_for_each(|name| spool.remove(name))).await?;
    Ok(left_out)
}

/// Puts a file aside; says why it stays where it is, if it does.
async fn put_aside(
    spool: &Spool,
    name: &OsString,
    taken: &mut TakenUp,
) -> Result<Result<(), String>, TakingError> {
    let name = name.clone();
    let aside = aside_of(spool, move |spool| spool.set_aside(&name)).await?;
    Ok(aside.map_err(|error| error.to_string()).map(|path| {
        let path = path.display().to_string();
        tracing::error!(path, "a file of the spool cannot be read: it was put aside and is not acted on");
        taken.damaged += 1;
    }))
}

/// The same of lines of a file: the rest of it is taken up.
async fn put_lines_aside(
    spool: &Spool,
    name: &OsString,
    damaged: DamagedLines,
    taken: &mut TakenUp,
) -> Result<Result<(), String>, TakingError> {
    let DamagedLines { first: line, text } = damaged;
    if line == 0 {
        return Ok(Ok(()));
    }
    let name = name.clone();
    let aside = aside_of(spool, move |spool| spool.set_lines_aside(&name, &text)).await?;
    Ok(aside.map_err(|error| error.to_string()).map(|path| {
        let path = path.display().to_string();
        tracing::error!(
            path,
            line,
            "lines of the spool hold no event: they were put aside and are not acted on"
        );
        taken.damaged += 1;
    }))
}

async fn blocking<T: Send + 'static>(
    spool: &Spool,
    work: impl FnOnce(&Spool) -> Result<T, SpoolError> + Send + 'static,
) -> Result<T, TakingError> {
    Ok(aside_of(spool, work).await??)
}

async fn aside_of<T: Send + 'static>(
    spool: &Spool,
    work: impl FnOnce(&Spool) -> T + Send + 'static,
) -> Result<T, TakingError> {
    let spool = spool.clone();
    Ok(aside(move || work(&spool)).await?)
}

/// What the state is to keep of an event; nothing of one that happened in another audience.
fn understood(received: Received, audience: &str, taken: &mut TakenUp) -> Option<ReceivedEvent> {
    let Received { source, at, body } = received;
    // Whoever received it understood it; a newer program may have been another one.
    let WebhookEvent { kind, audience: of, addresses, details } =
        webhook::read(&body).unwrap_or_else(|_| WebhookEvent::of_kind("unknown"));
    if of.is_some_and(|of| of != audience) {
        taken.foreign += 1;
        return None;
    }
    taken.events += 1;
    taken.addresses += addresses.len();
    Some(ReceivedEvent { source: source.as_str(), received_at: at, kind, addresses, details, body })
}

/// Takes up what is written into the spool, until told to stop; `named` is called each time that an address was named.
///
/// What is not taken up at the end waits for the next start.
pub async fn attend(
    state: &State,
    spool: &Spool,
    audience: impl Fn() -> String,
    clock: &Clock,
    written: &Notify,
    named: impl Fn(),
) {
    let mut told = BTreeSet::new();
    let mut kept_from = KeptFrom::default();
    loop {
        let pause = match take_up(state, spool, &audience(), clock).await {
            Ok(None) => {
                if kept_from.is_to_be_told(clock.now()) {
                    tracing::warn!(
                        "received events wait: for a minute another program has been at the spool, an erasure perhaps"
                    );
                }
                LOOK_EVERY
            }
            Ok(Some(taken)) => {
                kept_from = KeptFrom::default();
                taken.warn(spool, &mut told);
                tell(&taken);
                if taken.addresses > 0 {
                    named();
                }
                LOOK_EVERY
            }
            Err(error) => {
                tracing::error!(
                    error = chain(&error),
                    "received events wait in the spool: it is tried again"
                );
                TRY_AGAIN_AFTER
            }
        };
        tokio::select! {
            () = clock.sleep(pause) => (),
            () = written.notified() => (),
        }
    }
}

/// Since when somebody else has the turn.
#[derive(Debug, Default)]
struct KeptFrom {
    since: Option<Timestamp>,
    told: bool,
}

impl KeptFrom {
    /// Whether it has lasted long enough to be told of, which it is once.
    fn is_to_be_told(&mut self, now: Timestamp) -> bool {
        let since = *self.since.get_or_insert(now);
        let is_due = !self.told && now.duration_since(since).abs() >= LONG;
        self.told |= is_due;
        is_due
    }
}

fn tell(taken: &TakenUp) {
    let TakenUp { events, addresses: named, left_out, foreign, damaged: _, passed: _ } = *taken;
    if events > 0 {
        tracing::debug!(events, named, "events were received");
    }
    if left_out > 0 {
        tracing::warn!(
            named = left_out,
            "more addresses are named by events than can wait: they are found by reading what changed"
        );
    }
    if foreign > 0 {
        tracing::warn!(events = foreign, "events of another audience were received and let go");
    }
}

#[cfg(test)]
mod tests;
