//! The consent rule: nothing but the person's own later opt-in undoes an opt-out.
//!
//! Every status that is ever written on either side is decided here. The table, as [`decide`] reads it; *left* is the
//! remembered time of the opt-out, *later* means after it and not more than five minutes ahead of the observation:
//!
//! | since the base | result |
//! |---|---|
//! | neither side changed | nothing |
//! | one opted out, the other unchanged | the opt-out goes across |
//! | Mailchimp opted in, later by `timestamp_opt` | local becomes subscribed |
//! | Mailchimp shows `subscribed` without a later `timestamp_opt` | conflict for staff, nothing written |
//! | local opted in again, later | policy `resubscribe` |
//! | local shows `subscribed` again without a later consent time | the opt-out is written back, with a note |
//! | the same where the consent time is not mapped | an invitation, always held |
//! | one in, one out | the opt-out wins unless the opt-in is later |
//! | no base, both exist, they differ | the opt-out wins, always |
//! | `cleaned` in Mailchimp | local becomes `cleaned`, the consent before it is remembered |
//! | `pending` on one side | `pending` on the other, asked for once |
//! | `transactional` | as if the contact had never subscribed |
//! | archived or deleted in Mailchimp | local becomes unsubscribed, with a note |
//! | rows removed | policy `gone_local`; a pending contact is unsubscribed, one who left is left alone |

mod gone;
mod known;
mod words;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::SubscriptionStatus;
use crate::reconcile::plan::{Class, Conflict};
use crate::reconcile::policy::{GoneLocal, NewLocal, NewRemote, Policy, Resubscribe};
use crate::reconcile::trio::Standing;

pub(crate) use known::may_be_written_to;
pub use words::{LocalWord, RemoteWord, local_word};

/// A status that the consent rule decided; nothing else can make one, and nothing else is sent as a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DecidedStatus(SubscriptionStatus);

impl DecidedStatus {
    /// The status to send.
    pub fn get(self) -> SubscriptionStatus {
        self.0
    }

    /// Whether it may bring mail to somebody: both sides are read again right before it is sent.
    pub fn raises_consent(self) -> bool {
        matches!(self.0, SubscriptionStatus::Subscribed | SubscriptionStatus::Pending)
    }

    /// What is asked instead where Mailchimp refuses `subscribed` for compliance (policy `resubscribe = "direct"`).
    ///
    /// Only `pending` lets somebody back who left by themselves: Mailchimp then asks them.
    pub fn after_compliance_refusal(self) -> Option<Self> {
        (self.0 == SubscriptionStatus::Subscribed).then_some(Self(SubscriptionStatus::Pending))
    }
}

/// How far ahead of the observation a time may lie and still prove something: clocks differ a little.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(5);

/// All that a decision about a status looks at.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where the person stood when both sides last agreed.
    pub base: Standing,
    /// What the register says, where the member has a row.
    pub local: Option<LocalWord>,
    /// What Mailchimp says, where the member has a contact.
    pub remote: Option<RemoteWord>,
    /// The policies.
    pub policy: &'a Policy,
    /// When the sides were observed.
    pub observed_at: Timestamp,
}

/// What is to be done about the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Both sides agree, or nobody is concerned: the base moves, nothing is written.
    Agreed,
    /// Nothing is written and the base does not move.
    Stay,
    /// The contact gets this status.
    Remote(DecidedStatus),
    /// The contact is archived.
    Archive,
    /// A contact is created with this status.
    CreateRemote(DecidedStatus),
    /// Every row gets this status, with this time of it.
    Local(SubscriptionStatus, Option<Timestamp>),
    /// A registration is created, with this time of the opt-in.
    CreateLocal(Option<Timestamp>),
}

