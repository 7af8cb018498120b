//! Working groups: who is in one follows from what members say, whichever side they say it on.

use rosterd::model::Interest;
use rosterd::reconcile::policy::{Policy, WorkingGroup};
use rosterd::registrations::mapping::{GroupMapping, RegisterMapping};
use rosterd::sandbox::{FormEntry, SandboxOptions};

use crate::world::{Setup, Topics, World};

const ADA: &str = "ada@alliance.test";
const TAG: &str = "WG: Finance";

fn setup() -> Setup {
    let group = WorkingGroup {
        name: "Finance".to_owned(),
        tag: TAG.to_owned(),
        any: [Interest::parse("topic:Finance").unwrap()].into(),
        ..WorkingGroup::default()
    };
    let table = GroupMapping {
        table: "groups_of_members".to_owned(),
        registration_id: "registration_id".to_owned(),
        name: "name".to_owned(),
    };
    Setup {
        policy: Policy { working_groups: vec![group], ..Policy::default() },
        register: RegisterMapping { working_groups: Some(table), ..RegisterMapping::default() },
        ..Setup::default()
    }
}

async fn with_ada() -> World {
    World::adopted_as(setup(), |world| world.register(ADA, "Ada")).await
}

fn groups(world: &World) -> Vec<String> {
    world.texts("SELECT name FROM groups_of_members ORDER BY name")
}

#[tokio::test]
async fn joining_and_leaving_on_the_website_shows_in_one_cycle() {
    let world = with_ada().await;
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Finance')");
    world.sync().await;
    assert_eq!((world.tags(ADA), groups(&world)), (vec![TAG.to_owned()], vec!["Finance".to_owned()]));
    world.assert_quiet().await;
    world.sql("DELETE FROM registration_interests");
    world.sync().await;
    assert_eq!((world.tags(ADA), groups(&world)), (vec![], vec![]));
    world.assert_quiet().await;
    assert_eq!(world.sandbox.counters().tag_automations, 0);
}

