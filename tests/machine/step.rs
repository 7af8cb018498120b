//! What a history is made of: each step can be written down in a test as it is printed.

use rosterd::reconcile::policy::{GoneLocal, NewLocal, Prefer, Resubscribe};

use crate::chance::Chance;
use crate::ground::{BLANKS, LONG};

/// One of a handful of addresses, by its number.
pub(crate) type Address = u8;

/// How many addresses there are.
pub(crate) const ADDRESSES: u8 = 5;

/// How many interests there are.
pub(crate) const TOPICS: u8 = 3;

/// A merge field, as both sides have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Field {
    First,
    Last,
}

/// What somebody does on one of the sides. Numbers behind addresses make values: each is entered once in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The website's form inserts a row.
    Register(Address, u16),
    /// It does so and asks for a confirmation of its own.
    RegisterPending(Address, u16),
    /// A row's field is changed on the website; 0 empties it.
    Write(Address, Field, u16),
    TickLocal(Address, u8),
    UntickLocal(Address, u8),
    /// Every row of the address.
    LeaveLocal(Address),
    /// Only the newest.
    LeaveNewest(Address),
    /// Back, or confirmed on the website.
    ReturnLocal(Address),
    /// So, but the website's clock is ahead.
    LeaveAhead(Address),
    ReturnAhead(Address),
    MoveLocal(Address, Address),
    Delete(Address),
    SoftDelete(Address),
    /// The row deleted last is back as it was, with its old times.
    RestoreRow,
    /// A restored backup: subscribed since long ago.
    RestoreStatus(Address),
    /// The hosted form of Mailchimp's.
    Form(Address, u16),
    Confirm(Address),
    Edit(Address, Field, u16),
    Tick(Address, u8),
    Untick(Address, u8),
    Unsubscribe(Address),
    Complain(Address),
    Bounce(Address),
    Move(Address, Address),
    StaffAdd(Address, u16),
    StaffArchive(Address),
    StaffUnarchive(Address),
    StaffResubscribe(Address),
    StaffUnsubscribe(Address),
    StaffDelete(Address),
    /// A pending contact that never confirmed disappears.
    Expire(Address),
    /// A tag that the mapping does not name.
    StaffTag(Address, u8),
}

/// What the wire or Mailchimp does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storm {
    TooMany,
    Bare403,
    Error500,
    Html502,
    Html503,
    CutBefore,
    CutAfter,
    TimeOutBefore,
    TimeOutAfter,
    Truncated,
}

pub(crate) const STORMS: [Storm; 10] = [
    Storm::TooMany,
    Storm::Bare403,
    Storm::Error500,
    Storm::Html502,
    Storm::Html503,
    Storm::CutBefore,
    Storm::CutAfter,
    Storm::TimeOutBefore,
    Storm::TimeOutAfter,
    Storm::Truncated,
];

/// Where the process dies in a cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// Before a request of the cycle had its effect.
    Before(u16),
    /// After it had, unheard.
    After(u16),
    /// At an await point.
    Poll(u16),
}

/// One step of a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Do(Act),
    /// Milliseconds.
    Wait(u32),
    /// The clock is set to another time, by so many minutes.
    Jump(i16),
    /// Before the request of this number of the next cycle.
    Meanwhile(u16, Act),
    /// Before the row of this number is written in the next cycle.
    Between(u16, Act),
    /// At the await point of this number of the next cycle.
    Amid(u16, Act),
    /// On the writes only, or on any request; so many pass first, so many are met.
    Weather(Storm, bool, u8, u8),
    /// The write of this number of the next cycle times out, and lands only after it.
    Late(u16),
    /// The address "has signed up to a lot of lists".
    Throttle(Address),
    Unthrottle(Address),
    /// Another program holds the register between these requests of the next cycle.
    Busy(u16, u16),
    Sync,
    SyncFull,
    SyncDying(Death),
    SyncFullDying(Death),
    Restart,
    LoseState,
    BackUp,
    RestoreBackUp,
    Approve,
    Reject,
}

/// How the world of a history is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub(crate) new_local: NewLocal,
    pub(crate) resubscribe: Resubscribe,
    pub(crate) gone_local: GoneLocal,
    pub(crate) prefer: Prefer,
    /// Topics are tags, not a category.
    pub(crate) tags: bool,
    /// Only one topic can be chosen.
    pub(crate) radio: bool,
    pub(crate) double_optin: bool,
    pub(crate) archived_refused_in_bulk: bool,
    pub(crate) tags_move_last_changed: bool,
    pub(crate) since_is_inclusive: bool,
    pub(crate) odd_ids: bool,
    /// The guard holds nearly everything that it counts.
    pub(crate) tight_guard: bool,
    /// The register's mapping does not tell when somebody said that they are in or out.
    pub(crate) undated: bool,
    /// Quiet comes without a full reading, where nothing happened that only such a one shows.
    pub(crate) by_changes: bool,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            new_local: NewLocal::Subscribe,
            resubscribe: Resubscribe::Confirm,
            gone_local: GoneLocal::Archive,
            prefer: Prefer::Newest,
            tags: false,
            radio: false,
            double_optin: false,
            archived_refused_in_bulk: false,
            tags_move_last_changed: true,
            since_is_inclusive: false,
            odd_ids: false,
            tight_guard: false,
            undated: false,
            by_changes: false,
        }
    }
}

