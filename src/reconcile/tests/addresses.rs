//! Changes of address, both ways, and their collisions.

use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Unsubscribed};
use crate::reconcile::plan::{Conflict, Operation};
use crate::reconcile::tests::world::{Fate, World, at, contact, email, row, tag};

#[track_caller]
fn rests_at(world: &World, name: &str) {
    assert!(world.local.iter().all(|row| row.email == email(name)), "local: {:?}", world.local);
    assert_eq!(world.remote.as_ref().map(|contact| &contact.email), Some(&email(name)));
}

#[test]
fn an_address_travels_both_ways() {
    let mut world = World::settled();
    world.local[0].email = email("b");
    assert_eq!(world.cycle(), ["remote rename b"]);
    rests_at(&world, "b");
    world.remote.as_mut().unwrap().email = email("c");
    assert_eq!(world.cycle(), ["local rename b c"]);
    rests_at(&world, "c");
    // The same change on both sides.
    world.local[0].email = email("d");
    world.remote.as_mut().unwrap().email = email("d");
    assert_eq!(world.cycle(), Vec::<String>::new());
    world.local[0].email = email("e");
    assert_eq!(world.cycle(), ["remote rename e"]);
}

#[test]
fn a_rename_whose_outcome_is_lost_meets_itself() {
    for moved_locally in [true, false] {
        let mut world = World::settled();
        match moved_locally {
            true => world.local[0].email = email("b"),
            false => world.remote.as_mut().unwrap().email = email("b"),
        }
        world.round(|_| Fate::OutcomeLost);
        assert_eq!(world.cycle(), Vec::<String>::new());
        rests_at(&world, "b");
    }
}

#[test]
fn rows_that_stayed_behind_follow() {
    for edited in [0, 1] {
        let rows = vec![row("1", "a", Subscribed, 0), row("2", "a", Subscribed, 10)];
        let mut world = World::new(rows, Some(contact("c1", "a", Subscribed, 11)));
        world.cycle();
        world.local[edited].email = email("b");
        assert_eq!(world.cycle(), ["remote rename b", "local rename a b"]);
        rests_at(&world, "b");
    }
}

#[test]
fn an_address_changed_before_the_first_agreement_travels() {
    // The first adoption was held for days, and the person went on.
    let mut world = World::new(vec![row("1", "b", Subscribed, 50)], Some(contact("c1", "a", Subscribed, 1)));
    assert_eq!(world.round(|_| Fate::LeftOut), Vec::<String>::new());
    assert_eq!(world.cycle(), ["remote rename b"]);
    rests_at(&world, "b");
    let mut world = World::new(vec![row("1", "a", Subscribed, 1)], Some(contact("c1", "b", Subscribed, 50)));
    assert_eq!(world.round(|_| Fate::LeftOut), Vec::<String>::new());
    assert_eq!(world.cycle(), ["local rename a b"]);
    rests_at(&world, "b");
}

#[test]
fn a_collision_is_never_a_merge_of_two_people() {
    let mut world = World::settled();
    world.local[0].email = email("b");
    world.taken_remotely = true;
    assert_eq!(world.cycle(), Vec::<String>::new());
    assert_eq!(world.plan().conflicts, [Conflict::AddressTakenRemotely]);
    assert!(world.plan().waits.is_some());
    assert!(world.note().contains("staff must decide"));
    world.taken_remotely = false;
    assert_eq!(world.cycle(), ["remote rename b"]);
    assert_eq!(world.note(), "");

    let mut world = World::new(vec![row("1", "a", Subscribed, 1)], None);
    world.taken_remotely = true;
    assert_eq!(world.cycle(), Vec::<String>::new());
    assert_eq!(world.plan().conflicts, [Conflict::AddressTakenRemotely]);
    world.taken_remotely = false;
    assert_eq!(world.cycle(), ["remote create subscribed a"]);

    let mut world = World::settled();
    world.remote.as_mut().unwrap().email = email("b");
    world.taken_locally = true;
    assert_eq!(world.cycle(), Vec::<String>::new());
    assert_eq!(world.plan().conflicts, [Conflict::AddressTakenLocally]);

    let mut world = World::settled();
    world.local[0].email = email("b");
    world.remote.as_mut().unwrap().email = email("c");
    assert_eq!(world.cycle(), Vec::<String>::new());
    assert_eq!(world.plan().conflicts, [Conflict::AddressChangedTwice]);
    // An opt-out goes across all the same.
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
}

#[test]
fn a_pending_member_who_moves_is_asked_at_the_new_address() {
    let mut world = World::new(vec![row("1", "a", Pending, 0)], None);
    world.cycle();
    world.local[0].email = email("b");
    assert_eq!(world.cycle(), ["remote leave", "remote create pending b"]);
    assert_eq!(world.behind[0].status, Unsubscribed);
    assert_eq!(world.asked, [email("a"), email("b")]);
    assert_eq!(world.cycle(), Vec::<String>::new());
}

#[test]
fn a_new_address_after_a_bounce_starts_afresh() {
    let mut world = World::settled();
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), "Ada".to_owned());
    world.cycle();
    world.person_in_mailchimp(Cleaned);
    assert_eq!(world.cycle(), ["local cleaned"]);
    assert!(world.note().contains("bounces"));
    world.cycle();
    assert!(world.note().contains("bounces"), "the note lasts");
    world.local[0].email = email("b");
    assert_eq!(world.cycle(), ["remote create subscribed b", "local subscribed"]);
    assert_eq!(world.behind[0].status, Cleaned, "the old one stays as it is");
    assert_eq!(world.remote.as_ref().unwrap().fields[&tag("FNAME")], "Ada");
    assert_eq!(world.note(), "");
    rests_at(&world, "b");
}

#[test]
fn the_new_address_of_somebody_who_left_waits_for_their_return() {
    for status in [Unsubscribed, Archived] {
        let mut world = World::settled();
        world.person_in_mailchimp(status);
        world.cycle();
        world.local[0].email = email("b");
        assert_eq!(world.cycle(), Vec::<String>::new());
        world.person_on_website(Subscribed);
        assert_eq!(world.cycle(), ["remote create pending b", "local pending"]);
        assert_eq!(world.asked, [email("b")], "asked where they are");
        assert_eq!(world.behind[0].status, status, "the old one stays out");
    }
    // They come back in Mailchimp: the contact is theirs, and is renamed.
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    world.local[0].email = email("b");
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["remote rename b", "local subscribed"]);
}

#[test]
fn nobody_is_asked_at_an_address_they_left() {
    let mut world = World::settled();
    world.local[0].email = email("b");
    world.person_on_website(Pending);
    assert_eq!(world.planned(), ["remote rename b"]);
    assert_eq!(world.cycle(), ["remote rename b", "remote pending"]);
    assert_eq!(world.asked, [email("b")]);
    // Where the new address is somebody else's, nobody is asked at all.
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.local[0].email = email("b");
    world.taken_remotely = true;
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), Vec::<String>::new());
    assert!(world.asked.is_empty());
}

#[test]
fn a_contact_is_created_anew_at_the_address_the_row_moved_to() {
    let mut world = World::settled();
    world.remote = None;
    world.cycle();
    world.local.push(row("2", "a", Subscribed, world.now));
    world.local[0].email = email("b");
    world.now += 5;
    let plan = world.plan();
    let created = plan.operations.iter().find_map(|planned| match &planned.operation {
        Operation::RemoteCreate { email, .. } => Some(email.clone()),
        _ => None,
    });
    assert_eq!(created, Some(email("b")));
    assert!(world.base.as_ref().unwrap().consent.opted_out_at > Some(at(0)));
}
