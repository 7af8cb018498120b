//! Members that no page showed: read by themselves before anything is concluded.

use futures::stream::{self, StreamExt};

use crate::mailchimp::AudienceError;
use crate::mailchimp::refusal::chain;
use crate::mailchimp::schema::AudienceSchema;
use crate::model::{Contact, ContactId, MemberId};
use crate::observe::{ObserveError, Sources, local};
use crate::state::{Park, Recheck, Seen, growing_distance};

/// How many are asked for before the answers are stored.
const BATCH: usize = 200;

/// Asks for every contact that the full walk did not show. Where more are missing than the guard allows, nothing is
/// asked and the lot is held: the audience may be the wrong one. Says whether it was.
pub(super) async fn conclude(sources: &Sources, schema: &AudienceSchema) -> Result<bool, ObserveError> {
    let now = sources.clock.now();
    let n_missing = sources.state.count_unseen_contacts().await?;
    let n_members = sources.state.counts().await?.with_contact;
    let held = if sources.absences.is_passed_by(n_missing, n_members) {
        let reason = format!("{n_missing} contacts are missing in Mailchimp: is this the right audience?");
        sources.state.hold_missing(reason, now).await?.is_some()
    } else {
        false
    };
    let mut after = None;
    loop {
        sources.check_stop()?;
        let unseen = sources.state.unseen_contacts(after, BATCH).await?;
        let Some((last, _)) = unseen.last() else { break };
        after = Some(*last);
        read_each(sources, schema, unseen).await?;
    }
    sources.state.settle_missing_holds(now).await?;
    Ok(held)
}

/// Reads members by themselves whose contact is in doubt: a write with an unknown outcome, an address that changed hands.
pub(super) async fn recheck(sources: &Sources, schema: &AudienceSchema) -> Result<u64, ObserveError> {
    let mut n_read = 0;
    let mut after = None;
    sources.state.doubt_created().await?;
    loop {
        sources.check_stop()?;
        let doubtful = sources.state.rechecks(after, BATCH).await?;
        let Some(last) = doubtful.last() else { break };
        after = Some(last.member);
        n_read += doubtful.len() as u64;
        let answers: Vec<_> = stream::iter(doubtful)
            .map(|recheck| async move { (read_doubtful(sources, schema, &recheck).await, recheck) })
            .buffer_unordered(sources.connections)
            .collect()
            .await;
        for (answer, recheck) in answers {
            match answer {
                Err(ObserveError::Remote(error)) if error.concerns_one() => {
                    give_up(sources, recheck.member, &error).await?;
                }
                answer => store(sources, recheck.member, recheck.contact.as_ref(), answer?).await?,
            }
        }
    }
    sources.state.follow_created().await?;
    Ok(n_read)
}

/// Sets aside a member in doubt that cannot be read: nothing can be concluded of it, and nobody else waits for it.
async fn give_up(sources: &Sources, member: MemberId, error: &AudienceError) -> Result<(), ObserveError> {
    tracing::warn!(member.id = member.0, error = chain(error), "A member in doubt cannot be read");
    let now = sources.clock.now();
    let distance = growing_distance(sources.state.refusals(member).await?);
    let park = Park {
        class: "unreadable".to_owned(),
        title: "The contact cannot be read".to_owned(),
        said: error.to_string(),
        retry_at: now.checked_add(distance).ok(),
    };
    sources.state.give_up_reading(member, park, now).await?;
    Ok(())
}

/// Both sides of one member, by every key that is known of it.
async fn read_doubtful(
    sources: &Sources,
    schema: &AudienceSchema,
    recheck: &Recheck,
) -> Result<Vec<Contact>, ObserveError> {
    let mut contacts = Vec::new();
    if let Some(id) = &recheck.contact {
        contacts.extend(sources.remote.contact(schema, id).await?);
    }
    for address in &recheck.addresses {
        if contacts.iter().all(|contact: &Contact| contact.email != *address) {
            contacts.extend(sources.remote.contact_by_email(schema, address).await?);
        }
    }
    local::read_by_keys(sources, &recheck.rows, &recheck.addresses).await?;
    Ok(contacts)
}

async fn read_each(
    sources: &Sources,
    schema: &AudienceSchema,
    unseen: Vec<(MemberId, ContactId)>,
) -> Result<(), ObserveError> {
    let answers: Vec<_> = stream::iter(unseen)
        .map(|(member, id)| async move { (sources.remote.contact(schema, &id).await, member, id) })
        .buffer_unordered(sources.connections)
        .collect()
        .await;
    for (answer, member, id) in answers {
        match answer {
            // It is there, and keeps what it last showed.
            Err(error) if error.concerns_one() => {
                tracing::warn!(contact.id = id.as_str(), error = chain(&error), "A contact cannot be read");
                sources.state.see_contacts(vec![id]).await?;
            }
            answer => store(sources, member, Some(&id), answer?.into_iter().collect()).await?,
        }
    }
    Ok(())
}

/// Puts the answers into the mirror. Where the member's own contact is not among them it is gone; whoever bears its
/// address by now may be its successor.
async fn store(
    sources: &Sources,
    member: MemberId,
    own: Option<&ContactId>,
    answers: Vec<Contact>,
) -> Result<(), ObserveError> {
    // A contact created in bulk is known by the id of its path until its own is shown.
    let is_own =
        |contact: &Contact| own.is_some_and(|id| *id == contact.contact_id || id.as_str() == contact.path_id);
    let found = answers.iter().any(is_own);
    if !found {
        sources.state.forget_contact(member).await?;
    }
    sources.state.put_contacts(answers, Seen::Single).await?;
    Ok(())
}
