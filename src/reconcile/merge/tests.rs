//! The merge of values, case by case.

use std::collections::BTreeMap;

use crate::model::{Dimension, FieldKind, Interest, Key, MergeTag, Value};
use crate::reconcile::merge::{EditTimes, Merged, merge};
use crate::reconcile::plan::{Conflict, Side};
use crate::reconcile::policy::{Direction, FieldRule, Policy, Prefer};
use crate::reconcile::trio::{Base, Pair};
use crate::reconcile::values::Values;

fn field() -> Key {
    Key::Field(MergeTag::parse("FNAME").unwrap())
}

fn policy(kind: FieldKind, direction: Direction, prefer: Prefer) -> Policy {
    let rule = FieldRule { kind, direction };
    Policy {
        fields: BTreeMap::from([(MergeTag::parse("FNAME").unwrap(), rule)]),
        prefer,
        ..Policy::default()
    }
}

fn both() -> Policy {
    policy(FieldKind::Text, Direction::Both, Prefer::Newest)
}

/// The register's edit at the first second, Mailchimp's at the second.
fn times(local: i64, remote: i64) -> EditTimes {
    let at = |second| Some(jiff::Timestamp::from_second(second).unwrap());
    EditTimes { local: at(local), remote: at(remote) }
}

fn text(text: &str) -> Value {
    Value::text(text)
}

/// What becomes of one value that the base remembers as `base` and the sides show as `shown`.
fn one(
    key: Key,
    base: Option<(Value, Value)>,
    shown: (Value, Value),
    times: EditTimes,
    policy: &Policy,
) -> Merged {
    let pair = base.map(|(local, remote)| Pair { local, remote });
    let base = Base { values: pair.map(|pair| (key.clone(), pair)).into_iter().collect(), ..Base::default() };
    let (local, remote) = (Values::from([(key.clone(), shown.0)]), Values::from([(key, shown.1)]));
    merge(&local, &remote, Some(&base), times, policy)
}

/// Says what is written where, and what the value is afterwards.
fn check(
    name: &str,
    base: Option<(&str, &str)>,
    shown: (&str, &str),
    policy: &Policy,
    expected: (&str, &str),
) {
    let base = base.map(|(local, remote)| (text(local), text(remote)));
    let merged = one(field(), base, (text(shown.0), text(shown.1)), times(1, 2), policy);
    let written = match (merged.to_remote.is_empty(), merged.to_local.is_empty()) {
        (true, true) => "nothing",
        (false, true) => "to Mailchimp",
        (true, false) => "to the register",
        (false, false) => "both",
    };
    assert_eq!((written, merged.desired[&field()].as_text()), expected, "{name}");
}

#[test]
fn the_side_that_changed_wins() {
    let base = Some(("Ada", "Ada"));
    check("neither changed", base, ("Ada", "Ada"), &both(), ("nothing", "Ada"));
    check("the register changed", base, ("Augusta", "Ada"), &both(), ("to Mailchimp", "Augusta"));
    check("Mailchimp changed", base, ("Ada", "Augusta"), &both(), ("to the register", "Augusta"));
    check("the register cleared it", base, ("", "Ada"), &both(), ("to Mailchimp", ""));
    check("Mailchimp cleared it", base, ("Ada", ""), &both(), ("to the register", ""));
    check("both changed to one thing", base, ("Augusta", "Augusta"), &both(), ("nothing", "Augusta"));
}

#[test]
fn what_mailchimp_cuts_and_trims_does_not_come_back() {
    let long = "x".repeat(300);
    let cut = "x".repeat(255);
    check("cut", Some((&long, &cut)), (&long, &cut), &both(), ("nothing", &long));
    check("trimmed", Some((" Ada ", "Ada")), (" Ada ", "Ada"), &both(), ("nothing", " Ada "));
    let number = policy(FieldKind::Number, Direction::Both, Prefer::Newest);
    check("reformatted at the first meeting", None, ("007.50", "7.5"), &number, ("nothing", "007.50"));
    check("then edited", Some((&long, &cut)), (&long, "short"), &both(), ("to the register", "short"));
}

