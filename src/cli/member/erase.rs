//! `rosterd member erase`: erases somebody everywhere, on their request.
//!
//! First in Mailchimp, then in the register, last in the state: what the state knows of the member is how it is found.
//! After a crash in between the same command finds what is left, and goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tokio::sync::watch;

use crate::aside::aside;
use crate::cli::asking::{says_yes, somebody_is_there};
use crate::cli::exit::{Ending, Fault};
use crate::cli::member::{bearers, nobody};
use crate::cli::output::{print_json, say};
use crate::cli::progress::{Bar, show};
use crate::cli::wiring::Settings;
use crate::cli::{Cli, Output};
use crate::clock::Clock;
use crate::control::{Answer, Answers, Ask, ask};
use crate::cycle::{Cycle, read_schema};
use crate::intake::{Spool, Turn};
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{AudienceError, RefusalClass};
use crate::model::{Contact, ContactId, EmailAddress, MemberId, RegistrationId};
use crate::progress::Progress;
use crate::reconcile::trio::Trio;
use crate::registrations::split;
use crate::state::{Seen, State, StateError};

/// How long somebody else may have the turn.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// How often it is looked for.
const GLANCE: Duration = Duration::from_millis(20);

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
    addresses: Vec<EmailAddress>,
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
    // A daemon does not stand aside for as long as somebody thinks: what is agreed to is looked for once more.
    if asked == Asked::NotYet {
        let erasing = Alone::with(&settings, email).await?.erasing;
        if !agrees(email, &erasing).await? {
            say("Nothing was erased.")?;
            return Ok(Ending::Done);
        }
    }
    let Alone { cycle, erasing, mut daemon } = Alone::with(&settings, email).await?;
    erase(&cycle, &erasing, &mut daemon).await?;
    drop(daemon);
    report(&erasing, output)?;
    Ok(Ending::Done)
}

/// Both sides and the state with nobody else at work on them, and what was found there of whom is to be erased.
struct Alone {
    cycle: Cycle,
    erasing: Erasing,
    /// The daemon that stands aside, where one runs.
    daemon: Option<Answers>,
}

