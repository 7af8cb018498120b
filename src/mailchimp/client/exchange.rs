//! One request and its answer: authorization, the limit of connections, the count, the back-off and the sorting.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::{ExposeSecret, SecretString};
use serde::de::{Deserialize, IgnoredAny};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::mailchimp::AudienceError;
use crate::mailchimp::Refusal;
use crate::mailchimp::client::ClientOptions;
use crate::mailchimp::client::MAX_CONNECTIONS;
use crate::mailchimp::client::UnusableOptions;
use crate::mailchimp::refusal;
use crate::mailchimp::refusal::{Asked, Subject};
use crate::mailchimp::retry::SharedBackOff;
use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::mailchimp::transport::Transport;
use crate::mailchimp::wire::text;

/// What stands in a segment of a path as it is.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// All that the requests of a client share.
pub(crate) struct Exchange {
    audience: String,
    api_key: SecretString,
    authorization: SecretString,
    connections: Semaphore,
    requests: AtomicU64,
    back_off: SharedBackOff,
    transport: Arc<dyn Transport>,
}

/// A request to make.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    asked: Asked,
    target: String,
    body: Option<Vec<u8>>,
}

impl Call {
    /// Reads `target`.
    pub(crate) fn get(subject: Subject, target: String) -> Self {
        Self { asked: Asked { method: Method::Get, subject }, target, body: None }
    }

    /// Writes to `target`; `null` sends no body.
    pub(crate) fn write(method: Method, subject: Subject, target: String, body: &Value) -> Self {
        let body = if body.is_null() { None } else { Some(body.to_string().into_bytes()) };
        Self { asked: Asked { method, subject }, target, body }
    }

    /// Writes a body that is JSON already.
    pub(crate) fn write_bytes(method: Method, subject: Subject, target: String, body: Vec<u8>) -> Self {
        Self { asked: Asked { method, subject }, target, body: Some(body) }
    }
}

/// An answer that was a success.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) asked: Asked,
    pub(crate) response: Response,
}

impl Answer {
    /// Reads the body; an unreadable answer to a write leaves its effect unknown.
    pub(crate) fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, AudienceError> {
        text::object(&self.response.body).map_err(|error| self.unreadable(&error))
    }

    /// The error's own words may quote the body: says where and of which kind only.
    fn unreadable(&self, error: &serde_json::Error) -> AudienceError {
        let (line, column, kind) = (error.line(), error.column(), error.classify());
        self.asked.unreadable(format!("line {line}, column {column}: {kind:?}"))
    }

    /// Takes an answer that need not say anything: what says something else than JSON does not come from the API, and
    /// nobody knows what became of the request.
    pub(crate) fn done(&self) -> Result<(), AudienceError> {
        if self.response.body.trim_ascii().is_empty() {
            return Ok(());
        }
        let read = serde_json::from_slice::<IgnoredAny>(&self.response.body);
        read.map(|_| ()).map_err(|error| self.unreadable(&error))
    }
}

