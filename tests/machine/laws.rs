//! The laws: what must hold whatever people do and the world does.

use std::collections::BTreeSet;

use rosterd::mailchimp::transport::{Method, Request};
use rosterd::model::EmailAddress;
use serde_json::Value;

use crate::ground::Ground;
use crate::known::{PersonId, Said, Where, Word};
use crate::oracle::Oracle;
use crate::sides::{Shown, Sides, key_name};
use crate::wire::{Inner, Watch};

/// So many requests for other members may come between the reading of one and its write: those of the other connections.
const OTHERS: u64 = 6;

/// A law that was broken, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) law: Law,
    pub(crate) what: String,
}

/// The laws, by their names in the story.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Law {
    /// Nobody who left is made subscribed or pending.
    Consent,
    /// Nothing but the opt-out itself is sent of somebody who left.
    LeftAlone,
    /// A status travels alone.
    StatusAlone,
    /// After quiet both sides agree, but for what has its reason.
    Agreement,
    /// No value appears that nobody entered.
    NothingInvented,
    /// An edit made on one side only survives.
    EditsSurvive,
    /// When nothing happens nothing is written, and two requests are made.
    Quiet,
    /// Pending is asked for at most once a re-opt-in.
    AskedOnce,
    /// Nothing unmapped changes.
    Unmapped,
    /// No two registrations and no two people are merged.
    Apart,
    /// A cycle in fair weather works.
    Works,
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// With a report.
    Well,
    /// With an error, or the process died.
    Badly,
}

pub(crate) fn broken(law: Law, what: impl Into<String>) -> Violation {
    Violation { law, what: what.into() }
}

/// Looks at a write that is about to go out.
pub(crate) fn look_at(inner: &mut Inner, request: &Request) {
    let body: Value =
        request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let sides = inner.ground.sides();
    inner.ground.oracle.meet(&sides, inner.watch.sent);
    inner.ground.oracle.now = inner.ground.clock.now();
    let found = judge(&mut inner.ground.oracle, &inner.watch, &sides, request, &body);
    if let Err(violation) = found {
        inner.watch.violation.get_or_insert(violation);
    }
}

fn judge(
    oracle: &mut Oracle,
    watch: &Watch,
    sides: &Sides,
    request: &Request,
    body: &Value,
) -> Result<(), Violation> {
    let path = request.target.split('?').next().unwrap_or_default();
    let status = body["status"].as_str();
    match path.split("/members/").nth(1) {
        Some(rest) => {
            let mut parts = rest.split('/');
            let name = parts.next().unwrap_or_default();
            let Some(contact) = sides.contacts.iter().find(|contact| contact.path == name) else {
                return Ok(());
            };
            let seen = last_read(watch, contact);
            match status {
                Some(status @ ("subscribed" | "pending")) => {
                    travels_alone(body)?;
                    may_be_raised(oracle, sides, contact, status, seen)?;
                    asked_once(oracle, sides, contact, status)
                }
                Some(_) => travels_alone(body),
                None => left_alone(oracle, watch, contact, request.method),
            }
        }
        None => match &body["members"] {
            Value::Array(members) => {
                // The listing of the contacts came before; the rows are read again right before the call.
                let (listed, rows) = (watch.listed, watch.sent - 1);
                members
                    .iter()
                    .try_for_each(|member| may_be_created(oracle, watch, sides, member, (listed, rows)))
            }
            _ => Ok(()),
        },
    }
}

/// The request right before the write by which the contact was read by itself; where there is none, the write itself: a
/// reading would have shown what is there by now.
fn last_read(watch: &Watch, contact: &Shown) -> u64 {
    let hash = EmailAddress::parse(&contact.email).unwrap().hash().to_string();
    last_read_by(watch, &[&contact.id, &contact.path, &hash, &contact.email])
}

fn last_read_by(watch: &Watch, names: &[&String]) -> u64 {
    let single = watch.read.iter().filter(|(name, _)| names.contains(&name)).map(|(_, at)| *at).max();
    single.filter(|at| watch.sent - at <= OTHERS).unwrap_or(watch.sent)
}

fn travels_alone(body: &Value) -> Result<(), Violation> {
    let n_keys = body.as_object().map_or(0, serde_json::Map::len);
    if n_keys == 1 { Ok(()) } else { Err(broken(Law::StatusAlone, body.to_string())) }
}

/// Law 1, of a contact that is there.
fn may_be_raised(
    oracle: &Oracle,
    sides: &Sides,
    contact: &Shown,
    status: &str,
    seen: u64,
) -> Result<(), Violation> {
    let mut people = oracle.people_at(sides, &contact.email);
    people.extend(oracle.person_of_contact(contact));
    let outs = people.iter().map(|person| oracle.people[*person].out_by(seen, &contact.email, oracle.now));
    let outs: Vec<_> = outs.collect();
    // Whose address it is where several share it, nobody can say: one of them must want it.
    match outs.iter().all(Option::is_some) {
        false => Ok(()),
        true => Err(broken(
            Law::Consent,
            format!("{} is made {status}, who left: {:?}", contact.email, outs.first().copied().flatten()),
        )),
    }
}

