//! Who gets a place and who has to leave, and hostile callers over real connections.

use std::time::Instant;

use axum::body::Bytes;
use axum::routing::{get, post};
use tokio::io::AsyncWriteExt;
use tokio::sync::Notify;

use super::*;
use crate::web::requests::{Answered, Requests};

#[test]
fn whoever_has_been_idle_for_longest_makes_room_and_nobody_with_a_request_under_way() {
    let places = Places::new(3);
    let all = [(); 3].map(|()| places.take().unwrap());
    let left = |all: &[Place]| all.iter().map(|place| place.leave.is_cancelled()).collect::<Vec<_>>();
    let busy = all[0].busy();
    let fourth = places.take().unwrap();
    assert_eq!(left(&all), [false, true, false]);
    drop(busy);
    let fifth = places.take().unwrap();
    assert_eq!(left(&all), [false, true, true], "the first has only just been answered");
    drop((all, fifth));
    assert!(!fourth.leave.is_cancelled());
    assert_eq!(places.with(|taken| (taken.n_taken, taken.idle.len())), (1, 1));
}

#[test]
fn where_everybody_has_a_request_under_way_nobody_else_comes_in() {
    let places = Places::new(2);
    let all = [(); 2].map(|()| places.take().unwrap());
    let busy = all.each_ref().map(Place::busy);
    assert!(places.take().is_none());
    drop(busy);
    assert!(places.take().is_some());
}

/// So little that a test need not wait long, and more than a busy machine makes anybody wait who is in time.
const LITTLE: Limits = Limits { places: 20, headers_within: Duration::from_secs(1) };
/// As much for an answer.
const SHORTLY: Duration = Duration::from_secs(2);

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(60);

struct Served {
    address: std::net::SocketAddr,
    requests: Requests,
    /// Told of each request that is never answered.
    begun: Arc<Notify>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn start(limits: Limits, answered_within: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (requests, begun) = (Requests::default(), Arc::new(Notify::new()));
        let never = begun.clone();
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/body", post(|body: Bytes| async move { body.len().to_string() }))
            .route(
                "/never",
                get(async move || -> () {
                    never.notify_one();
                    std::future::pending().await
                }),
            );
        let router = requests.clone().counting(router, answered_within);
        let token = stop.clone();
        let task = tokio::spawn(async move { serve(listener, router, limits, &Clock::System, token).await });
        Self { address, requests, begun, stop, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends a text and reads what comes until the other end closes.
    async fn say(&self, text: &str) -> String {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        heard(&mut stream).await
    }

    async fn is_served(&self) {
        let heard = self.say("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(heard.starts_with("HTTP/1.1 200") && heard.ends_with("here"), "{heard}");
    }

    fn counted(&self, route: &str, status: u16) -> u64 {
        self.requests.counts().get(&(route.to_owned(), Answered::With(status))).copied().unwrap_or_default()
    }

    async fn end(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

async fn heard(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    // A connection that is closed with something unread is reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await.unwrap();
    String::from_utf8(text).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_keep_nobody_out() {
    let served = Served::start(Limits { headers_within: PATIENCE, ..LITTLE }, SHORTLY).await;
    let mut idle = Vec::new();
    for _ in 0..LITTLE.places * 5 {
        idle.push(served.connect().await);
    }
    // Headers that never end are as good as none.
    for stream in &mut idle {
        let _ = stream.write_all(b"GET / HTTP/1.1\r\n").await;
    }
    let begun = Instant::now();
    for _ in 0..LITTLE.places * 5 {
        served.is_served().await;
    }
    assert!(begun.elapsed() < PATIENCE / 2);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_slow_is_let_go() {
    let served = Served::start(LITTLE, SHORTLY).await;
    let mut silent = served.connect().await;
    assert_eq!(heard(&mut silent).await, "");
    let mut trickle = served.connect().await;
    let mut beat = tokio::time::interval(Duration::from_millis(20));
    let sending = async {
        while trickle.write_all(b"a").await.is_ok() {
            beat.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, sending).await.unwrap();
    let slow = served.say("POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nabc").await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let never = served.say("GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(never.starts_with("HTTP/1.1 408"), "{never}");
    // None of them was counted, as if the interface had been idle.
    assert_eq!((served.counted("/body", 408), served.counted("/never", 408)), (1, 1));
    served.is_served().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_before_the_answer_is_counted() {
    let served = Served::start(LITTLE, PATIENCE).await;
    let mut stream = served.connect().await;
    stream.write_all(b"GET /never HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    served.begun.notified().await;
    drop(stream);
    let counting = async {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        while !served.requests.counts().contains_key(&("/never".to_owned(), Answered::Gone)) {
            beat.tick().await;
        }
    };
    tokio::time::timeout(PATIENCE, counting).await.unwrap();
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_refused() {
    let served = Served::start(Limits { headers_within: PATIENCE, ..LITTLE }, PATIENCE).await;
    let many: String = (0..HEADERS + 1).map(|number| format!("x-{number}: 1\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(HEADER_BYTES));
    for flood in [many, long] {
        let heard = served.say(&format!("GET / HTTP/1.1\r\nhost: x\r\n{flood}\r\n")).await;
        assert!(heard.starts_with("HTTP/1.1 431"), "{heard}");
    }
    let heard = served.say("no http at all\r\n\r\n").await;
    assert!(heard.starts_with("HTTP/1.1 400"), "{heard}");
    served.is_served().await;
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_answered_before_they_have_said_everything_gets_to_read_the_answer() {
    let served = Served::start(LITTLE, SHORTLY).await;
    for path in ["/body", "/nowhere"] {
        let length = 6 << 20;
        let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n");
        let heard = served.say(&(head + &"a".repeat(length))).await;
        assert!(heard.starts_with("HTTP/1.1 4") && heard.contains("content-length"), "{heard}");
        // A caller who kept the connection for their next request lost that one.
        assert!(heard.contains("connection: close"), "{heard}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_idle_connections_are_closed_and_answers_under_way_given() {
    let served = Served::start(Limits { headers_within: PATIENCE, ..LITTLE }, PATIENCE).await;
    let mut idle = served.connect().await;
    let mut busy = served.connect().await;
    busy.write_all(b"POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\n\r\na").await.unwrap();
    served.is_served().await;
    served.stop.cancel();
    assert_eq!(heard(&mut idle).await, "");
    busy.write_all(b"bc").await.unwrap();
    let answer = heard(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with('3'), "{answer}");
    served.end().await;
}
