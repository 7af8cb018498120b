//! The full walk over the audience: every page, several at a time, in an order that edits do not disturb.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::future::try_join;
use futures::stream::{self, StreamExt, TryStreamExt};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use crate::aside::beside;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::{Order, Page, PageRequest, Shelf};
use crate::model::ContactId;
use crate::observe::incremental::{PAGE, store_page, walk_since};
use crate::observe::{ObserveError, Sources};
use crate::progress::Phase;
use crate::state::Walk;

/// Neighbouring pages share this many rows: where they do not, somebody came or went meanwhile.
const SHARED: usize = 5;

/// A shelf that never holds still is accepted after this many walks: what moved is in the incremental walk that
/// follows, and nobody is taken for gone who was not asked for by themselves.
const WALKS: usize = 3;

/// The incremental walk that follows begins this long before the first answer: Mailchimp gives a request up after
/// 120 s, so that no page is older, and its machines' clocks may differ by half a minute.
/// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>
const BEFORE: SignedDuration = SignedDuration::from_secs(150);

/// Pages that were read and wait to be stored: answers come in bursts, as many at once as there are connections, and
/// storing them must not keep the next requests waiting.
const STAGED: usize = 10;

/// Pages that are asked for at a time, for each connection: the client lets no more through than it may, and while one
/// answer is read the connection is free for the next request.
const AHEAD: usize = 2;

/// What a full walk read.
pub(super) struct Full {
    /// Contacts read.
    pub(super) contacts: u64,
    /// The earliest time that the server told; of the whole walk, our own when it began where none was told.
    pub(super) watermark: Option<Timestamp>,
}

/// Reads every page of both shelves into the mirror.
pub(super) async fn walk(sources: &Sources, schema: &AudienceSchema) -> Result<Full, ObserveError> {
    let began = sources.clock.now();
    sources.state.begin_walk(Walk::Remote).await?;
    let expected = usize::try_from(sources.state.counts().await?.with_contact).unwrap_or(0);
    let (living, archived) = try_join(
        walk_until_still(sources, schema, Shelf::Living, expected),
        walk_until_still(sources, schema, Shelf::Archived, 0),
    )
    .await?;
    Ok(Full {
        contacts: living.contacts + archived.contacts,
        watermark: [living.watermark, archived.watermark].into_iter().flatten().min().or(Some(began)),
    })
}

/// The incremental walk from before the first page: what changed while the pages were read.
pub(super) async fn follow_up(
    sources: &Sources,
    schema: &AudienceSchema,
    watermark: Option<Timestamp>,
) -> Result<(), ObserveError> {
    let since = watermark.and_then(|began| began.checked_sub(BEFORE).ok());
    walk_since(sources, schema, since).await?;
    Ok(())
}

/// Walks a shelf again while it moves under the walk.
async fn walk_until_still(
    sources: &Sources,
    schema: &AudienceSchema,
    shelf: Shelf,
    expected: usize,
) -> Result<Full, ObserveError> {
    let mut full = Full { contacts: 0, watermark: None };
    for n_walk in 1..=WALKS {
        let walked = walk_shelf(sources, schema, shelf, expected).await?;
        full.contacts += walked.contacts;
        full.watermark = full.watermark.or(walked.watermark);
        if walked.held_still() {
            break;
        }
        tracing::info!(walk = n_walk, "the audience moved under the walk");
    }
    Ok(full)
}

/// What the pages of one walk showed together.
#[derive(Default)]
struct Walked {
    contacts: u64,
    watermark: Option<Timestamp>,
    /// What the pages said the shelf holds: one number where it held still.
    totals: BTreeSet<usize>,
    edges: BTreeMap<usize, Edges>,
}

impl Walked {
    fn take(&mut self, offset: usize, page: &Page) {
        self.contacts += page.contacts.len() as u64;
        self.watermark = [self.watermark, page.date].into_iter().flatten().min();
        self.totals.insert(page.total);
        self.edges.insert(offset, edges_of(page));
    }

