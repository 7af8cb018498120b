//! A register, a pretend Mailchimp that is served on loopback, a configuration, and the program, to be killed.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
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
const LATENCY: Duration = Duration::from_millis(2);

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

    fn command<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.args(["--log-format", "json"]).args(words).arg("--json");
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
        let mut child = self.command(words.split(' ')).spawn().unwrap();
        let (out, complaints) = (read(child.stdout.take()), read(child.stderr.take()));
        let exit = child.wait().unwrap().code();
        let (out, complaints) = (out.join().unwrap(), complaints.join().unwrap());
        assert!(matches!(exit, Some(0 | 3)), "rosterd {words}: {exit:?}\n{out}\n{complaints}");
        serde_json::from_str(&out).unwrap_or_default()
    }

    /// Starts the program and kills it after this time, unless it has ended by itself.
    pub(crate) fn kill_within(&self, words: &[String], after: Duration) -> Ended {
        self.sandbox.faults().latency(LATENCY);
        let mut child = self.command(words.iter().map(String::as_str)).spawn().unwrap();
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

fn read(stream: Option<impl Read + Send + 'static>) -> std::thread::JoinHandle<String> {
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
