//! Somebody is named while everybody is read: they are attended to between the pages, under the same guard.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rosterd::cycle::Adoption;
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::model::EmailAddress;
use rosterd::observe::Scope;
use rosterd::reconcile::policy::{NewRemote, Policy};
use rosterd::sandbox::FormEntry;
use rusqlite::Connection;

use crate::parts::mapping;
use crate::world::{Topics, World};

/// Another process names these addresses.
async fn name(world: &World, emails: impl IntoIterator<Item = String>) {
    let emails = emails.into_iter().map(|email| EmailAddress::parse(&email).unwrap()).collect();
    world.cycle.state.add_pending(emails, "a test".to_owned(), world.clock.now()).await.unwrap();
}

#[tokio::test]
async fn who_leaves_while_everybody_is_read_is_heard_before_the_walk_ends() {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.sync().await;
    let state = Connection::open(world.directory.path().join("state.db")).unwrap();
    let register = Connection::open(world.directory.path().join("registrations.db")).unwrap();
    let (person, now) = (world.person(), format!("{:.6}", world.clock.now()));
    let heard = Arc::new(Mutex::new(None));
    let told = heard.clone();
    let mut named = false;
    world.tap.before_each(move |_, request| {
        if request.target.contains("since_last_changed") && told.lock().unwrap().is_none() {
            let sql = "SELECT subscription FROM registrations WHERE email = 'p7@alliance.test'";
            *told.lock().unwrap() = Some(register.query_row(sql, [], |row| row.get::<_, String>(0)).unwrap());
        }
        if !named {
            named = true;
            person.unsubscribe("p7@alliance.test").unwrap();
            let sql =
                "INSERT INTO pending (address, reason, since, asked) VALUES ('p7@alliance.test', 'a webhook', ?1, ?1)";
            state.execute(sql, [&now]).unwrap();
        }
    });
    let report = world.sync_full().await;
    world.tap.calm();
    assert_eq!(
        heard.lock().unwrap().as_deref(),
        Some("unsubscribed"),
        "before the walk that follows: {report:?}"
    );
    assert_eq!((report.planned, report.applied), (1, 1), "once: {report:?}");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_page_that_is_older_than_what_was_attended_to_undoes_nothing() {
    for request in 1..=4 {
        let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
        world.sync().await;
        let state = Connection::open(world.directory.path().join("state.db")).unwrap();
        let (person, now) = (world.person(), format!("{:.6}", world.clock.now()));
        let mut n = 0;
        world.tap.before_each(move |_, _| {
            n += 1;
            if n == request {
                let entry = FormEntry::new().field("FNAME", "Edited").tick("Water");
                person.edit_preferences("p7@alliance.test", &entry).unwrap();
                let sql = "INSERT INTO pending (address, reason, since, asked) VALUES ('p7@alliance.test', 'a webhook', ?1, ?1)";
                state.execute(sql, [&now]).unwrap();
            }
        });
        let report = world.sync_full().await;
        world.tap.calm();
        assert_eq!((report.failed, report.skipped), (0, 0), "named at request {request}: {report:?}");
        world.sync().await;
        assert_eq!(world.column("p7@alliance.test", "first_name"), "Edited", "named at request {request}");
        assert_eq!(world.field("p7@alliance.test", "FNAME"), "Edited", "named at request {request}");
        assert_eq!(world.interests("p7@alliance.test"), ["Water"]);
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn what_the_guard_would_hold_is_left_to_the_whole_plan() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    world.sync().await;
    world.sql("DELETE FROM registrations WHERE id <= 20");
    name(&world, (0..20).map(|n| format!("p{n}@alliance.test"))).await;
    let report = world.sync_full().await;
    assert_eq!((report.held, report.applied), (20, 0), "{report:?}");
    assert_eq!(world.hold().await.count, 20);
    assert_eq!(world.status("p0@alliance.test"), "subscribed");
}

#[tokio::test]
async fn nobody_is_attended_to_before_the_first_adoption() {
    let world = World::new(Policy::default()).await;
    world.register("ada@alliance.test", "Ada");
    name(&world, ["ada@alliance.test".to_owned()]).await;
    world.later(60);
    let report = world.cycle.run(Scope::Full, Adoption::Ask).await.unwrap();
    assert_eq!(
        (report.held, report.applied, world.status("ada@alliance.test").as_str()),
        (1, 0, ""),
        "{report:?}"
    );
}

#[tokio::test]
async fn whoever_is_named_gets_a_connection_though_the_walk_has_asked_for_all_of_them() {
    // The walk rested with its requests under way, and they kept the connections that it was resting for.
    let policy = Policy { new_remote: NewRemote::Ignore, ..Policy::default() };
    let mut world = World::adopted(policy, |world| {
        world.register_many(5);
        world.sandbox.populate(2_500);
    })
    .await;
    world.sync().await;
    let options = ClientOptions {
        api_key: world.sandbox.api_key().into(),
        audience: world.sandbox.audience_id(),
        connections: 1,
        retry: RetryOptions::default(),
    };
    let wire = Arc::new(world.tap.clone());
    let mapping = mapping(Topics::Checkboxes, Vec::new());
    let client = MailchimpClient::new(options, mapping, world.clock.clone(), wire).unwrap();
    (world.cycle.remote, world.cycle.connections) = (Arc::new(client), 1);
    world.person().unsubscribe("p3@alliance.test").unwrap();
    name(&world, ["p3@alliance.test".to_owned()]).await;
    world.sandbox.faults().latency(Duration::from_millis(1));
    let cycle = tokio::time::timeout(Duration::from_secs(60), world.sync_full()).await;
    assert!(cycle.is_ok(), "the cycle and whoever is named wait for each other");
    assert_eq!(world.says_locally("p3@alliance.test"), "unsubscribed");
}
