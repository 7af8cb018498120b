//! The daemon is killed while events come in: whatever was answered with a success is in the state after the next start.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::chance::Chance;
use crate::people;
use crate::stage::Stage;

const PATH_SECRET: &str = "0123456789abcdef";
/// So many post at the same time.
const SENDERS: usize = 8;
/// The daemon is killed within this time after it began to answer.
const WITHIN: Duration = Duration::from_millis(400);
/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon of a stage; killed when it goes.
struct Daemon(Child);

impl Daemon {
    fn start(stage: &Stage, address: SocketAddr) -> Self {
        let mut command = stage.command(&[], ["run"]);
        command.env("HOOK", PATH_SECRET).stdout(Stdio::null()).stderr(Stdio::null());
        let daemon = Self(command.spawn().unwrap());
        let begun = Instant::now();
        while !is_taken(address, "") {
            assert!(begun.elapsed() < PATIENCE, "the daemon does not answer");
            std::thread::yield_now();
        }
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Posts a body to the webhook; whether it was answered with a success.
fn is_taken(address: SocketAddr, body: &str) -> bool {
    let post = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let length = body.len();
        write!(
            stream,
            "POST /webhook/{PATH_SECRET} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(answer == *b"HTTP/1.1 200")
    };
    post().unwrap_or(false)
}

/// Posts one event after the other until nobody answers; those that were taken.
fn send(address: SocketAddr, next: &AtomicUsize, taken: &Mutex<BTreeSet<String>>, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let name = format!("e{}", next.fetch_add(1, Ordering::Relaxed));
        if is_taken(address, &format!("type=profile&data[email]={name}%40alliance.test")) {
            taken.lock().unwrap().insert(format!("[\"{name}@alliance.test\"]"));
        }
    }
}

/// An address that the daemon can have again after each kill. It is below those that the system gives to whoever calls: a caller
/// that was given the very port that it calls would speak to itself, and keep it from the daemon.
fn address() -> SocketAddr {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let mut listeners = (first..32_000).filter_map(|port| TcpListener::bind(("127.0.0.1", port)).ok());
    listeners.next().unwrap().local_addr().unwrap()
}

/// Whom the events name that the state keeps.
fn kept(stage: &Stage) -> BTreeSet<String> {
    let state = Connection::open(stage.path("state.db")).unwrap();
    state.busy_timeout(PATIENCE).unwrap();
    let mut statement = state.prepare("SELECT addresses FROM events").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn no_event_that_was_answered_is_lost() {
    let kills = crate::asked("KILLS").map_or(crate::USUALLY, |kills| usize::try_from(kills).unwrap());
    let stage = Stage::build();
    people::before_they_meet(&stage);
    stage.clean("sync --full --yes");
    let address = address();
    let web = format!("\n[web]\nlisten = \"{address}\"\nwebhook_path_secret_env = \"HOOK\"\n");
    let config = stage.path("rosterd.toml");
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + &web).unwrap();
    let (next, taken) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    for number in 0..kills {
        let mut chance = Chance::new(crate::asked("SEED").unwrap_or(1), number);
        let daemon = Daemon::start(&stage, address);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..SENDERS {
                scope.spawn(|| send(address, &next, &taken, &is_over));
            }
            let (begun, after) = (Instant::now(), chance.below(WITHIN));
            while begun.elapsed() < after {
                std::thread::yield_now();
            }
            drop(daemon);
            is_over.store(true, Ordering::Relaxed);
        });
    }
    let taken = taken.into_inner().unwrap();
    let _daemon = Daemon::start(&stage, address);
    let begun = Instant::now();
    while !kept(&stage).is_superset(&taken) {
        let n_lost = taken.difference(&kept(&stage)).count();
        assert!(begun.elapsed() < PATIENCE, "{n_lost} of {} events are lost", taken.len());
        std::thread::yield_now();
    }
    writeln!(std::io::stderr(), "{} events were answered over {kills} kills, none is lost", taken.len())
        .unwrap();
    assert!(taken.len() > kills, "{} events", taken.len());
}
