//! Tags of many members at once go through the tag's segment; what is at fault there stays with whom it concerns.

use rosterd::mailchimp::transport::Method;
use rosterd::sandbox::{Fault, FaultKind};

use crate::world::{Setup, Topics, World};

const MANY: usize = 120;

/// Members whose topics are tags, all of whom have just chosen one on the website.
async fn choosing(count: usize) -> World {
    let setup = Setup { topics: Topics::Tags, ..Setup::default() };
    let world = World::adopted_as(setup, |world| world.register_many(count)).await;
    world.sync().await;
    world.sql("INSERT INTO registration_interests SELECT id, 'topic', 'Health' FROM registrations");
    world.sql("UPDATE registrations SET updated_at = :now");
    world.sandbox.reset_log();
    world
}

fn asked(world: &World, request: &str) -> u64 {
    world.sandbox.counters().requests.get(request).copied().unwrap_or(0)
}

const SINGLE: &str = "POST /lists/{list_id}/members/{subscriber_hash}/tags";
const MANY_AT_ONCE: &str = "POST /lists/{list_id}/segments/{segment_id}";

fn assert_tagged(world: &World, expected: &[&str]) {
    for n in 0..MANY {
        let email = format!("p{n}@alliance.test");
        assert_eq!(world.tags(&email), expected, "{email}");
    }
}

#[tokio::test]
async fn a_tag_for_many_is_given_and_taken_in_one_call() {
    let world = choosing(MANY).await;
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed), (120, 0), "{report:?}");
    assert_eq!((asked(&world, SINGLE), asked(&world, MANY_AT_ONCE)), (0, 1));
    assert_tagged(&world, &["topic: Health"]);
    world.assert_quiet().await;
    world.sql("DELETE FROM registration_interests");
    world.sql("UPDATE registrations SET updated_at = :now");
    world.sync().await;
    assert_eq!((asked(&world, SINGLE), asked(&world, MANY_AT_ONCE)), (0, 2));
    assert_tagged(&world, &[]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_tag_for_a_few_is_given_member_by_member_and_starts_no_automation() {
    let world = choosing(99).await;
    world.sync().await;
    assert_eq!((asked(&world, SINGLE), asked(&world, MANY_AT_ONCE)), (99, 0));
    assert_eq!(world.sandbox.counters().tag_automations, 0);
}

#[tokio::test]
async fn who_is_not_known_under_their_address_any_more_is_read_by_themselves_and_nobody_else() {
    let world = choosing(MANY).await;
    let person = world.person();
    let mut moved = false;
    world.tap.before_each(move |_, request| {
        if !moved && request.target.contains("/segments") {
            moved = true;
            person.change_address("p7@alliance.test", "seven@alliance.test").unwrap();
        }
    });
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed), (119, 1), "{report:?}");
    world.tap.calm();
    world.sync().await;
    world.sync().await;
    assert_eq!(world.tags("seven@alliance.test"), ["topic: Health"]);
    assert_eq!(world.tags("p8@alliance.test"), ["topic: Health"]);
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_call_for_many_that_is_refused_is_made_member_by_member() {
    let world = choosing(MANY).await;
    let refused = FaultKind::Refused(400, "Invalid Resource".to_owned(), "No such thing.".to_owned());
    let path = "/lists/{list_id}/segments/{segment_id}";
    world.sandbox.faults().add(Fault::new(refused).on_method(Method::Post).on_path(path));
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed, report.parked), (120, 0, 0), "{report:?}");
    assert_eq!((asked(&world, SINGLE), asked(&world, MANY_AT_ONCE)), (120, 1));
    assert_tagged(&world, &["topic: Health"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_call_for_many_whose_answer_is_lost_has_them_read_first() {
    for kind in [FaultKind::CutBefore, FaultKind::CutAfter] {
        let world = choosing(MANY).await;
        let path = "/lists/{list_id}/segments/{segment_id}";
        world.sandbox.faults().add(Fault::new(kind.clone()).on_method(Method::Post).on_path(path));
        let report = world.sync().await;
        assert_eq!((report.applied, report.failed), (0, 120), "{kind:?}: {report:?}");
        world.sync().await;
        world.sync().await;
        assert_tagged(&world, &["topic: Health"]);
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn members_in_an_unfinished_batch_get_their_tags_after_it() {
    let world = choosing(MANY).await;
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now");
    world.sandbox.faults().stall_batches();
    world.sync().await;
    assert_eq!((asked(&world, MANY_AT_ONCE), asked(&world, SINGLE)), (0, 0));
    world.sandbox.faults().release_batches();
    world.sync().await;
    assert_tagged(&world, &["topic: Health"]);
    world.assert_in_step();
    world.assert_quiet().await;
}
