//! `member erase`.

use rosterd::clock::Clock;
use rosterd::intake::Spool;
use rosterd::state::State;

use crate::scene::{Scene, email};

/// Every byte of the state file and of what lies beside it.
fn bytes_of_state(scene: &Scene) -> Vec<u8> {
    let files = ["state.db", "state.db-wal"].map(|name| std::fs::read(scene.path(name)).unwrap_or_default());
    files.concat()
}

fn mentions(scene: &Scene, text: &str) -> bool {
    bytes_of_state(scene).windows(text.len()).any(|window| window == text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_erased_without_a_yes() {
    let scene = Scene::with(&["ada"]).await;
    scene.run(&["member", "erase", &email("ada")]).await.ended(2).complains("--yes");
    assert!(scene.sandbox.member(&email("ada")).is_some());
    assert!(mentions(&scene, &email("ada")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_erased_is_gone_everywhere_and_stays_gone() {
    let scene = Scene::with(&["ada", "ben"]).await;
    // What nobody could read was put aside.
    let damaged = scene.path("state.db.spool.damaged");
    std::fs::create_dir_all(&damaged).unwrap();
    std::fs::write(damaged.join("1"), format!("half of {}\nhalf of {}\n", email("ada"), email("ben")))
        .unwrap();
    let erased = scene.run(&["member", "erase", &email("ada"), "--yes"]).await.ended(0);
    assert_eq!(std::fs::read_to_string(damaged.join("1")).unwrap(), format!("half of {}\n", email("ben")));
    erased.says(&["deleted for good", "removed row 1", "Backups"]);
    assert!(scene.sandbox.member(&email("ada")).is_none());
    let rows = "SELECT count(*) FROM registrations";
    assert_eq!(scene.website().query_row(rows, [], |row| row.get::<_, i64>(0)).unwrap(), 1);
    assert!(!mentions(&scene, &email("ada")), "the address is left in the state");
    scene.run(&["member", "show", &email("ada")]).await.ended(1).complains("was erased on");
    scene.run(&["sync", "--full"]).await.ended(0);
    assert!(scene.sandbox.member(&email("ada")).is_none());
    assert!(scene.sandbox.member(&email("ben")).is_some());
    assert!(!mentions(&scene, &email("ada")), "the address came back into the state");
    scene.run(&["member", "erase", &email("ada"), "--yes"]).await.ended(1).complains("was erased on");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_names_a_former_address_goes_too() {
    let scene = Scene::with(&["ada"]).await;
    scene.alter("UPDATE registrations SET email = 'new@alliance.test', subscription_changed_at = subscription_changed_at");
    scene.run(&["sync"]).await.ended(0);
    let damaged = scene.path("state.db.spool.damaged");
    std::fs::create_dir_all(&damaged).unwrap();
    std::fs::write(damaged.join("1"), format!("half of {}\n", email("ada"))).unwrap();
    scene.run(&["member", "erase", &email("new"), "--yes"]).await.ended(0);
    assert!(!damaged.join("1").exists());
    assert!(!mentions(&scene, &email("ada")), "the former address is left in the state");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_away_before_the_events_can_be() {
    let scene = Scene::with(&["ada"]).await;
    let turn = Spool::beside(&scene.path("state.db")).take_turn().unwrap();
    let asked_before = scene.sandbox.counters().requests_total;
    let address = email("ada");
    let args = ["member", "erase", &address, "--yes"];
    let watching = async {
        // It has read both sides, and would delete the contact next.
        let mut beat = tokio::time::interval(std::time::Duration::from_millis(5));
        while scene.sandbox.counters().requests_total < asked_before + 3 {
            beat.tick().await;
        }
        for _ in 0..20 {
            beat.tick().await;
        }
        assert!(scene.sandbox.member(&address).is_some());
        drop(turn);
    };
    let (ran, ()) = tokio::join!(scene.run(&args), watching);
    ran.ended(0);
    assert!(scene.sandbox.member(&address).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_broke_off_is_finished_by_the_same_command() {
    let scene = Scene::with(&["ada"]).await;
    // As after a crash between the two sides.
    scene.sandbox.person().staff_delete_permanently(&email("ada")).unwrap();
    let erased = scene.run(&["member", "erase", &email("ada"), "--yes", "--json"]).await.ended(0).json();
    assert_eq!((&erased["contacts"], &erased["rows"]), (&0.into(), &serde_json::json!(["1"])));
    // As after a crash before the state was written.
    let scene = Scene::with(&["ada"]).await;
    scene.sandbox.person().staff_delete_permanently(&email("ada")).unwrap();
    scene.alter("DELETE FROM registrations");
    scene.run(&["member", "erase", &email("ada"), "--yes"]).await.ended(0);
    assert!(!mentions(&scene, &email("ada")));
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_no_cycle_has_seen_is_erased_all_the_same() {
    let scene = Scene::with(&["ada"]).await;
    scene.register("ben", "Water");
    scene.run(&["member", "erase", &email("ben"), "--yes"]).await.ended(0).says(&["removed row 2"]);
    scene.run(&["member", "erase", &email("dan"), "--yes"]).await.ended(1).complains("nobody bears");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_two_members_is_not_erased() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.alter("UPDATE registrations SET email = 'ada@alliance.test' WHERE id = 2");
    scene.run(&["member", "erase", &email("ada"), "--yes"]).await.ended(1).complains("2 members bear");
    assert!(scene.sandbox.member(&email("ada")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_another_process_holds_the_state_nobody_is_erased_but_everything_can_be_looked_at() {
    let scene = Scene::with(&["ada"]).await;
    let daemon = State::open(scene.path("state.db"), &Clock::System).await.unwrap();
    let held_by = format!("held by process {}", std::process::id());
    scene
        .run(&["member", "erase", &email("ada"), "--yes"])
        .await
        .ended(1)
        .complains(&held_by)
        .complains("no daemon that stands aside");
    for args in
        [&["status"][..], &["member", "show", &email("ada")], &["held"], &["groups"], &["pause"], &["resume"]]
    {
        scene.run(args).await.ended(0);
    }
    drop(daemon);
}
