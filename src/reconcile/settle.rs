//! How the base moves once a write was answered: to what the answer shows, and only for what was written.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Contact, Dimension, Interest, Key, Registration, SubscriptionStatus, Value};
use crate::reconcile::plan::Operation;
use crate::reconcile::policy::Policy;
use crate::reconcile::trio::{Base, Pair, Standing};
use crate::reconcile::values::{Values, shown_values};

impl Base {
    /// Whether neither side's consent is known yet.
    pub fn is_first_meeting(&self) -> bool {
        self.consent.local.is_none() && self.consent.remote.is_none()
    }

    /// Takes note of which contact is the member's. What another one said before it was gone, and its successor does not,
    /// is nothing that anybody cleared.
    ///
    /// Nor did anybody leave by it: whoever is out at the successor has left anew.
    ///
    /// A contact created in bulk is known by the id of its path until a page shows its own.
    pub(super) fn meet(&mut self, contact: &Contact, shown: &Values) {
        let Some((known, _)) = &mut self.contact else { return };
        if *known == contact.contact_id {
            return;
        }
        let stands_in = known.as_str() == contact.path_id;
        *known = contact.contact_id.clone();
        if !stands_in {
            let says = |key: &Key| shown.get(key).is_some_and(|value| !value.is_empty());
            self.values.retain(|key, pair| pair.remote.is_empty() || says(key));
            self.consent.seen_in_remotely = true;
        }
    }

    /// Forgets what stands under keys that the audience no longer has, so that it is adopted should it come back. A
    /// choice is forgotten where it is one of them, not where it is another.
    pub fn forget(&mut self, lost: &BTreeSet<Key>) {
        let is_lost = |dimension: &Dimension, chosen: &Value| {
            lost.contains(&Key::Interest(Interest::new(dimension.as_str(), chosen.as_text())))
        };
        self.values.retain(|key, pair| match key {
            Key::Field(_) | Key::Interest(_) => !lost.contains(key),
            Key::Choice(dimension) => !is_lost(dimension, &pair.local) && !is_lost(dimension, &pair.remote),
        });
    }

    /// The base once `operation` was done.
    ///
    /// `rows` and `contact` are what both sides show after it: the side that was written by its answer.
    #[must_use]
    pub fn after(
        &self,
        operation: &Operation,
        rows: &[Registration],
        contact: Option<&Contact>,
        policy: &Policy,
    ) -> Self {
        let mut base = self.clone();
        match operation {
            Operation::RemoteStatus { standing, .. } => base.take_answer(standing, contact),
            Operation::RemoteCreate { standing, .. } => {
                // What another contact showed before says nothing about this one.
                base.values.clear();
                base.unheard.clear();
                base.take_answer(standing, contact);
            }
            Operation::RemoteArchive { standing } => {
                base.consent = standing.clone();
                base.consent.remote = Some(SubscriptionStatus::Archived);
            }
            Operation::RemoteLeave { standing, .. } => {
                base.consent = standing.clone();
                base.contact = None;
                base.values.clear();
            }
            Operation::LocalStatus { standing, .. } | Operation::LocalCreate { standing, .. } => {
                base.consent = standing.clone();
                base.consent.local_at = rows.iter().filter_map(Registration::consent_at).max();
            }
            Operation::RemoteRename { .. } | Operation::LocalRename { .. } => {
                base.rows = rows.iter().map(|row| (row.id.clone(), row.email.clone())).collect();
            }
            Operation::RemoteUpdate { .. }
            | Operation::RemoteTags { .. }
            | Operation::LocalUpdate { .. }
            | Operation::LocalKeep { .. } => (),
        }
        base.relink(operation, rows, contact);
        base.settle_values(operation, rows, contact, policy);
        base.note_own_write(operation, rows, contact);
        base
    }

    /// The consent part as the answer shows it: its opt-in time is what our own write caused.
    fn take_answer(&mut self, standing: &Standing, contact: Option<&Contact>) {
        self.consent = Standing {
            remote: contact.map(|contact| contact.status),
            remote_at: contact.and_then(|contact| contact.timestamp_opt),
            ..standing.clone()
        };
    }