    /// Whether no page can have missed anybody who moved to another one.
    fn held_still(&self) -> bool {
        self.totals.len() == 1 && edges_meet(&self.edges)
    }
}

/// The rows at either end of a page: what neighbouring pages must share.
type Edges = (Vec<ContactId>, Vec<ContactId>);

/// Reads all pages of a shelf that is expected to hold so many contacts, and stores them beside.
async fn walk_shelf(
    sources: &Sources,
    schema: &AudienceSchema,
    shelf: Shelf,
    expected: usize,
) -> Result<Walked, ObserveError> {
    let (sender, mut receiver) = mpsc::channel(STAGED);
    let store = async {
        while let Some(page) = receiver.recv().await {
            store_page(sources, page).await?;
        }
        Ok(())
    };
    let (walked, ()) = try_join(read_pages(sources, schema, shelf, expected, sender), store).await?;
    Ok(walked)
}

/// Asks for as many pages as are expected at once, and then for those that the answers show to be there beyond.
async fn read_pages(
    sources: &Sources,
    schema: &AudienceSchema,
    shelf: Shelf,
    expected: usize,
    stored: mpsc::Sender<Page>,
) -> Result<Walked, ObserveError> {
    let mut walked = Walked::default();
    let schema = Arc::new(schema.clone());
    let (mut next, mut total) = (0, expected);
    while next == 0 || next + SHARED < total {
        let until = total;
        // The first page tells how many there are, however few are expected.
        let there = move |offset: &usize| *offset == 0 || offset + SHARED < until;
        let offsets = (next..).step_by(PAGE - SHARED).take_while(there);
        let pages = stream::iter(offsets)
            .map(|offset| {
                let schema = schema.clone();
                async move {
                    sources.check_stop()?;
                    let order = Order::OptIn;
                    let request = PageRequest { shelf, order, since: None, offset, count: PAGE };
                    Ok::<_, ObserveError>((offset, read_aside(sources, schema, request).await?))
                }
            })
            .buffer_unordered(sources.connections * AHEAD);
        let mut pages = std::pin::pin!(pages);
        while let Some((offset, page)) = pages.try_next().await? {
            next = next.max(offset + PAGE - SHARED);
            walked.take(offset, &page);
            if stored.send(page).await.is_err() {
                // Storing failed, and says why itself.
                return Ok(walked);
            }
            sources.report(Phase::ReadingAudience, walked.contacts, until as u64);
            // Whoever waits for this gets their turn, however quickly the next page comes.
            yield_now().await;
        }
        total = walked.totals.last().copied().unwrap_or(0);
    }
    Ok(walked)
}

/// Reads a page in a task of its own, which ends with whoever waits for it.
///
/// The walk rests while somebody is attended to who was named. A request that nobody drives would keep its connection
/// meanwhile, and its place before theirs: where all are taken, both would wait for ever.
async fn read_aside(
    sources: &Sources,
    schema: Arc<AudienceSchema>,
    request: PageRequest,
) -> Result<Page, ObserveError> {
    let remote = sources.remote.clone();
    match beside(async move { remote.page(&schema, &request).await }).await {
        Ok(page) => Ok(page?),
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // Nobody else ends it.
        Err(_) => Err(ObserveError::Stopped),
    }
}

fn edges_of(page: &Page) -> Edges {
    let end = page.rows.len().saturating_sub(SHARED);
    let begin = page.rows.iter().take(SHARED);
    (begin.cloned().collect(), page.rows.iter().skip(end).cloned().collect())
}

/// Whether every page begins with the rows that the one before it ended with.
fn edges_meet(edges: &BTreeMap<usize, Edges>) -> bool {
    edges
        .values()
        .zip(edges.values().skip(1))
        .all(|((_, end), (begin, _))| end.starts_with(begin) || begin.starts_with(end))
}
