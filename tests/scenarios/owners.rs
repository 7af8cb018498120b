//! A daemon that runs as a user of its own, beside commands that root runs.

use std::io::Write;
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};

use rosterd::clock::Clock;
use rosterd::state::{keep_signing_secret, secrets_path};
use secrecy::SecretString;

use crate::daemon::{Daemon, EVERY_SECOND, stage};
use crate::program::{PROGRAM, can_be_nobody, command, command_as, is_root, nobody, run};
use crate::stage::Stage;

/// Nobody's user and group, who have no right but to what is theirs.
const NOBODY: u32 = 65_534;

/// The daemon as a user of its own.
fn daemon(stage: &Stage) -> Daemon {
    Daemon::start_as(command_as(stage, nobody(PROGRAM)))
}

fn give(stage: &Stage, names: &[&str]) {
    for name in names {
        chown(stage.path(name), Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "a test says what it skipped")]
fn what_root_keeps_beside_the_state_is_the_daemons_to_read_and_write() {
    if !is_root() || !can_be_nobody() {
        println!("skipped: only root can become somebody else");
        return;
    }
    let mut stage = stage();
    for name in ["state.db", "state.db-wal", "state.db-shm", "state.db.lock", "state.db.spool.lock"] {
        let _ = std::fs::remove_file(stage.path(name));
    }
    let _ = std::fs::remove_dir_all(stage.path("state.db.spool"));
    give(&stage, &["", "registrations.db"]);
    stage.configure(&format!("{EVERY_SECOND}[web]\nlisten = \"127.0.0.1:0\"\n"));
    // It kept a state, a spool and a secret that were root's, and the daemon answered 503 for ever.
    assert_eq!(run(&mut stage, "rosterd sync --yes").exit, 0);
    keep_signing_secret(&stage.path("state.db"), &SecretString::from("secret"), Clock::System.now()).unwrap();
    let mut event = command(&stage);
    event.arg("event").env("ROSTERD_LOG", "off").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut event = event.spawn().unwrap();
    event.stdin.take().unwrap().write_all(b"type=profile&data[email]=ada%40alliance.test").unwrap();
    assert!(event.wait().unwrap().success());
    let mut own = daemon(&stage);
    own.until_said("rosterd is running");
    own.until("the event is in the state", |_| kept(&stage) == 1);
    own.signal("TERM");
    assert_eq!(own.ended(), Some(0), "{:?}", own.log);

    // What it cannot use all the same it names, with the way out.
    let secrets = secrets_path(&stage.path("state.db"));
    for (file, says) in [(secrets, "rosterd provision"), (stage.path("state.db.spool.lock"), "owns it")] {
        let chown = |owner| Command::new("chown").arg(owner).arg(&file).status().unwrap().success();
        assert!(chown("0:0"));
        let mut closed = daemon(&stage);
        assert_eq!(closed.ended(), Some(1));
        let said = closed.log.concat();
        assert!(said.contains(file.file_name().unwrap().to_str().unwrap()) && said.contains(says), "{said}");
        assert!(chown("65534:65534"));
    }
}

/// How many events the state keeps.
fn kept(stage: &Stage) -> i64 {
    stage.state().unwrap().query_row("SELECT COUNT(*) FROM events", [], |row| row.get(0)).unwrap()
}
