//! Carries operations out as the real sides would.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Contact, Interest, Key, MergeTag, SubscriptionStatus, Value};
use crate::reconcile::plan::Operation;
use crate::reconcile::policy::Resubscribe;
use crate::reconcile::tests::world::{World, asks_to_confirm, contact, row};

impl World {
    /// # Errors
    ///
    /// What Mailchimp says where it refuses.
    pub(super) fn perform(&mut self, operation: &Operation) -> Result<(), &'static str> {
        let now = Some(self.second());
        match operation {
            Operation::RemoteStatus { decided, .. } => return self.set_status(decided.get()),
            Operation::RemoteArchive { .. } => {
                let contact = self.remote.as_mut().unwrap();
                assert!(!matches!(contact.status, SubscriptionStatus::Pending | SubscriptionStatus::Cleaned));
                contact.status = SubscriptionStatus::Archived;
                contact.last_changed = now;
            }
            Operation::RemoteCreate { .. } => return self.create(operation),
            Operation::RemoteLeave { decided, .. } => {
                let mut contact = self.remote.take().unwrap();
                contact.status = decided.get();
                self.behind.push(contact);
            }
            Operation::RemoteRename { to } => {
                let contact = self.remote.as_mut().unwrap();
                assert_eq!(contact.status, SubscriptionStatus::Subscribed, "Mailchimp renames no others");
                contact.email = to.clone();
                contact.last_changed = now;
            }
            Operation::RemoteUpdate { changes, .. } => {
                let contact = self.remote.as_mut().unwrap();
                for (key, change) in changes {
                    set(&mut contact.fields, &mut contact.interests, key, &cut(&change.after));
                }
                contact.last_changed = now;
            }
            Operation::RemoteTags { tags, source } => {
                let ours = |tag: &String| self.policy.working_groups.iter().any(|group| group.tag == *tag);
                let contact = self.remote.as_mut().unwrap();
                contact.group_tags.retain(|tag| tags.get(tag) != Some(&false));
                let added = tags.iter().filter(|(tag, is_in)| **is_in && ours(tag));
                contact.group_tags.extend(added.map(|(tag, _)| tag.clone()));
                for (key, value) in source {
                    set(&mut contact.fields, &mut contact.interests, key, value);
                }
                contact.last_changed = now;
            }
            Operation::LocalStatus { .. }
            | Operation::LocalCreate { .. }
            | Operation::LocalRename { .. }
            | Operation::LocalUpdate { .. }
            | Operation::LocalKeep { .. } => self.perform_locally(operation),
        }
        Ok(())
    }

    /// Carries out what was on its way, as Mailchimp would by then: a refusal is heard by nobody. What is created beside a
    /// contact of theirs is somebody else's story.
    pub(in crate::reconcile::tests) fn land(&mut self, operation: &Operation) {
        let lands = match operation {
            Operation::RemoteStatus { .. } => self.remote.is_some(),
            Operation::RemoteCreate { email, .. } => {
                self.remote.is_none() && self.behind.iter().all(|contact| contact.email != *email)
            }
            other => panic!("asks nobody: {other:?}"),
        };
        let n_asked = self.asked.len();
        if lands {
            let _ = self.perform(operation);
        }
        if asks_to_confirm(operation) {
            let mailed = self.asked.len() - n_asked;
            self.n_late.mailed += mailed;
            self.n_late.in_vain += 1 - mailed;
        }
    }

    fn create(&mut self, operation: &Operation) -> Result<(), &'static str> {
        let Operation::RemoteCreate { email, decided, values, group_tags, .. } = operation else {
            panic!("no creation: {operation:?}");
        };
        let now = Some(self.second());
        let bears = |contact: &Contact| contact.email == *email;
        assert!(!self.behind.iter().chain(&self.remote).any(bears), "there is a contact at {email}");
        if self.forgotten.contains(email) {
            return Err("was permanently deleted and cannot be re-imported");
        }
        self.behind.extend(self.remote.take());
        self.n_created += 1;
        let mut created = contact(&format!("c{}", self.n_created + 10), "x", decided.get(), 0);
        (created.last_changed, created.timestamp_opt) = (now, now);
        created.email = email.clone();
        created.group_tags.clone_from(group_tags);
        for (key, value) in values {
            set(&mut created.fields, &mut created.interests, key, &cut(value));
        }
        self.remote = Some(created);
        self.note_asking(decided.get());
        Ok(())
    }

    /// Whoever left by themselves, or whose address bounced, is not subscribed by the API: policy `direct` asks then.
    fn set_status(&mut self, wanted: SubscriptionStatus) -> Result<(), &'static str> {
        let now = Some(self.second());
        let contact = self.remote.as_mut().unwrap();
        let before = contact.status;
        let complies = contact.status != SubscriptionStatus::Cleaned && !self.left_by_themselves;
        contact.status = match wanted {
            SubscriptionStatus::Subscribed if complies => wanted,
            SubscriptionStatus::Subscribed if self.policy.resubscribe == Resubscribe::Direct => {
                SubscriptionStatus::Pending
            }
            SubscriptionStatus::Subscribed => return Err("is in a compliance state"),
            _ => wanted,
        };
        contact.last_changed = now;
        let status = contact.status;
        // The same status once more mails nobody.
        if status != before {
            self.note_asking(status);
        }
        Ok(())
    }

    fn perform_locally(&mut self, operation: &Operation) {
        let now = Some(self.time());
        match operation {
            Operation::LocalStatus { status, changed_at, .. } => {
                assert!(!self.policy.register.lacks(*status), "the register has no word for {status}");
                for row in &mut self.local {
                    row.status = *status;
                    row.status_changed_at =
                        if self.policy.register.consent_time { *changed_at } else { None };
                    row.updated_at = now;
                }
            }
            Operation::LocalCreate { email, changed_at, values, .. } => {
                self.n_created += 1;
                let id = (90 + self.n_created).to_string();
                let mut created = row(&id, "x", SubscriptionStatus::Subscribed, self.now);
                (created.created_at, created.updated_at) = (now, now);
                created.email = email.clone();
                created.status_changed_at =
                    if self.policy.register.consent_time { *changed_at } else { None };
                values
                    .iter()
                    .for_each(|(key, value)| set(&mut created.fields, &mut created.interests, key, value));
                self.local = vec![created];
            }
            Operation::LocalRename { from, to } => {
                for row in self.local.iter_mut().filter(|row| row.email == *from) {
                    row.email = to.clone();
                    row.updated_at = now;
                }
            }
            Operation::LocalUpdate { row, changes, .. } => {
                for row in self.local.iter_mut().filter(|there| there.id == *row) {
                    for (key, change) in changes {
                        set(&mut row.fields, &mut row.interests, key, &change.after);
                    }
                    row.updated_at = now;
                }
            }
            Operation::LocalKeep { row, preferences_url, sync_note, working_groups } => {
                for row in self.local.iter_mut().filter(|there| there.id == *row) {
                    row.preferences_url = preferences_url.clone().or(row.preferences_url.take());
                    row.sync_note = sync_note.clone().or(row.sync_note.take());
                    row.working_groups = working_groups.clone().or(row.working_groups.take());
                }
            }
            other => panic!("not local: {other:?}"),
        }
    }

    fn note_asking(&mut self, status: SubscriptionStatus) {
        let now = Some(self.second());
        let contact = self.remote.as_mut().unwrap();
        match status {
            SubscriptionStatus::Pending => self.asked.push(contact.email.clone()),
            SubscriptionStatus::Subscribed => contact.timestamp_opt = now,
            _ => (),
        }
    }
}

/// A value as Mailchimp keeps it: without the white space around it, and cut.
pub(in crate::reconcile::tests) fn cut(value: &Value) -> Value {
    match value {
        Value::Flag(_) => value.clone(),
        Value::Text(text) => Value::text(text.trim().chars().take(255).collect::<String>().trim_end()),
    }
}

pub(in crate::reconcile::tests) fn set(
    fields: &mut BTreeMap<MergeTag, String>,
    interests: &mut BTreeSet<Interest>,
    key: &Key,
    value: &Value,
) {
    match key {
        Key::Field(tag) => drop(fields.insert(tag.clone(), value.as_text().to_owned())),
        Key::Choice(dimension) => {
            interests.retain(|interest| interest.dimension != *dimension);
            if !value.is_empty() {
                interests.insert(Interest::new(dimension.as_str(), value.as_text()));
            }
        }
        Key::Interest(interest) if value.is_yes() => drop(interests.insert(interest.clone())),
        Key::Interest(interest) => drop(interests.remove(interest)),
    }
}
