//! Bodies of requests: whole and within their limit, or the status that says why not.

use axum::body::{Body, to_bytes};
use axum::http::StatusCode;
use hyper::body::{Body as _, Bytes};

/// Reads a body; one that is announced as too long is not read at all.
pub(super) async fn whole(body: Body, most: usize) -> Result<Bytes, StatusCode> {
    if body.size_hint().lower() > most as u64 {
        return Err(StatusCode::PAYLOAD_TOO_LARGE);
    }
    to_bytes(body, most).await.map_err(|error| match is_too_long(&error) {
        true => StatusCode::PAYLOAD_TOO_LARGE,
        false => StatusCode::BAD_REQUEST,
    })
}

/// Whether the limit was met, rather than the end of the connection.
fn is_too_long(error: &axum::Error) -> bool {
    let mut source: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = source {
        // The kind is not told but in words.
        if error.to_string() == "length limit exceeded" {
            return true;
        }
        source = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        let part = || Ok::<_, std::io::Error>(Bytes::from("ab"));
        let parts = |n: usize| Body::from_stream(stream::iter((0..n).map(|_| part()).collect::<Vec<_>>()));
        assert_eq!(whole(Body::from("abcd"), 4).await.unwrap(), "abcd");
        assert_eq!(whole(parts(2), 4).await.unwrap(), "abab");
        for too_long in [Body::from("abcde"), parts(3)] {
            assert_eq!(whole(too_long, 4).await, Err(StatusCode::PAYLOAD_TOO_LARGE));
        }
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        assert_eq!(whole(Body::from_stream(broken), 4).await, Err(StatusCode::BAD_REQUEST));
    }
}
