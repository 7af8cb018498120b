//! Plays a story on the pretend sides, and tells it.

use std::cell::RefCell;

use jiff::SignedDuration;

use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Unsubscribed};
use crate::model::{Contact, ContactId, EmailAddress, Interest, Key, Registration, SubscriptionStatus};
use crate::reconcile::plan::{Class, MemberPlan, Planned};
use crate::reconcile::policy::{DimensionKind, DimensionRule, Direction, FieldRule, Policy};
use crate::reconcile::tests::laws::act::{Act, Dated, Edit, REGIONS, Rules, Step};
use crate::reconcile::tests::laws::ledger::Ledger;
use crate::reconcile::tests::laws::shown::{key_of, value_of};
use crate::reconcile::tests::world::{Fate, World, cut, email, policy, row, set, tag};

/// A month: no story lasts as long.
const AHEAD: i64 = 30 * 24 * 60;

/// No request is carried out later than this after it was made, and before somebody looks again.
const LATEST: SignedDuration = SignedDuration::from_mins(3);

/// The sides with what happened to them.
pub(super) struct Stage {
    pub(super) world: World,
    pub(super) ledger: Ledger,
    pub(super) told: Vec<String>,
    backup: Option<(Vec<Registration>, Ledger)>,
    n_rows: usize,
    n_contacts: usize,
}

/// The policy of all stories: a field both ways, one to Mailchimp only, checkboxes, a radio choice and tags.
fn mapping(rules: Rules) -> Policy {
    let mut policy = policy();
    let code = FieldRule { direction: Direction::ToMailchimp, ..FieldRule::default() };
    policy.fields.insert(tag("CODE"), code);
    let regions = REGIONS.map(str::to_owned).into();
    let region = DimensionRule { kind: DimensionKind::Choice, known: regions };
    policy.dimensions.insert(crate::model::Dimension::new("region"), region);
    let kind = DimensionKind::Tags { prefix: "sector: ".to_owned() };
    let sector = DimensionRule { kind, known: Default::default() };
    policy.dimensions.insert(crate::model::Dimension::new("sector"), sector);
    rules.apply(&mut policy);
    policy
}

impl Stage {
    pub(super) fn new(rules: Rules) -> Self {
        let mut world = World::new(Vec::new(), None);
        world.policy = mapping(rules);
        Self { world, ledger: Ledger::default(), told: Vec::new(), backup: None, n_rows: 0, n_contacts: 0 }
    }

    /// Lets something happen that is no cycle.
    pub(super) fn happen(&mut self, step: &Step) -> Result<(), String> {
        self.world.millis += step.millis;
        let n_told = self.told.len();
        self.told.push(format!("  +{:>5.1} s  {}", step.millis as f64 / 1000.0, step.act));
        self.land(LATEST)?;
        let before = self.ledger.look(&self.world);
        if !matches!(step.act, Act::Cycle(_) | Act::BackupTaken) {
            self.world.parked = None;
        }
        if self.act(&step.act).is_none() && !matches!(step.act, Act::Cycle(_)) {
            self.told[n_told].push_str(" (in vain)");
        }
        self.ledger.note_edits(&before, &self.world);
        Ok(())
    }

    /// What was on its way for as long as `age` is carried out, and mails whom it mails.
    pub(super) fn land(&mut self, age: SignedDuration) -> Result<(), String> {
        self.world.land_what_is_older(age);
        self.ledger.count_mails(&self.world)
    }

