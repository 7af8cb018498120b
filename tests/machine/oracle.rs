//! What people did and when: what the laws are judged by. Nothing here knows how Rosterd decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::ground::{AHEAD, value};
use crate::sides::{Dated, Row, Shown, Sides, Values, email, local_values, normal, remote_values};
use crate::step::{Act, Address, Field};

/// A person, by number.
pub(crate) type PersonId = usize;

/// What somebody said of being mailed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// In, by their own word.
    In,
    /// In, and nobody can tell since when: it counts once staff approved of it.
    Unproven,
    /// Out: an opt-out, a complaint, archived, gone.
    Out,
    /// Out because the website removed the rows: not a word of theirs where the policy leaves the contact alone.
    Removed,
    /// Mail to the address does not arrive.
    Bounced,
}

/// Where it was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    Register,
    Mailchimp,
}

/// One such word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) word: Word,
    pub(crate) side: Where,
    pub(crate) at: Timestamp,
    /// It was shown from this request on.
    pub(crate) request: u64,
    pub(crate) email: String,
}

/// A clock that is ahead by less is taken at its word (section 4 of the design).
const PROVEN: SignedDuration = SignedDuration::from_mins(5);

/// What is known of one person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) said: Vec<Said>,
    /// Every value that anybody entered about them.
    pub(crate) entered: BTreeSet<String>,
    /// What both sides showed when they last agreed, by key.
    pub(crate) agreed: Vec<Option<String>>,
    /// What was entered on either side since, by key.
    pub(crate) local: Vec<Option<String>>,
    pub(crate) remote: Vec<Option<String>>,
    /// Somebody else has, or had, to do with an address of theirs: whose values are whose is nobody's to say.
    pub(crate) tangled: bool,
    /// For which opt-in a confirmation was asked for, by address.
    pub(crate) asked: BTreeMap<String, Option<Timestamp>>,
}

impl Known {
    /// The last time they said that they are in.
    pub(crate) fn last_in(&self) -> Option<Timestamp> {
        self.said.iter().filter(|said| said.word == Word::In).map(|said| said.at).max()
    }

    /// An opt-out that was shown by `request`, of a person that did not opt in later.
    ///
    /// On one side the later act is the later word, whatever the clock says; between the sides only the times tell, and
    /// of one moment the opt-out counts. A time that is yet to come proves nothing.
    pub(crate) fn out_by(&self, request: u64, address: &str, now: Timestamp) -> Option<&Said> {
        self.said.iter().enumerate().find_map(|(at, out)| {
            let counts = match out.word {
                Word::In | Word::Unproven => false,
                Word::Out | Word::Removed => true,
                Word::Bounced => out.email == address,
            };
            let undone = self.said.iter().enumerate().any(|(later, said)| {
                let is_later = if said.side == out.side { later > at } else { said.at > out.at };
                said.word == Word::In && is_later && said.at <= now + PROVEN
            });
            (counts && out.request <= request && !undone).then_some(out)
        })
    }

    /// Takes back the opt-outs of one side that no cycle can have seen: `known_by` is the last request that one made before
    /// its last look.
    fn take_back_unseen(&mut self, side: Where, known_by: u64) -> bool {
        let before = self.said.len();
        self.said.retain(|said| {
            said.side != side || matches!(said.word, Word::In | Word::Unproven) || said.request <= known_by
        });
        self.said.len() < before
    }
}

/// What people did.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    pub(crate) people: Vec<Known>,
    of_row: BTreeMap<i64, PersonId>,
    of_contact: BTreeMap<String, PersonId>,
    last_at: BTreeMap<String, PersonId>,
    /// What the website, and nobody else, wrote into each row.
    pub(crate) organisations: BTreeMap<i64, (String, String)>,
    /// The tags that staff gave each contact.
    pub(crate) tags: BTreeMap<String, BTreeSet<String>>,
    /// When each row and contact came to be, by the number of the next request.
    row_since: BTreeMap<i64, u64>,
    contact_since: BTreeMap<String, u64>,
    /// What was there by this request was seen by a cycle that worked.
    pub(crate) known_by: u64,
    radio: bool,
    dated: Dated,
    /// The time at which the laws look.
    pub(crate) now: Timestamp,
}

