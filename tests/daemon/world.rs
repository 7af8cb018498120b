//! A register, a sandbox audience and the real cycle between them, in one process, with a clock that stands still.

use std::sync::Arc;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::cycle::{Adoption, Cycle, Report, Seed};
use rosterd::mailchimp::client::MailchimpClient;
use rosterd::observe::Scope;
use rosterd::progress::Progress;
use rosterd::reconcile::guard::Limits;
use rosterd::reconcile::policy::{Direction, Policy};
use rosterd::registrations::mapping::RegisterMapping;
use rosterd::registrations::{create_register, open_sqlite};
use rosterd::sandbox::{Person, Sandbox, SandboxOptions};
use rosterd::state::{Keep, State};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::parts::{self, directory, live_in_the_story, mapping, provide, tell_the_time, values};
use crate::tap::Tap;

pub(crate) use crate::parts::{START, Topics};

/// Longer than any story.
const A_YEAR: Duration = Duration::from_hours(24 * 365);

/// How a world is set up.
#[derive(Clone, Default)]
pub(crate) struct Setup {
    /// Who wins what; the tags of its working groups are Rosterd's.
    pub(crate) policy: Policy,
    /// The account in Mailchimp.
    pub(crate) options: SandboxOptions,
    /// The columns of the register.
    pub(crate) register: RegisterMapping,
    /// Where topics stand in Mailchimp.
    pub(crate) topics: Topics,
}

/// Both sides and what is between them.
pub(crate) struct World {
    /// The pretend Mailchimp.
    pub(crate) sandbox: Sandbox,
    /// The wire to it.
    pub(crate) tap: Tap,
    /// The cycle between the sides.
    pub(crate) cycle: Cycle,
    /// The time, the same for all.
    pub(crate) clock: Clock,
    pub(crate) register: Connection,
    pub(crate) directory: TempDir,
    setup: Setup,
    forgetful: Option<std::path::PathBuf>,
}

impl World {
    /// An empty register and an empty audience with two merge fields and one category, nothing adopted yet.
    pub(crate) async fn new(policy: Policy) -> Self {
        Self::built(Setup { policy, ..Setup::default() }).await
    }

    /// The same, set up otherwise.
    pub(crate) async fn built(setup: Setup) -> Self {
        let clock = Clock::set_at(START.parse().unwrap());
        let sandbox = Sandbox::with_options(clock.clone(), setup.options.clone());
        let tap = Tap::new(sandbox.clone());
        let directory = directory();
        let path = directory.path().join("registrations.db");
        create_register(&path).await.unwrap();
        let register = Connection::open(&path).unwrap();
        live_in_the_story(&register);
        tell_the_time(&register, &clock);
        if let Some(groups) = &setup.register.working_groups {
            let columns = "registration_id INTEGER NOT NULL, name TEXT NOT NULL";
            register.execute_batch(&format!("CREATE TABLE {} ({columns})", groups.table)).unwrap();
        }
        let client = client(&sandbox, &tap, &clock, &setup);
        provide(&client, setup.topics).await;
        let cycle = cycle(&directory, client, &clock, &setup).await;
        sandbox.reset_log();
        Self { sandbox, tap, cycle, clock, register, directory, setup, forgetful: None }
    }

    /// A world with a first adoption of what `fill` put on both sides.
    pub(crate) async fn adopted(policy: Policy, fill: impl FnOnce(&Self)) -> Self {
        Self::adopted_as(Setup { policy, ..Setup::default() }, fill).await
    }

    /// The same, set up otherwise.
    pub(crate) async fn adopted_as(setup: Setup, fill: impl FnOnce(&Self)) -> Self {
        let world = Self::built(setup).await;
        fill(&world);
        world.cycle.run(Scope::Full, Adoption::Yes).await.unwrap();
        world.later(60);
        world
    }

    /// What people do in Mailchimp.
    pub(crate) fn person(&self) -> Person {
        self.sandbox.person()
    }

