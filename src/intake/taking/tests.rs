//! What waits goes into the state once, in its turn, and nothing keeps the rest waiting.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures::poll;

use super::*;
use crate::aside::work_in_line;
use crate::intake::Source;
use crate::model::{EmailAddress, MemberId};

const AUDIENCE: &str = "a1b2c3d4e5";

struct Scene {
    _directory: tempfile::TempDir,
    state: State,
    spool: Spool,
    clock: Clock,
}

async fn scene() -> Scene {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let clock = Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap());
    let state = State::open(&path, &clock).await.unwrap();
    Scene { _directory: directory, state, spool: Spool::beside(&path), clock }
}

impl Scene {
    fn put(&self, bodies: &[&str]) {
        let received =
            |body: &&str| Received { source: Source::Api, at: self.clock.now(), body: (*body).to_owned() };
        self.spool.put(&bodies.iter().map(received).collect::<Vec<_>>()).unwrap();
    }

    async fn take_up(&self) -> TakenUp {
        take_up(&self.state, &self.spool, AUDIENCE, &self.clock).await.unwrap().unwrap()
    }

    async fn pending(&self) -> Vec<String> {
        let pending = self.state.named_by_events(5_000).await.unwrap();
        pending.into_iter().map(|pending| pending.address.key()).collect()
    }

    fn waiting(&self) -> usize {
        self.spool.waiting(self.clock.now()).unwrap().len()
    }
}

#[tokio::test]
async fn what_waits_goes_into_the_state_and_only_then_away() {
    let scene = scene().await;
    assert_eq!(scene.take_up().await, TakenUp::default());
    scene.put(&["type=unsubscribe&data[email]=a%40b.test", "type=campaign&data[id]=1"]);
    scene.put(&["type=upemail&data[new_email]=n%40b.test&data[old_email]=o%40b.test"]);
    let taken = TakenUp { events: 3, addresses: 3, ..TakenUp::default() };
    assert_eq!(scene.take_up().await, taken);
    assert_eq!(scene.pending().await, ["a@b.test", "n@b.test", "o@b.test"]);
    assert_eq!(scene.waiting(), 0);
    assert_eq!(scene.state.last_event().await.unwrap().unwrap().source, "api");
}

#[test]
fn who_keeps_the_turn_for_a_minute_is_told_of_once() {
    let mut kept_from = KeptFrom::default();
    let at = |second| Timestamp::from_second(second).unwrap();
    assert_eq!(
        [0, 59, 60, 61, 200].map(|second| kept_from.is_to_be_told(at(second))),
        [false, false, true, false, false]
    );
}

#[tokio::test]
async fn while_somebody_is_erased_everything_waits() {
    let scene = scene().await;
    scene.put(&["type=unsubscribe&data[email]=a%40b.test"]);
    let turn = scene.spool.take_turn().unwrap();
    let taken = take_up(&scene.state, &scene.spool, AUDIENCE, &scene.clock).await.unwrap();
    assert_eq!((taken, scene.waiting()), (None, 1));
    drop(turn);
    assert_eq!(scene.take_up().await.events, 1);
}

/// Whether a person was erased after so many steps of a taking, and whether that had ended by then.
async fn erase_after(steps: usize) -> (bool, bool) {
    let scene = scene().await;
    scene.put(&["type=upemail&data[new_email]=b%40b.test&data[old_email]=a%40b.test"]);
    let mut taking = Box::pin(take_up(&scene.state, &scene.spool, AUDIENCE, &scene.clock));
    let mut ended = false;
    for _ in 0..steps {
        ended = ended || poll!(taking.as_mut()).is_ready();
    }
    let turn = scene.spool.take_turn().unwrap();
    if turn.is_some() {
        let (addresses, now) = (vec![EmailAddress::parse("a@b.test").unwrap()], scene.clock.now());
        scene.spool.forget(&addresses).unwrap();
        scene.state.erase_member(MemberId(0), addresses, String::new(), now).await.unwrap();
    }
    let erased = turn.is_some();
    drop(turn);
    if !ended {
        taking.await.unwrap();
    }
    assert_eq!(scene.state.last_event().await.unwrap().is_none(), erased, "after {steps} steps");
    (erased, ended)
}

#[test]
fn what_was_read_before_an_erasure_is_not_noted_after_it() {
    let every_step = async {
        let mut steps = 0;
        let mut waited = 0;
        while let (erased, false) = erase_after(steps).await {
            steps += 1;
            waited += usize::from(!erased);
        }
        waited
    };
    let waited = std::thread::spawn(|| {
        work_in_line();
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(every_step)
    });
    assert!(waited.join().unwrap() > 3, "listed, read, noted and removed in one turn");
}

#[tokio::test]
async fn what_the_state_cannot_take_waits() {
    let scene = scene().await;
    scene.put(&["type=unsubscribe&data[email]=a%40b.test"]);
    let state = rusqlite::Connection::open(scene.state.path()).unwrap();
    state.execute_batch("ALTER TABLE events RENAME TO elsewhere").unwrap();
    assert!(take_up(&scene.state, &scene.spool, AUDIENCE, &scene.clock).await.is_err());
    assert_eq!((scene.waiting(), scene.pending().await.len()), (1, 0));
    state.execute_batch("ALTER TABLE elsewhere RENAME TO events").unwrap();
    assert_eq!(scene.take_up().await.events, 1);
    assert_eq!((scene.waiting(), scene.pending().await.len()), (0, 1));
}

