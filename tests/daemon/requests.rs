//! What a cycle asks for: as little as it can, and a status always alone.

use rosterd::reconcile::guard::Limit;
use rosterd::reconcile::policy::{Policy, Resubscribe};
use rosterd::sandbox::{FormEntry, LoggedRequest};

use crate::world::{Setup, Topics, World};

fn writes(world: &World) -> Vec<LoggedRequest> {
    world.sandbox.log().into_iter().filter(|request| request.method != "GET").collect()
}

#[tokio::test]
async fn an_idle_cycle_makes_two_requests_whatever_the_size() {
    let world = World::adopted(Policy::default(), |world| world.sandbox.populate(120)).await;
    world.sync().await;
    for _ in 0..3 {
        assert_eq!(world.sync().await.requests, 2);
    }
}

#[tokio::test]
async fn registrations_by_the_hundred_take_two_bulk_requests_and_nobody_is_read_singly() {
    let mut world = World::adopted(Policy::default(), |_| ()).await;
    world.cycle.limits.creations = Limit { basis_points: 10_000, more_than: 600 };
    world.register_many(600);
    world.sandbox.reset_log();
    let report = world.sync().await;
    assert_eq!((report.held, report.requests), (0, 4), "{report:?}");
    let bulk: Vec<LoggedRequest> = writes(&world);
    assert!(bulk.iter().all(|request| request.pattern == "/lists/{list_id}"), "{:?}", bulk.len());
    assert!(bulk.iter().all(|request| request.body.as_ref().unwrap()["update_existing"] == false));
    world.sandbox.reset_log();
    let report = world.sync().await;
    assert_eq!(report.requests, 2, "{report:?}");
    world.assert_quiet().await;
    assert!(world.sandbox.log().iter().all(|request| request.pattern == "/lists/{list_id}/members"));
    world.assert_both("p599@alliance.test", "subscribed");
}

#[tokio::test]
async fn statuses_travel_alone_and_only_when_a_decision_says_so() {
    let setup = Setup {
        policy: Policy { resubscribe: Resubscribe::Direct, ..Policy::default() },
        topics: Topics::Tags,
        ..Setup::default()
    };
    let world = World::adopted_as(setup, |world| world.register_many(12)).await;
    for round in 0..6_u32 {
        world.later(3600);
        let email = format!("p{round}@alliance.test");
        world.leave(&email);
        world.sql("UPDATE registrations SET last_name = 'L' || :now, updated_at = :now");
        world.sql(&format!("INSERT INTO registration_interests VALUES ({}, 'topic', 'Health')", round + 4));
        world.sync().await;
        world.later(3600);
        world.says(&email, "subscribed");
        world.person().edit_preferences("p11@alliance.test", &FormEntry::new().field("FNAME", "R")).unwrap();
        world.person().unsubscribe(&format!("p{}@alliance.test", 6 + round % 4)).unwrap();
        world.sync().await;
    }
    world.sync_full().await;
    let mut sent = 0;
    for request in writes(&world) {
        let body = request.body.unwrap_or_default();
        if request.pattern == "/lists/{list_id}" {
            assert_eq!(body["update_existing"], false);
        } else if body.get("status").is_some() {
            assert_eq!(body.as_object().unwrap().len(), 1, "{body}");
            sent += 1;
        }
    }
    let mut decided = 0;
    for n in 0..12 {
        let trail = world.trail(&format!("p{n}@alliance.test")).await;
        let status = |entry: &&rosterd::state::TrailEntry| {
            rosterd::state::kind(&entry.operation) == "remote_status" && entry.said.is_none()
        };
        decided += trail.iter().filter(status).count();
    }
    assert_eq!((sent, u64::try_from(sent).unwrap()), (decided, world.sandbox.counters().status_writes));
    assert!(sent >= 12, "{sent}");
}

#[tokio::test]
async fn many_subscribers_of_mailchimp_become_rows_without_a_request_of_their_own() {
    let world = World::adopted(Policy::default(), |world| world.sandbox.populate(100)).await;
    world.sync().await;
    world.sandbox.reset_log();
    for n in 0..120 {
        world.person().subscribe_by_form(&format!("f{n}@alliance.test"), &FormEntry::new()).unwrap();
    }
    let report = world.sync().await;
    assert_eq!((report.requests, report.held), (2, 0), "{report:?}");
    world.assert_both("f119@alliance.test", "subscribed");
    world.assert_quiet().await;
}
