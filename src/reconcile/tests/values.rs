//! Values, working groups and Rosterd's own columns, of members who are in and of members who left.

use std::collections::BTreeSet;

use crate::model::Interest;
use crate::model::SubscriptionStatus::{Archived, Cleaned, Subscribed, Unsubscribed};
use crate::reconcile::plan::{Conflict, Operation};
use crate::reconcile::policy::{Direction, FieldRule, Prefer};
use crate::reconcile::tests::world::{Fate, World, at, contact, row, tag};

fn say_locally(world: &mut World, name: &str) {
    world.local.last_mut().unwrap().fields.insert(tag("FNAME"), name.to_owned());
}

fn say_remotely(world: &mut World, name: &str) {
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), name.to_owned());
}

#[test]
fn the_changed_side_wins() {
    let mut world = World::settled();
    say_locally(&mut world, "Ada");
    assert_eq!(world.cycle(), ["remote update FNAME"]);
    say_remotely(&mut world, "Augusta");
    assert_eq!(world.cycle(), ["local update 1 FNAME"]);
    say_locally(&mut world, "");
    assert_eq!(world.cycle(), ["remote update FNAME"]);
}

#[test]
fn both_changed_and_the_loser_is_recorded() {
    for (prefer, expected) in
        [(Prefer::Local, "remote update FNAME"), (Prefer::Remote, "local update 1 FNAME")]
    {
        let mut world = World::settled();
        world.policy.prefer = prefer;
        say_locally(&mut world, "Ada");
        say_remotely(&mut world, "Augusta");
        assert!(matches!(world.plan().conflicts[..], [Conflict::Overwritten { .. }]));
        assert_eq!(world.cycle(), [expected]);
        assert!(world.plan().conflicts.is_empty());
    }
}

#[test]
fn whoever_is_created_brings_nothing_along_that_travels_the_other_way() {
    let cases = [
        (Direction::Both, "Ada", "Ada"),
        (Direction::ToMailchimp, "Ada", ""),
        (Direction::ToLocal, "", "Ada"),
    ];
    for (direction, in_mailchimp, in_the_register) in cases {
        let rule = FieldRule { direction, ..FieldRule::default() };
        let mut ours = row("1", "a", Subscribed, 0);
        ours.fields.insert(tag("FNAME"), "Ada".to_owned());
        let mut world = World::new(vec![ours], None);
        world.policy.fields.insert(tag("FNAME"), rule.clone());
        world.cycle();
        assert_eq!(world.remote.as_ref().unwrap().fields[&tag("FNAME")], in_mailchimp, "{direction:?}");
        let mut theirs = contact("c1", "a", Subscribed, 1);
        theirs.fields.insert(tag("FNAME"), "Ada".to_owned());
        let mut world = World::new(Vec::new(), Some(theirs));
        world.policy.fields.insert(tag("FNAME"), rule);
        world.cycle();
        assert_eq!(world.local[0].fields[&tag("FNAME")], in_the_register, "{direction:?}");
        assert_eq!(world.cycle(), Vec::<String>::new());
        assert_eq!(world.remote.as_ref().unwrap().fields[&tag("FNAME")], "Ada", "{direction:?}");
    }
}

#[test]
fn adoption_unites_and_fills() {
    let mut ours = row("1", "a", Subscribed, 0);
    ours.interests.insert(Interest::new("topic", "Finance"));
    let mut theirs = contact("c1", "a", Subscribed, 1);
    theirs.interests.insert(Interest::new("topic", "Health"));
    theirs.fields.insert(tag("FNAME"), "Ada".to_owned());
    let mut world = World::new(vec![ours], Some(theirs));
    world.cycle();
    let both = BTreeSet::from([Interest::new("topic", "Finance"), Interest::new("topic", "Health")]);
    assert_eq!(world.local[0].interests, both);
    assert_eq!(world.remote.as_ref().unwrap().interests, both);
    assert_eq!(world.local[0].fields[&tag("FNAME")], "Ada");
}

#[test]
fn to_somebody_who_left_nothing_is_sent() {
    for status in [Unsubscribed, Archived, Cleaned] {
        let mut world = World::settled();
        world.person_in_mailchimp(status);
        say_locally(&mut world, "Ada");
        world.local[0].interests.insert(Interest::new("topic", "Finance"));
        world.cycle();
        assert!(world.planned().is_empty());
        let contact = world.remote.as_ref().unwrap();
        assert_eq!((contact.fields[&tag("FNAME")].as_str(), contact.group_tags.len()), ("", 0), "{status}");
        // What changes in Mailchimp still comes in.
        world.remote.as_mut().unwrap().interests.insert(Interest::new("topic", "Health"));
        world.cycle();
        assert!(world.local[0].interests.contains(&Interest::new("topic", "Health")));
    }
    // The opt-out itself, and nothing beside it.
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    say_locally(&mut world, "Ada");
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), ["remote pending", "local pending", "remote update FNAME"], "when they return");
}