impl Oracle {
    pub(crate) fn new(radio: bool, dated: Dated) -> Self {
        Self {
            people: Vec::new(),
            of_row: BTreeMap::new(),
            of_contact: BTreeMap::new(),
            last_at: BTreeMap::new(),
            organisations: BTreeMap::new(),
            tags: BTreeMap::new(),
            row_since: BTreeMap::new(),
            contact_since: BTreeMap::new(),
            known_by: 0,
            radio,
            dated,
            now: Timestamp::MIN,
        }
    }

    pub(crate) fn n_keys(&self) -> usize {
        if self.radio { 3 } else { 5 }
    }

    pub(crate) fn person_of_row(&self, row: &Row) -> Option<PersonId> {
        self.of_row.get(&row.id).copied()
    }

    pub(crate) fn person_of_contact(&self, contact: &Shown) -> Option<PersonId> {
        self.of_contact.get(&contact.id).copied()
    }

    /// Everybody who has something to do with an address now.
    pub(crate) fn people_at(&self, sides: &Sides, email: &str) -> BTreeSet<PersonId> {
        let rows = sides.rows_at(email).filter_map(|row| self.person_of_row(row));
        let contact = sides.contact_at(email).and_then(|contact| self.person_of_contact(contact));
        rows.chain(contact).collect()
    }

    /// Gives rows and contacts that came to be the person that they are of.
    pub(crate) fn meet(&mut self, sides: &Sides, request: u64) {
        for row in sides.rows.iter() {
            if !self.of_row.contains_key(&row.id) {
                let person = self.person_at(sides, &row.email);
                self.of_row.insert(row.id, person);
                self.row_since.insert(row.id, request);
                self.organisations.insert(row.id, (row.organisation.clone(), row.membership.clone()));
            }
        }
        for contact in sides.contacts.iter() {
            if !self.of_contact.contains_key(&contact.id) {
                let person = self.person_at(sides, &contact.email);
                self.of_contact.insert(contact.id.clone(), person);
                self.contact_since.insert(contact.id.clone(), request);
                self.tags.insert(contact.id.clone(), contact.tags.clone());
            }
        }
        self.note_meetings(sides);
    }

    fn person_at(&mut self, sides: &Sides, email: &str) -> PersonId {
        let known = self.people_at(sides, email).first().copied();
        // Whoever had the address before, unless they are elsewhere by now.
        let before = self.last_at.get(email).copied().filter(|before| !self.is_there(sides, *before));
        let person = known.or(before).unwrap_or_else(|| {
            let nothing = vec![None; self.n_keys()];
            let (agreed, local, remote) = (nothing.clone(), nothing.clone(), nothing);
            self.people.push(Known { agreed, local, remote, ..Known::default() });
            self.people.len() - 1
        });
        self.last_at.insert(email.to_owned(), person);
        person
    }

    /// Whose row and contact bear different addresses, and were never seen together, are two people to everybody but us: so
    /// it is of a move before the first cycle, and of one that the state forgot.
    fn part_strangers(&mut self, sides: &Sides) {
        for contact in sides.contacts.iter() {
            let person = self.of_contact[&contact.id];
            let rows: Vec<&Row> =
                sides.rows.iter().filter(|row| self.person_of_row(row) == Some(person)).collect();
            let strange = rows.iter().all(|row| row.email != contact.email);
            let unseen = self.contact_since[&contact.id] > self.known_by
                || rows.iter().all(|row| self.row_since[&row.id] > self.known_by);
            if !rows.is_empty() && strange && unseen {
                self.people[person].tangled = true;
                let known = self.people[person].clone();
                self.people.push(known);
                self.of_contact.insert(contact.id.clone(), self.people.len() - 1);
            }
        }
    }