/// Law 1, of a contact that is to be created. `seen` are the last requests before the contacts and the rows were read.
fn may_be_created(
    oracle: &mut Oracle,
    watch: &Watch,
    sides: &Sides,
    member: &Value,
    seen: (u64, u64),
) -> Result<(), Violation> {
    let email = member["email_address"].as_str().unwrap_or_default().to_lowercase();
    let status = member["status"].as_str().unwrap_or_default();
    if !matches!(status, "subscribed" | "pending") {
        return Ok(());
    }
    let hash = EmailAddress::parse(&email).unwrap().hash().to_string();
    let names = [&hash, &email];
    let people: BTreeSet<PersonId> =
        sides.rows_at(&email).filter_map(|row| oracle.person_of_row(row)).collect();
    let read = watch.read.iter().filter(|(name, _)| names.contains(&name)).map(|(_, at)| *at).max();
    // Whoever never left may be created on what was listed; all others are read by themselves right before.
    let had_left = |person: &PersonId| oracle.people[*person].out_before(watch.cycle_began);
    let horizon = match people.iter().all(had_left) {
        true => last_read_by(watch, &names),
        false => read.map_or(seen.0.min(seen.1), |read| read.max(seen.0)),
    };
    for person in &people {
        let out = oracle.people[*person].out_by(horizon, &email, oracle.now);
        if out.is_none() {
            return created_pending_once(oracle, sides, &people, &email, status);
        }
    }
    if people.is_empty() {
        return Ok(());
    }
    let out = people.first().and_then(|person| oracle.people[*person].out_by(horizon, &email, oracle.now));
    Err(broken(Law::Consent, format!("{email} is created {status}, who left: {out:?}")))
}

/// Law 6.
fn asked_once(oracle: &mut Oracle, sides: &Sides, contact: &Shown, status: &str) -> Result<(), Violation> {
    if status != "pending" || contact.status == "pending" {
        return Ok(());
    }
    for person in oracle.people_at(sides, &contact.email) {
        let known = &mut oracle.people[person];
        let last_in = known.last_in();
        if known.asked.get(&contact.email) == Some(&last_in) && !known.tangled {
            let what = format!("{} is asked to confirm again for the opt-in of {last_in:?}", contact.email);
            return Err(broken(Law::AskedOnce, what));
        }
    }
    Ok(())
}

/// Law 6, of a contact that is to be created: Mailchimp asks where none is there, or one that is archived.
fn created_pending_once(
    oracle: &Oracle,
    sides: &Sides,
    people: &BTreeSet<PersonId>,
    email: &str,
    status: &str,
) -> Result<(), Violation> {
    let asks = sides.contact_at(email).is_none_or(|contact| contact.status == "archived");
    for known in people.iter().map(|person| &oracle.people[*person]) {
        let last_in = known.last_in();
        let again = known.asked.get(email) == Some(&last_in) && !known.tangled;
        if status == "pending" && asks && again {
            let what = format!("{email} is created pending again for the opt-in of {last_in:?}");
            return Err(broken(Law::AskedOnce, what));
        }
    }
    Ok(())
}

/// Remembers for which opt-in of theirs somebody is pending by a request of Rosterd's.
pub(crate) fn note_asked(ground: &mut Ground, request: &Request, sent: u64) {
    let body: Value =
        request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let sides = ground.sides();
    ground.oracle.meet(&sides, sent);
    let named: BTreeSet<String> = match &body["members"] {
        Value::Array(members) => members
            .iter()
            .filter_map(|member| member["email_address"].as_str())
            .map(str::to_lowercase)
            .collect(),
        _ => BTreeSet::new(),
    };
    for contact in sides.contacts.iter().filter(|contact| contact.status == "pending") {
        if named.contains(&contact.email) || request.target.contains(&contact.path) {
            for person in ground.oracle.people_at(&sides, &contact.email) {
                let known = &mut ground.oracle.people[person];
                known.asked.insert(contact.email.clone(), known.last_in());
            }
        }
    }
}

/// An opt-out in Mailchimp between the last look at a contact and the status that went out is written over, and nobody can
/// know of it.
pub(crate) fn note_raised(inner: &mut Inner, request: &Request) {
    let body: Value =
        request.body.as_deref().and_then(|body| serde_json::from_slice(body).ok()).unwrap_or_default();
    let Some(status) = body["status"].as_str().filter(|status| matches!(*status, "subscribed" | "pending"))
    else {
        return;
    };
    let sides = inner.ground.sides();
    let Some(contact) = sides.contacts.iter().find(|contact| request.target.contains(&contact.path)) else {
        return;
    };
    let seen = last_read(&inner.watch, contact);
    let oracle = &mut inner.ground.oracle;
    if let Some(person) = oracle.person_of_contact(contact).filter(|_| contact.status == status) {
        let unseen = |said: &Said| said.side == Where::Mailchimp && said.request > seen;
        oracle.people[person].said.retain(|said| said.word == Word::In || !unseen(said));
    }
}

