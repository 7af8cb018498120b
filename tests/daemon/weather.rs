//! Hostile weather: what Mailchimp and the wire do wrong, and how every cycle after it comes back into step.

use std::time::Duration;

use rosterd::cycle::CycleError;
use rosterd::mailchimp::transport::Method;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{Fault, FaultKind, FormEntry};

use crate::world::{Setup, Topics, World};

const WAIT: Duration = Duration::from_secs(90);

/// All that goes wrong without being a refusal.
fn storms() -> Vec<FaultKind> {
    vec![
        FaultKind::TooManyRequests,
        FaultKind::BareForbidden,
        FaultKind::ServerError,
        FaultKind::BadGateway,
        FaultKind::Unavailable,
        FaultKind::CutBefore,
        FaultKind::CutAfter,
        FaultKind::TimeOutBefore(WAIT),
        FaultKind::TimeOutAfter(WAIT),
        FaultKind::Truncated,
    ]
}

/// A write that the story needs, and which request carries it.
struct Write {
    name: &'static str,
    method: Method,
    path: &'static str,
    act: fn(&World),
    check: fn(&World),
}

const MEMBER: &str = "/lists/{list_id}/members/{subscriber_hash}";
const TAGS: &str = "/lists/{list_id}/members/{subscriber_hash}/tags";

#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn writes() -> Vec<Write> {
    vec![
        Write {
            name: "an opt-out",
            method: Method::Patch,
            path: MEMBER,
            act: |world| world.leave("p1@alliance.test"),
            check: |world| world.assert_both("p1@alliance.test", "unsubscribed"),
        },
        Write {
            name: "an invitation",
            method: Method::Patch,
            path: MEMBER,
            act: |world| world.says("gone@alliance.test", "subscribed"),
            check: |world| {
                world.assert_both("gone@alliance.test", "pending");
                assert_eq!(world.sandbox.confirmation_mails("gone@alliance.test"), 1);
            },
        },
        Write {
            name: "a field",
            method: Method::Patch,
            path: MEMBER,
            act: |world| {
                world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 2")
            },
            check: |world| assert_eq!(world.field("p1@alliance.test", "LNAME"), "Byron"),
        },
        Write {
            name: "an address",
            method: Method::Patch,
            path: MEMBER,
            act: |world| {
                world.sql(
                    "UPDATE registrations SET email = 'moved@alliance.test', updated_at = :now WHERE id = 2",
                );
            },
            check: |world| world.assert_both("moved@alliance.test", "subscribed"),
        },
        Write {
            name: "creations",
            method: Method::Post,
            path: "/lists/{list_id}",
            act: |world| {
                world.register("new@alliance.test", "New");
                world.register("newer@alliance.test", "Newer");
            },
            check: |world| world.assert_both("newer@alliance.test", "subscribed"),
        },
        Write {
            name: "tags",
            method: Method::Post,
            path: TAGS,
            act: |world| world.sql("INSERT INTO registration_interests VALUES (2, 'topic', 'Health')"),
            check: |world| assert_eq!(world.tags("p1@alliance.test"), ["topic: Health"]),
        },
        Write {
            name: "an archival",
            method: Method::Delete,
            path: MEMBER,
            act: |world| world.sql("DELETE FROM registrations WHERE id = 2"),
            check: |world| assert_eq!(world.status("p1@alliance.test"), "archived"),
        },
    ]
}

/// Four members, and one who has left.
async fn world() -> World {
    let setup = Setup { topics: Topics::Tags, ..Setup::default() };
    let world = World::adopted_as(setup, |world| {
        world.register_many(4);
        world.register("gone@alliance.test", "Gone");
        world.person().staff_add("gone@alliance.test", &FormEntry::new().field("FNAME", "Gone")).unwrap();
    })
    .await;
    world.sync().await;
    world.person().unsubscribe("gone@alliance.test").unwrap();
    world.sync().await;
    world.later(3600);
    world
}

