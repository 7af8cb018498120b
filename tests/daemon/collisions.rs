//! Where two people, two rows or two edits meet: nobody is merged with anybody, and staff are told.

use rosterd::mailchimp::transport::Method;
use rosterd::reconcile::policy::{Policy, Prefer};
use rosterd::sandbox::{Fault, FaultKind, FormEntry};

use crate::world::{Setup, Topics, World};

const ADA: &str = "ada@alliance.test";
const BEN: &str = "ben@alliance.test";

async fn ada_and_ben() -> World {
    let world = World::adopted(Policy::default(), |world| {
        world.register(ADA, "Ada");
        world.register(BEN, "Ben");
    })
    .await;
    // Bulk creation names no contact id: only the next walk does, and an address that changes before is a stranger's.
    world.sync().await;
    world
}

#[tokio::test]
async fn an_address_taken_in_mailchimp_is_a_conflict_until_it_is_free() {
    let world = ada_and_ben().await;
    world.person().staff_add("ada@byron.test", &FormEntry::new().field("FNAME", "Other")).unwrap();
    world.person().unsubscribe("ada@byron.test").unwrap();
    world.sync().await;
    world.sql("UPDATE registrations SET email = 'ada@byron.test', updated_at = :now WHERE id = 1");
    world.sync().await;
    assert!(world.note("ada@byron.test").contains("staff must decide"), "{}", world.note("ada@byron.test"));
    assert_eq!(
        (world.status(ADA).as_str(), world.status("ada@byron.test").as_str()),
        ("subscribed", "unsubscribed")
    );
    assert_eq!(world.field("ada@byron.test", "FNAME"), "Other");
    world.assert_quiet().await;
    world.person().staff_delete_permanently("ada@byron.test").unwrap();
    world.sync_full().await;
    world.sync().await;
    world.assert_nobody_mailed();
    assert_eq!(world.status("ada@byron.test"), "", "forgotten: the rename is refused");
    assert_eq!(world.status(ADA), "subscribed");
}

