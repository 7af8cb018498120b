//! What the walks over the audience must not miss, and what they go by.

use jiff::fmt::rfc2822::DateTimePrinter;
use rosterd::mailchimp::transport::Method;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{Fault, FaultKind, FormEntry};

use crate::world::{Topics, World};

async fn world() -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(5)).await;
    world.sync().await;
    world
}

#[tokio::test]
async fn rows_of_one_second_that_move_to_the_end_hide_none_of_the_others() {
    for n_moved in [1, 60] {
        let world = world().await;
        for n in 0..2_100 {
            let email = format!("left{n}@crowd.test");
            world.person().staff_add(&email, &FormEntry::new()).unwrap();
            world.person().unsubscribe(&email).unwrap();
        }
        let (person, mut moved) = (world.person(), false);
        world.later(60);
        world.tap.before_each(move |_, request| {
            let in_the_midst = request.target.contains("sort_field=last_changed")
                && !request.target.contains("status=archived")
                && !request.target.contains("offset=0");
            if in_the_midst && !moved {
                moved = true;
                for n in 0..n_moved {
                    let entry = FormEntry::new().field("FNAME", "Moved");
                    person.staff_edit(&format!("left{n}@crowd.test"), &entry).unwrap();
                }
            }
        });
        world.sync().await;
        let counts = world.cycle.state.counts().await.unwrap();
        assert_eq!(counts.with_contact, 2_105, "{n_moved} moved");
        world.tap.calm();
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn what_changes_while_mailchimp_takes_its_time_for_the_first_page_is_seen_by_the_next_walk() {
    let world = world().await;
    let (person, clock, mut answered) = (world.person(), world.clock.clone(), false);
    world.tap.retell(move |request, response| {
        if request.target.contains("sort_field=last_changed") && !answered {
            answered = true;
            person.unsubscribe("p1@alliance.test").unwrap();
            clock.advance(std::time::Duration::from_secs(100));
            response.date = DateTimePrinter::new().timestamp_to_rfc9110_string(&clock.now()).ok();
        }
    });
    world.sync().await;
    world.tap.calm();
    assert_eq!(world.says_locally("p1@alliance.test"), "subscribed");
    world.sync().await;
    world.assert_both("p1@alliance.test", "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn what_changes_during_a_long_full_walk_is_seen_though_no_answer_tells_the_time() {
    let world = world().await;
    let (person, clock, mut answered) = (world.person(), world.clock.clone(), false);
    world.tap.retell(move |request, response| {
        if request.target.contains("sort_field=timestamp_opt") {
            response.date = None;
            if !answered {
                answered = true;
                person.unsubscribe("p1@alliance.test").unwrap();
                clock.advance(std::time::Duration::from_secs(600));
            }
        }
    });
    world.sync_full().await;
    world.tap.calm();
    world.assert_both("p1@alliance.test", "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_changed_mapping_is_in_force_from_the_next_cycle_on() {
    let world = world().await.restart_with_topics_in(Topics::Tags).await;
    world.sql("INSERT INTO registration_interests VALUES (2, 'topic', 'Health')");
    world.sync().await;
    assert_eq!(
        (world.tags("p1@alliance.test"), world.ticked("p1@alliance.test")),
        (vec!["topic: Health".to_owned()], 0)
    );
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_registration_whose_address_somebody_else_bears_by_now_is_read_once_and_noted() {
    let world = world().await;
    world.register("ada@alliance.test", "Ada");
    world.sandbox.faults().add(Fault::new(FaultKind::CutBefore).on_method(Method::Post));
    world.sync().await;
    world.person().change_address("p1@alliance.test", "ada@alliance.test").unwrap();
    world.sync().await;
    world.sync().await;
    assert_eq!(world.cycle.state.rechecks(None, 10).await.unwrap(), []);
    assert!(world.note("ada@alliance.test").contains("belongs to another contact in Mailchimp"));
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}
