//! Power cuts: at every request, before and after its effect, and at any other point of a cycle.

use rosterd::cycle::Adoption;
use rosterd::observe::Scope;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::FormEntry;

use crate::tap::{Moment, until_poll};
use crate::world::World;

/// Both sides before they meet: people on both, on one, and one who left.
fn before_the_adoption(world: &World) {
    for name in ["ada", "ben"] {
        let email = format!("{name}@alliance.test");
        world.register(&email, name);
        world.person().staff_add(&email, &FormEntry::new().field("LNAME", "Remote")).unwrap();
    }
    world.register("here@alliance.test", "Here");
    world.register("here.too@alliance.test", "Too");
    world.person().staff_add("there@alliance.test", &FormEntry::new().field("FNAME", "There")).unwrap();
    world.sql("INSERT INTO registration_interests VALUES (1, 'topic', 'Health')");
}

/// Contacts that stay behind when their members move: one who was to confirm, one who had left, one who bounced.
const LEFT: [&str; 3] = ["wait@alliance.test", "gone@alliance.test", "p7@alliance.test"];

/// A day on which everything happens.
async fn before_an_ordinary_cycle() -> World {
    let world = World::adopted(Policy::default(), |world| {
        world.register_many(8);
        world.register("back@alliance.test", "Back");
        world.register("gone@alliance.test", "Gone");
    })
    .await;
    world.register("wait@alliance.test", "Wait");
    world.says("wait@alliance.test", "pending");
    world.sync().await;
    world.person().unsubscribe("back@alliance.test").unwrap();
    world.person().unsubscribe("gone@alliance.test").unwrap();
    world.person().bounce("p7@alliance.test").unwrap();
    world.sync().await;
    world.later(3600);
    world.says("back@alliance.test", "subscribed");
    world.says("gone@alliance.test", "subscribed");
    for name in ["wait", "gone", "p7"] {
        world.sql(&format!(
            "UPDATE registrations SET email = '{name}@moved.test', updated_at = :now
             WHERE email = '{name}@alliance.test'"
        ));
    }
    world.leave("p0@alliance.test");
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 2");
    world.sql("UPDATE registrations SET email = 'moved@alliance.test', updated_at = :now WHERE id = 3");
    world.sql("DELETE FROM registrations WHERE id = 4");
    world.register("new@alliance.test", "New");
    world.register("newer@alliance.test", "Newer");
    let person = world.person();
    person
        .edit_preferences("p4@alliance.test", &FormEntry::new().field("FNAME", "Edited").tick("Water"))
        .unwrap();
    person.unsubscribe("p5@alliance.test").unwrap();
    person.change_address("p6@alliance.test", "p6@moved.test").unwrap();
    person.subscribe_by_form("form@alliance.test", &FormEntry::new().field("FNAME", "Form")).unwrap();
    world
}

async fn assert_adopted(world: &World) {
    world.assert_in_step();
    assert_eq!((world.rows(), world.sandbox.addresses().len()), (5, 5));
    assert_eq!(world.ticked("ada@alliance.test"), 1);
    world.assert_nobody_mailed();
    assert_eq!(world.parked().await, []);
    world.assert_quiet().await;
}

async fn assert_the_day_is_done(world: &World, what: &str) {
    assert_eq!(world.status("p3@alliance.test"), "archived", "{what}");
    world.assert_in_step_but_for(&LEFT);
    for (email, status) in [
        ("wait@alliance.test", "unsubscribed"),
        ("wait@moved.test", "pending"),
        ("gone@alliance.test", "unsubscribed"),
        ("gone@moved.test", "pending"),
        ("p7@alliance.test", "cleaned"),
        ("p7@moved.test", "subscribed"),
        ("p0@alliance.test", "unsubscribed"),
        ("p5@alliance.test", "unsubscribed"),
        ("back@alliance.test", "pending"),
        ("moved@alliance.test", "subscribed"),
        ("p6@moved.test", "subscribed"),
        ("form@alliance.test", "subscribed"),
        ("newer@alliance.test", "subscribed"),
    ] {
        assert_eq!(world.status(email), status, "{what}: {email}");
    }
    assert_eq!(world.column("p4@alliance.test", "first_name"), "Edited", "{what}");
    assert_eq!(world.interests("p4@alliance.test"), ["Water"], "{what}");
    assert_eq!((world.rows(), world.sandbox.addresses().len()), (13, 17), "{what}");
    let mails = world.sandbox.counters().confirmation_mails;
    let asked = ["back@alliance.test", "gone@moved.test", "wait@alliance.test", "wait@moved.test"];
    assert_eq!(mails.into_iter().collect::<Vec<_>>(), asked.map(|email| (email.to_owned(), 1)), "{what}");
    assert_eq!(world.parked().await, [], "{what}");
    world.assert_quiet().await;
}

