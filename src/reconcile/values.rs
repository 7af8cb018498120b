//! The mapped values of a member as each side shows them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Contact, Dimension, Interest, InterestSet, Key, MergeTag, Registration, Value};
use crate::reconcile::policy::{DimensionKind, Policy};
use crate::reconcile::trio::Base;

/// Values by key.
pub type Values = BTreeMap<Key, Value>;

/// What the rows of one member say together: for each value the newest row that fills it.
///
/// `rows` come oldest first.
pub fn local_values(rows: &[Registration], base: Option<&Base>, policy: &Policy) -> Values {
    let mut values = Values::new();
    for tag in policy.fields.keys().filter(|tag| rows.iter().any(|row| row.fields.contains_key(*tag))) {
        let filled =
            rows.iter().rev().filter_map(|row| row.fields.get(tag)).find(|text| !text.trim().is_empty());
        values.insert(Key::Field(tag.clone()), Value::text(filled.cloned().unwrap_or_default()));
    }
    for dimension in policy.dimensions.keys() {
        let interests = speaking_row(rows, dimension)
            .map(|row| of_dimension(&row.interests, dimension))
            .unwrap_or_default();
        insert_dimension(&mut values, dimension, &interests, base, policy);
    }
    values
}

/// What the contact shows.
///
/// Mailchimp compares tags without regard to case and keeps their first spelling: a tag that the rows or the base
/// name goes by their spelling.
pub fn remote_values(
    contact: &Contact,
    rows: &[Registration],
    base: Option<&Base>,
    policy: &Policy,
) -> Values {
    let mut values = Values::new();
    for tag in policy.fields.keys() {
        values.insert(
            Key::Field(tag.clone()),
            Value::text(contact.fields.get(tag).cloned().unwrap_or_default()),
        );
    }
    for (dimension, rule) in &policy.dimensions {
        let mut interests = of_dimension(&contact.interests, dimension);
        if matches!(rule.kind, DimensionKind::Tags { .. }) {
            let rows = rows.iter().rev().flat_map(|row| of_dimension(&row.interests, dimension));
            let spellings: Vec<&str> = rows.chain(remembered(base, dimension)).collect();
            let known = |name: &str| spellings.iter().copied().find(|spelling| is_same_tag(spelling, name));
            interests = interests.into_iter().map(|name| known(name).unwrap_or(name)).collect();
        }
        insert_dimension(&mut values, dimension, &interests, base, policy);
    }
    values
}

/// What the rows and the contact show, each with every tag that the other names: a tag is there, or it is not.
pub fn shown_values(
    rows: &[Registration],
    contact: &Contact,
    base: Option<&Base>,
    policy: &Policy,
) -> (Values, Values) {
    let mut local = local_values(rows, base, policy);
    let mut remote = remote_values(contact, rows, base, policy);
    let tags =
        |values: &Values| -> Vec<Key> { values.keys().filter(|key| is_tag(key, policy)).cloned().collect() };
    for key in tags(&local) {
        remote.entry(key).or_insert(Value::Flag(false));
    }
    for key in tags(&remote) {
        local.entry(key).or_insert(Value::Flag(false));
    }
    (local, remote)
}

fn is_tag(key: &Key, policy: &Policy) -> bool {
    match key {
        Key::Interest(interest) => policy
            .dimensions
            .get(&interest.dimension)
            .is_some_and(|rule| matches!(rule.kind, DimensionKind::Tags { .. })),
        Key::Field(_) | Key::Choice(_) => false,
    }
}

fn is_same_tag(one: &str, other: &str) -> bool {
    one == other || one.to_lowercase() == other.to_lowercase()
}

/// The names that the base remembers of one dimension.
fn remembered<'a>(base: Option<&'a Base>, dimension: &Dimension) -> impl Iterator<Item = &'a str> {
    base.into_iter().flat_map(|base| base.values.keys()).filter_map(move |key| match key {
        Key::Interest(interest) if interest.dimension == *dimension => Some(interest.name.as_str()),
        Key::Interest(_) | Key::Field(_) | Key::Choice(_) => None,
    })
}

/// The interests that the rows name and the audience lacks: switched off, and reported.
pub fn unknown_interests(rows: &[Registration], policy: &Policy) -> BTreeSet<Interest> {
    let known = |interest: &&Interest| match policy.dimensions.get(&interest.dimension) {
        Some(rule) => matches!(rule.kind, DimensionKind::Tags { .. }) || rule.known.contains(&interest.name),
        None => true,
    };
    rows.iter().flat_map(|row| &row.interests).filter(|interest| !known(interest)).cloned().collect()
}

/// The newest row that names an interest of `dimension`.
pub fn speaking_row<'a>(rows: &'a [Registration], dimension: &Dimension) -> Option<&'a Registration> {
    rows.iter().rev().find(|row| row.interests.iter().any(|interest| interest.dimension == *dimension))
}

/// Whether the row itself says anything under `key`.
pub fn says(row: &Registration, key: &Key) -> bool {
    match key {
        Key::Field(tag) => row.fields.get(tag).is_some_and(|text| !text.trim().is_empty()),
        Key::Choice(dimension) => row.interests.iter().any(|interest| interest.dimension == *dimension),
        Key::Interest(interest) => row.interests.contains(interest),
    }
}

/// The names of the interests of one dimension.
pub fn of_dimension<'a>(interests: &'a InterestSet, dimension: &Dimension) -> BTreeSet<&'a str> {
    interests
        .iter()
        .filter(|interest| interest.dimension == *dimension)
        .map(|interest| interest.name.as_str())
        .collect()
}

fn insert_dimension(
    values: &mut Values,
    dimension: &Dimension,
    interests: &BTreeSet<&str>,
    base: Option<&Base>,
    policy: &Policy,
) {
    let Some(rule) = policy.dimensions.get(dimension) else { return };
    let flag = |name: &str| {
        (Key::Interest(Interest::new(dimension.as_str(), name)), Value::Flag(interests.contains(name)))
    };
    match &rule.kind {
        DimensionKind::Choice => {
            let chosen =
                interests.iter().find(|name| rule.known.contains(**name)).copied().unwrap_or_default();
            values.insert(Key::Choice(dimension.clone()), Value::text(chosen));
        }
        DimensionKind::Checkboxes => values.extend(rule.known.iter().map(|name| flag(name))),
        DimensionKind::Tags { .. } => {
            values.extend(remembered(base, dimension).map(flag));
            values.extend(interests.iter().map(|name| flag(name)));
        }
    }
}

/// The text of a field among `values`; empty where there is none.
pub fn field<'a>(values: &'a Values, tag: &MergeTag) -> &'a str {
    values.get(&Key::Field(tag.clone())).map(Value::as_text).unwrap_or_default()
}

/// Whether `values` have this interest, be it a checkbox, a tag or the chosen one.
pub fn has_interest(values: &Values, interest: &Interest) -> bool {
    let chosen = values
        .get(&Key::Choice(interest.dimension.clone()))
        .is_some_and(|value| value.as_text() == interest.name);
    chosen || values.get(&Key::Interest(interest.clone())).is_some_and(Value::is_yes)
}
