//! Short stories that once went wrong, each with what went wrong in it.

mod unheard;

use jiff::SignedDuration;

use crate::model::SubscriptionStatus::{Cleaned, Pending, Subscribed, Unsubscribed};
use crate::model::{Dimension, Interest, Registration};
use crate::reconcile::plan::{Conflict, Side};
use crate::reconcile::policy::{DimensionKind, DimensionRule, Prefer, Resubscribe};
use crate::reconcile::tests::world::{Fate, World, at, contact, email, row, tag};

const NOTHING: [&str; 0] = [];

fn name_locally(world: &mut World, nth: usize, name: &str) {
    world.local[nth].fields.insert(tag("FNAME"), name.to_owned());
}

fn name_remotely(world: &mut World, name: &str) {
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), name.to_owned());
}

fn names(world: &World) -> (Vec<&str>, &str) {
    let local = world.local.iter().map(|row| row.fields[&tag("FNAME")].as_str()).collect();
    (local, &world.remote.as_ref().unwrap().fields[&tag("FNAME")])
}

/// Two rows of one address and their contact, all named Ada.
fn two_rows() -> World {
    let rows = vec![row("1", "a", Subscribed, 0), row("2", "a", Subscribed, 10)];
    let mut world = World::new(rows, Some(contact("c1", "a", Subscribed, 11)));
    (0..2).for_each(|nth| name_locally(&mut world, nth, "Ada"));
    name_remotely(&mut world, "Ada");
    world.cycle();
    world
}

fn registers_again(world: &mut World) {
    world.now += 1;
    world.local.push(row("9", "a", Subscribed, world.now));
    world.now += 1;
}

fn staff_subscribe(world: &mut World) {
    world.now += 1;
    let contact = world.remote.as_mut().unwrap();
    (contact.status, contact.last_changed) = (Subscribed, Some(at(world.now)));
    world.now += 1;
}

/// Mailchimp cuts its times to seconds, so that an opt-in in the same second seemed the later one.
#[test]
fn what_happened_in_one_second_is_a_tie() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    let second = world.remote.as_ref().unwrap().last_changed.unwrap();
    world.local.push(row("2", "a", Subscribed, 0));
    world.local[1].status_changed_at = Some(second + SignedDuration::from_millis(400));
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.asked.is_empty());
}

/// Of two opt-outs within one second the one that was told exactly seemed the later, and what followed it seemed later still.
#[test]
fn an_opt_out_told_in_whole_seconds_may_be_the_later_of_two() {
    let mut world = World::settled();
    world.millis = 245;
    (world.local[0].status, world.local[0].status_changed_at) = (Unsubscribed, Some(world.time()));
    world.round(|_| Fate::Done);
    world.millis = 829;
    world.local.push(row("9", "a", Subscribed, world.now));
    world.local[1].status_changed_at = Some(world.time());
    let second = world.second();
    let contact = world.remote.as_mut().unwrap();
    (contact.status, contact.last_changed, contact.timestamp_opt) =
        (Unsubscribed, Some(second), Some(second));
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.asked.is_empty());
}

/// A contact that was deleted, and its successor unsubscribed again: what was registered in between seemed later than that.
#[test]
fn whoever_is_out_at_a_contact_made_anew_has_left_anew() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    registers_again(&mut world);
    world.remote = Some(contact("c2", "a", Unsubscribed, world.now));
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.asked.is_empty());
}

/// The opt-out was in the plan alone: once the write had failed nobody knew of it, and the staff's word stood.
#[test]
fn an_opt_out_whose_local_write_failed_is_not_forgotten() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.round(|_| Fate::Stopped);
    staff_subscribe(&mut world);
    assert_eq!(world.cycle(), NOTHING);
    assert_eq!(world.plan().conflicts, [Conflict::UnprovenOptIn]);
    // Their rows are removed while the opt-out waits: it holds all the same.
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.round(|_| Fate::Stopped);
    staff_subscribe(&mut world);
    world.local.clear();
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// The first opt-out's time was kept for the second, so that a word in between seemed later than both.
#[test]
fn back_by_the_form_and_out_again_between_two_cycles() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    registers_again(&mut world);
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.asked.is_empty());
    // The same after their rows had been removed, where they counted as new.
    let mut world = World::settled();
    world.local.clear();
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    registers_again(&mut world);
    world.person_in_mailchimp(crate::model::SubscriptionStatus::Archived);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
}

