//! The consent rule for people who come back: after an opt-out, after their rows were removed, after a bounce.

use jiff::Timestamp;

use crate::model::SubscriptionStatus;
use crate::model::SubscriptionStatus::{Pending, Subscribed, Unsubscribed};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, Verdict};
use crate::reconcile::plan::{Class, Conflict};
use crate::reconcile::policy::{NewLocal, Resubscribe};
use crate::reconcile::trio::Standing;

/// How a bounced member starts afresh at a new address: with the consent from before the bounce.
///
/// `None` where nobody knows of any consent, or the person has left.
pub fn afresh(question: &Question<'_>) -> Option<Decision> {
    let (local, remote) = (question.local.as_ref()?, question.remote.as_ref()?);
    let shown = local.standing(remote, &question.base);
    if shown == Unsubscribed || question.policy.new_local == NewLocal::Ignore {
        return None;
    }
    let wants_in = matches!(shown, Subscribed | Pending);
    let elsewhere = Question { remote: None, ..question.clone() };
    let decision = match (question.base.opted_out_at, question.base.before_bounce) {
        (Some(left), _) if wants_in && question.is_later(local.at, left) => {
            elsewhere.resubscribe(local, left)
        }
        (_, Some(Subscribed)) if shown == Pending => elsewhere.start_at_new_address(Pending, local),
        (_, Some(before @ (Subscribed | Pending))) => elsewhere.start_at_new_address(before, local),
        (None, Some(_) | None) if wants_in => elsewhere.welcome(local),
        (Some(_) | None, Some(_) | None) => return None,
    };
    matches!(decision.verdict, Verdict::CreateRemote(_)).then(|| elsewhere.dated(decision))
}

impl Question<'_> {
    fn start_at_new_address(&self, status: SubscriptionStatus, local: &LocalWord) -> Decision {
        let asked = status == Pending;
        let standing = Standing {
            remote: Some(status),
            before_bounce: None,
            asked_at: asked.then_some(self.observed_at),
            asked_for: local.at.filter(|_| asked),
            ..self.base.clone()
        };
        let class = if self.base.opted_out_at.is_some() { Class::Invitation } else { Class::Creation };
        Decision::new(Verdict::CreateRemote(DecidedStatus(status)), standing, "a new address after a bounce")
            .counted_as(class)
    }

    /// Registered again after the rows were removed, of somebody who had not left: new, if that is later.
    pub(super) fn returned(&self, local: &LocalWord, removed: Timestamp) -> Decision {
        if self.is_later(local.at, removed) {
            self.welcome(local)
        } else {
            self.back_on_local(local, removed)
        }
    }

    /// Somebody who left is back by the register's word: later, or not, or nobody can tell.
    pub(super) fn back_on_local(&self, local: &LocalWord, left: Timestamp) -> Decision {
        if local.at.is_some_and(|at| self.ahead(at)) {
            let waits = "the consent time in the register lies in the future";
            return Decision { waits: Some(waits), ..self.stay(waits) }.noted(waits);
        }
        if self.is_later(local.at, left) {
            return self.resubscribe(local, left);
        }
        let was_out = self.base.local == Some(Unsubscribed);
        let nobody_can_tell = was_out || (local.at.is_none() && self.base.local.is_none());
        if !self.policy.register.consent_time && nobody_can_tell {
            return self.invite_unproven(local, left);
        }
        self.opt_out_stands(left)
    }

    /// The person's own later opt-in on the website: policy `resubscribe`.
    fn resubscribe(&self, local: &LocalWord, left: Timestamp) -> Decision {
        if self.was_asked_for(local) {
            return self.stay("asked to confirm before, not asked again");
        }
        match (self.policy.resubscribe, local.status) {
            (Resubscribe::Never, _) => self
                .stay("policy resubscribe = never")
                .noted("left before and registered again; policy resubscribe = never keeps them out"),
            (Resubscribe::Direct, Subscribed) => {
                self.invite(Subscribed, local, left, "registered again after leaving")
            }
            (Resubscribe::Direct | Resubscribe::Confirm, _) => {
                self.invite(Pending, local, left, "registered again after leaving: asked to confirm")
            }
        }
    }

    /// Whether this very word of the register was the reason to ask before.
    fn was_asked_for(&self, local: &LocalWord) -> bool {
        self.base.asked_at.is_some() && self.base.asked_for == local.at
    }

    fn invite_unproven(&self, local: &LocalWord, left: Timestamp) -> Decision {
        if self.was_asked_for(local) {
            return self.stay("asked to confirm before, not asked again");
        }
        match self.policy.resubscribe {
            Resubscribe::Never => self
                .stay("policy resubscribe = never")
                .noted("left before and registered again; policy resubscribe = never keeps them out"),
            Resubscribe::Confirm | Resubscribe::Direct => self
                .invite(Pending, local, left, "subscribed again in the register, nobody knows since when")
                .counted_as(Class::UnprovenInvitation),
        }
    }

    fn invite(
        &self,
        status: SubscriptionStatus,
        local: &LocalWord,
        left: Timestamp,
        reason: &'static str,
    ) -> Decision {
        let decided = DecidedStatus(status);
        let verdict = match self.remote {
            Some(_) => Verdict::Remote(decided),
            None => Verdict::CreateRemote(decided),
        };
        let standing = Standing {
            local: Some(local.status),
            remote: Some(status),
            opted_out_at: Some(left),
            asked_at: Some(self.observed_at),
            asked_for: local.at,
            ..Standing::default()
        };
        Decision::new(verdict, standing, reason).counted_as(Class::Invitation)
    }

    pub(super) fn unproven_opt_in(&self) -> Decision {
        let reason = "Mailchimp shows somebody subscribed who left, without a later opt-in of their own";
        Decision { conflict: Some(Conflict::UnprovenOptIn), ..self.stay(reason) }.noted(
            "left before, but Mailchimp shows them subscribed without their own opt-in: staff must decide",
        )
    }

    pub(super) fn stay(&self, reason: &'static str) -> Decision {
        Decision::new(Verdict::Stay, self.base.clone(), reason)
    }
}