impl Exchange {
    pub(crate) fn new(
        options: ClientOptions,
        clock: Clock,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, UnusableOptions> {
        let ClientOptions { api_key, audience, connections, retry } = options;
        let key = api_key.expose_secret().trim();
        if key.is_empty() {
            return Err(UnusableOptions::NoKey);
        }
        if !key.chars().all(|c| c.is_ascii_graphic()) {
            return Err(UnusableOptions::Key);
        }
        let audience = audience.trim();
        if audience.is_empty() || !audience.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(UnusableOptions::Audience);
        }
        if !(1..=MAX_CONNECTIONS).contains(&connections) {
            return Err(UnusableOptions::Connections);
        }
        let authorization = format!("Basic {}", BASE64.encode(format!("rosterd:{key}")));
        Ok(Self {
            audience: audience.to_owned(),
            api_key: key.to_owned().into(),
            authorization: authorization.into(),
            connections: Semaphore::new(connections),
            requests: AtomicU64::new(0),
            back_off: SharedBackOff::new(retry, clock),
            transport,
        })
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// The target of the audience itself, or of what `rest` names below it.
    pub(crate) fn target(&self, rest: &str) -> String {
        format!("/lists/{}{rest}", self.audience)
    }

    /// The target of a member, or of what `rest` names below it.
    pub(crate) fn member_target(&self, id: &str, rest: &str) -> String {
        self.target(&format!("/members/{}{rest}", segment(id)))
    }

    /// Makes a request, and makes it again while that is safe and its time is not over.
    ///
    /// Asked again is only what was not done: a read, or a write that was refused for the number of requests or never
    /// left. The connection is held through the pauses, in which nobody sends anyway.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, AudienceError> {
        // Nobody closes the semaphore; without a permit the request would be made all the same.
        let _connection = self.connections.acquire().await.ok();
        let deadline = self.back_off.deadline();
        let mut last = None;
        loop {
            let Ok(round) = self.back_off.turn(deadline).await else {
                let said = "all requests pause, for longer than this one may take".to_owned();
                return Err(last.unwrap_or(AudienceError::Busy { said }));
            };
            match self.send_once(&call).await {
                Ok(answer) => {
                    self.back_off.well(round);
                    return Ok(answer);
                }
                Err(error @ AudienceError::Busy { .. }) => {
                    self.back_off.busy(round);
                    last = Some(error);
                }
                Err(error @ AudienceError::Lost { .. }) => {
                    self.back_off.busy(round);
                    return Err(error);
                }
                Err(error) => {
                    self.back_off.well(round);
                    return Err(error);
                }
            }
        }
    }

    /// Fetches what Mailchimp left at a URL of another host. The key does not go there, and what that host says of
    /// itself says nothing about Mailchimp: once, and nobody else pauses because of it.
    pub(crate) async fn fetch(&self, url: &str) -> Result<Vec<u8>, AudienceError> {
        let _connection = self.connections.acquire().await.ok();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request =
            Request { method: Method::Get, target: url.to_owned(), body: None, authorization: None };
        let response = self.transport.send(request).await;
        let response =
            response.map_err(|error| AudienceError::Unreadable { said: refusal::chain(&error) })?;
        match (response.status, refusal::is_html(&response)) {
            (200, false) => Ok(response.body),
            (status, _) => Err(AudienceError::Unreadable { said: format!("{status} instead of an archive") }),
        }
    }

    /// The error without the key, which a proxy that shows what it was asked would repeat.
    fn without_key(&self, error: AudienceError) -> AudienceError {
        let sent = self.authorization.expose_secret();
        let secrets = [self.api_key.expose_secret(), sent.strip_prefix("Basic ").unwrap_or(sent)];
        let hide = |said: String| secrets.iter().fold(said, |said, secret| said.replace(secret, "***"));
        match error {
            AudienceError::Refused(Refusal { class, status, title, said }) => {
                AudienceError::Refused(Refusal { class, status, title: hide(title), said: hide(said) })
            }
            AudienceError::Busy { said } => AudienceError::Busy { said: hide(said) },
            AudienceError::Lost { said } => AudienceError::Lost { said: hide(said) },
            AudienceError::Fatal { said } => AudienceError::Fatal { said: hide(said) },
            AudienceError::Protocol { said } => AudienceError::Protocol { said: hide(said) },
            AudienceError::Unreadable { said } => AudienceError::Unreadable { said: hide(said) },
        }
    }

    async fn send_once(&self, call: &Call) -> Result<Answer, AudienceError> {
        let Call { asked, target, body } = call;
        self.requests.fetch_add(1, Ordering::Relaxed);
        let request = Request {
            method: asked.method,
            target: target.clone(),
            body: body.clone(),
            authorization: Some(self.authorization.expose_secret().to_owned()),
        };
        let response = match self.transport.send(request).await {
            Ok(response) => response,
            Err(error) => return Err(refusal::sort_unsent(*asked, &error)),
        };
        if !(200..300).contains(&response.status) {
            return Err(self.without_key(refusal::sort(*asked, &response)));
        }
        if refusal::is_html(&response) {
            return Err(asked.unanswered(format!("{} with a web page", response.status)));
        }
        Ok(Answer { asked: *asked, response })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("audience", &self.audience)
            .field("connections", &self.connections.available_permits())
            .field("requests", &self.requests)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// `text` as one segment of a path.
pub(crate) fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}
