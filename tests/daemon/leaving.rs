//! Leaving: whichever door somebody takes, they stay out until they come back themselves.

use rosterd::reconcile::policy::{GoneLocal, Policy};
use rosterd::sandbox::FormEntry;

use crate::world::World;

const ADA: &str = "ada@alliance.test";

async fn with_ada() -> World {
    with_ada_under(Policy::default()).await
}

async fn with_ada_under(policy: Policy) -> World {
    World::adopted(policy, |world| {
        world.register(ADA, "Ada");
        world.register("ben@alliance.test", "Ben");
    })
    .await
}

#[tokio::test]
async fn leaving_on_the_website_reaches_mailchimp() {
    let world = with_ada().await;
    world.leave(ADA);
    world.sync().await;
    world.assert_both(ADA, "unsubscribed");
    world.assert_quiet().await;
    let kinds: Vec<&str> = world.trail(ADA).await.iter().map(|entry| entry.operation.kind()).collect();
    assert_eq!(kinds, ["status", "keep", "create"]);
}

#[tokio::test]
async fn opt_outs_with_times_of_their_own_are_never_held_however_many() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    for n in 0..40 {
        world.later(1);
        world.leave(&format!("p{n}@alliance.test"));
    }
    let report = world.sync().await;
    assert_eq!((report.held, world.sandbox.counters().status_writes), (0, 40), "{report:?}");
    world.assert_quiet().await;
}

#[tokio::test]
async fn opt_outs_of_one_time_that_trickle_in_count_over_the_day() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    let told = world.clock.now().to_string();
    let leave = |ids: &str| {
        world.sql(&format!(
            "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = '{told}',
                   updated_at = :now WHERE id IN ({ids})"
        ));
    };
    leave("1, 2, 3, 4, 5, 6, 7, 8, 9, 10");
    assert_eq!(world.sync().await.held, 0, "ten may be a coincidence");
    leave("11, 12, 13");
    assert_eq!(world.sync().await.held, 3, "with the ten before them they are not");
    assert_eq!(world.status("p10@alliance.test"), "subscribed");
}

#[tokio::test]
async fn more_than_ten_opt_outs_that_share_one_time_are_nobodys_word() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    world.sql(
        "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = :now,
               updated_at = :now WHERE id <= 11",
    );
    world.later(5);
    world.leave("p30@alliance.test");
    let report = world.sync().await;
    assert_eq!(report.held, 11, "{report:?}");
    assert_eq!(world.status("p30@alliance.test"), "unsubscribed", "only the offending class is held");
    assert_eq!(world.status("p0@alliance.test"), "subscribed");
    let hold = world.hold().await;
    world.cycle.state.approve(hold.id, world.clock.now()).await.unwrap();
    world.sync().await;
    assert_eq!(world.status("p0@alliance.test"), "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_complaint_is_an_opt_out() {
    let world = with_ada().await;
    world.person().complain(ADA).unwrap();
    world.sync().await;
    world.assert_both(ADA, "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn staff_who_subscribe_somebody_who_left_get_a_conflict_and_nothing_is_written() {
    let world = with_ada().await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    world.later(3600);
    world.person().staff_resubscribe(ADA).unwrap();
    world.sync().await;
    assert_eq!(
        (world.says_locally(ADA).as_str(), world.status(ADA).as_str()),
        ("unsubscribed", "subscribed")
    );
    assert!(world.note(ADA).contains("staff must decide"), "{}", world.note(ADA));
    world.assert_quiet().await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    assert_eq!(world.note(ADA), "");
    world.assert_both(ADA, "unsubscribed");
}

#[tokio::test]
async fn whoever_leaves_on_the_website_and_is_subscribed_by_staff_stays_out() {
    let world = with_ada().await;
    world.leave(ADA);
    world.sync().await;
    world.later(3600);
    world.person().staff_resubscribe(ADA).unwrap();
    world.sync().await;
    assert_eq!(world.says_locally(ADA), "unsubscribed");
    assert!(world.note(ADA).contains("staff must decide"), "{}", world.note(ADA));
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_bounce_stops_the_address_and_a_new_one_starts_afresh() {
    let world = with_ada().await;
    world.person().bounce(ADA).unwrap();
    world.sync().await;
    world.assert_both(ADA, "cleaned");
    world.assert_quiet().await;
    world.later(60);
    world.sql("UPDATE registrations SET email = 'ada@byron.test', updated_at = :now WHERE id = 1");
    world.sync().await;
    world.assert_both("ada@byron.test", "subscribed");
    assert_eq!(world.status(ADA), "cleaned");
    assert_eq!(world.field("ada@byron.test", "FNAME"), "Ada");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
    world.sync_full().await;
    world.assert_both("ada@byron.test", "subscribed");
    assert_eq!(world.rows(), 2);
    world.assert_quiet().await;
}

#[tokio::test]
async fn archived_by_staff_is_unsubscribed_and_never_resurrected() {
    let world = with_ada().await;
    world.person().staff_archive(ADA).unwrap();
    world.sync().await;
    assert_eq!((world.says_locally(ADA).as_str(), world.status(ADA).as_str()), ("unsubscribed", "archived"));
    world.sql("UPDATE registrations SET first_name = 'Augusta', updated_at = :now WHERE id = 1");
    world.sync_full().await;
    assert_eq!(world.status(ADA), "archived");
    world.assert_quiet().await;
}

#[tokio::test]
async fn deleted_for_good_is_unsubscribed_and_never_created_again() {
    let world = with_ada().await;
    world.person().staff_delete_permanently(ADA).unwrap();
    world.sync_full().await;
    assert_eq!((world.says_locally(ADA).as_str(), world.status(ADA).as_str()), ("unsubscribed", ""));
    world.assert_quiet().await;
    world.sync_full().await;
    assert_eq!(world.status(ADA), "");
}

#[tokio::test]
async fn many_archived_at_once_are_held() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    for n in 0..12 {
        world.person().staff_archive(&format!("p{n}@alliance.test")).unwrap();
    }
    let report = world.sync().await;
    assert_eq!(world.says_locally("p0@alliance.test"), "subscribed", "{report:?}");
    assert_eq!(world.hold().await.class, "absences");
    world.assert_quiet().await;
}

#[tokio::test]
async fn many_deleted_for_good_are_held_without_a_question_about_any() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    for n in 0..12 {
        world.person().staff_delete_permanently(&format!("p{n}@alliance.test")).unwrap();
    }
    let report = world.sync_full().await;
    let hold = world.hold().await;
    assert_eq!((hold.class.as_str(), hold.count), ("missing", 12), "{report:?}");
    assert!(report.requests < 12, "nobody is read by themselves: {report:?}");
    world.cycle.state.approve(hold.id, world.clock.now()).await.unwrap();
    world.sync_full().await;
    assert_eq!(world.hold().await.class, "absences");
    world.assert_quiet().await;
}

