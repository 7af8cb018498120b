//! One member as both sides show it right now; what is out of reach is taken from the mirror, and said.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::cli::exit::Fault;
use crate::cli::member::bearers;
use crate::cli::wiring::{Settings, refuse_other_register};
use crate::clock::Clock;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{AudienceError, ReadAudience};
use crate::model::{Contact, EmailAddress, MemberId, Registration, RegistrationId, UnusableRegistration};
use crate::reconcile::policy::{Policy, RegisterFeatures};
use crate::reconcile::trio::Trio;
use crate::registrations::{ReadRegistrations, Reading, RegisterError, split};
use crate::state::State;

/// The number of a member that no cycle has seen; those of the state begin at one.
const UNSEEN: MemberId = MemberId(0);

/// Where what is shown of a side comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    /// The side itself, just now.
    Side,
    /// What the state remembers of it.
    Mirror,
}

/// One member as both sides show it.
#[derive(Debug)]
pub(super) struct Look {
    /// The member; its number is 0 where no cycle has seen it yet.
    pub(super) trio: Trio,
    /// Where the local side comes from.
    pub(super) local: From,
    /// Where the remote side comes from.
    pub(super) remote: From,
    /// What decisions are made under; `None` where it cannot be told.
    pub(super) policy: Option<Policy>,
    /// Whether either side has changed since the last cycle.
    pub(super) changed: bool,
    /// What staff should know of how this was read.
    pub(super) notes: Vec<String>,
}

impl Look {
    /// Whether a cycle has seen the member.
    pub(super) fn is_known(&self) -> bool {
        self.trio.id != UNSEEN
    }

    /// Whether there is nothing of the member anywhere.
    pub(super) fn is_nobody(&self) -> bool {
        !self.is_known() && self.trio.local.is_empty() && self.trio.remote.is_none()
    }
}

/// Looks at whoever bears the address: both sides live as far as they can be reached. An audience that does not answer
/// within `patience` is out of reach.
pub(super) async fn look(
    settings: Result<Settings, Fault>,
    state: &State,
    email: &EmailAddress,
    patience: Duration,
) -> Result<Look, Fault> {
    let now = Clock::System.now();
    let mut trios = bearers(state, email, now).await?.into_iter();
    let known = trios.next();
    let mut look = Look {
        trio: known.unwrap_or_else(|| unseen(now)),
        local: From::Mirror,
        remote: From::Mirror,
        policy: None,
        changed: false,
        notes: Vec::new(),
    };
    let others = trios.count();
    if others > 0 {
        look.notes.push(format!("{others} more of the members bear this address on one side or in the base"));
    }
    if !look.is_known() {
        look.trio.tombstone = state.tombstone(email.hash()).await.map_err(Fault::failed)?;
    }
    match settings {
        Ok(settings) => read_sides(&mut look, &settings, state, email, patience).await?,
        Err(fault) => look.notes.push(format!(
            "the configuration cannot be read in full, so both sides are shown as last observed: {:#}",
            fault.error()
        )),
    }
    Ok(look)
}

fn unseen(now: Timestamp) -> Trio {
    Trio {
        id: UNSEEN,
        base: None,
        local: Vec::new(),
        unusable: BTreeSet::new(),
        remote: None,
        tombstone: None,
        parked: None,
        taken_remotely: false,
        taken_locally: false,
        observed_at: now,
    }
}

async fn read_sides(
    look: &mut Look,
    settings: &Settings,
    state: &State,
    email: &EmailAddress,
    patience: Duration,
) -> Result<(), Fault> {
    settings.refuse_other_audience(state).await?;
    let features = read_local(look, settings, state, email).await?;
    let mut schema: Option<AudienceSchema> = state.schema().await.map_err(Fault::failed)?;
    let audience = match settings.audience() {
        Ok(audience) => audience,
        Err(fault) => {
            look.notes.push(format!("Mailchimp is shown as last observed: {:#}", fault.error()));
            look.policy = schema.map(|schema| settings.policy(&schema, features));
            return Ok(());
        }
    };
    let read = tokio::time::timeout(patience, read_contact(look, &audience, &mut schema, email)).await;
    let said = match read {
        Ok(Ok(contact)) => {
            take_contact(look, state, contact).await?;
            None
        }
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some(format!("it did not answer within {} s", patience.as_secs())),
    };
    if let Some(said) = said {
        look.notes.push(format!("Mailchimp is shown as last observed: {said}"));
    }
    look.policy = schema.map(|schema| settings.policy(&schema, features));
    Ok(())
}

