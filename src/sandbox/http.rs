//! The wire: real HTTP below `/3.0/` and `/_sandbox/`, with real cuts and real silence.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::body::Bytes;
use axum::body::to_bytes;
use axum::extract::Request as Incoming;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header;
use futures::StreamExt;
use futures::stream;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::sandbox::Sandbox;
use crate::sandbox::delivery;
use crate::sandbox::exchange::Exchange;

/// Bigger bodies are refused.
const BODY_BYTES: usize = 64 << 20;
/// A client that does not give up within this time is cut off.
const LONGEST_HOLD: Duration = Duration::from_secs(130);

type Answered = axum::http::Response<Body>;

#[derive(Clone, Debug)]
struct Served {
    sandbox: Sandbox,
    stop: CancellationToken,
}

/// Serves until stopped.
pub(crate) async fn serve(
    sandbox: &Sandbox,
    listener: TcpListener,
    stop: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    sandbox.world(|world| world.base_url = format!("http://{address}/3.0"));
    let served = Served { sandbox: sandbox.clone(), stop: stop.clone() };
    let router = Router::new().fallback(answer).with_state(served);
    let background = tokio::spawn(delivery::run(sandbox.clone(), stop.clone()));
    let result = axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned()).await;
    stop.cancel();
    let ended = background.await.map_err(io::Error::other);
    result.and(ended)
}

async fn answer(State(served): State<Served>, incoming: Incoming) -> Answered {
    let (parts, body) = incoming.into_parts();
    let method = match parts.method.as_str() {
        "GET" | "HEAD" => Method::Get,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "PATCH" => Method::Patch,
        "DELETE" => Method::Delete,
        _ => return plain(StatusCode::METHOD_NOT_ALLOWED),
    };
    let Ok(body) = to_bytes(body, BODY_BYTES).await else { return plain(StatusCode::PAYLOAD_TOO_LARGE) };
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let with_key = parts.headers.contains_key(header::AUTHORIZATION);
    if target.starts_with("/_sandbox/batch-results/") && with_key {
        return whole(served.sandbox.refuse_key());
    }
    if target.starts_with("/_sandbox/") {
        return whole(served.sandbox.control(method, target, &body));
    }
    let Some(below) = target.strip_prefix("/3.0") else { return plain(StatusCode::NOT_FOUND) };
    let authorization = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let request = Request {
        method,
        target: if below.starts_with('/') { below.to_owned() } else { format!("/{below}") },
        body: (!body.is_empty()).then(|| body.to_vec()),
        authorization: authorization.map(str::to_owned),
    };
    if let Some(url) = delivery::url_to_validate(&request)
        && !delivery::answers_get(&url).await
    {
        return whole(served.sandbox.refuse_webhook(&request));
    }
    match served.sandbox.exchange(request).await {
        Exchange::Answered(response) => whole(response),
        Exchange::Cut => cut(),
        Exchange::Truncated(response) => truncated(response),
        Exchange::Held(time, _slot) => {
            tokio::select! {
                () = tokio::time::sleep(time.min(LONGEST_HOLD)) => (),
                () = served.stop.cancelled() => (),
            }
            cut()
        }
    }
}

fn builder(response: &Response) -> axum::http::response::Builder {
    let mut builder =
        axum::http::Response::builder().status(response.status).header(header::SERVER, "openresty");
    if !response.content_type.is_empty() {
        builder = builder.header(header::CONTENT_TYPE, &response.content_type);
    }
    if let Some(date) = &response.date {
        builder = builder.header(header::DATE, date);
    }
    response.headers.iter().fold(builder, |builder, (name, value)| builder.header(name, value))
}

fn whole(response: Response) -> Answered {
    let builder = builder(&response);
    builder.body(Body::from(response.body)).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn plain(status: StatusCode) -> Answered {
    let mut answered = Answered::new(Body::empty());
    *answered.status_mut() = status;
    answered
}

/// A body that fails before its first byte: nothing of the answer leaves, and the connection closes.
fn cut() -> Answered {
    Answered::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(broken()) })))
}

