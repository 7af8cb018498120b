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
//! | a status for which the register has no word | agreed where the row shows `subscribed`, which is left as it is, with a note; else nothing |

mod across;
mod asking;
mod back;
mod first;
mod gone;
mod known;
mod words;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::model::SubscriptionStatus;
use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::reconcile::consent::across::WORDLESS;
use crate::reconcile::plan::{Class, Conflict};
use crate::reconcile::policy::Policy;
use crate::reconcile::trio::{Asking, Standing};

pub(crate) use across::LASTING_NOTES;
pub use back::afresh;
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
    let decision = match (&question.local, &question.remote) {
        (Some(local), None) if first_meeting => question.new_on_local(local),
        (None, Some(remote)) if first_meeting => question.new_on_remote(remote),
        (Some(local), Some(remote)) if first_meeting => question.new_on_both(local, remote),
        (Some(local), Some(remote)) => question.known_on_both(local, remote),
        (Some(local), None) => question.gone_from_remote(local),
        (None, Some(remote)) => question.gone_from_local(remote),
        (None, None) => Decision::new(Verdict::Agreed, question.base.clone(), "gone from both sides"),
    };
    question.in_words_of_the_register(question.in_every_row(question.dated(decision)))
}

/// The opt-out of a pending contact that is left behind at an old address.
pub fn left_behind() -> DecidedStatus {
    DecidedStatus(SubscriptionStatus::Unsubscribed)
}

