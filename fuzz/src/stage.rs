//! A client whose Mailchimp answers what the bytes say, and what none of its words may hold.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rosterd::clock::Clock;
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::mailchimp::schema::{AudienceMapping, AudienceSchema, DimensionSchema, FieldSchema};
use rosterd::mailchimp::transport::{Request, Response, Transport, TransportError};
use rosterd::model::{Dimension, FieldKind, MergeTag};
use rosterd::reconcile::policy::DimensionKind;
use tokio::runtime::Runtime;
use tracing_subscriber::fmt::MakeWriter;

/// The secret that no word may hold.
pub const KEY: &str = "0123456789abcdef0123456789abcdef-us21";

/// Nothing that is said of a fault is longer: staff read it, and the state keeps it.
const MAX_SAID_BYTES: usize = 4096;

/// All kinds of merge fields.
pub const KINDS: [FieldKind; 11] = [
    FieldKind::Text,
    FieldKind::Number,
    FieldKind::Address,
    FieldKind::Phone,
    FieldKind::Date,
    FieldKind::Birthday,
    FieldKind::Zip,
    FieldKind::Url,
    FieldKind::ImageUrl,
    FieldKind::Radio,
    FieldKind::Dropdown,
];

/// What Mailchimp answers to a request.
type Answers = dyn Fn(&Request) -> Response + Send + Sync;

struct Canned(Box<Answers>);

impl fmt::Debug for Canned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Canned")
    }
}

#[async_trait::async_trait]
impl Transport for Canned {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        // The key goes to Mailchimp, and nowhere else.
        assert_eq!(request.authorization.is_some(), request.target.starts_with('/'), "{request:?}");
        Ok((self.0)(&request))
    }
}

/// A client that asks once, of nobody's mapping.
pub fn client(answers: impl Fn(&Request) -> Response + Send + Sync + 'static) -> MailchimpClient {
    client_of(AudienceMapping::default(), answers)
}

/// A client that asks once.
pub fn client_of(
    mapping: AudienceMapping,
    answers: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> MailchimpClient {
    let options = ClientOptions {
        api_key: KEY.to_owned().into(),
        audience: "a1b2c3d4e5".to_owned(),
        connections: 10,
        retry: RetryOptions { budget: Duration::ZERO, jitter: 0.0, ..RetryOptions::default() },
    };
    let clock = Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap());
    let transport = Arc::new(Canned(Box::new(answers)));
    MailchimpClient::new(options, mapping, clock, transport).unwrap()
}

/// An answer in JSON, as it says of itself.
pub fn json(status: u16, body: &[u8]) -> Response {
    let content_type = if status < 300 { "application/json" } else { "application/problem+json" };
    response(status, content_type, body)
}

/// An answer.
pub fn response(status: u16, content_type: &str, body: &[u8]) -> Response {
    Response {
        status,
        content_type: content_type.to_owned(),
        date: Some("Sun, 01 Mar 2026 12:00:05 GMT".to_owned()),
        headers: Vec::new(),
        body: body.to_vec(),
    }
}

/// An audience with a field of every kind, a category of checkboxes, one of radio buttons, and tags.
pub fn schema() -> AudienceSchema {
    let field = |(kind, merge_id): (FieldKind, i64)| {
        let tag = MergeTag::parse(&format!("{kind:?}")).unwrap();
        let wire_tag = tag.as_str().to_owned();
        (tag, FieldSchema { merge_id, wire_tag, kind, choices: Vec::new() })
    };
    let dimension = |name: &str, kind: DimensionKind, interests: &[(&str, &str)]| {
        let interests = interests.iter().map(|(id, name)| ((*id).to_owned(), (*name).to_owned())).collect();
        (Dimension::new(name), DimensionSchema { kind, category_id: name.to_owned(), interests })
    };
    AudienceSchema {
        fields: KINDS.into_iter().zip(1..).map(field).collect(),
        dimensions: BTreeMap::from([
            dimension("topic", DimensionKind::Checkboxes, &[("t1", "Finance"), ("t2", "Water")]),
            dimension("region", DimensionKind::Choice, &[("r1", "Africa"), ("r2", "Europe")]),
            dimension("sector", DimensionKind::Tags { prefix: "sector: ".to_owned() }, &[]),
        ]),
        group_tags: vec!["WG: Finance".to_owned()],
        ..AudienceSchema::default()
    }
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = {
        rosterd::aside::work_in_line();
        RefCell::new(tokio::runtime::Builder::new_current_thread().build().unwrap())
    };
}

/// Runs work that never waits for anything but itself.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with_borrow_mut(|runtime| runtime.block_on(work))
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Runs work as [`run`] does, and holds everything that it logs to be harmless.
pub fn watched<T>(work: impl Future<Output = T>) -> T {
    let log = Log::default();
    let writer = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
    let result = tracing::subscriber::with_default(writer.with_writer(log.clone()).finish(), || run(work));
    let lines = log.0.lock().unwrap().clone();
    String::from_utf8(lines).unwrap().lines().for_each(harmless);
    result
}

/// Words that may be logged, kept and shown: no address, no key, and not without end.
pub fn harmless(said: &str) {
    nameless(said);
    assert!(!said.contains(KEY), "the key in: {said}");
    let authorization = BASE64.encode(format!("rosterd:{KEY}"));
    assert!(!said.contains(&authorization), "the key in: {said}");
}

/// The same of what Mailchimp says of one of many, where the key is not at hand.
pub fn nameless(said: &str) {
    // The sign alone is what an address lacks.
    let is_address = |word: &str| word.contains('@') && word.trim_end_matches(['"', '\\']) != "@";
    assert!(!said.split_whitespace().any(is_address), "an address in: {said}");
    assert!(said.len() <= MAX_SAID_BYTES, "{} bytes: {said}", said.len());
}

/// The parts between zero bytes, which stand in no JSON; an empty one where there are fewer.
pub fn parts<const N: usize>(bytes: &[u8]) -> [Vec<u8>; N] {
    let mut parts = bytes.splitn(N, |byte| *byte == 0);
    std::array::from_fn(|_| parts.next().unwrap_or_default().to_vec())
}