#[tokio::test]
async fn an_address_taken_in_the_register_is_a_conflict() {
    let world = ada_and_ben().await;
    world.register("third@alliance.test", "Third");
    world.leave("third@alliance.test");
    world.sync().await;
    assert_eq!(world.status("third@alliance.test"), "", "nothing to create");
    world.person().change_address(ADA, "third@alliance.test").unwrap();
    world.sync().await;
    world.sync_full().await;
    assert!(world.note(ADA).contains("staff must decide"), "{}", world.note(ADA));
    assert_eq!(world.texts("SELECT first_name FROM registrations ORDER BY id"), ["Ada", "Ben", "Third"]);
    assert_eq!(world.field("third@alliance.test", "FNAME"), "Ada", "nobody is merged");
    assert_eq!(world.says_locally("third@alliance.test"), "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_linked_row_that_takes_another_members_address_is_a_conflict() {
    let world = ada_and_ben().await;
    world.sql(&format!("UPDATE registrations SET email = '{BEN}', updated_at = :now WHERE id = 1"));
    world.sync().await;
    world.sync_full().await;
    assert_eq!((world.field(ADA, "FNAME").as_str(), world.field(BEN, "FNAME").as_str()), ("Ada", "Ben"));
    assert_eq!(world.texts("SELECT first_name FROM registrations ORDER BY id"), ["Ada", "Ben"]);
    assert!(world.texts("SELECT IFNULL(sync_note, '') FROM registrations WHERE id = 1")[0].contains("staff"));
    world.assert_quiet().await;
    world.sql(&format!("UPDATE registrations SET email = '{ADA}', updated_at = :now WHERE id = 1"));
    world.sync().await;
    world.assert_in_step();
    assert_eq!(world.note(ADA), "");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_whose_creation_nobody_heard_of_is_not_yet_somebody() {
    let world = ada_and_ben().await;
    world.register("adda@alliance.test", "Ada");
    world.sandbox.faults().add(Fault::new(FaultKind::CutBefore).on_method(Method::Post));
    world.sync().await;
    world.sql("UPDATE registrations SET email = 'ada@alliance.test', updated_at = :now WHERE id = 3");
    world.sync().await;
    world.sync().await;
    assert_eq!(world.texts("SELECT DISTINCT coalesce(sync_note, '') FROM registrations"), [""]);
    assert_eq!(world.status("adda@alliance.test"), "", "a slip of the pen is nobody");
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_address_changed_on_both_sides_is_a_conflict_until_both_agree() {
    let world = ada_and_ben().await;
    world.sql("UPDATE registrations SET email = 'ada@byron.test', updated_at = :now WHERE id = 1");
    world.person().change_address(ADA, "ada@lovelace.test").unwrap();
    world.sync().await;
    assert!(world.note("ada@byron.test").contains("both sides"), "{}", world.note("ada@byron.test"));
    assert_eq!(
        (world.status("ada@lovelace.test").as_str(), world.status("ada@byron.test").as_str()),
        ("subscribed", "")
    );
    world.assert_quiet().await;
    world.sql("UPDATE registrations SET email = 'ada@lovelace.test', updated_at = :now WHERE id = 1");
    world.sync().await;
    world.assert_both("ada@lovelace.test", "subscribed");
    assert_eq!(world.note("ada@lovelace.test"), "");
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn two_members_swap_their_addresses_in_the_register_and_nobody_is_lost() {
    let world = ada_and_ben().await;
    world.sql(&format!(
        "UPDATE registrations SET email = CASE id WHEN 1 THEN '{BEN}' ELSE '{ADA}' END, updated_at = :now"
    ));
    world.sync().await;
    world.sync_full().await;
    assert_eq!(world.rows(), 2);
    assert_eq!((world.status(ADA).as_str(), world.status(BEN).as_str()), ("subscribed", "subscribed"));
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_address_that_changes_its_letters_case_only_is_the_same_person() {
    let world = ada_and_ben().await;
    world.sql("UPDATE registrations SET email = 'Ada@Alliance.Test', updated_at = :now WHERE id = 1");
    world.sync().await;
    assert_eq!(world.note(ADA), "");
    assert_eq!(world.sandbox.addresses().len(), 2);
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_unusable_row_gets_its_note_and_recovers_when_it_is_mended() {
    let world = ada_and_ben().await;
    world.register("no address at all", "Carl");
    world.sql("UPDATE registrations SET email = 'broken', updated_at = :now WHERE id = 1");
    world.sync().await;
    for id in [1, 3] {
        let note = world.texts(&format!("SELECT IFNULL(sync_note, '') FROM registrations WHERE id = {id}"));
        assert_ne!(note, [""], "row {id}");
    }
    assert_eq!(world.status(ADA), "subscribed", "nobody is taken for gone");
    world.assert_quiet().await;
    world.sync_full().await;
    world.assert_quiet().await;
    world.sql("UPDATE registrations SET email = 'carl@alliance.test', updated_at = :now WHERE id = 3");
    world.sql("UPDATE registrations SET email = 'ada@byron.test', updated_at = :now WHERE id = 1");
    world.sync().await;
    world.assert_in_step();
    assert_eq!(
        (world.note("carl@alliance.test"), world.note("ada@byron.test")),
        (String::new(), String::new())
    );
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_field_edited_on_both_sides_follows_the_policy() {
    for (prefer, winner) in [(Prefer::Local, "L"), (Prefer::Remote, "R"), (Prefer::Newest, "R")] {
        let world = World::adopted(Policy { prefer, ..Policy::default() }, |world| {
            world.register(ADA, "Ada");
        })
        .await;
        world.sql("UPDATE registrations SET first_name = 'L', updated_at = :now");
        world.later(60);
        world.person().edit_preferences(ADA, &FormEntry::new().field("FNAME", "R")).unwrap();
        world.sync().await;
        assert_eq!(world.field(ADA, "FNAME"), winner, "{prefer:?}");
        assert_eq!(world.column(ADA, "first_name"), winner, "{prefer:?}");
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn a_radio_choice_clears_its_siblings_on_either_side() {
    let setup = Setup { topics: Topics::Radio, ..Setup::default() };
    let world = World::adopted_as(setup, |world| {
        world.register(ADA, "Ada");
        world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Health')");
    })
    .await;
    assert_eq!(world.ticked(ADA), 1);
    world.person().edit_preferences(ADA, &FormEntry::new().tick("Water")).unwrap();
    world.sync().await;
    assert_eq!(world.interests(ADA), ["Water"]);
    world.assert_quiet().await;
    world.sql("UPDATE registration_interests SET interest = 'Finance'");
    world.sync().await;
    assert_eq!((world.ticked(ADA), world.interests(ADA)), (1, vec!["Finance".to_owned()]));
    world.assert_quiet().await;
    world.sql("DELETE FROM registration_interests");
    world.sync().await;
    assert_eq!(world.ticked(ADA), 0);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_long_name_is_cut_by_mailchimp_and_stays_whole_in_the_register() {
    let world = ada_and_ben().await;
    let long = "Ädelheid ".repeat(60);
    world.sql(&format!("UPDATE registrations SET first_name = '{long}', updated_at = :now WHERE id = 1"));
    world.sync().await;
    assert!(world.field(ADA, "FNAME").len() <= 255);
    assert_eq!(world.column(ADA, "first_name"), long);
    world.assert_quiet().await;
    world.sync_full().await;
    assert_eq!(world.column(ADA, "first_name"), long);
    world.assert_quiet().await;
}
