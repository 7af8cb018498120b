//! Writes of values whose answer was never heard.
//!
//! Such a write may have been carried out or not. What its side shows next says which: a value that shows as it was written
//! is ours, and not a change of that side, whatever the other side says by then. A contact that shows where one was to be
//! created, at the time of it, is ours as well: rows that are removed before it shows are removed rows, and not a contact
//! that nobody registered.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{Contact, EmailAddress, Key, Value};
use crate::reconcile::consent::is_about;
use crate::reconcile::merge::agree;
use crate::reconcile::plan::{Operation, Side};
use crate::reconcile::policy::Policy;
use crate::reconcile::trio::{Base, Creation, Pair, Standing, Unheard};
use crate::reconcile::values::Values;

impl Base {
    /// The base with a note that nobody heard what came of `operation`, tried at `at`; as it was where that neither writes
    /// values nor creates a contact.
    #[must_use]
    pub fn without_hearing_of(mut self, operation: &Operation, at: Timestamp) -> Self {
        let Some(write) = written(operation, at) else { return self };
        if let Some(creation) = &write.creation {
            // Tried once more: what is known of the last attempt says all.
            let other = |creation_before: &Creation| creation_before.email != creation.email;
            self.unheard.retain(|before| before.creation.as_ref().is_none_or(other));
        }
        self.unheard.push(write);
        self
    }

    /// Where the contact is what came of a creation, both sides have met by it, at the address it was created with. What
    /// became known of the register meanwhile stands: our own call is nobody's opt-in.
    pub(super) fn hear_of_creations(&mut self, contact: &Contact) {
        let creations = self.unheard.iter().rev().filter_map(|write| write.creation.as_ref());
        let ours = creations.into_iter().find(|creation| creation.made(contact)).cloned();
        let Some(Creation { email, standing, .. }) = ours else { return };
        let as_created = standing.remote == Some(contact.status);
        let remote_at = contact.timestamp_opt.filter(|_| as_created);
        if self.is_first_meeting() {
            self.contact = Some((contact.contact_id.clone(), email));
            self.consent = Standing { remote_at, ..standing };
        } else {
            self.consent.remote = standing.remote;
            self.consent.remote_at = remote_at.or(self.consent.remote_at);
        }
    }

    /// The address of a contact that may still come of a creation that nobody heard of.
    pub(super) fn on_its_way(&self, now: Timestamp) -> Option<&EmailAddress> {
        let creations = self.unheard.iter().filter_map(|write| write.creation.as_ref());
        creations.filter(|creation| is_about(now, creation.at)).map(|creation| &creation.email).next_back()
    }

    /// Looks at what both sides show of the writes that nobody heard of: what was carried out is settled, and none is
    /// looked at twice.
    pub(super) fn hear_of_writes(&mut self, local: &Values, remote: &Values, policy: &Policy) {
        for Unheard { side, values, creation: _ } in std::mem::take(&mut self.unheard) {
            for (key, written) in values {
                let (shown, wanted) = match side {
                    Side::Local => (local.get(&key), &written.local),
                    Side::Remote => (remote.get(&key), &written.remote),
                };
                let Some(shown) = shown.filter(|shown| agree(&key, wanted, shown, policy)).cloned() else {
                    continue;
                };
                let pair = match side {
                    Side::Local => Pair { local: shown, ..written },
                    Side::Remote => Pair { remote: shown, ..written },
                };
                self.values.insert(key, pair);
            }
        }
    }
}

impl Creation {
    /// Whether the contact is what came of it, and not of a sign-up in Mailchimp at another time.
    fn made(&self, contact: &Contact) -> bool {
        let began = contact.timestamp_opt.or(contact.last_changed);
        contact.email == self.email && began.is_some_and(|began| is_about(began, self.at))
    }
}

fn written(operation: &Operation, at: Timestamp) -> Option<Unheard> {
    let alike =
        |(key, value): (&Key, &Value)| (key.clone(), Pair { local: value.clone(), remote: value.clone() });
    let mut creation = None;
    let (side, values): (Side, BTreeMap<Key, Pair>) = match operation {
        Operation::RemoteCreate { email, values, standing, .. } => {
            creation = Some(Creation { email: email.clone(), standing: standing.clone(), at });
            (Side::Remote, values.iter().map(alike).collect())
        }
        Operation::RemoteUpdate { changes, source } => {
            let pair = |(key, local): (&Key, &Value)| {
                let remote = changes.get(key).map_or(local, |change| &change.after).clone();
                (key.clone(), Pair { local: local.clone(), remote })
            };
            (Side::Remote, source.iter().map(pair).collect())
        }
        Operation::RemoteTags { source, .. } => (Side::Remote, source.iter().map(alike).collect()),
        Operation::LocalUpdate { changes, source, .. } => {
            let pair = |(key, remote): (&Key, &Value)| {
                let local = changes.get(key).map_or(remote, |change| &change.after).clone();
                (key.clone(), Pair { local, remote: remote.clone() })
            };
            (Side::Local, source.iter().map(pair).collect())
        }
        Operation::RemoteStatus { .. }
        | Operation::RemoteArchive { .. }
        | Operation::RemoteLeave { .. }
        | Operation::RemoteRename { .. }
        | Operation::LocalStatus { .. }
        | Operation::LocalCreate { .. }
        | Operation::LocalRename { .. }
        | Operation::LocalKeep { .. } => return None,
    };
    (creation.is_some() || !values.is_empty()).then_some(Unheard { side, values, creation })
}