    fn act(&mut self, act: &Act) -> Option<()> {
        match act {
            Act::Cycle(_) => None,
            Act::Registers(edit) => self.register(Subscribed, Some(edit)),
            Act::RegistersPending => self.register(Pending, None),
            Act::SubscribesOnWebsite(dated) => self.say_on_website(Subscribed, *dated),
            Act::PendingOnWebsite(dated) => self.say_on_website(Pending, *dated),
            Act::LeavesOnWebsite(dated) => self.say_on_website(Unsubscribed, *dated),
            Act::EditsRow(nth, edit) => {
                let time = self.world.time();
                let row = self.world.local.iter_mut().rev().nth(*nth)?;
                set(&mut row.fields, &mut row.interests, &key_of(edit), &value_of(edit));
                row.updated_at = Some(time);
                Some(())
            }
            Act::MovesRow(nth, to) => {
                let time = self.world.time();
                let place = self.world.local.len().checked_sub(nth + 1)?;
                self.is_linked(&self.world.local[place]).then_some(())?;
                let row = &mut self.world.local[place];
                (row.email, row.updated_at) = (email(to), Some(time));
                self.ledger.may_be_asked();
                Some(())
            }
            Act::RowRemoved(nth) => {
                let place = self.world.local.len().checked_sub(nth + 1)?;
                // Where no time tells an older row from a person who is back, one who approves may have them asked.
                if !self.world.policy.register.consent_time {
                    self.ledger.may_be_asked();
                }
                self.remove_rows(place..place + 1)
            }
            Act::RowsRemoved => {
                self.world.local.first()?;
                self.remove_rows(0..self.world.local.len())
            }
            Act::BackupTaken => {
                self.backup = Some((self.world.local.clone(), self.ledger.clone()));
                Some(())
            }
            Act::BackupRestored => self.restore(),
            Act::InterestVanishes(name) => self.vanish(name),
            Act::InterestReturns(name) => {
                let rule = self.world.policy.dimensions.get_mut(&dimension_of(name))?;
                rule.known.insert((*name).to_owned()).then_some(())
            }
            Act::EditsContact(_)
            | Act::MovesContact(_)
            | Act::LeavesByTheLink
            | Act::Complains
            | Act::Bounces
            | Act::SignsUpByTheForm
            | Act::AsksByTheForm
            | Act::Confirms
            | Act::StaffSubscribe
            | Act::StaffUnsubscribe
            | Act::StaffArchive
            | Act::StaffDelete => self.act_in_mailchimp(act),
        }
    }

    fn register(&mut self, status: SubscriptionStatus, edit: Option<&Edit>) -> Option<()> {
        self.has_word(status)?;
        self.n_rows += 1;
        let time = Some(self.world.time());
        let mut new = row(&self.n_rows.to_string(), "a", status, 0);
        new.email = self.address();
        (new.created_at, new.updated_at) = (time, time);
        new.status_changed_at = time.filter(|_| self.world.policy.register.consent_time);
        new.fields.insert(tag("CODE"), String::new());
        if let Some(edit) = edit {
            set(&mut new.fields, &mut new.interests, &key_of(edit), &value_of(edit));
        }
        self.world.local.push(new);
        self.ledger.opted_in();
        self.ledger.may_be_asked();
        Some(())
    }

    fn restore(&mut self) -> Option<()> {
        let (mut rows, then) = self.backup.clone()?;
        rows.retain(|row| self.is_linked(row) || row.email == self.address());
        rows.first()?;
        self.ledger.restore(&then);
        let moved = |row: &Registration| self.world.local.iter().all(|now| now.email != row.email);
        // Where no time tells a backup from a person who is back, one who approves may have them asked.
        let timeless = !self.world.policy.register.consent_time;
        let is_in = |row: &Registration| matches!(row.status, Subscribed | Pending);
        let stayed = |row: &Registration| self.world.local.iter().any(|now| now.id == row.id && is_in(now));
        if rows.iter().any(|row| moved(row) || timeless && is_in(row) && !stayed(row)) {
            self.ledger.may_be_asked();
        }
        self.world.local = rows;
        Some(())
    }

    /// Whether a row stays with the member whatever its address: others join by it, and may join somebody else.
    fn is_linked(&self, row: &Registration) -> bool {
        self.world.base.as_ref().is_some_and(|base| base.rows.contains_key(&row.id))
    }

