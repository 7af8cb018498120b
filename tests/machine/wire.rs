//! The wire to the sandbox: what happens between two requests, what is lost on it, and what is looked at.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use rosterd::mailchimp::transport::{Method, Request, Response, Transport, TransportError};
use rusqlite::Connection;

use crate::ground::Ground;
use crate::laws::{self, Violation};
use crate::sides::Sides;
use crate::step::{Act, Death};

/// The ground and the wire over it, shared by all that runs in a history.
#[derive(Clone)]
pub(crate) struct Wire(Arc<Mutex<Inner>>);

pub(crate) struct Inner {
    pub(crate) ground: Ground,
    pub(crate) watch: Watch,
    plan: Weather,
    /// A second connection of the website's, which may hold the register for itself.
    holder: Connection,
    holding: bool,
    late: VecDeque<Request>,
    pub(crate) told: Vec<String>,
    telling: bool,
    pub(crate) crashes: u64,
    pub(crate) faults: u64,
}

/// What the laws look at on the wire.
#[derive(Default)]
pub(crate) struct Watch {
    /// All requests so far.
    pub(crate) sent: u64,
    /// Those before the present cycle.
    pub(crate) cycle_began: u64,
    /// Writes of the present cycle to the register.
    pub(crate) rows: u64,
    /// Those to Mailchimp.
    pub(crate) writes: u64,
    /// The last listing of the present cycle.
    pub(crate) listed: u64,
    /// When each contact was last read by itself in the present cycle, by the part of the path that names it.
    pub(crate) read: Vec<(String, u64)>,
    pub(crate) violation: Option<Violation>,
}

/// What is to happen in the next cycle.
#[derive(Default)]
struct Weather {
    meanwhile: Vec<(u16, Act)>,
    /// Before the writes to the register of these numbers.
    between: Vec<(u16, Act)>,
    /// At the await points of these numbers.
    amid: Vec<(u16, Act)>,
    busy: Option<(u16, u16)>,
    late: Vec<u16>,
    death: Option<Death>,
    dark: bool,
}

impl Wire {
    pub(crate) fn new(ground: Ground, holder: Connection, telling: bool) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            ground,
            watch: Watch::default(),
            plan: Weather::default(),
            holder,
            holding: false,
            late: VecDeque::new(),
            told: Vec::new(),
            telling,
            crashes: 0,
            faults: 0,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    /// The history is over; gives back the website's connections.
    pub(crate) fn end(self) -> (Connection, Connection) {
        let inner = Arc::into_inner(self.0).unwrap().into_inner().unwrap();
        (inner.ground.register, inner.holder)
    }

    /// Everything that happens at an await point. Says whether the power failed.
    pub(crate) fn goes_dark(&self, poll: usize) -> bool {
        let mut inner = self.lock();
        inner.at_poll(poll);
        inner.plan.dark
    }
}

impl Inner {
    /// Adds a line to the story.
    pub(crate) fn tell(&mut self, line: impl FnOnce(&Self) -> String) {
        if self.telling {
            let line = line(self);
            let at = self.ground.clock.now();
            self.told.push(format!("{at:.3}  {line}"));
        }
    }

    pub(crate) fn plan_act(&mut self, request: u16, act: Act) {
        self.plan.meanwhile.push((request, act));
    }

    pub(crate) fn plan_between(&mut self, row: u16, act: Act) {
        self.plan.between.push((row, act));
    }

    pub(crate) fn plan_amid(&mut self, poll: u16, act: Act) {
        self.plan.amid.push((poll, act));
    }

    pub(crate) fn plan_busy(&mut self, from: u16, to: u16) {
        self.plan.busy = Some((from, to));
    }

    pub(crate) fn plan_late(&mut self, write: u16) {
        self.plan.late.push(write);
    }

    /// A cycle begins; the process may die in it.
    pub(crate) fn begin_cycle(&mut self, death: Option<Death>) {
        let sent = self.watch.sent;
        let violation = self.watch.violation.take();
        self.watch = Watch { sent, cycle_began: sent, violation, ..Watch::default() };
        self.plan.death = death;
        self.ground.oracle.seen.begin_cycle();
        if self.plan.busy.is_some_and(|(from, _)| from == 0) {
            self.hold(true);
        }
    }

    /// It ended, one way or another: what was planned for it is over.
    pub(crate) fn end_cycle(&mut self) -> Vec<Request> {
        self.hold(false);
        self.plan = Weather::default();
        self.late.drain(..).collect()
    }

    fn hold(&mut self, hold: bool) {
        if hold != self.holding {
            let sql = if hold { "BEGIN IMMEDIATE" } else { "ROLLBACK" };
            // Another writer may be faster: then there is nothing to hold.
            self.holding = self.holder.execute_batch(sql).is_ok() && hold;
        }
    }

    /// Everything that happens before a request goes out. Says what becomes of it.
    fn before(&mut self, request: &Request) -> Fate {
        self.watch.sent += 1;
        let sent = self.watch.sent;
        let number = u16::try_from(sent - self.watch.cycle_began).unwrap_or(u16::MAX);
        let is_write = request.method != Method::Get;
        // What goes out goes out now: what people do at this moment, nobody can have seen.
        if is_write {
            self.watch.writes += 1;
            laws::look_at(self, request);
        }
        self.note_reading(request, sent);
        if let Some((from, to)) = self.plan.busy {
            self.hold((from..to).contains(&number));
        }
        let due: Vec<Act> =
            self.plan.meanwhile.iter().filter(|(at, _)| *at == number).map(|(_, act)| *act).collect();
        if !self.holding {
            for act in due {
                let done = self.ground.act(act, sent);
                self.tell(|_| format!("    before request {number}: {act:?}{}", cannot(done)));
            }
        }
        let late = u16::try_from(self.watch.writes).is_ok_and(|write| self.plan.late.contains(&write));
        if is_write && late {
            self.faults += 1;
            self.late.push_back(request.clone());
            return Fate::Late;
        }
        match self.plan.death {
            Some(Death::Before(at)) if at == number => Fate::DieBefore,
            Some(Death::After(at)) if at == number => Fate::DieAfter,
            Some(_) | None => Fate::Goes,
        }
    }

