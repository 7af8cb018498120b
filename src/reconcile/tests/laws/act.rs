//! What may happen to one person between two sides, as a story that reads.

use std::fmt;

use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::{collection, option, sample};

use crate::reconcile::policy::{GoneLocal, NewLocal, NewRemote, Policy, Prefer, Resubscribe};
use crate::reconcile::tests::world::Fate;

/// Texts that somebody may enter. Mailchimp trims the fourth and cuts the last.
pub(super) const WORDS: [&str; 5] = ["Ada", "Bo", "", " Cy ", LONG];
const LONG: &str = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft \
    Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft \
    Donaudampfschifffahrtselektrizitaetenhauptbetriebswerkbauunterbeamtengesellschaft \
    and so on";
/// The addresses of one person.
pub(super) const ADDRESSES: [&str; 3] = ["a", "b", "c"];
pub(super) const TOPICS: [&str; 2] = ["Finance", "Health"];
pub(super) const REGIONS: [&str; 2] = ["Africa", "Asia"];
pub(super) const SECTORS: [&str; 2] = ["Cities", "Schools"];

/// The time that the register writes beside a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dated {
    Now,
    Missing,
    /// By a clock that is a month ahead.
    Ahead,
}

/// One change of one value.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Name(&'static str),
    /// A field that goes to Mailchimp only.
    Code(&'static str),
    Topic(&'static str, bool),
    Region(Option<&'static str>),
    Sector(&'static str, bool),
}

/// One event of a story.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// The form on the website inserts a row.
    Registers(Edit),
    RegistersPending,
    SubscribesOnWebsite(Dated),
    PendingOnWebsite(Dated),
    LeavesOnWebsite(Dated),
    EditsRow(usize, Edit),
    MovesRow(usize, &'static str),
    RowRemoved(usize),
    RowsRemoved,
    BackupTaken,
    BackupRestored,
    EditsContact(Edit),
    MovesContact(&'static str),
    LeavesByTheLink,
    Complains,
    Bounces,
    SignsUpByTheForm,
    AsksByTheForm,
    Confirms,
    StaffSubscribe,
    StaffUnsubscribe,
    StaffArchive,
    StaffDelete,
    InterestVanishes(&'static str),
    InterestReturns(&'static str),
    /// One cycle; of the operations in their order this becomes, and of all others what was planned.
    Cycle(Vec<Fate>),
}

/// An act, and how long after the one before it.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) millis: i64,
    pub(super) act: Act,
}

/// The policies of one story.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) new_local: NewLocal,
    pub(super) new_remote: NewRemote,
    pub(super) resubscribe: Resubscribe,
    pub(super) gone_local: GoneLocal,
    pub(super) prefer: Prefer,
    pub(super) consent_time: bool,
    /// Whether the register has words for `subscribed` and `unsubscribed` alone.
    pub(super) two_words: bool,
}

/// A whole story.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) rules: Rules,
    pub(super) steps: Vec<Step>,
}

impl Rules {
    pub(super) fn apply(self, policy: &mut Policy) {
        policy.new_local = self.new_local;
        policy.new_remote = self.new_remote;
        policy.resubscribe = self.resubscribe;
        policy.gone_local = self.gone_local;
        policy.prefer = self.prefer;
        policy.register.consent_time = self.consent_time;
        (policy.register.lacks_pending, policy.register.lacks_cleaned) = (self.two_words, self.two_words);
    }
}

pub(super) fn stories() -> impl Strategy<Value = Story> {
    (rules(), option::weighted(0.7, Just(())), collection::vec(steps(), 1..16)).prop_map(
        |(rules, settled, mut steps)| {
            if settled.is_some() {
                let both = [Act::Registers(Edit::Name("Ada")), Act::SignsUpByTheForm, Act::Cycle(Vec::new())];
                steps.splice(0..0, both.map(|act| Step { millis: 60_000, act }));
            }
            Story { rules, steps }
        },
    )
}

fn rules() -> impl Strategy<Value = Rules> {
    use sample::select;
    let new_local =
        select(vec![NewLocal::Subscribe, NewLocal::Subscribe, NewLocal::Confirm, NewLocal::Ignore]);
    let new_remote = select(vec![NewRemote::Create, NewRemote::Create, NewRemote::Create, NewRemote::Ignore]);
    let resubscribe = select(vec![Resubscribe::Confirm, Resubscribe::Direct, Resubscribe::Never]);
    let gone_local = select(vec![GoneLocal::Archive, GoneLocal::Unsubscribe, GoneLocal::Leave]);
    let prefer = select(vec![Prefer::Newest, Prefer::Local, Prefer::Remote]);
    let consent_time = select(vec![true, true, true, false]);
    (new_local, new_remote, resubscribe, gone_local, prefer, consent_time).prop_map(
        |(new_local, new_remote, resubscribe, gone_local, prefer, consent_time)| Rules {
            new_local,
            new_remote,
            resubscribe,
            gone_local,
            prefer,
            consent_time,
            two_words: false,
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let millis = prop_oneof![3 => Just(60_000_i64), 1 => Just(0_i64), 2 => 0_i64..1_500];
    (millis, acts()).prop_map(|(millis, act)| Step { millis, act })
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => cycles(),
        9 => on_the_website(),
        9 => in_mailchimp(),
        1 => interests().prop_map(Act::InterestVanishes),
        1 => interests().prop_map(Act::InterestReturns),
    ]
}

fn on_the_website() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => edits().prop_map(Act::Registers),
        1 => Just(Act::RegistersPending),
        3 => dated().prop_map(Act::SubscribesOnWebsite),
        1 => dated().prop_map(Act::PendingOnWebsite),
        3 => dated().prop_map(Act::LeavesOnWebsite),
        5 => (0_usize..2, edits()).prop_map(|(nth, edit)| Act::EditsRow(nth, edit)),
        2 => (0_usize..2, sample::select(&ADDRESSES[..])).prop_map(|(nth, to)| Act::MovesRow(nth, to)),
        1 => (0_usize..2).prop_map(Act::RowRemoved),
        1 => Just(Act::RowsRemoved),
        1 => Just(Act::BackupTaken),
        2 => Just(Act::BackupRestored),
    ]
}

fn in_mailchimp() -> impl Strategy<Value = Act> {
    prop_oneof![
        5 => edits().prop_map(Act::EditsContact),
        2 => sample::select(&ADDRESSES[..]).prop_map(Act::MovesContact),
        3 => Just(Act::LeavesByTheLink),
        1 => Just(Act::Complains),
        2 => Just(Act::Bounces),
        3 => Just(Act::SignsUpByTheForm),
        1 => Just(Act::AsksByTheForm),
        2 => Just(Act::Confirms),
        2 => Just(Act::StaffSubscribe),
        1 => Just(Act::StaffUnsubscribe),
        1 => Just(Act::StaffArchive),
        1 => Just(Act::StaffDelete),
    ]
}

fn edits() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => sample::select(&WORDS[..]).prop_map(Edit::Name),
        1 => sample::select(&WORDS[..]).prop_map(Edit::Code),
        3 => (sample::select(&TOPICS[..]), any::<bool>()).prop_map(|(name, on)| Edit::Topic(name, on)),
        3 => option::weighted(0.7, sample::select(&REGIONS[..])).prop_map(Edit::Region),
        2 => (sample::select(&SECTORS[..]), any::<bool>()).prop_map(|(name, on)| Edit::Sector(name, on)),
    ]
}

