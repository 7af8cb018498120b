//! The members of an audience, found by any of their ids.

use std::collections::HashMap;

use crate::sandbox::member::Member;
use crate::sandbox::views::Order;
use crate::sandbox::views::Shown;
use crate::sandbox::views::Views;

/// Every member that was not deleted for good; a member keeps its slot for life.
#[derive(Clone, Debug, Default)]
pub(crate) struct Store {
    slots: Vec<Option<Member>>,
    by_id: HashMap<String, u32>,
    by_email: HashMap<String, u32>,
    by_contact: HashMap<String, u32>,
    by_unique: HashMap<String, u32>,
    counts: [usize; 6],
    views: Views,
    version: u64,
}

impl Store {
    /// Adds a member and tells its slot.
    pub(crate) fn insert(&mut self, member: Member) -> u32 {
        let slot = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        self.slots.push(None);
        self.put(slot, Some(member));
        slot
    }

    /// Replaces the member in `slot`, or removes it.
    pub(crate) fn put(&mut self, slot: u32, member: Option<Member>) {
        let Some(place) = self.slots.get_mut(index(slot)) else { return };
        let before = std::mem::replace(place, member);
        let after = place.as_ref();
        self.version += 1;
        self.views.note(slot, before.as_ref(), after);
        if let Some(before) = &before {
            self.counts[before.status as usize] -= 1;
            self.by_id.remove(&before.id);
            self.by_email.remove(&before.key());
            self.by_contact.remove(&before.contact_id);
            self.by_unique.remove(&before.unique_email_id);
        }
        if let Some(after) = after {
            self.counts[after.status as usize] += 1;
            self.by_id.insert(after.id.clone(), slot);
            self.by_email.insert(after.key(), slot);
            self.by_contact.insert(after.contact_id.clone(), slot);
            self.by_unique.insert(after.unique_email_id.clone(), slot);
        }
    }

    /// The member in `slot`.
    pub(crate) fn get(&self, slot: u32) -> Option<&Member> {
        self.slots.get(index(slot))?.as_ref()
    }

    /// The slot of the member with this `id`.
    pub(crate) fn by_id(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// The slot of the member with this address.
    pub(crate) fn by_email(&self, email: &str) -> Option<u32> {
        self.by_email.get(&email.to_lowercase()).copied()
    }

    /// The slot of the member with this `contact_id`.
    pub(crate) fn by_contact(&self, contact_id: &str) -> Option<u32> {
        self.by_contact.get(contact_id).copied()
    }

    /// The slot of the member with this `unique_email_id`.
    pub(crate) fn by_unique(&self, unique_email_id: &str) -> Option<u32> {
        self.by_unique.get(unique_email_id).copied()
    }

    /// How many members have a status, or are not archived.
    pub(crate) fn count(&self, shown: Shown) -> usize {
        match shown {
            Some(status) => self.counts[status as usize],
            None => self.counts[..5].iter().sum(),
        }
    }

    /// A number that grows with every change.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Sort key and slot of the shown members, in ascending order.
    pub(crate) fn rows(&mut self, shown: Shown, order: Order) -> &[(i64, u32)] {
        self.views.rows(shown, order, &self.slots)
    }

    /// Drops every view, so that the next reading builds it anew.
    #[cfg(test)]
    pub(crate) fn forget_views(&mut self) {
        self.views = Views::default();
    }

    /// Every member with its slot, in the order of creation.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Member)> {
        (0..).zip(&self.slots).filter_map(|(slot, member)| Some((slot, member.as_ref()?)))
    }
}

fn index(slot: u32) -> usize {
    usize::try_from(slot).unwrap_or(usize::MAX)
}