async fn weather_over(write: &Write) {
    for storm in storms() {
        let what = format!("{} under {storm:?}", write.name);
        let world = world().await;
        (write.act)(&world);
        let fault = Fault::new(storm).on_method(write.method).on_path(write.path);
        world.sandbox.faults().add(fault);
        let first = world.try_sync().await;
        assert_eq!(world.sandbox.faults().waiting(), 0, "{what}: never met: {first:?}");
        for _ in 0..2 {
            world.try_sync().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        (write.check)(&world);
        assert_eq!(world.parked().await, [], "{what}");
        world.assert_quiet().await;
        assert!(world.sandbox.addresses().len() <= 7, "{what}: {:?}", world.sandbox.addresses());
    }
}

#[tokio::test]
async fn an_opt_out_gets_through_whatever_the_weather() {
    weather_over(&writes()[0]).await;
}

#[tokio::test]
async fn an_invitation_mails_once_whatever_the_weather() {
    weather_over(&writes()[1]).await;
}

#[tokio::test]
async fn a_field_and_an_address_get_through_whatever_the_weather() {
    weather_over(&writes()[2]).await;
    weather_over(&writes()[3]).await;
}

#[tokio::test]
async fn creations_get_through_whatever_the_weather() {
    weather_over(&writes()[4]).await;
}

#[tokio::test]
async fn a_creation_that_is_never_answered_is_tried_again_at_growing_distances() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    world.register("new@alliance.test", "Nia");
    let cut = Fault::new(FaultKind::CutBefore).on_method(Method::Post).always();
    world.sandbox.faults().add(cut);
    let mut tried = Vec::new();
    for minute in 0..16 {
        world.sandbox.reset_log();
        world.sync().await;
        if world.sandbox.log().iter().any(|request| request.method == "POST") {
            tried.push(minute);
        }
    }
    assert_eq!(tried, [0, 1, 3, 7, 15], "in which minutes");
    world.sandbox.faults().clear();
    world.later(3600);
    world.sync().await;
    world.assert_both("new@alliance.test", "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn tags_get_through_whatever_the_weather() {
    weather_over(&writes()[5]).await;
}

#[tokio::test]
async fn an_archival_gets_through_whatever_the_weather() {
    weather_over(&writes()[6]).await;
}

#[tokio::test]
async fn reading_weathers_every_storm_short_or_long() {
    for storm in storms() {
        for times in [1, 12] {
            let world = world().await;
            world.sandbox.faults().add(Fault::new(storm.clone()).on_method(Method::Get).times(times));
            world.person().unsubscribe("p1@alliance.test").unwrap();
            let outcome = world.try_sync().await;
            if let Err(error) = &outcome {
                assert!(!error.is_fatal(), "{storm:?}: {error}");
            }
            world.sandbox.faults().clear();
            world.later(900);
            world.try_sync().await.unwrap();
            world.assert_both("p1@alliance.test", "unsubscribed");
            world.assert_quiet().await;
        }
    }
}

#[tokio::test]
async fn a_full_cycle_in_bad_weather_takes_nobody_for_gone() {
    for storm in storms() {
        let world = World::adopted(Policy::default(), |world| {
            world.sandbox.populate(40);
            world.register_many(4);
        })
        .await;
        let rows = world.rows();
        for skip in 0..4 {
            world.sandbox.faults().add(Fault::new(storm.clone()).on_method(Method::Get).after(skip).times(3));
        }
        world.later(60);
        let _ = world.cycle.run(rosterd::observe::Scope::Full, Default::default()).await;
        world.sandbox.faults().clear();
        world.later(900);
        world.sync_full().await;
        let left = world.texts("SELECT email FROM registrations WHERE subscription = 'unsubscribed'");
        assert_eq!((world.rows(), left), (rows, vec![]), "{storm:?}");
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_hail_of_faults_passes_and_everybody_is_in_step() {
    let world = World::adopted(Policy::default(), |world| world.register_many(8)).await;
    world.sync().await;
    for storm in storms() {
        world.sandbox.faults().add(Fault::new(storm).with_probability(0.04));
    }
    for round in 0..12 {
        world.register(&format!("r{round}@alliance.test"), "R");
        world.sql(&format!(
            "UPDATE registrations SET last_name = 'L{round}', updated_at = :now WHERE id = {}",
            round % 8 + 1
        ));
        if round % 3 == 0 {
            world.person().unsubscribe(&format!("p{}@alliance.test", round / 3)).unwrap();
        }
        world.later(600);
        if let Err(error) = world.try_sync().await {
            assert!(!error.is_fatal(), "{error}");
        }
    }
    world.sandbox.faults().clear();
    world.later(900);
    world.sync().await;
    world.sync_full().await;
    for n in 0..4 {
        world.assert_both(&format!("p{n}@alliance.test"), "unsubscribed");
    }
    world.assert_nobody_mailed();
    assert_eq!(world.parked().await, []);
    assert_eq!((world.rows(), world.sandbox.addresses().len()), (20, 20));
    for round in 0..12 {
        world.assert_both(&format!("r{round}@alliance.test"), "subscribed");
    }
    for n in 4..8 {
        let email = format!("p{n}@alliance.test");
        assert_eq!(world.field(&email, "LNAME"), world.column(&email, "last_name"));
    }
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_revoked_key_and_a_deleted_audience_are_fatal_and_conclude_nothing() {
    for act in [rosterd::sandbox::Person::staff_revoke_key, rosterd::sandbox::Person::staff_delete_audience] {
        let world = world().await;
        act(&world.person());
        world.leave("p1@alliance.test");
        for scope in [rosterd::observe::Scope::Incremental, rosterd::observe::Scope::Full] {
            world.later(3700);
            let error = world.cycle.run(scope, Default::default()).await.unwrap_err();
            assert!(error.is_fatal(), "{error}");
        }
        assert_eq!(world.says_locally("p0@alliance.test"), "subscribed");
        assert_eq!(world.cycle.state.holds().await.unwrap(), []);
    }
}

#[tokio::test]
async fn a_key_revoked_in_the_midst_of_writing_is_fatal() {
    let world = world().await;
    for n in 0..4 {
        world.later(1);
        world.leave(&format!("p{n}@alliance.test"));
    }
    let person = world.person();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Patch {
            person.staff_revoke_key();
        }
    });
    let error = world.try_sync().await.unwrap_err();
    assert!(error.is_fatal(), "{error}");
}

#[tokio::test]
async fn a_throttled_address_is_parked_and_tried_again_hours_later() {
    let world = world().await;
    world.sandbox.faults().throttle("new@alliance.test");
    world.register("new@alliance.test", "New");
    world.register("other@alliance.test", "Other");
    let report = world.sync().await;
    assert_eq!((report.parked, world.status("new@alliance.test").as_str()), (1, ""), "{report:?}");
    world.assert_both("other@alliance.test", "subscribed");
    assert_ne!(world.note("new@alliance.test"), "");
    world.assert_quiet().await;
    world.later(3600);
    world.assert_quiet().await;
    world.sandbox.faults().unthrottle("new@alliance.test");
    world.later(4 * 3600);
    world.sync().await;
    world.assert_both("new@alliance.test", "subscribed");
    assert_eq!((world.parked().await, world.note("new@alliance.test")), (vec![], String::new()));
    world.assert_quiet().await;
}

fn odd_refusal() -> Fault {
    let kind = FaultKind::Refused(400, "Etwas ging schief".to_owned(), "Niemand weiß was.".to_owned());
    Fault::new(kind).on_method(Method::Patch).always()
}

#[tokio::test]
async fn an_unknown_refusal_is_tried_again_at_growing_distances() {
    let world = world().await;
    world.sandbox.faults().add(odd_refusal());
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 2");
    world.sync().await;
    let mut distances = Vec::new();
    for _ in 0..4 {
        let retry_at = world.parked().await[0].park.retry_at.unwrap();
        distances.push(retry_at.duration_since(world.clock.now()).as_mins());
        world.assert_quiet().await;
        world.later(u64::try_from(retry_at.duration_since(world.clock.now()).as_secs()).unwrap());
        world.sync().await;
    }
    assert_eq!(distances, [15, 30, 60, 120]);
    assert!(world.note("p1@alliance.test").contains("Niemand"), "{}", world.note("p1@alliance.test"));
    world.sandbox.faults().clear();
    world.later(24 * 3600);
    world.sync().await;
    assert_eq!((world.field("p1@alliance.test", "LNAME").as_str(), world.parked().await), ("Byron", vec![]));
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_run_of_equal_unknown_refusals_stops_the_cycle() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    world.sync().await;
    world.sandbox.faults().add(odd_refusal());
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now");
    let error = world.try_sync().await.unwrap_err();
    assert!(matches!(error, CycleError::Apply(rosterd::apply::ApplyError::EqualUnknowns { .. })), "{error}");
    let tried = world.sandbox.log().iter().filter(|request| request.method == "PATCH").count();
    assert!(tried < 20, "{tried} were tried");
    world.sandbox.faults().clear();
    world.later(3600);
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_request_that_mailchimp_does_not_understand_stops_the_cycle_and_parks_nobody() {
    for status in [405, 414, 422, 426] {
        let world = world().await;
        let kind = FaultKind::Refused(status, "Nope".to_owned(), "Not like this.".to_owned());
        world.sandbox.faults().add(Fault::new(kind).on_method(Method::Patch));
        world.leave("p1@alliance.test");
        let error = world.try_sync().await.unwrap_err();
        assert!(!error.is_fatal(), "{error}");
        assert_eq!(world.parked().await, []);
        world.sync().await;
        world.assert_both("p1@alliance.test", "unsubscribed");
        world.assert_quiet().await;
    }
}