/// Staff brought somebody back, which is a conflict; when they left again it was taken for their first opt-out.
#[test]
fn whom_staff_brought_back_and_who_leaves_again_has_left_anew() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    registers_again(&mut world);
    world.local[1].status = Pending;
    staff_subscribe(&mut world);
    world.cycle();
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.asked.is_empty());
}

/// A sign-up that waited for its confirmation made the register pending, whatever it had said since.
#[test]
fn a_waiting_sign_up_does_not_undo_what_the_register_says_anew() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.person_in_mailchimp(Pending);
    world.person_on_website(Unsubscribed);
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// Its time proves nothing, and so it was taken for the opt-out before, which another row's word was later than.
#[test]
fn an_opt_out_dated_ahead_is_an_opt_out_of_now() {
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    world.cycle();
    registers_again(&mut world);
    registers_again(&mut world);
    world.local[2].id = crate::model::RegistrationId::new("10");
    world.person_on_website(Unsubscribed);
    world.local[2].status_changed_at = Some(at(100_000));
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    assert!(world.asked.is_empty());
    // And where the contact signed up by a form before.
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    world.person_on_website(Unsubscribed);
    world.local[0].status_changed_at = Some(at(100_000));
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// What they were asked for lay ahead, and so no confirmation was ever later.
#[test]
fn whoever_confirmed_is_not_asked_again_for_a_word_of_the_future() {
    let mut world = World::settled();
    world.person_on_website(Pending);
    world.local[0].status_changed_at = Some(at(100_000));
    world.round(|_| Fate::OutcomeLost);
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
    assert_eq!(world.asked.len(), 1);
}

/// Who left on both sides still counted as asked, and was neither asked again nor told why.
#[test]
fn whoever_left_while_they_were_asked_may_be_asked_again() {
    let mut world = World::settled();
    world.policy.register.consent_time = false;
    world.local[0].status_changed_at = None;
    (world.local[0].status, world.local[0].updated_at) = (Pending, Some(at(world.now)));
    assert_eq!(world.cycle(), ["remote pending"]);
    world.local[0].status = Unsubscribed;
    world.round(|_| Fate::OutcomeLost);
    world.cycle();
    world.local[0].status = Subscribed;
    assert_eq!(world.planned(), ["remote pending"], "an invitation, which is held");
}

/// The bounce after the sign-up is the same status as the one before it.
#[test]
fn a_bounce_a_sign_up_and_a_second_bounce() {
    let mut world = World::settled();
    world.person_in_mailchimp(Cleaned);
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    world.person_in_mailchimp(Cleaned);
    assert_eq!(world.cycle(), NOTHING);
    world.local[0].email = email("b");
    assert_eq!(world.cycle(), ["remote create subscribed b", "local subscribed"]);
    // Of somebody who left in between, nothing starts afresh.
    let mut world = World::settled();
    world.person_in_mailchimp(Cleaned);
    world.cycle();
    world.person_on_website(Unsubscribed);
    world.person_in_mailchimp(Subscribed);
    world.person_in_mailchimp(Cleaned);
    world.cycle();
    world.local[0].email = email("b");
    assert_eq!(world.cycle(), NOTHING);
}

/// The new contact has no name, which seemed to be somebody's clearing it.
#[test]
fn a_contact_deleted_and_signed_up_anew_clears_nothing() {
    for prefer in [Prefer::Local, Prefer::Remote] {
        let mut world = two_rows();
        world.policy.prefer = prefer;
        world.remote = Some(contact("c2", "a", Subscribed, world.now));
        assert_eq!(world.cycle(), ["remote update FNAME"], "{prefer:?}");
        // What was created in bulk is known by its path until a page shows its own key: that is no other contact.
        world.base.as_mut().unwrap().contact.as_mut().unwrap().0 = crate::model::ContactId::new("c2");
        world.remote.as_mut().unwrap().contact_id = crate::model::ContactId::new("c3");
        name_remotely(&mut world, "");
        assert_eq!(world.cycle(), ["local update 1 FNAME", "local update 2 FNAME"], "{prefer:?}");
    }
}

/// After the first row both sides seemed agreed, each on its own value, for ever.
#[test]
fn what_is_cleared_on_one_row_and_not_yet_on_the_other_is_not_settled() {
    let mut world = two_rows();
    name_remotely(&mut world, "");
    let n_done = std::cell::Cell::new(0);
    world.round(|_| match n_done.replace(n_done.get() + 1) {
        0 => Fate::Done,
        _ => Fate::Stopped,
    });
    assert_eq!(names(&world), (vec!["", "Ada"], ""));
    assert_eq!(world.cycle(), ["local update 2 FNAME"]);
}

/// The newest row took over, without what the speaking row had and the audience lacked.
#[test]
fn what_the_audience_lacks_is_kept_when_another_row_begins_to_speak() {
    let mut world = two_rows();
    world.local[0].interests.insert(Interest::new("topic", "Water"));
    world.cycle();
    world.remote.as_mut().unwrap().interests.insert(Interest::new("topic", "Health"));
    world.cycle();
    let both = [Interest::new("topic", "Health"), Interest::new("topic", "Water")];
    assert_eq!(world.local[1].interests, both.into());
}

/// A region vanished, and with it everybody's base of the choice: others' one-sided changes followed `prefer`.
#[test]
fn a_vanished_interest_is_nobodys_change() {
    let mut world = World::settled();
    let region = Dimension::new("region");
    let known = ["Africa", "Asia"].map(str::to_owned).into();
    world.policy.dimensions.insert(region.clone(), DimensionRule { kind: DimensionKind::Choice, known });
    world.policy.prefer = Prefer::Remote;
    let africa = Interest::new("region", "Africa");
    world.local[0].interests.insert(africa.clone());
    world.cycle();
    world.local[0].interests.clear();
    let lost = [crate::model::Key::Interest(Interest::new("region", "Asia"))].into();
    world.policy.dimensions.get_mut(&region).unwrap().known.remove("Asia");
    world.base.as_mut().unwrap().forget(&lost);
    assert_eq!(
        world.cycle(),
        ["remote update region"],
        "cleared on the website, and no adoption fills it again"
    );
    // Whose region it was keeps it, and has it again once it is back.
    world.local[0].interests.insert(africa.clone());
    world.cycle();
    world.policy.dimensions.get_mut(&region).unwrap().known.clear();
    world.base.as_mut().unwrap().forget(&[crate::model::Key::Interest(africa.clone())].into());
    world.remote.as_mut().unwrap().interests.clear();
    world.cycle();
    assert_eq!(world.local[0].interests, [africa.clone()].into());
    world.policy.dimensions.get_mut(&region).unwrap().known.insert("Africa".to_owned());
    assert_eq!(world.cycle(), ["remote update region"]);
}

/// The register's value was overwritten, and only of members who were in was it recorded.
#[test]
fn what_is_overwritten_of_somebody_who_left_is_recorded() {
    let mut world = World::settled();
    world.policy.prefer = Prefer::Remote;
    world.person_in_mailchimp(Unsubscribed);
    name_locally(&mut world, 0, "Ada");
    name_remotely(&mut world, "Augusta");
    let lost = |conflict: &Conflict| matches!(conflict, Conflict::Overwritten { side: Side::Local, .. });
    assert!(world.plan().conflicts.iter().any(lost));
    assert_eq!(world.cycle(), ["local unsubscribed", "local update 1 FNAME"]);
}

/// A registration was tried in every cycle, refused because the address was there, and nobody was told.
#[test]
fn nobody_is_created_at_an_address_that_is_taken() {
    let mut world = World::new(Vec::new(), Some(contact("c1", "a", Subscribed, 0)));
    world.taken_locally = true;
    assert_eq!(world.cycle(), NOTHING);
    assert_eq!(world.plan().conflicts, [Conflict::AddressTakenLocally]);
    assert!(world.plan().waits.is_some());
    world.taken_locally = false;
    assert_eq!(world.cycle(), ["local create a"]);
    let mut world = World::new(vec![row("1", "a", Subscribed, 0)], None);
    world.taken_remotely = true;
    assert_eq!(world.cycle(), NOTHING);
    assert_eq!(world.plan().conflicts, [Conflict::AddressTakenRemotely]);
    assert!(world.note().contains("staff must decide"));
}

/// The row that had moved was removed before the other followed: the sides kept two addresses for ever.
#[test]
fn rows_that_stayed_behind_follow_though_the_one_that_moved_is_gone() {
    let mut world = two_rows();
    world.local[0].email = email("b");
    let n_done = std::cell::Cell::new(0);
    world.round(|_| match n_done.replace(n_done.get() + 1) {
        0 => Fate::Done,
        _ => Fate::Stopped,
    });
    world.local.remove(0);
    assert_eq!(world.cycle(), ["local rename a b"]);
}

/// What had been changed in Mailchimp stayed with the contact that was left behind.
#[test]
fn what_changed_at_a_contact_that_is_left_behind_goes_along() {
    for (status, expected) in [
        (Cleaned, &["local update 1 FNAME", "remote create subscribed b", "local subscribed"][..]),
        (Pending, &["local update 1 FNAME", "remote leave", "remote create pending b", "local pending"]),
    ] {
        let mut world = World::settled();
        world.person_in_mailchimp(status);
        world.cycle();
        name_remotely(&mut world, "Ada");
        world.local[0].email = email("b");
        world.cycle();
        assert_eq!(names(&world), (vec!["Ada"], "Ada"), "{expected:?}");
    }
}

/// A second row that left was dated by nothing, and so a sign-up before it seemed the later word.
#[test]
fn an_opt_out_is_not_older_than_its_row() {
    let mut world = World::settled();
    world.policy.register.consent_time = false;
    world.local[0].status_changed_at = None;
    world.local[0].status = Unsubscribed;
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    registers_again(&mut world);
    let second: &mut Registration = &mut world.local[1];
    (second.status, second.status_changed_at) = (Unsubscribed, None);
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// A backup from before the confirmation showed the request again, and the person was asked a second time.
#[test]
fn a_request_that_a_backup_shows_again_was_answered() {
    let mut world = World::settled();
    world.person_on_website(Pending);
    let backup = world.local.clone();
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    world.cycle();
    world.local = backup;
    assert_eq!(world.cycle(), ["local subscribed"]);
    assert_eq!(world.asked.len(), 1, "asked once");
}

/// An opt-out dated in the future went to every row as it was, and what was said after it was taken for older.
#[test]
fn an_opt_out_of_the_future_is_passed_on_with_the_time_it_counts_from() {
    let mut world = two_rows();
    world.cycle();
    world.person_on_website(Unsubscribed);
    world.local[1].status_changed_at = Some(at(100_000));
    world.person_in_mailchimp(Unsubscribed);
    assert_eq!(world.cycle(), ["local unsubscribed"]);
    world.person_in_mailchimp(Subscribed);
    world.person_on_website(Unsubscribed);
    world.local[0].updated_at = Some(at(world.now));
    assert_eq!(world.cycle(), ["remote unsubscribed"], "whoever left last has left");
}

/// Whoever signed up again was to be registered anew once their rows were removed: the rows had shown them in all the time.
#[test]
fn rows_removed_of_somebody_who_signed_up_again_are_not_made_anew() {
    let mut world = World::settled();
    world.policy.resubscribe = Resubscribe::Never;
    world.person_in_mailchimp(Unsubscribed);
    world.local.push(row("2", "a", Pending, world.now));
    assert_eq!(world.cycle(), NOTHING);
    world.person_in_mailchimp(Subscribed);
    world.round(|_| Fate::LeftOut);
    world.local.clear();
    assert_eq!(world.cycle(), ["remote archive"]);
}

/// A second row wrote the name with blanks around it, and so won over what the person changed in Mailchimp.
#[test]
fn a_value_that_is_only_written_otherwise_was_not_changed() {
    let mut world = two_rows();
    world.policy.prefer = Prefer::Local;
    name_locally(&mut world, 1, " Ada ");
    name_remotely(&mut world, "Augusta");
    assert_eq!(world.cycle(), ["local update 2 FNAME"]);
}
