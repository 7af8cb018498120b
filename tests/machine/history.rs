//! One history: a script, played in a world of its own, and what came of it.

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use rosterd::cli::member::standing::{Facts, Standing, standing};
use rosterd::cli::member::unsent;
use rosterd::cycle::{Adoption, Report, assemble};
use rosterd::model::EmailAddress;
use rosterd::observe::Scope;
use rosterd::reconcile::plan::Planned;
use rosterd::reconcile::policy::GoneLocal;
use rosterd::reconcile::reconcile;
use rosterd::state::{Decision, MemberName};

use crate::laws::{self, Ended, Law, Violation, broken};
use crate::quiet::{Difference, differences};
use crate::sides::Sides;
use crate::step::{Act, Death, Script, Step};
use crate::theatre::{Start, Theatre, World};
use crate::wire::{Inner, cannot};

/// No cycle of a handful of people takes as many polls: one that does, hangs.
const ENDLESS: usize = 200_000;

/// What came of a history.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) steps: u64,
    pub(crate) faults: u64,
    pub(crate) crashes: u64,
    /// What kept the sides apart after quiet, by its reason.
    pub(crate) excuses: Vec<&'static str>,
    pub(crate) story: Vec<String>,
}

/// Runs `work` until it is done; it dies after so many polls, or when `is_dark`.
pub(crate) fn drive<F: Future>(
    work: F,
    polls: Option<usize>,
    is_dark: impl Fn(usize) -> bool,
) -> Option<F::Output> {
    let mut work = pin!(work);
    let mut context = Context::from_waker(Waker::noop());
    for poll in 0..ENDLESS {
        if polls == Some(poll) || is_dark(poll) {
            return None;
        }
        if let Poll::Ready(output) = work.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    panic!("a cycle hangs");
}

/// Runs what cannot fail to end.
pub(crate) fn done<F: Future>(work: F) -> F::Output {
    drive(work, None, |_| false).unwrap()
}

/// Plays a script.
pub(crate) fn play(theatre: &Theatre, script: &Script, telling: bool) -> Outcome {
    let mut play = Play { world: theatre.open(script, telling), script, outcome: Outcome::default() };
    let ended = play.run();
    let world = play.world;
    let mut outcome = play.outcome;
    let mut inner = world.wire.lock();
    outcome.violation = inner.watch.violation.take().or(ended.err());
    (outcome.faults, outcome.crashes) = (inner.faults, inner.crashes);
    outcome.story = std::mem::take(&mut inner.told);
    drop(inner);
    theatre.close(world);
    outcome
}

struct Play<'a> {
    world: World,
    script: &'a Script,
    outcome: Outcome,
}

