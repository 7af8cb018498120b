//! One member between two pretend sides: plans are carried out as the real sides would, and the base follows.

mod perform;

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::model::{
    Contact, ContactId, EmailAddress, FieldKind, Interest, Key, MemberId, MergeTag, Registration,
    RegistrationId, SubscriptionStatus,
};
use crate::reconcile::plan::{MemberPlan, Operation, Planned, Tombstone};
use crate::reconcile::policy::{
    DimensionKind, DimensionRule, Direction, FieldRule, Policy, RegisterFeatures, WorkingGroup,
};
use crate::reconcile::reconcile;
use crate::reconcile::trio::{Base, Trio};

pub(super) use perform::{cut, set};

/// Minutes since an arbitrary beginning.
pub(super) fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + minutes * 60).unwrap()
}

pub(super) fn email(name: &str) -> EmailAddress {
    EmailAddress::parse(&format!("{name}@alliance.test")).unwrap()
}

pub(super) fn tag(name: &str) -> MergeTag {
    MergeTag::parse(name).unwrap()
}

pub(super) fn policy() -> Policy {
    let topics = ["Finance", "Health"].map(str::to_owned);
    Policy {
        fields: [(tag("FNAME"), FieldRule { kind: FieldKind::Text, direction: Direction::Both })].into(),
        dimensions: [(
            crate::model::Dimension::new("topic"),
            DimensionRule { kind: DimensionKind::Checkboxes, known: topics.into() },
        )]
        .into(),
        working_groups: vec![WorkingGroup {
            name: "Finance".to_owned(),
            tag: "WG: Finance".to_owned(),
            any: [Interest::new("topic", "Finance")].into(),
            ..WorkingGroup::default()
        }],
        subscribe_url: Some("https://alliance.us1.list-manage.test/subscribe?u=1&id=2".to_owned()),
        register: RegisterFeatures {
            consent_time: true,
            preferences_url: true,
            sync_note: true,
            working_groups: true,
            ..RegisterFeatures::default()
        },
        ..Policy::default()
    }
}

pub(super) fn row(id: &str, name: &str, status: SubscriptionStatus, minutes: i64) -> Registration {
    Registration {
        id: RegistrationId::new(id),
        email: email(name),
        membership: Some("member".to_owned()),
        status,
        status_changed_at: Some(at(minutes)),
        signup_ip: None,
        signup_at: None,
        created_at: Some(at(minutes)),
        updated_at: Some(at(minutes)),
        fields: [(tag("FNAME"), String::new())].into(),
        interests: BTreeSet::new(),
        preferences_url: Some(String::new()),
        sync_note: Some(String::new()),
        working_groups: Some(BTreeSet::new()),
    }
}

pub(super) fn contact(id: &str, name: &str, status: SubscriptionStatus, minutes: i64) -> Contact {
    Contact {
        contact_id: ContactId::new(id),
        path_id: id.to_owned(),
        email: email(name),
        status,
        fields: [(tag("FNAME"), String::new())].into(),
        interests: BTreeSet::new(),
        group_tags: BTreeSet::new(),
        unique_email_id: format!("u-{name}"),
        last_changed: Some(at(minutes)),
        timestamp_opt: Some(at(minutes)),
    }
}

/// One member, both sides, the base and the time.
pub(super) struct World {
    pub(super) policy: Policy,
    pub(super) local: Vec<Registration>,
    pub(super) remote: Option<Contact>,
    pub(super) base: Option<Base>,
    pub(super) tombstone: Option<Tombstone>,
    pub(super) parked: Option<String>,
    pub(super) taken_remotely: bool,
    pub(super) taken_locally: bool,
    /// Rows that cannot be synchronized as they stand.
    pub(super) unusable: BTreeSet<RegistrationId>,
    /// Contacts that stayed at an old address.
    pub(super) behind: Vec<Contact>,
    /// How often, and at which address, Mailchimp asked for confirmation.
    pub(super) asked: Vec<EmailAddress>,
    /// Minutes since the beginning.
    pub(super) now: i64,
    /// Milliseconds since that minute.
    pub(super) millis: i64,
    /// How many rows and contacts Rosterd created.
    pub(super) n_created: usize,
    /// Whether the contact is out by the person's own hand: Mailchimp lets nobody subscribe it then.
    pub(super) left_by_themselves: bool,
    /// Requests for more consent that are on their way, and when they were made.
    pub(super) late: Vec<(Operation, Timestamp)>,
    /// What became of such requests to confirm.
    pub(super) n_late: LateRequests,
    /// Addresses that were permanently deleted: Mailchimp takes them from nobody but a form of its own.
    pub(super) forgotten: BTreeSet<EmailAddress>,
}

