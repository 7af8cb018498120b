//! Coming back, coming twice, coming for the first time: who is asked, and how often.

use rosterd::reconcile::policy::{NewLocal, Policy, Resubscribe};
use rosterd::registrations::mapping::{Name, RegisterMapping};
use rosterd::sandbox::{FormEntry, SandboxOptions};

use crate::world::{Setup, World};

const ADA: &str = "ada@alliance.test";

async fn left_under(policy: Policy) -> World {
    let world = World::adopted(policy, |world| world.register(ADA, "Ada")).await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    world.later(3600);
    world
}

#[tokio::test]
async fn resubscribe_never_keeps_them_out_with_a_note() {
    let world = left_under(Policy { resubscribe: Resubscribe::Never, ..Policy::default() }).await;
    world.says(ADA, "subscribed");
    world.sync().await;
    assert_eq!(world.status(ADA), "unsubscribed");
    assert!(world.note(ADA).contains("never"), "{}", world.note(ADA));
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn resubscribe_direct_asks_where_mailchimp_wants_the_persons_own_word() {
    let world = left_under(Policy { resubscribe: Resubscribe::Direct, ..Policy::default() }).await;
    world.says(ADA, "subscribed");
    world.sync().await;
    world.assert_both(ADA, "pending");
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.assert_quiet().await;
    world.person().confirm(ADA).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
}

#[tokio::test]
async fn resubscribe_direct_subscribes_where_mailchimp_lets_it() {
    let policy = Policy { resubscribe: Resubscribe::Direct, ..Policy::default() };
    let world = World::adopted(policy, |world| world.register(ADA, "Ada")).await;
    world.leave(ADA);
    world.sync().await;
    world.later(3600);
    world.says(ADA, "subscribed");
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
    world.sync_full().await;
    world.assert_both(ADA, "subscribed");
}

#[tokio::test]
async fn a_restored_backup_brings_nobody_back() {
    let world = left_under(Policy::default()).await;
    world.sql(
        "UPDATE registrations SET subscription = 'subscribed', subscription_changed_at = signup_at,
               updated_at = :now",
    );
    world.sync().await;
    world.assert_both(ADA, "unsubscribed");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn without_the_time_of_consent_coming_back_is_always_held_for_approval() {
    let mut register = RegisterMapping::default();
    register.columns.subscription_changed_at = Name::Off;
    for resubscribe in [Resubscribe::Confirm, Resubscribe::Direct] {
        let policy = Policy { resubscribe, ..Policy::default() };
        let setup = Setup { policy, register: register.clone(), ..Setup::default() };
        let world = World::adopted_as(setup, |world| world.register(ADA, "Ada")).await;
        world.person().unsubscribe(ADA).unwrap();
        world.sync().await;
        world.later(3600);
        world.sql("UPDATE registrations SET subscription = 'subscribed', updated_at = :now");
        world.sync().await;
        assert_eq!((world.status(ADA).as_str(), world.hold().await.count), ("unsubscribed", 1));
        world.assert_nobody_mailed();
        world.assert_quiet().await;
        world.cycle.state.approve(world.hold().await.id, world.clock.now()).await.unwrap();
        world.sync().await;
        world.assert_both(ADA, "pending");
        assert_eq!(world.sandbox.confirmation_mails(ADA), 1, "{resubscribe:?}");
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_pending_member_who_never_confirms_is_asked_once_and_expires_quietly() {
    let policy = Policy { new_local: NewLocal::Confirm, ..Policy::default() };
    let world = World::adopted(policy, |world| {
        world.person().staff_add("ben@alliance.test", &FormEntry::new()).unwrap();
    })
    .await;
    world.register(ADA, "Ada");
    world.sync().await;
    world.assert_both(ADA, "pending");
    world.assert_quiet().await;
    world.later(60 * 24 * 3600);
    world.person().expire_pending(ADA).unwrap();
    world.sync_full().await;
    assert_eq!((world.status(ADA).as_str(), world.says_locally(ADA).as_str()), ("", "unsubscribed"));
    world.assert_quiet().await;
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.later(3600);
    world.says(ADA, "subscribed");
    world.sync().await;
    world.assert_both(ADA, "pending");
    assert_eq!(world.sandbox.confirmation_mails(ADA), 2, "their own new word, asked once more");
    world.assert_quiet().await;
}

#[tokio::test]
async fn new_local_confirm_asks_once_and_ignore_creates_nobody() {
    let policy = Policy { new_local: NewLocal::Confirm, ..Policy::default() };
    let world = World::adopted(policy, |_| ()).await;
    world.register(ADA, "Ada");
    world.sync().await;
    world.assert_both(ADA, "pending");
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now");
    world.sync_full().await;
    assert_eq!(world.field(ADA, "LNAME"), "Byron", "pending members are kept up to date");
    world.assert_quiet().await;
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.person().confirm(ADA).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;

    let world = World::adopted(Policy { new_local: NewLocal::Ignore, ..Policy::default() }, |_| ()).await;
    world.register(ADA, "Ada");
    world.sync().await;
    world.sync_full().await;
    assert_eq!(world.status(ADA), "");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_pending_member_whose_address_changes_is_asked_at_the_new_one() {
    let policy = Policy { new_local: NewLocal::Confirm, ..Policy::default() };
    let world = World::adopted(policy, |_| ()).await;
    world.register(ADA, "Ada");
    world.sync().await;
    world.sync().await;
    world.sql("UPDATE registrations SET email = 'ada@byron.test', updated_at = :now");
    world.sync().await;
    world.sync().await;
    assert_eq!(world.status(ADA), "unsubscribed");
    world.assert_both("ada@byron.test", "pending");
    assert_eq!(
        (world.sandbox.confirmation_mails(ADA), world.sandbox.confirmation_mails("ada@byron.test")),
        (1, 1)
    );
    world.assert_quiet().await;
    world.sync_full().await;
    assert_eq!(world.rows(), 1);
    world.assert_quiet().await;
}

#[tokio::test]
async fn mailchimps_own_form_with_double_opt_in_makes_a_registration_only_once_confirmed() {
    let options = SandboxOptions { double_optin: true, ..SandboxOptions::default() };
    let world = World::adopted_as(Setup { options, ..Setup::default() }, |_| ()).await;
    world.person().subscribe_by_form(ADA, &FormEntry::new().field("FNAME", "Ada")).unwrap();
    world.sync().await;
    assert_eq!(world.rows(), 0);
    world.assert_quiet().await;
    world.person().confirm(ADA).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
    assert_eq!((world.rows(), world.sandbox.confirmation_mails(ADA)), (1, 1));
}

#[tokio::test]
async fn registering_again_after_a_removal_is_a_new_registration() {
    let world = World::adopted(Policy::default(), |world| {
        world.register(ADA, "Ada");
        world.register("ben@alliance.test", "Ben");
    })
    .await;
    world.sql(&format!("DELETE FROM registrations WHERE email = '{ADA}'"));
    world.sync().await;
    assert_eq!(world.status(ADA), "archived");
    world.later(3600);
    world.register(ADA, "Ada");
    let report = world.sync().await;
    world.assert_both(ADA, "subscribed");
    assert_eq!(world.note(ADA), "", "{report:?}");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn registering_again_after_leaving_and_being_removed_is_a_case_of_resubscribe() {
    let world = left_under(Policy::default()).await;
    world.register("ben@alliance.test", "Ben");
    world.sql(&format!("DELETE FROM registrations WHERE email = '{ADA}'"));
    world.sync().await;
    world.assert_quiet().await;
    world.later(3600);
    world.register(ADA, "Ada");
    world.sync().await;
    world.assert_both(ADA, "pending");
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_first_registration_of_somebody_who_left_before_rosterd_came_is_asked() {
    let world = World::adopted(Policy::default(), |world| {
        world.person().subscribe_by_form(ADA, &FormEntry::new()).unwrap();
        world.later(60);
        world.person().unsubscribe(ADA).unwrap();
    })
    .await;
    assert_eq!(world.rows(), 0);
    world.assert_quiet().await;
    world.later(3600);
    world.register(ADA, "Ada");
    world.sync().await;
    world.assert_both(ADA, "pending");
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_forgotten_address_is_refused_parked_and_noted() {
    let world = World::adopted(Policy::default(), |world| {
        world.person().staff_add(ADA, &FormEntry::new()).unwrap();
        world.person().staff_delete_permanently(ADA).unwrap();
    })
    .await;
    world.register(ADA, "Ada");
    let report = world.sync().await;
    assert_eq!((world.status(ADA).as_str(), report.parked), ("", 1), "{report:?}");
    assert_eq!(world.parked().await[0].park.class, "forgotten");
    assert_ne!(world.note(ADA), "");
    world.assert_quiet().await;
    world.sandbox.reset_log();
    world.sync_full().await;
    assert!(world.sandbox.log().iter().all(|request| request.method == "GET"), "not tried again");
    world.person().subscribe_by_form(ADA, &FormEntry::new()).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    assert_eq!(world.note(ADA), "");
    assert_eq!(world.parked().await, []);
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_account_under_review_makes_new_subscribers_pending_and_they_stay_so() {
    let options = SandboxOptions { under_review: true, ..SandboxOptions::default() };
    let world = World::adopted_as(Setup { options, ..Setup::default() }, |_| ()).await;
    world.register(ADA, "Ada");
    world.sync().await;
    world.assert_both(ADA, "pending");
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.assert_quiet().await;
    world.sync_full().await;
    assert_eq!(world.sandbox.confirmation_mails(ADA), 1);
    world.person().confirm(ADA).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_bounced_subscriber_who_signs_up_by_the_form_again_is_back() {
    let world = World::adopted(Policy::default(), |world| world.register(ADA, "Ada")).await;
    world.person().bounce(ADA).unwrap();
    world.sync().await;
    world.later(3600);
    world.person().subscribe_by_form(ADA, &FormEntry::new()).unwrap();
    world.sync().await;
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn many_asked_back_at_once_are_held() {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    for n in 0..12 {
        world.person().unsubscribe(&format!("p{n}@alliance.test")).unwrap();
    }
    world.sync().await;
    world.later(3600);
    for n in 0..12 {
        world.later(1);
        world.says(&format!("p{n}@alliance.test"), "subscribed");
    }
    world.sync().await;
    assert_eq!((world.hold().await.class.as_str(), world.hold().await.count), ("invitations", 12));
    world.assert_nobody_mailed();
    world.assert_quiet().await;
    world.cycle.state.approve(world.hold().await.id, world.clock.now()).await.unwrap();
    world.sync().await;
    assert_eq!(world.sandbox.counters().confirmation_mails.values().sum::<u32>(), 12);
    world.assert_both("p3@alliance.test", "pending");
    world.assert_quiet().await;
}