/// Puts the rows in place as they stand; says what the register can hold.
async fn read_local(
    look: &mut Look,
    settings: &Settings,
    state: &State,
    email: &EmailAddress,
) -> Result<RegisterFeatures, Fault> {
    let register = match settings.register_read_only().await {
        Ok(register) => register,
        Err(fault) => {
            look.notes.push(format!("the register is shown as last observed: {:#}", fault.error()));
            return Ok(settings.features());
        }
    };
    refuse_other_register(state, register.as_ref()).await?;
    match read_rows(register.as_ref(), &look.trio, email).await {
        Ok(readings) => take_rows(look, state, readings).await?,
        Err(error) => {
            let error = anyhow::Error::from(error);
            look.notes.push(format!("the register is shown as last observed: {error:#}"));
        }
    }
    Ok(register.features())
}

/// The rows of the member, by their keys and by their address.
async fn read_rows(
    register: &dyn ReadRegistrations,
    trio: &Trio,
    email: &EmailAddress,
) -> Result<Vec<Reading>, RegisterError> {
    let linked = trio.base.iter().flat_map(|base| base.rows.keys());
    let mut ids: Vec<RegistrationId> = trio.local.iter().map(|row| &row.id).chain(linked).cloned().collect();
    ids.sort();
    ids.dedup();
    let mut readings = register.by_id(&ids).await?;
    let by_address = register.by_email(email).await?;
    readings.extend(by_address.into_iter().filter(|reading| !ids.contains(reading.id())));
    Ok(readings)
}

/// Takes the rows that are the member's; a member that no cycle knew may turn out to be known by a row.
async fn take_rows(look: &mut Look, state: &State, readings: Vec<Reading>) -> Result<(), Fault> {
    let mut own = Vec::new();
    for reading in readings {
        let member = state.member_of_registration(reading.id().clone()).await.map_err(Fault::failed)?;
        if let Some(member) = member.filter(|_| !look.is_known()) {
            adopt(look, state, member).await?;
        }
        match member {
            Some(member) if member != look.trio.id => {
                look.notes
                    .push(format!("row {} bears the address, too, but is another member's", reading.id()));
            }
            Some(_) | None => own.push(reading),
        }
    }
    let (mut rows, unusable) = split(own);
    look.trio.unusable = unusable.iter().map(|row| row.id.clone()).collect();
    for row in unusable {
        let UnusableRegistration { id, problem, .. } = &row;
        look.notes.push(format!("row {id} cannot be synchronized as it stands: {problem}"));
        let last = look.trio.local.iter().find(|last| last.id == *id).cloned();
        rows.extend(row.heard_after(last.clone()).or(last));
    }
    rows.sort_by(|a, b| a.age().cmp(&b.age()));
    look.changed |= !same_rows(&look.trio.local, &rows);
    look.trio.local = rows;
    look.local = From::Side;
    Ok(())
}

/// Whether somebody else than Rosterd would find the rows the same.
fn same_rows(before: &[Registration], now: &[Registration]) -> bool {
    let bare = |row: &Registration| Registration {
        preferences_url: None,
        sync_note: None,
        working_groups: None,
        updated_at: None,
        ..row.clone()
    };
    before.iter().map(bare).eq(now.iter().map(bare))
}

/// The member's own contact, else whoever bears the address.
async fn read_contact(
    look: &Look,
    audience: &dyn ReadAudience,
    schema: &mut Option<AudienceSchema>,
    email: &EmailAddress,
) -> Result<Option<Contact>, AudienceError> {
    let schema = match schema {
        Some(schema) => schema,
        None => schema.insert(audience.schema(None).await?),
    };
    let linked = look.trio.base.as_ref().and_then(|base| base.contact.as_ref()).map(|(id, _)| id);
    let own = look.trio.remote.as_ref().map(|contact| &contact.contact_id).or(linked);
    if let Some(id) = own
        && let Some(contact) = audience.contact(schema, id).await?
    {
        return Ok(Some(contact));
    }
    audience.contact_by_email(schema, email).await
}

async fn take_contact(look: &mut Look, state: &State, contact: Option<Contact>) -> Result<(), Fault> {
    if let Some(contact) = &contact {
        let member = state.member_of_contact(contact.contact_id.clone()).await.map_err(Fault::failed)?;
        match member {
            Some(member) if !look.is_known() && look.trio.local.is_empty() => {
                adopt(look, state, member).await?
            }
            Some(member) if member != look.trio.id => {
                look.notes.push("another member's contact bears the address in Mailchimp".to_owned());
                look.changed |= look.trio.remote.take().is_some();
                look.remote = From::Side;
                return Ok(());
            }
            Some(_) | None => (),
        }
    }
    look.changed |= look.trio.remote != contact;
    look.trio.remote = contact;
    look.remote = From::Side;
    Ok(())
}

async fn adopt(look: &mut Look, state: &State, member: MemberId) -> Result<(), Fault> {
    if let Some(trio) = state.trio(member, look.trio.observed_at).await.map_err(Fault::failed)? {
        look.trio = trio;
        look.changed = true;
    }
    Ok(())
}
