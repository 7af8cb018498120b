//! The answering side: it takes connections, hands requests to the desk, and tells how far they have come.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::geteuid;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::control::message::{LONGEST_REQUEST, read_line, write_line};
use crate::control::place::{Bound, bind, socket_path};
use crate::control::{Answer, Ask, ControlError};
use crate::cycle::Report;
use crate::mailchimp::refusal::chain;
use crate::progress::{Phase, Progress};
use crate::state::{Pause, State, StateError};
use crate::worker::{CycleWanted, Desk, Failure, Stage};

/// So many are served at a time: more people than sit at one membership office.
const CONNECTIONS: usize = 32;

/// A request is there within this, and an answer is taken within this, or the connection is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Progress is looked at this often: as often as an eye can follow.
const GLANCE: Duration = Duration::from_millis(100);

/// Said again after so many glances without a change, so that nobody takes a long wait for the end.
const GLANCES: u32 = 50;

/// A command that needs the sides to itself has them for so long at most: Mailchimp may have to be waited for.
const LONGEST_TURN: Duration = Duration::from_mins(10);

/// After an end each connection has this long to say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The control socket of a daemon, open until it is closed.
#[derive(Debug)]
pub struct ControlSocket {
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

/// What every connection needs.
#[derive(Clone, Debug)]
struct Counter {
    state: State,
    desk: Desk,
    clock: Clock,
    patience: Duration,
    stop: CancellationToken,
    /// For whom cycles stand aside: one at a time.
    aside: Arc<Semaphore>,
}

/// Listens beside the file of `state`, which the caller holds, and hands what is asked for to `desk`.
///
/// # Errors
///
/// Somebody answers there already, or the socket cannot be made.
pub fn serve(state: State, desk: Desk, clock: Clock) -> Result<ControlSocket, ControlError> {
    let bound = bind(&socket_path(state.path()))?;
    let (stop, aside) = (CancellationToken::new(), Arc::new(Semaphore::new(1)));
    Ok(serve_at(bound, Counter { state, desk, clock, patience: PATIENCE, stop, aside }))
}

fn serve_at(bound: Bound, counter: Counter) -> ControlSocket {
    let stop = counter.stop.clone();
    ControlSocket { stop, serving: tokio::spawn(take_connections(bound, counter)) }
}

impl ControlSocket {
    /// Tells everybody who waits that the daemon ends, and listens no more.
    pub async fn close(self) {
        self.stop.cancel();
        if self.serving.await.is_err() {
            tracing::warn!("the control socket ended before it was closed");
        }
    }
}

async fn take_connections(bound: Bound, counter: Counter) {
    let free = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let taken = tokio::select! {
            () = counter.stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            taken = bound.listener.accept() => taken,
        };
        match (taken, Arc::clone(&free).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let counter = counter.clone();
                connections.spawn(async move {
                    if let Err(error) = attend(stream, &counter).await {
                        tracing::debug!(%error, "a connection to the control socket was given up");
                    }
                    drop(place);
                });
            }
            (Ok((stream, _)), Err(_)) => turn_away(stream),
            (Err(error), _) => {
                tracing::warn!(%error, "no connection to the control socket can be taken");
                counter.clock.sleep(PATIENCE).await;
            }
        }
    }
    drop(bound);
    let said = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(LAST_WORDS, said).await.is_err() {
        tracing::debug!("somebody at the control socket does not listen to the end");
    }
}

/// Says that too many are served already; whoever is not reading is not waited for.
fn turn_away(stream: UnixStream) {
    let said = "too many ask at once: ask again in a moment".to_owned();
    let told =
        Answer::Refused { said }.to_line().and_then(|line| stream.into_std()?.write_all(line.as_bytes()));
    if let Err(error) = told {
        tracing::debug!(%error, "a connection to the control socket was turned away without a word");
    }
}

/// One connection: reads the request, and answers it.
async fn attend(stream: UnixStream, counter: &Counter) -> io::Result<()> {
    let peer = stream.peer_cred().map(|peer| peer.uid()).ok();
    let (reader, writer) = stream.into_split();
    let mut caller = Caller { writer, patience: counter.patience };
    let mut reader = BufReader::new(reader);
    let line = match read_request(&mut reader, counter).await {
        Ok(Some(line)) => line,
        Ok(None) => return Ok(()),
        Err(error) => {
            caller.tell(&Answer::Refused { said: format!("no request was heard: {error}") }).await?;
            return Err(error);
        }
    };
    match Ask::parse(&line) {
        Ok(Ask::Sync(wanted)) => sync(wanted, peer, counter, &mut caller).await,
        Ok(Ask::StandAside) if !may_have_the_turn(peer, geteuid().as_raw()) => {
            let said = "cycles stand aside for root and for the user that the daemon runs as only: run this as one of \
                        them";
            tracing::warn!(peer.uid = peer, "somebody may not have cycles stand aside");
            caller.tell(&Answer::Refused { said: said.to_owned() }).await
        }
        Ok(Ask::StandAside) => match counter.aside.try_acquire() {
            Ok(_only) => {
                tracing::info!(peer.uid = peer, "cycles are to stand aside for a command");
                stand_aside(reader, counter, &mut caller).await
            }
            Err(_) => {
                let said =
                    "cycles stand aside for another command already: run this again once that has ended";
                caller.tell(&Answer::Refused { said: said.to_owned() }).await
            }
        },
        Err(said) => caller.tell(&Answer::Refused { said }).await,
    }
}

