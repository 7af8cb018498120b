//! A register, a pretend Mailchimp that is served on loopback, a configuration, and the program, to be killed.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::provision::{CategoryShape, ProvisionAudience};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::mailchimp::schema::AudienceMapping;
use rosterd::registrations::create_register;
use rosterd::sandbox::{Person, Sandbox};
use rusqlite::Connection;
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

/// When the story begins: long before the machine's own time, by which the program goes.
const START: &str = "2025-03-03T09:00:00Z";

/// Every request takes so long that a kill can come in its midst.
pub(crate) const LATENCY: Duration = Duration::from_millis(2);

/// No command takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How the program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// By itself, before it was killed.
    ByItself,
    /// It was killed.
    Killed,
}

/// A command under way.
pub(crate) struct Running {
    words: String,
    child: Child,
    out: JoinHandle<String>,
    complaints: JoinHandle<String>,
}

impl Running {
    /// Whether it has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end.
    pub(crate) fn ended(mut self) -> Ran {
        let exit = self.child.wait().unwrap().code();
        let (out, complaints) = (self.out.join().unwrap(), self.complaints.join().unwrap());
        Ran { words: self.words, exit, out, complaints }
    }
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ran {
    words: String,
    /// Its exit code.
    pub(crate) exit: Option<i32>,
    out: String,
    /// What it said on standard error.
    pub(crate) complaints: String,
}

impl Ran {
    /// It ended as it should; what it printed.
    pub(crate) fn clean(self) -> Value {
        let Self { words, exit, out, complaints } = self;
        assert!(matches!(exit, Some(0 | 3)), "rosterd {words}: {exit:?}\n{out}\n{complaints}");
        serde_json::from_str(&out).unwrap_or_default()
    }

    /// It failed with this code, and said all of this on standard error, as people read it.
    pub(crate) fn failed(&self, exit: i32, said: &[&str]) {
        let Self { words, complaints, .. } = self;
        assert_eq!(self.exit, Some(exit), "rosterd {words}: {self:?}");
        for part in said {
            assert!(complaints.contains(part), "rosterd {words} does not say {part:?}:\n{complaints}");
        }
    }
}

/// Everything that a kill is played on.
pub(crate) struct Stage {
    /// The pretend Mailchimp.
    pub(crate) sandbox: Sandbox,
    /// The story's time; Mailchimp goes by it, and consent on the website.
    pub(crate) clock: Clock,
    /// The website's side.
    pub(crate) register: Connection,
    interests: BTreeMap<&'static str, String>,
    directory: TempDir,
    stop: CancellationToken,
    _runtime: Runtime,
}

impl Stage {
    /// Both sides, empty, with a category of three topics.
    pub(crate) fn build() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = Clock::set_at(START.parse().unwrap());
        let sandbox = Sandbox::new(clock.clone());
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path = directory.path().join("registrations.db");
        let stop = CancellationToken::new();
        let (address, interests) = runtime.block_on(async {
            create_register(&path).await.unwrap();
            let interests = provide(&sandbox, &clock).await;
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (sandbox, stop) = (sandbox.clone(), stop.clone());
            tokio::spawn(async move { sandbox.serve(listener, stop).await });
            (address, interests)
        });
        let text = include_str!("../../fixtures/scenarios/rosterd.toml")
            .replace("a1b2c3d4e5", &sandbox.audience_id())
            .replace("127.0.0.1:9001", &address.to_string());
        let (topics, _) = text.split_once("[[interest]]\ndimension = \"region\"").unwrap();
        std::fs::write(directory.path().join("rosterd.toml"), topics).unwrap();
        let register = Connection::open(&path).unwrap();
        register.busy_timeout(PATIENCE).unwrap();
        Self { sandbox, clock, register, interests, directory, stop, _runtime: runtime }
    }

