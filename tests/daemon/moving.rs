//! People who move while their contact is out: it stays behind, and what becomes of it is nobody's word.

use rosterd::mailchimp::transport::Method;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{Fault, FaultKind, FormEntry};

use crate::world::World;

/// A cycle in which somebody's old contact is unsubscribed, and none is created at the new address.
async fn moved_before_confirming(world: &World) {
    world.register("wait@alliance.test", "Wait");
    world.says("wait@alliance.test", "pending");
    world.sync().await;
    world.later(3600);
    world.sql(
        "UPDATE registrations SET email = 'wait@moved.test', updated_at = :now WHERE email = 'wait@alliance.test'",
    );
    world.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests).on_method(Method::Post).always());
    assert!(world.try_sync().await.is_err());
    world.sandbox.faults().clear();
    assert_eq!(world.status("wait@alliance.test"), "unsubscribed");
}

#[tokio::test]
async fn our_own_leave_taking_at_an_old_address_is_nobodys_opt_out() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    moved_before_confirming(&world).await;
    world.later(900);
    world.sync().await;
    world.assert_both("wait@moved.test", "pending");
    world.sync_full().await;
    world.assert_both("wait@moved.test", "pending");
    assert_eq!(world.sandbox.confirmation_mails("wait@moved.test"), 1);
    world.assert_quiet().await;
    world.person().confirm("wait@moved.test").unwrap();
    world.sync().await;
    world.assert_both("wait@moved.test", "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_contact_left_behind_does_not_come_back_by_an_older_row_of_its_address() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.register("wait@alliance.test", "Wait");
    world.says("wait@alliance.test", "pending");
    world.later(60);
    moved_before_confirming_in_the_newer_of_two_rows(&world).await;
    world.later(900);
    world.sync().await;
    world.sync_full().await;
    world.assert_both("wait@moved.test", "pending");
    world.assert_quiet().await;
}

async fn moved_before_confirming_in_the_newer_of_two_rows(world: &World) {
    world.register("wait@alliance.test", "Wait");
    world.says("wait@alliance.test", "pending");
    world.sync().await;
    world.later(3600);
    world.sql("UPDATE registrations SET email = 'wait@moved.test', updated_at = :now WHERE id = 5");
    world.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests).on_method(Method::Post).always());
    assert!(world.try_sync().await.is_err());
    world.sandbox.faults().clear();
}

#[tokio::test]
async fn whoever_leaves_at_the_address_they_went_back_to_has_left() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.register("wait@alliance.test", "Wait");
    world.says("wait@alliance.test", "pending");
    world.sync().await;
    world.later(3600);
    let there = "UPDATE registrations SET email = 'wait@moved.test', updated_at = :now WHERE id = 4";
    world.sql(there);
    world.sandbox.faults().add(Fault::new(FaultKind::CutBefore).on_method(Method::Patch));
    let back = "UPDATE registrations SET email = 'wait@alliance.test', updated_at = :now WHERE id = 4";
    let _ = world.try_sync().await;
    world.sql(back);
    world.sync().await;
    world.person().confirm("wait@alliance.test").unwrap();
    world.sync().await;
    world.person().unsubscribe("wait@alliance.test").unwrap();
    world.sync().await;
    world.assert_both("wait@alliance.test", "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_creation_at_a_new_address_whose_answer_was_lost_meets_itself() {
    for (leave, expected) in [("bounce", "subscribed"), ("unsubscribe", "pending")] {
        let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
        world.sync().await;
        match leave {
            "bounce" => world.person().bounce("p1@alliance.test").unwrap(),
            _ => world.person().unsubscribe("p1@alliance.test").unwrap(),
        }
        world.sync().await;
        world.later(3600);
        if leave == "unsubscribe" {
            world.says("p1@alliance.test", "subscribed");
        }
        world.sql("UPDATE registrations SET email = 'p1@moved.test', updated_at = :now WHERE id = 2");
        world.sandbox.faults().add(Fault::new(FaultKind::CutAfter).on_method(Method::Post));
        world.sync().await;
        world.sync().await;
        world.assert_both("p1@moved.test", expected);
        assert_eq!((world.rows(), world.note("p1@moved.test").as_str()), (3, ""), "{leave}");
        world.assert_quiet().await;
        world.person().edit_preferences("p1@moved.test", &FormEntry::new().field("LNAME", "Byron")).unwrap();
        world.sync().await;
        assert_eq!(world.column("p1@moved.test", "last_name"), "Byron", "{leave}");
        world.person().unsubscribe("p1@moved.test").unwrap();
        world.sync().await;
        world.assert_both("p1@moved.test", "unsubscribed");
        world.assert_quiet().await;
    }
}
