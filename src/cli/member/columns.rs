//! Base, local and remote side by side: as rows of a table, and as JSON.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use crate::cli::moments::minute;
use crate::cli::shown::short;
use crate::model::{Contact, Dimension, Interest, Key, MergeTag, Registration, SubscriptionStatus, Value};
use crate::reconcile::consent::local_word;
use crate::reconcile::policy::{DimensionKind, DimensionRule, Direction, FieldRule, Policy};
use crate::reconcile::trio::{Base, Pair, Trio};
use crate::reconcile::values::{Values, local_values, remote_values};
use crate::reconcile::working_groups;

/// What stands where a side has nothing to say.
const NOTHING: &str = "–";

/// A line of the table: what it is about, and what base, local and remote show.
pub(super) type Line = [String; 4];

/// Everything that the three sides show, a line each.
pub(super) fn lines(trio: &Trio, policy: Option<&Policy>) -> Vec<Line> {
    let shown = shown(trio);
    let policy = policy.unwrap_or(&shown);
    let mut lines = vec![status(trio, policy), address(trio)];
    let membership = trio.local.last().and_then(|row| row.membership.clone());
    lines.push(line("membership", None, membership, None));
    lines.extend(values(trio, policy));
    lines.push(groups(trio, policy));
    lines.extend(times(trio, policy));
    lines.push(keys(trio));
    lines
}

fn line(label: &str, base: Option<String>, local: Option<String>, remote: Option<String>) -> Line {
    let cell = |text: Option<String>| text.filter(|text| !text.is_empty()).unwrap_or(NOTHING.to_owned());
    [label.to_owned(), cell(base), cell(local), cell(remote)]
}

/// One text where both are the same, else both.
fn pair(local: Option<String>, remote: Option<String>) -> Option<String> {
    match (local, remote) {
        (Some(local), Some(remote)) if local == remote => Some(local),
        (Some(local), Some(remote)) => Some(format!("{local} (local), {remote} (remote)")),
        (one, other) => one.or(other),
    }
}

fn status(trio: &Trio, policy: &Policy) -> Line {
    let text = |status: crate::model::SubscriptionStatus| status.to_string();
    let consent = trio.base.as_ref().map(|base| &base.consent);
    let base = consent.and_then(|consent| pair(consent.local.map(text), consent.remote.map(text)));
    let standing = consent.cloned().unwrap_or_default();
    let local = local_word(&trio.local, &trio.unusable, &standing, policy, trio.observed_at)
        .map(|word| text(word.status));
    line("status", base, local, trio.remote.as_ref().map(|contact| text(contact.status)))
}

fn address(trio: &Trio) -> Line {
    let base = trio.base.as_ref().and_then(|base| {
        let row = base.rows.values().next_back().map(ToString::to_string);
        pair(row, base.contact.as_ref().map(|(_, address)| address.to_string()))
    });
    let addresses: BTreeSet<String> = trio.local.iter().map(|row| row.email.to_string()).collect();
    let local = addresses.into_iter().collect::<Vec<_>>().join(", ");
    line("address", base, Some(local), trio.remote.as_ref().map(|contact| contact.email.to_string()))
}

/// The fields a line each, and the interests a line for each dimension.
fn values(trio: &Trio, policy: &Policy) -> Vec<Line> {
    let (local, remote) = sides(trio, policy);
    let of_base = |pick: fn(&Pair) -> &Value| -> Option<Values> {
        let base = trio.base.as_ref()?;
        Some(base.values.iter().map(|(key, pair)| (key.clone(), pick(pair).clone())).collect())
    };
    let (base_local, base_remote) = (of_base(|pair| &pair.local), of_base(|pair| &pair.remote));
    let show = |label: &str, text: &dyn Fn(&Values) -> Option<String>| {
        let base = pair(base_local.as_ref().and_then(text), base_remote.as_ref().and_then(text));
        line(label, base, local.as_ref().and_then(text), remote.as_ref().and_then(text))
    };
    let fields = policy.fields.keys().map(|tag| {
        let key = Key::Field(tag.clone());
        show(tag.as_str(), &move |values| values.get(&key).map(|value| short(value.as_text())))
    });
    let dimensions = policy
        .dimensions
        .keys()
        .map(|dimension| show(dimension.as_str(), &|values| interests(values, dimension)));
    fields.chain(dimensions).collect()
}

