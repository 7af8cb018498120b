//! The network against a listener of this machine.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

fn request(body: Option<&str>) -> Request {
    Request {
        method: Method::Post,
        target: "/lists/a1/members/90e2".to_owned(),
        body: body.map(|body| body.as_bytes().to_vec()),
        authorization: Some("Basic c2VjcmV0".to_owned()),
    }
}

/// Answers one connection with these bytes and closes it; brings what was sent.
async fn exchange(
    answer: &'static str,
    options: impl FnOnce(&mut HttpOptions),
) -> (Result<Response, TransportError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut http = HttpOptions::new(format!("http://{}/3.0", listener.local_addr().unwrap()));
    options(&mut http);
    let served = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut sent = Vec::new();
        while !sent.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            assert_ne!(stream.read_buf(&mut sent).await.unwrap(), 0, "the request was cut");
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        if answer.is_empty() {
            // Never answers: holds the connection until the other side leaves.
            stream.read_to_end(&mut sent).await.unwrap();
        }
        String::from_utf8(sent).unwrap()
    });
    let transport = HttpTransport::new(http).unwrap();
    let outcome = transport.send(request(None)).await;
    drop(transport);
    (outcome, served.await.unwrap().to_lowercase())
}

#[tokio::test]
async fn an_answer_comes_with_its_headers() {
    let answer = "HTTP/1.1 405 Method Not Allowed\r\nContent-Type: application/problem+json\r\nAllow: GET, PUT\r\n\
                  Date: Sun, 01 Mar 2026 12:00:05 GMT\r\nServer: openresty\r\nContent-Length: 2\r\n\r\n{}";
    let (outcome, sent) = exchange(answer, |_| ()).await;
    let expected = Response {
        status: 405,
        content_type: "application/problem+json".to_owned(),
        date: Some("Sun, 01 Mar 2026 12:00:05 GMT".to_owned()),
        headers: vec![("allow".to_owned(), "GET, PUT".to_owned())],
        body: b"{}".to_vec(),
    };
    assert_eq!(outcome.unwrap(), expected);
    let version = env!("CARGO_PKG_VERSION");
    let user_agent = format!("user-agent: rosterd/{version}\r\n");
    let lines = [
        "post /3.0/lists/a1/members/90e2 http/1.1\r\n",
        "authorization: basic c2vjcmv0\r\n",
        "content-length: 0\r\n",
    ];
    for line in lines.into_iter().chain([user_agent.as_str()]) {
        assert!(sent.contains(line), "{line} not in {sent}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let answer = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    let response = exchange(answer, |_| ()).await.0.unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.headers, [("location".to_owned(), "http://127.0.0.1:1/".to_owned())]);
}

#[tokio::test]
async fn what_breaks_after_sending_is_broken() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"id\"";
    let nonsense = "SMTP ready\r\n\r\n";
    for answer in [cut, nonsense] {
        let outcome = exchange(answer, |_| ()).await.0;
        assert!(matches!(outcome, Err(TransportError::Broken(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n123456789012";
    assert_eq!(exchange(answer, |options| options.max_body_bytes = 12).await.0.unwrap().body.len(), 12);
    let outcome = exchange(answer, |options| options.max_body_bytes = 11).await.0;
    assert!(matches!(outcome, Err(TransportError::Broken(_))), "{outcome:?}");
}

#[tokio::test]
async fn silence_is_a_time_out() {
    let outcome = exchange("", |options| options.timeout = Duration::from_millis(50)).await.0;
    assert!(
        matches!(outcome, Err(TransportError::TimedOut(after)) if after == Duration::from_millis(50)),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_sent_and_nothing_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let transport = HttpTransport::new(HttpOptions::new(format!("http://{address}/3.0"))).unwrap();
    let error = transport.send(request(Some("ada@alliance.test"))).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect(_)), "{error:?}");

    let said = format!("{error:?} {} {transport:?}", crate::mailchimp::refusal::chain(&error));
    for secret in ["c2VjcmV0", "90e2", "alliance"] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_written_was_not_sent() {
    let transport = HttpTransport::new(HttpOptions::new("http://127.0.0.1:1/3.0")).unwrap();
    let odd = Request { authorization: Some("Basic \n".to_owned()), ..request(None) };
    let error = transport.send(odd).await.unwrap_err();
    assert!(matches!(error, TransportError::Connect(_)), "{error:?}");
}

#[test]
fn only_this_machine_is_loopback() {
    let cases = [
        ("http://127.0.0.1:9001/3.0", true),
        ("http://127.9.9.9/", true),
        ("http://[::1]:9001/3.0", true),
        ("http://localhost/3.0", true),
        ("http://localhost.evil.test/", false),
        ("http://127.0.0.1.evil.test/", false),
        ("https://us21.api.mailchimp.com/3.0", false),
        ("nothing", false),
    ];
    for (url, expected) in cases {
        assert_eq!(is_loopback(url), expected, "{url}");
    }
}
