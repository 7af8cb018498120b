//! What follows from the decisions: the writes that carry the merged values, the working groups, and Rosterd's own columns.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Change, Contact, Dimension, Interest, Key, Registration, RegistrationId, SubscriptionStatus, Value,
};
use crate::reconcile::consent::may_be_written_to;
use crate::reconcile::draft::Draft;
use crate::reconcile::groups::{groups_of, tags_of};
use crate::reconcile::merge::{EditTimes, Merged, merge};
use crate::reconcile::plan::{Class, Conflict, Operation, Side};
use crate::reconcile::policy::DimensionKind;
use crate::reconcile::values::{of_dimension, says, shown_values, speaking_row};

impl<'a> Draft<'a> {
    /// Merges the values of a member that shows on both sides.
    pub(super) fn merge_values(&mut self) {
        let Some(merged) = self.merged() else { return };
        self.desired.clone_from(&merged.desired);
        self.base.values.extend(merged.agreed.clone());
        if !merged.agreed.is_empty() {
            self.has_base = true;
            self.link();
        }
        if self.may_send() {
            self.send_values(&merged);
            self.conflicts
                .extend(merged.overwritten.iter().filter(|lost| lost_on(lost, Side::Remote)).cloned());
        }
        self.take_values(&merged);
        self.report_unknown_interests();
    }

    /// Takes in what changed at a contact that is left behind: its successor is created with it.
    pub(super) fn take_what_changed_remotely(&mut self) {
        let Some(merged) = self.merged() else { return };
        self.desired.clone_from(&merged.desired);
        self.conflicts.extend(merged.overwritten.iter().filter(|lost| lost_on(lost, Side::Remote)).cloned());
        self.take_values(&merged);
    }

    fn merged(&self) -> Option<Merged> {
        let contact = self.trio.remote.as_ref()?;
        let base = Some(&self.base);
        let (local, remote) = shown_values(&self.trio.local, contact, base, self.policy);
        Some(merge(&local, &remote, base, EditTimes::of(self.trio), self.policy))
    }

    /// Whether anything but a status may be sent: opted out means left alone.
    fn may_send(&self) -> bool {
        let contact = self.trio.remote.as_ref().is_some_and(|contact| may_be_written_to(contact.status));
        let wanted = self.local_word().is_some_and(|word| {
            matches!(word.status, SubscriptionStatus::Subscribed | SubscriptionStatus::Pending)
        });
        // An opt-out that is still on its way is one, too.
        let stays = self.operations.iter().all(|planned| match &planned.operation {
            Operation::RemoteStatus { .. } | Operation::RemoteArchive { .. } => false,
            Operation::LocalStatus { status, .. } => {
                matches!(status, SubscriptionStatus::Subscribed | SubscriptionStatus::Pending)
            }
            _ => true,
        });
        contact && wanted && stays && self.conflicts.is_empty()
    }

    fn send_values(&mut self, merged: &Merged) {
        let Some(contact) = &self.trio.remote else { return };
        let (tagged, changes): (BTreeMap<_, _>, BTreeMap<_, _>) =
            merged.to_remote.clone().into_iter().partition(|(key, _)| self.tag_of(key).is_some());
        if !changes.is_empty() {
            let source = changes.iter().map(|(key, change)| (key.clone(), change.after.clone())).collect();
            self.plan(Operation::RemoteUpdate { changes, source }, "changed in the register", Class::Free);
        }
        let membership = self.newest().and_then(|row| row.membership.as_deref());
        let groups = groups_of(self.policy, &self.desired, membership);
        let wanted = tags_of(self.policy, &groups);
        let mut tags: BTreeMap<String, bool> =
            wanted.difference(&contact.group_tags).map(|tag| (tag.clone(), true)).collect();
        tags.extend(contact.group_tags.difference(&wanted).map(|tag| (tag.clone(), false)));
        let why = group_reason(&groups, &tags, &tagged);
        tags.extend(
            tagged.iter().filter_map(|(key, change)| Some((self.tag_of(key)?, change.after.is_yes()))),
        );
        if !tags.is_empty() {
            let source = tagged.into_iter().map(|(key, change)| (key, change.after)).collect();
            self.plan(Operation::RemoteTags { tags, source }, &why, Class::Free);
        }
    }

