//! The answer of the rules to a request: key, route, document, log.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimePrinter;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Response;
use crate::sandbox::audience::World;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::call::Query;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::log::LoggedRequest;
use crate::sandbox::operation::Operation;
use crate::sandbox::problem::Problem;
use crate::sandbox::route;

const JSON: &str = "application/json; charset=utf-8";
const PROBLEM: &str = "application/problem+json; charset=utf-8";

/// A request taken apart.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// The method.
    pub(crate) method: Method,
    /// The path, as it was sent.
    pub(crate) path: String,
    parts: Vec<String>,
    query: Query,
    body: Option<Result<Value, Problem>>,
}

impl Parsed {
    /// Takes method, target and body apart.
    pub(crate) fn new(method: Method, target: &str, body: Option<&[u8]>) -> Self {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts = path.split('/').filter(|part| !part.is_empty());
        let body = body.filter(|body| !body.is_empty());
        Self {
            method,
            path: path.to_owned(),
            parts: parts.map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect(),
            query: Query::parse(query),
            body: body.map(|body| serde_json::from_slice(body).map_err(|_| Problem::not_json())),
        }
    }

    /// The route, as the API's description writes it.
    pub(crate) fn pattern(&self) -> &'static str {
        route::find(&self.parts).map_or("unknown", |(route, _)| route.pattern)
    }
}

/// Carries out one operation of a batch, unless it is refused on purpose: status and body.
pub(crate) fn perform_operation(
    world: &mut World,
    operation: &Operation,
    batch: &str,
    now: Timestamp,
    refusal: Option<Problem>,
) -> (u16, Vec<u8>) {
    let method = match operation.method.as_str() {
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => Method::Get,
    };
    let path = format!("/{}", operation.path.trim_start_matches('/'));
    let mut parsed = Parsed::new(method, &path, operation.body.as_deref().map(str::as_bytes));
    parsed.query.0.extend(operation.params.iter().cloned());
    if method == Method::Get && parsed.query.get("count").is_none() {
        // Such an operation pages by itself; one page as long as it takes comes to the same.
        parsed.query.0.push(("count".to_owned(), "1000".to_owned()));
    }
    let result = match (refusal, parsed.parts.first().map(String::as_str)) {
        (Some(refusal), _) => Err(refusal),
        (None, Some("batches")) => Err(Problem::invalid("Batch operations cannot be nested.")),
        (None, _) => perform(world, &parsed, now),
    };
    let response = finish_logged(world, parsed, result, now, None, Some(batch));
    (response.status, response.body)
}

/// Lets those in who have the key.
pub(crate) fn authorize(key: &str, revoked: bool, authorization: Option<&str>) -> Result<(), Problem> {
    let Some(header) = authorization.filter(|header| !header.is_empty()) else {
        return Err(Problem::no_key());
    };
    let (scheme, rest) = header.split_once(' ').unwrap_or((header, ""));
    let sent = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Some(rest.to_owned()),
        "basic" => {
            let decoded = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            decoded.and_then(|pair| pair.split_once(':').map(|(_, key)| key.to_owned()))
        }
        _ => None,
    };
    if sent.as_deref() == Some(key) && !revoked { Ok(()) } else { Err(Problem::wrong_key()) }
}

/// Answers by the rules.
pub(crate) fn perform(world: &mut World, parsed: &Parsed, now: Timestamp) -> Result<Answer, Problem> {
    let (route, ids) = route::find(&parsed.parts).ok_or_else(Problem::not_found)?;
    let body = match &parsed.body {
        None => None,
        Some(Ok(body)) => Some(body.clone()),
        Some(Err(problem)) => return Err(problem.clone()),
    };
    let call = Call { ids, query: parsed.query.clone(), body, now: now.as_second() };
    route::perform(world, route, parsed.method, call)
}

/// Makes the answer, and logs the request.
pub(crate) fn finish(
    world: &mut World,
    parsed: Parsed,
    result: Result<Answer, Problem>,
    now: Timestamp,
    fault: Option<&FaultKind>,
) -> Response {
    finish_logged(world, parsed, result, now, fault, None)
}

fn finish_logged(
    world: &mut World,
    parsed: Parsed,
    result: Result<Answer, Problem>,
    now: Timestamp,
    fault: Option<&FaultKind>,
    batch: Option<&str>,
) -> Response {
    let response = response(world, result, now);
    world.log.add(LoggedRequest {
        method: parsed.method.as_str(),
        pattern: parsed.pattern().to_owned(),
        path: parsed.path,
        query: parsed.query.0,
        body: parsed.body.and_then(Result::ok),
        status: response.status,
        time: now,
        batch: batch.map(str::to_owned),
        fault: fault.map(|fault| format!("{fault:?}")),
    });
    response
}

fn response(world: &mut World, result: Result<Answer, Problem>, now: Timestamp) -> Response {
    let request_id = world.request_ids.request_id();
    let mut headers = vec![("x-request-id".to_owned(), request_id.clone())];
    let (status, content_type, body) = match result {
        Ok(Answer::Bytes(body)) => (200, JSON, body),
        Ok(Answer::Json(document)) => (200, JSON, document.to_string().into_bytes()),
        Ok(Answer::Empty) => (204, JSON, Vec::new()),
        Err(problem) => {
            headers.extend(problem.allow.clone().map(|allow| ("allow".to_owned(), allow)));
            (problem.status, PROBLEM, problem.body(&request_id))
        }
    };
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok();
    Response { status, content_type: content_type.to_owned(), date, headers, body }
}
