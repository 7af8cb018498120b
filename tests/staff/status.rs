//! `status`, `pause` and `resume`.

use crate::scene::{Scene, email};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_state_status_says_how_to_make_one() {
    let scene = Scene::new().await;
    scene.run(&["status"]).await.ended(1).complains("rosterd sync");
    assert!(!scene.path("state.db").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn status_has_the_fields_of_the_contract() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.run(&["sync"]).await.ended(0);
    let status = scene.run(&["status", "--json"]).await.ended(0).json();
    assert_eq!(status["members"], 2, "{status}");
    assert_eq!(status["last_cycle"]["kind"], "incremental", "{status}");
    assert_eq!(status["last_full"]["kind"], "full");
    assert_eq!(status["last_full"]["observed"]["local"], 2);
    for (field, expected) in [("parked", 0), ("held", 0), ("pending_events", 0)] {
        assert_eq!(status[field], expected, "{field} of {status}");
    }
    assert!(status["fatal"].is_null());
    scene.run(&["status"]).await.ended(0).says(&["Members", "Last cycle", "Last full", "Backlog"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_what_stops_every_cycle_until_it_is_mended() {
    let scene = Scene::with(&["ada"]).await;
    let config = std::fs::read_to_string(scene.path("rosterd.toml")).unwrap();
    scene.sandbox.person().staff_revoke_key();
    // A key that Mailchimp refuses is a matter of the configuration, whichever command finds out.
    for args in
        [&["sync"][..], &["plan"], &["check"], &["provision"], &["member", "erase", &email("ada"), "--yes"]]
    {
        scene.run(args).await.ended(2);
    }
    let status = scene.run(&["status", "--json"]).await.ended(0).json();
    let fatal = status["fatal"].as_str().unwrap_or_else(|| panic!("{status}"));
    assert_eq!(status["last_cycle"]["error"], fatal);
    scene.run(&["status"]).await.ended(0).says(&["NOTHING WORKS", "FAILED"]);
    drop(config);
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_who_is_parked_and_which_rows_are_unusable() {
    let scene = Scene::with(&["ada"]).await;
    scene.alter("INSERT INTO registrations (email) VALUES ('nobody(at)alliance.test')");
    scene.alter("INSERT INTO registrations (email) VALUES ('fake@example.com')");
    scene.run(&["sync"]).await.ended(4);
    let status = scene.run(&["status", "--json"]).await.json();
    assert_eq!(status["parked"], 1, "{status}");
    assert_eq!(status["parked_members"][0]["email"], "fake@example.com");
    assert_eq!(status["unusable"].as_array().unwrap().len(), 1);
    let shown = scene.run(&["status"]).await.says(&["fake@example.com", "rosterd member retry", "row 2:"]);
    assert!(!shown.out.contains('\u{1b}'), "colour in what is no terminal: {}", shown.out);
    assert!(shown.out.lines().filter(|line| line.contains("fake@")).all(|line| line.len() <= 80));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_while_paused() {
    let scene = Scene::with(&["ada"]).await;
    scene.run(&["pause"]).await.ended(0).says(&["Paused"]);
    scene.run(&["pause"]).await.ended(0).says(&["Paused already"]);
    scene.run(&["status"]).await.says(&["PAUSED since"]);
    assert!(!scene.run(&["status", "--json"]).await.json()["paused_since"].is_null());
    scene.register("ben", "Water");
    scene.alter("INSERT INTO registrations (email) VALUES ('nobody(at)alliance.test')");
    scene.run(&["sync"]).await;
    assert!(scene.sandbox.member(&email("ben")).is_none());
    let noted = "SELECT count(*) FROM registrations WHERE sync_note <> ''";
    let n_noted = |scene: &Scene| scene.website().query_row(noted, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(n_noted(&scene), 0);
    scene.run(&["resume"]).await.ended(0).says(&["Resumed", "rosterd sync"]);
    scene.run(&["resume"]).await.ended(0).says(&["Nothing was paused"]);
    scene.run(&["sync"]).await.ended(0);
    assert!(scene.sandbox.member(&email("ben")).is_some());
    assert_eq!(n_noted(&scene), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_state_that_is_not_there_is_to_be_made() {
    let scene = Scene::new().await;
    for args in [&["pause"][..], &["resume"], &["approve", "0a"], &["member", "retry", &email("ada")]] {
        scene.run(args).await.ended(1).complains("start `rosterd run` or `rosterd sync` first");
    }
    std::fs::write(scene.path("state.db"), "no database, and long enough not to be an empty one".repeat(99))
        .unwrap();
    let ran = scene.run(&["pause"]).await.ended(1).complains("is damaged: restore it from a backup");
    assert!(!ran.err.contains("rosterd sync"), "{}", ran.err);
}
