//! The three-way merge, value by value: the side that changed wins, and the base remembers what both showed.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{Change, FieldKind, Key, Value};
use crate::reconcile::plan::{Conflict, Side};
use crate::reconcile::policy::{Direction, Policy, Prefer};
use crate::reconcile::trio::{Base, Pair, Trio};
use crate::reconcile::values::Values;

/// What came of merging the values of one member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// What the remote side lacks.
    pub to_remote: BTreeMap<Key, Change>,
    /// What the local side lacks.
    pub to_local: BTreeMap<Key, Change>,
    /// What both sides agree on by now: the base moves there without a write.
    pub agreed: BTreeMap<Key, Pair>,
    /// What was overwritten although its side had changed it.
    pub overwritten: Vec<Conflict>,
    /// What every value is once all is written.
    pub desired: Values,
}

/// Which of two edits is newer: what `prefer = "newest"` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EditTimes {
    /// When the local side last changed by another hand than ours.
    pub local: Option<Timestamp>,
    /// When the remote side last changed by another hand than ours.
    pub remote: Option<Timestamp>,
}

impl EditTimes {
    /// The times of `trio`; those that our own writes caused do not count.
    pub fn of(trio: &Trio) -> Self {
        let base = trio.base.as_ref();
        let ours =
            (base.and_then(|base| base.local_written_at), base.and_then(|base| base.remote_written_at));
        // Any row may be the one that was edited and speaks, not only the newest.
        let local = trio.local.iter().filter_map(|row| row.updated_at);
        let remote = trio.remote.as_ref().and_then(|contact| contact.last_changed);
        Self {
            local: local.filter(|time| ours.0 != Some(*time)).max(),
            remote: remote.filter(|time| ours.1 != Some(*time)),
        }
    }

    /// The side that wins under `prefer`; at a tie the local one.
    pub fn winner(self, prefer: Prefer) -> Side {
        match prefer {
            Prefer::Local => Side::Local,
            Prefer::Remote => Side::Remote,
            Prefer::Newest if self.remote > self.local => Side::Remote,
            Prefer::Newest => Side::Local,
        }
    }
}

/// How one value came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Both sides show one value, or neither changed since they last agreed.
    Settled,
    /// The local value goes to the remote side; `Some` where the remote side had changed too.
    ToRemote(Option<Side>),
    /// The remote value goes to the local side; `Some` where the local side had changed too.
    ToLocal(Option<Side>),
}

/// Merges the values of one member.
///
/// A key that one side lacks (its column is not mapped, its field is gone) is left alone.
pub fn merge(
    local: &Values,
    remote: &Values,
    base: Option<&Base>,
    times: EditTimes,
    policy: &Policy,
) -> Merged {
    let mut merged = Merged::default();
    for (key, local) in local {
        let Some(remote) = remote.get(key) else { continue };
        let pair = base.and_then(|base| base.values.get(key));
        let outcome = one_value(key, local, remote, pair, times, policy);
        merged.record(key, local, remote, pair, outcome);
    }
    merged
}

fn one_value(
    key: &Key,
    local: &Value,
    remote: &Value,
    base: Option<&Pair>,
    times: EditTimes,
    policy: &Policy,
) -> Outcome {
    if agree(key, local, remote, policy) {
        return Outcome::Settled;
    }
    let direction = direction(key, policy);
    let Some(base) = base else {
        return adopt(local, remote, direction, times.winner(policy.prefer));
    };
    // What differs only in how it is written is no edit that could win over one.
    let changed = (!agree(key, local, &base.local, policy), !agree(key, remote, &base.remote, policy));
    match (direction, changed) {
        (_, (false, false)) => Outcome::Settled,
        (Direction::ToMailchimp, _) => Outcome::ToRemote(None),
        (Direction::ToLocal, _) => Outcome::ToLocal(None),
        (Direction::Both, (true, false)) => Outcome::ToRemote(None),
        (Direction::Both, (false, true)) => Outcome::ToLocal(None),
        (Direction::Both, (true, true)) => contested(times.winner(policy.prefer)),
    }
}

fn contested(winner: Side) -> Outcome {
    match winner {
        Side::Local => Outcome::ToRemote(Some(Side::Remote)),
        Side::Remote => Outcome::ToLocal(Some(Side::Local)),
    }
}

/// A value without a base: interests unite, what is filled beats what is empty, two different values follow `prefer`.
/// A value that travels one way goes that way, but nothing is emptied by meeting.
fn adopt(local: &Value, remote: &Value, direction: Direction, winner: Side) -> Outcome {
    match (direction, local.is_empty(), remote.is_empty()) {
        (Direction::ToMailchimp, true, _) | (Direction::ToLocal, _, true) => Outcome::Settled,
        (Direction::ToMailchimp, false, _) => Outcome::ToRemote(None),
        (Direction::ToLocal, _, false) => Outcome::ToLocal(None),
        (Direction::Both, false, true) => Outcome::ToRemote(None),
        (Direction::Both, true, false) => Outcome::ToLocal(None),
        (Direction::Both, _, _) => contested(winner),
    }
}

/// Whether both sides show one value, in its normal form.
pub fn agree(key: &Key, local: &Value, remote: &Value, policy: &Policy) -> bool {
    let kind = match key {
        Key::Field(tag) => policy.fields.get(tag).map(|rule| rule.kind).unwrap_or_default(),
        Key::Choice(_) | Key::Interest(_) => FieldKind::Text,
    };
    local == remote
        || (matches!((local, remote), (Value::Text(_), Value::Text(_)))
            && kind.agree(local.as_text(), remote.as_text()))
}

/// Which way a value travels.
pub(super) fn direction(key: &Key, policy: &Policy) -> Direction {
    match key {
        Key::Field(tag) => policy.fields.get(tag).map(|rule| rule.direction).unwrap_or_default(),
        Key::Choice(_) | Key::Interest(_) => Direction::Both,
    }
}

impl Merged {
    fn record(&mut self, key: &Key, local: &Value, remote: &Value, base: Option<&Pair>, outcome: Outcome) {
        let shown = Pair { local: local.clone(), remote: remote.clone() };
        let (desired, lost) = match outcome {
            Outcome::Settled => {
                if base != Some(&shown) {
                    self.agreed.insert(key.clone(), shown);
                }
                (local, None)
            }
            Outcome::ToRemote(lost) => {
                self.to_remote.insert(key.clone(), Change { before: remote.clone(), after: local.clone() });
                (local, lost)
            }
            Outcome::ToLocal(lost) => {
                self.to_local.insert(key.clone(), Change { before: local.clone(), after: remote.clone() });
                (remote, lost)
            }
        };
        if let Some(side) = lost {
            let lost = if side == Side::Local { local.clone() } else { remote.clone() };
            self.overwritten.push(Conflict::Overwritten { key: key.clone(), side, lost });
        }
        self.desired.insert(key.clone(), desired.clone());
    }
}

#[cfg(test)]
mod tests;
