//! What the cycles have seen: nobody can know of anything else.

use std::collections::{BTreeMap, BTreeSet};

use crate::sides::{Shown, Sides};

/// The statuses that a cycle saw last, and since when it knows of whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// What was there by this request was seen by a cycle that worked.
    pub(crate) by: u64,
    /// So by any cycle, however it ended: it may have seen it.
    pub(crate) maybe_by: u64,
    rows: BTreeMap<i64, String>,
    contacts: BTreeMap<String, String>,
    /// Whose status people changed in the midst of the present cycle.
    acted_rows: BTreeSet<i64>,
    acted_contacts: BTreeSet<String>,
    /// Whom the present cycle wrote to, and heard the answer.
    written: BTreeSet<String>,
}

impl Seen {
    pub(crate) fn begin_cycle(&mut self) {
        self.acted_rows.clear();
        self.acted_contacts.clear();
        self.written.clear();
    }

    /// The status of a row as it was seen last, where it was.
    pub(crate) fn row(&self, id: i64) -> Option<&str> {
        self.rows.get(&id).map(String::as_str)
    }

    /// The status of a contact.
    pub(crate) fn contact(&self, id: &str) -> Option<&str> {
        self.contacts.get(id).map(String::as_str)
    }

    /// People changed something.
    pub(crate) fn acted(&mut self, before: &Sides, after: &Sides) {
        for is in after.rows.iter() {
            if before.rows.iter().all(|was| was.id != is.id || was.status != is.status) {
                self.acted_rows.insert(is.id);
            }
        }
        for is in after.contacts.iter() {
            if before.contacts.iter().all(|was| was.id != is.id || was.status != is.status) {
                self.acted_contacts.insert(is.id.clone());
            }
        }
    }

    /// An answer showed a contact.
    pub(crate) fn wrote(&mut self, contact: &Shown) {
        self.written.insert(contact.id.clone());
        self.contacts.insert(contact.id.clone(), contact.status.clone());
    }

    /// A cycle worked that began with the sides as they were `before`: it knows what it shows at its end, but for what people
    /// did meanwhile.
    pub(crate) fn end_cycle(&mut self, by: u64, before: &Sides, after: &Sides) {
        self.by = by;
        let shown = |of: &Sides| -> BTreeMap<i64, String> {
            of.rows.iter().map(|row| (row.id, row.status.clone())).collect()
        };
        let old = shown(before);
        let rows = shown(after).into_iter().filter_map(|(id, status)| match self.acted_rows.contains(&id) {
            true => old.get(&id).map(|status| (id, status.clone())),
            false => Some((id, status)),
        });
        self.rows = rows.collect();
        for contact in after.contacts.iter() {
            let acted = self.acted_contacts.contains(&contact.id);
            let seen = before.contacts.iter().find(|was| acted && was.id == contact.id);
            if !acted || seen.is_some() && !self.written.contains(&contact.id) {
                let status = &seen.unwrap_or(contact).status;
                self.contacts.insert(contact.id.clone(), status.clone());
            }
        }
    }
}