#[test]
fn working_groups_follow_from_either_side() {
    let finance = || Interest::new("topic", "Finance");
    let is_in = |world: &World| {
        let tagged = world.remote.as_ref().unwrap().group_tags.contains("WG: Finance");
        (tagged, world.local[0].working_groups.as_ref().unwrap().contains("Finance"))
    };
    let mut world = World::settled();
    world.local[0].interests.insert(finance());
    world.cycle();
    assert_eq!(is_in(&world), (true, true), "joined on the website");
    world.remote.as_mut().unwrap().interests.remove(&finance());
    world.cycle();
    assert_eq!(is_in(&world), (false, false), "left in the preference center");
    world.remote.as_mut().unwrap().interests.insert(finance());
    world.cycle();
    assert_eq!(is_in(&world), (true, true), "joined in the preference center");
    world.remote.as_mut().unwrap().group_tags.clear();
    world.cycle();
    assert_eq!(is_in(&world), (true, true), "the tag was taken off");
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    assert!(!is_in(&world).1, "nobody who left is in a group");
}

#[test]
fn own_columns_are_kept_true_on_every_row() {
    let rows = vec![row("1", "a", Subscribed, 0), row("2", "a", Subscribed, 10)];
    let mut world = World::new(rows, Some(contact("c1", "a", Subscribed, 11)));
    world.local[1].interests.insert(Interest::new("topic", "Finance"));
    world.local[0].sync_note = Some("an old note".to_owned());
    world.cycle();
    for row in &world.local {
        assert!(row.preferences_url.as_ref().unwrap().ends_with("&e=u-a"));
        assert_eq!(row.sync_note.as_deref(), Some(""));
    }
    assert_eq!(world.local[0].working_groups, Some(BTreeSet::new()), "the newest row bears the groups");
    assert_eq!(world.local[1].working_groups, Some(BTreeSet::from(["Finance".to_owned()])));
    // A column that is not mapped is never written.
    for row in &mut world.local {
        (row.preferences_url, row.sync_note, row.working_groups) = (None, None, None);
    }
    world.policy.register = Default::default();
    assert!(world.plan().operations.is_empty());
}

#[test]
fn an_interest_nobody_knows_is_reported_and_keeps_nothing_back() {
    let mut world = World::settled();
    world.local[0].interests.insert(Interest::new("topic", "Water"));
    say_locally(&mut world, "Ada");
    assert_eq!(world.cycle(), ["remote update FNAME"]);
    assert!(world.note().contains("topic:Water"), "{}", world.note());
    assert!(matches!(world.plan().conflicts[..], [Conflict::UnknownInterest { .. }]));
}

#[test]
fn what_was_removed_with_the_rows_is_no_change_of_the_next_registration() {
    let mut world = World::settled();
    say_locally(&mut world, "Ada");
    world.cycle();
    world.local.clear();
    world.cycle();
    world.local = vec![row("2", "a", Subscribed, world.now)];
    world.now += 1;
    world.cycle();
    assert_eq!(
        world.remote.as_ref().unwrap().fields[&tag("FNAME")],
        "Ada",
        "a filled field beats an empty one"
    );
    assert_eq!(world.local[0].fields[&tag("FNAME")], "Ada");
}

#[test]
fn a_write_that_was_left_out_comes_again() {
    let mut world = World::settled();
    say_locally(&mut world, "Ada");
    world.round(|_| Fate::LeftOut);
    assert_eq!(world.planned(), ["remote update FNAME"]);
    world.round(|_| Fate::OutcomeLost);
    assert_eq!(world.cycle(), Vec::<String>::new());
}

#[test]
fn proof_of_consent_goes_with_a_creation() {
    let mut ours = row("1", "a", Subscribed, 0);
    (ours.signup_ip, ours.signup_at) = (Some("192.0.2.1".to_owned()), Some(at(-5)));
    let plan = World::new(vec![ours], None).plan();
    let Operation::RemoteCreate { signup_ip, signup_at, .. } = &plan.operations[0].operation else {
        panic!("not a creation: {plan:?}");
    };
    assert_eq!((signup_ip.as_deref(), *signup_at), (Some("192.0.2.1"), Some(at(-5))));
}
