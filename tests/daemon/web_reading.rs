//! What the HTTP interface reads of the state, beside whoever writes it.

use rosterd::reconcile::policy::Policy;
use rosterd::state::Pause;

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
