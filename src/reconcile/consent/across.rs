//! The decisions by which an opt-out, a bounce or a confirmation goes across.

use jiff::Timestamp;

use crate::model::SubscriptionStatus;
use crate::model::SubscriptionStatus::{Cleaned, Pending, Subscribed, Unsubscribed};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, RemoteWord, Verdict, latest};
use crate::reconcile::plan::Class;
use crate::reconcile::policy::Resubscribe;
use crate::reconcile::trio::Standing;

/// What the rows of somebody say whose contact was archived.
pub(super) const SHELVED: &str = "archived in Mailchimp; a new registration brings the member back";
/// What the rows of somebody say whose contact is gone.
pub(super) const DELETED: &str =
    "deleted in Mailchimp; a new registration of their own brings the member back";
/// What the rows of somebody say who never confirmed.
pub(super) const UNCONFIRMED: &str = "never confirmed; a new registration asks again";
/// What the rows of somebody say whose opt-out was written back.
pub(super) const STANDS: &str = "left before; only a later sign-up of their own brings the member back";
/// What the rows of somebody say whose address bounced.
pub(super) const BOUNCED: &str = "mail to this address bounces; a new address lets the member start afresh";

/// What the rows of somebody say who is asked to confirm, where the register cannot.
pub(super) const WORDLESS: &str =
    "Mailchimp waits for the person's confirmation, for which the register has no word";

/// Notes that are written together with an opt-out and stay true until the member is back.
pub(crate) const LASTING_NOTES: [&str; 4] = [SHELVED, DELETED, UNCONFIRMED, STANDS];

impl Question<'_> {
    pub(super) fn leave_remotely(&self, local: &LocalWord, reason: &'static str) -> Decision {
        let left = self.left_locally(local);
        let standing = Standing {
            local: Some(local.status),
            remote: Some(Unsubscribed),
            opted_out_at: latest(self.base.opted_out_at, Some(left)),
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        let class = match local.at {
            Some(at) if local.timed => Class::TimedOptOut(at),
            Some(_) | None => Class::Removal,
        };
        Decision::new(Verdict::Remote(DecidedStatus(Unsubscribed)), standing, reason).counted_as(class)
    }

    pub(super) fn leave_locally(&self, remote: &RemoteWord, reason: &'static str) -> Decision {
        let left = latest(self.base.opted_out_at, Some(self.left_remotely(remote)));
        let standing = Standing {
            local: Some(Unsubscribed),
            remote: Some(remote.status),
            opted_out_at: left,
            removed_at: None,
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        Decision::new(Verdict::Local(Unsubscribed, left), standing, reason)
    }

    pub(super) fn shelved(&self, remote: &RemoteWord) -> Decision {
        self.leave_locally(remote, "archived in Mailchimp").counted_as(Class::Absence).noted(SHELVED)
    }

    pub(super) fn bounced(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let standing = Standing {
            local: Some(Cleaned),
            remote: Some(Cleaned),
            before_bounce: Some(self.consent_before_bounce(local)),
            ..self.base.clone()
        };
        Decision::new(
            Verdict::Local(Cleaned, remote.changed_at),
            standing,
            "Mailchimp gave the address up after bounces",
        )
        .noted(BOUNCED)
    }

    /// Where the person stood when the address was given up; somebody who had left stays out at a new one.
    fn consent_before_bounce(&self, local: &LocalWord) -> SubscriptionStatus {
        let remembered = self.base.before_bounce;
        match self.base.opted_out_at {
            None => remembered.unwrap_or(local.status),
            Some(left) if self.is_later(local.at, left) => match self.policy.resubscribe {
                Resubscribe::Never => Unsubscribed,
                Resubscribe::Direct => local.status,
                Resubscribe::Confirm => Pending,
            },
            Some(_) => remembered.unwrap_or(Unsubscribed),
        }
    }

    pub(super) fn wait_for_confirmation(&self, remote: &RemoteWord) -> Decision {
        let standing = Standing {
            local: Some(Pending),
            remote: Some(Pending),
            removed_at: None,
            before_bounce: None,
            asked_at: self.base.asked_at.or(remote.changed_at),
            asked_for: remote.changed_at.or(self.base.asked_for),
            ..self.base.clone()
        };
        Decision::new(
            Verdict::Local(Pending, remote.changed_at),
            standing,
            "Mailchimp waits for the person's confirmation",
        )
    }

    pub(super) fn confirmed(&self, remote: &RemoteWord, reason: &'static str) -> Decision {
        let standing = Standing { local: Some(Subscribed), remote: Some(Subscribed), ..Standing::default() };
        Decision::new(Verdict::Local(Subscribed, remote.opted_in_at), standing, reason)
    }

    /// The opt-out stands and is written back to the register.
    pub(super) fn opt_out_stands(&self, left: Timestamp) -> Decision {
        let standing = Standing {
            local: Some(Unsubscribed),
            remote: self.remote.map(|remote| remote.status),
            opted_out_at: Some(left),
            removed_at: None,
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        Decision::new(
            Verdict::Local(Unsubscribed, Some(left)),
            standing,
            "the opt-out stands: the register shows no later consent",
        )
        .noted(STANDS)
    }
}