/// A verdict with everything that goes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is to be done.
    pub verdict: Verdict,
    /// The consent part of the base once it is done.
    pub standing: Standing,
    /// Why: a sentence for staff.
    pub reason: &'static str,
    /// What the guard counts it as.
    pub class: Class,
    /// What the row's note says.
    pub note: Option<&'static str>,
    /// What no rule may decide.
    pub conflict: Option<Conflict>,
    /// Set where time alone may change the decision: the member is looked at in every cycle.
    pub waits: Option<&'static str>,
}

impl Decision {
    fn new(verdict: Verdict, standing: Standing, reason: &'static str) -> Self {
        Self { verdict, standing, reason, class: Class::Free, note: None, conflict: None, waits: None }
    }

    fn counted_as(self, class: Class) -> Self {
        Self { class, ..self }
    }

    fn noted(self, note: &'static str) -> Self {
        Self { note: Some(note), ..self }
    }
}

/// Decides the status of one member.
pub fn decide(question: &Question<'_>) -> Decision {
    let first_meeting = question.base.local.is_none() && question.base.remote.is_none();
    match (&question.local, &question.remote) {
        (Some(local), None) if first_meeting => question.new_on_local(local),
        (None, Some(remote)) if first_meeting => question.new_on_remote(remote),
        (Some(local), Some(remote)) if first_meeting => question.new_on_both(local, remote),
        (Some(local), Some(remote)) => question.known_on_both(local, remote),
        (Some(local), None) => question.gone_from_remote(local),
        (None, Some(remote)) => question.gone_from_local(remote),
        (None, None) => Decision::new(Verdict::Agreed, question.base.clone(), "gone from both sides"),
    }
}

/// The status in which a bounced member starts afresh at a new address: with the consent from before the bounce.
///
/// `None` where nobody knows of any consent, or the person has left.
pub fn afresh(question: &Question<'_>) -> Option<DecidedStatus> {
    let local = question.local.as_ref()?;
    if local.status == SubscriptionStatus::Unsubscribed || question.policy.new_local == NewLocal::Ignore {
        return None;
    }
    match question.base.before_bounce {
        Some(SubscriptionStatus::Subscribed) => Some(DecidedStatus(SubscriptionStatus::Subscribed)),
        Some(SubscriptionStatus::Pending) => Some(DecidedStatus(SubscriptionStatus::Pending)),
        Some(_) | None => None,
    }
}

/// The opt-out of a pending contact that is left behind at an old address.
pub fn left_behind() -> DecidedStatus {
    DecidedStatus(SubscriptionStatus::Unsubscribed)
}

