//! The incremental walk over the audience: by key, so that rows moving to the end hide nobody.

use futures::future::try_join;
use jiff::{SignedDuration, Timestamp};

use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{Order, Page, PageRequest, Shelf};
use crate::model::ContactId;
use crate::observe::{ObserveError, Sources};
use crate::state::Seen;

/// Mailchimp's largest page. <https://mailchimp.com/developer/marketing/docs/methods-parameters/#pagination>
pub(super) const PAGE: usize = 1_000;

/// The name of the audience's cursor in the state.
pub(super) const CURSOR: &str = "remote";

/// `last_changed` may be a second earlier than the answer that caused it, and Mailchimp's machines may differ a little.
const OVERLAP: SignedDuration = SignedDuration::from_secs(30);

/// Pages within one second share this many rows: as many may move to the end between two requests.
const SHARED: usize = 50;

/// A second that never holds still is walked again so often; what may have slipped by is then left to the next walk.
const AGAIN: usize = 3;

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
    // Nothing is before everything: the cursor moves where both shelves tell how far they were seen.
    if let Some(watermark) = living.watermark.min(archived.watermark) {
        sources.state.set_cursor(CURSOR, watermark.to_string(), sources.clock.now()).await?;
    }
    Ok(living.contacts + archived.contacts)
}

struct Walked {
    contacts: u64,
    /// What lies before it has been seen; `None` where nobody can tell.
    watermark: Option<Timestamp>,
}

async fn walk_shelf(
    sources: &Sources,
    schema: &AudienceSchema,
    shelf: Shelf,
    since: Option<Timestamp>,
) -> Result<Walked, ObserveError> {
    let mut request = PageRequest { shelf, order: Order::LastChanged, since, offset: 0, count: PAGE };
    let began = sources.clock.now();
    let mut watermark = None;
    let (mut contacts, mut n_again, mut n_pages) = (0, 0, 0);
    let mut before = Vec::new();
    loop {
        sources.check_stop()?;
        let page = sources.remote.page(schema, &request).await?;
        n_pages += 1;
        if n_pages == 1 {
            watermark = page.date.and_then(|date| began_by_server(date, began, sources.clock.now()));
        }
        contacts += page.contacts.len() as u64;
        let step = next_step(&request, &before, &page);
        before = end_of(&page);
        store_page(sources, page).await?;
        match step {
            Step::Done => return Ok(Walked { contacts, watermark }),
            Step::To(next) => request = next,
            Step::Again if n_again < AGAIN => {
                n_again += 1;
                request.offset = 0;
            }
            Step::Again => {
                tracing::info!(
                    "the audience moved under the walk, which ends early: the next one begins there"
                );
                return Ok(Walked { contacts, watermark: watermark.min(request.since) });
            }
        }
    }
}

/// The server's time when the walk began: the answer may have come long after the rows in it were looked up.
fn began_by_server(answered: Timestamp, asked: Timestamp, now: Timestamp) -> Option<Timestamp> {
    answered.checked_sub(now.duration_since(asked).max(SignedDuration::ZERO)).ok()
}

/// Puts a page into the mirror; whoever cannot be read is there, and keeps what it last showed.
pub(super) async fn store_page(sources: &Sources, page: Page) -> Result<(), ObserveError> {
    sources.state.put_contacts(page.contacts, Seen::Walk).await?;
    if !page.unreadable.is_empty() {
        sources.state.see_contacts(page.unreadable).await?;
    }
    Ok(())
}

/// What comes after a page.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing.
    Done,
    /// This one.
    To(PageRequest),
    /// The second's first page: so many rows moved to the end that some of the others may have slipped by.
    Again,
}

/// Where the walk goes on: from the last row's second less one, and by `offset` only while a page stays within one
/// second. The filter is exclusive, so that the last second is asked for whole again.
///
/// Rows only ever leave a second that is over. Where a page begins with one of the rows `before` it, nobody slipped by.
fn next_step(request: &PageRequest, before: &[ContactId], page: &Page) -> Step {
    let meets = page.rows.first().is_some_and(|first| before.contains(first));
    if request.offset > 0 && !meets {
        return Step::Again;
    }
    if page.rows.len() < request.count {
        return Step::Done;
    }
    let last = page.contacts.iter().filter_map(|contact| contact.last_changed).max();
    let since = last.and_then(|last| last.checked_sub(SECOND).ok());
    let moves_on = since > request.since;
    Step::To(PageRequest {
        since: if moves_on { since } else { request.since },
        offset: if moves_on { 0 } else { request.offset + page.rows.len() - shared(page) },
        ..request.clone()
    })
}

/// How many rows a page shares with the one that follows it in its second.
fn shared(page: &Page) -> usize {
    SHARED.min(page.rows.len() / 2)
}

/// The rows that the next page of the same second begins with.
fn end_of(page: &Page) -> Vec<ContactId> {
    page.rows.iter().skip(page.rows.len() - shared(page)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Contact, EmailAddress, SubscriptionStatus};

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

    fn check(
        (since, offset): (Option<&str>, usize),
        before: &str,
        seconds: &[&str],
        expected: Option<(Option<&str>, usize)>,
    ) {
        let request = PageRequest {
            shelf: Shelf::Living,
            order: Order::LastChanged,
            since: since.map(at),
            offset,
            count: 3,
        };
        let to = |(since, offset): (Option<&str>, usize)| {
            Step::To(PageRequest { since: since.map(at), offset, ..request.clone() })
        };
        let step = next_step(&request, &[ContactId::new(before)], &page(seconds));
        assert_eq!(step, expected.map_or(Step::Done, to), "{seconds:?}");
    }

    #[test]
    fn the_walk_goes_on_by_key_and_by_offset_only_within_one_second() {
        check((Some("10"), 0), "", &["11", "12"], None);
        check((Some("10"), 0), "", &["11", "12", "13"], Some((Some("12"), 0)));
        check((Some("10"), 0), "", &["11", "11", "11"], Some((Some("10"), 2)));
        check((Some("10"), 2), "c0", &["11", "11", "11"], Some((Some("10"), 4)));
        check((Some("10"), 4), "c0", &["11", "11", "14"], Some((Some("13"), 0)));
        check((Some("10"), 4), "c0", &["11"], None);
        check((None, 0), "", &["11", "12", "13"], Some((Some("12"), 0)));
    }

    #[test]
    fn a_page_that_does_not_begin_where_the_one_before_it_ended_is_walked_up_to_again() {
        let request = PageRequest {
            shelf: Shelf::Living,
            order: Order::LastChanged,
            since: Some(at("10")),
            offset: 2,
            count: 3,
        };
        for seconds in [&["11", "11", "11"] as &[_], &["11", "14"], &[]] {
            assert_eq!(next_step(&request, &[ContactId::new("gone")], &page(seconds)), Step::Again);
        }
    }

    #[test]
    fn a_walk_began_before_its_first_answer_came() {
        let cases = [(at("10"), at("10"), "40"), (at("10"), at("35"), "15"), (at("35"), at("10"), "40")];
        for (asked, now, expected) in cases {
            assert_eq!(began_by_server(at("40"), asked, now), Some(at(expected)));
        }
    }
}