/// What both sides show; `None` where a side has nothing of the member.
fn sides(trio: &Trio, policy: &Policy) -> (Option<Values>, Option<Values>) {
    let base = trio.base.as_ref();
    let local = (!trio.local.is_empty()).then(|| local_values(&trio.local, base, policy));
    (local, trio.remote.as_ref().map(|contact| remote_values(contact, &trio.local, base, policy)))
}

/// What the register changed about somebody who left, in words: nothing is sent about them until they return.
pub fn unsent(trio: &Trio, policy: &Policy) -> Vec<String> {
    let out = |contact: &Contact| match contact.status {
        SubscriptionStatus::Unsubscribed | SubscriptionStatus::Archived | SubscriptionStatus::Cleaned => true,
        SubscriptionStatus::Subscribed | SubscriptionStatus::Pending | SubscriptionStatus::Transactional => {
            false
        }
    };
    let (Some(contact), (Some(local), Some(remote))) = (&trio.remote, sides(trio, policy)) else {
        return Vec::new();
    };
    if !out(contact) {
        return Vec::new();
    }
    let base = trio.base.as_ref().map(|base| &base.values);
    let changed = |(key, value): &(&Key, &Value)| {
        let agreed = base.and_then(|base| base.get(*key)).map(|pair| &pair.local);
        agreed.is_some_and(|agreed| agreed != *value)
            && remote.get(*key) != Some(*value)
            && travels(key, policy)
    };
    local.iter().filter(changed).map(|(key, value)| worded(key, value)).collect()
}

/// Whether what the register says of a value is sent to Mailchimp at all.
fn travels(key: &Key, policy: &Policy) -> bool {
    match key {
        Key::Field(tag) => policy.fields.get(tag).is_some_and(|rule| rule.direction != Direction::ToLocal),
        Key::Interest(_) | Key::Choice(_) => true,
    }
}

fn worded(key: &Key, value: &Value) -> String {
    match key {
        Key::Field(tag) => format!("{tag} {}", short(value.as_text())),
        Key::Choice(dimension) => format!("{dimension} {}", value.as_text()),
        Key::Interest(Interest { dimension, name }) if value.is_yes() => format!("{dimension} {name}"),
        Key::Interest(Interest { dimension, name }) => format!("no {dimension} {name}"),
    }
}

fn interests(values: &Values, dimension: &Dimension) -> Option<String> {
    let names: Vec<&str> = values
        .iter()
        .filter_map(|(key, value)| match key {
            Key::Interest(interest) if interest.dimension == *dimension && value.is_yes() => {
                Some(interest.name.as_str())
            }
            Key::Choice(choice) if choice == dimension => Some(value.as_text()),
            Key::Interest(_) | Key::Choice(_) | Key::Field(_) => None,
        })
        .collect();
    Some(names.join(", "))
}

fn groups(trio: &Trio, policy: &Policy) -> Line {
    let local = working_groups(trio, policy).into_keys().collect::<Vec<_>>().join(", ");
    let tags =
        trio.remote.as_ref().map(|contact| contact.group_tags.iter().cloned().collect::<Vec<_>>().join(", "));
    line("groups", None, Some(local), tags)
}

fn times(trio: &Trio, policy: &Policy) -> Vec<Line> {
    let utc = |at: Option<Timestamp>| at.map(|at| format!("{} UTC", minute(at)));
    let consent = trio.base.as_ref().map(|base| base.consent.clone()).unwrap_or_default();
    let word = local_word(&trio.local, &trio.unusable, &consent, policy, trio.observed_at);
    let contact = trio.remote.as_ref();
    let (base, newest) = (trio.base.as_ref(), trio.local.last());
    vec![
        line(
            "consent",
            consent.opted_out_at.map(|at| format!("left {} UTC", minute(at))),
            utc(word.and_then(|word| word.at)),
            utc(contact.and_then(|contact| contact.timestamp_opt)),
        ),
        line(
            "changed",
            pair(
                utc(base.and_then(|base| base.local_written_at)),
                utc(base.and_then(|base| base.remote_written_at)),
            ),
            utc(newest.and_then(|row| row.updated_at)),
            utc(contact.and_then(|contact| contact.last_changed)),
        ),
    ]
}

