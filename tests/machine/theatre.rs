//! Where histories are played: one directory a thread, and a world in it for each history.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::cycle::{Cycle, Seed};
use rosterd::mailchimp::transport::Method;
use rosterd::progress::Progress;
use rosterd::reconcile::guard::{Limit, Limits};
use rosterd::reconcile::policy::{Direction, Policy};
use rosterd::sandbox::{ArchivedInBulk, Fault, FaultKind, Sandbox, SandboxOptions};
use rosterd::state::{Keep, State};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::ground::Ground;
use crate::history::done;
use crate::parts::{START, Topics, client, directory, mapping, provide, tell_the_time, values};
use crate::props::{Props, Sweeper, build, lay_out, lose_state, open_register, sweep_register};
use crate::register::WatchedRegister;
use crate::sides::{Dated, email};
use crate::step::{ADDRESSES, Script, Setting, Step, Storm};
use crate::wire::Wire;

/// A directory with an empty register and an empty state to begin every history with.
pub(crate) struct Theatre {
    directory: TempDir,
    /// What is open between two histories.
    kept: RefCell<Option<Kept>>,
    /// The audiences that histories begin with, provided with what is mapped.
    provided: RefCell<Vec<Provided>>,
}

/// An audience in which topics stand like this, and the ids of the offered ones.
struct Provided {
    topics: Topics,
    sandbox: Sandbox,
    topic_ids: Vec<String>,
}

struct Kept {
    props: Props,
    sweeper: Sweeper,
    /// Of the website's.
    register: Connection,
    holder: Connection,
}

/// Both sides, and the process between them.
pub(crate) struct World {
    pub(crate) wire: Wire,
    sandbox: Sandbox,
    clock: Clock,
    setting: Setting,
    /// What the process has open, and its cycle.
    process: Option<(Props, Cycle)>,
    sweeper: Option<Sweeper>,
    stage: PathBuf,
    has_back_up: bool,
    is_made_anew: bool,
}

/// How a process starts again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// It opens its files anew.
    Anew,
    /// What it had in memory is gone; the connections, on which nothing is left half done, are used again.
    Again,
}

/// Longer than any history.
const LONG: Duration = Duration::from_hours(24 * 365);

impl Theatre {
    /// Builds the files that every history begins with.
    pub(crate) fn new() -> Self {
        let directory = directory();
        build(directory.path());
        Self { directory, kept: RefCell::new(None), provided: RefCell::default() }
    }

    /// A world as the setting of the script has it, before anything happened.
    pub(crate) fn open(&self, script: &Script, telling: bool) -> World {
        let setting = script.setting;
        let clock = Clock::set_at(START.parse().unwrap());
        let stage = self.directory.path().join("stage");
        let Kept { props, sweeper, register, holder } = self.kept.take().unwrap_or_else(|| {
            lay_out(self.directory.path());
            Kept {
                sweeper: Sweeper::new(&stage),
                props: Props::open(&stage, &clock, dated(setting)),
                register: open_register(&stage),
                holder: open_register(&stage),
            }
        });
        let props = props.mapped(&stage, dated(setting));
        sweeper.sweep();
        sweep_register(&register);
        let (sandbox, topic_ids) = self.audience(topics(setting), &clock, options(setting));
        tell_the_time(&register, &clock);
        let ground =
            Ground::new(register, sandbox.clone(), clock.clone(), topic_ids, setting.radio, dated(setting));
        let wire = Wire::new(ground, holder, telling);
        let (process, sweeper) = (None, Some(sweeper));
        let mut world = World {
            wire,
            sandbox,
            clock,
            setting,
            process,
            sweeper,
            stage,
            has_back_up: false,
            is_made_anew: false,
        };
        world.begin(props);
        world
    }

