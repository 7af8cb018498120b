//! `/batches`: changes of values that Mailchimp makes later, in no particular order, and their answers.
//! <https://mailchimp.com/developer/marketing/api/batch-operations/>

pub mod archive;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::aside::aside;
use crate::mailchimp::AudienceError;
use crate::mailchimp::ContactChanges;
use crate::mailchimp::RefusalClass;
use crate::mailchimp::batch::archive::{Extent, Limits, RawAnswer};
use crate::mailchimp::client::exchange::{Call, Exchange};
use crate::mailchimp::client::read;
use crate::mailchimp::client::write;
use crate::mailchimp::refusal;
use crate::mailchimp::refusal::{Asked, Subject, chain};
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::transport::{Method, Response};
use crate::mailchimp::wire::member::MemberRow;
use crate::mailchimp::wire::reading::{Dictionary, Sighting};
use crate::mailchimp::wire::text;
use crate::mailchimp::wire::writing;
use crate::model::Contact;

/// How many operations one batch holds at most.
///
/// Mailchimp names no limit, its own example has a thousand. Five thousand answers are some 15 MB once decompressed and
/// two as they travel, and what is lost with one batch is read again in a few minutes.
pub const MAX_OPERATIONS: usize = 5000;

/// How large the body of a batch may become: some 800 bytes an operation, of which 300 are usual. Servers like
/// Mailchimp's refuse bodies from ten megabytes on or so.
pub const MAX_BODY_BYTES: usize = 4 * 1024 * 1024;

/// A change of values, said in Mailchimp's names and for one contact: never a status, never an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchedChange {
    path_id: String,
    body: String,
}

impl BatchedChange {
    /// The change of these values; `None` where nothing is left to send.
    pub fn new(
        schema: &AudienceSchema,
        contact: &Contact,
        values: ContactChanges,
    ) -> Result<Option<Self>, AudienceError> {
        let changes = ContactChanges { email: None, ..values };
        let body = writing::change(schema, &changes).map_err(|unsayable| write::unsaid(&unsayable))?;
        let is_empty = body.as_object().is_none_or(serde_json::Map::is_empty);
        Ok((!is_empty).then(|| Self { path_id: contact.path_id.clone(), body: body.to_string() }))
    }

    /// How many bytes it takes in the body of a batch at most.
    pub fn bytes(&self) -> usize {
        // The body travels as a text within JSON, where quotation marks and backslashes double: control characters are
        // escaped already. The rest is names, the number, and the path, whose id may be escaped threefold.
        let escaped = self.body.matches(['"', '\\']).count();
        self.body.len() + escaped + 3 * self.path_id.len() + 200
    }

    /// What is sent of it, as JSON.
    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.body
    }
}

/// How a batch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchNow {
    /// Mailchimp has not finished it.
    UnderWay,
    /// It is finished: the results are to be had at this URL, for ten minutes.
    Finished {
        /// The URL, of another host and open to whoever knows it.
        results: String,
    },
    /// Mailchimp does not know it (any more): results are kept for seven days.
    Expired,
}

/// What came of one operation of a batch.
#[derive(Debug)]
pub struct BatchAnswer {
    /// The number that it was submitted under.
    pub number: i64,
    /// The contact as the answer shows it, or why there is none.
    pub outcome: Result<Contact, AudienceError>,
}

#[derive(Deserialize)]
struct BatchDocument {
    id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    response_body_url: Option<String>,
}

/// Submits changes, each under a number of its own; gives Mailchimp's id of the batch.
pub(crate) async fn submit(
    exchange: &Exchange,
    changes: &[(i64, BatchedChange)],
) -> Result<String, AudienceError> {
    let mut operations = Vec::with_capacity(changes.len());
    for (number, change) in changes {
        let operation = json!({
            "method": "PATCH",
            "path": exchange.member_target(&change.path_id, ""),
            // As in the query of a single change: <https://mailchimp.com/developer/marketing/api/list-members/update-list-member/>
            "params": {"skip_merge_validation": "true"},
            "operation_id": number.to_string(),
            "body": change.body,
        });
        let raw = RawValue::from_string(operation.to_string());
        operations.push(raw.map_err(|error| AudienceError::Protocol { said: chain(&error) })?);
    }
    let body = serde_json::to_vec(&std::collections::BTreeMap::from([("operations", operations)]));
    let body = body.map_err(|error| AudienceError::Protocol { said: chain(&error) })?;
    let call = Call::write_bytes(Method::Post, Subject::Part, "/batches".to_owned(), body);
    let answer = exchange.send(call).await?;
    let document: BatchDocument = answer.json()?;
    match document.id.is_empty() {
        true => Err(answer.asked.unreadable("a batch without an id".to_owned())),
        false => Ok(document.id),
    }
}

