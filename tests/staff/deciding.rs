//! `held`, `approve`, `reject` and `member retry`.

use crate::scene::{Scene, email};

#[tokio::test(flavor = "multi_thread")]
async fn the_first_adoption_is_held_until_it_is_approved() {
    let scene = Scene::new().await;
    scene.register("ada", "Finance");
    scene.run(&["sync"]).await.ended(3);
    let held = scene.run(&["held", "--json"]).await.ended(3).json();
    let hold = &held["held"][0];
    assert_eq!(hold["class"], "adoption", "{held}");
    assert_eq!(hold["count"].as_u64().unwrap(), hold["operations"].as_array().unwrap().len() as u64);
    let operation = &hold["operations"][0];
    for field in ["side", "kind", "email", "hash", "changes", "reason"] {
        assert!(!operation[field].is_null(), "{field} of {operation}");
    }
    let id = hold["id"].as_str().unwrap();
    let words = format!("rosterd approve {id}");
    scene.run(&["held"]).await.ended(3).says(&[&words, &format!("rosterd reject {id}"), "ada@alliance.test"]);
    scene.run(&["approve", &id[..5]]).await.ended(0).says(&["Approved", "the next cycle", "rosterd sync"]);
    scene.run(&["held"]).await.ended(0).says(&["approved: the next cycle carries it out"]);
    scene.run(&["sync"]).await.ended(0);
    assert!(scene.sandbox.member(&email("ada")).is_some());
    scene.run(&["held"]).await.ended(0).says(&["Nothing is held."]);
    scene.run(&["approve", id]).await.ended(2).complains("is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_stays_back_and_can_still_be_approved() {
    let scene = Scene::new().await;
    scene.register("ada", "Finance");
    scene.run(&["sync"]).await.ended(3);
    let id = scene.hold("adoption").await;
    scene.run(&["reject", &id]).await.ended(0).says(&["Rejected", "stay back"]);
    scene.run(&["held"]).await.ended(0).says(&["rejected"]);
    scene.run(&["sync"]).await;
    assert!(scene.sandbox.member(&email("ada")).is_none());
    scene.run(&["approve", &id]).await.ended(0);
    scene.run(&["sync"]).await.ended(0);
    assert!(scene.sandbox.member(&email("ada")).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_outlasts_a_pause() {
    let scene = Scene::with(&["ada", "ben"]).await;
    // Back without a later word of their own, and the register cannot prove one: always held.
    scene.sandbox.person().unsubscribe(&email("ada")).unwrap();
    scene.run(&["sync"]).await.ended(0);
    scene.switch_consent_times_off();
    scene.alter("UPDATE registrations SET subscription = 'subscribed' WHERE id = 1");
    scene.run(&["sync"]).await.ended(3);
    let id = scene.hold("unproven_invitations").await;
    scene.run(&["pause"]).await.ended(0);
    scene.run(&["approve", &id]).await.ended(0).says(&["writing is paused"]);
    scene.run(&["sync"]).await;
    assert_eq!(scene.sandbox.member(&email("ada")).unwrap()["status"], "unsubscribed");
    scene.run(&["resume"]).await.ended(0);
    scene.run(&["sync"]).await.ended(0);
    assert_eq!(scene.sandbox.member(&email("ada")).unwrap()["status"], "pending");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_hold_is_refused_with_those_there_are() {
    let scene = Scene::new().await;
    scene.register("ada", "Finance");
    scene.run(&["sync"]).await.ended(3);
    let id = scene.hold("adoption").await;
    for command in ["approve", "reject"] {
        scene.run(&[command, "zzz"]).await.ended(2).complains(&id);
        scene.run(&[command, ""]).await.ended(2).complains(&id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_refused_is_tried_again_on_request() {
    let scene = Scene::with(&["ada"]).await;
    scene.run(&["member", "retry", &email("ada")]).await.ended(0).says(&["is not set aside"]);
    scene.run(&["member", "retry", &email("nobody")]).await.ended(1).complains("nobody bears");
    scene.alter("INSERT INTO registrations (email) VALUES ('fake@example.com')");
    scene.run(&["sync"]).await.ended(4);
    let parked = scene.run(&["member", "show", "fake@example.com", "--json"]).await.ended(0).json();
    assert_eq!(parked["state"], "parked", "{parked}");
    assert!(!parked["parked"]["said"].as_str().unwrap().is_empty());
    scene.run(&["member", "show", "fake@example.com"]).await.ended(0).says(&[
        "refused 1 time: Mailchimp says: ",
        "Next: nothing until the registration or the contact changes, or rosterd member retry fake@example.com",
    ]);
    scene
        .run(&["member", "retry", "fake@example.com"])
        .await
        .ended(0)
        .says(&["was set aside", "rosterd sync"]);
    let due = scene.run(&["member", "show", "fake@example.com", "--json"]).await.json();
    assert_eq!(due["state"], "to_do", "{due}");
    scene.run(&["sync"]).await.ended(4);
    let again = scene.run(&["member", "show", "fake@example.com", "--json"]).await.json();
    assert_eq!(again["parked"]["attempts"], 2, "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_hold_is_listed_whole_where_it_is_named() {
    let scene = Scene::new().await;
    for n in 0..25 {
        scene.register(&format!("member{n}"), "Finance");
    }
    scene.run(&["sync"]).await.ended(3);
    let id = scene.hold("adoption").await;
    let lines =
        |ran: &crate::scene::Ran| ran.out.lines().filter(|line| line.contains("@alliance.test")).count();
    let all =
        scene.run(&["held"]).await.ended(3).says(&[&format!("and 5 more: rosterd held {id} lists all")]);
    assert_eq!(lines(&all), 20);
    let one = scene.run(&["held", &id[..5]]).await.ended(3);
    assert_eq!(lines(&one), 25, "{}", one.out);
    scene.run(&["held", "zzz"]).await.ended(2).complains(&id);
    let json = scene.run(&["held", &id, "--json"]).await.ended(3).json();
    assert_eq!(json["held"].as_array().unwrap().len(), 1);
}