impl Play<'_> {
    fn run(&mut self) -> Result<(), Violation> {
        for step in &self.script.steps {
            self.outcome.steps += 1;
            self.step(*step)?;
            if self.world.wire.lock().watch.violation.is_some() {
                return Ok(());
            }
        }
        self.quiet()
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.world.wire.lock()
    }

    fn step(&mut self, step: Step) -> Result<(), Violation> {
        match step {
            Step::Do(act) => {
                let mut inner = self.inner();
                let next = inner.watch.sent + 1;
                let done = inner.ground.act(act, next);
                inner.tell(|_| format!("{act:?}{}", cannot(done)));
            }
            Step::Wait(ms) => {
                let mut inner = self.inner();
                inner.ground.wait(Duration::from_millis(u64::from(ms)));
                inner.tell(|_| "…".to_owned());
            }
            Step::Jump(minutes) => {
                let mut inner = self.inner();
                inner.ground.jump(minutes);
                inner.tell(|_| format!("{step:?}"));
            }
            Step::Sync => self.cycle(Scope::Incremental, None).map(drop)?,
            Step::SyncFull => self.cycle(Scope::Full, None).map(drop)?,
            Step::SyncDying(death) => self.cycle(Scope::Incremental, Some(death)).map(drop)?,
            Step::SyncFullDying(death) => self.cycle(Scope::Full, Some(death)).map(drop)?,
            Step::Meanwhile(request, act) => self.inner().plan_act(request, act),
            Step::Between(row, act) => self.inner().plan_between(row, act),
            Step::Amid(poll, act) => self.inner().plan_amid(poll, act),
            Step::Busy(from, to) => self.inner().plan_busy(from, to),
            Step::Late(write) => self.inner().plan_late(write),
            Step::Weather(..) | Step::Throttle(_) | Step::Unthrottle(_) => {
                self.inner().tell(|_| format!("{step:?}"));
                self.world.weather(step);
            }
            Step::Restart => self.restart(step),
            Step::LoseState => {
                self.world.lose_state(self.start());
                self.forget(step);
            }
            Step::BackUp => self.world.back_up(),
            Step::RestoreBackUp => {
                if self.world.restore_back_up(self.start()) {
                    self.forget(step);
                }
            }
            Step::Approve => self.decide(Decision::Approved),
            Step::Reject => self.decide(Decision::Rejected),
        }
        Ok(())
    }

    /// One start in eight opens everything anew.
    fn start(&self) -> Start {
        if self.outcome.steps.is_multiple_of(8) { Start::Anew } else { Start::Again }
    }

    fn restart(&mut self, step: Step) {
        self.world.restart(self.start());
        self.inner().tell(|_| format!("{step:?}"));
    }

    fn forget(&mut self, step: Step) {
        let mut inner = self.inner();
        let (sides, next) = (inner.ground.sides(), inner.watch.sent + 1);
        inner.ground.oracle.meet(&sides, next);
        inner.ground.oracle.forget_agreements(&sides);
        inner.tell(|_| format!("{step:?}"));
    }

    fn decide(&mut self, decision: Decision) {
        let state = self.world.state().clone();
        let now = self.inner().ground.clock.now();
        for hold in done(state.holds()).unwrap() {
            if hold.decision == Decision::Open {
                let decided = match decision {
                    Decision::Approved => done(state.approve(hold.id.clone(), now)),
                    _ => done(state.reject(hold.id.clone(), now)),
                };
                if decision == Decision::Approved {
                    self.inner().ground.oracle.approved();
                }
                self.inner().tell(|_| format!("{decision:?} {} ({} of {})", hold.id, hold.count, hold.class));
                decided.unwrap();
            }
        }
    }

    /// One cycle, in which the process may die, and the laws of every moment after it.
    fn cycle(&mut self, scope: Scope, death: Option<Death>) -> Result<Option<Report>, Violation> {
        let before = {
            let mut inner = self.inner();
            inner.begin_cycle(death);
            inner.tell(|_| format!("a {} cycle{}", scope.as_str(), dying(death)));
            inner.ground.sides()
        };
        let polls = match death {
            Some(Death::Poll(polls)) => Some(usize::from(polls)),
            _ => None,
        };
        let wire = self.world.wire.clone();
        let ended = drive(self.world.cycle().run(scope, Adoption::Yes), polls, |poll| wire.goes_dark(poll));
        let late = self.inner().end_cycle();
        self.inner().note_tried();
        let report = match ended {
            None => {
                self.world.restart(self.start());
                let mut inner = self.inner();
                inner.crashes += 1;
                inner.tell(|_| "the process died, and started again".to_owned());
                None
            }
            Some(Err(error)) => {
                self.inner().tell(|_| format!("it failed: {error}"));
                None
            }
            Some(Ok(report)) => {
                let mut inner = self.inner();
                inner.note_seen(&before);
                inner.tell(|_| format!("it did: {report:?}"));
                drop(inner);
                self.note_held(&report);
                Some(report)
            }
        };
        for request in late {
            let sandbox = self.inner().ground.sandbox.clone();
            let answer = done(sandbox.answer(request.clone()));
            self.inner().ground.looked.contacts = None;
            self.inner().tell(|_| format!("a late write lands: {} → {answer:?}", request.method.as_str()));
        }
        // A write that failed may have landed: what it leads to is agreed on by nobody.
        let well = report.as_ref().is_some_and(|report| report.failed == 0);
        let ended = if well { Ended::Well } else { Ended::Badly };
        self.after(&before, ended)?;
        Ok(report)
    }

    /// Whom the guard holds something of.
    fn note_held(&self, report: &Report) {
        let mut held = BTreeSet::new();
        if report.held > 0 {
            let state = self.world.state();
            for hold in done(state.holds()).unwrap() {
                let operations = done(state.held_operations(hold.id, 0, usize::MAX)).unwrap();
                held.extend(operations.into_iter().map(|operation| operation.email.key().to_owned()));
            }
        }
        self.inner().ground.oracle.held = held;
    }

    fn after(&self, before: &Sides, ended: Ended) -> Result<(), Violation> {
        let mut inner = self.inner();
        let sides = inner.ground.sides();
        let rows = before.rows.iter().filter(|row| inner.was_there(row.id)).cloned().collect();
        let contacts = before.contacts.iter().filter(|c| inner.had_contact(&c.id)).cloned().collect();
        let gone = Sides { rows: Arc::new(rows), contacts: Arc::new(contacts) };
        inner.tell(|_| show(&sides));
        let next = inner.watch.sent + 1;
        // What a cycle made that ended well, it knows.
        let since = if ended == Ended::Well { inner.watch.cycle_began + 1 } else { next };
        inner.ground.oracle.meet(&sides, since);
        laws::after_cycle(&mut inner.ground.oracle, &gone, &sides, ended)
    }

    /// Fair weather, and the laws of quiet.
    fn quiet(&mut self) -> Result<(), Violation> {
        self.inner().tell(|_| "quiet".to_owned());
        self.world.calm();
        let approves = self.script.steps.len().is_multiple_of(2);
        for scope in [self.first_scope(), Scope::Incremental, Scope::Incremental] {
            self.inner().ground.wait(Duration::from_secs(2 * 86_400));
            if approves {
                self.decide(Decision::Approved);
            }
            self.works(scope)?;
        }
        let leaves = self.script.setting.gone_local == GoneLocal::Leave;
        let found = {
            let mut inner = self.inner();
            let sides = inner.ground.sides();
            inner.ground.oracle.now = inner.ground.clock.now();
            differences(&inner.ground.oracle, &sides, leaves)
        };
        for difference in found {
            match self.excuse(&difference) {
                Some(reason) => self.outcome.excuses.push(reason),
                None => {
                    let Difference { email, law, what } = difference;
                    return Err(broken(law, format!("{email}, after quiet: {what}")));
                }
            }
        }
        self.inner().ground.wait(Duration::from_secs(60));
        let before = self.inner().ground.sides();
        let report = self.works(Scope::Incremental)?;
        let mut inner = self.inner();
        let same = before == inner.ground.sides();
        match report.requests == 2 && inner.watch.writes == 0 && same {
            true => Ok(()),
            false => Err(broken(Law::Quiet, format!("{report:?}, sides as they were: {same}"))),
        }
    }

    /// How quiet begins: without a full reading only where the script wants it so and needs none.
    fn first_scope(&self) -> Scope {
        let setting = self.script.setting;
        let silent = setting.tags && !setting.tags_move_last_changed;
        let hidden = |step: &Step| match step {
            Step::Do(act) | Step::Meanwhile(_, act) | Step::Between(_, act) | Step::Amid(_, act) => {
                // A restored row is as old as it was: no change tells of it.
                matches!(act, Act::StaffDelete(_) | Act::Expire(_) | Act::RestoreRow)
            }
            Step::Jump(_) => true,
            _ => false,
        };
        let needs_all = silent || self.script.steps.iter().any(hidden);
        match setting.by_changes && !needs_all {
            true => Scope::Incremental,
            false => Scope::Full,
        }
    }

    fn works(&mut self, scope: Scope) -> Result<Report, Violation> {
        let report = self.cycle(scope, None)?;
        if let Some(violation) = self.inner().watch.violation.clone() {
            return Err(violation);
        }
        report.ok_or_else(|| broken(Law::Works, "a cycle failed in fair weather"))
    }

    /// What `member show` says of a member on whom the sides differ, where it names a reason.
    fn excuse(&self, difference: &Difference) -> Option<&'static str> {
        let (cycle, now) = (self.world.cycle(), self.inner().ground.clock.now());
        let state = &cycle.state;
        let name = MemberName::Address(EmailAddress::parse(&difference.email).unwrap());
        let schema = done(state.schema()).unwrap()?;
        let policy = assemble(&cycle.seed, &schema, cycle.local.features(), |key| cycle.local.holds(key));
        for member in done(state.find_members(name)).unwrap() {
            let Some(trio) = done(state.trio(member, now)).unwrap() else { continue };
            let parked = done(state.parking_of(member)).unwrap();
            let plan = reconcile(&trio, &policy);
            let listing = |planned: &Planned| {
                let hold = done(state.holding_of(plan.email.clone()?, planned.operation.clone())).unwrap();
                hold.map(|(id, _)| id)
            };
            let mut holds: Vec<String> = plan.operations.iter().filter_map(listing).collect();
            holds.extend(done(state.missing_hold_of(member)).unwrap());
            let unsent = unsent(&trio, &policy);
            let (plan, parked) = (Some(&plan), parked.as_ref());
            let Standing { word, because } =
                standing(Facts { trio: &trio, plan, parked, holds: &holds, unsent: &unsent, now });
            if matches!(word, "parked" | "in_conflict" | "held" | "waits") && !because.is_empty() {
                return Some(word);
            }
            // What a rule keeps apart for good stands in the row's note, which is shown with the row.
            for note in trio.local.iter().filter_map(|row| row.sync_note.as_deref()) {
                if note.contains("keeps them out") {
                    return Some("policy never");
                }
                if note.contains("not asked by it") {
                    return Some("pending since before");
                }
                if note.contains("removed from both sides before") {
                    return Some("gone before");
                }
            }
        }
        None
    }
}

fn dying(death: Option<Death>) -> String {
    death.map(|death| format!(", dying {death:?}")).unwrap_or_default()
}

/// Both sides as text.
fn show(sides: &Sides) -> String {
    let mut lines = Vec::new();
    for row in sides.rows.iter() {
        let topics: Vec<&str> = row.topics.iter().map(String::as_str).collect();
        lines.push(format!(
            "      row {} {} {} since {} [{}|{}|{}] {}",
            row.id,
            row.email,
            row.status,
            row.at,
            row.first,
            row.last,
            topics.join(","),
            row.note
        ));
    }
    for contact in sides.contacts.iter() {
        let topics: Vec<&str> = contact.topics.iter().map(String::as_str).collect();
        lines.push(format!(
            "      contact {} {} [{}|{}|{}]",
            contact.email,
            contact.status,
            contact.first,
            contact.last,
            topics.join(",")
        ));
    }
    format!("both sides:\n{}", lines.join("\n"))
}
