//! Events that others forward: who may, in which form, and what a program can do while no daemon runs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rosterd::intake::{Received, Source};
use rosterd::reconcile::policy::Policy;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::served::{API_TOKEN, EVENTS_TOKEN, PATH_SECRET, Served};
use crate::world::World;

const PATH: &str = "/api/v1/events";

async fn served() -> Served {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.sync().await;
    Served::over(world).await
}

async fn post(served: &Served, token: &str, body: &str) -> (u16, String) {
    served.post(PATH, &[("authorization", &format!("Bearer {token}"))], body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn forwarded_events_are_as_good_as_mailchimps_own() {
    let served = served().await;
    let person = served.world.person();
    (1..=5).for_each(|number| person.unsubscribe(&format!("p{number}@alliance.test")).unwrap());
    let stored = |number: usize| (200, format!("{{\"stored\":{number}}}\n"));
    let form = "type=unsubscribe&data%5Bemail%5D=p1%40alliance.test";
    assert_eq!(post(&served, EVENTS_TOKEN, form).await, stored(1));
    let object = r#"{"type":"unsubscribe","data":{"email":"p2@alliance.test"}}"#;
    assert_eq!(post(&served, API_TOKEN, object).await, stored(1));
    let many = r#"[{"type":"unsubscribe","data":{"email":"p3@alliance.test"}},
        "type=unsubscribe&data[email]=p4%40alliance.test"]"#;
    assert_eq!(post(&served, EVENTS_TOKEN, many).await, stored(2));
    let nobody = "type=subscribe&data[email]=nobody%40alliance.test";
    assert_eq!(post(&served, EVENTS_TOKEN, nobody).await, stored(1));
    // A program wrote it while no daemon ran, or beside one.
    let body = "type=unsubscribe&data[email]=p5%40alliance.test".to_owned();
    served.spool().put(&[Received { source: Source::Spool, at: served.world.clock.now(), body }]).unwrap();
    served
        .until(|served| {
            (1..=5).all(|n| served.world.says_locally(&format!("p{n}@alliance.test")) == "unsubscribed")
        })
        .await;
    served.until_settled().await;
    let mut kept = served.kept();
    kept.sort();
    assert_eq!(kept.iter().filter(|kept| *kept == "api unsubscribe").count(), 4);
    assert_eq!(served.world.rows(), 20, "whom nobody knows is nobody");
    assert_eq!(kept.last().unwrap(), "spool unsubscribe");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_shows_a_token_may_post_and_all_or_nothing_is_taken() {
    let served = served().await;
    let form = "type=unsubscribe&data[email]=p1%40alliance.test";
    for headers in [&[][..], &[("authorization", "Bearer wrong")], &[("authorization", EVENTS_TOKEN)]] {
        assert_eq!(served.post(PATH, headers, form).await.0, 401, "{headers:?}");
    }
    let (status, said) = post(&served, EVENTS_TOKEN, r#"[{"type":"a"},{"data":1}]"#).await;
    assert_eq!((status, said.as_str()), (400, "{\"error\":\"event 2 has no `type`\"}\n"));
    assert_eq!(post(&served, EVENTS_TOKEN, &"a".repeat(2 << 20)).await.0, 413);
    assert_eq!(served.get(PATH).await.0, 405);
    served.configure(|terms| terms.events_token = None);
    assert_eq!(post(&served, EVENTS_TOKEN, form).await.0, 401);
    served.configure(|terms| terms.api_token = None);
    assert_eq!(post(&served, API_TOKEN, form).await.0, 404, "what no token opens is not there");
    served.until_settled().await;
    assert_eq!(served.kept(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_fails_is_limited() {
    let served = served().await;
    let mut refused = std::collections::BTreeMap::new();
    for _ in 0..200 {
        *refused.entry(post(&served, "wrong", "").await.0).or_insert(0) += 1;
    }
    let told = refused[&401];
    assert!((60..100).contains(&told) && refused[&429] == 200 - told, "{refused:?}");
    for number in 0..200 {
        let form = format!("type=campaign&data[id]={number}");
        assert_eq!(post(&served, EVENTS_TOKEN, &form).await.0, 200, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_thousand_idle_connections_nor_slow_bodies_keep_an_event_from_its_row() {
    let served = served().await;
    let mut idle = Vec::new();
    for _ in 0..most_connections() {
        idle.push(TcpStream::connect(served.address).await.unwrap());
    }
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {EVENTS_TOKEN}\r\ncontent-length: 100\r\n\r\ntype="
    );
    for _ in 0..100 {
        let mut slow = TcpStream::connect(served.address).await.unwrap();
        slow.write_all(head.as_bytes()).await.unwrap();
        idle.push(slow);
    }
    served.world.person().unsubscribe("p1@alliance.test").unwrap();
    let form = "type=unsubscribe&data[email]=p1%40alliance.test";
    assert_eq!(post(&served, EVENTS_TOKEN, form).await.0, 200);
    // The cycle goes on, too.
    served.until(|served| served.world.says_locally("p1@alliance.test") == "unsubscribed").await;
    assert_eq!(served.get("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(served.get("/healthz").await, (200, "alive\n".to_owned()));
    drop(idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fails_too_often_is_heard_no_further() {
    let served = served().await;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer wrong\r\ncontent-length: 0\r\n\r\n"
    );
    for _ in 0..100 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 512];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).to_lowercase();
        if answer.starts_with("http/1.1 429") {
            assert!(answer.contains("connection: close"), "{answer}");
            assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "it is closed at once");
            return;
        }
        assert!(answer.starts_with("http/1.1 401"), "{answer}");
    }
    panic!("nobody is limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_still_coming_take_no_more_room_than_there_is_for_all() {
    let served = served().await;
    let length = 1 << 20;
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {EVENTS_TOKEN}\r\ncontent-length: {length}\r\n\r\n"
    );
    // Sixteen have room at most, and who comes in between may take it from one of them.
    let (head, body) = (head.as_bytes(), vec![b'a'; length - 1]);
    let answered = async || {
        let (mut reader, mut writer) = TcpStream::connect(served.address).await.unwrap().into_split();
        let sending = async {
            // Whoever is refused early need not be listened to until the end.
            let _ = writer.write_all(head).await;
            let _ = writer.write_all(&body).await;
            std::future::pending::<()>().await;
        };
        let mut answer = vec![0; 512];
        tokio::select! {
            length = reader.read(&mut answer) => {
                String::from_utf8_lossy(&answer[..length.unwrap()]).to_lowercase()
            }
            () = sending => String::new(),
        }
    };
    let mut answers: FuturesUnordered<_> = (0..20).map(|_| answered()).collect();
    for _ in 0..4 {
        let answer = answers.next().await.unwrap();
        assert!(answer.starts_with("http/1.1 503") && answer.contains("retry-after: 1"), "{answer}");
    }
    drop(answers);
    let form = format!("type=campaign&data[id]={}", "1".repeat(100));
    let room = async { while post(&served, EVENTS_TOKEN, &form).await.0 != 200 {} };
    tokio::time::timeout(Duration::from_secs(30), room).await.expect("no room was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_has_whoever_sends_events_come_again() {
    // They were answered 408 after as long as Mailchimp waits, as if they had been too slow.
    let served = served().await;
    let hanging = served.hanging().await;
    let webhook = format!("/webhook/{PATH_SECRET}");
    let form = "type=campaign&data[id]=1";
    let begun = Instant::now();
    let answers = futures::join!(hanging.post(PATH, form), hanging.post(&webhook, form));
    assert_eq!(answers, (503, 503));
    assert!(begun.elapsed() < Duration::from_secs(9), "Mailchimp has given up by then");
    let counted = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let events = &served.web.events;
    assert_eq!((counted(&events.stored), counted(&events.not_stored)), (0, 2));
}

/// A thousand, or as many as this machine lets a process have beside the other end of them.
fn most_connections() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let most: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    most.saturating_sub(900).min(1_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_taken_as_it_is_written_and_leads_nowhere_else() {
    let served = served().await;
    let paths = [
        "/webhook/../metrics",
        "/webhook/%2e%2e/metrics",
        "/webhook/..%2fmetrics",
        "//metrics",
        "/./metrics",
        "/metrics/",
        "/METRICS",
        "/healthz%00",
        "/api/v1/../../metrics",
        "/api/v1/openapi.json/..",
    ];
    for path in paths {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        let status = heard.split(' ').nth(1).unwrap();
        assert!(matches!(status, "400" | "401" | "404"), "{path}: {heard}");
    }
}
