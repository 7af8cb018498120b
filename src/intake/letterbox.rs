//! Where events are handed in: whoever does is told once they are on the disk. Those that come at the same time are
//! written down together, so that a thousand callers wait for a few syncs and not for a thousand.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::aside::aside;
use crate::intake::{Received, Spool};
use crate::mailchimp::refusal::chain;
use crate::telemetry::seldom::Seldom;

/// How many may wait to be written down: more than there are connections.
const WAITING: usize = 1_024;
/// So much is written down at a time: what it takes in memory is bounded, and nobody waits for much more than their own.
const BYTES_AT_A_TIME: usize = 1 << 20;

/// An event could not be written down: whoever handed it in has to come again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event could not be stored")]
pub struct NotStored;

/// Where events are handed in; clones are the same one.
#[derive(Clone, Debug)]
pub struct Letterbox(mpsc::Sender<HandedIn>);

#[derive(Debug)]
struct HandedIn {
    events: Vec<Received>,
    answer: oneshot::Sender<Result<(), NotStored>>,
}

impl Letterbox {
    /// Hands events in; they survive a power failure once this returns.
    ///
    /// # Errors
    ///
    /// They could not be written down. The log says why.
    pub async fn hand_in(&self, events: Vec<Received>) -> Result<(), NotStored> {
        let (answer, answered) = oneshot::channel();
        // Where that many wait, the disk hangs: nobody waits behind them, with or without a connection.
        self.0.try_send(HandedIn { events, answer }).map_err(|_| NotStored)?;
        answered.await.map_err(|_| NotStored)?
    }
}

/// Opens a letterbox, and keeps it until the last clone of it is gone. `written` is told each time that something is in the spool.
pub fn keep_letterbox(spool: Spool, written: Arc<Notify>) -> (Letterbox, impl Future<Output = ()> + Send) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Letterbox(sender), keep(spool, written, receiver))
}

async fn keep(spool: Spool, written: Arc<Notify>, mut receiver: mpsc::Receiver<HandedIn>) {
    let untold = Seldom::default();
    while let Some(first) = receiver.recv().await {
        let mut answers = Vec::new();
        let mut events = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(handed_in) = next {
            bytes += handed_in.events.iter().map(|event| event.body.len()).sum::<usize>();
            events.extend(handed_in.events);
            answers.push(handed_in.answer);
            next = if bytes < BYTES_AT_A_TIME { receiver.try_recv().ok() } else { None };
        }
        let stored = write_down(&spool, events, &untold).await;
        if stored.is_ok() {
            written.notify_one();
        }
        for answer in answers {
            // Who has gone meanwhile comes again, and is looked at again.
            let _ = answer.send(stored);
        }
    }
}

async fn write_down(spool: &Spool, events: Vec<Received>, untold: &Seldom) -> Result<(), NotStored> {
    let Some(now) = events.last().map(|event| event.at) else { return Ok(()) };
    let number = events.len();
    let spool = spool.clone();
    let error = match aside(move || spool.put(&events)).await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => chain(&error),
        Err(error) => chain(&error),
    };
    if let Some(events) = untold.add(number, now) {
        tracing::error!(events, error, "events could not be stored: whoever sent them is told to try again");
    }
    Err(NotStored)
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use jiff::Timestamp;

    use super::*;
    use crate::intake::Source;

    fn event(number: usize) -> Received {
        Received { source: Source::Webhook, at: Timestamp::UNIX_EPOCH, body: format!("type=a&n={number}") }
    }

    #[tokio::test]
    async fn those_that_come_at_the_same_time_share_a_file_and_each_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("state.db"));
        let written = Arc::new(Notify::new());
        let (letterbox, keeping) = keep_letterbox(spool.clone(), written.clone());
        let keeping = tokio::spawn(keeping);
        let told = join_all((0..500).map(|number| letterbox.hand_in(vec![event(number)]))).await;
        assert!(told.iter().all(Result::is_ok));
        written.notified().await;
        let names = spool.waiting(Timestamp::UNIX_EPOCH).unwrap();
        assert!(names.len() < 50, "{} files", names.len());
        let mut lines = 0;
        for name in names {
            lines += std::fs::read_to_string(spool.folder().join(name)).unwrap().lines().count();
        }
        assert_eq!(lines, 500);
        drop(letterbox);
        keeping.await.unwrap();
    }

    #[tokio::test]
    async fn who_hands_in_what_cannot_be_written_down_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::beside(&directory.path().join("nowhere/state.db"));
        let (letterbox, keeping) = keep_letterbox(spool, Arc::default());
        let keeping = tokio::spawn(keeping);
        assert_eq!(letterbox.hand_in(vec![event(1)]).await, Err(NotStored));
        std::fs::create_dir(directory.path().join("nowhere")).unwrap();
        assert_eq!(letterbox.hand_in(vec![event(1)]).await, Ok(()), "and can come again");
        keeping.abort();
        assert!(keeping.await.unwrap_err().is_cancelled());
        assert_eq!(letterbox.hand_in(vec![event(1)]).await, Err(NotStored), "nobody empties the letterbox");
    }
}
