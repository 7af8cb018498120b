//! The full walk over the audience: every page, several at a time, in an order that edits do not disturb.

use std::collections::BTreeMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};

use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{Order, Page, PageRequest, Shelf};
use crate::model::ContactId;
use crate::observe::incremental::{PAGE, walk_since};
use crate::observe::{ObserveError, Sources};
use crate::progress::Phase;
use crate::state::{Seen, Walk};

/// Neighbouring pages share this many rows: where they do not, somebody came or went meanwhile.
const SHARED: usize = 5;

/// A shelf that never holds still is accepted after this many walks: what moved is in the incremental walk that
/// follows, and nobody is taken for gone who was not asked for by themselves.
const WALKS: usize = 3;

/// The incremental walk that follows begins this long before the first page.
const BEFORE: SignedDuration = SignedDuration::from_secs(60);

/// What a full walk read.
pub(super) struct Full {
    /// Contacts read.
    pub(super) contacts: u64,
    /// The server's time at the first page, where it told.
    pub(super) watermark: Option<Timestamp>,
}

/// Reads every page of both shelves into the mirror.
pub(super) async fn walk(sources: &Sources, schema: &AudienceSchema) -> Result<Full, ObserveError> {
    sources.state.begin_walk(Walk::Remote).await?;
    let mut full = Full { contacts: 0, watermark: None };
    for shelf in [Shelf::Living, Shelf::Archived] {
        for n_walk in 1..=WALKS {
            let walked = walk_shelf(sources, schema, shelf).await?;
            full.contacts += walked.contacts;
            full.watermark = full.watermark.or(walked.watermark);
            if walked.held_still {
                break;
            }
            tracing::info!(walk = n_walk, "the audience moved under the walk");
        }
    }
    Ok(full)
}

/// The incremental walk from before the first page: what changed while the pages were read.
pub(super) async fn follow_up(
    sources: &Sources,
    schema: &AudienceSchema,
    watermark: Option<Timestamp>,
) -> Result<(), ObserveError> {
    let began = watermark.unwrap_or_else(|| sources.clock.now());
    walk_since(sources, schema, began.checked_sub(BEFORE).ok()).await?;
    Ok(())
}

struct Walked {
    contacts: u64,
    watermark: Option<Timestamp>,
    held_still: bool,
}

/// The rows at either end of a page: what neighbouring pages must share.
type Edges = (Vec<ContactId>, Vec<ContactId>);

async fn walk_shelf(
    sources: &Sources,
    schema: &AudienceSchema,
    shelf: Shelf,
) -> Result<Walked, ObserveError> {
    let request = |offset| PageRequest { shelf, order: Order::OptIn, since: None, offset, count: PAGE };
    let first = sources.remote.page(schema, &request(0)).await?;
    let (total, watermark) = (first.total, first.date);
    let mut edges: BTreeMap<usize, Edges> = BTreeMap::from([(0, edges_of(&first))]);
    let mut contacts = first.contacts.len() as u64;
    let mut held_still = true;
    sources.state.put_contacts(first.contacts, Seen::Walk).await?;
    let offsets = (1..).map(|page| page * (PAGE - SHARED)).take_while(|offset| offset + SHARED < total);
    let pages = stream::iter(offsets)
        .map(|offset| async move {
            sources.check_stop()?;
            let page = sources.remote.page(schema, &request(offset)).await?;
            Ok::<_, ObserveError>((offset, page))
        })
        .buffer_unordered(sources.connections);
    let mut pages = std::pin::pin!(pages);
    while let Some((offset, page)) = pages.try_next().await? {
        held_still &= page.total == total;
        edges.insert(offset, edges_of(&page));
        contacts += page.contacts.len() as u64;
        sources.state.put_contacts(page.contacts, Seen::Walk).await?;
        sources.report(Phase::ReadingAudience, contacts, total as u64);
    }
    held_still &= edges_meet(&edges);
    Ok(Walked { contacts, watermark, held_still })
}

fn edges_of(page: &Page) -> Edges {
    let ids = |contacts: &[crate::model::Contact]| {
        contacts.iter().map(|contact| contact.contact_id.clone()).collect()
    };
    let end = page.contacts.len().saturating_sub(SHARED);
    (
        ids(page.contacts.get(..SHARED).unwrap_or(&page.contacts)),
        ids(page.contacts.get(end..).unwrap_or_default()),
    )
}

/// Whether every page begins with the rows that the one before it ended with.
fn edges_meet(edges: &BTreeMap<usize, Edges>) -> bool {
    edges
        .values()
        .zip(edges.values().skip(1))
        .all(|((_, end), (begin, _))| end.starts_with(begin) || begin.starts_with(end))
}
