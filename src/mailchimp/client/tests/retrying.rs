//! Asking again: what is safe, for how long, and how many at a time.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use futures::future::join_all;

use super::*;
use crate::mailchimp::AudienceError;
use crate::mailchimp::client::scripted::{get, no_content, ok, problem, response, write};
use crate::mailchimp::provision::InspectAudience;
use crate::mailchimp::transport::{Method, Request, Response, TransportError};

const TAGS: &str = "/lists/a1/members/90e2/tags";

fn ping(answer: Response) -> Step {
    get("/ping", answer)
}

fn tagged(answer: Response) -> Step {
    let body = json!({"tags": [{"name": "A", "status": "active"}], "is_syncing": true});
    write(Method::Post, TAGS, body, answer)
}

fn busy() -> Response {
    problem(429, "Too Many Requests", "You have exceeded the limit of 10 simultaneous connections.")
}

fn bare() -> Response {
    response(403, "text/html", "<html>Access Denied</html>")
}

fn broken() -> TransportError {
    TransportError::Broken(Box::new(std::io::Error::other("reset")))
}

fn unconnected() -> TransportError {
    TransportError::Connect(Box::new(std::io::Error::other("refused")))
}

fn slow() -> TransportError {
    TransportError::TimedOut(Duration::from_secs(120))
}

async fn tag_once(client: &MailchimpClient) -> Result<(), AudienceError> {
    client.tag(&contact(), &[("A".to_owned(), true)].into()).await
}

#[tokio::test]
async fn a_read_is_asked_again_whatever_went_wrong_on_the_way() {
    let chimpy = || ok(&json!({"health_status": "Everything's Chimpy!"}));
    let cases = [
        ping(busy()),
        ping(bare()),
        ping(problem(500, "Internal Server Error", "")),
        ping(response(502, "text/html", "<html>")),
        ping(response(200, "text/html", "<html>maintenance</html>")),
        ping(no_content()).fails(unconnected()),
        ping(no_content()).fails(broken()),
        ping(no_content()).fails(slow()),
    ];
    for step in cases {
        let client = client([step, ping(chimpy())]);
        client.ping().await.unwrap();
        assert_eq!(client.requests(), 2);
    }
}

#[tokio::test]
async fn a_write_is_sent_again_only_where_nothing_was_done() {
    for step in [tagged(busy()), tagged(bare()), tagged(busy()).fails(unconnected())] {
        let client = client([step, tagged(no_content())]);
        tag_once(&client).await.unwrap();
    }
    let lost = [
        tagged(problem(500, "Internal Server Error", "")),
        tagged(response(503, "text/html", "<html>")),
        tagged(busy()).fails(broken()),
        tagged(busy()).fails(slow()),
    ];
    for step in lost {
        let outcome = tag_once(&client([step])).await;
        assert!(matches!(outcome, Err(AudienceError::Lost { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn what_no_patience_heals_is_not_asked_again() {
    let steps = [
        ping(problem(401, "API Key Invalid", "")),
        ping(problem(403, "Forbidden", "")),
        ping(problem(405, "Method Not Allowed", "")),
    ];
    for step in steps {
        let outcome = client([step]).ping().await;
        assert!(
            matches!(outcome, Err(AudienceError::Fatal { .. } | AudienceError::Protocol { .. })),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn a_request_is_given_up_when_its_budget_is_spent() {
    // 5 s: at once, after 1 s and after 2 s more; 4 s more would be too late.
    let clock = clock();
    let start = clock.now();
    let steps = [ping(busy()), ping(busy()), ping(busy())];
    let client = MailchimpClient::new(
        options(),
        AudienceMapping::default(),
        clock.clone(),
        Arc::new(Scripted::new(steps)),
    )
    .unwrap();
    let outcome = client.ping().await;
    assert!(matches!(&outcome, Err(AudienceError::Busy { said }) if said.contains("429")), "{outcome:?}");
    assert_eq!(clock.now().duration_since(start).as_secs(), 3);
}

#[tokio::test]
async fn a_lost_write_makes_everybody_pause() {
    let clock = clock();
    let start = clock.now();
    let steps = [tagged(busy()).fails(broken()), ping(no_content())];
    let client = MailchimpClient::new(
        options(),
        AudienceMapping::default(),
        clock.clone(),
        Arc::new(Scripted::new(steps)),
    )
    .unwrap();
    assert!(tag_once(&client).await.is_err());
    client.clone().ping().await.unwrap();
    assert_eq!(clock.now().duration_since(start).as_secs(), 1);
}

/// Counts how many requests are under way at a time.
#[derive(Debug, Default)]
struct Crowd {
    now: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl Transport for Crowd {
    async fn send(&self, _: Request) -> Result<Response, TransportError> {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.now.fetch_sub(1, Ordering::SeqCst);
        Ok(no_content())
    }
}

#[tokio::test]
async fn clones_share_the_limit_of_connections() {
    let crowd = Arc::new(Crowd::default());
    let options = ClientOptions { connections: 3, ..options() };
    let client = MailchimpClient::new(options, AudienceMapping::default(), clock(), crowd.clone()).unwrap();
    let clones: Vec<_> = (0..20).map(|_| client.clone()).collect();
    for outcome in join_all(clones.iter().map(InspectAudience::ping)).await {
        outcome.unwrap();
    }
    assert_eq!(crowd.most.load(Ordering::SeqCst), 3);
    assert_eq!(client.requests(), 20);
}
