//! Reading: the schema, pages of members, single members, their tags.

use futures::future::{OptionFuture, try_join_all, try_join3};

use crate::aside::aside;
use crate::mailchimp::AudienceError;
use crate::mailchimp::Order;
use crate::mailchimp::Page;
use crate::mailchimp::PageRequest;
use crate::mailchimp::Refusal;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::Shelf;
use crate::mailchimp::client::exchange::{Answer, Call, Exchange, segment};
use crate::mailchimp::matching;
use crate::mailchimp::provision::{Offer, OfferedCategory};
use crate::mailchimp::refusal::Subject;
use crate::mailchimp::refusal::chain;
use crate::mailchimp::schema::AudienceMapping;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::schema::DimensionTarget;
use crate::mailchimp::wire::lists;
use crate::mailchimp::wire::lists::{CategoriesAnswer, InterestsAnswer, ListAnswer, MergeFieldsAnswer};
use crate::mailchimp::wire::member;
use crate::mailchimp::wire::member::{MemberRow, MembersAnswer, TagsAnswer};
use crate::mailchimp::wire::reading;
use crate::mailchimp::wire::reading::{Dictionary, Sighting, TagsShown, UnreadableRow};
use crate::mailchimp::wire::time;
use crate::model::{Contact, ContactId, EmailAddress};

/// Bodies from this size on are read beside the runtime: about a tenth of a millisecond.
const LARGE_BODY_BYTES: usize = 32 * 1024;

/// Mailchimp caps every collection's page at this.
/// <https://mailchimp.com/developer/marketing/docs/methods-parameters/#pagination>
const MAX_COUNT: usize = 1000;

/// Reads the audience's schema and matches it with the mapping.
pub(crate) async fn schema(
    exchange: &Exchange,
    mapping: &AudienceMapping,
    known: Option<&AudienceSchema>,
) -> Result<AudienceSchema, AudienceError> {
    let has_categories =
        mapping.dimensions.values().any(|target| matches!(target, DimensionTarget::Category(_)));
    let list = async {
        let target = exchange.target(&format!("?fields={}", lists::LIST_FIELDS));
        exchange.send(Call::get(Subject::Audience, target)).await?.json::<ListAnswer>()
    };
    let fields = async {
        let target = collection(exchange, "/merge-fields", lists::MERGE_FIELD_FIELDS);
        exchange.send(Call::get(Subject::Audience, target)).await?.json::<MergeFieldsAnswer>()
    };
    let categories = async {
        let target = collection(exchange, "/interest-categories", lists::CATEGORY_FIELDS);
        exchange.send(Call::get(Subject::Audience, target)).await?.json::<CategoriesAnswer>()
    };
    // What is not mapped is not asked for.
    let fields = OptionFuture::from((!mapping.tags.is_empty()).then_some(fields));
    let categories = OptionFuture::from(has_categories.then_some(categories));
    let (list, fields, categories) =
        try_join3(list, async { fields.await.transpose() }, async { categories.await.transpose() }).await?;

    let mut schema = matching::begin(mapping, list);
    let fields = fields.map(|answer| answer.merge_fields).unwrap_or_default();
    matching::match_fields(&mut schema, mapping, known, &fields);
    let categories = categories.map(|answer| answer.categories).unwrap_or_default();
    let found = matching::match_categories(&mut schema, mapping, known, &categories);
    let interests = try_join_all(found.iter().map(async |category| {
        let below = format!("/interest-categories/{}/interests", segment(&category.id));
        let target = collection(exchange, &below, lists::INTEREST_FIELDS);
        exchange.send(Call::get(Subject::Part, target)).await?.json::<InterestsAnswer>()
    }))
    .await?;
    for (category, answer) in found.into_iter().zip(interests) {
        matching::match_interests(&mut schema, category, known, &answer.interests);
    }
    Ok(schema)
}