fn keys(trio: &Trio) -> Line {
    let rows = |ids: Vec<&str>| format!("row {}", ids.join(", "));
    let base = trio.base.as_ref().map(|base| {
        let linked = rows(base.rows.keys().map(|id| id.as_str()).collect());
        base.contact.as_ref().map_or(linked.clone(), |(id, _)| format!("{linked}; contact {id}"))
    });
    let local = rows(trio.local.iter().map(|row| row.id.as_str()).collect());
    let local = Some(local).filter(|_| !trio.local.is_empty());
    line("keys", base, local, trio.remote.as_ref().map(|contact| format!("contact {}", contact.contact_id)))
}

/// A policy that has whatever the member shows, for where the real one cannot be told.
fn shown(trio: &Trio) -> Policy {
    let rows = trio.local.iter().flat_map(|row| row.fields.keys());
    let contact = trio.remote.iter().flat_map(|contact| contact.fields.keys());
    let tags: BTreeSet<&MergeTag> = rows.chain(contact).collect();
    let rows = trio.local.iter().flat_map(|row| &row.interests);
    let contact = trio.remote.iter().flat_map(|contact| &contact.interests);
    let mut dimensions: BTreeMap<Dimension, DimensionRule> = BTreeMap::new();
    for Interest { dimension, name } in rows.chain(contact) {
        let rule = || DimensionRule { kind: DimensionKind::Checkboxes, known: BTreeSet::new() };
        dimensions.entry(dimension.clone()).or_insert_with(rule).known.insert(name.clone());
    }
    let fields = tags.into_iter().map(|tag| (tag.clone(), FieldRule::default())).collect();
    Policy { fields, dimensions, ..Policy::default() }
}

/// The base for programs.
pub(super) fn base_json(base: Option<&Base>) -> Json {
    let Some(Base { rows, contact, values, consent, local_written_at, remote_written_at, unheard }) = base
    else {
        return Json::Null;
    };
    let pairs = |values: &BTreeMap<Key, Pair>| -> Map<String, Json> {
        let pair = |pair: &Pair| json!({ "local": pair.local, "remote": pair.remote });
        values.iter().map(|(key, both)| (key.to_string(), pair(both))).collect()
    };
    let unheard: Vec<Json> = unheard
        .iter()
        .map(
            |write| json!({ "side": write.side, "values": pairs(&write.values), "creation": write.creation }),
        )
        .collect();
    json!({
        "rows": rows, "contact_id": contact.as_ref().map(|(id, _)| id),
        "email": contact.as_ref().map(|(_, address)| address),
        "status": { "local": consent.local, "remote": consent.remote },
        "consent": consent, "values": pairs(values), "unheard": unheard,
        "local_written_at": local_written_at, "remote_written_at": remote_written_at,
    })
}

/// The local side for programs: what the rows say together, and the rows.
pub(super) fn local_json(trio: &Trio, policy: Option<&Policy>) -> Json {
    let shown = shown(trio);
    let policy = policy.unwrap_or(&shown);
    let Some(newest) = trio.local.last() else { return Json::Null };
    let consent = trio.base.as_ref().map(|base| base.consent.clone()).unwrap_or_default();
    let word = local_word(&trio.local, &trio.unusable, &consent, policy, trio.observed_at);
    let rows: &[Registration] = &trio.local;
    json!({
        "email": newest.email, "status": word.map(|word| word.status), "since": word.and_then(|word| word.at),
        "membership": newest.membership, "values": values_json(sides(trio, policy).0),
        "working_groups": working_groups(trio, policy),
        "preferences_url": newest.preferences_url, "sync_note": newest.sync_note, "rows": rows,
    })
}

/// The remote side for programs.
pub(super) fn remote_json(trio: &Trio, policy: Option<&Policy>) -> Json {
    let shown = shown(trio);
    let values = sides(trio, policy.unwrap_or(&shown)).1;
    let Some(contact) = &trio.remote else { return Json::Null };
    let Contact { contact_id, email, status, group_tags, last_changed, timestamp_opt, .. } = contact;
    json!({
        "email": email, "status": status, "contact_id": contact_id, "values": values_json(values),
        "group_tags": group_tags, "last_changed": last_changed, "timestamp_opt": timestamp_opt,
    })
}

fn values_json(values: Option<Values>) -> Map<String, Json> {
    values.unwrap_or_default().into_iter().map(|(key, value)| (key.to_string(), json!(value))).collect()
}
