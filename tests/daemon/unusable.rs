//! Rows that cannot be synchronized as they stand: nobody is taken for gone, but whoever leaves by one has left.

use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::FormEntry;
use rosterd::state::ClassName;

use crate::world::World;

const ADA: &str = "ada@alliance.test";

async fn with_ada() -> World {
    let world = World::adopted(Policy::default(), |world| {
        world.register(ADA, "Ada");
        world.register("ben@alliance.test", "Ben");
    })
    .await;
    world.sync().await;
    world
}

/// The website changes Ada's first row.
fn set(world: &World, columns: &str) {
    world.sql(&format!("UPDATE registrations SET {columns}, updated_at = :now WHERE id = 1"));
}

fn first_row(world: &World, column: &str) -> String {
    world.texts(&format!("SELECT IFNULL({column}, '') FROM registrations WHERE id = 1")).remove(0)
}

#[tokio::test]
async fn whoever_leaves_by_a_row_that_cannot_be_read_whole_is_mailed_no_more() {
    for broken in [
        "subscription = 'unsubscribed', subscription_changed_at = '24.11.2026'",
        "subscription = 'unsubscribed', subscription_changed_at = :now, email = ''",
        "subscription = 'cleaned', subscription_changed_at = 'lately', email = 'gone'",
    ] {
        let world = with_ada().await;
        set(&world, broken);
        let report = world.sync().await;
        assert_eq!(world.status(ADA), "unsubscribed", "{broken}: {report:?}");
        assert_ne!(first_row(&world, "sync_note"), "", "{broken}");
        world.assert_quiet().await;
        world.sync_full().await;
        world.assert_quiet().await;
        world.sql(&format!(
            "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = :now,
             updated_at = :now, email = '{ADA}' WHERE id = 1"
        ));
        world.sync().await;
        world.assert_both(ADA, "unsubscribed");
        assert_eq!(world.note(ADA), "", "{broken}");
        world.assert_nobody_mailed();
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_opt_out_whose_time_cannot_be_read_counts_as_a_removal_and_one_that_can_as_a_persons_word() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    world.sql(
        "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = 'lately',
         updated_at = :now WHERE id <= 12",
    );
    world.later(1);
    world.sql(
        "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = :now, email = '',
         updated_at = :now WHERE id = 30",
    );
    let report = world.sync().await;
    assert_eq!(report.held, 12, "{report:?}");
    assert_eq!(world.status("p29@alliance.test"), "unsubscribed");
    let held = world.cycle.state.held_operations(world.hold().await.id, 0, 20).await.unwrap();
    let classes = held.iter().map(|line| ClassName::from(line.planned.as_ref().unwrap().class));
    assert!(classes.into_iter().all(|class| class == ClassName::Removal));
}

#[tokio::test]
async fn whoever_leaves_by_a_new_row_that_cannot_be_read_whole_has_left() {
    let world = with_ada().await;
    world.sql(&format!(
        "INSERT INTO registrations (email, subscription, subscription_changed_at, created_at, updated_at)
         VALUES ('{ADA}', 'unsubscribed', 'today', :now, :now)"
    ));
    world.sync().await;
    assert_eq!((world.status(ADA), first_row(&world, "subscription")), pair("unsubscribed"));
    world.assert_quiet().await;
    world.later(3600);
    world.register(ADA, "Ada");
    world.sync().await;
    assert_eq!(world.status(ADA), "pending", "their own later word");
    world.assert_quiet().await;
}

fn pair(status: &str) -> (String, String) {
    (status.to_owned(), status.to_owned())
}

#[tokio::test]
async fn an_opt_in_in_a_row_that_cannot_be_read_whole_is_not_heard() {
    let world = with_ada().await;
    world.leave(ADA);
    world.sync().await;
    world.later(3600);
    set(&world, "subscription = 'subscribed', subscription_changed_at = '24.11.2026'");
    world.sync().await;
    assert_eq!(world.status(ADA), "unsubscribed");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_opt_out_from_mailchimp_reaches_every_row_whatever_is_wrong_with_one() {
    for broken in ["email = ''", "subscription_changed_at = '24.11.2026'", "subscription = 'ja'"] {
        let world = with_ada().await;
        world.later(60);
        world.register(ADA, "Ada");
        world.sync().await;
        set(&world, broken);
        world.sync().await;
        world.person().unsubscribe(ADA).unwrap();
        world.sync().await;
        assert_eq!(world.says_locally(ADA), "unsubscribed", "{broken}");
        assert_eq!(first_row(&world, "subscription"), "unsubscribed", "{broken}");
        world.assert_quiet().await;
        world.sync_full().await;
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_row_that_refuses_an_opt_out_keeps_it_from_no_other_row() {
    let world = with_ada().await;
    world.later(60);
    world.register(ADA, "Ada");
    world.sync().await;
    world.sql(
        "CREATE TRIGGER grumpy BEFORE UPDATE OF subscription ON registrations WHEN NEW.id = 1
         BEGIN SELECT RAISE(ABORT, 'not this one'); END",
    );
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    assert_eq!(world.says_locally(ADA), "unsubscribed");
    assert_eq!(world.parked().await.len(), 1);
    world.assert_quiet().await;
}

#[tokio::test]
async fn what_mailchimp_says_waits_for_a_row_that_cannot_be_synchronized_without_a_request() {
    let world = with_ada().await;
    set(&world, "subscription = 'ja'");
    world.sync().await;
    world.person().edit_preferences(ADA, &FormEntry::new().field("LNAME", "Byron").tick("Water")).unwrap();
    world.person().change_address(ADA, "ada@byron.test").unwrap();
    world.sync().await;
    world.assert_quiet().await;
    assert_eq!(world.rows(), 2);
    set(&world, "subscription = 'subscribed'");
    world.sync().await;
    assert_eq!(world.column("ada@byron.test", "last_name"), "Byron");
    assert_eq!(world.interests("ada@byron.test"), ["Water"]);
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn whoever_is_back_in_mailchimp_waits_for_a_row_that_says_otherwise_and_cannot_be_read() {
    let world = with_ada().await;
    set(&world, "subscription = 'unsubscribed', subscription_changed_at = '24.11.2026'");
    world.sync().await;
    world.later(3600);
    world.person().subscribe_by_form(ADA, &FormEntry::new()).unwrap();
    world.sync().await;
    assert_eq!(world.status(ADA), "subscribed", "their own later opt-in stands");
    world.assert_quiet().await;
    assert_eq!(first_row(&world, "subscription"), "unsubscribed");
    set(&world, "subscription_changed_at = '2026-03-01T12:00:00Z'");
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_subscriber_of_mailchimp_whose_only_row_cannot_be_read_whole_waits_for_it() {
    let world = World::adopted(Policy::default(), |world| world.register_many(2)).await;
    world.sql(&format!(
        "INSERT INTO registrations (email, subscription, created_at, updated_at)
         VALUES ('{ADA}', 'ja', :now, :now)"
    ));
    world.sync().await;
    world.person().subscribe_by_form(ADA, &FormEntry::new().tick("Water")).unwrap();
    world.sync().await;
    world.assert_quiet().await;
    assert_eq!(world.rows(), 3);
    world.sql("UPDATE registrations SET subscription = 'subscribed', updated_at = :now WHERE id = 3");
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    assert_eq!(world.interests(ADA), ["Water"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_subscriber_of_mailchimp_becomes_a_registration_once_the_row_of_their_address_is_gone() {
    let world = World::adopted(Policy::default(), |world| world.register_many(2)).await;
    world.sql(&format!(
        "INSERT INTO registrations (email, subscription, created_at, updated_at)
         VALUES ('{ADA}', 'ja', :now, :now)"
    ));
    world.person().subscribe_by_form(ADA, &FormEntry::new()).unwrap();
    world.sync().await;
    world.assert_quiet().await;
    world.sql("DELETE FROM registrations WHERE id = 3");
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_that_takes_not_even_a_note_fails_no_cycle() {
    let world = with_ada().await;
    set(&world, "email = ''");
    world.sql(
        "CREATE TRIGGER strict BEFORE UPDATE ON registrations WHEN NEW.email = ''
         BEGIN SELECT RAISE(ABORT, 'an address is needed'); END",
    );
    world.sync().await;
    world.assert_quiet().await;
    world.sync_full().await;
    world.assert_quiet().await;
}
