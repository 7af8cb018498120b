//! What people did and when: what the laws are judged by. Nothing here knows how Rosterd decides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::ground::AHEAD;
use crate::known::{Known, PersonId, Said, Where, Word};
use crate::seen::Seen;
use crate::sides::{Dated, Row, Shown, Sides, Values, email, local_values, remote_values};
use crate::step::Act;
use crate::words::{covers_up, entered_by, word_of};

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
    /// When each contact that was in went out by somebody's hand, so too.
    pub(crate) out_since: BTreeMap<String, u64>,
    pub(crate) seen: Seen,
    /// Of whom the guard holds something: what is undone before anybody approved of it never was.
    pub(crate) held: BTreeSet<String>,
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
            out_since: BTreeMap::new(),
            seen: Seen::default(),
            held: BTreeSet::new(),
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
        // Whoever had the address before, unless they are elsewhere by now: then there are two who have to do with it.
        let before = self.last_at.get(email).copied();
        let elsewhere = before.filter(|before| self.is_there(sides, *before));
        let person = known.or(before.filter(|_| elsewhere.is_none())).unwrap_or_else(|| {
            let nothing = vec![None; self.n_keys()];
            let (agreed, local, remote) = (nothing.clone(), nothing.clone(), nothing);
            let tangled = elsewhere.is_some();
            self.people.push(Known { agreed, local, remote, tangled, ..Known::default() });
            self.people.len() - 1
        });
        if let Some(other) = elsewhere.filter(|other| *other != person) {
            self.people[other].tangled = true;
        }
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
            let unseen = self.contact_since[&contact.id] > self.seen.by
                || rows.iter().all(|row| self.row_since[&row.id] > self.seen.by);
            if !rows.is_empty() && strange && unseen {
                self.people[person].tangled = true;
                let mut known = self.people[person].clone();
                // What was said on the side of one tells nothing of the other.
                let said_on = |known: &mut Known, side| {
                    known.said.retain(|said| said.side == side || said.word == Word::In);
                };
                said_on(&mut known, Where::Mailchimp);
                said_on(&mut self.people[person], Where::Register);
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
        self.seen.acted(before, after);
        if let Act::MoveLocal(..) | Act::Move(..) = act {
            self.part_strangers(after);
        }
        match word_of(act, before) {
            Some((address, side, word)) => {
                let (word, at) = self.as_told(act, word, now);
                let said = Said { word, side, at, request, email: email(address) };
                self.hear(act, said, before, after);
            }
            None if covers_up(act) => self.cover_up(act, before, after),
            None => (),
        }
        for was in before.contacts.iter().filter(|contact| contact.is_in()) {
            if after.contacts.iter().any(|is| is.id == was.id && !is.is_in()) {
                self.out_since.insert(was.id.clone(), request);
            }
        }
        if let Act::StaffTag(address, _) = act
            && let Some(contact) = after.contact_at(&email(address))
        {
            self.tags.insert(contact.id.clone(), contact.tags.clone());
        }
        if act == Act::RestoreRow {
            // What stood in a row that is restored was entered once.
            for row in after.rows.iter().filter(|row| before.rows.iter().all(|was| was.id != row.id)) {
                let known = &mut self.people[self.of_row[&row.id]];
                known.entered.extend([row.first.clone(), row.last.clone()]);
            }
        }
        if let Some(entered) = entered_by(act) {
            for person in self.people_at(after, &entered.0) {
                self.people[person].entered.insert(entered.1.clone());
            }
        }
        self.note_edits(before, after);
    }

    /// Notes a word of somebody's, where it can be known.
    fn hear(&mut self, act: Act, said: Said, before: &Sides, after: &Sides) {
        let email = &said.email;
        let mut people = self.concerned(before, email, said.side);
        people.extend(self.concerned(after, email, said.side));
        let (counts, was_known) = (self.counts(act, email, before), self.was_known(act, email, before));
        let asks_by_itself = after.contact_at(email).is_some_and(|contact| contact.status == "pending");
        for person in people {
            // Rows of somebody are gone only when none is left.
            let stays = said.word == Word::Removed && self.local_of(after, person).is_some();
            let maybe_seen = self.people[person].is_out_since(said.side, self.seen.by, self.seen.maybe_by);
            let known = &mut self.people[person];
            let hidden = covers_up(act) && known.take_back_unseen(said.side, self.seen.by);
            if !stays && (counts || hidden && was_known && !maybe_seen) {
                known.said.push(said.clone());
            }
            let unasked = matches!(act, Act::StaffDelete(_) | Act::Expire(_)) && !was_known;
            if unasked || matches!(act, Act::Form(..)) && asks_by_itself {
                known.asked.remove(email);
            }
        }
    }

    /// Takes back what an act without a word of the person's undoes.
    fn cover_up(&mut self, act: Act, before: &Sides, after: &Sides) {
        let side = match act {
            Act::RestoreRow | Act::RestoreStatus(_) => Where::Register,
            _ => Where::Mailchimp,
        };
        for person in 0..self.people.len() {
            if touched(self, person, act, before, after) {
                self.people[person].take_back_unseen(side, self.seen.by);
                self.take_back_removal(act, before, person);
                self.take_back_held(person, side);
                if matches!(act, Act::StaffResubscribe(_)) {
                    // Staff know that the address works again.
                    self.people[person].said.retain(|said| said.word != Word::Bounced);
                }
            }
        }
    }

    /// Notes what was entered on either side.
    fn note_edits(&mut self, before: &Sides, after: &Sides) {
        for person in 0..self.people.len() {
            let local = (self.local_of(before, person), self.local_of(after, person));
            let remote = (self.remote_of(before, person), self.remote_of(after, person));
            let lost = |(was, is): &(Option<Values>, Option<Values>)| was.is_some() && is.is_none();
            let any_lost = lost(&local) || lost(&remote);
            let known = &mut self.people[person];
            note(&mut known.local, local);
            note(&mut known.remote, remote);
            if any_lost {
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

    /// What the guard held, and is undone before anybody approved of it, never was (section 5 of the design: as far as it
    /// is still wanted then).
    fn take_back_held(&mut self, person: PersonId, side: Where) {
        let held = &self.held;
        self.people[person].said.retain(|said| {
            said.side != side
                || matches!(said.word, Word::In | Word::Unproven | Word::Bounced)
                || !held.contains(&said.email)
        });
    }

    /// Whom a word on one side is of: those whose row or contact there bears the address, and no others who have theirs
    /// at another one.
    fn concerned(&self, sides: &Sides, email: &str, side: Where) -> BTreeSet<PersonId> {
        let places = |person: PersonId| -> Vec<&str> {
            match side {
                Where::Register => {
                    let rows = sides.rows.iter().filter(|row| self.person_of_row(row) == Some(person));
                    rows.map(|row| row.email.as_str()).collect()
                }
                Where::Mailchimp => {
                    let contacts =
                        sides.contacts.iter().filter(|c| self.person_of_contact(c) == Some(person));
                    contacts.map(|contact| contact.email.as_str()).collect()
                }
            }
        };
        let mut people = self.people_at(sides, email);
        people.retain(|person| {
            let places = places(*person);
            places.is_empty() || places.contains(&email)
        });
        people
    }

    /// Whether what an act says can be known: who is gone before anybody looked was never there; and of whom was out
    /// already, being gone says nothing new.
    fn counts(&self, act: Act, email: &str, before: &Sides) -> bool {
        let is_in = |status: &str| matches!(status, "subscribed" | "pending");
        let contact = before.contact_at(email);
        let seen = contact.map(|contact| self.seen.contact(&contact.id).unwrap_or(&contact.status));
        let says_it = match act {
            // Whose rows are gone without a contact leave nothing behind that could be undone.
            Act::Delete(_) | Act::SoftDelete(_) => {
                let mut rows = before.rows_at(email).filter(|row| self.is_known(row));
                let is_in = |row: &Row| is_in(&row.status) && self.seen.row(row.id).is_none_or(is_in);
                rows.any(|row| is_in(row) && self.has_contact(before, self.of_row[&row.id]))
            }
            // A sign-up that waits is nobody's yet who has no row.
            Act::StaffDelete(_) | Act::Expire(_) => {
                let mut rows = before.rows_at(email).filter(|row| self.is_known(row));
                let waits = contact.is_some_and(|contact| contact.status == "pending");
                let is_theirs = !waits || rows.next().is_some();
                contact.is_some_and(Shown::is_in) && seen.is_some_and(is_in) && is_theirs
            }
            // Of a sign-up that Mailchimp dates no opt-in of it shows nothing once it is taken back.
            Act::Unsubscribe(_) | Act::Complain(_) | Act::StaffUnsubscribe(_) | Act::StaffArchive(_) => {
                let dated = contact.is_some_and(|contact| {
                    let known = &self.people[self.of_contact[&contact.id]];
                    contact.status == "subscribed" && known.in_since(self.seen.by, Where::Mailchimp)
                });
                dated || seen.is_none_or(is_in)
            }
            _ => true,
        };
        says_it && self.was_known(act, email, before)
    }

    /// Whether a cycle has seen what an act removes.
    fn was_known(&self, act: Act, email: &str, before: &Sides) -> bool {
        match act {
            Act::Delete(_) | Act::SoftDelete(_) => before.rows_at(email).any(|row| self.is_known(row)),
            Act::StaffDelete(_) | Act::Expire(_) => before
                .contact_at(email)
                .is_some_and(|contact| self.contact_since[&contact.id] <= self.seen.by),
            _ => true,
        }
    }

    fn has_contact(&self, sides: &Sides, person: PersonId) -> bool {
        sides.contacts.iter().any(|contact| self.person_of_contact(contact) == Some(person))
    }

    fn is_known(&self, row: &Row) -> bool {
        self.row_since[&row.id] <= self.seen.by
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
        self.seen = Seen::default();
        self.part_strangers(sides);
        for person in 0..self.people.len() {
            self.forget_unshown(sides, person);
            self.forget_agreement(sides, person);
        }
    }

    /// Nothing is agreed any more: when both sides meet again, a value of either is as good (section 3 of the design, of
    /// values without a base; so it is with rows of somebody whose rows were all removed).
    pub(crate) fn forget_agreement(&mut self, sides: &Sides, person: PersonId) {
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

fn note(edits: &mut [Option<String>], (was, is): (Option<Values>, Option<Values>)) {
    for (key, value) in is.into_iter().flatten().enumerate() {
        if was.as_ref().is_none_or(|was| was[key] != value) {
            edits[key] = Some(value);
        }
    }
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