impl World {
    pub(super) fn new(local: Vec<Registration>, remote: Option<Contact>) -> Self {
        Self {
            policy: policy(),
            local,
            remote,
            base: None,
            tombstone: None,
            parked: None,
            taken_remotely: false,
            taken_locally: false,
            unusable: BTreeSet::new(),
            behind: Vec::new(),
            asked: Vec::new(),
            now: 100,
            millis: 0,
            n_created: 0,
            left_by_themselves: false,
            late: Vec::new(),
            n_late: LateRequests::default(),
            forgotten: BTreeSet::new(),
        }
    }

    /// Two sides that agree: subscribed, `a@`, nothing said, all of Rosterd's own columns written.
    pub(super) fn settled() -> Self {
        let mut world = Self::new(
            vec![row("1", "a", SubscriptionStatus::Subscribed, 0)],
            Some(contact("c1", "a", SubscriptionStatus::Subscribed, 1)),
        );
        world.cycle();
        world
    }

    /// The time, as the register writes it.
    pub(super) fn time(&self) -> Timestamp {
        at(self.now) + SignedDuration::from_millis(self.millis)
    }

    /// The time as Mailchimp writes it: in whole seconds.
    pub(super) fn second(&self) -> Timestamp {
        Timestamp::from_second(self.time().as_second()).unwrap()
    }

    pub(super) fn trio(&self) -> Trio {
        Trio {
            id: MemberId(1),
            base: self.base.clone(),
            local: self.local.clone(),
            unusable: self.unusable.clone(),
            remote: self.remote.clone(),
            tombstone: self
                .tombstone
                .clone()
                .filter(|_| self.base.as_ref().is_none_or(Base::is_first_meeting)),
            parked: self.parked.clone(),
            taken_remotely: self.taken_remotely,
            taken_locally: self.taken_locally,
            observed_at: self.time(),
        }
    }

    pub(super) fn plan(&self) -> MemberPlan {
        let plan = reconcile(&self.trio(), &self.policy);
        assert_eq!(plan, reconcile(&self.trio(), &self.policy), "the same input gives the same plan");
        plan
    }

    /// What is planned, in words, Rosterd's own columns left out.
    pub(super) fn planned(&self) -> Vec<String> {
        self.plan().operations.iter().filter_map(|planned| words(&planned.operation)).collect()
    }

    /// A cycle: up to three rounds, after which nothing may be left to do. What was done, in words.
    pub(super) fn cycle(&mut self) -> Vec<String> {
        let mut done = Vec::new();
        for _ in 0..3 {
            done.extend(self.round(|_| Fate::Done));
        }
        let left: Vec<_> = self.plan().operations;
        assert!(left.is_empty(), "not at rest after {done:?}: {left:?}");
        self.now += 10;
        done
    }

    /// A round of which some operations are left out, or whose outcome is lost.
    pub(super) fn round(&mut self, fate: impl Fn(&Planned) -> Fate) -> Vec<String> {
        let n_late = self.late.len();
        let done = self.round_of(self.plan(), fate);
        for (operation, _) in self.late.drain(..n_late).collect::<Vec<_>>() {
            self.land(&operation);
        }
        done
    }

    /// What was on its way for as long as `age` is carried out.
    pub(super) fn land_what_is_older(&mut self, age: SignedDuration) {
        let now = self.time();
        for (operation, made) in std::mem::take(&mut self.late) {
            if now.duration_since(made) >= age {
                self.land(&operation);
            } else {
                self.late.push((operation, made));
            }
        }
    }

    fn round_of(&mut self, plan: MemberPlan, fate: impl Fn(&Planned) -> Fate) -> Vec<String> {
        if let Some(tombstone) = plan.tombstone {
            self.tombstone = Some(tombstone);
            self.base = None;
            return Vec::new();
        }
        if plan.base.is_some() {
            self.base = plan.base;
        }
        let mut done = Vec::new();
        for planned in plan.operations {
            let fate = fate(&planned);
            let operation = planned.operation;
            let before = self.base.clone();
            if let Some(base) = before.as_ref().filter(|_| !matches!(fate, Fate::LeftOut | Fate::Stopped)) {
                let asking = base.asking(&operation, self.remote.as_ref(), self.time());
                let noted = asking.or(base.leaving(&operation, &self.local, self.remote.as_ref()));
                self.base = noted.or(self.base.take());
            }
            let base = before.clone().unwrap_or_default();
            match fate {
                Fate::LeftOut => continue,
                Fate::Stopped => return done,
                Fate::HalfDone => {
                    let before = self.local.clone();
                    if self.perform(&operation).is_ok() {
                        self.local.iter_mut().zip(before).skip(1).for_each(|(row, was)| *row = was);
                        let now = self.time();
                        self.base = self.base.take().map(|base| base.without_hearing_of(&operation, now));
                    }
                    return done;
                }
                // One at a time: of two that overtake each other's answers, Mailchimp mails for both.
                Fate::Late if raises_consent(&operation) && self.late.is_empty() => {
                    self.late.push((operation.clone(), self.time()));
                    self.n_late.made += usize::from(asks_to_confirm(&operation));
                    let base = self.base.take().unwrap_or_default();
                    self.base = Some(base.without_hearing_of(&operation, self.time()));
                    return done;
                }
                Fate::Done | Fate::OutcomeLost | Fate::Late => (),
            }
            if let Err(said) = self.perform(&operation) {
                self.base = before;
                self.parked = Some(said.to_owned());
                return done;
            }
            if matches!(fate, Fate::OutcomeLost | Fate::Late) {
                let base = self.base.take().unwrap_or_default();
                self.base = Some(base.without_hearing_of(&operation, self.time()));
                return done;
            }
            self.base = Some(base.after(&operation, &self.local, self.remote.as_ref(), &self.policy));
            done.extend(words(&operation));
        }
        done
    }

