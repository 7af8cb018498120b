//! `member show`.

use rosterd::sandbox::FormEntry;
use serde_json::json;

use crate::scene::{Scene, email};

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_shown_on_all_sides_with_its_trail() {
    let scene = Scene::with(&["ada"]).await;
    let shown = scene.run(&["member", "show", &email("ada"), "--json"]).await.ended(0).json();
    for field in ["base", "local", "remote", "state", "parked", "trail", "next"] {
        assert!(shown.get(field).is_some(), "{field} of {shown}");
    }
    assert_eq!(shown["state"], "in_step", "{shown}");
    assert_eq!(shown["base"]["values"]["FNAME"]["local"], "ada");
    assert_eq!(shown["local"]["status"], "subscribed");
    assert_eq!(shown["remote"]["values"]["topic:Finance"], true);
    assert_eq!(shown["read"]["remote"], "live");
    assert_eq!(shown["next"].as_array().unwrap().len(), 0);
    let trail = shown["trail"].as_array().unwrap();
    assert!(trail.iter().any(|entry| entry["kind"] == "create" && entry["outcome"] == "done"), "{shown}");
    scene.run(&["member", "show", &email("ADA")]).await.ended(0).says(&[
        "in step, subscribed on both sides",
        "base",
        "local live, remote live",
        "Intergovernmental",
        "Trail, newest first",
        "Next: nothing.",
    ]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_next_follows_from_both_sides_as_they_are_now() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.alter("UPDATE registrations SET first_name = 'Adaline' WHERE id = 1");
    let shown = scene.run(&["member", "show", &email("ada"), "--json"]).await.ended(0).json();
    assert_eq!(shown["state"], "to_do", "{shown}");
    assert_eq!(shown["next"][0]["changes"]["FNAME"], serde_json::json!(["ada", "Adaline"]));
    scene.sandbox.person().unsubscribe(&email("ben")).unwrap();
    let shown = scene.run(&["member", "show", &email("ben"), "--json"]).await.ended(0).json();
    assert_eq!(shown["remote"]["status"], "unsubscribed", "{shown}");
    assert_eq!(shown["next"][0]["side"], "local");
    assert_eq!(shown["next"][0]["changes"]["status"][1], "unsubscribed");
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_no_cycle_has_seen_is_shown_from_the_sides() {
    let scene = Scene::with(&["ada"]).await;
    scene.register("ben", "Water");
    let entry = FormEntry::new().field("FNAME", "Chi");
    scene.sandbox.person().subscribe_by_form(&email("chi"), &entry).unwrap();
    for (name, side) in [("ben", "remote"), ("chi", "local")] {
        let shown = scene.run(&["member", "show", &email(name), "--json"]).await.ended(0).json();
        assert_eq!(shown["state"], "to_do", "{shown}");
        assert_eq!(shown["next"][0]["kind"], "create");
        assert_eq!(shown["next"][0]["side"], side);
    }
    scene.run(&["member", "show", &email("dan")]).await.ended(1).complains("nobody bears the address");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_mailchimp_or_the_key_the_mirror_speaks_and_says_so() {
    let mut scene = Scene::with(&["ada"]).await;
    let shown = scene.run_without_key(&["member", "show", &email("ada")]).await.ended(0);
    shown.says(&["local as last observed, remote as last observed", "MAILCHIMP_API_KEY", "ada"]);
    scene.cut_off();
    let shown = scene.run(&["member", "show", &email("ada"), "--json"]).await.ended(0).json();
    assert_eq!(shown["read"]["remote"], "as last observed", "{shown}");
    assert_eq!(shown["read"]["local"], "live");
    assert_eq!(shown["state"], "in_step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_other_sides_is_not_shown_as_if_it_were_of_these() {
    let scene = Scene::with(&["ada"]).await;
    let ours = std::fs::read_to_string(scene.path("rosterd.toml")).unwrap();
    std::fs::copy(scene.path("registrations.db"), scene.path("other.db")).unwrap();
    let other_register = ours.replace("registrations.db", "other.db");
    let other_audience = ours.replace(&scene.sandbox.audience_id(), "deadbeef00");
    for (other, kind) in [(other_register, "the register"), (other_audience, "the audience")] {
        std::fs::write(scene.path("rosterd.toml"), other).unwrap();
        let ada = email("ada");
        // `plan` would have archived everybody whom the other register does not know.
        for args in [&["plan"][..], &["member", "show", &ada], &["groups"], &["sync"]] {
            let ran = scene.run(args).await.ended(2);
            ran.complains(&format!("this state file belongs to {kind}"));
        }
    }
    std::fs::write(scene.path("rosterd.toml"), ours).unwrap();
    scene.run(&["plan"]).await.ended(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_anybody_typed_into_a_form_moves_no_terminal() {
    let scene = Scene::with(&["ada"]).await;
    scene.alter("UPDATE registrations SET first_name = 'a' || char(27) || '[31mred' || char(10) || 'line2' || char(8238)");
    let ada = email("ada");
    let spelled = "a\\u{1b}[31mred\\nline2";
    scene.run(&["plan"]).await.ended(0).says(&[spelled, "\\u{202e}"]);
    scene.run(&["sync"]).await.ended(0);
    for args in
        [&["plan"][..], &["member", "show", &ada], &["groups", "Intergovernmental Finance"], &["check"]]
    {
        let ran = scene.run(args).await;
        let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ran.out.contains(obeyed), "{args:?}: {:?}", ran.out);
        assert!(!ran.out.contains("\nline2"), "{args:?}: {}", ran.out);
    }
    // For programs it stays what it is, by the rules of JSON.
    let shown = scene.run(&["member", "show", &ada, "--json"]).await.json();
    assert!(
        shown["local"]["values"]["FNAME"].as_str().unwrap().starts_with("a\u{1b}[31mred\nline2"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_long_value_does_not_fill_the_screen() {
    let scene = Scene::with(&["ada"]).await;
    scene.alter(&format!("UPDATE registrations SET first_name = '{}'", "x".repeat(255)));
    scene.run(&["sync"]).await.ended(0);
    for args in [&["member", "show", &email("ada")][..], &["groups", "Intergovernmental Finance"]] {
        let ran = scene.run(args).await.ended(0).says(&["…"]);
        let table = ran.out.split("Trail").next().unwrap();
        assert!(table.lines().filter(|line| line.contains("xxx")).count() <= 6, "{table}");
        let mut cells = table.lines().filter(|line| !line.contains("https://"));
        assert!(cells.all(|line| line.chars().count() <= 80), "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_return_of_somebody_who_left_is_told() {
    let scene = Scene::with(&["ada"]).await;
    scene.sandbox.person().unsubscribe(&email("ada")).unwrap();
    scene.run(&["sync"]).await.ended(0);
    scene
        .run(&["member", "show", &email("ada")])
        .await
        .says(&["in step, unsubscribed on both sides", "Next: nothing."]);
    scene.alter("UPDATE registrations SET first_name = 'Augusta'; UPDATE registration_interests SET interest = 'Water'");
    scene.run(&["sync"]).await.ended(0);
    // It said "in step" of an edit that was not on both sides.
    scene.run(&["member", "show", &email("ada")]).await.ended(0).says(&[
        "what the register changed waits until they return: FNAME Augusta, no topic Finance, topic Water",
        "Next: nothing until then.",
    ]);
    let shown = scene.run(&["member", "show", &email("ada"), "--json"]).await.json();
    assert_eq!(shown["state"], "waits", "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_in_an_unfinished_batch_is_told_of() {
    let scene = Scene::with(&["ada", "ben"]).await;
    scene.run(&["status"]).await.ended(0).says_not("Batches");
    let shown = scene.run(&["member", "show", &email("ada"), "--json"]).await.ended(0).json();
    assert!(shown["batch"].is_null(), "{shown}");
    // As a daemon leaves it whose batch Mailchimp has not finished.
    let state = rusqlite::Connection::open(scene.path("state.db")).unwrap();
    let batch = "INSERT INTO batches (id, begun_at, handle) VALUES (1, '2026-03-01T12:00:00.000000Z', '8b2428d747');
         UPDATE operations SET outcome = NULL WHERE id = (SELECT MIN(id) FROM operations WHERE member = 1);
         INSERT INTO batch_entries (entry, batch, member, mark) SELECT MIN(id), 1, 1, NULL FROM operations WHERE member = 1;";
    state.execute_batch(batch).unwrap();
    let status = scene.run(&["status", "--json"]).await.ended(0).json();
    assert_eq!(
        (&status["unfinished_batches"], &status["batched_changes"]),
        (&json!(1), &json!(1)),
        "{status}"
    );
    scene.run(&["status"]).await.ended(0).says(&["1 change in 1 batch that Mailchimp has not finished"]);
    let show = async |args: &[&str]| scene.run(args).await.ended(0);
    let shown = show(&["member", "show", &email("ada"), "--json"]).await.json();
    assert_eq!(shown["batch"], json!({"id": "8b2428d747", "since": "2026-03-01T12:00:00Z"}), "{shown}");
    show(&["member", "show", &email("ada")])
        .await
        .says(&["in a batch that Mailchimp has had since 2026-03-01 12:00 UTC"]);
    show(&["member", "show", &email("ben")]).await.says_not("in a batch");
}
