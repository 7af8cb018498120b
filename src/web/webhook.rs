//! `/webhook/{path secret}`: Mailchimp's own calls.
//!
//! Nothing here says 410, which would switch the webhook off for good, and what is not acted on though it was rightly sent
//! is answered like anything else: to send it again would change nothing.

use std::sync::atomic::Ordering;

use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use secrecy::SecretString;

use crate::intake::{Received, Source};
use crate::mailchimp::webhook::{SIGNATURE_HEADER, Signature, check_signature, split};
use crate::web::Web;
use crate::web::secrets::are_equal;
use crate::web::storing::Call;

/// What Mailchimp sends has a few thousand bytes; a hundred long fields and groups have less than this.
const BODY_BYTES: usize = 256 << 10;
/// So much is read to check a signature: a longer call that Mailchimp signed is not refused, since it would be sent again and
/// again, and in the end no more at all.
const CHECKED_BYTES: usize = 1 << 20;

/// Answers Mailchimp's validator.
pub(super) async fn validate(State(web): State<Web>, Path(secret): Path<String>) -> StatusCode {
    if is_ours(&web, &secret) { StatusCode::OK } else { StatusCode::NOT_FOUND }
}

/// Receives an event: it is on the disk when this answers with a success.
pub(super) async fn receive(
    State(web): State<Web>,
    Path(secret): Path<String>,
    headers: HeaderMap,
    request: Request,
) -> StatusCode {
    // Nothing is read of a stranger's body.
    if !is_ours(&web, &secret) {
        return StatusCode::NOT_FOUND;
    }
    let signature = headers.get(SIGNATURE_HEADER).and_then(|value| value.to_str().ok());
    let call = Call::begins(&web);
    let known = match call.waits_for(&web, web.signing.known(&web)).await {
        Ok(Ok(known)) => known,
        Ok(Err(status)) | Err(status) => return status,
    };
    // Nor of what cannot be right whatever it is.
    if signature.is_none() && !known.is_empty() {
        web.events.forged.fetch_add(1, Ordering::Relaxed);
        return StatusCode::FORBIDDEN;
    }
    let most = if known.is_empty() { BODY_BYTES } else { CHECKED_BYTES };
    let body = match web.bodies.whole(request.into_body(), most).await {
        Ok(body) => body,
        Err(status) => return status,
    };
    match signed(&web, &known, signature, &body.bytes, call).await {
        Ok(Signature::Right) => (),
        Ok(Signature::Stale) => {
            web.events.stale.fetch_add(1, Ordering::Relaxed);
            if let Some(events) = web.events.untold_stale.add(1, web.clock.now()) {
                tracing::info!(events, "an event was signed long ago: it is not acted on");
            }
            return StatusCode::OK;
        }
        Ok(Signature::Wrong) => {
            web.events.forged.fetch_add(1, Ordering::Relaxed);
            return StatusCode::FORBIDDEN;
        }
        Err(status) => return status,
    }
    if body.bytes.len() > BODY_BYTES {
        web.events.too_long.fetch_add(1, Ordering::Relaxed);
        tracing::warn!("Mailchimp sent an event that is too long: polling finds what it tells of");
        return StatusCode::OK;
    }
    let bodies = match split(&body.bytes) {
        Ok(bodies) => bodies,
        Err(error) => {
            web.events.not_understood.fetch_add(1, Ordering::Relaxed);
            if let Some(events) = web.events.untold_strange.add(1, web.clock.now()) {
                tracing::warn!(events, error = error.to_string(), "Mailchimp sent what is no event");
            }
            return StatusCode::OK;
        }
    };
    let at = web.clock.now();
    let received = bodies.into_iter().map(|body| Received { source: Source::Webhook, at, body }).collect();
    web.store(received, body, call).await
}

fn is_ours(web: &Web, secret: &str) -> bool {
    let terms = web.terms.borrow();
    terms.webhook_path_secret.as_ref().is_some_and(|ours| are_equal(ours, secret))
}

/// What the signature shows; right where nobody ever told us a secret. One that was told a moment ago is looked for before
/// anything is called wrong.
async fn signed(
    web: &Web,
    known: &[SecretString],
    header: Option<&str>,
    body: &[u8],
    call: Call,
) -> Result<Signature, StatusCode> {
    let check = |known: &[SecretString]| check_signature(header, body, known, web.clock.now());
    if known.is_empty() {
        return Ok(Signature::Right);
    }
    match check(known) {
        Signature::Wrong => Ok(check(&call.waits_for(web, web.signing.known_afresh(web)).await??)),
        shown => Ok(shown),
    }
}
