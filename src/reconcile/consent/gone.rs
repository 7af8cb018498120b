//! The consent rule for members that have, or had, an agreement and are missing on one side now.

use jiff::Timestamp;

use crate::model::SubscriptionStatus;
use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::consent::across::{DELETED, UNCONFIRMED};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, RemoteWord, Verdict, latest};
use crate::reconcile::plan::Class;
use crate::reconcile::policy::GoneLocal;
use crate::reconcile::trio::Standing;

impl Question<'_> {
    pub(super) fn gone_from_remote(&self, local: &LocalWord) -> Decision {
        let wants_in = matches!(local.status, Subscribed | Pending);
        match (self.base.remote, self.base.opted_out_at, self.base.removed_at) {
            _ if wants_in && self.base.seen_in_remotely => {
                self.lost(self.observed_at, "deleted in Mailchimp", DELETED)
            }
            (None | Some(Archived | Unsubscribed | Transactional), Some(left), _) if wants_in => {
                self.back_or_out(local, left)
            }
            (Some(Archived | Unsubscribed), None, Some(removed)) if wants_in => self.returned(local, removed),
            (None | Some(Transactional), None, Some(removed)) if wants_in => self.returned(local, removed),
            (None | Some(Transactional), None, None) if wants_in => self.welcome(local),
            (None, _, _) => self.out_and_gone(local, "not subscribed, unknown to Mailchimp"),
            (Some(was), _, _) if local.status == Unsubscribed => {
                let decision = self.out_and_gone(local, "left, and gone from Mailchimp");
                // Our own opt-out of a moment ago, whose answer got lost: its note may be lost with it.
                match (was, self.base.local) {
                    (Subscribed, Some(Subscribed)) => decision.noted(DELETED),
                    (_, _) => decision,
                }
            }
            (Some(Pending), _, _) => self.lost(self.observed_at, "the confirmation never came", UNCONFIRMED),
            (Some(_), _, _) => self.lost(self.observed_at, "deleted in Mailchimp", DELETED),
        }
    }

    fn out_and_gone(&self, local: &LocalWord, reason: &'static str) -> Decision {
        let standing = Standing {
            local: Some(local.status),
            remote: None,
            opted_out_at: latest(self.base.opted_out_at, Some(self.left_locally(local))),
            removed_at: None,
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        Decision::new(Verdict::Agreed, standing, reason)
    }

    /// Back after an opt-out whose contact is gone: a later word, or the opt-out stands.
    fn back_or_out(&self, local: &LocalWord, left: Timestamp) -> Decision {
        if self.base.local != Some(local.status) || self.is_later(local.at, left) {
            self.back_on_local(local, left)
        } else {
            self.opt_out_stands(left)
        }
    }

    /// The contact is gone, and with it the consent: that is an opt-out of `left`.
    fn lost(&self, left: Timestamp, reason: &'static str, note: &'static str) -> Decision {
        let standing = Standing {
            local: Some(Unsubscribed),
            remote: None,
            opted_out_at: Some(left),
            removed_at: None,
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        Decision::new(Verdict::Local(Unsubscribed, Some(left)), standing, reason)
            .counted_as(Class::Absence)
            .noted(note)
    }

    pub(super) fn gone_from_local(&self, remote: &RemoteWord) -> Decision {
        // Who was seen back was in, whatever was agreed on: without their rows they have left anew. A sign-up that waits is
        // no proof of having been back since.
        let seen_remotely = self.base.seen_in_remotely || remote.status == Pending;
        let seen_locally = self.base.seen_in_locally || matches!(self.base.local, Some(Subscribed | Pending));
        let seen_in = seen_locally && seen_remotely;
        let was = match self.base.local {
            _ if seen_in => Subscribed,
            Some(was) => was,
            None => return self.never_local(remote),
        };
        let stands = self.base.opted_out_at.is_some_and(|left| !self.opted_in_since(remote, left));
        match remote.status {
            Subscribed if !seen_in && (was == Unsubscribed || self.base.remote == Some(Unsubscribed)) => {
                match self.base.opted_out_at {
                    Some(left) if self.opted_in_since(remote, left) => self.register(remote),
                    Some(_) | None => self.remove(was, "rows removed of somebody who had left"),
                }
            }
            Subscribed => match self.policy.gone_local {
                GoneLocal::Archive => self.archive(was),
                GoneLocal::Unsubscribe => self.remove(was, "rows removed from the register"),
                GoneLocal::Leave if seen_in && stands => {
                    self.remove(Unsubscribed, "rows removed of somebody who had left")
                }
                GoneLocal::Leave => self.without_rows(remote, "rows removed; policy gone_local = leave"),
            },
            Pending => self.remove(was, "rows removed before the person confirmed"),
            Unsubscribed | Cleaned | Transactional | Archived => {
                self.without_rows(remote, "rows removed; the contact is left as it is")
            }
        }
    }

    fn archive(&self, was: SubscriptionStatus) -> Decision {
        Decision::new(Verdict::Archive, self.removed_from(was, Archived), "rows removed from the register")
            .counted_as(Class::Removal)
    }

    fn remove(&self, was: SubscriptionStatus, reason: &'static str) -> Decision {
        let verdict = Verdict::Remote(DecidedStatus(Unsubscribed));
        Decision::new(verdict, self.removed_from(was, Unsubscribed), reason).counted_as(Class::Removal)
    }

    /// Removed rows are an opt-out, but somebody who had not left before may register as if they were new.
    fn removed_from(&self, was: SubscriptionStatus, becomes: SubscriptionStatus) -> Standing {
        let now = Some(self.observed_at);
        let (opted_out_at, removed_at) = match (was, self.base.opted_out_at) {
            (Unsubscribed, left) => (left.or(now), None),
            (_, Some(_)) => (now, None),
            (_, None) => (None, now),
        };
        Standing {
            local: None,
            remote: Some(becomes),
            opted_out_at,
            removed_at,
            before_bounce: None,
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        }
    }

    fn without_rows(&self, remote: &RemoteWord, reason: &'static str) -> Decision {
        let opted_out_at = match remote.is_out() && self.removed(remote).is_none() {
            true => self.base.opted_out_at.or_else(|| Some(self.left_remotely(remote))),
            false => self.base.opted_out_at,
        };
        let was_in = matches!(self.base.local, Some(Subscribed | Pending));
        let found_gone = Some(self.observed_at).filter(|_| was_in && remote.status == Transactional);
        let removed_at = self.base.removed_at.or(found_gone.filter(|_| opted_out_at.is_none()));
        let standing = Standing {
            local: None,
            remote: Some(remote.status),
            opted_out_at,
            removed_at,
            ..self.base.clone()
        };
        Decision::new(Verdict::Agreed, standing, reason)
    }

    /// When the rows were removed for which the contact was archived or unsubscribed by us; nobody touched it since.
    pub(super) fn removed(&self, remote: &RemoteWord) -> Option<Timestamp> {
        let ours = self.base.opted_out_at.is_none()
            && self.base.remote == Some(remote.status)
            && !self.base.seen_in_remotely;
        self.base.removed_at.filter(|removed| ours && !self.was_back_since(remote, *removed))
    }

    /// A contact whose base has no local side: only their own later opt-in makes a registration of it.
    fn never_local(&self, remote: &RemoteWord) -> Decision {
        let back = remote.status == Subscribed && self.base.remote != Some(Subscribed);
        match latest(self.base.opted_out_at, self.base.removed_at) {
            Some(left) if back && !self.opted_in_since(remote, left) => self.unproven_opt_in(),
            Some(_) | None if back => self.register(remote),
            Some(_) | None => self.without_rows(remote, "no registration"),
        }
    }
}