    /// Time passes, in seconds.
    pub(crate) fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
        tell_the_time(&self.register, &self.clock);
    }

    /// Runs a cycle of what changed, a minute later.
    pub(crate) async fn sync(&self) -> Report {
        self.try_sync().await.unwrap()
    }

    /// Runs a cycle of what changed that may fail, a minute later.
    pub(crate) async fn try_sync(&self) -> Result<Report, rosterd::cycle::CycleError> {
        self.later(60);
        self.cycle.run(Scope::Incremental, Adoption::Ask).await
    }

    /// Runs a full cycle, a minute later.
    pub(crate) async fn sync_full(&self) -> Report {
        self.later(60);
        self.cycle.run(Scope::Full, Adoption::Ask).await.unwrap()
    }

    /// Whether nobody is left to be looked at by name.
    pub(crate) async fn names_nobody(&self) -> bool {
        let asked_for = self.cycle.state.asked_for(None, 1).await.unwrap();
        let by_events = self.cycle.state.named_by_events(1).await.unwrap();
        asked_for.is_empty() && by_events.is_empty()
    }

    /// Two further cycles find nothing to do, the second with two requests.
    pub(crate) async fn assert_quiet(&self) {
        self.sync().await;
        let report = self.sync().await;
        assert_eq!((report.planned - report.held, report.requests), (0, 2), "{report:?}");
    }

    /// The only hold that waits for a decision.
    pub(crate) async fn hold(&self) -> rosterd::state::HoldSummary {
        let holds = self.cycle.state.holds().await.unwrap();
        assert_eq!(holds.len(), 1, "{holds:?}");
        holds[0].clone()
    }

    /// The process ends and starts again on the same files.
    pub(crate) async fn restart(self) -> Self {
        let Self { sandbox, tap, cycle, clock, register, directory, setup, forgetful } = self;
        drop(cycle);
        if let Some(older) = forgetful {
            for name in ["state.db", "state.db-wal", "state.db-shm"] {
                let _ = std::fs::remove_file(directory.path().join(name));
            }
            let _ = std::fs::copy(older, directory.path().join("state.db"));
        }
        let client = client(&sandbox, &tap, &clock, &setup);
        let cycle = self::cycle(&directory, client, &clock, &setup).await;
        Self { sandbox, tap, cycle, clock, register, directory, setup, forgetful: None }
    }

    /// The process ends, and starts again with topics in another place.
    pub(crate) async fn restart_with_topics_in(mut self, topics: Topics) -> Self {
        self.setup.topics = topics;
        self.restart().await
    }

    /// The state file is lost, and the process starts again.
    pub(crate) async fn lose_the_state(mut self) -> Self {
        self.forgetful = Some(std::path::PathBuf::new());
        self.restart().await
    }

    /// A copy of the state file, as an administrator makes it.
    pub(crate) fn back_up_the_state(&self) -> std::path::PathBuf {
        let copy = self.directory.path().join("backup.db");
        let state = Connection::open(self.directory.path().join("state.db")).unwrap();
        state.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        copy
    }

    /// The process ends, an older state takes the place of its own, and it starts again.
    pub(crate) async fn restore_the_state(mut self, backup: std::path::PathBuf) -> Self {
        self.forgetful = Some(backup);
        self.restart().await
    }
}

fn client(sandbox: &Sandbox, tap: &Tap, clock: &Clock, setup: &Setup) -> MailchimpClient {
    let group_tags = setup.policy.working_groups.iter().map(|group| group.tag.clone()).collect();
    parts::client(sandbox, Arc::new(tap.clone()), clock, mapping(setup.topics, group_tags))
}

async fn cycle(directory: &TempDir, client: MailchimpClient, clock: &Clock, setup: &Setup) -> Cycle {
    let path = directory.path().join("registrations.db");
    let local = open_sqlite(&path, &setup.register, &values()).await.unwrap();
    Cycle {
        local: Arc::new(local),
        remote: Arc::new(client),
        state: state(directory, clock).await,
        clock: clock.clone(),
        seed: Seed {
            policy: setup.policy.clone(),
            directions: values().fields.into_keys().map(|tag| (tag, Direction::Both)).collect(),
            read_as: String::new(),
        },
        limits: Limits::default(),
        keep: Keep { trail: A_YEAR, cycles: A_YEAR, events: A_YEAR },
        connections: 6,
        progress: watch::Sender::new(Progress::default()),
        stop: CancellationToken::new(),
    }
}

/// Opens the state once the work of a process that was cut down has let go of it.
async fn state(directory: &TempDir, clock: &Clock) -> State {
    loop {
        match State::open(directory.path().join("state.db"), clock).await {
            Err(rosterd::state::StateError::Locked { .. }) => tokio::task::yield_now().await,
            opened => return opened.unwrap(),
        }
    }
}