    /// An audience of its own, provided with what is mapped, and the ids of the offered topics.
    fn audience(&self, topics: Topics, clock: &Clock, options: SandboxOptions) -> (Sandbox, Vec<String>) {
        let mut all = self.provided.borrow_mut();
        let at = all.iter().position(|one| one.topics == topics).unwrap_or_else(|| {
            all.push(Provided::new(topics));
            all.len() - 1
        });
        (all[at].sandbox.copy(clock.clone(), options), all[at].topic_ids.clone())
    }

    /// The world ends; only what is open stays.
    pub(crate) fn close(&self, world: World) {
        let World { wire, process, sweeper, is_made_anew, .. } = world;
        let (props, cycle) = process.unwrap();
        drop(cycle);
        let (register, holder) = wire.end();
        // A state file that was made anew is another one than every history begins with.
        let sweeper = sweeper.filter(|_| !is_made_anew);
        self.kept.replace(sweeper.map(|sweeper| Kept { props, sweeper, register, holder }));
    }
}

impl Provided {
    fn new(topics: Topics) -> Self {
        let clock = Clock::set_at(START.parse().unwrap());
        let sandbox = Sandbox::new(clock.clone());
        let straight = client(&sandbox, Arc::new(sandbox.transport()), &clock, mapping(topics, Vec::new()));
        done(provide(&straight, topics));
        let topic_ids = if topics == Topics::Tags { Vec::new() } else { topic_ids(&sandbox) };
        sandbox.reset_log();
        Self { topics, sandbox, topic_ids }
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

fn dated(setting: Setting) -> Dated {
    if setting.undated { Dated::No } else { Dated::Yes }
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
        &self.process.as_ref().unwrap().1
    }

    pub(crate) fn state(&self) -> &State {
        &self.cycle().state
    }

    /// A process begins its work on what it has open.
    fn begin(&mut self, props: Props) {
        let mapping = mapping(topics(self.setting), Vec::new());
        let remote = client(&self.sandbox, Arc::new(self.wire.clone()), &self.clock, mapping);
        let policy = Policy {
            new_local: self.setting.new_local,
            resubscribe: self.setting.resubscribe,
            gone_local: self.setting.gone_local,
            prefer: self.setting.prefer,
            ..Policy::default()
        };
        let cycle = Cycle {
            local: Arc::new(WatchedRegister::new(props.local.clone(), self.wire.clone())),
            remote: Arc::new(remote),
            state: props.state.clone(),
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
        };
        self.process = Some((props, cycle));
    }

    fn end(&mut self) -> Props {
        let (props, _) = self.process.take().unwrap();
        props
    }

    /// The process is gone, and starts again on the files that are there.
    pub(crate) fn restart(&mut self, start: Start) {
        let props = self.end();
        self.restart_on(props, start);
    }

    fn restart_on(&mut self, props: Props, start: Start) {
        let props = match start {
            Start::Again => props,
            Start::Anew => {
                drop(props);
                Props::open(&self.stage, &self.clock, dated(self.setting))
            }
        };
        self.begin(props);
    }

    /// The state file is lost: what the next process makes holds nothing, either way.
    pub(crate) fn lose_state(&mut self, start: Start) {
        let props = self.end();
        if let (Start::Again, Some(sweeper)) = (start, &self.sweeper) {
            sweeper.sweep();
            return self.begin(props);
        }
        drop((props, self.sweeper.take()));
        lose_state(&self.stage);
        self.is_made_anew = true;
        self.begin(Props::open(&self.stage, &self.clock, dated(self.setting)));
    }

    /// An administrator copies the state file.
    pub(crate) fn back_up(&mut self) {
        self.sweeper.get_or_insert_with(|| Sweeper::new(&self.stage)).back_up();
        self.has_back_up = true;
    }

    /// The copy takes the place of the state file, if there is one.
    pub(crate) fn restore_back_up(&mut self, start: Start) -> bool {
        if !self.has_back_up {
            return false;
        }
        let sweeper = self.sweeper.take().unwrap_or_else(|| Sweeper::new(&self.stage));
        let props = self.end();
        sweeper.restore();
        self.sweeper = Some(sweeper);
        self.restart_on(props, start);
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