impl Question<'_> {
    fn new_on_local(&self, local: &LocalWord) -> Decision {
        let standing = Standing { local: Some(local.status), ..self.base.clone() };
        match (local.status, self.base.opted_out_at) {
            (SubscriptionStatus::Subscribed | SubscriptionStatus::Pending, Some(left)) => {
                self.back_on_local(local, left)
            }
            (SubscriptionStatus::Subscribed | SubscriptionStatus::Pending, None) => self.welcome(local),
            (_, _) => {
                let opted_out_at = Some(self.left_locally(local));
                Decision::new(
                    Verdict::Agreed,
                    Standing { opted_out_at, ..standing },
                    "not subscribed, unknown to Mailchimp",
                )
            }
        }
    }

    /// Somebody who never left and whom Mailchimp does not know, or not as a subscriber: policy `new_local`.
    fn welcome(&self, local: &LocalWord) -> Decision {
        let status = match (self.policy.new_local, local.status) {
            (NewLocal::Ignore, _) => {
                return Decision::new(Verdict::Stay, self.base.clone(), "policy new_local = ignore");
            }
            (NewLocal::Subscribe, SubscriptionStatus::Subscribed) => SubscriptionStatus::Subscribed,
            (NewLocal::Subscribe | NewLocal::Confirm, _) => SubscriptionStatus::Pending,
        };
        let standing = Standing {
            local: Some(local.status),
            remote: Some(status),
            opted_out_at: None,
            before_bounce: None,
            asked_at: (status == SubscriptionStatus::Pending).then_some(self.observed_at),
            asked_for: local.at,
        };
        let verdict = match self.remote {
            None => Verdict::CreateRemote(DecidedStatus(status)),
            Some(_) => Verdict::Remote(DecidedStatus(status)),
        };
        Decision::new(verdict, standing, "new registration").counted_as(Class::Creation)
    }

    fn new_on_remote(&self, remote: &RemoteWord) -> Decision {
        match remote.status {
            SubscriptionStatus::Subscribed => self.register(remote),
            SubscriptionStatus::Unsubscribed | SubscriptionStatus::Archived => {
                let standing = Standing {
                    remote: Some(remote.status),
                    opted_out_at: Some(self.left_remotely(remote)),
                    ..self.base.clone()
                };
                Decision::new(Verdict::Agreed, standing, "left before Rosterd came, no registration")
            }
            SubscriptionStatus::Pending | SubscriptionStatus::Cleaned | SubscriptionStatus::Transactional => {
                Decision::new(
                    Verdict::Stay,
                    self.base.clone(),
                    "only a subscribed contact becomes a registration",
                )
            }
        }
    }

    /// A subscriber without a row: policy `new_remote`.
    fn register(&self, remote: &RemoteWord) -> Decision {
        match self.policy.new_remote {
            NewRemote::Ignore => {
                Decision::new(Verdict::Stay, self.base.clone(), "policy new_remote = ignore")
            }
            NewRemote::Create => {
                let standing = Standing {
                    local: Some(SubscriptionStatus::Subscribed),
                    remote: Some(remote.status),
                    ..Standing::default()
                };
                Decision::new(Verdict::CreateLocal(remote.opted_in_at), standing, "subscribed in Mailchimp")
                    .counted_as(Class::Creation)
            }
        }
    }

    /// Adoption: the opt-out wins, always; nobody is asked to confirm.
    fn new_on_both(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        use SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
        let agreed = |reason| Decision::new(Verdict::Agreed, self.as_shown(local, remote), reason);
        match (local.standing(remote, &self.base), remote.status) {
            (Unsubscribed, Subscribed | Pending) => {
                self.leave_remotely(local, "the opt-out in the register wins")
            }
            (Unsubscribed, Unsubscribed | Archived | Cleaned | Transactional) => {
                agreed("both sides agree: left")
            }
            (Subscribed, Subscribed) | (Pending, Pending) | (Cleaned, Cleaned) => agreed("both sides agree"),
            (Subscribed | Pending, Unsubscribed) => {
                self.leave_locally(remote, "the opt-out in Mailchimp wins")
            }
            (Subscribed | Pending, Archived) => self.shelved(remote),
            (Subscribed | Pending, Cleaned) => self.bounced(local, remote),
            (Subscribed | Pending, Transactional) => self.welcome(local),
            (Subscribed, Pending) => self.wait_for_confirmation(remote),
            (Pending, Subscribed) => self.confirmed(remote, "subscribed in Mailchimp"),
            (Cleaned | Transactional | Archived, _) => agreed("nothing to decide"),
        }
    }

    /// Both sides as they are, remembered; the later of two opt-outs counts.
    fn as_shown(&self, local: &LocalWord, remote: &RemoteWord) -> Standing {
        let mut standing = self.base.clone();
        let shown = local.standing(remote, &self.base);
        if shown == SubscriptionStatus::Unsubscribed {
            standing.opted_out_at = standing.opted_out_at.max(Some(self.left_locally(local)));
        }
        if remote.is_out() {
            standing.opted_out_at = standing.opted_out_at.max(Some(self.left_remotely(remote)));
        }
        if remote.status == SubscriptionStatus::Cleaned && standing.before_bounce.is_none() {
            standing.before_bounce = Some(shown).filter(|status| *status != SubscriptionStatus::Cleaned);
        }
        if remote.status == SubscriptionStatus::Subscribed && shown == SubscriptionStatus::Subscribed {
            standing = Standing::default();
        }
        Standing { local: Some(local.status), remote: Some(remote.status), ..standing }
    }

    /// When the person left, by the register: as remembered, else by the row's own time, else now.
    fn left_locally(&self, local: &LocalWord) -> Timestamp {
        let remembered =
            self.base.opted_out_at.filter(|_| self.base.local == Some(SubscriptionStatus::Unsubscribed));
        remembered.or(local.at.filter(|_| local.timed)).unwrap_or(self.observed_at).min(self.observed_at)
    }

    /// When the person left, by Mailchimp: as remembered, else when the contact last changed, else now.
    fn left_remotely(&self, remote: &RemoteWord) -> Timestamp {
        let was_out = matches!(
            self.base.remote,
            Some(
                SubscriptionStatus::Unsubscribed | SubscriptionStatus::Archived | SubscriptionStatus::Cleaned
            )
        );
        let remembered = self.base.opted_out_at.filter(|_| was_out);
        remembered.or(remote.changed_at).unwrap_or(self.observed_at).min(self.observed_at)
    }

    /// Whether an opt-in at `at` undoes an opt-out at `left`: a tie is not later, and the future proves nothing.
    fn later(&self, at: Option<Timestamp>, left: Timestamp) -> bool {
        at.is_some_and(|at| at > left && !self.ahead(at))
    }

    fn ahead(&self, at: Timestamp) -> bool {
        self.observed_at.checked_add(TOLERANCE).is_ok_and(|limit| at > limit)
    }
}

