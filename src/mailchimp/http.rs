//! The network: one `reqwest` client, no redirects, bounded times and bodies.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;

use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::mailchimp::transport::Transport;
use crate::mailchimp::transport::TransportError;

/// Headers that are kept beside the body.
const KEPT_HEADERS: [&str; 3] = ["allow", "location", "x-request-id"];

/// How the network is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpOptions {
    /// The base URL without a slash at its end, as [`base_url`](crate::mailchimp::client::base_url) gives it.
    pub base_url: String,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a whole exchange may take.
    pub timeout: Duration,
    /// How many idle connections are kept.
    pub connections: usize,
    /// How many bytes an answer may have.
    pub max_body_bytes: usize,
}

impl HttpOptions {
    /// The usual options for this base URL.
    ///
    /// Mailchimp gives a request up after 120 s; whoever leaves earlier still occupies one of the ten connections.
    /// <https://mailchimp.com/developer/marketing/docs/fundamentals/#api-limits>
    pub fn new(base_url: impl Into<String>) -> Self {
        Self {
            base_url: base_url.into(),
            connect_timeout: Duration::from_secs(10),
            timeout: Duration::from_secs(120),
            connections: 10,
            max_body_bytes: 64 * 1024 * 1024,
        }
    }
}

/// Mailchimp over the network.
pub struct HttpTransport {
    client: reqwest::Client,
    options: HttpOptions,
}

/// The machine offers no way to speak HTTPS.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up HTTPS")]
pub struct UnusableHttp(#[source] reqwest::Error);

/// An answer is larger than any that the API describes.
#[derive(Debug, thiserror::Error)]
#[error("the answer has more than {0} bytes")]
struct BodyTooLarge(usize);

/// A URL that came in an answer and leads where nothing of ours may go.
#[derive(Debug, thiserror::Error)]
#[error("the URL in Mailchimp's answer is not one of HTTPS")]
struct ForeignUrl;

impl HttpTransport {
    /// A transport with a pool of connections of its own.
    pub fn new(options: HttpOptions) -> Result<Self, UnusableHttp> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("rosterd/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .pool_max_idle_per_host(options.connections);
        if is_loopback(&options.base_url) {
            // A proxy of the machine must not carry what stays on it.
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| UnusableHttp(error.without_url()))?;
        Ok(Self { client, options })
    }

    fn sorted(&self, error: reqwest::Error) -> TransportError {
        // The URL names the person's hash.
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            TransportError::Connect(error.into())
        } else if error.is_timeout() {
            TransportError::TimedOut(self.options.timeout)
        } else {
            TransportError::Broken(error.into())
        }
    }

    /// Where a request goes, and whether that is below the base URL. Elsewhere only over HTTPS, unless Mailchimp itself
    /// is played by this machine.
    fn url(&self, target: &str) -> Result<(String, bool), TransportError> {
        if target.starts_with('/') {
            return Ok((format!("{}{target}", self.options.base_url), true));
        }
        let here = is_loopback(&self.options.base_url) && is_loopback(target);
        match target.starts_with("https://") || here {
            true => Ok((target.to_owned(), false)),
            false => Err(unsendable(ForeignUrl)),
        }
    }

    async fn body(&self, response: &mut reqwest::Response) -> Result<Vec<u8>, TransportError> {
        let limit = self.options.max_body_bytes;
        let expected = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = Vec::with_capacity(expected.unwrap_or(0).min(limit));
        while let Some(chunk) = response.chunk().await.map_err(|error| self.sorted(error))? {
            if body.len() + chunk.len() > limit {
                return Err(TransportError::Broken(BodyTooLarge(limit).into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("options", &self.options).finish_non_exhaustive()
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let (url, is_ours) = self.url(&request.target)?;
        let mut builder = self.client.request(method(request.method), url);
        if is_ours {
            builder = builder.header(ACCEPT, "application/json");
        }
        if let Some(authorization) = request.authorization.filter(|_| is_ours) {
            let mut value = HeaderValue::try_from(authorization).map_err(unsendable)?;
            value.set_sensitive(true);
            builder = builder.header(AUTHORIZATION, value);
        }
        builder = match (request.body, request.method) {
            (Some(body), _) => builder.header(CONTENT_TYPE, "application/json").body(body),
            // Without a length some proxies refuse a write (411).
            (None, Method::Post | Method::Put | Method::Patch) => builder.header(CONTENT_LENGTH, 0),
            (None, Method::Get | Method::Delete) => builder,
        };
        let mut response = builder.send().await.map_err(|error| self.sorted(error))?;
        let body = self.body(&mut response).await?;
        let headers = response.headers();
        Ok(Response {
            status: response.status().as_u16(),
            content_type: text(headers, "content-type").unwrap_or_default(),
            date: text(headers, "date"),
            headers: KEPT_HEADERS
                .into_iter()
                .filter_map(|name| Some((name.to_owned(), text(headers, name)?)))
                .collect(),
            body,
        })
    }
}

/// Whether a URL stays on this machine.
pub fn is_loopback(url: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(url) else { return false };
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn unsendable(error: impl Error + Send + Sync + 'static) -> TransportError {
    TransportError::Connect(error.into())
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn method(method: Method) -> reqwest::Method {
    match method {
        Method::Get => reqwest::Method::GET,
        Method::Post => reqwest::Method::POST,
        Method::Put => reqwest::Method::PUT,
        Method::Patch => reqwest::Method::PATCH,
        Method::Delete => reqwest::Method::DELETE,
    }
}

#[cfg(test)]
mod tests;