async fn read_request(
    reader: &mut BufReader<OwnedReadHalf>,
    counter: &Counter,
) -> io::Result<Option<Vec<u8>>> {
    tokio::select! {
        () = counter.stop.cancelled() => Ok(None),
        read = tokio::time::timeout(counter.patience, read_line(reader, LONGEST_REQUEST)) => {
            read.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        }
    }
}

/// Whoever is answered.
struct Caller {
    writer: OwnedWriteHalf,
    patience: Duration,
}

impl Caller {
    /// Tells them, unless they do not listen.
    async fn tell(&mut self, answer: &Answer) -> io::Result<()> {
        let line = answer.to_line()?;
        let told = tokio::time::timeout(self.patience, write_line(&mut self.writer, &line)).await;
        told.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}

/// Notes whom to look at, asks the worker for a cycle, and tells how far it has come.
async fn sync(
    wanted: CycleWanted,
    peer: Option<u32>,
    counter: &Counter,
    caller: &mut Caller,
) -> io::Result<()> {
    let kind = wanted.wish().scope.as_str();
    let mut ticket = match wanted.ask(&counter.desk, &counter.state, counter.clock.now()).await {
        Ok(ticket) => ticket,
        Err(error) => return caller.tell(&Answer::Failed(failure(&error))).await,
    };
    let told = caller.tell(&Answer::Accepted).await;
    // Not before it is so: whoever reads this may take the addresses for noted.
    tracing::info!(peer.uid = peer, cycle.kind = kind, "a cycle is asked for");
    told?;
    let (mut begun, mut told) = (false, None);
    loop {
        tokio::select! {
            biased;
            stage = ticket.next() => match stage {
                Some(Stage::Waiting) => begun = false,
                Some(Stage::Begun) => {
                    begun = true;
                    caller.tell(&Answer::Begun).await?;
                }
                Some(Stage::Ended(ended)) => return caller.tell(&answer(ended, &counter.state).await).await,
                None => return caller.tell(&Answer::Stopping).await,
            },
            () = counter.stop.cancelled() => return caller.tell(&Answer::Stopping).await,
            () = glance(counter, begun, &told) => {
                let progress = seen(counter, begun);
                told = Some(progress);
                caller.tell(&Answer::Progress(progress)).await?;
            }
        }
    }
}

/// Whether a peer may keep cycles from beginning: whoever may do everything else to the daemon anyway. Those who may only ask
/// for cycles could otherwise keep opt-outs waiting.
fn may_have_the_turn(peer: Option<u32>, own: u32) -> bool {
    peer.is_some_and(|peer| peer == own || peer == 0)
}

/// Keeps the worker's turn for the peer until they hang up, or have had it for long enough.
async fn stand_aside(
    mut reader: BufReader<OwnedReadHalf>,
    counter: &Counter,
    caller: &mut Caller,
) -> io::Result<()> {
    let mut waiting = std::pin::pin!(counter.desk.turn());
    let mut told = None;
    let turn = loop {
        tokio::select! {
            biased;
            () = counter.stop.cancelled() => return caller.tell(&Answer::Stopping).await,
            turn = &mut waiting => break turn,
            () = glance(counter, false, &told) => {
                let progress = seen(counter, false);
                told = Some(progress);
                caller.tell(&Answer::Progress(progress)).await?;
            }
        }
    };
    caller.tell(&Answer::Begun).await?;
    let said = tokio::select! {
        () = counter.stop.cancelled() => Answer::Stopping,
        () = counter.clock.sleep(LONGEST_TURN) => {
            Answer::Refused { said: "cycles stood aside for long enough, and go on".to_owned() }
        }
        // Hung up, or talked on: nothing more was to be said.
        _ = reader.fill_buf() => return Ok(()),
    };
    drop(turn);
    caller.tell(&said).await
}

/// Waits until there is progress to tell, or until it is time to tell the same again.
async fn glance(counter: &Counter, begun: bool, told: &Option<Progress>) {
    for _ in 0..GLANCES {
        counter.clock.sleep(GLANCE).await;
        if *told != Some(seen(counter, begun)) {
            return;
        }
    }
}

/// How far the work has come, as whoever waits sees it.
fn seen(counter: &Counter, begun: bool) -> Progress {
    let now = *counter.desk.progress().borrow();
    if begun { now } else { Progress { phase: Phase::Queued, ..now } }
}

/// What is told of a cycle that came to its end.
async fn answer(ended: Result<Report, Failure>, state: &State) -> Answer {
    match ended {
        Err(failure) => Answer::Failed(failure),
        Ok(report) => match state.paused().await {
            Ok(Pause::Paused(since)) => Answer::Report { report, paused_since: Some(since) },
            Ok(Pause::Running) => Answer::Report { report, paused_since: None },
            Err(error) => Answer::Failed(failure(&error)),
        },
    }
}

fn failure(error: &StateError) -> Failure {
    Failure { said: chain(error), misconfigured: error.is_misconfigured() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cycles_stand_aside_for_root_and_the_daemons_own_user_and_for_nobody_else() {
        let cases =
            [(Some(0), true), (Some(990), true), (Some(1_000), false), (Some(65_534), false), (None, false)];
        for (peer, expected) in cases {
            assert_eq!(may_have_the_turn(peer, 990), expected, "{peer:?}");
        }
    }
}
