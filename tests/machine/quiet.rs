//! The laws of quiet: where the sides still differ, and who is in who should be out.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::known::Word;
use crate::laws::Law;
use crate::oracle::Oracle;
use crate::sides::{Row, Shown, Sides};

/// A place where the sides differ after quiet.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) email: String,
    pub(crate) law: Law,
    pub(crate) what: String,
}

/// Law 2, and what is left of law 1 after quiet: all that needs a reason.
pub(crate) fn differences(oracle: &Oracle, sides: &Sides, leaves: bool) -> Vec<Difference> {
    let emails: BTreeSet<&str> = sides
        .rows
        .iter()
        .map(|row| row.email.as_str())
        .chain(sides.contacts.iter().map(|contact| contact.email.as_str()))
        .collect();
    let mut found = Vec::new();
    for email in emails {
        let contact = sides.contact_at(email);
        let rows: Vec<&Row> = sides.rows_at(email).collect();
        // A row that is linked to a member stays with it, others join by address (section 2 of the design): where several
        // share one, the contact agrees with its own rows or with all.
        let owner = contact.and_then(|contact| oracle.person_of_contact(contact));
        let own: Vec<&Row> = rows.iter().copied().filter(|row| oracle.person_of_row(row) == owner).collect();
        let radio = oracle.n_keys() == 3;
        let agrees_with_own =
            owner.is_some() && !own.is_empty() && difference(&own, contact, leaves, radio).is_none();
        let mut say = |law, what: String| found.push(Difference { email: email.to_owned(), law, what });
        if let Some(what) = difference(&rows, contact, leaves, radio).filter(|_| !agrees_with_own) {
            say(Law::Agreement, what);
        }
        if let Some(what) = still_in(oracle, sides, email, &rows, contact, leaves) {
            say(Law::Consent, what);
        }
    }
    found
}

/// When the row's consent was given; texts of one moment differ in their digits.
fn instant(row: &Row) -> Option<Timestamp> {
    row.at.parse().ok()
}

/// Of two rows of one time the more cautious speaks.
fn caution(status: &str) -> u8 {
    match status {
        "subscribed" => 0,
        "pending" => 1,
        "unsubscribed" => 3,
        _ => 2,
    }
}

fn difference(rows: &[&Row], contact: Option<&Shown>, leaves: bool, radio: bool) -> Option<String> {
    let spoken = rows.iter().max_by_key(|row| (instant(row), caution(&row.status)));
    let local = spoken.map(|row| row.status.as_str());
    let remote = contact.map(|contact| contact.status.as_str());
    let agree = match (local, remote) {
        (None, None | Some("unsubscribed" | "archived" | "cleaned" | "pending")) => true,
        (None, Some(_)) => leaves,
        (Some("unsubscribed" | "cleaned"), None | Some("archived" | "unsubscribed")) => true,
        (Some("unsubscribed"), Some("cleaned")) => true,
        (Some(local), Some(remote)) => local == remote,
        (Some(_), None) => false,
    };
    if !agree {
        return Some(format!("the register says {local:?}, Mailchimp {remote:?}"));
    }
    let contact = contact.filter(|contact| contact.is_in())?;
    if rows.is_empty() {
        return None;
    }
    let (local, remote) =
        (crate::sides::local_values(rows, radio), crate::sides::remote_values(contact, radio));
    (local != remote).then(|| format!("the register shows {local:?}, Mailchimp {remote:?}"))
}

/// Whether somebody whose last word was an opt-out is, after quiet, subscribed on a side.
fn still_in(
    oracle: &Oracle,
    sides: &Sides,
    email: &str,
    rows: &[&Row],
    contact: Option<&Shown>,
    leaves: bool,
) -> Option<String> {
    let people = oracle.people_at(sides, email);
    let outs: Vec<_> =
        people.iter().map(|person| oracle.people[*person].out_by(u64::MAX, email, oracle.now)).collect();
    if outs.is_empty() || outs.iter().any(Option::is_none) {
        return None;
    }
    let out = outs.first().copied().flatten()?;
    // A bounce stops the address, not the person.
    if out.word == Word::Bounced {
        return None;
    }
    if leaves && out.word == Word::Removed {
        return None;
    }
    // Whom Mailchimp's own form asks to confirm is in by nobody's word but their own.
    let asked = people.iter().any(|person| oracle.people[*person].asked.contains_key(email));
    let is_in = |status: &str| status == "subscribed" || (status == "pending" && asked);
    let row = rows.iter().max_by_key(|row| (instant(row), caution(&row.status)));
    let shows = (row.is_some_and(|row| is_in(&row.status)), contact.is_some_and(|c| is_in(&c.status)));
    (shows != (false, false)).then(|| format!("in on (register, Mailchimp) = {shows:?} after {out:?}"))
}