    fn is_there(&self, sides: &Sides, person: PersonId) -> bool {
        sides.rows.iter().any(|row| self.person_of_row(row) == Some(person))
            || sides.contacts.iter().any(|contact| self.person_of_contact(contact) == Some(person))
    }

    /// Whoever shares an address with somebody else is tangled from then on; so is who has two contacts.
    fn note_meetings(&mut self, sides: &Sides) {
        let emails: BTreeSet<&String> =
            sides.rows.iter().map(|row| &row.email).chain(sides.contacts.iter().map(|c| &c.email)).collect();
        for email in emails {
            let people = self.people_at(sides, email);
            let before = self.last_at.get(email).filter(|before| !people.contains(before)).copied();
            if people.len() + usize::from(before.is_some()) > 1 {
                for person in people.iter().copied().chain(before) {
                    self.people[person].tangled = true;
                }
            }
        }
        for contact in sides.contacts.iter() {
            let person = self.of_contact[&contact.id];
            if sides
                .contacts
                .iter()
                .any(|other| other.id != contact.id && self.of_contact[&other.id] == person)
            {
                self.people[person].tangled = true;
            }
        }
    }

    /// Notes what an act said and entered.
    pub(crate) fn acted(&mut self, act: Act, before: &Sides, after: &Sides, now: Timestamp, request: u64) {
        self.meet(after, request);
        if let Act::MoveLocal(..) | Act::Move(..) = act {
            self.part_strangers(after);
        }
        if let Some((address, side, word)) = word_of(act, before) {
            let (word, at) = self.as_told(act, word, now);
            let email = email(address);
            let mut people = self.people_at(before, &email);
            people.extend(self.people_at(after, &email));
            let counts = self.counts(act, &email, before);
            for person in people {
                let known = &mut self.people[person];
                let hidden = covers_up(act) && known.take_back_unseen(side, self.known_by);
                if counts || hidden && word != Word::In {
                    known.said.push(Said { word, side, at, request, email: email.clone() });
                }
            }
        } else if covers_up(act) {
            for person in 0..self.people.len() {
                let side = if matches!(act, Act::RestoreRow | Act::RestoreStatus(_)) {
                    Where::Register
                } else {
                    Where::Mailchimp
                };
                if touched(self, person, act, before, after) {
                    self.people[person].take_back_unseen(side, self.known_by);
                    self.take_back_removal(act, before, person);
                    if matches!(act, Act::StaffResubscribe(_)) {
                        // Staff know that the address works again.
                        self.people[person].said.retain(|said| said.word != Word::Bounced);
                    }
                }
            }
        }
        if let Act::StaffTag(address, _) = act
            && let Some(contact) = after.contact_at(&email(address))
        {
            self.tags.insert(contact.id.clone(), contact.tags.clone());
        }
        if let Some(entered) = entered_by(act) {
            for person in self.people_at(after, &entered.0) {
                self.people[person].entered.insert(entered.1.clone());
            }
        }
        for person in 0..self.people.len() {
            let changed = |was: Option<Values>, is: Option<Values>| (was != is).then_some((was, is));
            if let Some((was, Some(is))) =
                changed(self.local_of(before, person), self.local_of(after, person))
            {
                note(&mut self.people[person].local, was, is);
            }
            if let Some((was, Some(is))) =
                changed(self.remote_of(before, person), self.remote_of(after, person))
            {
                note(&mut self.people[person].remote, was, is);
            }
            if self.local_of(after, person).is_none() && self.local_of(before, person).is_some() {
                self.forget_agreement(after, person);
            }
        }
    }

    /// The word as the register can tell it, and the time that it gives for it.
    fn as_told(&self, act: Act, word: Word, now: Timestamp) -> (Word, Timestamp) {
        let returns = matches!(act, Act::ReturnLocal(_) | Act::ReturnAhead(_));
        let word = if returns && self.dated == Dated::No { Word::Unproven } else { word };
        (word, if matches!(act, Act::ReturnAhead(_)) { now + AHEAD } else { now })
    }

