//! The API for other programs: what the command line does, in the same JSON, for whoever shows the token.
//!
//! What it offers is described in `api/openapi.json`, which it serves; tests hold the description against the routes and
//! against real answers.

mod problem;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;

use crate::mailchimp::refusal::chain;
use crate::web::Web;
use crate::web::api::problem::Problem;
use crate::web::failures::Trusted;
use crate::web::secrets::{are_equal, bearer};
use crate::worker::{CycleWanted, Stage, Ticket};

/// A request for a cycle: room for some thousands of addresses.
const BODY_BYTES: usize = 256 << 10;

/// What takes longer than this from the beginning of a request, a cycle or a decision, is answered for before it has ended:
/// less than a request has (`ANSWERED_WITHIN`), so that nothing that was begun is answered as if it were not.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is offered, for programs that read that.
const DESCRIPTION: &str = include_str!("api/openapi.json");

/// What is decided about a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What it lists is let through.
    Approve,
    /// What it lists stays back.
    Reject,
}

/// Why something cannot be told or done, as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Untold {
    /// There is no such thing.
    Unknown(String),
    /// It is over.
    Over(String),
    /// It failed, and may work another time.
    Failed(String),
}

/// What the command line prints as JSON, made by the code that prints it.
#[async_trait]
pub trait Answers: Send + Sync + std::fmt::Debug {
    /// `rosterd status`.
    async fn status(&self) -> Result<Value, Untold>;

    /// `rosterd member show`, of an address or a subscriber hash.
    async fn member(&self, name: &str) -> Result<Value, Untold>;

    /// `rosterd approve` and `rosterd reject`.
    async fn decide(&self, id: &str, verdict: Verdict) -> Result<Value, Untold>;
}

/// Every route that needs the token, with what answers it.
fn routes() -> [(&'static str, MethodRouter<Web>); 5] {
    [
        ("/api/v1/sync", post(sync)),
        ("/api/v1/status", get(status)),
        ("/api/v1/members/{name}", get(member)),
        ("/api/v1/held/{id}/approve", post(approve)),
        ("/api/v1/held/{id}/reject", post(reject)),
    ]
}

/// The routes of the API. They are not there at all where the configuration knows no token for them.
pub(super) fn router(web: &Web) -> Router<Web> {
    let guarded =
        routes().into_iter().fold(Router::new(), |router, (path, answer)| router.route(path, answer));
    guarded
        .route_layer(from_fn_with_state(web.clone(), authorized))
        .route("/api/v1/openapi.json", get(description))
        .route_layer(from_fn_with_state(web.clone(), offered))
}

/// Lets through whoever shows the token of the API; that for events opens nothing here.
async fn authorized(State(web): State<Web>, request: Request, next: Next) -> Response {
    let token = web.terms.borrow().api_token.clone();
    let shown = bearer(request.headers());
    if token.zip(shown).is_some_and(|(token, shown)| are_equal(&token, shown)) {
        let mut answered = next.run(request).await;
        answered.extensions_mut().insert(Trusted);
        return answered;
    }
    let mut refused =
        Problem::new(StatusCode::UNAUTHORIZED, "show [web] api_token as a bearer token").into_response();
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
    refused
}

async fn offered(State(web): State<Web>, request: Request, next: Next) -> Response {
    if web.terms.borrow().api_token.is_none() {
        return StatusCode::NOT_FOUND.into_response();
    }
    next.run(request).await
}

async fn description() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DESCRIPTION).into_response()
}

/// Asks for a cycle, and answers with its report; with 202 where it has not ended by then.
async fn sync(State(web): State<Web>, request: Request) -> Result<Response, Problem> {
    let began = web.clock.now();
    let wanted = wanted(&web, request.into_body()).await?;
    let asked = wanted.ask(&web.desk, &web.state, web.clock.now()).await;
    let mut ticket = asked.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, chain(&error)))?;
    tracing::info!("a cycle is asked for by another program");
    match tokio::time::timeout(PATIENCE.saturating_sub(web.since(began)), end(&mut ticket)).await {
        Ok(Some(Stage::Ended(Ok(report)))) => Ok(answer(StatusCode::OK, &json!(report))),
        Ok(Some(Stage::Ended(Err(failure)))) => {
            // A mistake of the configuration is ours, and stays until somebody mends it.
            let status = match failure.misconfigured {
                true => StatusCode::INTERNAL_SERVER_ERROR,
                false => StatusCode::SERVICE_UNAVAILABLE,
            };
            Err(Problem::new(status, failure.said))
        }
        Ok(Some(Stage::Waiting | Stage::Begun) | None) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon ends before the cycle did"))
        }
        Err(_) => Ok(answer(StatusCode::ACCEPTED, &json!({ "accepted": true }))),
    }
}

async fn wanted(web: &Web, body: Body) -> Result<CycleWanted, Problem> {
    let body = web.bodies.whole(body, BODY_BYTES).await;
    let body = body
        .map_err(|status| match status {
            StatusCode::SERVICE_UNAVAILABLE => {
                Problem::new(status, "too much is being sent at once: come again")
            }
            status => Problem::new(status, "the body is too long or broke off"),
        })?
        .bytes;
    if body.is_empty() {
        return Ok(CycleWanted::default());
    }
    // As an object, and not as a list of what stands in it.
    let body = serde_json::from_slice::<Map<String, Value>>(&body);
    body.and_then(|body| serde_json::from_value(Value::Object(body)))
        .map_err(|error| Problem::new(StatusCode::BAD_REQUEST, format!("this cannot be asked for: {error}")))
}