/// Looks how a batch stands.
pub(crate) async fn look(exchange: &Exchange, handle: &str) -> Result<BatchNow, AudienceError> {
    let target = format!("{}?fields=id,status,response_body_url", target(handle));
    let answer = match exchange.send(Call::get(Subject::Part, target)).await {
        Err(AudienceError::Refused(refusal)) if refusal.class == RefusalClass::Missing => {
            return Ok(BatchNow::Expired);
        }
        answer => answer?,
    };
    let BatchDocument { status, response_body_url, .. } = answer.json()?;
    match response_body_url.filter(|url| status == "finished" && !url.is_empty()) {
        Some(results) => Ok(BatchNow::Finished { results }),
        None => Ok(BatchNow::UnderWay),
    }
}

/// Stops a batch: what was not yet carried out never is. Also done where Mailchimp does not know it.
pub(crate) async fn cancel(exchange: &Exchange, handle: &str) -> Result<(), AudienceError> {
    let call = Call::write(Method::Delete, Subject::Part, target(handle), &Value::Null);
    match exchange.send(call).await {
        Err(AudienceError::Refused(refusal)) if refusal.class == RefusalClass::Missing => Ok(()),
        answer => answer?.done(),
    }
}

/// Fetches results; gives the answers, and says how far they could be read.
///
/// The archive is held as it came, compressed, and its content is read as a stream: what is kept of it are contacts with
/// what is mapped of them.
pub(crate) async fn results(
    exchange: &Exchange,
    schema: &AudienceSchema,
    url: &str,
) -> Result<(Vec<BatchAnswer>, Extent), AudienceError> {
    let archive = exchange.fetch(url).await?;
    let dictionary = Dictionary::new(schema);
    let reader = dictionary.clone();
    let (seen, extent) = aside(move || read_all(&archive, &reader))
        .await
        .map_err(|error| AudienceError::Unreadable { said: chain(&error) })?;
    let mut answers = Vec::with_capacity(seen.len());
    for (number, seen) in seen {
        let outcome = match seen {
            Ok(seen) => read::complete(exchange, &dictionary, seen).await.map_err(write::after_write),
            Err(error) => Err(error),
        };
        answers.push(BatchAnswer { number, outcome });
    }
    Ok((answers, extent))
}

/// An answer as far as the archive has it.
type Seen = (i64, Result<Sighting, AudienceError>);

fn read_all(archive: &[u8], dictionary: &Dictionary) -> (Vec<Seen>, Extent) {
    let limits = Limits::of(u64::try_from(MAX_OPERATIONS).unwrap_or(u64::MAX));
    let mut seen = Vec::new();
    let extent = archive::read(archive, limits, &mut |answer| {
        // Numbers that are none of ours are of another program's batch, or of nobody's.
        if let Ok(number) = answer.id.parse() {
            seen.push((number, sighting(answer, dictionary)));
        }
        seen.len() < MAX_OPERATIONS
    });
    (seen, extent)
}

/// The contact that one answer shows; sorted like the answer to a single change where it shows none.
fn sighting(answer: RawAnswer, dictionary: &Dictionary) -> Result<Sighting, AudienceError> {
    let asked = Asked { method: Method::Patch, subject: Subject::Contact };
    let RawAnswer { status, body, .. } = answer;
    if !(200..300).contains(&status) {
        let content_type = "application/problem+json".to_owned();
        let response = Response { status, content_type, date: None, headers: Vec::new(), body };
        return Err(refusal::sort(asked, &response));
    }
    let row: MemberRow<'_> = text::object(&body)
        .map_err(|error| asked.unreadable(format!("{:?} in an answer of a batch", error.classify())))?;
    dictionary.read(&row).map_err(|error| asked.unreadable(chain(&error)))
}

fn target(handle: &str) -> String {
    format!("/batches/{}", crate::mailchimp::client::exchange::segment(handle))
}