/// What may happen in a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worldliness {
    /// What every day brings.
    Usual,
    /// Also clocks that are wrong or jump, and a register that tells no times of consent.
    Wide,
}

/// A whole history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) setting: Setting,
    pub(crate) steps: Vec<Step>,
}

impl Script {
    /// The history that follows from a seed.
    pub(crate) fn from_seed(seed: u64, world: Worldliness) -> Self {
        let mut chance = Chance::new(seed);
        let wide = world == Worldliness::Wide;
        let setting = setting(&mut chance, wide);
        let clock_jumps = wide && chance.happens(8);
        let mut author = Author { chance, n_values: 0, wide, clock_jumps };
        let mut steps = Vec::new();
        for _ in 0..author.chance.below(5) {
            let act = author.beginning();
            steps.push(Step::Do(act));
        }
        steps.push(Step::SyncFull);
        let n_steps = 5 + author.chance.below(26);
        for _ in 0..n_steps {
            match author.chance.happens(4) {
                true => steps.extend(author.change_of_mind()),
                false => steps.push(author.step()),
            }
        }
        Self { setting, steps }
    }
}

fn setting(chance: &mut Chance, wide: bool) -> Setting {
    let tags = chance.happens(25);
    Setting {
        new_local: chance.one_of(&[NewLocal::Subscribe, NewLocal::Subscribe, NewLocal::Confirm]),
        resubscribe: chance.one_of(&[
            Resubscribe::Confirm,
            Resubscribe::Confirm,
            Resubscribe::Direct,
            Resubscribe::Never,
        ]),
        gone_local: chance.one_of(&[
            GoneLocal::Archive,
            GoneLocal::Archive,
            GoneLocal::Unsubscribe,
            GoneLocal::Leave,
        ]),
        prefer: chance.one_of(&[Prefer::Newest, Prefer::Newest, Prefer::Local, Prefer::Remote]),
        tags,
        radio: !tags && chance.happens(20),
        double_optin: chance.happens(25),
        archived_refused_in_bulk: chance.happens(50),
        tags_move_last_changed: chance.happens(70),
        since_is_inclusive: chance.happens(30),
        odd_ids: chance.happens(20),
        tight_guard: chance.happens(20),
        undated: wide && chance.happens(12),
        by_changes: chance.happens(40),
    }
}

struct Author {
    chance: Chance,
    n_values: u16,
    wide: bool,
    clock_jumps: bool,
}

impl Author {
    /// Few addresses are met often, so that things happen to the same people.
    fn address(&mut self) -> Address {
        let bound = self.chance.one_of(&[2, 3, ADDRESSES]);
        u8::try_from(self.chance.below(u32::from(bound))).unwrap()
    }

    fn value(&mut self) -> u16 {
        self.n_values += 1;
        match self.chance.happens(15) {
            true => self.n_values + self.chance.one_of(&[BLANKS, LONG]),
            false => self.n_values,
        }
    }

    fn value_or_none(&mut self) -> u16 {
        if self.chance.happens(20) { 0 } else { self.value() }
    }

    fn topic(&mut self) -> u8 {
        u8::try_from(self.chance.below(u32::from(TOPICS))).unwrap()
    }

    fn field(&mut self) -> Field {
        self.chance.one_of(&[Field::First, Field::Last])
    }

    fn beginning(&mut self) -> Act {
        let address = self.address();
        match self.chance.below(4) {
            0 | 1 => Act::Register(address, self.value()),
            2 => Act::StaffAdd(address, self.value()),
            _ => Act::Form(address, self.value()),
        }
    }