/// Reads what the audience offers, mapped or not.
pub(crate) async fn offer(exchange: &Exchange) -> Result<Offer, AudienceError> {
    let target = collection(exchange, "/merge-fields", lists::MERGE_FIELD_FIELDS);
    let fields: MergeFieldsAnswer = exchange.send(Call::get(Subject::Audience, target)).await?.json()?;
    let target = collection(exchange, "/interest-categories", lists::CATEGORY_FIELDS);
    let found: CategoriesAnswer = exchange.send(Call::get(Subject::Audience, target)).await?.json()?;
    let mut categories = Vec::new();
    for category in found.categories {
        let below = format!("/interest-categories/{}/interests", segment(&category.id));
        let target = collection(exchange, &below, lists::INTEREST_FIELDS);
        let answer: InterestsAnswer = exchange.send(Call::get(Subject::Part, target)).await?.json()?;
        let interests = answer.interests.into_iter().map(|interest| interest.name).collect();
        categories.push(OfferedCategory { id: category.id, title: category.title, interests });
    }
    Ok(Offer {
        merge_fields: fields.merge_fields.into_iter().map(|row| (row.tag, row.kind)).collect(),
        categories,
    })
}

/// Reads one page of members.
pub(crate) async fn page(
    exchange: &Exchange,
    schema: &AudienceSchema,
    request: &PageRequest,
) -> Result<Page, AudienceError> {
    let call = Call::get(Subject::Audience, page_target(exchange, schema, request));
    let answer = exchange.send(call).await?;
    let date = answer.response.date.as_deref().and_then(time::read_header);
    let dictionary = Dictionary::new(schema);
    let Rows { sightings, unreadable, rows, total } = if answer.response.body.len() < LARGE_BODY_BYTES {
        read_rows(&answer, &dictionary)?
    } else {
        let dictionary = dictionary.clone();
        aside(move || read_rows(&answer, &dictionary))
            .await
            .map_err(|error| AudienceError::Unreadable { said: chain(&error) })??
    };
    let contacts = try_join_all(
        sightings.into_iter().map(async |seen| present(complete(exchange, &dictionary, seen).await)),
    );
    Ok(Page { contacts: contacts.await?.into_iter().flatten().collect(), unreadable, rows, total, date })
}

/// Reads the contact that Mailchimp knows by `id`: a contact id, a path id or an address.
pub(crate) async fn contact(
    exchange: &Exchange,
    schema: &AudienceSchema,
    id: &str,
) -> Result<Option<Contact>, AudienceError> {
    let target = exchange.member_target(id, &format!("?fields={}", member::member_fields(schema)));
    let Some(answer) = present(exchange.send(Call::get(Subject::Contact, target)).await)? else {
        return Ok(None);
    };
    let dictionary = Dictionary::new(schema);
    match sighting(&answer, &dictionary) {
        Ok(seen) => present(complete(exchange, &dictionary, seen).await),
        // Permanently deleted: what Mailchimp still shows is nobody.
        Err(Unread::Row(UnreadableRow::Forgotten)) => Ok(None),
        Err(unread) => Err(unread.into_error(&answer)),
    }
}

/// Reads the contact with this address.
///
/// The hash first, so that the address does not stand in the URL; some old members bear another, so that only the
/// address proves an absence.
pub(crate) async fn contact_by_email(
    exchange: &Exchange,
    schema: &AudienceSchema,
    email: &EmailAddress,
) -> Result<Option<Contact>, AudienceError> {
    match contact(exchange, schema, email.hash().as_str()).await? {
        Some(found) => Ok(Some(found)),
        None => contact(exchange, schema, email.as_str()).await,
    }
}

/// Reads the contact that an answer shows, with all of its mapped tags.
pub(crate) async fn shown(
    exchange: &Exchange,
    schema: &AudienceSchema,
    answer: &Answer,
) -> Result<Contact, AudienceError> {
    let dictionary = Dictionary::new(schema);
    let seen = sighting(answer, &dictionary).map_err(|unread| unread.into_error(answer))?;
    complete(exchange, &dictionary, seen).await
}