#[tokio::test]
async fn joining_and_leaving_in_the_preference_center_shows_in_one_cycle() {
    let world = with_ada().await;
    world.person().edit_preferences(ADA, &FormEntry::new().tick("Finance")).unwrap();
    world.sync().await;
    assert_eq!((world.tags(ADA), groups(&world)), (vec![TAG.to_owned()], vec!["Finance".to_owned()]));
    world.assert_quiet().await;
    world.person().edit_preferences(ADA, &FormEntry::new().clear("Finance")).unwrap();
    world.sync().await;
    assert_eq!((world.tags(ADA), groups(&world)), (vec![], vec![]));
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_row_that_is_removed_leaves_its_groups_and_nobody_inherits_them() {
    let world = with_ada().await;
    world.register("ben@alliance.test", "Ben");
    world.sql("INSERT INTO registration_interests SELECT id, 'topic', 'Finance' FROM registrations");
    world.sync().await;
    assert_eq!(groups(&world).len(), 2);
    world.sql("DELETE FROM registrations WHERE id = 2");
    world.sync().await;
    assert_eq!(groups(&world), ["Finance"], "Ada's");
    world.sql("UPDATE registrations SET deleted_at = :now, updated_at = :now");
    world.sync().await;
    assert_eq!(groups(&world), [""; 0]);
    world.register("cleo@alliance.test", "Cleo");
    world.sync().await;
    assert_eq!(groups(&world), [""; 0], "her row may have the key of another");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_new_registration_is_created_with_its_groups_tag() {
    let world = with_ada().await;
    world.register("ben@alliance.test", "Ben");
    world.sql("INSERT INTO registration_interests VALUES (2, 'topic', 'Finance')");
    world.sandbox.reset_log();
    world.sync().await;
    assert_eq!(world.tags("ben@alliance.test"), [TAG]);
    let tag_calls = world.sandbox.log().into_iter().filter(|request| request.path.ends_with("/tags")).count();
    assert_eq!(tag_calls, 0);
    assert_eq!(groups(&world), ["Finance"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_subscriber_of_mailchimps_form_joins_their_group() {
    let world = with_ada().await;
    world.person().subscribe_by_form("ben@alliance.test", &FormEntry::new().tick("Finance")).unwrap();
    world.sync().await;
    assert_eq!(world.tags("ben@alliance.test"), [TAG]);
    assert_eq!(groups(&world), ["Finance"]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn who_left_belongs_to_no_group_at_once_while_the_tag_waits() {
    let world = with_ada().await;
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Finance')");
    world.sync().await;
    world.person().unsubscribe(ADA).unwrap();
    world.sync().await;
    assert_eq!((groups(&world), world.tags(ADA)), (vec![], vec![TAG.to_owned()]));
    world.assert_quiet().await;
    world.sql("DELETE FROM registration_interests");
    world.sync().await;
    assert_eq!(world.tags(ADA), [TAG]);
    world.later(3600);
    world.person().subscribe_by_form(ADA, &FormEntry::new().clear("Finance")).unwrap();
    world.sync().await;
    assert_eq!((groups(&world), world.tags(ADA)), (vec![], vec![]));
    world.assert_both(ADA, "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn tags_made_by_staff_are_never_touched() {
    let world = with_ada().await;
    world.person().staff_add_tag(ADA, "VIP").unwrap();
    world.person().staff_add_tag(ADA, TAG).unwrap();
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Finance')");
    world.sync().await;
    world.sql("DELETE FROM registration_interests");
    world.sync_full().await;
    assert_eq!(world.tags(ADA), ["VIP"], "Rosterd's own tag follows the rule, the other is theirs");
    world.assert_quiet().await;
}

#[tokio::test]
async fn tag_changes_that_move_no_time_are_found_by_the_full_cycle() {
    let options = SandboxOptions { tags_move_last_changed: false, ..SandboxOptions::default() };
    let world = World::adopted_as(Setup { options, ..setup() }, |world| world.register(ADA, "Ada")).await;
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Finance')");
    world.sync().await;
    assert_eq!(world.tags(ADA), [TAG]);
    world.assert_quiet().await;
    world.later(3600);
    world.person().staff_remove_tag(ADA, TAG).unwrap();
    world.sync().await;
    assert_eq!(world.tags(ADA), Vec::<String>::new(), "nothing tells of it");
    world.sync_full().await;
    assert_eq!(world.tags(ADA), [TAG]);
    world.assert_quiet().await;
}

#[tokio::test]
async fn interests_that_are_tags_travel_both_ways_however_many_tags_there_are() {
    for tags_move_last_changed in [true, false] {
        let options = SandboxOptions { tags_move_last_changed, ..SandboxOptions::default() };
        let setup = Setup { options, topics: Topics::Tags, ..setup() };
        let world = World::adopted_as(setup, |world| world.register(ADA, "Ada")).await;
        for n in 0..70 {
            world.person().staff_add_tag(ADA, &format!("staff {n}")).unwrap();
        }
        world.person().staff_add_tag(ADA, "topic: Water").unwrap();
        world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Finance')");
        world.sync_full().await;
        let tags = world.tags_of_rosterd(ADA).await;
        assert_eq!(tags, ["topic: Finance", "topic: Water", TAG].map(str::to_owned).into());
        assert_eq!(world.interests(ADA), ["Finance", "Water"]);
        world.assert_quiet().await;
        world.sql("DELETE FROM registration_interests WHERE interest = 'Water'");
        world.person().staff_remove_tag(ADA, "topic: Finance").unwrap();
        world.sync_full().await;
        assert_eq!(world.tags_of_rosterd(ADA).await, Default::default());
        assert_eq!(world.interests(ADA), Vec::<String>::new());
        world.assert_quiet().await;
    }
}
