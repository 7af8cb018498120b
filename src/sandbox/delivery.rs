//! Webhooks over the wire: the check of a new URL, and the deliveries, tried again for 75 minutes.
//!
//! Only hosts on loopback are called: a rehearsal with a real configuration must not reach a real receiver.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Request;
use crate::sandbox::Sandbox;
use crate::sandbox::batches;
use crate::sandbox::hooks::WebhookDelivery;

/// How often the queues are looked at.
const BEAT: Duration = Duration::from_millis(50);
/// A receiver must answer within this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Received,
    Gone,
    Failed,
}

/// Carries batches out and delivers webhooks until stopped.
pub(crate) async fn run(sandbox: Sandbox, stop: CancellationToken) {
    let Ok(client) = client("MailChimp") else { return };
    let mut beat = tokio::time::interval(BEAT);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => (),
        }
        let now = sandbox.clock().now();
        sandbox.world(|world| batches::advance(world, now));
        tokio::select! {
            () = stop.cancelled() => return,
            () = deliver_due(&sandbox, &client) => (),
        }
    }
}

/// Delivers everything that is due, one after the other.
async fn deliver_due(sandbox: &Sandbox, client: &reqwest::Client) {
    loop {
        let now = sandbox.clock().now();
        let Some((waiting, delivery)) = sandbox.world(|world| world.next_delivery(now)) else { return };
        match deliver(client, &delivery).await {
            Outcome::Received => (),
            Outcome::Gone => sandbox.world(|world| world.switch_hook_off(&waiting.hook_id)),
            Outcome::Failed => sandbox.world(|world| world.retry_delivery(waiting, now.as_second())),
        }
    }
}

async fn deliver(client: &reqwest::Client, delivery: &WebhookDelivery) -> Outcome {
    let Some(url) = loopback(&delivery.url) else { return Outcome::Failed };
    let mut request = client
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(delivery.body.clone());
    if let Some(signature) = &delivery.signature {
        request = request.header("x-mailchimp-signature", signature);
    }
    match request.send().await.map(|response| response.status().as_u16()) {
        Ok(200..=299) => Outcome::Received,
        Ok(410) => Outcome::Gone,
        Ok(_) | Err(_) => Outcome::Failed,
    }
}

/// The URL of a webhook that is about to be created, where it can be checked.
pub(crate) fn url_to_validate(request: &Request) -> Option<String> {
    let path = request.target.split('?').next()?;
    if request.method != Method::Post || !path.starts_with("/lists/") || !path.ends_with("/webhooks") {
        return None;
    }
    let body: Value = serde_json::from_slice(request.body.as_deref()?).ok()?;
    let url = body.get("url")?.as_str()?;
    loopback(url).map(String::from)
}

/// Whether the URL answers GET with 200, as the validator asks.
pub(crate) async fn answers_get(url: &str) -> bool {
    let Ok(client) = client("MailChimp.com WebHook Validator") else { return false };
    client.get(url).send().await.is_ok_and(|response| response.status().as_u16() == 200)
}

fn client(name: &str) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().user_agent(name).timeout(PATIENCE).no_proxy().build()
}

fn loopback(url: &str) -> Option<Url> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback.then_some(url)
}
