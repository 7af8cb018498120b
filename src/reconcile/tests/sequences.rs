//! What a member goes through over several cycles, and from wherever one of them stopped.

use crate::model::SubscriptionStatus::{self, Archived, Cleaned, Pending, Subscribed, Unsubscribed};
use crate::reconcile::plan::Conflict;
use crate::reconcile::policy::{NewLocal, Resubscribe};
use crate::reconcile::tests::world::{Fate, World, at, contact, row};

#[track_caller]
fn rests(world: &World, local: SubscriptionStatus, remote: SubscriptionStatus) {
    assert_eq!(world.statuses(), (vec![local], Some(remote)));
}

#[test]
fn out_and_back_with_a_confirmation() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), ["remote pending", "local pending"]);
    assert_eq!(world.cycle(), Vec::<String>::new(), "asked once");
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
    rests(&world, Subscribed, Subscribed);
    assert_eq!(world.base.as_ref().unwrap().consent.opted_out_at, None);
    assert_eq!(world.asked.len(), 1);
}

/// A member of a register that can say yes and no, and no more.
fn in_two_words() -> World {
    let mut world = World::settled();
    (world.policy.register.lacks_pending, world.policy.register.lacks_cleaned) = (true, true);
    world
}

#[test]
fn a_register_of_two_words_tells_of_a_confirmation_in_its_note() {
    let mut world = in_two_words();
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), ["remote pending"]);
    rests(&world, Subscribed, Pending);
    assert!(world.note().contains("waits for the person's confirmation"), "{}", world.note());
    assert_eq!(world.cycle(), Vec::<String>::new(), "asked once, and the note stays");
    // Another yes is no confirmation.
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), Vec::<String>::new());
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
    rests(&world, Subscribed, Subscribed);
    assert_eq!((world.note(), world.asked.len()), ("", 1));
}

#[test]
fn a_no_of_a_register_of_two_words_is_an_opt_out_whatever_the_yes_before_it_meant() {
    for was in [Pending, Cleaned] {
        let mut world = in_two_words();
        world.person_in_mailchimp(was);
        world.cycle();
        rests(&world, Subscribed, was);
        // A site that writes no time of it.
        world.local[0].status = Unsubscribed;
        let expected: &[&str] = if was == Pending { &["remote unsubscribed"] } else { &[] };
        let done = world.cycle();
        let sent: Vec<_> = done.iter().filter(|done| done.starts_with("remote")).collect();
        assert_eq!(sent, expected, "{was}");
        assert_eq!(world.local[0].status, Unsubscribed);
        assert!(world.base.as_ref().unwrap().consent.opted_out_at.is_some(), "{was}");
    }
}

#[test]
fn asked_back_and_withdrawn_on_the_website() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.person_on_website(Subscribed);
    let backup = world.local.clone();
    world.round(|_| Fate::Done);
    world.person_on_website(Unsubscribed);
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
    world.local = backup;
    assert_eq!(world.cycle(), ["local unsubscribed"], "a backup of the moment in between asks nobody");
    assert_eq!(world.asked.len(), 1);
}

#[test]
fn every_step_of_a_return_may_be_the_last_one_that_worked() {
    for fates in
        [[Fate::LeftOut, Fate::Done], [Fate::OutcomeLost, Fate::Done], [Fate::Done, Fate::OutcomeLost]]
    {
        let mut world = World::settled();
        world.person_in_mailchimp(Unsubscribed);
        world.cycle();
        world.person_on_website(Subscribed);
        for fate in fates {
            world.round(|_| fate);
            world.now += 1;
        }
        world.cycle();
        rests(&world, Pending, Pending);
        assert_eq!(world.asked.len(), 1, "asked once");
        world.person_in_mailchimp(Subscribed);
        world.round(|_| Fate::OutcomeLost);
        world.cycle();
        rests(&world, Subscribed, Subscribed);
    }
}

#[test]
fn every_step_of_an_opt_out_may_be_the_last_one_that_worked() {
    for fate in [Fate::LeftOut, Fate::OutcomeLost] {
        let mut world = World::settled();
        world.person_in_mailchimp(Unsubscribed);
        world.round(|_| fate);
        world.cycle();
        rests(&world, Unsubscribed, Unsubscribed);
        let mut world = World::settled();
        world.person_on_website(Unsubscribed);
        world.round(|_| fate);
        world.cycle();
        rests(&world, Unsubscribed, Unsubscribed);
        assert!(world.asked.is_empty());
    }
}

