//! What the person did and when, in the order in which it happened: the oracle. It knows nothing of what the code decides.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::SubscriptionStatus::{Archived, Pending, Subscribed, Unsubscribed};
use crate::model::{ContactId, Dimension, Interest, Key, RegistrationId, SubscriptionStatus, Value};
use crate::reconcile::plan::{MemberPlan, Side};
use crate::reconcile::policy::GoneLocal;
use crate::reconcile::tests::laws::shown::{Look, Shown, look};
use crate::reconcile::tests::world::{LateRequests, World};

/// The order of what happened, finer than any clock.
type Moment = usize;

#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    now: Moment,
    /// The last opt-in of the person's own.
    opted_in: Moment,
    /// The latest opt-out that a side showed when somebody looked last.
    shown_out: Moment,
    /// The latest opt-out that is never forgotten any more.
    known_out: Moment,
    /// Whether both sides agreed before about where the person stands.
    have_met: bool,
    /// When each row was last set to unsubscribed by somebody.
    rows_out: BTreeMap<RegistrationId, Moment>,
    /// When the contact was last unsubscribed, archived or deleted by somebody.
    contact_out: Moment,
    /// When the last row was removed.
    rows_gone: Moment,
    /// Whether both sides, when they last showed the same, were in.
    seen_in: bool,
    /// The contact that was seen last.
    pub(super) seen_contact: Option<ContactId>,
    /// Whether the contact was brought back since somebody looked, by what Mailchimp writes no time of.
    back_without_a_time: bool,
    /// Whether the person did something since the last mail that may lead to one.
    may_be_asked: bool,
    n_asked: usize,
    n_late: LateRequests,
    /// What was ever entered.
    entered: BTreeMap<Key, BTreeSet<Value>>,
    /// What both sides showed when all was at rest, of values that nobody but people has changed since.
    pub(super) agreed: Shown,
    /// What both sides showed alike when somebody looked last at which they did.
    alike: Shown,
    /// What people changed since, and on which side.
    edited: BTreeSet<(Key, Side)>,
}

impl Ledger {
    fn tick(&mut self) -> Moment {
        self.now += 1;
        self.now
    }

    pub(super) fn opted_in(&mut self) {
        self.opted_in = self.tick();
    }

    /// An opt-in by Mailchimp's form or its confirmation, which Mailchimp dates.
    pub(super) fn opted_in_in_mailchimp(&mut self) {
        self.opted_in();
        self.back_without_a_time = false;
    }

    pub(super) fn may_be_asked(&mut self) {
        self.may_be_asked = true;
    }

    /// Out in the register. Where the time of it is not mapped, only whoever was seen in on both sides has left since.
    pub(super) fn left_in_row(&mut self, row: RegistrationId, is_dated: bool) {
        let now = self.tick();
        if is_dated || self.seen_in {
            self.rows_out.insert(row, now);
        }
    }

    /// Out of Mailchimp. Who was brought back without a time, and left again before anybody looked, shows what they showed before.
    pub(super) fn left_in_mailchimp(&mut self) {
        let now = self.tick();
        match self.back_without_a_time {
            false => self.contact_out = now,
            // If it was we who asked, nobody has seen what came of it.
            true => self.may_be_asked = true,
        }
    }

    /// Deleted in Mailchimp; of somebody who was not in on both sides when last seen that says nothing new.
    pub(super) fn deleted(&mut self) {
        let now = self.tick();
        self.contact_out = if self.seen_in { now } else { 0 };
        // Nobody has seen what came of the last mail.
        self.may_be_asked |= !self.seen_in;
    }

    /// Staff subscribed them: an opt-out that nobody has seen shows no more, and they look as if nobody had asked them.
    pub(super) fn brought_back(&mut self) {
        self.back_without_a_time = true;
        self.contact_out = 0;
        self.may_be_asked = true;
    }

    /// Back in Mailchimp, but Mailchimp writes no time of it: a form that waits for a confirmation.
    pub(super) fn back_without_a_time(&mut self) {
        self.back_without_a_time = true;
    }

    /// The last rows are gone; of somebody who was not in on both sides when last seen that says nothing new.
    pub(super) fn removed_rows(&mut self) {
        let now = self.tick();
        if self.seen_in {
            self.rows_gone = now;
        }
    }

    /// Old rows are back, with what they said then.
    pub(super) fn restore(&mut self, then: &Self) {
        self.rows_out.clone_from(&then.rows_out);
    }

    pub(super) fn vanished(&mut self, interest: &Interest) {
        self.agreed.remove(&Key::Interest(interest.clone()));
        self.agreed.remove(&Key::Choice(interest.dimension.clone()));
    }

