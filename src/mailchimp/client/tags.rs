//! A tag is a static segment, and members are put into it and taken out of it by the hundred.
//! <https://mailchimp.com/developer/marketing/api/list-segments/batch-add-or-remove-members/>

use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::json;

use crate::mailchimp::AudienceError;
use crate::mailchimp::client::exchange::{Call, Exchange, segment};
use crate::mailchimp::refusal::Subject;
use crate::mailchimp::transport::Method;
use crate::mailchimp::wire::reading;
use crate::model::EmailAddress;

/// How many addresses one call may add, and how many it may remove.
const MAX_TAGGED: usize = 500;

#[derive(Deserialize)]
struct TagSearch {
    tags: Vec<FoundTag>,
}

#[derive(Deserialize)]
struct FoundTag {
    id: u64,
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct CreatedSegment {
    id: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ChangedSegment {
    errors: Vec<SegmentError>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SegmentError {
    email_addresses: Vec<String>,
}

/// Gives the tag to some and takes it from others; says which addresses, in lower case, Mailchimp does not know.
pub(crate) async fn tag_many(
    exchange: &Exchange,
    tag: &str,
    add: &[EmailAddress],
    remove: &[EmailAddress],
) -> Result<BTreeSet<String>, AudienceError> {
    if add.len() > MAX_TAGGED || remove.len() > MAX_TAGGED {
        let said = format!("{} and {} addresses in one call, at most {MAX_TAGGED}", add.len(), remove.len());
        return Err(AudienceError::Protocol { said });
    }
    let id = match find(exchange, tag).await? {
        Some(id) => id,
        // Nobody has a tag that is not there.
        None if add.is_empty() => return Ok(BTreeSet::new()),
        None => create(exchange, tag).await?,
    };
    let texts = |addresses: &[EmailAddress]| addresses.iter().map(|a| json!(a.as_str())).collect::<Vec<_>>();
    let body = json!({"members_to_add": texts(add), "members_to_remove": texts(remove)});
    let target = exchange.target(&format!("/segments/{id}"));
    let answer = exchange.send(Call::write(Method::Post, Subject::Part, target, &body)).await?;
    let changed: ChangedSegment = answer.json()?;
    let unknown = changed.errors.iter().flat_map(|error| &error.email_addresses);
    Ok(unknown.filter_map(|text| EmailAddress::parse(text).ok()).map(|address| address.key()).collect())
}

/// The tag of this name: the search finds names that begin so, and Mailchimp may have kept another capitalisation.
async fn find(exchange: &Exchange, tag: &str) -> Result<Option<u64>, AudienceError> {
    let target = exchange.target(&format!("/tag-search?name={}", segment(tag)));
    let found: TagSearch = exchange.send(Call::get(Subject::Audience, target)).await?.json()?;
    Ok(found.tags.into_iter().find(|found| reading::same(&found.name, tag)).map(|found| found.id))
}

async fn create(exchange: &Exchange, tag: &str) -> Result<u64, AudienceError> {
    let body = json!({"name": tag, "static_segment": []});
    let target = exchange.target("/segments");
    let answer = exchange.send(Call::write(Method::Post, Subject::Part, target, &body)).await?;
    answer.json::<CreatedSegment>().map(|created| created.id)
}