    /// The ids of the topics in Mailchimp, by name.
    pub(crate) fn interest_ids(&self) -> &BTreeMap<&'static str, String> {
        &self.interests
    }

    /// What people and staff do in Mailchimp.
    pub(crate) fn person(&self) -> Person {
        self.sandbox.person()
    }

    /// Time passes in the story.
    pub(crate) fn later(&self, minutes: u64) {
        self.clock.advance(Duration::from_mins(minutes));
    }

    /// The website writes; `:now` is the story's time.
    pub(crate) fn sql(&self, sql: &str) {
        self.register.execute_batch(&sql.replace(":now", &format!("'{}'", self.clock.now()))).unwrap();
    }

    /// The program with these words, called through another program where one is named.
    pub(crate) fn command<'w>(&self, through: &[&str], words: impl IntoIterator<Item = &'w str>) -> Command {
        let line: Vec<&str> = through.iter().copied().chain([env!("CARGO_BIN_EXE_rosterd")]).collect();
        let mut command = Command::new(line[0]);
        command.args(&line[1..]).args(["--log-format", "json"]).args(words);
        command.current_dir(self.directory.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command.stderr(Stdio::piped());
        command.env("ROSTERD_CONFIG", "rosterd.toml");
        command.env("MAILCHIMP_API_KEY", self.sandbox.api_key());
        command.env("ROSTERD_LOG", "warn");
        command
    }

    /// Runs the program to its end; what it printed.
    ///
    /// Only what a person has to decide on may be left, or nothing.
    pub(crate) fn clean(&self, words: &str) -> Value {
        self.run(&[], words).clean()
    }

    /// Runs the program to its end, called through another program where one is named.
    pub(crate) fn run(&self, through: &[&str], words: &str) -> Ran {
        self.start(through, words).ended()
    }

    /// Starts the program, called through another program where one is named.
    pub(crate) fn start(&self, through: &[&str], words: &str) -> Running {
        let mut child = self.command(through, words.split(' ').chain(["--json"])).spawn().unwrap();
        let (out, complaints) = (read(child.stdout.take()), read(child.stderr.take()));
        Running { words: words.to_owned(), child, out, complaints }
    }

    /// The register lies elsewhere from now on.
    pub(crate) fn move_register(&mut self, to: &str) {
        self.register = Connection::open_in_memory().unwrap();
        let place = self.path(to);
        std::fs::copy(self.path("registrations.db"), &place).unwrap();
        std::fs::remove_file(self.path("registrations.db")).unwrap();
        self.register = Connection::open(&place).unwrap();
        self.register.busy_timeout(PATIENCE).unwrap();
        self.configure("sqlite:registrations.db", &format!("sqlite:{to}"));
    }

    /// A file of the stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Changes the configuration.
    pub(crate) fn configure(&self, from: &str, to: &str) {
        let path = self.path("rosterd.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{text}");
        std::fs::write(path, text.replace(from, to)).unwrap();
    }

    /// Starts the program and kills it after this time, unless it has ended by itself.
    pub(crate) fn kill_within(&self, words: &[String], after: Duration) -> Ended {
        self.sandbox.faults().latency(LATENCY);
        let words = words.iter().map(String::as_str).chain(["--json"]);
        let mut child = self.command(&[], words).spawn().unwrap();
        let ended = kill_after(&mut child, after);
        child.wait().unwrap();
        self.sandbox.faults().latency(Duration::ZERO);
        ended
    }

    fn holds(&self) -> Vec<String> {
        let told = self.clean("held");
        let holds = told["held"].as_array().unwrap();
        let open = holds.iter().filter(|hold| hold["decision"] != "rejected");
        open.map(|hold| hold["id"].as_str().unwrap().to_owned()).collect()
    }

    /// The only hold.
    pub(crate) fn hold(&self) -> String {
        let holds = self.holds();
        assert_eq!(holds.len(), 1, "{holds:?}");
        holds.into_iter().next().unwrap()
    }

    /// Whether something is held.
    pub(crate) fn has_hold(&self) -> bool {
        !self.holds().is_empty()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Kills the child after this time; its standard output ends when it does.
fn kill_after(child: &mut Child, after: Duration) -> Ended {
    let (sender, ended) = channel();
    let output = read(child.stdout.take());
    let complaints = read(child.stderr.take());
    std::thread::spawn(move || {
        let _ = output.join();
        let _ = complaints.join();
        sender.send(())
    });
    match ended.recv_timeout(after) {
        Ok(()) | Err(RecvTimeoutError::Disconnected) => Ended::ByItself,
        Err(RecvTimeoutError::Timeout) => {
            child.kill().unwrap();
            Ended::Killed
        }
    }
}

fn read(stream: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = String::new();
        if let Some(mut stream) = stream {
            stream.read_to_string(&mut text).unwrap();
        }
        text
    })
}

async fn provide(sandbox: &Sandbox, clock: &Clock) -> BTreeMap<&'static str, String> {
    let options = ClientOptions {
        api_key: SecretString::from(sandbox.api_key()),
        audience: sandbox.audience_id(),
        connections: 1,
        retry: RetryOptions::default(),
    };
    let transport = Arc::new(sandbox.transport());
    let client = MailchimpClient::new(options, AudienceMapping::default(), clock.clone(), transport).unwrap();
    let category = client.create_category("Topics", CategoryShape::Checkboxes).await.unwrap();
    let mut interests = BTreeMap::new();
    for name in ["Finance", "Health", "Water"] {
        interests.insert(name, client.create_interest(&category, name).await.unwrap());
    }
    sandbox.reset_log();
    interests
}
