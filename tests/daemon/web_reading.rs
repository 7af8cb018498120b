//! What the HTTP interface reads of the state, beside whoever writes it.

use std::time::Duration;

use rosterd::cycle::Cycle;
use rosterd::daemon::{self, Signals, Surroundings};
use rosterd::reconcile::policy::Policy;
use rosterd::state::Pause;
use rosterd::worker::Rhythm;

use crate::served::Served;
use crate::world::World;

async fn served() -> Served {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.sync().await;
    Served::over(world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_wait_for_nobody_who_writes() {
    // They shared one connection with the cycle, and stood still whenever it did.
    let served = served().await;
    let other = rusqlite::Connection::open(served.world.cycle.state.path()).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Each waits for the other one for five seconds, which is how long people's small decisions are waited for.
    let state = served.world.cycle.state.clone();
    let writing = tokio::spawn(async move {
        for _ in 0..20 {
            let _ = state.set_paused(Pause::Running).await;
        }
    });
    tokio::task::yield_now().await;
    for path in ["/metrics", "/readyz", "/healthz"] {
        assert_eq!(served.get(path).await.0, 200, "{path}");
        assert!(!writing.is_finished(), "{path} waited");
    }
    other.execute_batch("ROLLBACK").unwrap();
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_scrapes_at_the_same_time_is_told_the_same() {
    let served = served().await;
    let told = futures::future::join_all((0..50).map(|_| served.get("/metrics"))).await;
    assert!(
        told.iter().all(|(status, said)| *status == 200 && said.contains("rosterd_members 20")),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_steps_of_a_cycle_are_known_to_whoever_asks_whether_it_goes_on() {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.clock.release();
    world.later(0);
    let mut surroundings = Surroundings::default();
    let mut health = surroundings.health.subscribe();
    let cycle = Cycle { progress: surroundings.desk.progress().clone(), ..world.cycle.clone() };
    let soon = Duration::from_millis(10);
    let rhythm = Rhythm { interval: soon, full_interval: soon, beat: soon, look: None };
    let mut signals = Signals::listen().unwrap();
    let seen = tokio::time::timeout(Duration::from_secs(120), async {
        tokio::select! {
            ended = daemon::run(&cycle, rhythm, &mut surroundings, &mut signals) => panic!("{ended:?}"),
            seen = health.wait_for(|health| health.moved_at.is_some()) => seen.unwrap().clone(),
        }
    });
    let seen = seen.await.unwrap();
    assert!(seen.moved_at <= Some(world.clock.now()), "{seen:?}");
    assert!(seen.began_at.is_some() || seen.cycles > 0, "{seen:?}");
}