    /// The tag that stands for an interest of a tag dimension.
    fn tag_of(&self, key: &Key) -> Option<String> {
        let Key::Interest(interest) = key else { return None };
        match &self.policy.dimensions.get(&interest.dimension)?.kind {
            DimensionKind::Tags { prefix } => Some(format!("{prefix}{}", interest.name)),
            DimensionKind::Checkboxes | DimensionKind::Choice => None,
        }
    }

    fn take_values(&mut self, merged: &Merged) {
        let source = |keys: &BTreeMap<Key, Change>| -> BTreeMap<Key, Value> {
            let taken =
                |key: &Key| merged.to_local.get(key).map(|change| (key.clone(), change.after.clone()));
            keys.keys().filter_map(taken).collect()
        };
        self.conflicts.extend(merged.overwritten.iter().filter(|lost| lost_on(lost, Side::Local)).cloned());
        for (row, changes) in self.row_changes(&merged.to_local) {
            let source = source(&changes);
            self.plan(Operation::LocalUpdate { row, changes, source }, "changed in Mailchimp", Class::Free);
        }
    }

    /// Which row takes which change: the newest speaks, and what is cleared is cleared on every row that still says it.
    fn row_changes(
        &self,
        to_local: &BTreeMap<Key, Change>,
    ) -> BTreeMap<RegistrationId, BTreeMap<Key, Change>> {
        let mut rows: BTreeMap<RegistrationId, BTreeMap<Key, Change>> = BTreeMap::new();
        let Some(newest) = self.newest() else { return rows };
        let mut dimensions = BTreeSet::new();
        for (key, change) in to_local {
            match key {
                Key::Interest(interest) => {
                    dimensions.insert(&interest.dimension);
                }
                Key::Field(_) | Key::Choice(_) if change.after.is_empty() => {
                    for row in self.trio.local.iter().filter(|row| says(row, key)) {
                        rows.entry(row.id.clone()).or_default().insert(key.clone(), change.clone());
                    }
                }
                Key::Field(_) | Key::Choice(_) => {
                    rows.entry(newest.id.clone()).or_default().insert(key.clone(), change.clone());
                }
            }
        }
        for dimension in dimensions {
            let wanted: BTreeSet<&str> = self.desired_of(dimension);
            for row in self.trio.local.iter().filter(|row| row.id == newest.id || wanted.is_empty()) {
                let has = of_dimension(&row.interests, dimension);
                let flags = has
                    .symmetric_difference(&wanted)
                    .map(|name| flag_change(dimension, name, has.contains(name)));
                rows.entry(row.id.clone()).or_default().extend(flags);
            }
        }
        rows.retain(|row, changes| !changes.is_empty() && !self.trio.unusable.contains(row));
        rows
    }

    fn desired_of(&self, dimension: &Dimension) -> BTreeSet<&str> {
        let yes = self.desired.iter().filter(|(_, value)| value.is_yes());
        yes.filter_map(|(key, _)| match key {
            Key::Interest(interest) if interest.dimension == *dimension => Some(interest.name.as_str()),
            Key::Interest(_) | Key::Field(_) | Key::Choice(_) => None,
        })
        .chain(self.switched_off(dimension))
        .collect()
    }

    /// Interests of the speaking row that the audience lacks: switched off, nobody's value changes because of it.
    fn switched_off(&self, dimension: &Dimension) -> impl Iterator<Item = &str> {
        let known = self
            .policy
            .dimensions
            .get(dimension)
            .filter(|rule| !matches!(rule.kind, DimensionKind::Tags { .. }));
        let rows = speaking_row(&self.trio.local, dimension).into_iter().flat_map(|row| &row.interests);
        let unknown =
            move |interest: &&Interest| known.is_some_and(|rule| !rule.known.contains(&interest.name));
        let dimension = dimension.clone();
        rows.filter(move |interest| interest.dimension == dimension)
            .filter(unknown)
            .map(|interest| interest.name.as_str())
    }

    /// Keeps the preference-center link, the working groups and the note of every row true.
    pub(super) fn keep_own_columns(&mut self) {
        let link = self.link_to_preferences();
        let groups = self.local_groups();
        let note = self.notes.join("; ");
        for row in self.trio.usable().rev() {
            let is_newest = self.newest().is_some_and(|newest| newest.id == row.id);
            let groups = if is_newest { groups.clone() } else { groups.as_ref().map(|_| BTreeSet::new()) };
            let preferences_url =
                link.clone().filter(|link| row.preferences_url.as_ref().is_some_and(|kept| kept != link));
            let sync_note = row.sync_note.as_ref().filter(|kept| **kept != note).map(|_| note.clone());
            let working_groups =
                groups.filter(|groups| row.working_groups.as_ref().is_some_and(|kept| kept != groups));
            self.keep(row, preferences_url, sync_note, working_groups);
        }
    }

