//! Addresses that somebody named, or that a write left in doubt: looked at on both sides in every cycle until settled.

use futures::stream::{self, StreamExt};

use crate::mailchimp::AudienceError;
use crate::mailchimp::refusal::chain;
use crate::mailchimp::schema::AudienceSchema;
use crate::model::{Contact, EmailAddress};
use crate::observe::{ObserveError, Sources, local, missing};
use crate::state::{MemberName, Pending, Seen};
use crate::telemetry;

/// How many are taken at a time.
const BATCH: usize = 200;

/// Of those whom only events name so many are read before anything is decided, those first that wait longest. Events cost
/// nothing to send: however many come, what people do elsewhere waits for no more than this.
const MOST_BY_EVENTS: usize = 400;

/// Reads what is in doubt, what was asked for, and of what events named as much as nobody else is kept waiting by; says how
/// many contacts were read.
pub(super) async fn read(sources: &Sources, schema: &AudienceSchema) -> Result<u64, ObserveError> {
    let mut n_read = missing::recheck(sources, schema).await?;
    let mut after = None;
    loop {
        sources.check_stop()?;
        let named = sources.state.asked_for(after, BATCH).await?;
        let Some(last) = named.last() else { break };
        after = Some(last.address.clone());
        n_read += look_at_each(sources, schema, named).await?;
    }
    let named = sources.state.named_by_events(MOST_BY_EVENTS).await?;
    for named in named.chunks(BATCH) {
        sources.check_stop()?;
        n_read += look_at_each(sources, schema, named.to_vec()).await?;
    }
    // What was named may have turned out to be in doubt.
    n_read += missing::recheck(sources, schema).await?;
    Ok(n_read)
}

/// Reads these alone, and what turns out to be in doubt of them.
pub(super) async fn read_these(
    sources: &Sources,
    schema: &AudienceSchema,
    named: Vec<Pending>,
) -> Result<u64, ObserveError> {
    sources.check_stop()?;
    Ok(look_at_each(sources, schema, named).await? + missing::recheck(sources, schema).await?)
}

/// Reads addresses on both sides into the mirror. A member that holds or held one is read by its own keys, too.
async fn look_at_each(
    sources: &Sources,
    schema: &AudienceSchema,
    named: Vec<Pending>,
) -> Result<u64, ObserveError> {
    for Pending { address, .. } in &named {
        let members = sources.state.find_members(MemberName::Address(address.clone())).await?;
        sources.state.ask_for_recheck(members).await?;
        local::store(sources, sources.local.by_email(address).await?).await?;
    }
    let addresses: Vec<EmailAddress> = named.iter().map(|pending| pending.address.clone()).collect();
    let answers: Vec<_> = stream::iter(addresses)
        .map(|address| async move { (sources.remote.contact_by_email(schema, &address).await, address) })
        .buffer_unordered(sources.connections)
        .collect()
        .await;
    for (answer, address) in answers {
        store(sources, &address, answer).await?;
    }
    let n_read = named.len() as u64;
    sources.state.settle_pending(named).await?;
    Ok(n_read)
}

async fn store(
    sources: &Sources,
    address: &EmailAddress,
    answer: Result<Option<Contact>, AudienceError>,
) -> Result<(), ObserveError> {
    match answer {
        Ok(None) => (),
        Ok(Some(contact)) => {
            sources.state.put_contacts(vec![contact], Seen::Single).await?;
        }
        // A member that bears the address is set aside by the reading of its own keys; nobody else waits for it.
        Err(error) if error.concerns_one() => {
            tracing::warn!(
                member.hash = %address.hash(),
                member.address = telemetry::address(address),
                error = chain(&error),
                "A contact cannot be read"
            );
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