impl Alone {
    async fn with(settings: &Settings, email: &EmailAddress) -> Result<Self, Fault> {
        let (state, daemon) = own_state(settings, email).await?;
        let cycle = settings.cycle(state).await?;
        let schema = read_schema(cycle.remote.as_ref(), &cycle.state, &cycle.clock)
            .await
            .map_err(Fault::of_observation)?;
        if daemon.is_none() {
            // What waits in the spool would bring the address back; a daemon takes it up as it comes.
            settings.take_up_events(&cycle.state).await?;
        }
        let erasing = find(&cycle, &schema, email).await?;
        Ok(Self { cycle, erasing, daemon })
    }
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
    let contacts = contacts(cycle, schema, trio, email).await?;
    let mut addresses = cycle.state.addresses_of(trio.id).await.map_err(Fault::failed)?;
    addresses.insert(email.clone());
    addresses.extend(trio.local.iter().map(|row| row.email.clone()));
    addresses.extend(contacts.iter().map(|contact| contact.email.clone()));
    addresses.extend(trio.base.iter().filter_map(|base| Some(base.contact.as_ref()?.1.clone())));
    Ok(Erasing {
        member: trio.id,
        contacts,
        rows: rows.into_iter().collect(),
        addresses: addresses.into_iter().collect(),
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

/// The state, with no cycle under way: an erasure has to know that nobody brings back meanwhile what it takes away. A
/// running daemon stands aside for it.
async fn own_state(settings: &Settings, email: &EmailAddress) -> Result<(State, Option<Answers>), Fault> {
    let path = &settings.config.state.path;
    let pid = match State::open(path, &Clock::System).await {
        Err(StateError::Locked { pid, .. }) => pid,
        opened => return Ok((opened.map_err(Fault::of_state)?, None)),
    };
    let Some(answers) = ask(path, &Ask::StandAside).await.map_err(Fault::failed)? else {
        return Err(Fault::failed(anyhow::anyhow!(
            "the state is held by process {pid}, which is no daemon that stands aside: let it end, and run rosterd member \
             erase {email} again"
        )));
    };
    let daemon = stood_aside(answers).await?;
    Ok((State::open_shared(path).await.map_err(Fault::of_state)?, Some(daemon)))
}

/// Waits for the end of the cycle under way.
async fn stood_aside(mut answers: Answers) -> Result<Answers, Fault> {
    let progress = watch::Sender::new(Progress::default());
    let bar = Bar::new();
    let waiting = async {
        while let Some(answer) = answers.next().await.map_err(Fault::failed)? {
            match answer {
                Answer::Begun => return Ok(()),
                Answer::Progress(now) => {
                    progress.send_replace(now);
                }
                Answer::Refused { said } => return Err(Fault::failed(anyhow::anyhow!(said))),
                Answer::Accepted | Answer::Report { .. } | Answer::Failed(_) | Answer::Stopping => break,
            }
        }
        Err(Fault::failed(anyhow::anyhow!("the daemon ends: nobody was erased; run this again")))
    };
    show(&bar, &progress, waiting).await?;
    Ok(answers)
}

async fn erase(cycle: &Cycle, erasing: &Erasing, daemon: &mut Option<Answers>) -> Result<(), Fault> {
    // Had before anything is taken away, and until everything is: what was received meanwhile waits.
    let _turn = turn(&Spool::beside(cycle.state.path())).await?;
    for contact in &erasing.contacts {
        still_aside(daemon).await?;
        match cycle.remote.delete_permanently(contact).await {
            // Gone since it was read.
            Err(AudienceError::Refused(refusal)) if refusal.class == RefusalClass::Missing => (),
            answer => answer.map_err(Fault::failed)?,
        }
    }
    still_aside(daemon).await?;
    cycle.local.erase(&erasing.rows).await.map_err(Fault::of_register)?;
    // Before the state, which is how whoever comes again finds what is left; once more after it, for what came meanwhile.
    forget_events(cycle, erasing).await?;
    still_aside(daemon).await?;
    let outcome = what(erasing);
    cycle
        .state
        .erase_member(erasing.member, erasing.addresses.clone(), outcome, cycle.clock.now())
        .await
        .map_err(Fault::failed)?;
    forget_events(cycle, erasing).await
}

/// The turn to erase events: no daemon holds one that is neither in the spool nor in the state.
async fn turn(spool: &Spool) -> Result<Turn, Fault> {
    let taken = tokio::time::timeout(LONGEST_TURN, async {
        loop {
            let spool = spool.clone();
            let turn = aside(move || spool.take_turn()).await.map_err(Fault::failed)?;
            match turn.map_err(Fault::failed)? {
                Some(turn) => return Ok(turn),
                None => Clock::System.sleep(GLANCE).await,
            }
        }
    });
    taken.await.unwrap_or_else(|_| {
        Err(Fault::failed(anyhow::anyhow!(
            "nobody was erased: for a minute somebody else has been at the received events, a daemon that takes many up or \
             another erasure. Run this again; where that does not help, look into the daemon's log"
        )))
    })
}

/// Refuses to go on where the daemon no longer stands aside: a cycle could bring back what was taken away.
async fn still_aside(daemon: &mut Option<Answers>) -> Result<(), Fault> {
    if let Some(daemon) = daemon
        && !daemon.still_holds().await
    {
        return Err(Fault::failed(anyhow::anyhow!(
            "the daemon no longer stands aside, and not everything is erased: run this again, which finds what is left"
        )));
    }
    Ok(())
}

/// Erases what events say of the addresses where it lies beside the state.
async fn forget_events(cycle: &Cycle, erasing: &Erasing) -> Result<(), Fault> {
    let (spool, addresses) = (Spool::beside(cycle.state.path()), erasing.addresses.clone());
    aside(move || spool.forget(&addresses)).await.map_err(Fault::failed)?.map_err(Fault::failed)
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