    /// Writes the note alone.
    pub(super) fn write_notes(&mut self) {
        let note = self.notes.join("; ");
        for row in self.trio.usable().filter(|row| row.sync_note.as_ref().is_some_and(|kept| *kept != note)) {
            self.keep(row, None, Some(note.clone()), None);
        }
    }

    fn keep(
        &mut self,
        row: &Registration,
        preferences_url: Option<String>,
        sync_note: Option<String>,
        working_groups: Option<BTreeSet<String>>,
    ) {
        if preferences_url.is_none() && sync_note.is_none() && working_groups.is_none() {
            return;
        }
        let operation =
            Operation::LocalKeep { row: row.id.clone(), preferences_url, sync_note, working_groups };
        self.plan(operation, "Rosterd's own columns", Class::Free);
    }

    /// The member's preference center: built from the sign-up form's address, since no endpoint returns it.
    /// The same host serves `profile?u=…&id=…&e=…`, where `e` is `unique_email_id`.
    fn link_to_preferences(&self) -> Option<String> {
        let Some(contact) = &self.trio.remote else { return Some(String::new()) };
        let url = self.policy.subscribe_url.as_ref()?;
        let (page, query) = url.split_once('?')?;
        let (site, _) = page.rsplit_once('/')?;
        Some(format!("{site}/profile?{query}&e={}", contact.unique_email_id))
    }

    /// The groups of the newest row: none for somebody who left.
    fn local_groups(&self) -> Option<BTreeSet<String>> {
        if !self.policy.register.working_groups {
            return None;
        }
        let membership = self.newest().and_then(|row| row.membership.as_deref());
        let groups = groups_of(self.policy, &self.desired, membership);
        let out = self.has_left();
        Some(groups.into_keys().filter(|_| !out).map(str::to_owned).collect())
    }

    /// The working groups of the member as it stands, each with why: none for somebody who left, and of those who are
    /// in Mailchimp alone only for subscribers whose rows were not removed: removed rows are an opt-out.
    pub(super) fn standing_groups(&self) -> BTreeMap<&'a str, String> {
        let subscribed = |contact: &Contact| contact.status == SubscriptionStatus::Subscribed;
        let belongs = match (&self.trio.remote, self.newest()) {
            (None, None) => false,
            (Some(contact), None) => subscribed(contact) && !self.lost_its_rows(),
            (_, Some(_)) => !self.has_left(),
        };
        let membership = self.newest().and_then(|row| row.membership.as_deref());
        if belongs { groups_of(self.policy, &self.desired, membership) } else { BTreeMap::new() }
    }

    fn lost_its_rows(&self) -> bool {
        self.trio.base.as_ref().is_some_and(|base| !base.rows.is_empty())
    }

    fn has_left(&self) -> bool {
        let remote = self.trio.remote.as_ref().is_some_and(|contact| {
            matches!(contact.status, SubscriptionStatus::Unsubscribed | SubscriptionStatus::Archived)
        });
        remote || self.local_word().is_some_and(|word| word.status == SubscriptionStatus::Unsubscribed)
    }
}

/// Whether a value was overwritten on `side`.
fn lost_on(conflict: &Conflict, side: Side) -> bool {
    matches!(conflict, Conflict::Overwritten { side: lost, .. } if *lost == side)
}

fn flag_change(dimension: &Dimension, name: &str, has: bool) -> (Key, Change) {
    let key = Key::Interest(Interest::new(dimension.as_str(), name));
    (key, Change { before: Value::Flag(has), after: Value::Flag(!has) })
}

/// Why the tags change: the trail says why someone is in a group.
fn group_reason(
    groups: &BTreeMap<&str, String>,
    tags: &BTreeMap<String, bool>,
    tagged: &BTreeMap<Key, Change>,
) -> String {
    let mut reasons = Vec::new();
    if tags.values().any(|is_in| *is_in) {
        let joined: Vec<String> = groups.iter().map(|(name, why)| format!("in {name} by {why}")).collect();
        reasons.push(joined.join("; "));
    }
    if tags.values().any(|is_in| !is_in) {
        reasons.push("a working group's rule no longer holds".to_owned());
    }
    if !tagged.is_empty() {
        reasons.push("changed in the register".to_owned());
    }
    reasons.join("; ")
}
