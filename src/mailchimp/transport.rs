//! One HTTP exchange with Mailchimp, over the network or, in tests, in process.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// The method of a request; the API knows these five.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates, or acts.
    Post,
    /// Creates or replaces.
    Put,
    /// Changes what it names.
    Patch,
    /// Archives or deletes.
    Delete,
}

impl Method {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A request below the API's base URL.
///
/// `Debug` shows neither the key nor the body, so that neither can slip into a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query below the base URL, beginning with `/`: `/lists/a1/members?count=1000`; or a whole URL of another
    /// host, which is asked without the key.
    pub target: String,
    /// The JSON body, where there is one.
    pub body: Option<Vec<u8>>,
    /// The value of the `Authorization` header, where one is sent.
    pub authorization: Option<String>,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, target, body, authorization } = self;
        f.debug_struct("Request")
            .field("method", method)
            .field("target", target)
            .field("body_bytes", &body.as_ref().map(Vec::len))
            .field("authorized", &authorization.is_some())
            .finish()
    }
}

/// What came back.
///
/// `Debug` shows no body: it holds addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status code.
    pub status: u16,
    /// The `Content-Type` header, empty where there was none.
    pub content_type: String,
    /// The `Date` header as sent (RFC 2822 form), where there was one.
    pub date: Option<String>,
    /// Other headers worth keeping, names in lower case (`allow`, `x-request-id`, `location`).
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, content_type, date, headers, body } = self;
        f.debug_struct("Response")
            .field("status", status)
            .field("content_type", content_type)
            .field("date", date)
            .field("headers", headers)
            .field("body_bytes", &body.len())
            .finish()
    }
}

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The request never left: nothing was done.
    #[error("cannot connect to Mailchimp")]
    Connect(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The connection broke after the request may have left: its effect is unknown.
    #[error("the connection to Mailchimp broke before the answer was complete")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer within the time allowed: its effect is unknown.
    #[error("no answer from Mailchimp within {} s", .0.as_secs())]
    TimedOut(Duration),
}

/// Something that can carry a request to Mailchimp (or to the sandbox) and bring the answer back.
#[async_trait]
pub trait Transport: Send + Sync + std::fmt::Debug {
    /// Sends `request` once and waits for the whole answer.
    async fn send(&self, request: Request) -> Result<Response, TransportError>;
}