#[tokio::test]
async fn rows_removed_follow_the_policy() {
    for (gone_local, status) in [
        (GoneLocal::Archive, "archived"),
        (GoneLocal::Unsubscribe, "unsubscribed"),
        (GoneLocal::Leave, "subscribed"),
    ] {
        let world = with_ada_under(Policy { gone_local, ..Policy::default() }).await;
        world.sql(&format!("DELETE FROM registrations WHERE email = '{ADA}'"));
        world.sync().await;
        assert_eq!(world.status(ADA), status, "{gone_local:?}");
        world.assert_quiet().await;
        world.sync_full().await;
        assert_eq!((world.status(ADA).as_str(), world.rows()), (status, 1), "{gone_local:?}");
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn rows_of_somebody_who_had_left_are_removed_and_the_contact_is_left_alone() {
    let world = with_ada().await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    world.sql(&format!("DELETE FROM registrations WHERE email = '{ADA}'"));
    world.sync().await;
    assert_eq!(world.status(ADA), "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_marked_as_removed_is_removed() {
    let world = with_ada().await;
    world.sql(&format!("UPDATE registrations SET deleted_at = :now WHERE email = '{ADA}'"));
    world.sync().await;
    assert_eq!(world.status(ADA), "archived");
    world.assert_quiet().await;
}

#[tokio::test]
async fn opted_out_means_left_alone_until_they_return() {
    let world = with_ada().await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    world.later(60);
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 1");
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Health')");
    world.sync().await;
    assert_eq!((world.field(ADA, "LNAME").as_str(), world.ticked(ADA)), ("", 0));
    world.later(3600);
    world.person().subscribe_by_form(ADA, &FormEntry::new().tick("Water")).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    assert_eq!(world.field(ADA, "LNAME"), "Byron", "what waited follows");
    assert_eq!(world.interests(ADA), ["Health", "Water"]);
    assert_eq!(world.ticked(ADA), 2);
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_opt_out_on_one_row_of_an_address_counts_for_all_of_them() {
    let world = World::adopted(Policy::default(), |world| {
        world.register(ADA, "Ada");
        world.later(60);
        world.register(ADA, "Augusta");
    })
    .await;
    assert_eq!(world.field(ADA, "FNAME"), "Augusta", "the newest row speaks");
    world.sql(
        "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = :now,
               updated_at = :now WHERE id = 1",
    );
    world.sync().await;
    assert_eq!(world.status(ADA), "unsubscribed");
    world.assert_quiet().await;
    world.sql("DELETE FROM registrations WHERE id = 1");
    world.sync().await;
    world.assert_both(ADA, "unsubscribed");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_opt_out_in_mailchimp_reaches_every_row_of_the_address() {
    let world = World::adopted(Policy::default(), |world| {
        world.register(ADA, "Ada");
        world.register("Ada@Alliance.test", "Augusta");
    })
    .await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    assert_eq!(world.texts("SELECT subscription FROM registrations"), ["unsubscribed", "unsubscribed"]);
    world.sql("DELETE FROM registrations WHERE id = 2");
    world.sync().await;
    assert_eq!(world.says_locally(ADA), "unsubscribed");
    world.assert_quiet().await;
}