    fn remove_rows(&mut self, places: std::ops::Range<usize>) -> Option<()> {
        self.world.local.drain(places);
        if self.world.local.is_empty() {
            self.ledger.removed_rows();
        }
        Some(())
    }

    /// Where the person is: the newest row's address, else the contact's.
    fn address(&self) -> EmailAddress {
        let contact = self.world.remote.as_ref().map(|contact| &contact.email);
        self.world.local.last().map(|row| &row.email).or(contact).cloned().unwrap_or_else(|| email("a"))
    }

    /// What the register has no word for, nobody says there.
    fn has_word(&self, status: SubscriptionStatus) -> Option<()> {
        (!self.world.policy.register.lacks(status)).then_some(())
    }

    fn say_on_website(&mut self, status: SubscriptionStatus, dated: Dated) -> Option<()> {
        self.has_word(status)?;
        let time = self.world.time();
        let mapped = self.world.policy.register.consent_time;
        // Of several rows none is dated by the day it came to be: somebody's word of today would be older than others'.
        if dated == Dated::Missing && mapped && self.world.local.len() > 1 {
            return None;
        }
        let row = self.world.local.last_mut()?;
        if row.status == status && (dated == Dated::Missing || !mapped) {
            return None;
        }
        row.status = status;
        row.updated_at = Some(time);
        row.status_changed_at = match dated {
            Dated::Now if mapped => Some(time),
            Dated::Ahead if mapped => Some(time + jiff::SignedDuration::from_mins(AHEAD)),
            Dated::Now | Dated::Ahead | Dated::Missing => None,
        };
        let id = row.id.clone();
        match status {
            Unsubscribed => self.ledger.left_in_row(id, mapped && dated != Dated::Missing),
            _ => {
                self.ledger.opted_in();
                self.ledger.may_be_asked();
            }
        }
        Some(())
    }

    /// An interest that vanished is gone from every contact, and the state forgets its base (`cycle/prepare.rs`).
    fn vanish(&mut self, name: &str) -> Option<()> {
        let dimension = dimension_of(name);
        let rule = self.world.policy.dimensions.get_mut(&dimension)?;
        rule.known.remove(name).then_some(())?;
        let interest = Interest { dimension, name: name.to_owned() };
        if let Some(contact) = &mut self.world.remote {
            contact.interests.remove(&interest);
        }
        if let Some(base) = &mut self.world.base {
            base.forget(&[Key::Interest(interest.clone())].into());
        }
        self.ledger.vanished(&interest);
        Some(())
    }

    fn act_in_mailchimp(&mut self, act: &Act) -> Option<()> {
        let second = Some(self.world.second());
        if matches!(act, Act::SignsUpByTheForm | Act::AsksByTheForm) {
            return self.sign_up(if matches!(act, Act::AsksByTheForm) { Pending } else { Subscribed });
        }
        let behind: Vec<_> = self.world.behind.iter().map(|contact| contact.email.clone()).collect();
        let contact = self.world.remote.as_mut()?;
        let is_in = matches!(contact.status, Subscribed | Pending);
        // A contact that nobody saw at the member's address may be somebody else's.
        let is_theirs = self.ledger.seen_contact.as_ref() == Some(&contact.contact_id);
        match act {
            Act::EditsContact(edit) if !matches!(contact.status, Archived) => {
                set(&mut contact.fields, &mut contact.interests, &key_of(edit), &cut(&value_of(edit)));
            }
            Act::MovesContact(to)
                if contact.status == Subscribed && is_theirs && !behind.contains(&email(to)) =>
            {
                contact.email = email(to);
                contact.unique_email_id = format!("u-{to}");
            }
            Act::LeavesByTheLink | Act::Complains if contact.status == Subscribed => {
                contact.status = Unsubscribed;
                self.world.left_by_themselves = true;
                self.ledger.left_in_mailchimp();
            }
            Act::Bounces if is_in => contact.status = Cleaned,
            Act::Confirms if contact.status == Pending => {
                contact.status = Subscribed;
                contact.timestamp_opt = second;
                self.world.left_by_themselves = false;
                self.ledger.opted_in_in_mailchimp();
            }
            Act::StaffSubscribe if matches!(contact.status, Unsubscribed | Archived) => {
                contact.status = Subscribed;
                self.ledger.brought_back();
            }
            Act::StaffUnsubscribe if is_in => {
                contact.status = Unsubscribed;
                self.ledger.left_in_mailchimp();
            }
            Act::StaffArchive if matches!(contact.status, Subscribed | Unsubscribed) => {
                contact.status = Archived;
                self.ledger.left_in_mailchimp();
            }
            Act::StaffDelete => {
                self.world.forgotten.insert(contact.email.clone());
                self.world.left_by_themselves = false;
                self.world.remote = None;
                self.ledger.deleted();
                return Some(());
            }
            _ => return None,
        }
        contact.last_changed = second;
        Some(())
    }

