//! `event`, and what is told of events.

use rosterd::sandbox::FormEntry;
use rusqlite::Connection;
use serde_json::json;

use crate::scene::{Scene, email};

/// Events that wait.
fn spooled(scene: &Scene) -> usize {
    std::fs::read_dir(scene.path("state.db.spool")).map_or(0, Iterator::count)
}

fn event(kind: &str, name: &str) -> String {
    format!("type={kind}&fired_at=2026-03-01+12%3A01%3A00&data%5Bemail%5D={name}%40alliance.test")
}

/// The configuration names a webhook.
fn expect_events(scene: &Scene) {
    std::fs::write(scene.path("hook"), "0123456789abcdef").unwrap();
    let config = std::fs::read_to_string(scene.path("rosterd.toml")).unwrap();
    let web = "[web]\npublic_url = \"http://127.0.0.1:1\"\nwebhook_path_secret_file = \"hook\"\n";
    std::fs::write(scene.path("rosterd.toml"), config + web).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_waits_for_the_next_cycle_and_is_shown_with_whom_it_named() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.pipe(&["event"], event("unsubscribe", "ada")).await.ended(0).says(&["1 event stored."]);
    let many =
        json!([{"type": "profile", "data": {"email": email("ada")}}, event("cleaned", "ben")]).to_string();
    let told = scene.pipe(&["event", "--json"], many).await.ended(0).json();
    assert_eq!((told, spooled(&scene)), (json!({"stored": 2}), 2));
    scene.sandbox.person().unsubscribe(&email("ada")).unwrap();
    scene.run(&["sync"]).await.ended(0);
    assert_eq!(spooled(&scene), 0);
    let shown = scene.run(&["member", "show", &email("ada"), "--json"]).await.ended(0).json();
    assert_eq!(shown["local"]["status"], "unsubscribed", "{shown}");
    let kinds: Vec<&str> =
        shown["events"].as_array().unwrap().iter().map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["profile", "unsubscribe"]);
    let unsubscribed = &shown["events"][1];
    assert_eq!(unsubscribed["addresses"], json!([email("ada")]));
    assert_eq!(unsubscribed["details"], json!({"fired_at": "2026-03-01 12:01:00"}));
    let told = ["Events, newest first", "spool", "fired_at"];
    scene.run(&["member", "show", &email("ada")]).await.ended(0).says(&told);
    scene.run(&["member", "show", &email("ben")]).await.ended(0).says(&["cleaned"]);
    let status = scene.run(&["status", "--json"]).await.ended(0).json();
    assert_eq!(status["last_event"]["source"], "spool", "{status}");
    assert_eq!(status["pending_events"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_is_refused_whole() {
    let scene = Scene::with(&["ada"]).await;
    scene.pipe(&["event"], "").await.ended(2).complains("the body is empty");
    scene.pipe(&["event"], "[{\"type\":\"a\"},{}]").await.ended(2).complains("event 2 has no `type`");
    scene.pipe(&["event"], "a".repeat((1 << 20) + 1)).await.ended(2).complains("more than 1048576 bytes");
    assert_eq!(spooled(&scene), 0);
    std::fs::write(scene.path("state.db.spool"), "in the way").unwrap();
    scene.pipe(&["event"], event("profile", "ada")).await.ended(1).complains("state.db.spool cannot be used");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_refuses_an_event_and_check_says_so() {
    let scene = Scene::with(&["ada"]).await;
    scene.pipe(&["event"], event("profile", "ada")).await.ended(0);
    let spool = scene.path("state.db.spool");
    for number in spooled(&scene)..100_000 {
        std::fs::File::create(spool.join(format!("{number}"))).unwrap();
    }
    let refused = scene.pipe(&["event"], event("profile", "ada")).await.ended(1);
    refused.complains("is full (100000 files").complains("send the event again");
    assert_eq!(spooled(&scene), 100_000);
    expect_events(&scene);
    let checked = scene.run(&["check"]).await;
    assert!(checked.out.contains("is full (100000 files"), "{}", checked.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_erased_does_not_come_back_with_an_event_that_waited() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.pipe(&["event"], event("profile", "ada")).await.ended(0);
    scene.run(&["member", "erase", &email("ada"), "--yes"]).await.ended(0);
    assert_eq!(spooled(&scene), 0);
    for name in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(scene.path(name)).unwrap_or_default();
        assert!(!bytes.windows(17).any(|window| window == b"ada@alliance.test"), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opt_outs_that_no_event_announced_are_told_where_events_are_expected() {
    let scene = Scene::with(&["ada", "ben", "chi", "dan"]).await;
    let person = scene.sandbox.person();
    for name in ["ada", "ben"] {
        person.unsubscribe(&email(name)).unwrap();
    }
    person.edit_preferences(&email("chi"), &FormEntry::new().field("FNAME", "Chi")).unwrap();
    scene.pipe(&["event"], event("unsubscribe", "ben")).await.ended(0);
    scene.run(&["sync"]).await.ended(0);
    let unannounced = async || {
        let status = scene.run(&["status", "--json"]).await.ended(0).json();
        status["unannounced_opt_outs"].as_u64().unwrap()
    };
    expect_events(&scene);
    assert_eq!(unannounced().await, 0, "Mailchimp may call yet");
    // Three hours later.
    let state = Connection::open(scene.path("state.db")).unwrap();
    let earlier = "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '-3 hours')";
    state.execute_batch(&format!("UPDATE operations SET begun_at = {earlier}")).unwrap();
    let before = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-9 hours')";
    state.execute(&format!("UPDATE meta SET value = {before} WHERE key = 'adopted_at'"), []).unwrap();
    assert_eq!(unannounced().await, 1);
    let said = "of 2 opt-outs in Mailchimp within a day no event announced 1";
    scene.run(&["status"]).await.ended(0).says(&["no event announced 1"]);
    let checked = scene.run(&["check"]).await;
    assert!(checked.out.contains(said) && checked.out.contains("the last event came"), "{}", checked.out);
    scene.pipe(&["event"], event("unsubscribe", "ada")).await.ended(0);
    scene.run(&["sync"]).await.ended(0);
    assert_eq!(unannounced().await, 0);
}