    /// Rows that are restored while the contact is still there were never removed.
    fn take_back_removal(&mut self, act: Act, before: &Sides, person: PersonId) {
        let contact = before.contacts.iter().find(|contact| self.person_of_contact(contact) == Some(person));
        if act == Act::RestoreRow && contact.is_some_and(Shown::is_in) {
            self.people[person].said.retain(|said| said.word != Word::Removed);
        }
    }

    /// Whether what an act says can be known: who is gone before anybody looked was never there; and of a contact that was
    /// out already, being gone says nothing new.
    fn counts(&self, act: Act, email: &str, before: &Sides) -> bool {
        match act {
            Act::Delete(_) | Act::SoftDelete(_) => {
                let is_in = |row: &&Row| matches!(row.status.as_str(), "subscribed" | "pending");
                before.rows_at(email).filter(is_in).any(|row| self.row_since[&row.id] <= self.known_by)
            }
            Act::StaffDelete(_) | Act::Expire(_) => before
                .contact_at(email)
                .is_some_and(|contact| contact.is_in() && self.contact_since[&contact.id] <= self.known_by),
            _ => true,
        }
    }

    /// Staff approved of what was held: whoever says that they are in is taken at their word.
    pub(crate) fn approved(&mut self) {
        for said in self.people.iter_mut().flat_map(|known| &mut known.said) {
            if said.word == Word::Unproven {
                said.word = Word::In;
            }
        }
    }

    /// What the rows of a person show; `None` where there is none.
    pub(crate) fn local_of(&self, sides: &Sides, person: PersonId) -> Option<Values> {
        let rows: Vec<&Row> =
            sides.rows.iter().filter(|row| self.person_of_row(row) == Some(person)).collect();
        (!rows.is_empty()).then(|| local_values(&rows, self.radio))
    }

    /// What the contact of a person shows; `None` where there is none.
    pub(crate) fn remote_of(&self, sides: &Sides, person: PersonId) -> Option<Values> {
        let contact =
            sides.contacts.iter().find(|contact| self.person_of_contact(contact) == Some(person))?;
        Some(remote_values(contact, self.radio))
    }

    /// The base is lost, or older: what both sides show now is all that can be told.
    pub(crate) fn forget_agreements(&mut self, sides: &Sides) {
        self.known_by = 0;
        self.part_strangers(sides);
        for person in 0..self.people.len() {
            self.forget_unshown(sides, person);
            self.forget_agreement(sides, person);
        }
    }

    /// Nothing is agreed any more: when both sides meet again, a value of either is as good (section 3 of the design, of
    /// values without a base; so it is with rows of somebody whose rows were all removed).
    fn forget_agreement(&mut self, sides: &Sides, person: PersonId) {
        let all = |values: Option<Values>, n| match values {
            Some(values) => values.into_iter().map(Some).collect(),
            None => vec![None; n],
        };
        let n_keys = self.n_keys();
        let (local, remote) = (self.local_of(sides, person), self.remote_of(sides, person));
        let known = &mut self.people[person];
        known.agreed = vec![None; n_keys];
        known.local = all(local, n_keys);
        known.remote = all(remote, n_keys);
    }
}

impl Oracle {
    /// Of the opt-outs of somebody, only those that a side still shows can be known without the state.
    fn forget_unshown(&mut self, sides: &Sides, person: PersonId) {
        let contact = sides.contacts.iter().find(|contact| self.person_of_contact(contact) == Some(person));
        let rows = sides.rows.iter().filter(|row| self.person_of_row(row) == Some(person));
        let remote_is_out = contact.is_some_and(|contact| !contact.is_in());
        let local_is_out =
            rows.into_iter().any(|row| !matches!(row.status.as_str(), "subscribed" | "pending"));
        self.people[person].said.retain(|said| {
            matches!(said.word, Word::In | Word::Unproven)
                || match said.side {
                    Where::Register => local_is_out,
                    Where::Mailchimp => remote_is_out,
                }
        });
    }
}

