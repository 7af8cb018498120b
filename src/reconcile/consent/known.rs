//! The consent rule for members that have, or had, an agreement and show on both sides now.

use jiff::Timestamp;

use crate::model::SubscriptionStatus;
use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::consent::across::{BOUNCED, SHELVED};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, RemoteWord, Verdict, latest};
use crate::reconcile::plan::Class;
use crate::reconcile::policy::{NewLocal, Resubscribe};
use crate::reconcile::trio::Standing;

impl Question<'_> {
    pub(super) fn known_on_both(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let shown = local.standing(remote, &self.base);
        let agreed = |reason| Decision::new(Verdict::Agreed, self.as_shown(local, remote), reason);
        if is_in(shown)
            && is_in(remote.status)
            && let Some(left) = self.on_its_way(local, remote)
        {
            return self.opt_out_stands(left);
        }
        match (shown, remote.status) {
            (Subscribed, Subscribed) => self.both_in(local, remote),
            (Subscribed, Pending) => self.in_but_pending(local, remote),
            (Subscribed | Pending, Unsubscribed | Archived) => self.in_but_out(local, remote),
            (Subscribed | Pending, Cleaned) => self.bounced(local, remote),
            (Subscribed | Pending, Transactional) => self.never_subscribed(local),
            (Pending, Subscribed) => self.pending_but_in(local, remote),
            (Pending, Pending) => agreed("both sides agree"),
            (Cleaned, Cleaned) => agreed("both sides agree").noted(BOUNCED),
            (Unsubscribed, Subscribed) => self.left_but_in(local, remote),
            (Unsubscribed, Pending) => self.left_but_pending(local, remote),
            (Unsubscribed, Archived) if self.base.local.is_some_and(is_in) => {
                agreed("both sides agree: left").noted(SHELVED)
            }
            (Unsubscribed, Unsubscribed | Archived | Cleaned | Transactional) => {
                agreed("both sides agree: left")
            }
            (Cleaned, Subscribed) => self.back_on_remote(remote),
            (Cleaned, Pending) => self.wait_for_confirmation(remote),
            (Cleaned, Unsubscribed | Archived) => {
                self.leave_locally(remote, "left in Mailchimp after the bounce")
            }
            (Cleaned, Transactional) | (Transactional | Archived, _) => agreed("nothing to decide"),
        }
    }

    pub(super) fn both_in(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let proven = match latest(self.base.opted_out_at, self.base.removed_at) {
            None => true,
            Some(left) => {
                self.opted_in_since(remote, left) || self.is_later(local.at, left) || self.asked_directly()
            }
        };
        if !proven {
            return self.unproven_opt_in();
        }
        let standing = Standing { local: Some(Subscribed), remote: Some(Subscribed), ..Standing::default() };
        Decision::new(Verdict::Agreed, standing, "both sides agree")
    }

    /// The opt-out that was on its way to a contact that shows as it did then, where neither side shows a later opt-in.
    fn on_its_way(&self, local: &LocalWord, remote: &RemoteWord) -> Option<Timestamp> {
        let leaves = self.base.local == Some(Unsubscribed) && self.base.remote == Some(remote.status);
        let left = self.base.opted_out_at.filter(|_| leaves)?;
        (!self.is_later(local.at, left) && !self.opted_in_since(remote, left)).then_some(left)
    }

    /// Whether the contact is subscribed because the consent rule had it so (policy `direct`).
    fn asked_directly(&self) -> bool {
        self.base.remote == Some(Subscribed) && self.base.asked_at.is_some()
    }

    fn in_but_pending(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        // Since the row's own pending word, not since ours: asking takes time, and the person may be quicker.
        let asked = self.base.asked_for.or(self.base.asked_at).or(remote.changed_at);
        let website_confirmed = self.base.remote == Some(Pending)
            && self.base.local == Some(Pending)
            && asked.is_some_and(|asked| self.is_later(local.at, asked));
        let allowed = match self.base.opted_out_at {
            None => self.policy.new_local == NewLocal::Subscribe,
            Some(left) => self.policy.resubscribe == Resubscribe::Direct && self.is_later(local.at, left),
        };
        if !(website_confirmed && allowed) {
            return self.wait_for_confirmation(remote);
        }
        let standing = Standing {
            local: Some(Subscribed),
            remote: Some(Subscribed),
            asked_at: Some(self.observed_at),
            asked_for: local.at,
            ..self.base.clone()
        };
        let class = if self.base.opted_out_at.is_some() { Class::Invitation } else { Class::Free };
        Decision::new(Verdict::Remote(DecidedStatus(Subscribed)), standing, "confirmed on the website")
            .counted_as(class)
    }

    /// Out in Mailchimp: a later word of the register is a case of its own, else the opt-out goes across or stands.
    fn in_but_out(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        if let Some(removed) = self.removed(remote) {
            return self.returned(local, removed);
        }
        let left = self.left_remotely(remote);
        let remote_unchanged =
            matches!(self.base.remote, Some(Archived | Unsubscribed)) && !self.base.seen_in_remotely;
        let local_says_so_again = self.base.local != Some(local.status);
        if self.is_later(local.at, left) || (remote_unchanged && local_says_so_again) {
            return self.back_on_local(local, left);
        }
        match remote.status {
            Archived => self.shelved(remote),
            Subscribed | Unsubscribed | Pending | Cleaned | Transactional => {
                self.leave_locally(remote, "left in Mailchimp")
            }
        }
    }

    fn pending_but_in_anew(&self, local: &LocalWord, remote: &RemoteWord) -> bool {
        let was_in = self.base.local == Some(Subscribed) && self.base.remote == Some(Subscribed);
        let confirmed_since = match local.at {
            // Whether that is news or not: a backup shows a request again that was answered long ago.
            Some(asked) if local.timed && !self.ahead(asked) => self.is_later(remote.opted_in_at, asked),
            Some(asked) if !self.ahead(asked) => {
                self.opted_in_since(remote, asked)
                    || local.edited_at.is_some_and(|edited| self.is_later(remote.opted_in_at, edited))
            }
            Some(_) | None => remote.opted_in_at > self.base.remote_at,
        };
        was_in && self.base.asked_for != local.at && !confirmed_since
    }

    pub(super) fn pending_but_in(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        match (latest(self.base.opted_out_at, self.base.removed_at), self.base.local) {
            (Some(left), was) if !self.opted_in_since(remote, left) => {
                let leaves = was == Some(Unsubscribed) && self.base.remote == Some(Subscribed);
                return if leaves { self.leave_first(left) } else { self.unproven_opt_in() };
            }
            (Some(_) | None, _) => (),
        }
        if !self.pending_but_in_anew(local, remote) {
            return self.confirmed(remote, "confirmed in Mailchimp");
        }
        let standing = Standing {
            local: Some(Pending),
            remote: Some(Pending),
            asked_at: Some(self.observed_at),
            asked_for: local.at,
            ..self.base.clone()
        };
        Decision::new(Verdict::Remote(DecidedStatus(Pending)), standing, "the website asks for confirmation")
    }

    /// Asked to be back before the opt-out of the register arrived: it goes across all the same, and they are asked then.
    fn leave_first(&self, left: Timestamp) -> Decision {
        let standing = Standing {
            remote: Some(Unsubscribed),
            opted_out_at: Some(left),
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        let verdict = Verdict::Remote(DecidedStatus(Unsubscribed));
        Decision::new(verdict, standing, "left in the register").counted_as(Class::TimedOptOut(left))
    }

    fn left_but_in(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let left = self.left_locally(local);
        let left = latest(self.base.opted_out_at, Some(left)).unwrap_or(left);
        if self.opted_in_since(remote, left) {
            return self.confirmed(remote, "opted in again in Mailchimp");
        }
        let local_unchanged = self.base.local == Some(local.status) && !self.left_anew_locally(local);
        if local_unchanged && self.base.remote != Some(Subscribed) {
            return self.unproven_opt_in();
        }
        self.leave_remotely(local, "left in the register")
    }

    /// A sign-up that waits has no time of its own: it does not undo what the register says anew.
    fn left_but_pending(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let local_unchanged = self.base.local == Some(local.status) && !self.left_anew_locally(local);
        if local_unchanged && self.base.remote != Some(Pending) {
            return self.wait_for_confirmation(remote);
        }
        self.leave_remotely(local, "left in the register")
    }

    /// Whether the register shows the opt-out after it showed them in, or dates it later than the one that is remembered.
    fn left_anew_locally(&self, local: &LocalWord) -> bool {
        self.base.seen_in_locally || local.at != self.base.local_at && local.at > self.base.opted_out_at
    }

    /// A bounced member shows subscribed: by a form of Mailchimp's, or at the new address where they started afresh.
    fn back_on_remote(&self, remote: &RemoteWord) -> Decision {
        let left = self.base.opted_out_at;
        if left.is_some_and(|left| !self.opted_in_since(remote, left) && !self.asked_directly()) {
            return self.unproven_opt_in();
        }
        self.confirmed(remote, "subscribed again after the bounce")
    }
}

fn is_in(status: SubscriptionStatus) -> bool {
    matches!(status, Subscribed | Pending)
}

/// Whether a contact of this status may be written to at all, beside its status: opted out means left alone.
pub(crate) fn may_be_written_to(status: SubscriptionStatus) -> bool {
    match status {
        Subscribed | Pending => true,
        Unsubscribed | Cleaned | Transactional | Archived => false,
    }
}
