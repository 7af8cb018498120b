//! The register as others use it: locked, edited under our hands, gone for a while.

use jiff::SignedDuration;
use rosterd::mailchimp::transport::Method;
use rosterd::reconcile::policy::Policy;
use rosterd::registrations::mapping::RegisterMapping;
use rosterd::sandbox::FormEntry;

use crate::world::{Setup, World};

const ADA: &str = "ada@alliance.test";

async fn with_ada() -> World {
    let register =
        RegisterMapping { busy_timeout: SignedDuration::from_millis(20), ..RegisterMapping::default() };
    let world = World::adopted_as(Setup { register, ..Setup::default() }, |world| {
        world.register(ADA, "Ada");
        world.register("ben@alliance.test", "Ben");
    })
    .await;
    world.sync().await;
    world
}

#[tokio::test]
async fn a_register_locked_for_too_long_fails_the_cycle_and_the_next_one_works() {
    let world = with_ada().await;
    world.person().unsubscribe(ADA).unwrap();
    world.person().edit_preferences("ben@alliance.test", &FormEntry::new().field("LNAME", "B")).unwrap();
    world.person().subscribe_by_form("new@alliance.test", &FormEntry::new()).unwrap();
    world.later(60);
    world.register.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = world
        .cycle
        .run(rosterd::observe::Scope::Incremental, rosterd::cycle::Adoption::Ask)
        .await
        .unwrap_err();
    assert!(!error.is_fatal(), "{error}");
    world.register.execute_batch("COMMIT").unwrap();
    assert_eq!(world.says_locally(ADA), "subscribed");
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_register_locked_in_the_midst_of_writing_loses_nothing() {
    let world = with_ada().await;
    for n in 0..5 {
        world.person().subscribe_by_form(&format!("f{n}@alliance.test"), &FormEntry::new()).unwrap();
    }
    world.leave(ADA);
    let path = world.directory.path().join("registrations.db");
    let (hold, held) =
        (rusqlite::Connection::open(&path).unwrap(), std::sync::Arc::new(std::sync::Mutex::new(false)));
    let flag = held.clone();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Patch {
            hold.execute_batch("BEGIN IMMEDIATE").unwrap();
            *flag.lock().unwrap() = true;
        }
    });
    assert!(world.try_sync().await.is_err());
    assert!(*held.lock().unwrap());
    world.tap.calm();
    world.sync().await;
    world.assert_in_step();
    assert_eq!(world.rows(), 7);
    world.assert_both(ADA, "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn people_whose_rows_are_removed_leave_the_audience_though_the_register_takes_no_write() {
    let world = with_ada().await;
    let entry = FormEntry::new().field("LNAME", "Remote");
    world.person().edit_preferences("ben@alliance.test", &entry).unwrap();
    world.sql("DELETE FROM registrations WHERE id = 1");
    world.register.execute_batch("BEGIN IMMEDIATE").unwrap();
    let failed = world.cycle.run(rosterd::observe::Scope::Incremental, rosterd::cycle::Adoption::Ask).await;
    assert!(failed.is_err());
    world.register.execute_batch("COMMIT").unwrap();
    assert_eq!(world.status(ADA), "archived");
    world.sync().await;
    assert_eq!(world.column("ben@alliance.test", "last_name"), "Remote");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_edited_between_observation_and_write_keeps_both_edits() {
    let world = with_ada().await;
    world.person().edit_preferences(ADA, &FormEntry::new().field("LNAME", "Remote")).unwrap();
    let path = world.directory.path().join("registrations.db");
    let now = world.now();
    world.tap.before_each(move |number, _| {
        if number == 2 {
            let website = rusqlite::Connection::open(&path).unwrap();
            // A row that is read before this request and written after it.
            std::mem::drop(website.execute(
                "UPDATE registrations SET first_name = 'Website', updated_at = ?1 WHERE id = 1",
                [&now],
            ));
        }
    });
    world.sync().await;
    world.tap.calm();
    world.sync().await;
    world.sync().await;
    assert_eq!(
        (world.column(ADA, "first_name"), world.column(ADA, "last_name")),
        ("Website".to_owned(), "Remote".to_owned())
    );
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_that_changes_while_its_contact_is_written_keeps_both_edits() {
    let world = with_ada().await;
    world.sql("UPDATE registrations SET last_name = 'First', updated_at = :now WHERE id = 1");
    world.person().edit_preferences(ADA, &FormEntry::new().tick("Water")).unwrap();
    let path = world.directory.path().join("registrations.db");
    let later = (world.clock.now() + SignedDuration::from_secs(90)).to_string();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Patch {
            let website = rusqlite::Connection::open(&path).unwrap();
            website
                .execute(
                    "UPDATE registrations SET last_name = 'Second', updated_at = ?1 WHERE id = 1",
                    [&later],
                )
                .unwrap();
        }
    });
    world.sync().await;
    world.tap.calm();
    world.sync().await;
    world.sync().await;
    assert_eq!(
        (world.field(ADA, "LNAME"), world.column(ADA, "last_name")),
        ("Second".to_owned(), "Second".to_owned())
    );
    assert_eq!(world.interests(ADA), ["Water"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_register_that_vanishes_and_returns_loses_nobody() {
    let world = with_ada().await;
    let path = world.directory.path().join("registrations.db");
    let aside = world.directory.path().join("aside.db");
    std::fs::rename(&path, &aside).unwrap();
    world.later(3600);
    for _ in 0..2 {
        let error =
            world.cycle.run(rosterd::observe::Scope::Full, rosterd::cycle::Adoption::Ask).await.unwrap_err();
        assert!(!error.is_fatal(), "{error}");
    }
    std::fs::rename(&aside, &path).unwrap();
    world.leave("ben@alliance.test");
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_both("ben@alliance.test", "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_trigger_that_refuses_one_row_parks_one_member() {
    let world = with_ada().await;
    world.sql(
        "CREATE TRIGGER grumpy BEFORE UPDATE OF last_name ON registrations WHEN NEW.last_name = 'Grump'
         BEGIN SELECT RAISE(ABORT, 'no such name'); END",
    );
    world.person().edit_preferences(ADA, &FormEntry::new().field("LNAME", "Grump")).unwrap();
    world.person().edit_preferences("ben@alliance.test", &FormEntry::new().field("LNAME", "Fine")).unwrap();
    world.sync().await;
    assert_eq!(
        (world.parked().await.len(), world.column("ben@alliance.test", "last_name").as_str()),
        (1, "Fine")
    );
    assert!(world.note(ADA).contains("no such name"), "{}", world.note(ADA));
    world.assert_quiet().await;
    world.person().edit_preferences(ADA, &FormEntry::new().field("LNAME", "Glad")).unwrap();
    world.sync().await;
    assert_eq!((world.column(ADA, "last_name"), world.note(ADA)), ("Glad".to_owned(), String::new()));
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_removed_without_a_trace_is_noticed_within_ten_minutes() {
    let world = with_ada().await;
    world.sql("DROP TRIGGER registrations_removed; DELETE FROM registrations WHERE id = 1");
    world.later(600);
    world.sync().await;
    assert_eq!(world.status(ADA), "archived");
    world.assert_quiet().await;
    assert_eq!(Policy::default(), world.cycle.seed.policy);
}