#[tokio::test]
async fn more_than_go_into_the_state_at_a_time_all_get_there() {
    let scene = scene().await;
    let bodies: Vec<String> =
        (0..AT_A_TIME + 2).map(|n| format!("type=x&data[email]=p{n}%40b.test")).collect();
    let bodies: Vec<&str> = bodies.iter().map(String::as_str).collect();
    for bodies in bodies.chunks(300) {
        scene.put(bodies);
    }
    assert_eq!(scene.take_up().await.events, AT_A_TIME + 2);
    assert_eq!((scene.waiting(), scene.pending().await.len()), (0, AT_A_TIME + 2));
}

#[tokio::test]
async fn a_damaged_file_keeps_no_other_one_waiting() {
    let scene = scene().await;
    scene.put(&["type=unsubscribe&data[email]=a%40b.test"]);
    std::fs::write(scene.spool.folder().join("0"), "half an ev").unwrap();
    let whole = std::fs::read(scene.spool.folder().join(&scene.spool.waiting(scene.clock.now()).unwrap()[1]));
    std::fs::write(scene.spool.folder().join("2"), [&b"half an ev\n"[..], &whole.unwrap()].concat()).unwrap();
    std::fs::write(scene.spool.folder().join("1"), "").unwrap();
    scene.put(&["type=unsubscribe&data[email]=b%40b.test"]);
    assert_eq!(scene.take_up().await, TakenUp { events: 3, addresses: 3, damaged: 3, ..TakenUp::default() });
    assert_eq!((scene.waiting(), scene.spool.lying().damaged), (0, 3));
    assert_eq!(std::fs::read(scene.spool.damaged().join("2")).unwrap(), b"half an ev\n");
}

#[tokio::test]
async fn what_is_no_file_of_events_is_passed_over_and_keeps_nobody_waiting() {
    // A pipe stood still until somebody wrote into it, and all events behind it waited with it.
    let scene = scene().await;
    scene.put(&["type=unsubscribe&data[email]=a%40b.test"]);
    let folder = scene.spool.folder();
    let mode = rustix::fs::Mode::from(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, folder.join("0-pipe"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
    std::fs::create_dir(folder.join("0-folder")).unwrap();
    let elsewhere = scene.state.path();
    std::os::unix::fs::symlink(elsewhere, folder.join("0-link")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(folder.join("0-socket")).unwrap());
    // What is damaged and cannot be put aside stays as well.
    std::fs::write(scene.spool.damaged(), "a file in its place").unwrap();
    std::fs::write(folder.join("1-half"), "half an ev").unwrap();
    scene.put(&["type=unsubscribe&data[email]=b%40b.test"]);
    let taken = tokio::time::timeout(Duration::from_secs(30), scene.take_up()).await.unwrap();
    let passed: Vec<&str> = taken.passed.keys().map(|name| name.to_str().unwrap()).collect();
    assert_eq!(passed, ["0-folder", "0-link", "0-pipe", "0-socket", "1-half"]);
    assert_eq!((taken.events, taken.damaged), (2, 0));
    assert_eq!(scene.pending().await, ["a@b.test", "b@b.test"]);
    assert_eq!((scene.waiting(), scene.take_up().await.events), (5, 0));
}

#[tokio::test]
async fn what_is_passed_over_is_warned_of_once_for_as_long_as_it_lies_there() {
    let scene = scene().await;
    let mut told = BTreeSet::new();
    let warned = |passed: &[&str], told: &mut BTreeSet<OsString>| {
        let passed = passed.iter().map(|name| (OsString::from(name), "why".to_owned())).collect();
        let before = told.clone();
        TakenUp { passed, ..TakenUp::default() }.warn(&scene.spool, told);
        told.difference(&before).count()
    };
    let counts =
        [&["a"][..], &["a"], &["a", "b"], &["b"], &["a", "b"]].map(|passed| warned(passed, &mut told));
    assert_eq!(counts, [1, 0, 1, 0, 1]);
}

#[tokio::test]
async fn what_happened_in_another_audience_is_let_go() {
    let scene = scene().await;
    let event = |list: &str| format!("type=x&data[list_id]={list}&data[email]={list}%40b.test");
    scene.put(&[&event(AUDIENCE), &event("another"), "type=x&data[email]=unsaid%40b.test"]);
    assert_eq!(scene.take_up().await, TakenUp { events: 2, addresses: 2, foreign: 1, ..TakenUp::default() });
    assert_eq!(scene.pending().await, [format!("{AUDIENCE}@b.test"), "unsaid@b.test".to_owned()]);
}

#[tokio::test]
async fn whoever_wants_to_know_is_called_only_where_somebody_was_named() {
    let scene = scene().await;
    scene.put(&["type=campaign&data[id]=1"]);
    let named = AtomicUsize::new(0);
    let count = || {
        named.fetch_add(1, Ordering::Relaxed);
    };
    let written = Notify::new();
    let attending = attend(&scene.state, &scene.spool, || AUDIENCE.to_owned(), &scene.clock, &written, count);
    let watching = async {
        while scene.waiting() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(named.load(Ordering::Relaxed), 0);
        scene.put(&["type=unsubscribe&data[email]=a%40b.test"]);
        while named.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!((scene.waiting(), scene.pending().await.len()), (0, 1));
    };
    tokio::select! {
        () = attending => (),
        () = watching => (),
    }
}