#[test]
fn a_value_without_a_base_is_adopted() {
    check("filled beats empty", None, ("Ada", ""), &both(), ("to Mailchimp", "Ada"));
    check("filled beats empty", None, ("", "Ada"), &both(), ("to the register", "Ada"));
    check("both empty", None, ("", ""), &both(), ("nothing", ""));
    let prefer = |prefer| policy(FieldKind::Text, Direction::Both, prefer);
    check("newest", None, ("Ada", "Augusta"), &prefer(Prefer::Newest), ("to the register", "Augusta"));
    check("local", None, ("Ada", "Augusta"), &prefer(Prefer::Local), ("to Mailchimp", "Ada"));
    check("remote", None, ("Ada", "Augusta"), &prefer(Prefer::Remote), ("to the register", "Augusta"));
}

#[test]
fn both_changed_and_differ_follows_the_policy_and_the_loser_is_recorded() {
    let base = || Some((text("Ada"), text("Ada")));
    let shown = || (text("Augusta"), text("Lady Ada"));
    let cases = [
        (Prefer::Newest, times(1, 2), Side::Local, "Augusta"),
        (Prefer::Newest, times(2, 1), Side::Remote, "Lady Ada"),
        (Prefer::Newest, times(2, 2), Side::Remote, "Lady Ada"),
        (Prefer::Local, times(1, 2), Side::Remote, "Lady Ada"),
        (Prefer::Remote, times(2, 1), Side::Local, "Augusta"),
        (Prefer::Newest, EditTimes { local: None, remote: None }, Side::Remote, "Lady Ada"),
    ];
    for (prefer, times, side, lost) in cases {
        let policy = policy(FieldKind::Text, Direction::Both, prefer);
        let merged = one(field(), base(), shown(), times, &policy);
        let expected = Conflict::Overwritten { key: field(), side, lost: text(lost) };
        assert_eq!(merged.overwritten, [expected], "{prefer:?} {times:?}");
    }
}

#[test]
fn a_one_way_value_goes_its_way_and_empties_nothing_at_the_first_meeting() {
    let out = policy(FieldKind::Text, Direction::ToMailchimp, Prefer::Newest);
    let inward = policy(FieldKind::Text, Direction::ToLocal, Prefer::Newest);
    let base = Some(("Ada", "Ada"));
    check("out", base, ("Augusta", "Ada"), &out, ("to Mailchimp", "Augusta"));
    check("out, edited in Mailchimp", base, ("Ada", "Augusta"), &out, ("to Mailchimp", "Ada"));
    check("in", base, ("Ada", "Augusta"), &inward, ("to the register", "Augusta"));
    check("in, edited in the register", base, ("Augusta", "Ada"), &inward, ("to the register", "Ada"));
    check("out, nothing to say yet", None, ("", "Ada"), &out, ("nothing", ""));
    check("in, nothing to say yet", None, ("Ada", ""), &inward, ("nothing", "Ada"));
}

#[test]
fn interests_unite_at_the_first_meeting_and_follow_the_change_afterwards() {
    let key = || Key::Interest(Interest::new("topic", "Finance"));
    let flags = |local, remote| (Value::Flag(local), Value::Flag(remote));
    let cases = [
        (None, flags(true, false), true),
        (None, flags(false, true), true),
        (None, flags(false, false), false),
        (Some(flags(true, true)), flags(false, true), false),
        (Some(flags(true, true)), flags(true, false), false),
        (Some(flags(false, false)), flags(false, true), true),
    ];
    for (base, shown, expected) in cases {
        let name = format!("{base:?} {shown:?}");
        let merged = one(key(), base, shown, times(1, 2), &both());
        assert_eq!(merged.desired[&key()], Value::Flag(expected), "{name}");
        assert!(merged.overwritten.is_empty(), "a settled checkbox cannot conflict: {name}");
    }
}

#[test]
fn a_choice_is_one_value() {
    let key = || Key::Choice(Dimension::new("region"));
    let base = Some((text("Africa"), text("Africa")));
    let merged = one(key(), base, (text("Africa"), text("Europe")), times(1, 2), &both());
    assert_eq!(merged.to_local[&key()].after, text("Europe"));
    assert!(merged.to_remote.is_empty());
}

#[test]
fn a_value_that_one_side_does_not_know_is_left_alone() {
    let local = Values::from([(field(), text("Ada"))]);
    let merged = merge(&local, &Values::new(), None, times(1, 2), &both());
    assert_eq!(merged, Merged::default());
}