    /// The form takes everybody, whatever was before.
    fn sign_up(&mut self, status: SubscriptionStatus) -> Option<()> {
        let second = Some(self.world.second());
        let address = self.address();
        if self.world.remote.is_none() {
            if self.world.behind.iter().any(|contact| contact.email == address) {
                return None;
            }
            self.world.forgotten.remove(&address);
            self.n_contacts += 1;
            self.world.remote = Some(Contact {
                contact_id: ContactId::new(format!("f{}", self.n_contacts)),
                path_id: address.hash().as_str().to_owned(),
                email: address,
                status: Archived,
                fields: [(tag("FNAME"), String::new()), (tag("CODE"), String::new())].into(),
                interests: Default::default(),
                group_tags: Default::default(),
                unique_email_id: format!("u-f{}", self.n_contacts),
                last_changed: second,
                timestamp_opt: None,
            });
        }
        let contact = self.world.remote.as_mut()?;
        if contact.status == Subscribed || contact.status == status {
            return None;
        }
        (contact.status, contact.last_changed) = (status, second);
        if status == Subscribed {
            contact.timestamp_opt = second;
        }
        self.world.left_by_themselves = false;
        self.ledger.opted_in_in_mailchimp();
        if status == Pending {
            self.ledger.back_without_a_time();
        }
        Some(())
    }

    /// What is planned as things stand.
    pub(super) fn plan(&mut self) -> MemberPlan {
        let bears = |contact: &Contact| {
            let own = self.world.remote.as_ref().map(|own| &own.email);
            Some(&contact.email) != own && self.world.local.iter().any(|row| row.email == contact.email)
        };
        self.world.taken_remotely = self.world.behind.iter().any(bears);
        self.world.plan()
    }

    /// Carries the plan out: the nth operation ends as `fates` say, and whom nobody knows to want it is asked by nobody.
    pub(super) fn round(&mut self, fates: &[Fate]) {
        let fates = RefCell::new(fates.iter().copied());
        let out = self.ledger.is_out();
        let fate = |planned: &Planned| match planned.class {
            Class::UnprovenInvitation if out => Fate::LeftOut,
            // The guard holds nothing of this class.
            Class::Free => match fates.borrow_mut().next() {
                Some(Fate::LeftOut) => Fate::Stopped,
                fate => fate.unwrap_or(Fate::Done),
            },
            _ => fates.borrow_mut().next().unwrap_or(Fate::Done),
        };
        let done = self.world.round(fate);
        self.told
            .push(format!("           = {}", if done.is_empty() { "-".to_owned() } else { done.join(", ") }));
    }
}

fn dimension_of(name: &str) -> crate::model::Dimension {
    crate::model::Dimension::new(if REGIONS.contains(&name) { "region" } else { "topic" })
}