    fn act(&mut self) -> Act {
        let a = self.address();
        match self.chance.below(if self.wide { 64 } else { 62 }) {
            0..=5 => Act::Register(a, self.value()),
            6 => Act::RegisterPending(a, self.value()),
            7..=9 => Act::Write(a, self.field(), self.value_or_none()),
            10 | 11 => Act::TickLocal(a, self.topic()),
            12 | 13 => Act::UntickLocal(a, self.topic()),
            14..=17 => Act::LeaveLocal(a),
            18 => Act::LeaveNewest(a),
            19..=22 => Act::ReturnLocal(a),
            23 | 24 => Act::MoveLocal(a, self.address()),
            25 | 26 => Act::Delete(a),
            27 => Act::SoftDelete(a),
            28 => Act::RestoreRow,
            29 => Act::RestoreStatus(a),
            30..=33 => Act::Form(a, self.value()),
            34..=36 => Act::Confirm(a),
            37..=39 => Act::Edit(a, self.field(), self.value_or_none()),
            40 | 41 => Act::Tick(a, self.topic()),
            42 | 43 => Act::Untick(a, self.topic()),
            44..=47 => Act::Unsubscribe(a),
            48 => Act::Complain(a),
            49 | 50 => Act::Bounce(a),
            51 | 52 => Act::Move(a, self.address()),
            53 => Act::StaffAdd(a, self.value()),
            54 | 55 => Act::StaffArchive(a),
            56 => Act::StaffUnarchive(a),
            57 => Act::StaffResubscribe(a),
            58 => Act::StaffUnsubscribe(a),
            59 => Act::StaffDelete(a),
            60 => Act::Expire(a),
            62 => Act::LeaveAhead(a),
            63 => Act::ReturnAhead(a),
            _ => Act::StaffTag(a, self.topic()),
        }
    }

    fn step(&mut self) -> Step {
        match self.chance.below(100) {
            0..=44 => Step::Do(self.act()),
            45 | 46 if self.clock_jumps => Step::Jump(self.chance.one_of(&[-60, -60, -61, -2, 2, 60, 60])),
            45..=53 => Step::Wait(self.wait()),
            54..=56 => Step::Meanwhile(self.request(), self.act()),
            57 => Step::Amid(self.poll(), self.act()),
            58 | 59 => Step::Between(self.small(), self.act()),
            60..=65 => self.weather(),
            66 | 67 => Step::Late(self.small()),
            68 => self.throttle(),
            69 => Step::Busy(self.small(), self.request() + 1),
            70..=82 => Step::Sync,
            83..=85 => Step::SyncFull,
            86..=90 => Step::SyncDying(self.death()),
            91 => Step::SyncFullDying(self.death()),
            92 => Step::Restart,
            93 => self.chance.one_of(&[Step::LoseState, Step::RestoreBackUp]),
            94 | 95 => Step::BackUp,
            96..=98 => Step::Approve,
            _ => Step::Reject,
        }
    }

    /// Somebody leaves, comes back, and leaves again while a cycle is about to say so.
    fn change_of_mind(&mut self) -> Vec<Step> {
        let a = self.address();
        let n = self.value();
        let leaving = [
            Act::LeaveLocal(a),
            Act::Unsubscribe(a),
            Act::Complain(a),
            Act::StaffArchive(a),
            Act::StaffDelete(a),
            Act::Delete(a),
            // Whoever is still out in Mailchimp can leave again in the register only.
            Act::LeaveLocal(a),
            Act::LeaveLocal(a),
            Act::LeaveLocal(a),
        ];
        let out = self.chance.one_of(&leaving[..5]);
        let back = self.chance.one_of(&[
            Act::ReturnLocal(a),
            Act::ReturnLocal(a),
            Act::Register(a, n),
            Act::RegisterPending(a, n),
            Act::Form(a, n),
        ]);
        let again = self.chance.one_of(&leaving);
        let amid = match self.chance.below(2) {
            0 => Step::Amid(self.poll(), again),
            _ => Step::Meanwhile(1 + u16::try_from(self.chance.below(5)).unwrap(), again),
        };
        vec![Step::Do(out), Step::Sync, Step::Wait(self.wait()), Step::Do(back), amid, Step::Sync]
    }

    /// Often within one second, now and then a minute, an hour or a day.
    fn wait(&mut self) -> u32 {
        let bound = self.chance.one_of(&[1_000, 1_000, 3_000, 90_000, 4_000_000, 90_000_000]);
        1 + self.chance.below(bound)
    }

    fn request(&mut self) -> u16 {
        1 + u16::try_from(self.chance.below(9)).unwrap()
    }

    fn small(&mut self) -> u16 {
        1 + u16::try_from(self.chance.below(3)).unwrap()
    }

    fn weather(&mut self) -> Step {
        let (storm, writes) = (self.chance.one_of(&STORMS), self.chance.happens(60));
        let skip = u8::try_from(self.chance.below(4)).unwrap();
        Step::Weather(storm, writes, skip, self.chance.one_of(&[1, 1, 2, 9]))
    }

    fn throttle(&mut self) -> Step {
        let address = self.address();
        if self.chance.happens(60) { Step::Throttle(address) } else { Step::Unthrottle(address) }
    }

    fn death(&mut self) -> Death {
        match self.chance.below(4) {
            0 => Death::Before(self.request()),
            1 => Death::After(self.request()),
            _ => Death::Poll(self.poll()),
        }
    }

    /// An idle cycle has about as many await points.
    fn poll(&mut self) -> u16 {
        u16::try_from(self.chance.below(220)).unwrap()
    }
}
