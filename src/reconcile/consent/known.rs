//! The consent rule for members that have, or had, an agreement and show on both sides now.

use crate::model::SubscriptionStatus;
use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, RemoteWord, Verdict};
use crate::reconcile::plan::Class;
use crate::reconcile::policy::{NewLocal, Resubscribe};
use crate::reconcile::trio::Standing;

impl Question<'_> {
    pub(super) fn known_on_both(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let shown = local.standing(remote, &self.base);
        let unchanged = self.base.local == Some(local.status) && self.base.remote == Some(remote.status);
        if unchanged && coherent(shown, remote.status) {
            return Decision::new(Verdict::Agreed, self.base.clone(), "neither side changed");
        }
        let agreed = |reason| Decision::new(Verdict::Agreed, self.as_shown(local, remote), reason);
        match (shown, remote.status) {
            (Subscribed, Subscribed) => self.both_in(local, remote),
            (Subscribed, Pending) => self.in_but_pending(local, remote),
            (Subscribed | Pending, Unsubscribed) => self.in_but_left(local, remote),
            (Subscribed | Pending, Archived) => self.in_but_archived(local, remote),
            (Subscribed | Pending, Cleaned) => self.bounced(local, remote),
            (Subscribed | Pending, Transactional) => self.welcome(local),
            (Pending, Subscribed) => self.pending_but_in(local, remote),
            (Pending, Pending) | (Cleaned, Cleaned) => agreed("both sides agree"),
            (Unsubscribed, Subscribed) => self.left_but_in(local, remote),
            (Unsubscribed, Pending) => self.left_but_pending(local, remote),
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

    fn both_in(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let proven = match self.base.opted_out_at {
            None => true,
            Some(left) => {
                self.later(remote.opted_in_at, left) || self.later(local.at, left) || self.asked_directly()
            }
        };
        if !proven {
            return self.unproven_opt_in();
        }
        let standing = Standing { local: Some(Subscribed), remote: Some(Subscribed), ..Standing::default() };
        Decision::new(Verdict::Agreed, standing, "both sides agree")
    }

    /// Whether the contact is subscribed because the consent rule had it so (policy `direct`).
    fn asked_directly(&self) -> bool {
        self.base.remote == Some(Subscribed) && self.base.asked_at.is_some()
    }

    fn in_but_pending(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let website_confirmed = self.base.remote == Some(Pending)
            && self.base.local == Some(Pending)
            && remote.changed_at.is_some_and(|asked| self.later(local.at, asked));
        let allowed = match self.base.opted_out_at {
            None => self.policy.new_local == NewLocal::Subscribe,
            Some(left) => self.policy.resubscribe == Resubscribe::Direct && self.later(local.at, left),
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

    fn in_but_left(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let left = self.left_remotely(remote);
        let remote_unchanged = self.base.remote == Some(Unsubscribed);
        let local_says_so_again = self.base.local != Some(local.status);
        if self.later(local.at, left) || (remote_unchanged && local_says_so_again) {
            return self.back_on_local(local, left);
        }
        self.leave_locally(remote, "left in Mailchimp")
    }

    fn in_but_archived(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        if self.base.remote == Some(Archived) && self.base.opted_out_at.is_none() {
            return self.welcome(local);
        }
        let left = self.left_remotely(remote);
        let remote_unchanged = matches!(self.base.remote, Some(Archived | Unsubscribed));
        let local_says_so_again = self.base.local != Some(local.status);
        if self.later(local.at, left) || (remote_unchanged && local_says_so_again) {
            return self.back_on_local(local, left);
        }
        self.shelved(remote)
    }

    fn pending_but_in(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let left = self.base.opted_out_at;
        if left.is_some_and(|left| !self.later(remote.opted_in_at, left)) {
            return self.unproven_opt_in();
        }
        let website_asks_anew = self.base.local == Some(Subscribed) && self.base.remote == Some(Subscribed);
        if website_asks_anew && self.base.asked_for != local.at {
            let standing = Standing {
                local: Some(Pending),
                remote: Some(Pending),
                asked_at: Some(self.observed_at),
                asked_for: local.at,
                ..self.base.clone()
            };
            return Decision::new(
                Verdict::Remote(DecidedStatus(Pending)),
                standing,
                "the website asks for confirmation",
            );
        }
        self.confirmed(remote, "confirmed in Mailchimp")
    }

    fn left_but_in(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let left = self.left_locally(local).max(self.base.opted_out_at.unwrap_or(jiff::Timestamp::MIN));
        if self.later(remote.opted_in_at, left) {
            return self.confirmed(remote, "opted in again in Mailchimp");
        }
        let local_unchanged = self.base.local == Some(Unsubscribed);
        if local_unchanged && self.base.remote != Some(Subscribed) {
            return self.unproven_opt_in();
        }
        self.leave_remotely(local, "left in the register")
    }

    fn left_but_pending(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let local_unchanged = self.base.local == Some(Unsubscribed);
        if local_unchanged && self.base.remote != Some(Pending) {
            return self.wait_for_confirmation(remote);
        }
        self.leave_remotely(local, "left in the register")
    }

    /// A bounced member shows subscribed: by a form of Mailchimp's, or at the new address where they started afresh.
    fn back_on_remote(&self, remote: &RemoteWord) -> Decision {
        let left = self.base.opted_out_at;
        if left.is_some_and(|left| !self.later(remote.opted_in_at, left)) {
            return self.unproven_opt_in();
        }
        self.confirmed(remote, "subscribed again after the bounce")
    }
}

/// Whether two statuses tell the same story, so that nothing is due while neither changes.
fn coherent(local: SubscriptionStatus, remote: SubscriptionStatus) -> bool {
    match local {
        Subscribed | Pending | Cleaned => local == remote,
        Unsubscribed => matches!(remote, Unsubscribed | Archived | Cleaned | Transactional),
        Transactional | Archived => false,
    }
}

/// Whether a contact of this status may be written to at all, beside its status: opted out means left alone.
pub(crate) fn may_be_written_to(status: SubscriptionStatus) -> bool {
    match status {
        Subscribed | Pending => true,
        Unsubscribed | Cleaned | Transactional | Archived => false,
    }
}
