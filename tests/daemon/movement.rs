//! Sides that move while they are read: nobody is missed, nobody is taken for gone.

use rosterd::mailchimp::transport::Method;
use rosterd::model::EmailAddress;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{FormEntry, SandboxOptions};
use rosterd::state::MemberName;

use crate::world::{Setup, World};

/// More than two pages of people who left long ago: they cost no rows.
fn crowd(world: &World, count: usize) {
    for n in 0..count {
        let email = format!("left{n}@crowd.test");
        world.person().staff_add(&email, &FormEntry::new()).unwrap();
        world.person().unsubscribe(&email).unwrap();
        if n % 10 == 0 {
            world.clock.advance(std::time::Duration::from_secs(1));
        }
    }
}

#[tokio::test]
async fn a_full_walk_over_a_moving_audience_misses_nobody_and_buries_nobody() {
    let world = World::adopted(Policy::default(), |world| {
        crowd(world, 2_020);
        world.register_many(20);
    })
    .await;
    world.sync().await;
    let person = world.person();
    let mut n = 0;
    world.tap.before_each(move |_, request| {
        if request.method == Method::Get && request.target.contains("/members?") && n < 9 {
            person.staff_delete_permanently(&format!("left{n}@crowd.test")).unwrap();
            person.subscribe_by_form(&format!("new{n}@alliance.test"), &FormEntry::new()).unwrap();
            person.subscribe_by_form(&format!("left{}@crowd.test", 100 + n), &FormEntry::new()).unwrap();
            person.staff_archive(&format!("left{}@crowd.test", 200 + n)).unwrap();
            person
                .edit_preferences(&format!("p{n}@alliance.test"), &FormEntry::new().field("LNAME", "Moved"))
                .unwrap();
            person
                .change_address(&format!("p{}@alliance.test", 10 + n), &format!("p{n}@moved.test"))
                .unwrap();
            n += 1;
        }
    });
    world.sync_full().await;
    assert!(world.tap.sent() > 6, "{}", world.tap.sent());
    world.tap.calm();
    world.sync().await;
    world.sync_full().await;
    for n in 0..6 {
        world.assert_both(&format!("new{n}@alliance.test"), "subscribed");
        world.assert_both(&format!("left{}@crowd.test", 100 + n), "subscribed");
        world.assert_both(&format!("p{n}@moved.test"), "subscribed");
        assert_eq!(world.column(&format!("p{n}@alliance.test"), "last_name"), "Moved", "{n}");
    }
    let left = world.texts("SELECT email FROM registrations WHERE subscription <> 'subscribed'");
    assert_eq!(left, Vec::<String>::new());
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_incremental_walk_over_a_moving_audience_misses_nobody() {
    let world = World::adopted(Policy::default(), |world| world.register_many(10)).await;
    world.sync().await;
    crowd(&world, 1_500);
    let person = world.person();
    let clock = world.clock.clone();
    let mut n = 0;
    world.tap.before_each(move |_, request| {
        if request.method == Method::Get && n < 10 {
            let entry = FormEntry::new().field("FNAME", format!("E{n}"));
            person.edit_preferences(&format!("p{n}@alliance.test"), &entry).unwrap();
            person.edit_preferences(&format!("left{n}@crowd.test"), &FormEntry::new()).unwrap();
            clock.advance(std::time::Duration::from_secs(1));
            n += 1;
        }
    });
    world.sync().await;
    assert!(world.tap.sent() >= 3);
    world.tap.calm();
    world.sync().await;
    for n in 0..3 {
        assert_eq!(world.column(&format!("p{n}@alliance.test"), "first_name"), format!("E{n}"));
    }
    world.assert_quiet().await;
}

#[tokio::test]
async fn more_than_a_page_of_one_second_is_walked_whole() {
    for since_is_inclusive in [false, true] {
        let options = SandboxOptions { since_is_inclusive, ..SandboxOptions::default() };
        let mut world = World::adopted_as(Setup { options, ..Setup::default() }, |_| ()).await;
        world.cycle.limits.creations.more_than = 3_000;
        world.sync().await;
        for n in 0..1_100 {
            let email = format!("left{n}@crowd.test");
            world.person().staff_add(&email, &FormEntry::new()).unwrap();
            if n % 20 != 0 {
                world.person().unsubscribe(&email).unwrap();
            }
        }
        let report = world.sync().await;
        assert!(report.observed.remote >= 1_100, "{report:?}");
        assert_eq!(world.rows(), 55, "{report:?}");
        world.assert_both("left1080@crowd.test", "subscribed");
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn whether_since_is_inclusive_or_not_makes_no_difference() {
    for since_is_inclusive in [false, true] {
        let options = SandboxOptions { since_is_inclusive, ..SandboxOptions::default() };
        let setup = Setup { options, ..Setup::default() };
        let world = World::adopted_as(setup, |world| world.register_many(3)).await;
        world.sync().await;
        for round in 0..3 {
            let entry = FormEntry::new().field("FNAME", format!("R{round}"));
            world.person().edit_preferences("p1@alliance.test", &entry).unwrap();
            world.sync().await;
            assert_eq!(world.column("p1@alliance.test", "first_name"), format!("R{round}"));
        }
        world.person().unsubscribe("p2@alliance.test").unwrap();
        world.sync().await;
        world.assert_both("p2@alliance.test", "unsubscribed");
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn contacts_with_odd_ids_are_like_all_others() {
    let options = SandboxOptions { odd_id_every: Some(1), ..SandboxOptions::default() };
    let world = World::adopted_as(Setup { options, ..Setup::default() }, |world| {
        world.register_many(5);
        world.person().staff_add("p1@alliance.test", &FormEntry::new()).unwrap();
        world.person().staff_add("odd@alliance.test", &FormEntry::new()).unwrap();
    })
    .await;
    world.sync().await;
    world.leave("p1@alliance.test");
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 3");
    world.sql("UPDATE registrations SET email = 'moved@alliance.test', updated_at = :now WHERE id = 4");
    world.sql("DELETE FROM registrations WHERE id = 5");
    world.person().unsubscribe("odd@alliance.test").unwrap();
    world.sync().await;
    world.assert_both("p1@alliance.test", "unsubscribed");
    world.assert_both("odd@alliance.test", "unsubscribed");
    world.assert_both("moved@alliance.test", "subscribed");
    assert_eq!(world.field("p2@alliance.test", "LNAME"), "Byron");
    assert_eq!(world.status("p4@alliance.test"), "archived");
    world.assert_quiet().await;
    world.sync_full().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn somebody_who_leaves_between_observation_and_invitation_is_not_asked() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    world.person().unsubscribe("p1@alliance.test").unwrap();
    world.sync().await;
    world.later(3600);
    world.says("p1@alliance.test", "subscribed");
    let path = world.directory.path().join("registrations.db");
    let mut written = false;
    world.tap.before_each(move |number, request| {
        if number == 3 && request.method == Method::Get && !written {
            written = true;
            let website = rusqlite::Connection::open(&path).unwrap();
            website
                .execute_batch(
                    "UPDATE registrations SET subscription = 'unsubscribed',
                     subscription_changed_at = '2026-03-01T14:00:00Z' WHERE id = 2",
                )
                .unwrap();
        }
    });
    world.later(3600);
    world.sync().await;
    world.tap.calm();
    world.sync().await;
    world.sync().await;
    assert_eq!(world.says_locally("p1@alliance.test"), "unsubscribed");
    assert_ne!(world.status("p1@alliance.test"), "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn somebody_who_leaves_in_mailchimp_right_before_a_write_stays_out() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 2");
    let person = world.person();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Patch {
            let _ = person.unsubscribe("p1@alliance.test");
        }
    });
    world.sync().await;
    world.tap.calm();
    world.sync().await;
    world.assert_both("p1@alliance.test", "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn somebody_who_signs_up_by_the_form_right_before_their_bulk_creation_is_one_person() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    world.register("ada@alliance.test", "Ada");
    let person = world.person();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Post {
            let _ = person.subscribe_by_form("ada@alliance.test", &FormEntry::new().tick("Water"));
        }
    });
    world.sync().await;
    world.tap.calm();
    world.sync().await;
    world.sync().await;
    world.assert_both("ada@alliance.test", "subscribed");
    assert_eq!(
        (world.field("ada@alliance.test", "FNAME"), world.interests("ada@alliance.test")),
        ("Ada".to_owned(), vec!["Water".to_owned()])
    );
    assert_eq!(world.rows(), 4);
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn somebody_whom_mailchimp_knows_from_orders_alone_starts_at_a_new_address() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    let hash = rosterd::model::EmailAddress::parse("p1@alliance.test").unwrap().hash();
    let shop = rosterd::mailchimp::transport::Request {
        method: Method::Put,
        target: format!("/lists/{}/members/{}", world.sandbox.audience_id(), hash.as_str()),
        body: Some(br#"{"email_address":"p1@alliance.test","status":"transactional"}"#.to_vec()),
        authorization: Some(format!("Bearer {}", world.sandbox.api_key())),
    };
    assert_eq!(world.sandbox.answer(shop).await.unwrap().status, 200);
    assert_eq!(world.status("p1@alliance.test"), "transactional");
    world.sql("UPDATE registrations SET email = 'moved@alliance.test', updated_at = :now WHERE id = 2");
    world.sync().await;
    world.sync().await;
    world.assert_both("moved@alliance.test", "subscribed");
    assert_eq!(world.status("p1@alliance.test"), "transactional");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

/// What is created in bulk is known by the id of its path: Mailchimp's own comes with the next page, and stays.
#[tokio::test]
async fn somebody_created_in_bulk_is_known_by_their_own_id_from_the_next_page_on() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    let base_of = async |email: &str| {
        let name = MemberName::Address(EmailAddress::parse(email).unwrap());
        let members = world.cycle.state.find_members(name).await.unwrap();
        let trio = world.cycle.state.trio(members[0], world.clock.now()).await.unwrap().unwrap();
        (trio.base.unwrap().contact.unwrap().0, trio.remote.unwrap())
    };
    let (by_path, created) = base_of("p1@alliance.test").await;
    assert_eq!(by_path.as_str(), created.path_id, "the answer to a creation in bulk names no other");
    let report = world.sync().await;
    assert_eq!((report.planned, report.requests), (0, 2), "{report:?}");
    let (own, shown) = base_of("p1@alliance.test").await;
    assert_eq!(own, shown.contact_id);
    assert_ne!(own.as_str(), shown.path_id);
    world.assert_quiet().await;
    world.person().change_address("p1@alliance.test", "moved@alliance.test").unwrap();
    world.sync().await;
    world.assert_both("moved@alliance.test", "subscribed");
    assert_eq!((world.rows(), base_of("moved@alliance.test").await.0), (3, own));
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}