#[test]
fn an_opt_out_right_before_our_creation_is_not_undone_by_it() {
    let mut world = World::new(vec![row("1", "a", Subscribed, 90)], None);
    world.round(|_| Fate::Done);
    // Said before the contact was made, seen after it.
    world.local[0].status = Unsubscribed;
    world.local[0].status_changed_at = Some(at(95));
    world.now += 5;
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
    rests(&world, Unsubscribed, Unsubscribed);
}

#[test]
fn a_restored_backup_mails_nobody() {
    let mut world = World::settled();
    let backup = world.local.clone();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    for _ in 0..2 {
        world.local = backup.clone();
        assert_eq!(world.cycle(), ["local unsubscribed"]);
        assert!(world.note().starts_with("left before"), "{}", world.note());
        world.cycle();
        assert!(world.note().starts_with("left before"), "the note lasts");
    }
    world.person_on_website(Subscribed);
    world.cycle();
    assert_eq!(world.note(), "", "until they are back");
    assert_eq!(world.asked.len(), 1);
}

#[test]
fn staff_who_subscribe_somebody_who_left_are_asked() {
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    world.cycle();
    world.remote.as_mut().unwrap().status = Subscribed;
    world.remote.as_mut().unwrap().last_changed = Some(at(world.now));
    for _ in 0..2 {
        assert_eq!(world.cycle(), Vec::<String>::new());
        assert_eq!(world.plan().conflicts, [Conflict::UnprovenOptIn]);
        assert!(world.note().contains("staff must decide"));
    }
    world.remote.as_mut().unwrap().status = Unsubscribed;
    world.cycle();
    assert_eq!((world.plan().conflicts.len(), world.note()), (0, ""));
}

#[test]
fn a_confirmation_that_never_came() {
    let mut world = World::new(vec![row("1", "a", Subscribed, 90)], None);
    world.policy.new_local = NewLocal::Confirm;
    assert_eq!(world.cycle(), ["remote create pending a", "local pending"]);
    let backup = world.local.clone();
    world.remote = None;
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.note().starts_with("never confirmed"));
    world.local = backup;
    world.cycle();
    assert_eq!(world.asked.len(), 1, "a backup asks nobody");
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), ["remote create pending a", "local pending"]);
    assert_eq!(world.asked.len(), 2, "a new registration asks again");
}

#[test]
fn confirmed_on_the_website_before_mailchimp_had_asked() {
    let mut world = World::new(vec![row("1", "a", Pending, 98)], None);
    world.round(|_| Fate::Done);
    world.local[0].status = Subscribed;
    world.local[0].status_changed_at = Some(at(99));
    assert_eq!(world.cycle(), ["remote subscribed"]);
    rests(&world, Subscribed, Subscribed);
}

#[test]
fn archived_and_registered_again() {
    let mut world = World::settled();
    world.person_in_mailchimp(Archived);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.note().starts_with("archived in Mailchimp"));
    world.person_on_website(Subscribed);
    assert_eq!(world.cycle(), ["remote pending", "local pending"]);
    world.person_in_mailchimp(Subscribed);
    world.cycle();
    rests(&world, Subscribed, Subscribed);
}

#[test]
fn policy_never_keeps_them_out_and_may_be_changed() {
    let mut world = World::settled();
    world.policy.resubscribe = Resubscribe::Never;
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.person_on_website(Subscribed);
    for _ in 0..2 {
        assert_eq!(world.cycle(), Vec::<String>::new());
        assert!(world.note().contains("never"));
    }
    world.policy.resubscribe = Resubscribe::Direct;
    assert_eq!(world.cycle(), ["remote subscribed"]);
    rests(&world, Subscribed, Subscribed);
    assert_eq!(world.note(), "");
}

#[test]
fn gone_from_the_register_and_back_in_mailchimp() {
    let mut world = World::new(Vec::new(), Some(contact("c1", "a", Unsubscribed, 0)));
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local create a"]);
    rests(&world, Subscribed, Subscribed);
}
