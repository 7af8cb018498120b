//! Short stories that once went wrong because somebody left while nobody looked, or after an answer that nobody heard.

use crate::model::Interest;
use crate::model::SubscriptionStatus::{Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::plan::{Conflict, Tombstone};
use crate::reconcile::policy::{GoneLocal, NewLocal, Prefer, Resubscribe};
use crate::reconcile::tests::mended::{NOTHING, name_locally, registers_again, staff_subscribe};
use crate::reconcile::tests::world::{Fate, World, at, contact, email, row, tag};

/// The answer to a request to confirm was lost, the person left before it was looked at, and was asked once more.
#[test]
fn whoever_left_after_a_request_whose_answer_was_lost_has_left_anew() {
    for (left_first, expected) in [(true, &["local unsubscribed"][..]), (false, &["remote pending"][..])] {
        let mut world = World::settled();
        world.person_in_mailchimp(Unsubscribed);
        world.cycle();
        world.person_on_website(Pending);
        let unasked = world.remote.clone();
        world.round(|_| Fate::OutcomeLost);
        if left_first {
            world.person_in_mailchimp(Unsubscribed);
        } else {
            // The request never arrived.
            world.remote = unasked;
            world.asked.clear();
        }
        assert_eq!(world.cycle(), expected);
        assert_eq!(world.asked.len(), 1, "asked once");
    }
}

/// The request was carried out after the person had left again, and passed for a sign-up of their own.
#[test]
fn a_request_that_is_carried_out_after_the_person_left_is_undone() {
    for (resubscribe, asked) in [(Resubscribe::Confirm, Pending), (Resubscribe::Direct, Subscribed)] {
        for leaves in [World::person_on_website, World::person_in_mailchimp] {
            let mut world = World::settled();
            world.policy.resubscribe = resubscribe;
            world.person_on_website(Unsubscribed);
            world.cycle();
            world.person_on_website(Subscribed);
            world.round(|_| Fate::Late);
            let late = std::mem::take(&mut world.late);
            leaves(&mut world, Unsubscribed);
            world.round(|_| Fate::Done);
            world.land(&late[0].0);
            assert_eq!(world.remote.as_ref().unwrap().status, asked);
            assert_eq!(world.cycle(), ["remote unsubscribed"], "{asked}");
            assert_eq!(world.statuses(), (vec![Unsubscribed], Some(Unsubscribed)), "{asked}");
        }
    }
}

/// Staff subscribed them while the request was on its way: it passed for carried out, and its effect for a sign-up.
#[test]
fn a_request_that_staff_were_quicker_than_is_undone_all_the_same() {
    let mut world = World::settled();
    world.policy.resubscribe = Resubscribe::Direct;
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.person_on_website(Subscribed);
    world.round(|_| Fate::Late);
    let late = std::mem::take(&mut world.late);
    world.person_on_website(Unsubscribed);
    staff_subscribe(&mut world);
    world.round(|_| Fate::Done);
    world.land(&late[0].0);
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// What a backup's rows said otherwise was sent to the contact while the opt-out was still on its way to it.
#[test]
fn nothing_else_is_sent_to_somebody_whose_opt_out_is_on_its_way() {
    let mut world = World::settled();
    let (backup, subscribed) = (world.local.clone(), world.remote.clone());
    world.person_on_website(Unsubscribed);
    world.round(|_| Fate::OutcomeLost);
    (world.local, world.remote) = (backup, subscribed);
    name_locally(&mut world, 0, "Grace");
    assert_eq!(world.planned(), ["local unsubscribed"]);
    assert_eq!(world.cycle(), ["local unsubscribed", "remote unsubscribed"]);
}

/// The register asked for a confirmation before the opt-out had arrived: the contact stayed subscribed until staff decided.
#[test]
fn who_asks_to_be_back_before_the_opt_out_arrived_is_out_and_asked() {
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    let subscribed = world.remote.clone();
    world.round(|_| Fate::OutcomeLost);
    world.remote = subscribed;
    world.person_on_website(Pending);
    assert_eq!(world.cycle(), ["remote unsubscribed", "remote pending"]);
    assert_eq!(world.asked.len(), 1);
}

/// Whom Mailchimp asked instead of subscribing them, and nobody heard so: their confirmation passed for our own call.
#[test]
fn a_confirmation_soon_after_a_request_whose_answer_was_lost_is_theirs() {
    let mut world = World::settled();
    world.policy.resubscribe = Resubscribe::Direct;
    world.person_in_mailchimp(Unsubscribed);
    world.left_by_themselves = true;
    world.cycle();
    world.person_on_website(Subscribed);
    world.round(|_| Fate::OutcomeLost);
    assert_eq!(world.remote.as_ref().unwrap().status, Pending);
    world.round(|_| Fate::Done);
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
}

/// The request was made once more, and the first one forgotten: it was carried out after the person had left again.
#[test]
fn a_request_that_was_made_once_more_is_undone_all_the_same() {
    for resubscribe in [Resubscribe::Confirm, Resubscribe::Direct] {
        let mut world = World::settled();
        world.policy.resubscribe = resubscribe;
        world.person_on_website(Unsubscribed);
        world.cycle();
        world.person_on_website(Subscribed);
        world.round(|_| Fate::Late);
        let late = std::mem::take(&mut world.late);
        world.round(|_| Fate::Done);
        world.person_on_website(Unsubscribed);
        world.round(|_| Fate::Done);
        world.land(&late[0].0);
        assert_eq!(world.cycle(), ["remote unsubscribed"], "{resubscribe:?}");
    }
}

/// A sign-up of the person's own, some time after a request that was overtaken, is theirs.
#[test]
fn who_signs_up_long_after_a_request_that_was_overtaken_is_back() {
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    world.cycle();
    world.person_on_website(Subscribed);
    world.round(|_| Fate::Late);
    world.late.clear();
    world.person_on_website(Unsubscribed);
    world.round(|_| Fate::Done);
    world.now += 30;
    world.person_in_mailchimp(Pending);
    assert_eq!(world.cycle(), ["local pending"]);
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
}

/// Where no consent time is mapped, a request from a backup was taken for a new one.
#[test]
fn a_request_without_a_time_was_answered_if_its_row_is_older_than_the_answer() {
    let mut world = World::settled();
    world.policy.register.consent_time = false;
    (world.local[0].status, world.local[0].status_changed_at) = (Pending, None);
    world.local[0].updated_at = Some(at(world.now));
    let backup = world.local.clone();
    assert_eq!(world.cycle(), ["remote pending"]);
    world.person_in_mailchimp(Subscribed);
    assert_eq!(world.cycle(), ["local subscribed"]);
    world.local = backup;
    assert_eq!(world.cycle(), ["local subscribed"]);
    (world.local[0].status, world.local[0].updated_at) = (Pending, Some(at(world.now)));
    assert_eq!(world.cycle(), ["remote pending"], "the website asks anew");
}

/// Staff brought somebody back who has no rows; what they registered before they left again counted as later.
#[test]
fn whom_staff_brought_back_without_rows_and_who_leaves_again_has_left_anew() {
    for removed in [false, true] {
        let mut world = World::settled();
        if !removed {
            world.person_in_mailchimp(Unsubscribed);
            world.cycle();
        }
        let rows = std::mem::take(&mut world.local);
        world.cycle();
        staff_subscribe(&mut world);
        assert_eq!(world.cycle(), NOTHING);
        assert_eq!(world.plan().conflicts, [Conflict::UnprovenOptIn]);
        world.local = rows;
        registers_again(&mut world);
        let contact = world.remote.as_mut().unwrap();
        (contact.status, contact.last_changed) = (Unsubscribed, Some(at(world.now)));
        assert_eq!(world.cycle(), ["local unsubscribed"]);
    }
}

/// The rows came back from a backup, and so what staff had done was taken for an agreement.
#[test]
fn rows_of_a_backup_do_not_prove_whom_staff_brought_back() {
    let mut world = World::settled();
    let rows = std::mem::take(&mut world.local);
    assert_eq!(world.cycle(), ["remote archive"]);
    staff_subscribe(&mut world);
    world.local = rows;
    assert_eq!(world.cycle(), NOTHING);
    assert_eq!(world.plan().conflicts, [Conflict::UnprovenOptIn]);
}

/// Registered, taken over, registered once more and unsubscribed within one second: the opt-out seemed the earlier one.
#[test]
fn an_opt_out_in_the_second_of_an_opt_in_that_is_known_is_a_tie() {
    let mut world = World::new(vec![row("1", "a", Subscribed, 100)], None);
    world.millis = 500;
    world.local[0].status_changed_at = Some(world.time());
    world.round(|_| Fate::Done);
    world.round(|_| Fate::Done);
    world.local.push(row("9", "a", Subscribed, 100));
    world.millis = 510;
    world.local[1].status_changed_at = Some(world.time());
    let second = world.second();
    let contact = world.remote.as_mut().unwrap();
    (contact.status, contact.last_changed) = (Unsubscribed, Some(second));
    assert_eq!(world.cycle(), ["local unsubscribed"]);
}

/// The answer to a request was lost, and the opt-in of the same second was not taken for what had been asked for.
#[test]
fn who_opts_in_in_the_second_of_a_request_whose_answer_was_lost_is_not_asked_again() {
    let mut world = World::settled();
    world.local.push(row("9", "a", Pending, world.now));
    world.round(|_| Fate::OutcomeLost);
    let second = world.second();
    let contact = world.remote.as_mut().unwrap();
    (contact.status, contact.last_changed, contact.timestamp_opt) = (Subscribed, Some(second), Some(second));
    assert_eq!(world.cycle(), ["local subscribed"]);
    assert_eq!(world.asked.len(), 1, "asked once");
}

/// Back on the website, back in Mailchimp, and out on the website again before anything was written.
#[test]
fn whoever_was_seen_in_and_leaves_without_a_time_has_left_since() {
    let mut world = World::settled();
    world.policy.register.consent_time = false;
    world.local[0].status_changed_at = None;
    world.local[0].status = Unsubscribed;
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
    world.local[0].status = Pending;
    world.person_in_mailchimp(Subscribed);
    world.round(|_| Fate::Stopped);
    world.local[0].status = Unsubscribed;
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// Deleted while they were asked, and the answer to our own write lost: the next sign-up counted as asked already.
#[test]
fn whoever_was_deleted_while_they_were_asked_may_be_asked_again() {
    let mut world = World::settled();
    world.policy.register.consent_time = false;
    world.local[0].status_changed_at = None;
    (world.local[0].status, world.local[0].updated_at) = (Pending, Some(at(world.now)));
    assert_eq!(world.cycle(), ["remote pending"]);
    world.remote = None;
    world.round(|_| Fate::OutcomeLost);
    world.cycle();
    world.local[0].status = Subscribed;
    assert_eq!(world.planned(), ["remote create pending a"], "an invitation, which is held");
}

/// Our own write, whose answer was lost, was taken for a change in Mailchimp, and undid what was edited since.
#[test]
fn what_was_written_unheard_is_no_change_of_the_side_it_was_written_to() {
    let health = Interest::new("topic", "Health");
    for edited in [false, true] {
        let mut world = World::settled();
        world.local[0].interests.insert(health.clone());
        world.round(|_| Fate::OutcomeLost);
        assert!(world.remote.as_ref().unwrap().interests.contains(&health), "it was carried out");
        world.local[0].interests.remove(&health);
        if edited {
            world.local[0].fields.insert(tag("FNAME"), "Ada".to_owned());
        }
        world.cycle();
        assert!(world.remote.as_ref().unwrap().interests.is_empty());
        assert!(world.local[0].interests.is_empty());
    }
    let mut world = World::settled();
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), "Ada".to_owned());
    world.round(|_| Fate::OutcomeLost);
    assert_eq!(world.local[0].fields[&tag("FNAME")], "Ada", "it was carried out");
    world.remote.as_mut().unwrap().fields.insert(tag("FNAME"), String::new());
    assert_eq!(world.cycle(), ["local update 1 FNAME"]);
    assert_eq!(world.local[0].fields[&tag("FNAME")], "");
}

/// The note of a request stood in the place of what was remembered of somebody who was gone, and they were subscribed
/// without being asked.
#[test]
fn whoever_left_and_was_gone_from_both_sides_is_asked_again_where_the_request_failed() {
    let mut world = World::settled();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    (world.local, world.remote) = (Vec::new(), None);
    world.cycle();
    world.now += 1;
    world.local.push(row("9", "a", Subscribed, world.now));
    world.now += 1;
    let plan = world.plan();
    assert_eq!(world.planned(), ["remote create pending a"]);
    let base = world.base.clone().unwrap_or_default();
    world.base = base.asking(&plan.operations[0].operation, None, world.time()).or(world.base);
    assert_eq!(world.planned(), ["remote create pending a"], "it was never answered");
}

/// The opt-out was in the plan alone: once the write had failed nobody knew of it, and a backup of the register undid it.
#[test]
fn an_opt_out_that_was_on_its_way_stands_whatever_a_backup_shows() {
    for arrived in [false, true] {
        let mut world = World::settled();
        let (rows, contact) = (world.local.clone(), world.remote.clone());
        world.person_on_website(Unsubscribed);
        world.round(|_| Fate::OutcomeLost);
        world.local = rows;
        if !arrived {
            world.remote = contact;
        }
        world.cycle();
        assert_eq!(world.statuses(), (vec![Unsubscribed], Some(Unsubscribed)), "arrived: {arrived}");
    }
}

/// What never reached Mailchimp was taken for undone by staff there, and was not tried again.
#[test]
fn an_opt_out_that_did_not_arrive_is_tried_again() {
    let mut world = World::settled();
    let contact = world.remote.clone();
    world.person_on_website(Unsubscribed);
    world.round(|_| Fate::OutcomeLost);
    world.remote = contact;
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// A contact that was ours, and whose row was removed before it showed, was taken for a sign-up in Mailchimp: the row came
/// back. A sign-up of their own at another time is one.
#[test]
fn rows_that_are_removed_before_their_contact_shows_are_removed_rows() {
    for (later, expected) in [(0, &["remote archive"][..]), (30, &["local create a"][..])] {
        let mut world = World::new(vec![row("1", "a", Subscribed, 100)], None);
        world.round(|_| Fate::OutcomeLost);
        assert!(world.remote.is_some(), "it was carried out");
        world.local.clear();
        let signed_up = Some(at(world.now + later));
        let contact = world.remote.as_mut().unwrap();
        (contact.last_changed, contact.timestamp_opt) = (signed_up, signed_up);
        world.now += later;
        assert_eq!(world.cycle(), expected);
    }
}

/// What was edited after a creation that nobody heard of lost to what had been created.
#[test]
fn what_is_edited_after_a_creation_that_nobody_heard_of_is_an_edit() {
    let mut world = World::new(vec![row("1", "a", Subscribed, 100)], None);
    world.policy.prefer = Prefer::Remote;
    world.local[0].fields.insert(tag("FNAME"), "Ada".to_owned());
    world.round(|_| Fate::OutcomeLost);
    world.local[0].fields.insert(tag("FNAME"), "Augusta".to_owned());
    assert_eq!(world.cycle(), ["remote update FNAME"]);
}

/// A cycle saw them back on both sides, but its write came to nothing: rows removed after that seemed to say nothing new.
#[test]
fn rows_removed_of_somebody_who_was_seen_back_are_an_opt_out_anew() {
    let mut left = World::settled();
    left.person_in_mailchimp(Unsubscribed);
    left.cycle();
    let mut removed = World::settled();
    removed.local.clear();
    removed.cycle();
    for (mut world, back_by, expected) in
        [(left, Subscribed, "remote archive"), (removed, Pending, "remote unsubscribed")]
    {
        world.local.clear();
        registers_again(&mut world);
        world.local[0].status = Pending;
        world.person_in_mailchimp(back_by);
        world.round(|_| Fate::LeftOut);
        world.local.clear();
        assert_eq!(world.cycle(), [expected]);
    }
}

/// The bounce was in the older row alone when the contact was deleted: the newer one stayed subscribed, and nobody was told.
#[test]
fn a_bounce_in_one_row_counts_for_all_once_the_contact_is_gone() {
    for first_meeting in [true, false] {
        let rows = vec![row("1", "a", Cleaned, 30), row("2", "a", Subscribed, 10)];
        let mut world = World::new(rows, None);
        if !first_meeting {
            let mut agreed = World::new(vec![row("1", "a", Unsubscribed, 40)], None);
            agreed.cycle();
            world.base = agreed.base;
        }
        assert_eq!(world.cycle(), ["local unsubscribed"]);
        assert_eq!(world.statuses().0, [Unsubscribed, Unsubscribed]);
    }
}

/// Another edit of a row made its opt-out of the future the latest word, though the person had left anew by another row.
#[test]
fn an_opt_out_of_the_future_that_is_known_is_no_later_for_another_edit() {
    let mut world = World::settled();
    world.person_on_website(Unsubscribed);
    world.local[0].status_changed_at = Some(at(100_000));
    world.cycle();
    world.person_in_mailchimp(Subscribed);
    registers_again(&mut world);
    world.person_on_website(Unsubscribed);
    world.local[0].updated_at = Some(at(world.now));
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}

/// Our own creation, carried out after the person had left on the website, passed for their later opt-in.
#[test]
fn a_creation_that_arrives_after_they_left_is_no_opt_in() {
    for (policy, created) in [(NewLocal::Subscribe, Subscribed), (NewLocal::Confirm, Pending)] {
        let mut world = World::new(vec![row("1", "a", Subscribed, 100)], None);
        world.policy.new_local = policy;
        world.round(|_| Fate::OutcomeLost);
        let late = world.remote.take();
        world.person_on_website(Unsubscribed);
        let second = Some(world.second());
        assert_eq!(world.cycle(), NOTHING, "nothing shows yet");
        world.remote = late;
        let contact = world.remote.as_mut().unwrap();
        assert_eq!(contact.status, created);
        contact.last_changed = second;
        contact.timestamp_opt = second.filter(|_| created == Subscribed);
        assert_eq!(world.cycle(), ["remote unsubscribed"], "{created}");
    }
}

/// An address that was corrected while the contact was created under the wrong one was set back to that.
#[test]
fn an_address_corrected_while_its_contact_was_created_stays_corrected() {
    for prefer in [Prefer::Newest, Prefer::Remote] {
        let mut world = World::new(vec![row("1", "a", Subscribed, 100)], None);
        world.policy.prefer = prefer;
        world.round(|_| Fate::OutcomeLost);
        world.local[0].email = email("b");
        assert_eq!(world.cycle(), ["remote rename b"]);
    }
}

/// The rows were removed before the contact showed, which was then a stranger's: they were registered once more.
#[test]
fn whoever_is_removed_while_they_are_created_is_removed_when_the_contact_shows() {
    let mut world = World::new(vec![row("1", "a", Subscribed, 100)], None);
    world.round(|_| Fate::OutcomeLost);
    let (late, lost_at) = (world.remote.take(), world.now);
    world.local.clear();
    let plan = world.plan();
    assert!(plan.waits.is_some() && plan.tombstone.is_none(), "it may still show");
    world.now = lost_at + 30;
    assert_eq!(world.plan().waits, None, "not for ever");
    (world.now, world.remote) = (lost_at, late);
    assert_eq!(world.cycle(), ["remote archive"]);
}

/// A contact known from an order only let a row of a backup through, though it had been removed before.
#[test]
fn a_row_of_a_backup_is_none_the_newer_for_an_order() {
    let mut world =
        World::new(vec![row("1", "a", Subscribed, 0)], Some(contact("c1", "a", Transactional, 60)));
    world.tombstone = Some(Tombstone { at: at(50), opted_out: false });
    assert!(!world.cycle().iter().any(|done| done.starts_with("remote")), "{:?}", world.statuses());
}

/// Staff and a backup showed somebody back who had left; once the rows were gone again nothing was done about the contact.
#[test]
fn rows_removed_again_of_somebody_who_left_do_not_leave_them_subscribed() {
    let mut world = World::settled();
    world.policy.gone_local = GoneLocal::Leave;
    let backup = world.local.clone();
    world.person_in_mailchimp(Unsubscribed);
    world.cycle();
    world.local = backup;
    staff_subscribe(&mut world);
    assert_eq!(world.cycle(), NOTHING);
    world.local.clear();
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
}
