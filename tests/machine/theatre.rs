//! Where histories are played: one directory a thread, and a world in it for each history.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::cycle::{Cycle, Seed};
use rosterd::mailchimp::transport::Method;
use rosterd::progress::Progress;
use rosterd::reconcile::guard::{Limit, Limits};
use rosterd::reconcile::policy::{Direction, Policy};
use rosterd::registrations::mapping::RegisterMapping;
use rosterd::registrations::{create_register, open_sqlite};
use rosterd::sandbox::{ArchivedInBulk, Fault, FaultKind, Sandbox, SandboxOptions};
use rosterd::state::{Keep, State};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;
use crate::history::done;
use crate::parts::{
    START, Topics, client, directory, live_in_the_story, mapping, provide, tell_the_time, values,
};
use crate::sides::email;
use crate::step::{ADDRESSES, Script, Setting, Step, Storm};
use crate::wire::Wire;

/// A directory with an empty register and an empty state to begin every history with.
pub(crate) struct Theatre {
    directory: TempDir,
}

/// Both sides, and the process between them.
pub(crate) struct World {
    pub(crate) wire: Wire,
    sandbox: Sandbox,
    clock: Clock,
    setting: Setting,
    stage: PathBuf,
    cycle: Option<Cycle>,
}

/// Longer than any history.
const LONG: Duration = Duration::from_hours(24 * 365);

const REGISTER: &str = "registrations.db";
const STATE: &str = "state.db";
const BACK_UP: &str = "backup.db";

impl Theatre {
    /// Builds the files that every history begins with.
    pub(crate) fn new() -> Self {
        let directory = directory();
        let props = directory.path().join("props");
        fs::create_dir_all(&props).unwrap();
        fs::create_dir_all(directory.path().join("stage")).unwrap();
        done(create_register(&props.join(REGISTER))).unwrap();
        let register = Connection::open(props.join(REGISTER)).unwrap();
        live_in_the_story(&register);
        register.close().unwrap();
        drop(done(State::open(props.join(STATE), &Clock::set_at(START.parse().unwrap()))).unwrap());
        Self { directory }
    }

    /// A world as the setting of the script has it, before anything happened.
    pub(crate) fn open(&self, script: &Script, telling: bool) -> World {
        let stage = self.directory.path().join("stage");
        for name in [REGISTER, STATE] {
            fs::copy(self.directory.path().join("props").join(name), stage.join(name)).unwrap();
        }
        let setting = script.setting;
        let clock = Clock::set_at(START.parse().unwrap());
        let sandbox = Sandbox::with_options(clock.clone(), options(setting));
        let topics = topics(setting);
        let straight = client(&sandbox, Arc::new(sandbox.transport()), &clock, mapping(topics, Vec::new()));
        done(provide(&straight, topics));
        let register = open_register(&stage);
        tell_the_time(&register, &clock);
        let topic_ids = if setting.tags { Vec::new() } else { topic_ids(&sandbox) };
        sandbox.reset_log();
        let ground = Ground::new(register, sandbox.clone(), clock.clone(), topic_ids, setting.radio);
        let holder = open_register(&stage);
        let wire = Wire::new(ground, holder, telling);
        let mut world = World { wire, sandbox, clock, setting, stage, cycle: None };
        world.restart();
        world
    }

    /// The world ends; nothing of it is left.
    pub(crate) fn close(&self, world: World) {
        let stage = world.stage.clone();
        drop(world);
        for entry in fs::read_dir(stage).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
    }
}

/// The ids of the offered topics, as a member shows them.
fn topic_ids(sandbox: &Sandbox) -> Vec<String> {
    let person = sandbox.person();
    let entry = rosterd::sandbox::FormEntry::new;
    let probe = "probe@alliance.test";
    person.staff_add(probe, &entry()).unwrap();
    let ticked = |name: &str| {
        person.staff_edit(probe, &entry().tick(name)).unwrap();
        let interests = sandbox.member(probe).unwrap()["interests"].clone();
        let ids: BTreeSet<String> = interests
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, ticked)| ticked.as_bool() == Some(true))
            .map(|(id, _)| id.clone())
            .collect();
        person.staff_edit(probe, &entry().clear(name)).unwrap();
        ids.into_iter().next().unwrap()
    };
    let ids = crate::parts::OFFERED.map(ticked).to_vec();
    person.staff_delete_permanently(probe).unwrap();
    ids
}

fn open_register(stage: &Path) -> Connection {
    let register = Connection::open(stage.join(REGISTER)).unwrap();
    register.pragma_update(None, "synchronous", "OFF").unwrap();
    register.busy_timeout(Duration::ZERO).unwrap();
    register
}

fn topics(setting: Setting) -> Topics {
    match (setting.tags, setting.radio) {
        (true, _) => Topics::Tags,
        (false, true) => Topics::Radio,
        (false, false) => Topics::Checkboxes,
    }
}

