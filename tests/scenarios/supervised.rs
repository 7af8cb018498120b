//! What the service manager hears of the daemon, on a socket of the kind that systemd listens at.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use rosterd::mailchimp::transport::Method;
use rosterd::sandbox::{Fault, FaultKind};

use crate::daemon::{Daemon, EVERY_SECOND, stage};
use crate::program::command;
use crate::stage::Stage;

/// Everything is said within this time, whatever else the machine does.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the watchdog of these tests waits: long enough for a slow machine's loop to be in time.
const WATCHDOG: Duration = Duration::from_secs(3);

/// A service manager that only listens.
pub(crate) struct Manager {
    socket: UnixDatagram,
    pub(crate) heard: Vec<String>,
}

impl Manager {
    /// Listens, and starts a daemon that knows where.
    pub(crate) fn start(stage: &Stage) -> (Self, Daemon) {
        let path = stage.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let mut command = command(stage);
        command.env("NOTIFY_SOCKET", path);
        command.env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string());
        (Self { socket, heard: Vec::new() }, Daemon::start_as(command))
    }

    /// The next message, if one comes within this time.
    fn hear(&mut self, within: Duration) -> Option<String> {
        self.socket.set_read_timeout(Some(within.max(Duration::from_millis(1)))).unwrap();
        let mut message = [0; 4096];
        let length = self.socket.recv(&mut message).ok()?;
        let message = String::from_utf8(message[..length].to_vec()).unwrap();
        self.heard.push(message.clone());
        Some(message)
    }

    /// The first message to come that holds these words.
    #[track_caller]
    pub(crate) fn until(&mut self, words: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let message = self.hear(deadline.saturating_duration_since(Instant::now()));
            let message = message.unwrap_or_else(|| panic!("never said: {words}\n{:#?}", self.heard));
            if message.contains(words) {
                return message;
            }
        }
    }
}

#[test]
fn a_daemon_says_when_it_is_ready_how_each_cycle_went_and_that_it_stops() {
    let stage = stage();
    let (mut manager, mut daemon) = Manager::start(&stage);
    assert_eq!(manager.until("READY=1"), "READY=1\nSTATUS=the first cycle is under way\n");
    let cycle = manager.until("STATUS=cycle ");
    assert!(cycle.contains(" planned, ") && cycle.ends_with(" 0 held\n"), "{cycle}");
    daemon.signal("TERM");
    assert_eq!(manager.until("STOPPING=1"), "STOPPING=1\nSTATUS=stopping\n");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_daemon_is_not_ready_before_its_register_is_and_asks_for_the_time_it_waits() {
    let stage = stage();
    stage.register.lock();
    let (mut manager, mut daemon) = Manager::start(&stage);
    let waits = manager.until("STATUS=waiting: ");
    assert!(waits.starts_with("EXTEND_TIMEOUT_USEC=") && waits.contains("database is locked"), "{waits}");
    assert!(!manager.heard.concat().contains("READY=1"), "{:?}", manager.heard);
    stage.register.unlock();
    manager.until("READY=1");
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_reload_is_announced_and_a_wrong_configuration_stands_in_the_status_until_it_is_mended() {
    let stage = stage();
    let (mut manager, mut daemon) = Manager::start(&stage);
    manager.until("STATUS=cycle ");
    stage.configure("\n[sync]\ninterval = \"soon\"\n");
    daemon.signal("HUP");
    let begun = manager.until("RELOADING=1");
    assert!(begun.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{begun}");
    let kept = manager.until("READY=1");
    assert!(kept.contains("the old configuration stays in force: ") && kept.contains("soon"), "{kept}");
    assert_eq!(kept.lines().count(), 2, "a message is a line: {kept}");

    stage.configure(EVERY_SECOND);
    daemon.signal("HUP");
    manager.until("RELOADING=1");
    let taken = manager.until("READY=1");
    assert!(taken.contains("STATUS=cycle ") && !taken.contains("old configuration"), "{taken}");
    daemon.signal("INT");
    manager.until("STOPPING=1");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_loop_that_waits_for_its_next_cycle_feeds_the_watchdog() {
    let stage = stage();
    stage.configure("\n[sync]\ninterval = \"1h\"\n");
    let (mut manager, mut daemon) = Manager::start(&stage);
    manager.until("STATUS=cycle ");
    for _ in 0..5 {
        let meal = manager.hear(WATCHDOG);
        assert_eq!(meal.as_deref(), Some("WATCHDOG=1\n"), "{:?}", manager.heard);
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}

#[test]
fn a_loop_that_hangs_starves_the_watchdog() {
    let stage = stage();
    let (mut manager, daemon) = Manager::start(&stage);
    manager.until("STATUS=cycle ");
    let never = FaultKind::TimeOutBefore(Duration::from_hours(1));
    stage.audience.sandbox.faults().add(Fault::new(never).on_method(Method::Get).always());
    // What was under way is still told; then, for as long as several meals take, nothing is.
    let deadline = Instant::now() + PATIENCE;
    while let Some(message) = manager.hear(3 * WATCHDOG) {
        assert!(Instant::now() < deadline, "somebody feeds a watchdog for a loop that hangs: {message}");
    }
    assert!(manager.heard.iter().any(|message| message == "WATCHDOG=1\n"), "{:?}", manager.heard);
    drop(daemon);
}

#[test]
fn a_socket_that_is_handed_over_takes_the_place_of_the_configured_address() {
    let stage = stage();
    // An address of nobody's: whoever listened there would fail.
    stage.configure(&format!("{EVERY_SECOND}[web]\nlisten = \"192.0.2.1:8420\"\n"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let program = command(&stage);
    // What is handed over is the third file; a shell puts it there.
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec 3<&0 </dev/null && LISTEN_FDS=1 exec \"$0\" \"$@\""]);
    shell.arg(program.get_program()).args(program.get_args()).current_dir(stage.directory.path());
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.stdin(std::os::fd::OwnedFd::from(listener));
    // It can be called before it is ready.
    let mut caller = TcpStream::connect(address).unwrap();
    caller.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    let mut daemon = Daemon::start_as(shell);
    let mut answer = String::new();
    caller.set_read_timeout(Some(PATIENCE)).unwrap();
    caller.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("alive\n"), "{answer}");

    // The socket stays open while the configuration is read again.
    daemon.until_said("rosterd is running");
    daemon.signal("HUP");
    daemon.until_said("the configuration was read again");
    assert!(TcpStream::connect(address).is_ok());
    daemon.signal("TERM");
    assert_eq!(daemon.ended(), Some(0));
}
