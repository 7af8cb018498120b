//! The first meeting of both sides: whoever is a subscriber today has nothing to do.

use rosterd::cycle::Adoption;
use rosterd::observe::Scope;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::FormEntry;
use rosterd::state::Decision;

use crate::world::World;

/// Six people on both sides, with differences of every kind, and a few on one side only.
fn both_sides(world: &World) {
    for name in ["ada", "ben", "cleo", "dora"] {
        world.register(&format!("{name}@alliance.test"), name);
        let entry = FormEntry::new().field("FNAME", name).tick("Finance");
        world.person().subscribe_by_form(&format!("{name}@alliance.test"), &entry).unwrap();
    }
    world.register("eve@alliance.test", "");
    world.person().staff_add("eve@alliance.test", &FormEntry::new().field("FNAME", "Eve")).unwrap();
    world.person().staff_add("only@there.test", &FormEntry::new().tick("Water")).unwrap();
    world.register("only@here.test", "Only");
    world.sql("INSERT INTO registration_interests SELECT id, 'topic', 'Health' FROM registrations");
    world.person().unsubscribe("cleo@alliance.test").unwrap();
    world.later(60);
    world.leave("dora@alliance.test");
}

async fn adopt(world: &World, adoption: Adoption) -> rosterd::cycle::Report {
    world.later(60);
    world.cycle.run(Scope::Incremental, adoption).await.unwrap()
}

#[tokio::test]
async fn existing_subscribers_are_adopted_without_a_mail_a_status_or_a_lost_interest() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    let report = adopt(&world, Adoption::Yes).await;
    world.assert_nobody_mailed();
    let statuses = world.sandbox.counters().status_writes;
    assert_eq!((report.held, statuses), (1, 0), "only dora's opt-out is asked for: {report:?}");
    for name in ["ada", "ben"] {
        let email = format!("{name}@alliance.test");
        world.assert_both(&email, "subscribed");
        assert_eq!(world.interests(&email), ["Finance", "Health"]);
        assert_eq!(world.ticked(&email), 2);
    }
    world.assert_both("cleo@alliance.test", "unsubscribed");
    assert_eq!(world.column("eve@alliance.test", "first_name"), "Eve");
    assert_eq!(world.interests("only@there.test"), ["Water"]);
    world.assert_both("only@here.test", "subscribed");
    assert_eq!(world.status("dora@alliance.test"), "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn the_opt_outs_of_the_first_adoption_wait_for_an_approval_of_their_own() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    adopt(&world, Adoption::Yes).await;
    let hold = world.hold().await;
    assert_eq!((hold.class.as_str(), hold.count), ("adoption_opt_outs", 1));
    world.cycle.state.approve(hold.id, world.clock.now()).await.unwrap();
    world.sync().await;
    world.assert_both("dora@alliance.test", "unsubscribed");
    assert_eq!(world.sandbox.counters().status_writes, 1);
    world.assert_quiet().await;
}

