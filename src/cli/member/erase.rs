//! `rosterd member erase`: erases somebody everywhere, on their request.
//!
//! First in Mailchimp, then in the register, last in the state: what the state knows of the member is how it is found.
//! After a crash in between the same command finds what is left, and goes on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::cli::asking::{says_yes, somebody_is_there};
use crate::cli::exit::{Ending, Fault};
use crate::cli::member::{bearers, nobody};
use crate::cli::output::{print_json, say};
use crate::cli::wiring::Settings;
use crate::cli::{Cli, Output};
use crate::clock::Clock;
use crate::cycle::{Cycle, read_schema};
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{AudienceError, RefusalClass};
use crate::model::{Contact, ContactId, EmailAddress, MemberId, RegistrationId};
use crate::reconcile::trio::Trio;
use crate::registrations::split;
use crate::state::{Seen, State, StateError};

/// Whether the person at the command line was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// They said yes beforehand.
    Beforehand,
    /// They are to be asked.
    NotYet,
}

/// Whom, and all that is to go.
struct Erasing {
    member: MemberId,
    contacts: Vec<Contact>,
    rows: Vec<RegistrationId>,
}

/// Erases whoever bears the address.
pub(super) async fn run(
    cli: &Cli,
    email: &EmailAddress,
    asked: Asked,
    output: Output,
) -> Result<Ending, Fault> {
    if asked == Asked::NotYet && !somebody_is_there() {
        return Err(Fault::usage(anyhow::anyhow!(
            "nobody is there to be asked: give --yes to erase {email} for good"
        )));
    }
    let settings = Settings::load(cli)?;
    let cycle = settings.cycle(own_state(&settings, email).await?).await?;
    let schema = read_schema(cycle.remote.as_ref(), &cycle.state, &cycle.clock)
        .await
        .map_err(Fault::of_observation)?;
    // What waits in the spool would bring the address back.
    settings.take_up_events(&cycle.state).await?;
    let erasing = find(&cycle, &schema, email).await?;
    if asked == Asked::NotYet && !agrees(email, &erasing).await? {
        say("Nothing was erased.")?;
        return Ok(Ending::Done);
    }
    erase(&cycle, &erasing).await?;
    report(&erasing, output)?;
    Ok(Ending::Done)
}

/// Reads both sides into the state, so that it knows every address of the member, and gathers what is to go.
async fn find(cycle: &Cycle, schema: &AudienceSchema, email: &EmailAddress) -> Result<Erasing, Fault> {
    let now = cycle.clock.now();
    let readings = cycle.local.by_email(email).await.map_err(Fault::of_register)?;
    let mut rows: BTreeSet<RegistrationId> = readings.iter().map(|reading| reading.id().clone()).collect();
    let (usable, unusable) = split(readings);
    cycle.state.put_readings(usable, unusable).await.map_err(Fault::failed)?;
    let contact = cycle.remote.contact_by_email(schema, email).await.map_err(Fault::of_audience)?;
    cycle.state.put_contacts(contact.into_iter().collect(), Seen::Single).await.map_err(Fault::failed)?;
    let trios = bearers(&cycle.state, email, now).await?;
    let trio = match trios.as_slice() {
        [] => return Err(nobody(&cycle.state, email).await?),
        [only] => only,
        several => {
            return Err(Fault::failed(anyhow::anyhow!(
                "{} members bear {email} on one side or the other, and erasing cannot be undone: give those who stay \
                 another address, run rosterd sync, and come again",
                several.len()
            )));
        }
    };
    rows.extend(trio.local.iter().map(|row| row.id.clone()));
    rows.extend(trio.base.iter().flat_map(|base| base.rows.keys().cloned()));
    Ok(Erasing {
        member: trio.id,
        contacts: contacts(cycle, schema, trio, email).await?,
        rows: rows.into_iter().collect(),
    })
}