fn note(edits: &mut [Option<String>], was: Option<Values>, is: Values) {
    for (key, value) in is.into_iter().enumerate() {
        if was.as_ref().is_none_or(|was| was[key] != value) {
            edits[key] = Some(value);
        }
    }
}

/// Whether an act undoes without a word of the person's what the side showed before: nobody who had not looked can know.
fn covers_up(act: Act) -> bool {
    matches!(
        act,
        Act::RestoreRow
            | Act::RestoreStatus(_)
            | Act::Delete(_)
            | Act::SoftDelete(_)
            | Act::StaffUnarchive(_)
            | Act::StaffResubscribe(_)
            | Act::StaffDelete(_)
            | Act::Expire(_)
    )
}

/// Whose side an act without a word changed.
fn touched(oracle: &Oracle, person: PersonId, act: Act, before: &Sides, after: &Sides) -> bool {
    match act {
        Act::RestoreStatus(a) | Act::StaffUnarchive(a) | Act::StaffResubscribe(a) => {
            oracle.people_at(after, &email(a)).contains(&person)
        }
        Act::RestoreRow => {
            let new = after.rows.iter().filter(|row| before.rows.iter().all(|other| other.id != row.id));
            new.into_iter().any(|row| oracle.person_of_row(row) == Some(person))
        }
        _ => false,
    }
}

/// What an act says of being mailed, and at which address; nothing where that was so before and does not show.
fn word_of(act: Act, before: &Sides) -> Option<(Address, Where, Word)> {
    let status = |a: Address| before.contact_at(&email(a)).map_or("", |contact| contact.status.as_str());
    let (a, side, word) = match act {
        Act::Register(a, _) | Act::RegisterPending(a, _) | Act::ReturnLocal(a) | Act::ReturnAhead(a) => {
            (a, Where::Register, Word::In)
        }
        Act::StaffAdd(a, _) | Act::Confirm(a) => (a, Where::Mailchimp, Word::In),
        Act::Form(a, _) if status(a) != "subscribed" => (a, Where::Mailchimp, Word::In),
        Act::LeaveLocal(a) | Act::LeaveNewest(a) | Act::LeaveAhead(a) => (a, Where::Register, Word::Out),
        Act::Delete(a) | Act::SoftDelete(a) => (a, Where::Register, Word::Removed),
        Act::Unsubscribe(a) | Act::Complain(a) | Act::StaffUnsubscribe(a) if status(a) != "unsubscribed" => {
            (a, Where::Mailchimp, Word::Out)
        }
        Act::StaffArchive(a) if status(a) != "archived" => (a, Where::Mailchimp, Word::Out),
        Act::StaffDelete(a) | Act::Expire(a) => (a, Where::Mailchimp, Word::Out),
        Act::Bounce(a) => (a, Where::Mailchimp, Word::Bounced),
        Act::Form(..)
        | Act::Unsubscribe(_)
        | Act::Complain(_)
        | Act::StaffUnsubscribe(_)
        | Act::StaffArchive(_)
        | Act::Write(..)
        | Act::TickLocal(..)
        | Act::UntickLocal(..)
        | Act::MoveLocal(..)
        | Act::RestoreRow
        | Act::RestoreStatus(_)
        | Act::Edit(..)
        | Act::Tick(..)
        | Act::Untick(..)
        | Act::Move(..)
        | Act::StaffUnarchive(_)
        | Act::StaffResubscribe(_)
        | Act::StaffTag(..) => return None,
    };
    Some((a, side, word))
}

fn entered_by(act: Act) -> Option<(String, String)> {
    match act {
        Act::Register(a, n) | Act::RegisterPending(a, n) | Act::Form(a, n) | Act::StaffAdd(a, n) => {
            Some((email(a), normal(&value(Field::First, n))))
        }
        Act::Write(a, field, n) | Act::Edit(a, field, n) => Some((email(a), normal(&value(field, n)))),
        _ => None,
    }
}
