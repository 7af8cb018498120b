//! The rows of the merge table, in order and with their names.

use crate::model::SubscriptionStatus::{Archived, Pending, Subscribed, Unsubscribed};
use crate::reconcile::plan::{Meeting, Tombstone};
use crate::reconcile::policy::GoneLocal;
use crate::reconcile::tests::world::{World, at, contact, row};

#[track_caller]
fn check(world: &mut World, meeting: Meeting, expected: &[&str]) {
    assert_eq!(world.plan().meeting, meeting);
    assert_eq!(world.cycle(), expected, "{meeting:?}");
}

#[test]
fn new_on_local() {
    let mut world = World::new(vec![row("1", "a", Subscribed, 0)], None);
    check(&mut world, Meeting::NewOnLocal, &["remote create subscribed a"]);
    assert_eq!(world.plan().meeting, Meeting::KnownOnBoth);
    let mut world = World::new(vec![row("1", "a", Pending, 0)], None);
    check(&mut world, Meeting::NewOnLocal, &["remote create pending a"]);
    let mut world = World::new(vec![row("1", "a", Unsubscribed, 0)], None);
    check(&mut world, Meeting::NewOnLocal, &[]);
}

#[test]
fn new_on_remote() {
    let mut world = World::new(Vec::new(), Some(contact("c1", "a", Subscribed, 0)));
    check(&mut world, Meeting::NewOnRemote, &["local create a"]);
    assert_eq!(world.local[0].status_changed_at, Some(at(0)), "with Mailchimp's time of it");
    for status in [Unsubscribed, Archived, Pending] {
        let mut world = World::new(Vec::new(), Some(contact("c1", "a", status, 0)));
        check(&mut world, Meeting::NewOnRemote, &[]);
    }
}

#[test]
fn new_on_both() {
    let meet = |ours, theirs| World::new(vec![row("1", "a", ours, 50)], Some(contact("c1", "a", theirs, 1)));
    for (ours, theirs, expected) in [
        (Subscribed, Subscribed, &[][..]),
        (Subscribed, Unsubscribed, &["local unsubscribed"]),
        (Unsubscribed, Subscribed, &["remote unsubscribed"]),
        (Subscribed, Pending, &["local pending"]),
        (Pending, Subscribed, &["local subscribed"]),
    ] {
        let mut world = meet(ours, theirs);
        check(&mut world, Meeting::NewOnBoth, expected);
        assert!(world.asked.is_empty(), "nobody is mailed");
        assert_eq!(world.plan().meeting, Meeting::KnownOnBoth);
    }
}

#[test]
fn known_on_both() {
    let mut world = World::settled();
    check(&mut world, Meeting::KnownOnBoth, &[]);
    assert_eq!(
        world.local[0].preferences_url.as_deref(),
        Some("https://alliance.us1.list-manage.test/profile?u=1&id=2&e=u-a")
    );
}

#[test]
fn gone_from_remote() {
    let mut world = World::settled();
    world.remote = None;
    check(&mut world, Meeting::GoneFromRemote, &["local unsubscribed"]);
    assert!(world.note().starts_with("deleted in Mailchimp"), "{}", world.note());
    check(&mut world, Meeting::GoneFromRemote, &[]);
    assert!(world.note().starts_with("deleted in Mailchimp"), "the note lasts");
    assert_eq!(world.local[0].preferences_url.as_deref(), Some(""));
}

#[test]
fn gone_from_local() {
    for (gone_local, expected) in [
        (GoneLocal::Archive, &["remote archive"][..]),
        (GoneLocal::Unsubscribe, &["remote unsubscribed"]),
        (GoneLocal::Leave, &[]),
    ] {
        let mut world = World::settled();
        world.policy.gone_local = gone_local;
        world.local.clear();
        check(&mut world, Meeting::GoneFromLocal, expected);
        check(&mut world, Meeting::GoneFromLocal, &[]);
        // A new row, and a backup of the old one.
        let mut again = World { base: world.base.clone(), ..World::new(Vec::new(), world.remote.clone()) };
        again.local = vec![row("2", "a", Subscribed, 150)];
        again.now = 160;
        let back: &[&str] = if gone_local == GoneLocal::Leave { &[] } else { &["remote subscribed"] };
        check(&mut again, Meeting::KnownOnBoth, back);
        world.local = vec![row("1", "a", Subscribed, 0)];
        let stands: &[&str] = if gone_local == GoneLocal::Leave { &[] } else { &["local unsubscribed"] };
        check(&mut world, Meeting::KnownOnBoth, stands);
    }
}

#[test]
fn gone_from_both() {
    for (status, opted_out) in [(Subscribed, false), (Unsubscribed, true)] {
        let mut world = World::settled();
        if status == Unsubscribed {
            world.person_on_website(status);
            world.cycle();
        }
        (world.local, world.remote) = (Vec::new(), None);
        let buried_at = world.now;
        check(&mut world, Meeting::GoneFromBoth, &[]);
        assert_eq!(world.tombstone, Some(Tombstone { at: at(buried_at), opted_out }));
        assert_eq!(world.base, None);
        assert_eq!(world.plan().tombstone, None, "nothing is left to bury");
    }
}

#[test]
fn a_tombstone_bars_what_is_no_later_sign_up() {
    let buried = |opted_out| Some(Tombstone { at: at(50), opted_out });
    for (opted_out, minutes, expected) in [
        (false, 0, &[][..]),
        (false, 50, &[]),
        (false, 60, &["remote create subscribed a"]),
        (false, 300, &[]),
        (true, 0, &["local unsubscribed"]),
        (true, 60, &["remote create pending a", "local pending"]),
        (true, 300, &[]),
    ] {
        let mut world = World::new(vec![row("1", "a", Subscribed, minutes)], None);
        world.tombstone = buried(opted_out);
        check(&mut world, Meeting::NewOnLocal, expected);
        assert_eq!(world.note().is_empty(), minutes == 60, "{opted_out} {minutes}: {}", world.note());
    }
    // A state file written before tombstones were handed over says so in the base.
    let mut world = World::new(vec![row("1", "a", Subscribed, 0)], None);
    let mut base = crate::reconcile::trio::Base::default();
    base.consent.opted_out_at = Some(at(50));
    world.base = Some(base);
    check(&mut world, Meeting::NewOnLocal, &["local unsubscribed"]);
    for opted_out in [false, true] {
        let mut world = World::new(Vec::new(), Some(contact("c1", "a", Subscribed, 0)));
        world.tombstone = buried(opted_out);
        check(&mut world, Meeting::NewOnRemote, &[]);
        let mut world = World::new(Vec::new(), Some(contact("c1", "a", Subscribed, 60)));
        world.tombstone = buried(opted_out);
        check(&mut world, Meeting::NewOnRemote, &["local create a"]);
    }
}

#[test]
fn a_parked_member_gets_its_note_and_nothing_else() {
    let mut world = World::settled();
    world.parked = Some("the address looks fake".to_owned());
    world.person_on_website(Unsubscribed);
    assert_eq!(world.cycle(), Vec::<String>::new());
    assert_eq!(world.note(), "the address looks fake");
    world.parked = None;
    assert_eq!(world.cycle(), ["remote unsubscribed"]);
    assert_eq!(world.note(), "");
}