fn interests() -> impl Strategy<Value = &'static str> {
    sample::select(vec![TOPICS[0], TOPICS[1], REGIONS[0], REGIONS[1]])
}

fn dated() -> impl Strategy<Value = Dated> {
    prop_oneof![6 => Just(Dated::Now), 1 => Just(Dated::Missing), 1 => Just(Dated::Ahead)]
}

fn cycles() -> impl Strategy<Value = Act> {
    let fate = prop_oneof![
        4 => Just(Fate::Done),
        1 => Just(Fate::LeftOut),
        2 => Just(Fate::Stopped),
        2 => Just(Fate::OutcomeLost),
        2 => Just(Fate::Late),
        1 => Just(Fate::HalfDone),
    ];
    prop_oneof![
        2 => Just(Act::Cycle(Vec::new())),
        1 => collection::vec(fate, 1..4).prop_map(Act::Cycle),
    ]
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rules { new_local, new_remote, resubscribe, gone_local, prefer, consent_time, two_words } =
            self.rules;
        writeln!(
            f,
            "  under new_local {new_local:?}, new_remote {new_remote:?}, resubscribe {resubscribe:?}, gone_local \
             {gone_local:?}, prefer {prefer:?}, consent time {}{}",
            if consent_time { "mapped" } else { "not mapped" },
            if two_words { ", two words for where they stand" } else { "" }
        )
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registers(edit) => write!(f, "registers on the website: {edit:?}"),
            Self::RegistersPending => f.write_str("registers on the website, which waits for a confirmation"),
            Self::SubscribesOnWebsite(dated) => write!(f, "subscribes on the website, dated {dated:?}"),
            Self::PendingOnWebsite(dated) => {
                write!(f, "the website waits for a confirmation, dated {dated:?}")
            }
            Self::LeavesOnWebsite(dated) => write!(f, "leaves on the website, dated {dated:?}"),
            Self::EditsRow(nth, edit) => write!(f, "edits row {nth} from the newest: {edit:?}"),
            Self::MovesRow(nth, to) => write!(f, "changes the address in row {nth} from the newest to {to}"),
            Self::RowRemoved(nth) => write!(f, "row {nth} from the newest is removed"),
            Self::RowsRemoved => f.write_str("all rows are removed"),
            Self::BackupTaken => f.write_str("the register is backed up"),
            Self::BackupRestored => f.write_str("the register is restored from the backup"),
            Self::EditsContact(edit) => write!(f, "edits in the preference center: {edit:?}"),
            Self::MovesContact(to) => write!(f, "changes the address in the preference center to {to}"),
            Self::LeavesByTheLink => f.write_str("leaves by the link in a newsletter"),
            Self::Complains => f.write_str("complains of spam"),
            Self::Bounces => f.write_str("the address bounces"),
            Self::SignsUpByTheForm => f.write_str("signs up by Mailchimp's form"),
            Self::AsksByTheForm => f.write_str("signs up by Mailchimp's form, which asks for a confirmation"),
            Self::Confirms => f.write_str("confirms"),
            Self::StaffSubscribe => f.write_str("staff subscribe them in Mailchimp"),
            Self::StaffUnsubscribe => f.write_str("staff unsubscribe them in Mailchimp"),
            Self::StaffArchive => f.write_str("staff archive them in Mailchimp"),
            Self::StaffDelete => f.write_str("staff delete them permanently in Mailchimp"),
            Self::InterestVanishes(name) => write!(f, "{name} vanishes from the audience"),
            Self::InterestReturns(name) => write!(f, "{name} is in the audience again"),
            Self::Cycle(fates) if fates.is_empty() => f.write_str("a cycle"),
            Self::Cycle(fates) => write!(f, "a round whose operations end {fates:?}"),
        }
    }
}
