//! Several rows of one address: the newest speaks, the status goes to every row.

use crate::model::SubscriptionStatus::{Pending, Subscribed, Unsubscribed};
use crate::model::{Interest, Registration};
use crate::reconcile::policy::Resubscribe;
use crate::reconcile::tests::world::{World, at, contact, row, tag};

fn two_rows() -> World {
    let rows = vec![row("1", "a", Subscribed, 0), row("2", "a", Subscribed, 10)];
    let mut world = World::new(rows, Some(contact("c1", "a", Subscribed, 11)));
    world.cycle();
    world
}

fn named(mut row: Registration, name: &str) -> Registration {
    row.fields.insert(tag("FNAME"), name.to_owned());
    row
}

#[test]
fn for_each_value_the_newest_row_that_fills_it_speaks() {
    let mut second = row("2", "a", Subscribed, 10);
    second.interests.insert(Interest::new("topic", "Health"));
    let rows = vec![named(row("1", "a", Subscribed, 0), "Ada"), second];
    let mut world = World::new(rows, None);
    world.cycle();
    let contact = world.remote.as_ref().unwrap();
    assert_eq!(contact.fields[&tag("FNAME")], "Ada");
    assert_eq!(contact.interests, [Interest::new("topic", "Health")].into());
    // A third registration with the form.
    world.local.push(named(row("3", "a", Subscribed, 100), "Augusta"));
    world.cycle();
    assert_eq!(world.remote.as_ref().unwrap().fields[&tag("FNAME")], "Augusta");
}

#[test]
fn what_mailchimp_changed_goes_to_the_newest_row_and_is_cleared_on_all() {
    let mut world = two_rows();
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), "Ada".to_owned());
    assert_eq!(world.cycle(), ["local update 2 FNAME"]);
    world.local[0] = named(world.local[0].clone(), "Ada");
    world.cycle();
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), String::new());
    assert_eq!(world.cycle(), ["local update 1 FNAME", "local update 2 FNAME"]);
}

#[test]
fn an_opt_out_goes_to_every_row() {
    let mut world = two_rows();
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert_eq!(world.statuses(), (vec![Unsubscribed, Unsubscribed], Some(Unsubscribed)));

    for which in [0, 1] {
        let mut world = two_rows();
        world.now += 1;
        world.local[which].status = Unsubscribed;
        world.local[which].status_changed_at = Some(at(world.now));
        assert_eq!(world.cycle(), ["remote unsubscribed", "local unsubscribed"]);
        assert_eq!(world.statuses(), (vec![Unsubscribed, Unsubscribed], Some(Unsubscribed)));
        // The row that said so is removed; the other one says so too.
        world.local.remove(which);
        assert_eq!(world.cycle(), Vec::<String>::new());
    }
}

#[test]
fn a_row_of_the_future_does_not_silence_an_opt_out() {
    let mut world = two_rows();
    world.local[1].status_changed_at = Some(at(100_000));
    world.cycle();
    world.now += 1;
    world.local[0].status = Unsubscribed;
    world.local[0].status_changed_at = Some(at(world.now));
    assert_eq!(world.cycle(), ["remote unsubscribed", "local unsubscribed"]);
}

#[test]
fn a_new_row_of_somebody_who_left_is_a_case_of_resubscribe() {
    let mut world = two_rows();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.local.push(row("3", "a", Subscribed, world.now));
    world.now += 1;
    assert_eq!(world.cycle(), ["remote pending", "local pending"]);
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
    assert_eq!(world.statuses().0, [Subscribed; 3]);
    assert_eq!(world.asked.len(), 1);
}

#[test]
fn an_opt_out_without_a_time_does_not_come_back_after_it_was_overruled() {
    let signed_up =
        |id: &str, status, minutes| Registration { status_changed_at: None, ..row(id, "a", status, minutes) };
    for (resubscribe, asked) in [(Resubscribe::Direct, 0), (Resubscribe::Confirm, 1)] {
        let mut world =
            World::new(vec![signed_up("1", Subscribed, 0)], Some(contact("c1", "a", Subscribed, 1)));
        world.policy.register.consent_time = false;
        world.policy.resubscribe = resubscribe;
        world.cycle();
        world.local[0].status = Unsubscribed;
        assert_eq!(world.cycle(), ["remote unsubscribed"]);
        world.local.push(signed_up("2", Subscribed, world.now));
        world.now += 1;
        world.cycle();
        if resubscribe == Resubscribe::Confirm {
            assert_eq!(world.statuses(), (vec![Pending, Pending], Some(Pending)));
            world.person_in_mailchimp(Subscribed);
            world.cycle();
        }
        assert_eq!(world.statuses(), (vec![Subscribed, Subscribed], Some(Subscribed)));
        assert_eq!(world.cycle(), Vec::<String>::new(), "{resubscribe:?}");
        assert_eq!(world.asked.len(), asked);
    }
}