/// Half of the body, which is on its way before the connection closes.
fn truncated(response: Response) -> Answered {
    let half = response.body[..response.body.len() / 2].to_vec();
    let first = stream::once(async move { Ok::<_, Infallible>(Bytes::from(half)) })
        .map(|part| part.map_err(io::Error::other));
    let rest = stream::once(async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Err::<Bytes, _>(broken())
    });
    let builder = builder(&response).header(header::CONTENT_LENGTH, response.body.len());
    let body = Body::from_stream(first.chain(rest));
    builder.body(body).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, "cut on request")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::Mutex;

    use serde_json::Value;
    use serde_json::json;
    use tokio::sync::mpsc;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::clock::Clock;
    use crate::sandbox::Fault;
    use crate::sandbox::FaultKind;
    use crate::sandbox::FormEntry;
    use crate::sandbox::testing::address;

    /// A served sandbox and a client.
    struct Served {
        sandbox: Sandbox,
        root: String,
        client: reqwest::Client,
        stop: CancellationToken,
        task: JoinHandle<io::Result<()>>,
    }

    impl Served {
        async fn start() -> Self {
            let sandbox = Sandbox::new(Clock::System);
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let root = format!("http://{}", listener.local_addr().unwrap());
            let stop = CancellationToken::new();
            let task = tokio::spawn({
                let (sandbox, stop) = (sandbox.clone(), stop.clone());
                async move { sandbox.serve(listener, stop).await }
            });
            let client =
                reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap();
            Self { sandbox, root, client, stop, task }
        }

        fn request(&self, method: reqwest::Method, below: &str) -> reqwest::RequestBuilder {
            let url = format!("{}/3.0/lists/{}{below}", self.root, self.sandbox.audience_id());
            self.client.request(method, url).basic_auth("any", Some(self.sandbox.api_key()))
        }

        async fn control(&self, path: &str, body: Value) -> Value {
            let url = format!("{}/_sandbox/{path}", self.root);
            let request = match body {
                Value::Null => self.client.get(url),
                body => self.client.post(url).body(body.to_string()),
            };
            serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap()
        }

        async fn end(self) {
            self.stop.cancel();
            self.task.await.unwrap().unwrap();
        }
    }

    async fn json(request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn the_api_is_served_below_3_0_with_its_headers() {
        let served = Served::start().await;
        let response = served.request(reqwest::Method::GET, "/members").send().await.unwrap();
        let header = |name: &str| {
            response.headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(
            (response.status().as_u16(), header("content-type")),
            (200, vec!["application/json; charset=utf-8"])
        );
        assert_eq!(header("date").len(), 1);
        assert_eq!(header("x-request-id").len(), 1);
        let ping = served.client.get(format!("{}/3.0/ping", served.root)).send().await.unwrap();
        assert_eq!(ping.status().as_u16(), 401);
        assert_eq!(
            served.client.get(format!("{}/2.0/ping", served.root)).send().await.unwrap().status().as_u16(),
            404
        );
        served.end().await;
    }

    #[tokio::test]
    async fn cut_and_truncated_connections_look_like_that_from_outside() {
        let served = Served::start().await;
        for (kind, done) in [(FaultKind::CutBefore, 0), (FaultKind::CutAfter, 1)] {
            served.sandbox.faults().add(Fault::new(kind.clone()));
            let body = json!({"email_address": address("new"), "status": "subscribed"}).to_string();
            let result = served.request(reqwest::Method::POST, "/members").body(body).send().await;
            assert!(result.is_err(), "{kind:?}: no status line arrives");
            assert_eq!(served.sandbox.addresses().len(), done, "{kind:?}");
        }
        served.sandbox.faults().add(Fault::new(FaultKind::Truncated));
        let response = served.request(reqwest::Method::GET, "").send().await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert!(response.text().await.is_err());
        served.end().await;
    }

    #[tokio::test]
    async fn a_held_connection_occupies_its_place_only_until_the_client_gives_up() {
        let served = Served::start().await;
        served.sandbox.faults().add(Fault::new(FaultKind::TimeOutAfter(Duration::from_secs(60))));
        let waiting = tokio::spawn(served.request(reqwest::Method::GET, "").send());
        until(|| served.sandbox.connections() == 1 && !served.sandbox.log().is_empty()).await;
        assert!(!waiting.is_finished(), "no answer comes");
        waiting.abort();
        until(|| served.sandbox.connections() == 0).await;
        let (status, _) = json(served.request(reqwest::Method::GET, "")).await;
        assert_eq!(status, 200);
        served.end().await;
    }

    async fn until(condition: impl Fn() -> bool) {
        let waiting = async {
            while !condition() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap();
    }

    /// A receiver of webhooks that answers with the given statuses in turn, and hands on what it was sent.
    async fn receiver(answers: Vec<u16>) -> (String, mpsc::UnboundedReceiver<(String, String, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let (sender, received) = mpsc::unbounded_channel();
        let answers = Arc::new(Mutex::new(answers.into_iter()));
        let answer = move |incoming: Incoming| {
            let (sender, answers) = (sender.clone(), Arc::clone(&answers));
            let header = |name: &str| {
                let value = incoming.headers().get(name).and_then(|value| value.to_str().ok());
                value.unwrap_or_default().to_owned()
            };
            let agent = format!("{} {}", incoming.method(), header("user-agent"));
            let signature = header("x-mailchimp-signature");
            async move {
                let body = to_bytes(incoming.into_body(), BODY_BYTES).await.unwrap();
                sender.send((agent, String::from_utf8(body.to_vec()).unwrap(), signature)).unwrap();
                let status = answers.lock().unwrap().next().unwrap_or(200);
                plain(StatusCode::from_u16(status).unwrap())
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        (url, received)
    }

    #[tokio::test]
    async fn webhooks_are_validated_delivered_signed_and_switched_off_by_410() {
        let served = Served::start().await;
        let (url, mut received) = receiver(vec![404, 200, 200, 410]).await;
        let hook = json!({"url": url, "events": {"subscribe": true, "unsubscribe": true}, "sources": {"user": true}});
        let create = || served.request(reqwest::Method::POST, "/webhooks").body(hook.to_string());
        assert_eq!(json(create()).await.0, 400, "the URL must answer GET with 200");
        let (status, created) = json(create()).await;
        assert_eq!(status, 200, "{created}");
        for _ in 0..2 {
            assert_eq!(received.recv().await.unwrap().0, "GET MailChimp.com WebHook Validator");
        }
        served.sandbox.person().subscribe_by_form(&address("new"), &FormEntry::new()).unwrap();
        let (agent, body, signature) = received.recv().await.unwrap();
        assert_eq!(agent, "POST MailChimp");
        assert!(body.starts_with("type=subscribe&"));
        let secret = created["signing_secret"].as_str().unwrap();
        let time: i64 = signature[2..].split(',').next().unwrap().parse().unwrap();
        assert_eq!(signature, crate::sandbox::hooks::sign(secret, time, &body));
        served.sandbox.person().unsubscribe(&address("new")).unwrap();
        received.recv().await.unwrap();
        until(|| served.sandbox.world(|world| world.hooks.hooks[0].off)).await;
        served.end().await;
    }

    #[tokio::test]
    async fn other_processes_act_and_look_through_the_control_interface() {
        let served = Served::start().await;
        let info = served.control("info", Value::Null).await;
        assert_eq!(info["base_url"], format!("{}/3.0", served.root));
        served.control("populate", json!({"count": 20})).await;
        let email = address("new");
        served
            .control("person", json!({"act": "subscribe", "email": email, "merge_fields": {"FNAME": "Ada"}}))
            .await;
        let left = served.control("person", json!({"act": "unsubscribe", "email": email})).await;
        assert_eq!((&left["status"], &left["full_name"]), (&json!("unsubscribed"), &json!("Ada")));
        assert_eq!(served.control(&format!("member/{email}"), Value::Null).await["status"], "unsubscribed");
        served.control("faults", json!({"kind": "server_error", "method": "GET", "times": 1})).await;
        assert_eq!(json(served.request(reqwest::Method::GET, "")).await.0, 500);
        let counters = served.control("counters", Value::Null).await;
        assert_eq!(counters["requests"]["GET /lists/{list_id}"], 1);
        assert_eq!(served.control("log", Value::Null).await[0]["status"], 500);
        served.control("reset-log", json!({})).await;
        assert_eq!(served.control("log", Value::Null).await, json!([]));
        for (path, body) in [
            ("person", json!({"act": "fly"})),
            ("faults", json!({"kind": "rain"})),
            ("faults", json!({"knid": "x"})),
            ("nothing", Value::Null),
        ] {
            assert!(served.control(path, body).await["error"].is_string(), "{path}");
        }
        served.end().await;
    }
}
