//! What the first user asked for, story by story.

use rosterd::cycle::Adoption;
use rosterd::observe::Scope;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::FormEntry;
use rosterd::state::{Place, StagedOperation};

use crate::world::World;

#[tokio::test]
async fn a_new_registration_becomes_a_subscriber_with_a_link_to_the_preference_center() {
    let world = World::adopted(Policy::default(), |_| ()).await;
    world.register("ada@alliance.test", "Ada");
    let report = world.sync().await;
    assert_eq!(world.status("ada@alliance.test"), "subscribed", "{report:?}");
    assert_eq!(world.field("ada@alliance.test", "FNAME"), "Ada");
    assert!(world.column("ada@alliance.test", "preferences_url").contains("/profile?u="));
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_subscriber_of_mailchimps_own_form_becomes_a_registration() {
    let world = World::adopted(Policy::default(), |_| ()).await;
    world
        .person()
        .subscribe_by_form("ben@alliance.test", &FormEntry::new().field("FNAME", "Ben").tick("Finance"))
        .unwrap();
    world.sync().await;
    assert_eq!(world.column("ben@alliance.test", "membership"), "subscriber");
    assert_eq!(world.column("ben@alliance.test", "first_name"), "Ben");
    assert_eq!(world.interests("ben@alliance.test"), ["Finance"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn leaving_by_the_link_holds_whatever_is_edited_afterwards() {
    let world = World::adopted(Policy::default(), |world| world.register("ada@alliance.test", "Ada")).await;
    world.person().unsubscribe("ada@alliance.test").unwrap();
    world.sync().await;
    assert_eq!(world.column("ada@alliance.test", "subscription"), "unsubscribed");
    world.later(60);
    world.sql("UPDATE registrations SET first_name = 'Ada M.', updated_at = :now");
    world.sync().await;
    assert_eq!(world.status("ada@alliance.test"), "unsubscribed");
    assert_eq!(world.field("ada@alliance.test", "FNAME"), "Ada");
    world.assert_quiet().await;
}

#[tokio::test]
async fn edits_of_either_side_reach_the_other() {
    let world = World::adopted(Policy::default(), |world| world.register("ada@alliance.test", "Ada")).await;
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now");
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Health')");
    let entry = FormEntry::new().field("FNAME", "Augusta").tick("Finance");
    world.person().edit_preferences("ada@alliance.test", &entry).unwrap();
    world.sync().await;
    assert_eq!(world.field("ada@alliance.test", "LNAME"), "Byron");
    assert_eq!(world.column("ada@alliance.test", "first_name"), "Augusta");
    assert_eq!(world.interests("ada@alliance.test"), ["Finance", "Health"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn somebody_who_left_and_registers_again_is_asked_to_confirm_once() {
    let world = World::adopted(Policy::default(), |world| world.register("ada@alliance.test", "Ada")).await;
    world.person().unsubscribe("ada@alliance.test").unwrap();
    world.sync().await;
    world.later(3600);
    world.register("ada@alliance.test", "Ada");
    let report = world.sync().await;
    assert_eq!(world.status("ada@alliance.test"), "pending", "{report:?}");
    assert_eq!(world.sandbox.confirmation_mails("ada@alliance.test"), 1);
    world.assert_quiet().await;
    assert_eq!(world.column("ada@alliance.test", "subscription"), "pending");
    world.person().confirm("ada@alliance.test").unwrap();
    world.sync().await;
    assert_eq!(world.column("ada@alliance.test", "subscription"), "subscribed");
    world.assert_quiet().await;
    assert_eq!(world.sandbox.confirmation_mails("ada@alliance.test"), 1);
}

#[tokio::test]
async fn an_emptied_register_is_held() {
    let world = World::adopted(Policy::default(), |world| {
        for n in 0..20 {
            world.register(&format!("p{n}@alliance.test"), "P");
        }
    })
    .await;
    world.sql("DELETE FROM registrations");
    let report = world.sync().await;
    assert_eq!((report.held, report.applied), (20, 0), "{report:?}");
    assert_eq!(world.status("p0@alliance.test"), "subscribed");
}

#[tokio::test]
async fn a_change_of_address_travels_both_ways() {
    let world = World::adopted(Policy::default(), |world| world.register("ada@alliance.test", "Ada")).await;
    world.sql("UPDATE registrations SET email = 'ada@byron.test', updated_at = :now");
    let report = world.sync().await;
    assert_eq!(world.status("ada@byron.test"), "subscribed", "{report:?}");
    assert_eq!(world.status("ada@alliance.test"), "");
    world.assert_quiet().await;
    world.person().change_address("ada@byron.test", "countess@byron.test").unwrap();
    world.sync().await;
    assert_eq!(world.column("countess@byron.test", "first_name"), "Ada");
    assert_eq!(world.rows(), 1);
    world.assert_quiet().await;
}

/// What a full cycle would do, in the order in which it is shown.
async fn plan_of(names: &[&str]) -> Vec<String> {
    let world = World::new(Policy::default()).await;
    for name in names {
        let email = format!("{name}@alliance.test");
        world.register(&email, name);
        if *name != "ben" {
            world
                .person()
                .staff_add(&email, &FormEntry::new().field("LNAME", "There").tick("Water"))
                .unwrap();
        }
    }
    world.cycle.run(Scope::Full, Adoption::Ask).await.unwrap();
    let planned = world.cycle.state.planned(Place::default(), 100).await.unwrap();
    // Which row somebody has is told by their place in the register, and so is their link in Mailchimp.
    let changes = |staged: &StagedOperation| match staged.planned.operation.kind() {
        "keep" => String::new(),
        _ => staged.planned.operation.changes().replace(char::is_numeric, ""),
    };
    planned
        .iter()
        .map(|staged| format!("{} {} {}", staged.email, staged.planned.operation.kind(), changes(staged)))
        .collect()
}

#[tokio::test]
async fn the_order_in_which_members_came_changes_nothing_that_is_planned() {
    let plan = plan_of(&["ada", "ben", "cleo", "dora"]).await;
    assert_eq!(plan.len(), 10, "{plan:?}");
    for names in
        [["dora", "cleo", "ben", "ada"], ["ben", "dora", "ada", "cleo"], ["cleo", "ada", "dora", "ben"]]
    {
        assert_eq!(plan_of(&names).await, plan, "{names:?}");
    }
}
