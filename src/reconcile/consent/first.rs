//! The consent rule where no agreement is remembered: first meetings, and people who count as new.

use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, RemoteWord, Verdict, latest};
use crate::reconcile::plan::Class;
use crate::reconcile::policy::{AdoptionPhase, NewLocal, NewRemote};
use crate::reconcile::trio::Standing;

/// Said of whoever was waiting for a confirmation when the sides first met.
const UNASKED: &str = "pending since before Rosterd came, and not asked by it; a new sign-up asks";

impl Question<'_> {
    pub(super) fn new_on_local(&self, local: &LocalWord) -> Decision {
        match (local.status, self.base.opted_out_at) {
            (Subscribed | Pending, Some(left)) => self.back_on_local(local, left),
            (Subscribed | Pending, None) => self.welcome(local),
            (Unsubscribed | Cleaned | Transactional | Archived, _) => {
                let standing = Standing {
                    local: Some(local.status),
                    opted_out_at: latest(self.base.opted_out_at, Some(self.left_locally(local))),
                    ..self.base.clone()
                };
                Decision::new(Verdict::Agreed, standing, "not subscribed, unknown to Mailchimp")
            }
        }
    }

    /// Somebody who never left and whom Mailchimp does not know, or not as a subscriber: policy `new_local`.
    pub(super) fn welcome(&self, local: &LocalWord) -> Decision {
        let status = match (self.policy.new_local, local.status, self.policy.adoption) {
            (NewLocal::Ignore, _, _) => return self.stay("policy new_local = ignore"),
            (NewLocal::Subscribe, Subscribed, _)
            | (NewLocal::Confirm, Subscribed, AdoptionPhase::UnderWay) => Subscribed,
            (_, Pending, AdoptionPhase::UnderWay) => return self.unasked(local),
            (NewLocal::Subscribe | NewLocal::Confirm, _, _) if self.was_left_unasked(local) => {
                return self.stay(UNASKED).noted(UNASKED);
            }
            (NewLocal::Subscribe | NewLocal::Confirm, _, _) => Pending,
        };
        let standing = Standing {
            local: Some(local.status),
            remote: Some(status),
            asked_at: (status == Pending).then_some(self.observed_at),
            asked_for: local.at,
            ..Standing::default()
        };
        let verdict = match self.remote {
            None => Verdict::CreateRemote(DecidedStatus(status)),
            Some(_) => Verdict::Remote(DecidedStatus(status)),
        };
        Decision::new(verdict, standing, "new registration").counted_as(Class::Creation)
    }

    /// Pending since before Rosterd came: switching it on mails nobody.
    fn unasked(&self, local: &LocalWord) -> Decision {
        let standing = Standing {
            local: Some(local.status),
            remote: self.remote.as_ref().map(|remote| remote.status),
            asked_at: Some(self.observed_at),
            asked_for: local.at,
            ..self.base.clone()
        };
        Decision::new(Verdict::Agreed, standing, UNASKED).noted(UNASKED)
    }

    fn was_left_unasked(&self, local: &LocalWord) -> bool {
        local.status == Pending
            && self.base.local == Some(Pending)
            && self.base.remote != Some(Pending)
            && self.base.asked_at.is_some()
            && self.base.asked_for == local.at
    }

    pub(super) fn new_on_remote(&self, remote: &RemoteWord) -> Decision {
        match remote.status {
            Subscribed => match latest(self.base.opted_out_at, self.base.removed_at) {
                Some(left) if !self.opted_in_since(remote, left) => self.unproven_opt_in(),
                Some(_) | None => self.register(remote),
            },
            Unsubscribed | Archived => {
                let standing = Standing {
                    remote: Some(remote.status),
                    opted_out_at: latest(self.base.opted_out_at, Some(self.left_remotely(remote))),
                    ..self.base.clone()
                };
                Decision::new(Verdict::Agreed, standing, "left before Rosterd came, no registration")
            }
            Pending | Cleaned | Transactional => {
                self.stay("only a subscribed contact becomes a registration")
            }
        }
    }

    /// A subscriber without a row: policy `new_remote`.
    pub(super) fn register(&self, remote: &RemoteWord) -> Decision {
        match self.policy.new_remote {
            NewRemote::Ignore => self.stay("policy new_remote = ignore"),
            NewRemote::Create => {
                let standing =
                    Standing { local: Some(Subscribed), remote: Some(remote.status), ..Standing::default() };
                Decision::new(Verdict::CreateLocal(remote.opted_in_at), standing, "subscribed in Mailchimp")
                    .counted_as(Class::Creation)
            }
        }
    }

    /// Adoption: the opt-out wins, always; nobody is asked to confirm.
    pub(super) fn new_on_both(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let agreed = |reason| Decision::new(Verdict::Agreed, self.as_shown(local, remote), reason);
        match (local.standing(remote, &self.base), remote.status) {
            (Unsubscribed, Subscribed | Pending) => {
                self.leave_remotely(local, "the opt-out in the register wins")
            }
            (Unsubscribed, Unsubscribed | Archived | Cleaned | Transactional) => {
                agreed("both sides agree: left")
            }
            (Subscribed, Subscribed) => self.both_in(local, remote),
            (Pending, Pending) | (Cleaned, Cleaned) => agreed("both sides agree"),
            (Subscribed | Pending, Unsubscribed) => {
                self.leave_locally(remote, "the opt-out in Mailchimp wins")
            }
            (Subscribed | Pending, Archived) => self.shelved(remote),
            (Subscribed | Pending, Cleaned) => self.bounced(local, remote),
            (Subscribed | Pending, Transactional) => self.never_subscribed(local),
            (Subscribed, Pending) => self.wait_for_confirmation(remote),
            (Pending, Subscribed) => self.pending_but_in(local, remote),
            (Cleaned | Transactional | Archived, _) => agreed("nothing to decide"),
        }
    }

    /// A contact known from orders only, of somebody who wants in: new, unless they left before.
    pub(super) fn never_subscribed(&self, local: &LocalWord) -> Decision {
        let tried = self.base.local == Some(local.status)
            && self.base.remote == Some(Transactional)
            && self.base.asked_for == local.at;
        if tried {
            return self
                .stay("Mailchimp left the contact as it was")
                .noted("Mailchimp did not subscribe the contact");
        }
        match (self.base.opted_out_at, self.base.removed_at) {
            (Some(left), _) => self.back_on_local(local, left),
            (None, Some(removed)) => self.returned(local, removed),
            (None, None) => self.welcome(local),
        }
    }

    /// Both sides as they are, remembered; the later of two opt-outs counts.
    pub(super) fn as_shown(&self, local: &LocalWord, remote: &RemoteWord) -> Standing {
        let mut standing = self.base.clone();
        let shown = local.standing(remote, &self.base);
        if shown == Unsubscribed {
            standing.opted_out_at = latest(standing.opted_out_at, Some(self.left_locally(local)));
        }
        if remote.is_out() {
            standing.opted_out_at = latest(standing.opted_out_at, Some(self.left_remotely(remote)));
        }
        if shown == Unsubscribed && remote.is_out() {
            // Whoever left since is not waiting for an answer any more.
            (standing.asked_at, standing.asked_for) = (None, None);
        }
        if remote.status == Cleaned && (shown == Unsubscribed || standing.before_bounce.is_none()) {
            standing.before_bounce = Some(shown).filter(|status| *status != Cleaned);
        }
        Standing { local: Some(local.status), remote: Some(remote.status), ..standing }
    }
}
