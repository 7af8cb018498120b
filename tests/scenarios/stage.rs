//! The stage of a scenario: a register, a pretend Mailchimp that is served on loopback, a configuration, the program.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use rosterd::clock::Clock;
use rosterd::registrations::create;
use rosterd::state::State;
use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::audience::Audience;
use crate::program::Rights;
use crate::register::Register;
use crate::stores::{Database, Store};

/// When every story begins: long ago, so that the story never overtakes the machine's clock, which the program uses.
const START: &str = "2025-03-03T09:00:00Z";

const CONFIGURATION: &str = include_str!("../../fixtures/scenarios/rosterd.toml");

/// Everything that a scenario plays on.
pub(crate) struct Stage {
    /// The story's time; Mailchimp goes by it, and consent on the website.
    pub(crate) clock: Clock,
    /// The website's side.
    pub(crate) register: Register,
    /// Mailchimp's side.
    pub(crate) audience: Audience,
    /// Where the files are.
    pub(crate) directory: TempDir,
    /// What runs the sandbox.
    pub(crate) runtime: Runtime,
    /// Where the sandbox listens.
    pub(crate) address: SocketAddr,
    /// What whoever runs the program may do.
    pub(crate) rights: Rights,
    /// The log of everything that ran.
    pub(crate) log: Vec<String>,
    /// What else it said on standard error, without the addresses that it was given.
    pub(crate) asides: Vec<String>,
    /// How both sides and the state were before the last command.
    pub(crate) before: Option<Snapshot>,
    /// How often somebody opted in on the website.
    pub(crate) opt_ins: BTreeMap<String, u32>,
    names: BTreeSet<String>,
    server: Option<(CancellationToken, JoinHandle<std::io::Result<()>>)>,
    other: Option<State>,
}

/// What a command may have changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// Requests that asked for a write.
    writes: usize,
    /// The register.
    register: Vec<String>,
    /// The files of the state, with what is in them.
    state: BTreeMap<String, Vec<u8>>,
}

impl Stage {
    /// An empty register in a file, an audience with nobody in it, and a configuration that maps one to the other.
    pub(crate) fn build() -> Self {
        Self::build_on(Store::Sqlite)
    }

    /// The same with a register on another store.
    pub(crate) fn build_on(store: Store) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let clock = Clock::set_at(START.parse().unwrap());
        let directory = tempfile::tempdir().unwrap();
        let database = match store {
            Store::Sqlite => Database::file(directory.path().join("registrations.db"), None),
            Store::Postgres | Store::Mariadb => Database::new(store),
        };
        let audience = runtime.block_on(async {
            create(&database.place()).await.unwrap();
            Audience::provided(&clock).await
        });
        let mut stage = Self {
            clock,
            register: Register::open(database),
            audience,
            directory,
            runtime,
            address: ([127, 0, 0, 1], 0).into(),
            rights: Rights::All,
            log: Vec::new(),
            asides: Vec::new(),
            before: None,
            opt_ins: BTreeMap::new(),
            names: BTreeSet::new(),
            server: None,
            other: None,
        };
        stage.serve();
        stage.configure("");
        stage
    }

    /// Mailchimp can be reached, where it always was.
    pub(crate) fn serve(&mut self) {
        if self.server.is_some() {
            return;
        }
        let listener = self.runtime.block_on(TcpListener::bind(self.address)).unwrap();
        self.address = listener.local_addr().unwrap();
        let (sandbox, stop) = (self.audience.sandbox.clone(), CancellationToken::new());
        let task = self.runtime.spawn({
            let stop = stop.clone();
            async move { sandbox.serve(listener, stop).await }
        });
        self.server = Some((stop, task));
    }

    /// Mailchimp is out of reach.
    pub(crate) fn cut_off(&mut self) {
        let (stop, task) = self.server.take().expect("it was within reach");
        stop.cancel();
        self.runtime.block_on(task).unwrap().unwrap();
    }

    /// Writes the configuration, with something more at its end.
    pub(crate) fn configure(&self, more: &str) {
        let text = CONFIGURATION
            .replace("a1b2c3d4e5", &self.audience.sandbox.audience_id())
            .replace("127.0.0.1:9001", &self.address.to_string());
        let text = match self.register.database.store() {
            Store::Sqlite => text,
            Store::Postgres | Store::Mariadb => {
                text.replace("url = \"sqlite:registrations.db\"", "url_env = \"REGISTER\"")
            }
        };
        std::fs::write(self.path("rosterd.toml"), format!("{text}{more}")).unwrap();
    }

    /// A file of the stage.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Another process holds the state, or no longer does.
    pub(crate) fn hold_state(&mut self) {
        let opened = self.runtime.block_on(State::open(self.path("state.db"), &Clock::System));
        self.other = Some(opened.unwrap());
    }

    /// Nobody else holds the state any more.
    pub(crate) fn release_state(&mut self) {
        self.other = None;
    }

    /// Time passes in the story.
    pub(crate) fn later(&self, hours: i64) {
        let now = self.clock.now();
        self.clock.set(now.checked_add(SignedDuration::from_hours(hours)).unwrap());
    }

    /// `HH:MM` of the story's day.
    pub(crate) fn today_at(&self, time: &str) -> Timestamp {
        let today = self.clock.now().to_string();
        format!("{}T{time}:00Z", &today[..10]).parse().unwrap()
    }

    /// Remembers an address, for the log to be searched for it.
    pub(crate) fn name(&mut self, email: &str) {
        self.names.insert(email.to_lowercase());
    }

    /// Every address that was ever named.
    pub(crate) fn names(&mut self) -> BTreeSet<String> {
        self.names.extend(self.register.addresses());
        self.names.extend(self.audience.sandbox.addresses());
        self.names.clone()
    }

    /// Somebody opts in on the website.
    pub(crate) fn opts_in(&mut self, email: &str) {
        *self.opt_ins.entry(email.to_lowercase()).or_default() += 1;
    }

    /// Both sides and the state, to be compared.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let entries = std::fs::read_dir(self.directory.path()).unwrap().map(Result::unwrap);
        // A socket has no content.
        let entries = entries.filter(|entry| entry.file_type().unwrap().is_file());
        let names = entries.map(|entry| entry.file_name().into_string().unwrap());
        let files = names.filter(|name| name.starts_with("state.db"));
        let state = files.map(|name| (name.clone(), std::fs::read(self.path(&name)).unwrap())).collect();
        Snapshot { writes: self.audience.writes(), register: self.register.dump(), state }
    }

    /// The state, to look into; `None` where there is none.
    pub(crate) fn state(&self) -> Option<Connection> {
        let path = self.path("state.db");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        path.exists().then(|| Connection::open_with_flags(path, flags).unwrap())
    }

    /// The holds, each with what the guard held it as; the open ones first.
    pub(crate) fn holds(&self) -> Vec<(String, String)> {
        let Some(state) = self.state() else { return Vec::new() };
        let mut statement =
            state.prepare("SELECT id, class FROM holds ORDER BY decision <> 'open', since DESC").unwrap();
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    }

    /// Staff let everything through that is held.
    pub(crate) fn approve_all(&self) {
        let path = self.path("state.db");
        self.runtime.block_on(async {
            let state = State::open_shared(path).await.unwrap();
            for hold in state.holds().await.unwrap() {
                state.approve(hold.id, Clock::System.now()).await.unwrap();
            }
        });
    }
}