/// The writes by which an opt-out, a bounce or a confirmation goes across.
impl Question<'_> {
    fn leave_remotely(&self, local: &LocalWord, reason: &'static str) -> Decision {
        let left = self.left_locally(local);
        let standing = Standing {
            local: Some(local.status),
            remote: Some(SubscriptionStatus::Unsubscribed),
            opted_out_at: self.base.opted_out_at.max(Some(left)),
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        let class = match local.at {
            Some(at) if local.timed => Class::TimedOptOut(at),
            Some(_) | None => Class::Removal,
        };
        Decision::new(Verdict::Remote(DecidedStatus(SubscriptionStatus::Unsubscribed)), standing, reason)
            .counted_as(class)
    }

    fn leave_locally(&self, remote: &RemoteWord, reason: &'static str) -> Decision {
        let left = self.left_remotely(remote);
        let standing = Standing {
            local: Some(SubscriptionStatus::Unsubscribed),
            remote: Some(remote.status),
            opted_out_at: Some(left),
            asked_at: None,
            asked_for: None,
            ..self.base.clone()
        };
        Decision::new(Verdict::Local(SubscriptionStatus::Unsubscribed, Some(left)), standing, reason)
    }

    fn shelved(&self, remote: &RemoteWord) -> Decision {
        self.leave_locally(remote, "archived in Mailchimp")
            .counted_as(Class::Absence)
            .noted("archived in Mailchimp; a new registration brings the member back")
    }

    fn bounced(&self, local: &LocalWord, remote: &RemoteWord) -> Decision {
        let standing = Standing {
            local: Some(SubscriptionStatus::Cleaned),
            remote: Some(SubscriptionStatus::Cleaned),
            before_bounce: self.base.before_bounce.or(Some(local.status)),
            ..self.base.clone()
        };
        Decision::new(
            Verdict::Local(SubscriptionStatus::Cleaned, remote.changed_at),
            standing,
            "Mailchimp gave the address up after bounces",
        )
        .noted("mail to this address bounces; a new address lets the member start afresh")
    }

    fn wait_for_confirmation(&self, remote: &RemoteWord) -> Decision {
        let standing = Standing {
            local: Some(SubscriptionStatus::Pending),
            remote: Some(SubscriptionStatus::Pending),
            asked_at: self.base.asked_at.or(remote.changed_at),
            ..self.base.clone()
        };
        Decision::new(
            Verdict::Local(SubscriptionStatus::Pending, remote.changed_at),
            standing,
            "Mailchimp waits for the person's confirmation",
        )
    }

    fn confirmed(&self, remote: &RemoteWord, reason: &'static str) -> Decision {
        let standing = Standing {
            local: Some(SubscriptionStatus::Subscribed),
            remote: Some(SubscriptionStatus::Subscribed),
            ..Standing::default()
        };
        Decision::new(Verdict::Local(SubscriptionStatus::Subscribed, remote.opted_in_at), standing, reason)
    }

    /// Somebody who left is back by the register's word: later, or not, or nobody can tell.
    fn back_on_local(&self, local: &LocalWord, left: Timestamp) -> Decision {
        if local.at.is_some_and(|at| self.ahead(at)) {
            let waits = "the consent time in the register lies in the future";
            return Decision { waits: Some(waits), ..self.stay(waits) }.noted(waits);
        }
        if self.later(local.at, left) {
            return self.resubscribe(local, left);
        }
        let was_out = matches!(self.base.local, Some(SubscriptionStatus::Unsubscribed));
        if !self.policy.register.consent_time && was_out {
            return self.invite_unproven(local, left);
        }
        let standing = Standing {
            local: Some(SubscriptionStatus::Unsubscribed),
            remote: self.remote.as_ref().map(|remote| remote.status),
            opted_out_at: Some(left),
            ..self.base.clone()
        };
        Decision::new(
            Verdict::Local(SubscriptionStatus::Unsubscribed, Some(left)),
            standing,
            "the opt-out stands: the register shows no later consent",
        )
        .noted("left before; only a later sign-up of their own brings the member back")
    }

    /// The person's own later opt-in on the website: policy `resubscribe`.
    fn resubscribe(&self, local: &LocalWord, left: Timestamp) -> Decision {
        if self.base.asked_at.is_some() && self.base.asked_for == local.at {
            return self.stay("asked to confirm before, not asked again");
        }
        match (self.policy.resubscribe, local.status) {
            (Resubscribe::Never, _) => self
                .stay("policy resubscribe = never")
                .noted("left before and registered again; policy resubscribe = never keeps them out"),
            (Resubscribe::Direct, SubscriptionStatus::Subscribed) => {
                self.invite(SubscriptionStatus::Subscribed, local, left, "registered again after leaving")
            }
            (Resubscribe::Direct | Resubscribe::Confirm, _) => self.invite(
                SubscriptionStatus::Pending,
                local,
                left,
                "registered again after leaving: asked to confirm",
            ),
        }
    }

    fn invite_unproven(&self, local: &LocalWord, left: Timestamp) -> Decision {
        match self.policy.resubscribe {
            Resubscribe::Never => self.stay("policy resubscribe = never"),
            Resubscribe::Confirm | Resubscribe::Direct => self
                .invite(
                    SubscriptionStatus::Pending,
                    local,
                    left,
                    "subscribed again in the register, nobody knows since when",
                )
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
            local: self.base.local,
            remote: Some(status),
            opted_out_at: Some(left),
            before_bounce: None,
            asked_at: Some(self.observed_at),
            asked_for: local.at,
        };
        Decision::new(verdict, standing, reason).counted_as(Class::Invitation)
    }

    fn unproven_opt_in(&self) -> Decision {
        let reason = "Mailchimp shows somebody subscribed who left, without a later opt-in of their own";
        Decision { conflict: Some(Conflict::UnprovenOptIn), ..self.stay(reason) }.noted(
            "left before, but Mailchimp shows them subscribed without their own opt-in: staff must decide",
        )
    }

    fn stay(&self, reason: &'static str) -> Decision {
        Decision::new(Verdict::Stay, self.base.clone(), reason)
    }

    fn gone_policy(&self) -> GoneLocal {
        self.policy.gone_local
    }
}

#[cfg(test)]
mod tests;
