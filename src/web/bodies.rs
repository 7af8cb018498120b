//! Bodies of requests: whole and within their limits, or the status that says why not.

use std::sync::Arc;

use axum::body::Body;
use axum::http::StatusCode;
use futures::StreamExt;
use hyper::body::Body as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of all bodies together that are being received or stored: thousands of calls of Mailchimp's, and little beside what
/// the service is given (`MemoryMax=512M`), although a body takes several times as much while it is written down.
const ALL_BYTES: usize = 16 << 20;

/// The room for bodies; clones are the same one.
#[derive(Clone, Debug)]
pub struct Bodies(Arc<Semaphore>);

/// A body, which keeps its room until it is dropped.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    _room: Option<OwnedSemaphorePermit>,
}

impl Default for Bodies {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ALL_BYTES)))
    }
}

impl Bodies {
    /// Reads a body; one that is announced as too long is not read at all, and one for which there is no room no further.
    pub(super) async fn whole(&self, body: Body, most: usize) -> Result<Whole, StatusCode> {
        if body.size_hint().lower() > most as u64 {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        let mut parts = body.into_data_stream();
        let (mut bytes, mut room): (Vec<u8>, Option<OwnedSemaphorePermit>) = (Vec::new(), None);
        while let Some(part) = parts.next().await {
            let part = part.map_err(|_| StatusCode::BAD_REQUEST)?;
            if bytes.len() + part.len() > most {
                return Err(StatusCode::PAYLOAD_TOO_LARGE);
            }
            // Only what has come takes room: who announces much and sends nothing keeps nobody out.
            let more = u32::try_from(part.len()).map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?;
            let more = Arc::clone(&self.0).try_acquire_many_owned(more);
            let more = more.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
            match &mut room {
                Some(room) => room.merge(more),
                None => room = Some(more),
            }
            bytes.extend_from_slice(&part);
        }
        Ok(Whole { bytes, _room: room })
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use futures::stream;

    use super::*;

    fn parts(n: usize) -> Body {
        let part = || Ok::<_, std::io::Error>(Bytes::from("ab"));
        Body::from_stream(stream::iter((0..n).map(|_| part()).collect::<Vec<_>>()))
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_its_limit_and_no_further() {
        let bodies = Bodies::default();
        for whole in [Body::from("abab"), parts(2)] {
            assert_eq!(bodies.whole(whole, 4).await.unwrap().bytes, b"abab");
        }
        for too_long in [Body::from("abcde"), parts(3)] {
            assert_eq!(bodies.whole(too_long, 4).await.unwrap_err(), StatusCode::PAYLOAD_TOO_LARGE);
        }
        let broken = stream::iter([Err::<Bytes, _>(std::io::Error::other("gone"))]);
        assert_eq!(bodies.whole(Body::from_stream(broken), 4).await.unwrap_err(), StatusCode::BAD_REQUEST);
        assert_eq!(bodies.0.available_permits(), ALL_BYTES, "nobody keeps room for what is over");
    }

    #[tokio::test]
    async fn all_bodies_together_have_so_much_room_and_what_is_stored_makes_room() {
        let bodies = Bodies(Arc::new(Semaphore::new(5)));
        let first = bodies.whole(parts(2), 4).await.unwrap();
        assert_eq!(bodies.whole(parts(1), 4).await.unwrap_err(), StatusCode::SERVICE_UNAVAILABLE);
        drop(first);
        assert_eq!(bodies.whole(parts(2), 4).await.unwrap().bytes.len(), 4);
    }
}