/// Two cycles after a start on the same files.
async fn start_again(world: World) -> World {
    let world = world.restart().await;
    world.later(60);
    world.cycle.run(Scope::Incremental, Adoption::Yes).await.unwrap();
    world.sync().await;
    world
}

async fn cut_an_adoption(moment: Moment) {
    let mut request = 1;
    loop {
        let world = World::new(Policy::default()).await;
        before_the_adoption(&world);
        let tap = world.tap.clone();
        let cycle = world.cycle.run(Scope::Full, Adoption::Yes);
        let ended = tap.until_power_cut(request, moment, cycle).await;
        let world = start_again(world).await;
        assert_adopted(&world).await;
        if ended.is_some() {
            assert!(request > 8, "{request}");
            return;
        }
        request += 1;
    }
}

async fn cut_an_ordinary_cycle(moment: Moment) {
    let mut request = 1;
    loop {
        let world = before_an_ordinary_cycle().await;
        let tap = world.tap.clone();
        world.later(60);
        let cycle = world.cycle.run(Scope::Incremental, Adoption::Ask);
        let ended = tap.until_power_cut(request, moment, cycle).await;
        let world = start_again(world).await;
        assert_the_day_is_done(&world, &format!("{moment:?} request {request}")).await;
        if ended.is_some() {
            assert!(request > 8, "{request}");
            return;
        }
        request += 1;
    }
}

#[tokio::test]
async fn an_adoption_cut_before_any_request_is_made_whole() {
    cut_an_adoption(Moment::Before).await;
}

#[tokio::test]
async fn an_adoption_cut_after_any_request_is_made_whole() {
    cut_an_adoption(Moment::After).await;
}

#[tokio::test]
async fn an_ordinary_cycle_cut_before_any_request_is_made_whole() {
    cut_an_ordinary_cycle(Moment::Before).await;
}

#[tokio::test]
async fn an_ordinary_cycle_cut_after_any_request_is_made_whole() {
    cut_an_ordinary_cycle(Moment::After).await;
}

#[tokio::test]
async fn an_adoption_cut_at_any_other_point_is_made_whole() {
    let mut polls = 1;
    loop {
        let world = World::new(Policy::default()).await;
        before_the_adoption(&world);
        let ended = until_poll(polls, world.cycle.run(Scope::Full, Adoption::Yes)).await;
        let world = start_again(world).await;
        assert_adopted(&world).await;
        if ended.is_some() {
            // How many there are depends on what is ready at once.
            assert!(polls > 10, "{polls}");
            return;
        }
        polls += if polls < 40 { 2 } else { 9 };
    }
}

#[tokio::test]
async fn an_ordinary_cycle_cut_at_any_other_point_is_made_whole() {
    let mut polls = 1;
    loop {
        let world = before_an_ordinary_cycle().await;
        world.later(60);
        let ended = until_poll(polls, world.cycle.run(Scope::Incremental, Adoption::Ask)).await;
        let world = start_again(world).await;
        assert_the_day_is_done(&world, &format!("poll {polls}")).await;
        if ended.is_some() {
            // How many there are depends on what is ready at once.
            assert!(polls > 10, "{polls}");
            return;
        }
        polls += if polls < 40 { 2 } else { 9 };
    }
}

#[tokio::test]
async fn creations_that_a_power_cut_left_unknown_are_not_counted_twice() {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.sql("BEGIN");
    for n in 0..300 {
        world.register(&format!("new{n}@alliance.test"), "New");
    }
    world.sql("COMMIT");
    let tap = world.tap.clone();
    world.later(60);
    // The two walks come first.
    let cycle = world.cycle.run(Scope::Incremental, Adoption::Ask);
    assert!(tap.until_power_cut(3, Moment::Before, cycle).await.is_none());
    let world = start_again(world).await;
    assert_eq!(world.cycle.state.holds().await.unwrap(), [], "300 and the same 300 are not 600");
    world.assert_both("new0@alliance.test", "subscribed");
    world.assert_quiet().await;
}