fn options(setting: Setting) -> SandboxOptions {
    SandboxOptions {
        double_optin: setting.double_optin,
        archived_in_bulk: match setting.archived_refused_in_bulk {
            true => ArchivedInBulk::Refused,
            false => ArchivedInBulk::Revived,
        },
        tags_move_last_changed: setting.tags_move_last_changed,
        since_is_inclusive: setting.since_is_inclusive,
        odd_id_every: setting.odd_ids.then_some(2),
        ..SandboxOptions::default()
    }
}

fn limits(setting: Setting) -> Limits {
    if !setting.tight_guard {
        return Limits::default();
    }
    let none = Limit { basis_points: 0, more_than: 1 };
    Limits { removals: none, creations: none, invitations: Limit { more_than: 0, ..none } }
}

impl World {
    pub(crate) fn cycle(&self) -> &Cycle {
        self.cycle.as_ref().unwrap()
    }

    pub(crate) fn state(&self) -> &State {
        &self.cycle().state
    }

    /// The process starts (again) on the files that are there.
    pub(crate) fn restart(&mut self) {
        self.cycle = None;
        let mapping = mapping(topics(self.setting), Vec::new());
        let remote = client(&self.sandbox, Arc::new(self.wire.clone()), &self.clock, mapping);
        let register =
            RegisterMapping { busy_timeout: jiff::SignedDuration::ZERO, ..RegisterMapping::default() };
        let local = done(open_sqlite(&self.stage.join(REGISTER), &register, &values())).unwrap();
        let state = done(State::open(self.stage.join(STATE), &self.clock)).unwrap();
        let policy = Policy {
            new_local: self.setting.new_local,
            resubscribe: self.setting.resubscribe,
            gone_local: self.setting.gone_local,
            prefer: self.setting.prefer,
            ..Policy::default()
        };
        self.cycle = Some(Cycle {
            local: Arc::new(local),
            remote: Arc::new(remote),
            state,
            clock: self.clock.clone(),
            seed: Seed {
                policy,
                directions: values().fields.into_keys().map(|tag| (tag, Direction::Both)).collect(),
                read_as: String::new(),
            },
            limits: limits(self.setting),
            keep: Keep { trail: LONG, cycles: LONG, events: LONG },
            connections: 6,
            progress: watch::Sender::new(Progress::default()),
            stop: CancellationToken::new(),
        });
    }

    /// The state file is lost.
    pub(crate) fn lose_state(&mut self) {
        self.cycle = None;
        self.remove_state();
        self.restart();
    }

    fn remove_state(&self) {
        for name in ["state.db", "state.db-wal", "state.db-shm"] {
            let _ = fs::remove_file(self.stage.join(name));
        }
    }

    /// An administrator copies the state file.
    pub(crate) fn back_up(&self) {
        let copy = self.stage.join(BACK_UP);
        let _ = fs::remove_file(&copy);
        let state = Connection::open(self.stage.join(STATE)).unwrap();
        state.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
    }

    /// The copy takes the place of the state file, if there is one.
    pub(crate) fn restore_back_up(&mut self) -> bool {
        let copy = self.stage.join(BACK_UP);
        if !copy.exists() {
            return false;
        }
        self.cycle = None;
        self.remove_state();
        fs::copy(copy, self.stage.join(STATE)).unwrap();
        self.restart();
        true
    }

    /// Something goes wrong, or stops going wrong.
    pub(crate) fn weather(&self, step: Step) {
        let faults = self.sandbox.faults();
        match step {
            Step::Weather(storm, only_writes, skip, times) => {
                let methods: &[Option<Method>] = match only_writes {
                    true => &[Some(Method::Patch), Some(Method::Post)],
                    false => &[None],
                };
                for method in methods {
                    let fault = Fault::new(kind(storm)).after(skip.into()).times(times.into());
                    faults.add(match method {
                        Some(method) => fault.on_method(*method),
                        None => fault,
                    });
                }
            }
            Step::Throttle(a) => faults.throttle(&email(a)),
            Step::Unthrottle(a) => faults.unthrottle(&email(a)),
            other => panic!("{other:?} is no weather"),
        }
    }

    /// Everything works.
    pub(crate) fn calm(&self) {
        self.sandbox.faults().clear();
        for address in 0..ADDRESSES {
            self.sandbox.faults().unthrottle(&email(address));
        }
        self.wire.lock().end_cycle();
    }
}

fn kind(storm: Storm) -> FaultKind {
    let wait = Duration::from_secs(90);
    match storm {
        Storm::TooMany => FaultKind::TooManyRequests,
        Storm::Bare403 => FaultKind::BareForbidden,
        Storm::Error500 => FaultKind::ServerError,
        Storm::Html502 => FaultKind::BadGateway,
        Storm::Html503 => FaultKind::Unavailable,
        Storm::CutBefore => FaultKind::CutBefore,
        Storm::CutAfter => FaultKind::CutAfter,
        Storm::TimeOutBefore => FaultKind::TimeOutBefore(wait),
        Storm::TimeOutAfter => FaultKind::TimeOutAfter(wait),
        Storm::Truncated => FaultKind::Truncated,
    }
}