    /// Everything that happens before a write to the register.
    pub(crate) fn before_row(&mut self) {
        self.watch.rows += 1;
        let number = self.watch.rows;
        let due = self.plan.between.iter().filter(|(at, _)| u64::from(*at) == number);
        let due: Vec<Act> = due.map(|(_, act)| *act).collect();
        if !self.holding {
            for act in due {
                let done = self.ground.act(act, self.watch.sent + 1);
                self.tell(|_| format!("    before row {number} is written: {act:?}{}", cannot(done)));
            }
        }
    }

    fn at_poll(&mut self, poll: usize) {
        let due = self.plan.amid.iter().filter(|(at, _)| usize::from(*at) == poll && !self.holding);
        let due: Vec<Act> = due.map(|(_, act)| *act).collect();
        for act in due {
            let done = self.ground.act(act, self.watch.sent + 1);
            self.tell(|_| format!("    at await point {poll}: {act:?}{}", cannot(done)));
        }
    }

    /// The cycle worked.
    pub(crate) fn note_seen(&mut self, before: &Sides) {
        let (by, after) = (self.watch.cycle_began + 1, self.ground.sides());
        self.ground.oracle.seen.end_cycle(by, before, &after);
    }

    /// A cycle has looked, however it ended.
    pub(crate) fn note_tried(&mut self) {
        self.ground.oracle.seen.maybe_by = self.watch.sent;
    }

    /// The answer to a write shows its contacts.
    fn note_answered(&mut self, request: &Request) {
        let body = request.body.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        for contact in self.ground.sides().contacts.iter() {
            if request.target.contains(&contact.path) || body.contains(&format!("\"{}\"", contact.email)) {
                self.ground.oracle.seen.wrote(contact);
            }
        }
    }

    fn note_reading(&mut self, request: &Request, sent: u64) {
        if request.method != Method::Get {
            return;
        }
        let path = request.target.split('?').next().unwrap_or_default();
        match path.split("/members").nth(1) {
            Some("") => self.watch.listed = sent,
            Some(rest) => {
                let name = rest.split('/').nth(1).unwrap_or_default().to_owned();
                self.watch.read.push((name, sent));
            }
            None => (),
        }
    }

    /// Whether no person removed the row.
    pub(crate) fn was_there(&self, row: i64) -> bool {
        !self.ground.gone_rows.contains(&row)
    }

    /// Whether no person removed the contact.
    pub(crate) fn had_contact(&self, id: &str) -> bool {
        !self.ground.gone_contacts.contains(id)
    }

    fn after(&mut self, request: &Request, answer: &Result<Response, TransportError>) {
        if request.method != Method::Get {
            self.ground.looked.contacts = None;
        }
        if request.body.as_ref().is_some_and(|body| body.windows(9).any(|word| word == b"\"pending\"")) {
            laws::note_asked(&mut self.ground, request, self.watch.sent);
        }
        if request.method == Method::Patch {
            laws::note_raised(self, request);
        }
        if request.method != Method::Get && matches!(answer, Ok(Response { status: 200, .. })) {
            self.note_answered(request);
        }
        if matches!(answer, Err(_) | Ok(Response { status: 403 | 429 | 500.., .. })) {
            self.faults += 1;
        }
        self.tell(|inner| {
            let number = inner.watch.sent - inner.watch.cycle_began;
            let body = request.body.as_ref().map(|body| String::from_utf8_lossy(body).into_owned());
            let path = request.target.split("/members").nth(1).unwrap_or(&request.target);
            let answer = match answer {
                Ok(response) => response.status.to_string(),
                Err(error) => error.to_string(),
            };
            format!(
                "    {number} {} …{path} {} → {answer}",
                request.method.as_str(),
                body.unwrap_or_default()
            )
        });
    }
}

/// What the story says of an act.
pub(crate) fn cannot(done: bool) -> &'static str {
    if done { "" } else { " (cannot)" }
}

enum Fate {
    Goes,
    Late,
    DieBefore,
    DieAfter,
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[async_trait]
impl Transport for Wire {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (fate, sandbox, clock) = {
            let mut inner = self.lock();
            let fate = inner.before(&request);
            if request.method != Method::Get {
                inner.ground.looked.contacts = None;
            }
            (fate, inner.ground.sandbox.clone(), inner.ground.clock.clone())
        };
        let answer = match fate {
            Fate::Goes => sandbox.answer(request.clone()).await,
            Fate::Late => {
                let patience = Duration::from_secs(120);
                clock.sleep(patience).await;
                Err(TransportError::TimedOut(patience))
            }
            Fate::DieBefore => return self.die().await,
            Fate::DieAfter => {
                let _ = sandbox.answer(request.clone()).await;
                self.lock().after(
                    &request,
                    &Err(TransportError::Broken(io::Error::other("the power failed").into())),
                );
                return self.die().await;
            }
        };
        self.lock().after(&request, &answer);
        answer
    }
}

impl Wire {
    async fn die(&self) -> Result<Response, TransportError> {
        self.lock().plan.dark = true;
        pending().await
    }
}
