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
        Exchange::Held(time) => {
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