/// Opted out means left alone, from the beginning of the cycle on.
fn left_alone(oracle: &Oracle, watch: &Watch, contact: &Shown, method: Method) -> Result<(), Violation> {
    let person = oracle.person_of_contact(contact);
    let since = person.and_then(|person| {
        let said = oracle.people[person].said.iter().filter(|said| said.email == contact.email);
        said.filter(|said| !matches!(said.word, Word::In | Word::Unproven)).map(|said| said.request).max()
    });
    let since = since.max(oracle.out_since.get(&contact.id).copied());
    let long_out = !contact.is_in() && since.is_some_and(|since| since <= watch.cycle_began);
    match long_out {
        true => Err(broken(
            Law::LeftAlone,
            format!("{} of {}, who is {}", method.as_str(), contact.email, contact.status),
        )),
        false => Ok(()),
    }
}

/// What must hold after any cycle, whatever happened in it.
pub(crate) fn after_cycle(
    oracle: &mut Oracle,
    before: &Sides,
    sides: &Sides,
    ended: Ended,
) -> Result<(), Violation> {
    apart(before, sides)?;
    unmapped(oracle, sides)?;
    nothing_invented(oracle, sides)?;
    edits_survive(oracle, sides, ended)
}

/// Law 8: whoever was there is there.
fn apart(before: &Sides, sides: &Sides) -> Result<(), Violation> {
    for row in before.rows.iter() {
        if sides.rows.iter().all(|other| other.id != row.id) {
            return Err(broken(Law::Apart, format!("row {} of {} is gone", row.id, row.email)));
        }
    }
    for contact in before.contacts.iter() {
        if sides.contacts.iter().all(|other| other.id != contact.id) {
            return Err(broken(Law::Apart, format!("the contact {} is gone", contact.email)));
        }
    }
    Ok(())
}

/// Law 7.
fn unmapped(oracle: &Oracle, sides: &Sides) -> Result<(), Violation> {
    for row in sides.rows.iter() {
        let known = &oracle.organisations[&row.id];
        if (&known.0, &known.1) != (&row.organisation, &row.membership) {
            return Err(broken(Law::Unmapped, format!("row {} was {known:?}: {row:?}", row.id)));
        }
    }
    for contact in sides.contacts.iter() {
        let known = &oracle.tags[&contact.id];
        if *known != contact.tags {
            return Err(broken(Law::Unmapped, format!("{} had {known:?}: {contact:?}", contact.email)));
        }
    }
    Ok(())
}

/// Law 3.
fn nothing_invented(oracle: &Oracle, sides: &Sides) -> Result<(), Violation> {
    let check = |person: Option<PersonId>, first: &str, last: &str, whose: &str| {
        let Some(known) = person.map(|person| &oracle.people[person]) else { return Ok(()) };
        for value in [first, last] {
            if !value.is_empty() && !known.entered.contains(value) && !known.tangled {
                let what = format!("{whose} shows {value:?}, which nobody entered for them");
                return Err(broken(Law::NothingInvented, what));
            }
        }
        Ok(())
    };
    for row in sides.rows.iter() {
        check(oracle.person_of_row(row), &row.first, &row.last, &format!("row {} of {}", row.id, row.email))?;
    }
    for contact in sides.contacts.iter() {
        let person = oracle.person_of_contact(contact);
        check(person, &contact.first, &contact.last, &format!("the contact {}", contact.email))?;
    }
    Ok(())
}

/// Law 4: where both sides agree on a value, it is what was entered last, on one of the sides that it was entered on.
/// What a cycle agreed on that did not end well, nobody knows.
fn edits_survive(oracle: &mut Oracle, sides: &Sides, ended: Ended) -> Result<(), Violation> {
    let radio = oracle.n_keys() == 3;
    for person in 0..oracle.people.len() {
        let (local, remote) = (oracle.local_of(sides, person), oracle.remote_of(sides, person));
        let (Some(local), Some(remote)) = (local, remote) else {
            // Nothing is agreed with a side that is not there.
            oracle.forget_agreement(sides, person);
            continue;
        };
        let known = &mut oracle.people[person];
        if known.tangled {
            continue;
        }
        for key in 0..local.len() {
            if local[key] != remote[key] {
                continue;
            }
            let shown = &local[key];
            let entered: Vec<&String> =
                [&known.local[key], &known.remote[key]].into_iter().flatten().collect();
            let expected = match entered.is_empty() {
                true => known.agreed[key].iter().collect(),
                false => entered,
            };
            if !expected.is_empty() && !expected.contains(&shown) {
                let what =
                    format!("{} became {shown:?} on both sides, not {expected:?}", key_name(key, radio));
                return Err(broken(Law::EditsSurvive, what));
            }
            if ended == Ended::Well {
                known.agreed[key] = Some(shown.clone());
                known.local[key] = None;
                known.remote[key] = None;
            }
        }
    }
    Ok(())
}