    /// The person says so in Mailchimp: a form, a confirmation, the link in a newsletter.
    pub(super) fn person_in_mailchimp(&mut self, status: SubscriptionStatus) {
        self.now += 1;
        let now = Some(at(self.now));
        let contact = self.remote.as_mut().unwrap();
        contact.status = status;
        contact.last_changed = now;
        if status == SubscriptionStatus::Subscribed {
            contact.timestamp_opt = now;
        }
        self.now += 1;
    }

    /// The person says so on the website, in the newest row.
    pub(super) fn person_on_website(&mut self, status: SubscriptionStatus) {
        self.now += 1;
        let now = Some(at(self.now));
        let row = self.local.last_mut().unwrap();
        (row.status, row.status_changed_at, row.updated_at) = (status, now, now);
        self.now += 1;
    }

    pub(super) fn statuses(&self) -> (Vec<SubscriptionStatus>, Option<SubscriptionStatus>) {
        let contact = self.remote.as_ref().map(|contact| contact.status);
        (self.local.iter().map(|row| row.status).collect(), contact)
    }

    pub(super) fn note(&self) -> &str {
        self.local.last().and_then(|row| row.sync_note.as_deref()).unwrap()
    }
}

/// What becomes of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Done,
    /// Held.
    LeftOut,
    /// Its row changed meanwhile: what else was planned for the member is left to the next cycle.
    Stopped,
    /// Written to the oldest row only, and the next one changed meanwhile.
    HalfDone,
    /// Written, but the process died before the base moved.
    OutcomeLost,
    /// The same, but where more consent is asked for it is carried out after the next round, a few minutes later at most.
    Late,
}

/// How many requests to confirm were on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LateRequests {
    pub(super) made: usize,
    pub(super) mailed: usize,
    /// Those that were refused or changed nothing.
    pub(super) in_vain: usize,
}

pub(super) fn asks_to_confirm(operation: &Operation) -> bool {
    match operation {
        Operation::RemoteStatus { decided, .. } | Operation::RemoteCreate { decided, .. } => {
            decided.get() == SubscriptionStatus::Pending
        }
        _ => false,
    }
}

fn raises_consent(operation: &Operation) -> bool {
    match operation {
        Operation::RemoteStatus { decided, .. } | Operation::RemoteCreate { decided, .. } => {
            decided.raises_consent()
        }
        _ => false,
    }
}

/// An operation in a few words; none for Rosterd's own columns.
pub(super) fn words(operation: &Operation) -> Option<String> {
    let keys = |keys: Vec<&Key>| keys.into_iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    let words = match operation {
        Operation::RemoteStatus { decided, .. } => format!("remote {}", decided.get()),
        Operation::RemoteArchive { .. } => "remote archive".to_owned(),
        Operation::RemoteCreate { email, decided, .. } => format!("remote create {} {email}", decided.get()),
        Operation::RemoteLeave { .. } => "remote leave".to_owned(),
        Operation::RemoteRename { to } => format!("remote rename {to}"),
        Operation::RemoteUpdate { changes, .. } => {
            format!("remote update {}", keys(changes.keys().collect()))
        }
        Operation::RemoteTags { tags, .. } => format!("remote tags {tags:?}"),
        Operation::LocalStatus { status, .. } => format!("local {status}"),
        Operation::LocalCreate { email, .. } => format!("local create {email}"),
        Operation::LocalRename { from, to } => format!("local rename {from} {to}"),
        Operation::LocalUpdate { row, changes, .. } => {
            format!("local update {row} {}", keys(changes.keys().collect()))
        }
        Operation::LocalKeep { .. } => return None,
    };
    Some(words.replace("@alliance.test", ""))
}