#[tokio::test]
async fn without_a_yes_nothing_is_written_until_the_hold_is_approved() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    let report = adopt(&world, Adoption::Ask).await;
    assert!(report.planned == report.held && report.applied == 0, "{report:?}");
    let again = world.sync().await;
    assert_eq!((again.held, again.applied), (report.held, 0), "the same is held: {again:?}");
    let writes = world.sandbox.log().into_iter().filter(|request| request.method != "GET").count();
    assert_eq!((writes, world.column("ada@alliance.test", "preferences_url")), (0, String::new()));
    let holds = world.cycle.state.holds().await.unwrap();
    let adoption = holds.iter().find(|hold| hold.class == "adoption").unwrap();
    world.cycle.state.approve(adoption.id.clone(), world.clock.now()).await.unwrap();
    world.sync().await;
    assert_eq!(world.ticked("ada@alliance.test"), 2);
    world.assert_both("only@here.test", "subscribed");
    assert_eq!(world.status("dora@alliance.test"), "subscribed", "asked for by itself");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn what_was_rejected_stays_back_and_can_still_be_approved() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    adopt(&world, Adoption::Yes).await;
    let hold = world.hold().await;
    world.cycle.state.reject(hold.id.clone(), world.clock.now()).await.unwrap();
    let report = world.sync().await;
    assert_eq!((report.planned, report.held), (0, 0), "a person has decided: {report:?}");
    world.sync_full().await;
    assert_eq!(world.status("dora@alliance.test"), "subscribed");
    assert_eq!(world.hold().await.decision, Decision::Rejected);
    world.cycle.state.approve(hold.id, world.clock.now()).await.unwrap();
    world.sync().await;
    assert_eq!(world.status("dora@alliance.test"), "unsubscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_approval_lets_through_what_was_listed_as_far_as_it_is_still_wanted() {
    let world = World::adopted(Policy::default(), |world| world.register_many(60)).await;
    world.sql("DELETE FROM registrations WHERE id <= 20");
    world.sync().await;
    let hold = world.hold().await;
    assert_eq!((hold.class.as_str(), hold.count), ("removals", 20));
    world.later(3600);
    world.register("p0@alliance.test", "Back");
    world.sql("DELETE FROM registrations WHERE id > 20 AND id <= 40");
    world.cycle.state.approve(hold.id, world.clock.now()).await.unwrap();
    let report = world.sync().await;
    assert_eq!(world.status("p0@alliance.test"), "subscribed", "came back before the approval: {report:?}");
    for n in 1..20 {
        assert_eq!(world.status(&format!("p{n}@alliance.test")), "archived", "p{n}");
    }
    assert_eq!(world.status("p25@alliance.test"), "subscribed", "came later: another hold");
    assert_eq!(world.hold().await.count, 20);
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_second_start_goes_on_where_the_first_ended() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    adopt(&world, Adoption::Yes).await;
    let world = world.restart().await;
    world.assert_quiet().await;
    world.register("new@alliance.test", "New");
    let report = world.sync().await;
    assert_eq!(
        (report.kind.as_str(), world.status("new@alliance.test").as_str()),
        ("incremental", "subscribed")
    );
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_adoption_that_is_asked_for_survives_a_start_in_between() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    let report = adopt(&world, Adoption::Ask).await;
    let world = world.restart().await;
    assert_eq!(world.sync().await.held, report.held);
    assert_eq!(adopt(&world, Adoption::Yes).await.held, 1);
    world.assert_both("only@here.test", "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn who_comes_while_the_adoption_waits_is_not_forgotten_when_it_is_approved() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    adopt(&world, Adoption::Ask).await;
    let first = world.cycle.state.holds().await.unwrap();
    let adoption = first.iter().find(|hold| hold.class == "adoption").unwrap();
    world.register("late@alliance.test", "Late");
    world.sync().await;
    assert_eq!(world.status("late@alliance.test"), "");
    world.cycle.state.approve(adoption.id.clone(), world.clock.now()).await.unwrap();
    world.sync().await;
    world.assert_both("late@alliance.test", "subscribed");
    world.assert_both("only@here.test", "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn who_registers_after_an_adoption_is_not_counted_with_it() {
    let world = World::adopted(Policy::default(), |world| world.register_many(600)).await;
    world.register("new@alliance.test", "New");
    let report = world.sync().await;
    assert_eq!((report.held, world.status("new@alliance.test").as_str()), (0, "subscribed"), "{report:?}");
    let trail = world.trail("p0@alliance.test").await;
    let created = trail.iter().find(|entry| entry.operation.kind() == "create").unwrap();
    assert_eq!(created.decided_by, "adoption", "by the person who said yes");
}

#[tokio::test]
async fn what_came_after_the_question_is_judged_as_on_every_other_day() {
    let world = World::new(Policy::default()).await;
    both_sides(&world);
    adopt(&world, Adoption::Ask).await;
    let first = world.cycle.state.holds().await.unwrap();
    let adoption = first.iter().find(|hold| hold.class == "adoption").unwrap();
    world.register_many(600);
    world.cycle.state.approve(adoption.id.clone(), world.clock.now()).await.unwrap();
    let report = world.sync().await;
    world.assert_both("only@here.test", "subscribed");
    assert_eq!(world.status("p0@alliance.test"), "", "nobody was asked about them: {report:?}");
    let holds = world.cycle.state.holds().await.unwrap();
    let held: Vec<(&str, u64)> = holds.iter().map(|hold| (hold.class.as_str(), hold.count)).collect();
    assert!(held.contains(&("creations", 600)), "{held:?}");
}

#[tokio::test]
async fn two_empty_sides_meet_and_the_first_registrations_are_no_surprise() {
    let world = World::new(Policy::default()).await;
    let report = adopt(&world, Adoption::Ask).await;
    assert_eq!((report.planned, report.held), (0, 0));
    world.register("ada@alliance.test", "Ada");
    world.sync().await;
    world.assert_both("ada@alliance.test", "subscribed");
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_lost_state_adopts_again_and_changes_nobody() {
    let world = World::adopted(Policy::default(), both_sides).await;
    world.person().unsubscribe("ada@alliance.test").unwrap();
    world.sync().await;
    world.later(3600);
    let world = world.lose_the_state().await;
    world.sandbox.reset_log();
    let report = adopt(&world, Adoption::Yes).await;
    world.assert_nobody_mailed();
    world.assert_both("ada@alliance.test", "unsubscribed");
    world.assert_both("ben@alliance.test", "subscribed");
    assert_eq!(world.sandbox.counters().status_writes, 0, "{report:?}");
    world.assert_quiet().await;
}
