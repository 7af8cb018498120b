//! A transport that expects what a test wrote down, and answers as Mailchimp did in recordings.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use serde_json::Value;

use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::mailchimp::transport::Transport;
use crate::mailchimp::transport::TransportError;

/// An exchange: the request expected, as `METHOD target` and a body (`null` for none), and what becomes of it.
#[derive(Debug)]
pub(crate) struct Step {
    line: String,
    body: Value,
    outcome: Result<Response, TransportError>,
}

/// Expects its steps one after the other, and at its end that none is left over.
#[derive(Debug)]
pub(crate) struct Scripted(Mutex<VecDeque<Step>>);

impl Scripted {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self(Mutex::new(steps.into_iter().collect()))
    }
}

#[async_trait]
impl Transport for Scripted {
    async fn send(&self, request: Request) -> Result<Response, TransportError> {
        let line = format!("{} {}", request.method.as_str(), request.target);
        let step = self.0.lock().unwrap().pop_front();
        let step = step.unwrap_or_else(|| panic!("nothing more was expected, not {line}"));
        assert_eq!(line, step.line);
        let body = request.body.map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
        assert_eq!(body, step.body, "{line}");
        let ours = request.target.starts_with('/').then_some("Basic cm9zdGVyZDpzZWNyZXQtdXMyMQ==");
        assert_eq!(request.authorization.as_deref(), ours, "the key goes to Mailchimp and nowhere else");
        step.outcome
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        let left = self.0.get_mut().unwrap();
        assert!(std::thread::panicking() || left.is_empty(), "never asked: {left:?}");
    }
}

/// A read and its answer.
pub(crate) fn get(target: &str, response: Response) -> Step {
    Step { line: format!("GET {target}"), body: Value::Null, outcome: Ok(response) }
}

/// What Mailchimp left at another host.
pub(crate) fn elsewhere(url: &str, response: Response) -> Step {
    get(url, response)
}

/// A write and its answer.
pub(crate) fn write(method: Method, target: &str, body: Value, response: Response) -> Step {
    Step { line: format!("{} {target}", method.as_str()), body, outcome: Ok(response) }
}

impl Step {
    /// The same request, and no answer.
    pub(crate) fn fails(self, error: TransportError) -> Self {
        Self { outcome: Err(error), ..self }
    }
}

/// A success.
pub(crate) fn ok(body: &Value) -> Response {
    response(200, "application/json; charset=utf-8", &body.to_string())
}

/// A success without a body.
pub(crate) fn no_content() -> Response {
    response(204, "", "")
}

/// A problem document.
pub(crate) fn problem(status: u16, title: &str, detail: &str) -> Response {
    let body = serde_json::json!({"title": title, "status": status, "detail": detail});
    response(status, "application/problem+json; charset=utf-8", &body.to_string())
}

/// Any answer.
pub(crate) fn response(status: u16, content_type: &str, body: &str) -> Response {
    Response {
        status,
        content_type: content_type.to_owned(),
        date: Some("Sun, 01 Mar 2026 12:00:05 GMT".to_owned()),
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}