/// The member's contacts as Mailchimp shows them now: by their keys and by the address.
async fn contacts(
    cycle: &Cycle,
    schema: &AudienceSchema,
    trio: &Trio,
    email: &EmailAddress,
) -> Result<Vec<Contact>, Fault> {
    let linked = trio.base.as_ref().and_then(|base| base.contact.as_ref()).map(|(id, _)| id);
    let shown = trio.remote.as_ref().map(|contact| &contact.contact_id);
    let ids: BTreeSet<&ContactId> = linked.into_iter().chain(shown).collect();
    let mut contacts: BTreeMap<ContactId, Contact> = BTreeMap::new();
    let mut take = |found: Option<Contact>| {
        // One contact may answer to several keys: the base of a bulk creation knows it by its path.
        contacts.extend(found.map(|contact| (contact.contact_id.clone(), contact)));
    };
    for id in ids {
        take(cycle.remote.contact(schema, id).await.map_err(Fault::of_audience)?);
    }
    take(cycle.remote.contact_by_email(schema, email).await.map_err(Fault::of_audience)?);
    Ok(contacts.into_values().collect())
}

async fn agrees(email: &EmailAddress, erasing: &Erasing) -> Result<bool, Fault> {
    let question = format!(
        "This erases {email} for good: {}.\nMailchimp will never let the address be imported again; only its own \
         sign-up form can bring it back.\nErase?",
        what(erasing)
    );
    says_yes(&question).await
}

/// The state, as its one writer: an erasure has to know that nobody brings back meanwhile what it takes away.
async fn own_state(settings: &Settings, email: &EmailAddress) -> Result<State, Fault> {
    match State::open(&settings.config.state.path, &Clock::System).await {
        Err(StateError::Locked { pid, .. }) => Err(Fault::failed(anyhow::anyhow!(
            "the state is held by process {pid}, which cannot erase for you: if it is the daemon, stop it (systemctl \
             stop rosterd), run rosterd member erase {email} again, and start it; if it is a sync, let it end first"
        ))),
        opened => opened.map_err(Fault::of_state),
    }
}

async fn erase(cycle: &Cycle, erasing: &Erasing) -> Result<(), Fault> {
    for contact in &erasing.contacts {
        match cycle.remote.delete_permanently(contact).await {
            // Gone since it was read.
            Err(AudienceError::Refused(refusal)) if refusal.class == RefusalClass::Missing => (),
            answer => answer.map_err(Fault::failed)?,
        }
    }
    cycle.local.erase(&erasing.rows).await.map_err(Fault::of_register)?;
    let outcome = what(erasing);
    cycle.state.erase_member(erasing.member, outcome, cycle.clock.now()).await.map_err(Fault::failed)
}

/// What goes, without the address.
fn what(erasing: &Erasing) -> String {
    let contacts = match erasing.contacts.len() {
        0 => "no contact in Mailchimp".to_owned(),
        1 => "1 contact in Mailchimp".to_owned(),
        n => format!("{n} contacts in Mailchimp"),
    };
    let rows = match erasing.rows.len() {
        0 => "no row of the register".to_owned(),
        1 => "1 row of the register".to_owned(),
        n => format!("{n} rows of the register"),
    };
    format!("{contacts}, {rows}, and all that Rosterd remembered")
}

fn report(erasing: &Erasing, output: Output) -> Result<(), Fault> {
    let rows: Vec<&str> = erasing.rows.iter().map(RegistrationId::as_str).collect();
    if output.json {
        return print_json(&json!({
            "erased": true, "contacts": erasing.contacts.len(), "rows": rows, "outcome": what(erasing),
        }));
    }
    match erasing.contacts.len() {
        0 => say("Mailchimp: there was no contact.")?,
        1 => say("Mailchimp: the contact is deleted for good.")?,
        n => say(&format!("Mailchimp: {n} contacts are deleted for good."))?,
    }
    match rows.as_slice() {
        [] => say("Register:  there was no row.")?,
        rows => say(&format!("Register:  removed row {}, interests included.", rows.join(", ")))?,
    }
    say("Rosterd:   forgot base, trail, events and what holds listed; a keyed hash stays as proof.")?;
    say("Backups of the register, of Rosterd's state and exports are not touched: see to them yourself.")
}
