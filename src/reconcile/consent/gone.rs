//! The consent rule for members that have, or had, an agreement and are missing on one side now.

use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::consent::{DecidedStatus, Decision, LocalWord, Question, RemoteWord, Verdict};
use crate::reconcile::plan::Class;
use crate::reconcile::policy::GoneLocal;
use crate::reconcile::trio::Standing;

impl Question<'_> {
    pub(super) fn gone_from_remote(&self, local: &LocalWord) -> Decision {
        let wants_in = matches!(local.status, Subscribed | Pending);
        match (self.base.remote, self.base.opted_out_at) {
            (None | Some(Archived | Unsubscribed), Some(left)) if wants_in => self.back_or_out(local, left),
            (None | Some(Archived | Transactional), None) if wants_in => self.welcome(local),
            (None, opted_out_at) => {
                let opted_out_at = opted_out_at.or_else(|| Some(self.left_locally(local)));
                let standing = Standing { local: Some(local.status), opted_out_at, ..self.base.clone() };
                Decision::new(Verdict::Agreed, standing, "not subscribed, unknown to Mailchimp")
            }
            (Some(_), _) if local.status == Unsubscribed => {
                let standing = Standing {
                    local: Some(Unsubscribed),
                    remote: None,
                    opted_out_at: self.base.opted_out_at.or_else(|| Some(self.left_locally(local))),
                    ..self.base.clone()
                };
                Decision::new(Verdict::Agreed, standing, "left, and gone from Mailchimp")
            }
            (Some(Pending), _) => {
                self.lost("the confirmation never came", "never confirmed; a new registration asks again")
            }
            (Some(_), _) => self.lost(
                "deleted in Mailchimp",
                "deleted in Mailchimp; a new registration of their own brings the member back",
            ),
        }
    }

    /// Back after an opt-out whose contact is gone: a later word, or the opt-out stands.
    fn back_or_out(&self, local: &LocalWord, left: jiff::Timestamp) -> Decision {
        let changed = self.base.local != Some(local.status) || self.later(local.at, left);
        if changed {
            self.back_on_local(local, left)
        } else {
            self.lost("left before", "left before; a new registration of their own brings the member back")
        }
    }

    fn lost(&self, reason: &'static str, note: &'static str) -> Decision {
        let left = self.base.opted_out_at.unwrap_or(self.observed_at);
        let standing = Standing {
            local: Some(Unsubscribed),
            remote: None,
            opted_out_at: Some(left),
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        Decision::new(Verdict::Local(Unsubscribed, Some(left)), standing, reason)
            .counted_as(Class::Absence)
            .noted(note)
    }

    pub(super) fn gone_from_local(&self, remote: &RemoteWord) -> Decision {
        match self.base.local {
            None => self.never_local(remote),
            Some(was) => match remote.status {
                Subscribed if was == Unsubscribed => self.remove("rows removed of somebody who had left"),
                Subscribed => match self.gone_policy() {
                    GoneLocal::Archive => self.archive(),
                    GoneLocal::Unsubscribe => self.remove("rows removed from the register"),
                    GoneLocal::Leave => self.without_rows(remote, "rows removed; policy gone_local = leave"),
                },
                Pending => self.remove("rows removed before the person confirmed"),
                Unsubscribed | Cleaned | Transactional | Archived => {
                    self.without_rows(remote, "rows removed; the contact is left as it is")
                }
            },
        }
    }

    fn archive(&self) -> Decision {
        let standing = Standing { local: None, remote: Some(Archived), ..self.base.clone() };
        Decision::new(Verdict::Archive, standing, "rows removed from the register").counted_as(Class::Removal)
    }

    fn remove(&self, reason: &'static str) -> Decision {
        let standing = Standing {
            local: None,
            remote: Some(Unsubscribed),
            opted_out_at: self.base.opted_out_at.or(Some(self.observed_at)),
            ..self.base.clone()
        };
        Decision::new(Verdict::Remote(DecidedStatus(Unsubscribed)), standing, reason)
            .counted_as(Class::Removal)
    }

    fn without_rows(&self, remote: &RemoteWord, reason: &'static str) -> Decision {
        let opted_out_at = match remote.is_out() {
            true if self.archived_by_us(remote) => None,
            true => self.base.opted_out_at.or_else(|| Some(self.left_remotely(remote))),
            false => self.base.opted_out_at,
        };
        let standing =
            Standing { local: None, remote: Some(remote.status), opted_out_at, ..self.base.clone() };
        Decision::new(Verdict::Agreed, standing, reason)
    }

    /// Archived by policy `gone_local`: the base shows it, and no opt-out with it.
    fn archived_by_us(&self, remote: &RemoteWord) -> bool {
        remote.status == Archived && self.base.remote == Some(Archived) && self.base.opted_out_at.is_none()
    }

    /// A contact whose base has no local side: only their own later opt-in makes a registration of it.
    fn never_local(&self, remote: &RemoteWord) -> Decision {
        let back = remote.status == Subscribed && self.base.remote != Some(Subscribed);
        match self.base.opted_out_at {
            Some(left) if back && !self.later(remote.opted_in_at, left) => self.unproven_opt_in(),
            Some(_) | None if back => self.register(remote),
            Some(_) | None => self.without_rows(remote, "no registration"),
        }
    }
}
