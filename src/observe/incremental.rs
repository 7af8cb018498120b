//! The incremental walk over the audience: by key, so that rows moving to the end hide nobody.

use futures::future::try_join;
use jiff::{SignedDuration, Timestamp};

use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{Order, Page, PageRequest, Shelf};
use crate::observe::{ObserveError, Sources};
use crate::state::Seen;

/// Mailchimp's largest page. <https://mailchimp.com/developer/marketing/docs/methods-parameters/#pagination>
pub(super) const PAGE: usize = 1_000;

/// The name of the audience's cursor in the state.
pub(super) const CURSOR: &str = "remote";

/// `last_changed` may be a second earlier than the answer that caused it, and Mailchimp's machines may differ a little.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

/// Whole seconds are what `last_changed` has.
const SECOND: SignedDuration = SignedDuration::from_secs(1);

/// Walks the living and the archived since the cursor, and moves it to the server's time when the walk began.
pub(super) async fn walk(sources: &Sources, schema: &AudienceSchema) -> Result<u64, ObserveError> {
    let cursor = sources.state.cursor(CURSOR).await?.and_then(|at| at.parse::<Timestamp>().ok());
    let since = cursor.and_then(|at| at.checked_sub(OVERLAP).ok());
    walk_since(sources, schema, since).await
}

/// Walks both shelves since a time; `None` means from the beginning.
pub(super) async fn walk_since(
    sources: &Sources,
    schema: &AudienceSchema,
    since: Option<Timestamp>,
) -> Result<u64, ObserveError> {
    let (living, archived) = try_join(
        walk_shelf(sources, schema, Shelf::Living, since),
        walk_shelf(sources, schema, Shelf::Archived, since),
    )
    .await?;
    if let Some(watermark) =
        living.watermark.min(archived.watermark).or(living.watermark).or(archived.watermark)
    {
        sources.state.set_cursor(CURSOR, watermark.to_string(), sources.clock.now()).await?;
    }
    Ok(living.contacts + archived.contacts)
}

struct Walked {
    contacts: u64,
    watermark: Option<Timestamp>,
}

async fn walk_shelf(
    sources: &Sources,
    schema: &AudienceSchema,
    shelf: Shelf,
    since: Option<Timestamp>,
) -> Result<Walked, ObserveError> {
    let mut request = PageRequest { shelf, order: Order::LastChanged, since, offset: 0, count: PAGE };
    let mut walked = Walked { contacts: 0, watermark: None };
    loop {
        sources.check_stop()?;
        let page = sources.remote.page(schema, &request).await?;
        walked.watermark = walked.watermark.or(page.date);
        walked.contacts += page.contacts.len() as u64;
        let next = next_request(&request, &page);
        store_page(sources, page).await?;
        match next {
            Some(next) => request = next,
            None => return Ok(walked),
        }
    }
}

/// Puts a page into the mirror; whoever cannot be read is there, and keeps what it last showed.
pub(super) async fn store_page(sources: &Sources, page: Page) -> Result<(), ObserveError> {
    sources.state.put_contacts(page.contacts, Seen::Walk).await?;
    if !page.unreadable.is_empty() {
        sources.state.see_contacts(page.unreadable).await?;
    }
    Ok(())
}

/// Where the walk goes on: from the last row's second less one, and by `offset` only while a page stays within one
/// second. The filter is exclusive, so that the last second is asked for whole again.
fn next_request(request: &PageRequest, page: &Page) -> Option<PageRequest> {
    if page.rows.len() < request.count {
        return None;
    }
    let last = page.contacts.iter().filter_map(|contact| contact.last_changed).max();
    let since = last.and_then(|last| last.checked_sub(SECOND).ok());
    let moves_on = since > request.since;
    Some(PageRequest {
        since: if moves_on { since } else { request.since },
        offset: if moves_on { 0 } else { request.offset + page.rows.len() },
        ..request.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Contact, ContactId, EmailAddress, SubscriptionStatus};

    fn at(second: &str) -> Timestamp {
        format!("2026-03-01T12:00:{second}Z").parse().unwrap()
    }

    fn page(seconds: &[&str]) -> Page {
        let contact = |(n, second): (usize, &&str)| Contact {
            contact_id: ContactId::new(format!("c{n}")),
            path_id: format!("p{n}"),
            email: EmailAddress::parse(&format!("p{n}@alliance.test")).unwrap(),
            status: SubscriptionStatus::Subscribed,
            fields: Default::default(),
            interests: Default::default(),
            group_tags: Default::default(),
            unique_email_id: String::new(),
            last_changed: Some(at(second)),
            timestamp_opt: None,
        };
        let contacts: Vec<_> = seconds.iter().enumerate().map(contact).collect();
        let rows: Vec<ContactId> = contacts.iter().map(|contact| contact.contact_id.clone()).collect();
        Page { total: rows.len(), rows, contacts, unreadable: Vec::new(), date: None }
    }

    fn check(since: Option<&str>, offset: usize, seconds: &[&str], expected: Option<(Option<&str>, usize)>) {
        let request = PageRequest {
            shelf: Shelf::Living,
            order: Order::LastChanged,
            since: since.map(at),
            offset,
            count: 3,
        };
        let next = next_request(&request, &page(seconds)).map(|next| (next.since, next.offset));
        assert_eq!(next, expected.map(|(since, offset)| (since.map(at), offset)), "{seconds:?}");
    }

    #[test]
    fn the_walk_goes_on_by_key_and_by_offset_only_within_one_second() {
        check(Some("10"), 0, &["11", "12"], None);
        check(Some("10"), 0, &["11", "12", "13"], Some((Some("12"), 0)));
        check(Some("10"), 0, &["11", "11", "11"], Some((Some("10"), 3)));
        check(Some("10"), 3, &["11", "11", "11"], Some((Some("10"), 6)));
        check(Some("10"), 6, &["11", "11", "14"], Some((Some("13"), 0)));
        check(None, 0, &["11", "12", "13"], Some((Some("12"), 0)));
    }
}
