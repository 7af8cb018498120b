//! `POST /api/v1/events`: events that somebody else received and forwards, one or many, as forms or as JSON.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::intake::{Received, Source};
use crate::mailchimp::webhook::split;
use crate::web::Web;
use crate::web::secrets::{are_equal, bearer};
use crate::web::storing::Call;

/// A thousand events of a thousand bytes.
const BODY_BYTES: usize = 1 << 20;

/// Receives events: all of them are on the disk when this answers with a success, or none is taken.
pub(super) async fn receive(State(web): State<Web>, headers: HeaderMap, request: Request) -> Response {
    let call = Call::begins(&web);
    if let Err(status) = may_post(&web, &headers) {
        let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
        return if status == StatusCode::UNAUTHORIZED {
            (status, challenge).into_response()
        } else {
            status.into_response()
        };
    }
    let body = match web.bodies.whole(request.into_body(), BODY_BYTES).await {
        Ok(body) => body,
        Err(status) => return status.into_response(),
    };
    let bodies = match split(&body.bytes) {
        Ok(bodies) => bodies,
        Err(error) => return answer(StatusCode::BAD_REQUEST, &json!({ "error": error.to_string() })),
    };
    let (at, number) = (web.clock.now(), bodies.len());
    let received = bodies.into_iter().map(|body| Received { source: Source::Api, at, body }).collect();
    match web.store(received, body, call).await {
        StatusCode::OK => answer(StatusCode::OK, &json!({ "stored": number })),
        status => answer(status, &json!({ "error": "the events could not be stored: post them again" })),
    }
}

/// Whether the caller shows a token that opens this: 404 where there is none at all.
fn may_post(web: &Web, headers: &HeaderMap) -> Result<(), StatusCode> {
    let terms = web.terms.borrow();
    let tokens = [&terms.events_token, &terms.api_token];
    if tokens.iter().all(|token| token.is_none()) {
        return Err(StatusCode::NOT_FOUND);
    }
    let shown = bearer(headers).ok_or(StatusCode::UNAUTHORIZED)?;
    // Both are compared, so that the time does not tell which.
    let equal = tokens.map(|token| token.as_ref().is_some_and(|token| are_equal(token, shown)));
    if equal.contains(&true) { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

fn answer(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}