/// Waits for the end of the cycle.
async fn end(ticket: &mut Ticket) -> Option<Stage> {
    loop {
        match ticket.next().await {
            Some(Stage::Waiting | Stage::Begun) => {}
            ended => return ended,
        }
    }
}

async fn status(State(web): State<Web>) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &web.answers.status().await?))
}

async fn member(State(web): State<Web>, Path(name): Path<String>) -> Result<Response, Problem> {
    Ok(answer(StatusCode::OK, &web.answers.member(&name).await?))
}

async fn approve(State(web): State<Web>, Path(id): Path<String>) -> Result<Response, Problem> {
    // It is carried out at once, not at the next tick.
    let bell = web.desk.bell().clone();
    decided(PATIENCE, web.answers, id, Verdict::Approve, move || bell.ring()).await
}

async fn reject(State(web): State<Web>, Path(id): Path<String>) -> Result<Response, Problem> {
    // Nothing begins by it: what it lists stays back.
    decided(PATIENCE, web.answers, id, Verdict::Reject, || ()).await
}

/// Decides, whether or not whoever asked waits for it: a decision that was begun is never cut off, and what follows it
/// follows. With 202 where it has not ended by then.
async fn decided(
    patience: Duration,
    answers: Arc<dyn Answers>,
    id: String,
    verdict: Verdict,
    then: impl FnOnce() + Send + 'static,
) -> Result<Response, Problem> {
    let (answer_of, answered) = oneshot::channel();
    tokio::spawn(async move {
        let decided = answers.decide(&id, verdict).await;
        if decided.is_ok() {
            then();
        }
        match answer_of.send(decided) {
            Ok(()) => (),
            Err(Ok(_)) => tracing::info!("a hold was decided when nobody waited for it any more"),
            Err(Err(Untold::Unknown(error) | Untold::Over(error) | Untold::Failed(error))) => {
                tracing::warn!(error, "a hold could not be decided, and nobody waited for it any more");
            }
        }
    });
    match tokio::time::timeout(patience, answered).await {
        Ok(Ok(decided)) => Ok(answer(StatusCode::OK, &decided?)),
        Ok(Err(_)) => {
            Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the daemon ends before it was decided"))
        }
        Err(_) => Ok(answer(StatusCode::ACCEPTED, &json!({ "accepted": true }))),
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use tokio::sync::Notify;

    use super::*;
    use crate::worker::Bell;

    /// Decides once it may.
    #[derive(Debug, Default)]
    struct Slow(Notify);

    #[async_trait]
    impl Answers for Slow {
        async fn status(&self) -> Result<Value, Untold> {
            Err(Untold::Failed(String::new()))
        }

        async fn member(&self, _: &str) -> Result<Value, Untold> {
            Err(Untold::Failed(String::new()))
        }

        async fn decide(&self, _: &str, _: Verdict) -> Result<Value, Untold> {
            self.0.notified().await;
            Ok(json!({}))
        }
    }

    /// Longer than anything takes here.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_decision_that_takes_long_is_answered_for_and_carried_out() {
        // It was cut off where it stood and answered 408: decided or not, and if so with nobody called.
        let (slow, bell) = (Arc::new(Slow::default()), Bell::default());
        let approve = |patience| {
            let ring = bell.clone();
            decided(patience, slow.clone(), "1".to_owned(), Verdict::Approve, move || ring.ring())
        };
        let answered = approve(Duration::from_millis(20)).await.unwrap();
        assert_eq!(answered.status(), StatusCode::ACCEPTED);
        slow.0.notify_one();
        tokio::time::timeout(LONG, bell.rung()).await.unwrap();
        slow.0.notify_one();
        assert_eq!(approve(LONG).await.unwrap().status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn a_decision_is_carried_out_though_whoever_asked_hangs_up() {
        let (slow, bell) = (Arc::new(Slow::default()), Bell::default());
        let ring = bell.clone();
        let asked = decided(LONG, slow.clone(), "1".to_owned(), Verdict::Approve, move || ring.ring());
        assert!(tokio::time::timeout(Duration::from_millis(20), asked).await.is_err());
        slow.0.notify_one();
        tokio::time::timeout(LONG, bell.rung()).await.unwrap();
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let described: BTreeSet<&str> =
            description["paths"].as_object().unwrap().keys().map(String::as_str).collect();
        let open = ["/api/v1/openapi.json", "/api/v1/events"];
        let routed: BTreeSet<&str> = routes().iter().map(|(path, _)| *path).chain(open).collect();
        assert_eq!(described, routed);
        assert_eq!(description["openapi"], "3.1.0");
        assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn what_needs_the_token_says_so() {
        let description: Value = serde_json::from_str(DESCRIPTION).unwrap();
        let schemes: BTreeMap<&str, &Value> = description["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, methods)| {
                methods.as_object().unwrap().values().map(move |method| (path, method))
            })
            .map(|(path, method)| (path.as_str(), &method["security"]))
            .collect();
        for (path, _) in routes() {
            assert_eq!(schemes[path], &json!([{ "api_token": [] }]), "{path}");
        }
        assert_eq!(schemes["/api/v1/openapi.json"], &json!([]));
        assert_eq!(schemes["/api/v1/events"], &json!([{ "events_token": [] }, { "api_token": [] }]));
    }
}