    /// Somebody looks at both sides. What the person said in Mailchimp is known from then on.
    pub(super) fn see(&mut self, world: &World) {
        let out = world.local.iter().filter(|row| row.status == Unsubscribed);
        let by_row = out.filter_map(|row| self.rows_out.get(&row.id)).max().copied().unwrap_or_default();
        let status = world.remote.as_ref().map(|contact| contact.status);
        let by_contact = match status {
            Some(Unsubscribed | Archived) => self.contact_out,
            None => self.contact_out,
            Some(_) => 0,
        };
        let counts =
            self.have_met && (status == Some(Pending) || world.policy.gone_local != GoneLocal::Leave);
        let by_removal = if world.local.is_empty() && counts { self.rows_gone } else { 0 };
        self.shown_out = by_row.max(by_contact).max(by_removal);
        if self.have_met && status == Some(Unsubscribed) {
            self.known_out = self.known_out.max(by_contact);
        }
        // What one side alone shows may be held until it is undone.
        let statuses = world.local.iter().map(|row| row.status).chain(status);
        if !statuses.into_iter().any(|status| matches!(status, Subscribed | Pending)) {
            self.known_out = self.known_out.max(self.shown_out);
        }
        let is_in = |status: &SubscriptionStatus| matches!(status, Subscribed | Pending);
        let (rows, contact) = world.statuses();
        let met = !rows.is_empty() && contact.is_some();
        self.have_met |=
            met && rows.iter().all(|row| Some(*row) == contact || !is_in(row) && !contact.iter().any(is_in));
        self.seen_in = self.have_met && met && rows.iter().chain(&contact).all(is_in);
        self.seen_contact = world.remote.as_ref().map(|contact| contact.contact_id.clone());
        self.back_without_a_time = false;
    }

    /// Whether an opt-out is known, or shown, later than the person's last own opt-in.
    pub(super) fn is_out(&self) -> bool {
        self.known_out.max(self.shown_out) > self.opted_in
    }

    /// Whether the mails that were sent by now were all asked for, each once.
    pub(super) fn count_mails(&mut self, world: &World) -> Result<(), String> {
        // What is carried out late was asked for when it was made.
        let (late, before) = (world.n_late, std::mem::replace(&mut self.n_late, world.n_late));
        let n_asked = world.asked.len() - late.mailed + late.made;
        let new = n_asked - std::mem::replace(&mut self.n_asked, n_asked);
        self.may_be_asked |= late.in_vain > before.in_vain;
        if new > 0 && !std::mem::take(&mut self.may_be_asked) || new > 1 {
            return Err("asked to confirm once more, for what they were asked for before".to_owned());
        }
        Ok(())
    }

    pub(super) fn look(&self, world: &World) -> Look {
        look(world)
    }

    /// What people changed since `before`.
    pub(super) fn note_edits(&mut self, before: &Look, world: &World) {
        let after = look(world);
        let sides =
            [(Side::Local, &before.local, &after.local), (Side::Remote, &before.remote, &after.remote)];
        for (side, was, is) in sides {
            for (key, value) in is.iter().flatten() {
                if was.as_ref().and_then(|was| was.get(key)) != Some(value) {
                    self.entered.entry(key.clone()).or_default().insert(value.clone());
                    if !wrote_unheard(world, side, key, value) {
                        self.edited.insert((key.clone(), side));
                    }
                }
            }
        }
        if after.local.is_none() || after.remote.is_none() || before.contact != after.contact {
            self.agreed.clear();
        }
    }

    /// All is at rest: what both sides show alike is agreed.
    pub(super) fn note_rest(&mut self, plan: &MemberPlan, now: &Look) {
        let rests = plan.operations.is_empty() && plan.waits.is_none() && plan.conflicts.is_empty();
        let (Some(local), Some(remote)) = (&now.local, &now.remote) else { return };
        let alike = local.iter().filter(|(key, value)| remote.get(*key) == Some(*value));
        for (key, value) in alike {
            self.alike.insert(key.clone(), value.clone());
            if rests {
                self.agreed.insert(key.clone(), value.clone());
                self.edited.retain(|(edited, _)| edited != key);
            }
        }
    }

    /// What was written since is no agreement any more, until all is at rest again.
    pub(super) fn note_writes(&mut self, before: &Look, after: &Look) {
        let same = |key: &Key| {
            let of = |side: &Option<Shown>| side.as_ref().map(|side| side.get(key).cloned());
            of(&before.local) == of(&after.local) && of(&before.remote) == of(&after.remote)
        };
        self.agreed.retain(|key, _| same(key) && before.contact == after.contact);
    }

    /// Whether a value is another by now than what both sides last showed alike.
    pub(super) fn has_changed(&self, key: &Key, shown: &Shown) -> bool {
        self.alike.get(key) != shown.get(key)
    }

    /// Whether somebody changed this value on this side since both agreed.
    pub(super) fn is_edited(&self, key: &Key, side: Side) -> bool {
        self.edited.contains(&(key.clone(), side))
    }

    /// Whether somebody entered this value, or nothing is said.
    pub(super) fn knows(&self, key: &Key, value: &Value) -> bool {
        value.is_empty() || self.entered.get(key).is_some_and(|values| values.contains(value))
    }
}

/// Whether nobody heard what came of our writing this very value there: it shows as ours, whoever entered it.
fn wrote_unheard(world: &World, side: Side, key: &Key, value: &Value) -> bool {
    let unheard = world.base.iter().flat_map(|base| &base.unheard).filter(|unheard| unheard.side == side);
    unheard.filter_map(|unheard| unheard.values.get(key)).any(|written| match side {
        Side::Local => written.local == *value,
        Side::Remote => written.remote == *value,
    })
}

pub(super) fn is_one_way(key: &Key) -> bool {
    matches!(key, Key::Field(tag) if tag.as_str() == "CODE")
}

pub(super) fn is_tags(key: &Key) -> bool {
    matches!(key, Key::Interest(interest) if interest.dimension == Dimension::new("sector"))
}