impl Question<'_> {
    /// Remembers the consent times that both sides show, so that they are no news the next time.
    fn dated(&self, decision: Decision) -> Decision {
        if decision.verdict == Verdict::Stay {
            return decision;
        }
        let standing = Standing {
            local_at: self.local.and_then(|word| word.at),
            remote_at: self.remote.and_then(|word| word.opted_in_at),
            asking: self.overtaken(),
            seen_in_locally: false,
            seen_in_remotely: false,
            ..decision.standing
        };
        Decision { standing, ..decision }
    }

    /// A request that may still be carried out though it was decided otherwise by now, or is made once more.
    fn overtaken(&self) -> Option<Asking> {
        let asking = self.base.asking.as_ref().filter(|asking| is_about(self.observed_at, asking.at));
        asking.map(Asking::overtaken)
    }

    /// The consent part of the base with an opt-out that Mailchimp shows: it is remembered when it is first seen,
    /// whatever becomes of the write that follows. An absence is not: the guard may hold it until it is undone.
    /// So is it that somebody who was out is in, by whoever's hand.
    pub(crate) fn with_what_is_seen(&self) -> Standing {
        let is_in = |status| matches!(status, SubscriptionStatus::Subscribed | SubscriptionStatus::Pending);
        let mut seen = self.base.clone();
        // Unsubscribed, or their rows were gone.
        let was_out = matches!(self.base.local, None | Some(SubscriptionStatus::Unsubscribed));
        seen.seen_in_locally |= was_out && self.local.is_some_and(|local| is_in(local.status));
        match &self.remote {
            Some(remote) if is_in(remote.status) && !self.base.remote.is_some_and(is_in) => {
                seen.seen_in_remotely = true;
            }
            Some(remote)
                if remote.status == SubscriptionStatus::Unsubscribed && self.removed(remote).is_none() =>
            {
                seen.remote = Some(remote.status);
                seen.remote_at = remote.opted_in_at;
                seen.opted_out_at = latest(self.base.opted_out_at, Some(self.left_remotely(remote)));
                seen.removed_at = None;
                seen.seen_in_remotely = false;
            }
            Some(_) | None => (),
        }
        seen
    }

    /// Where all is agreed but other rows still say otherwise, the status goes to every row of the address.
    fn in_every_row(&self, decision: Decision) -> Decision {
        let (Verdict::Agreed, Some(local)) = (&decision.verdict, self.local) else { return decision };
        let Some(status) = self.meant_for_every_row(&local) else { return decision };
        // Never with a time of the future: every word that the person adds would seem to be older.
        let said = local.at.filter(|at| status == local.status && !self.ahead(*at));
        let at = said.or(decision.standing.opted_out_at);
        let standing = Standing { local: Some(status), ..decision.standing };
        let reason = "another row of the address still says otherwise";
        Decision { verdict: Verdict::Local(status, at), standing, reason, ..decision }
    }

    /// A status for which the register has no word is not written, nor is another one in its place: the base remembers it
    /// for a row that shows `subscribed` (see [`local_word`]). A row that shows an opt-out waits until there is a word to write.
    fn in_words_of_the_register(&self, decision: Decision) -> Decision {
        let lacks = |status| self.policy.register.lacks(status);
        match (&decision.verdict, decision.standing.local, self.local) {
            (Verdict::Local(status, _), _, Some(local)) if lacks(*status) => {
                let note = decision.note.unwrap_or(WORDLESS);
                match local.status {
                    Unsubscribed => self.stay("the register has no word for it").noted(note),
                    Subscribed | Pending | Cleaned | Transactional | Archived => {
                        Decision { verdict: Verdict::Agreed, ..decision }.noted(note)
                    }
                }
            }
            (Verdict::Agreed, Some(Pending), Some(_)) if lacks(Pending) && decision.note.is_none() => {
                decision.noted(WORDLESS)
            }
            (_, _, _) => decision,
        }
    }

    /// What rows that say otherwise are to say. A bounce speaks for its contact: for none that is gone, where it counts as
    /// an opt-out, nor before both sides know of it.
    fn meant_for_every_row(&self, local: &LocalWord) -> Option<SubscriptionStatus> {
        let bounced = Some(SubscriptionStatus::Cleaned);
        let status = match local.status {
            SubscriptionStatus::Cleaned if self.remote.is_none() => Some(SubscriptionStatus::Unsubscribed),
            SubscriptionStatus::Cleaned if self.base.local != bounced || self.base.remote != bounced => None,
            status => Some(status),
        };
        status.filter(|_| local.contradicted)
    }

    /// When the person left, by the register: as remembered, or by a later word of the row's own, else now.
    ///
    /// Never before an opt-in that both sides already knew of: clocks differ, and what follows is later. A new time that
    /// lies in the future says that they left since, and not when.
    fn left_locally(&self, local: &LocalWord) -> Timestamp {
        let anew = local.timed && local.at != self.base.local_at && local.at.is_some_and(|at| self.ahead(at));
        let was_out = match self.base.local {
            _ if anew || self.base.seen_in_locally => false,
            Some(SubscriptionStatus::Unsubscribed) => true,
            Some(SubscriptionStatus::Cleaned) => self.base.remote != Some(SubscriptionStatus::Cleaned),
            Some(_) | None => false,
        };
        let remembered = self.base.opted_out_at.filter(|_| was_out);
        // What has no time of its own was said no earlier than the row came to be.
        let dated = local.timed || remembered.is_some();
        let said = local.at.filter(|at| dated && !self.ahead(*at));
        self.not_before(self.base.remote_at, latest(remembered, said))
    }

    /// When the person left, by Mailchimp: as remembered, else when the contact last changed, else now.
    ///
    /// An archived contact is out anew, and so is one that opted in since: what the register said before that is not
    /// later. Never before an opt-in that both sides already knew of.
    fn left_remotely(&self, remote: &RemoteWord) -> Timestamp {
        let remembered = self.base.opted_out_at;
        let as_before = self.base.remote == Some(remote.status)
            && !self.base.seen_in_remotely
            && !remembered.is_some_and(|left| self.was_back_since(remote, left));
        match remembered.filter(|_| as_before) {
            Some(remembered) => remembered,
            None => {
                let left =
                    self.not_before(self.base.local_at, remote.changed_at.filter(|at| !self.ahead(*at)));
                latest(remembered, Some(left)).unwrap_or(left)
            }
        }
    }

    /// The time of an opt-out at `left`, never before the opt-in at `known`; where nobody knows its time it is now,
    /// and nothing that shows by now is later.
    fn not_before(&self, known: Option<Timestamp>, left: Option<Timestamp>) -> Timestamp {
        let shown = [self.local.and_then(|word| word.at), self.remote.and_then(|word| word.opted_in_at)];
        let known_times =
            |times: [Option<Timestamp>; 2]| times.into_iter().flatten().filter(|at| !self.ahead(*at));
        let left = left.unwrap_or_else(|| known_times(shown).fold(self.observed_at, Timestamp::max));
        known_times([known, None]).filter(|known| is_after(*known, left)).fold(left, Timestamp::max)
    }

    /// Whether an opt-in at `at` undoes an opt-out at `left`: a tie is not later, and the future proves nothing.
    pub(crate) fn is_later(&self, at: Option<Timestamp>, left: Timestamp) -> bool {
        at.is_some_and(|at| is_after(at, left) && !self.ahead(at))
    }

    /// Whether Mailchimp shows an opt-in that it did not show before, and that undoes an opt-out at `left`.
    fn opted_in_since(&self, remote: &RemoteWord, left: Timestamp) -> bool {
        remote.opted_in_at > self.base.remote_at && self.is_later(remote.opted_in_at, left)
    }

    /// Whether Mailchimp dates an opt-in that it did not show before, not earlier than the opt-out at `left`: whoever is
    /// out all the same has left again since.
    fn was_back_since(&self, remote: &RemoteWord, left: Timestamp) -> bool {
        remote.opted_in_at > self.base.remote_at && remote.opted_in_at.is_some_and(|at| !is_after(left, at))
    }

    fn ahead(&self, at: Timestamp) -> bool {
        is_ahead(at, self.observed_at)
    }
}

/// Whether `at` is certainly later than `left`. Mailchimp's times are whole seconds, cut off: what is told of a whole
/// second may have been at its end, and within it nobody can tell which came first. That is a tie.
fn is_after(at: Timestamp, left: Timestamp) -> bool {
    if left.subsec_nanosecond() == 0 { at.as_second() > left.as_second() } else { at > left }
}

/// The later of two times at which somebody left. What is told of a whole second may have been at its end: it is the later
/// one of those within it.
pub(crate) fn latest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    let within = |at: &Timestamp| match at.subsec_nanosecond() {
        0 => (at.as_second(), i32::MAX),
        nanosecond => (at.as_second(), nanosecond),
    };
    one.into_iter().chain(other).max_by_key(within)
}

/// Whether `at` is about the time of `other`, as far as two clocks agree and a request that nobody hears of may take.
pub(crate) fn is_about(at: Timestamp, other: Timestamp) -> bool {
    at.duration_since(other).abs() <= TOLERANCE
}

/// Whether `at` lies so far ahead of the observation that it proves nothing.
fn is_ahead(at: Timestamp, observed_at: Timestamp) -> bool {
    observed_at.checked_add(TOLERANCE).is_ok_and(|limit| at > limit)
}

#[cfg(test)]
mod tests;