/// Fetches the tags that an answer left out.
pub(crate) async fn complete(
    exchange: &Exchange,
    dictionary: &Dictionary,
    seen: Sighting,
) -> Result<Contact, AudienceError> {
    let Sighting { mut contact, tags } = seen;
    match tags {
        TagsShown::All => Ok(contact),
        TagsShown::Some => {
            let below = format!("/tags?count={MAX_COUNT}&fields=tags.name");
            let target = exchange.member_target(&contact.path_id, &below);
            let answer = exchange.send(Call::get(Subject::Contact, target)).await?;
            let answer: TagsAnswer<'_> = answer.json()?;
            dictionary.set_tags(&mut contact, answer.tags.iter().map(|tag| &*tag.name));
            Ok(contact)
        }
    }
}

/// Turns Mailchimp's word that something is not there into `None`.
fn present<T>(found: Result<T, AudienceError>) -> Result<Option<T>, AudienceError> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(AudienceError::Refused(Refusal { class: RefusalClass::Missing, .. })) => Ok(None),
        Err(error) => Err(error),
    }
}

enum Unread {
    Json(AudienceError),
    Row(UnreadableRow),
}

impl Unread {
    fn into_error(self, answer: &Answer) -> AudienceError {
        match self {
            Self::Json(error) => error,
            Self::Row(row) => answer.asked.unreadable(chain(&row)),
        }
    }
}

fn sighting(answer: &Answer, dictionary: &Dictionary) -> Result<Sighting, Unread> {
    let row: MemberRow<'_> = answer.json().map_err(Unread::Json)?;
    dictionary.read(&row).map_err(Unread::Row)
}

/// What the body of a page holds.
struct Rows {
    sightings: Vec<Sighting>,
    unreadable: Vec<ContactId>,
    rows: Vec<ContactId>,
    total: usize,
}

fn read_rows(answer: &Answer, dictionary: &Dictionary) -> Result<Rows, AudienceError> {
    let MembersAnswer { members, total_items: total } = answer.json()?;
    let mut sightings = Vec::with_capacity(members.len());
    let mut unreadable = Vec::new();
    for row in &members {
        match dictionary.read(row) {
            Ok(seen) => sightings.push(seen),
            Err(UnreadableRow::Forgotten) => (),
            // One odd contact must not stop the rest, and is there all the same. Without an address it is mostly one
            // that never had any, of whom nobody needs to hear.
            Err(UnreadableRow::NoAddress) => unreadable.push(row.key()),
            Err(error) => {
                tracing::warn!(
                    contact.id = reading::word(&row.contact_id),
                    error = chain(&error),
                    "A contact is left out"
                );
                unreadable.push(row.key());
            }
        }
    }
    let rows = members.iter().map(MemberRow::key).collect();
    Ok(Rows { sightings, unreadable, rows, total })
}

fn page_target(exchange: &Exchange, schema: &AudienceSchema, request: &PageRequest) -> String {
    let PageRequest { shelf, order, since, offset, count } = request;
    let count = (*count).min(MAX_COUNT);
    let sort_field = match order {
        Order::LastChanged => "last_changed",
        Order::OptIn => "timestamp_opt",
    };
    let mut query = format!("?count={count}&offset={offset}&sort_field={sort_field}&sort_dir=ASC");
    if let Some(since) = since {
        query.push_str("&since_last_changed=");
        query.push_str(&time::write_query(*since));
    }
    match shelf {
        Shelf::Living => (),
        Shelf::Archived => query.push_str("&status=archived"),
    }
    query.push_str("&fields=");
    query.push_str(&member::page_fields(schema));
    exchange.target(&format!("/members{query}"))
}

fn collection(exchange: &Exchange, below: &str, fields: &str) -> String {
    exchange.target(&format!("{below}?count={MAX_COUNT}&fields={fields}"))
}
