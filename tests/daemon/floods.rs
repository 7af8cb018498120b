//! Events cost nothing to send: however many come, nobody else waits for them, and all are looked at in the end.

use rosterd::observe::Scope;
use rosterd::reconcile::policy::Policy;
use rusqlite::Connection;

use crate::served::{EVENTS_TOKEN, Served};
use crate::world::World;

/// As many requests as no cycle of these tests needs.
const TOO_MANY: u64 = 5_000;

async fn adopted() -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.sync().await;
    world
}

/// Names more addresses than one cycle looks at, and two more, whose letters come later, before each request.
fn flood(world: &World) {
    let state = Connection::open(world.directory.path().join("state.db")).unwrap();
    let now = format!("{:.6}", world.clock.now());
    let name = move |n: u64| {
        let sql = "INSERT INTO pending (address, reason, since, asked) VALUES (?1, 'event', ?2, ?2) ON CONFLICT DO NOTHING";
        state.execute(sql, (format!("nobody{n:08}@alliance.test"), &now)).unwrap();
    };
    (0..1_000).for_each(&name);
    world.tap.before_each(move |sent, _| {
        if sent < TOO_MANY {
            name(1_000 + sent * 2);
            name(1_001 + sent * 2);
        }
    });
}

#[tokio::test]
async fn an_endless_flood_of_events_keeps_no_opt_out_waiting() {
    for scope in [Scope::Incremental, Scope::Full] {
        let world = adopted().await;
        world.later(60);
        world.leave("p1@alliance.test");
        world.person().unsubscribe("p2@alliance.test").unwrap();
        flood(&world);
        let report = match scope {
            Scope::Incremental => world.sync().await,
            Scope::Full => world.sync_full().await,
        };
        world.tap.calm();
        assert!(report.requests < TOO_MANY / 2, "{scope:?}: {report:?}");
        assert_eq!((report.applied, report.failed), (2, 0), "{scope:?}: {report:?}");
        assert_eq!(world.says_locally("p2@alliance.test"), "unsubscribed", "{scope:?}");
        assert_eq!(world.status("p1@alliance.test"), "unsubscribed", "{scope:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_events_than_one_cycle_looks_at_are_all_looked_at_at_once() {
    let world = adopted().await;
    (1..=9).for_each(|number| world.person().unsubscribe(&format!("p{number}@alliance.test")).unwrap());
    let served = Served::over(world).await;
    let event = |address: String| format!(r#"{{"type":"unsubscribe","data":{{"email":"{address}"}}}}"#);
    let strangers = (0..1_500).map(|n| event(format!("nobody{n}@alliance.test")));
    let known = (1..=9).map(|n| event(format!("p{n}@alliance.test")));
    let all: Vec<String> = strangers.chain(known).collect();
    let authorization = format!("Bearer {EVENTS_TOKEN}");
    for some in all.chunks(800) {
        let body = format!("[{}]", some.join(","));
        assert_eq!(served.post("/api/v1/events", &[("authorization", &authorization)], &body).await.0, 200);
    }
    served.until_settled().await;
    served
        .until(|served| {
            (1..=9).all(|n| served.world.says_locally(&format!("p{n}@alliance.test")) == "unsubscribed")
        })
        .await;
}