    /// Rows and contact that are new to the base are linked; a changed address moves only with the write that settles it.
    fn relink(&mut self, operation: &Operation, rows: &[Registration], contact: Option<&Contact>) {
        for row in rows {
            self.rows.entry(row.id.clone()).or_insert_with(|| row.email.clone());
        }
        let moves = matches!(
            operation,
            Operation::RemoteRename { .. } | Operation::LocalRename { .. } | Operation::RemoteCreate { .. }
        );
        if matches!(operation, Operation::RemoteCreate { .. }) {
            self.rows = rows.iter().map(|row| (row.id.clone(), row.email.clone())).collect();
        }
        match (contact, &self.contact) {
            (Some(_), _) if matches!(operation, Operation::RemoteLeave { .. }) => (),
            (Some(contact), link) if moves || link.is_none() => {
                self.contact = Some((contact.contact_id.clone(), contact.email.clone()));
            }
            (Some(_) | None, _) => (),
        }
    }

    fn settle_values(
        &mut self,
        operation: &Operation,
        rows: &[Registration],
        contact: Option<&Contact>,
        policy: &Policy,
    ) {
        let Some(contact) = contact else { return };
        let (local, remote) = shown_values(rows, contact, Some(self), policy);
        let shown = |values: &BTreeMap<Key, Value>, key: &Key, else_: &Value| {
            values.get(key).unwrap_or(else_).clone()
        };
        match operation {
            Operation::RemoteUpdate { source, .. } | Operation::RemoteTags { source, .. } => {
                for (key, source) in source {
                    let pair = Pair { local: source.clone(), remote: shown(&remote, key, source) };
                    self.values.insert(key.clone(), pair);
                }
            }
            Operation::LocalUpdate { source, .. } => {
                for (key, source) in source {
                    let local = shown(&local, key, source);
                    // Another row still says what was cleared on this one: it is not settled yet.
                    let elsewhere = source.is_empty() && !local.is_empty();
                    if !elsewhere {
                        self.values.insert(key.clone(), Pair { local, remote: source.clone() });
                    }
                }
            }
            Operation::RemoteCreate { values, .. } => {
                for (key, source) in values {
                    let pair = Pair { local: source.clone(), remote: shown(&remote, key, source) };
                    self.values.insert(key.clone(), pair);
                }
            }
            Operation::LocalCreate { values, .. } => {
                for (key, source) in values {
                    let pair = Pair { local: shown(&local, key, source), remote: source.clone() };
                    self.values.insert(key.clone(), pair);
                }
            }
            Operation::RemoteStatus { .. }
            | Operation::RemoteArchive { .. }
            | Operation::RemoteLeave { .. }
            | Operation::RemoteRename { .. }
            | Operation::LocalStatus { .. }
            | Operation::LocalRename { .. }
            | Operation::LocalKeep { .. } => (),
        }
    }

    /// Remembers the time stamp that our own write caused: it is nobody's edit.
    fn note_own_write(&mut self, operation: &Operation, rows: &[Registration], contact: Option<&Contact>) {
        match operation {
            Operation::LocalStatus { .. }
            | Operation::LocalCreate { .. }
            | Operation::LocalRename { .. }
            | Operation::LocalUpdate { .. } => {
                self.local_written_at = rows.last().and_then(|row| row.updated_at)
            }
            Operation::RemoteStatus { .. }
            | Operation::RemoteCreate { .. }
            | Operation::RemoteRename { .. }
            | Operation::RemoteUpdate { .. } => {
                self.remote_written_at = contact.and_then(|contact| contact.last_changed);
            }
            // Neither answer shows a time: Rosterd's own columns move none, the others come without a body.
            Operation::LocalKeep { .. }
            | Operation::RemoteTags { .. }
            | Operation::RemoteArchive { .. }
            | Operation::RemoteLeave { .. } => (),
        }
    }
}
