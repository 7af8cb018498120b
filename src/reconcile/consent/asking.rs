//! Requests for more consent whose answer was never heard.
//!
//! Rosterd notes such a request before it makes it. Where the process dies, or the answer is lost, what the contact shows
//! next says whether it was carried out: whoever was asked and is out all the same has left anew, and is not asked again.
//!
//! So it notes an opt-out that is about to go across: it stands whatever the register shows by the time it is written.

use jiff::Timestamp;

use crate::model::{Contact, Registration, SubscriptionStatus};
use crate::reconcile::consent::is_about;
use crate::reconcile::plan::Operation;
use crate::reconcile::trio::{Asking, Base, Standing};

impl Base {
    /// The base with a note that `operation` is about to be tried, where that raises consent; `None` for any other.
    ///
    /// Nor where nothing was ever agreed on: at a first meeting the opt-out wins whatever was asked before, and what is
    /// remembered of somebody who was gone from both sides stands beside no base.
    ///
    /// `contact` is the contact as it was read right before.
    pub fn asking(&self, operation: &Operation, contact: Option<&Contact>, at: Timestamp) -> Option<Self> {
        let (Operation::RemoteStatus { decided, standing }
        | Operation::RemoteCreate { decided, standing, .. }) = operation
        else {
            return None;
        };
        let changed_at = contact.and_then(|contact| contact.last_changed);
        let asking = Asking { standing: Box::new(standing.clone()), changed_at, at, superseded: false };
        let consent = Standing { asking: Some(asking), ..self.consent.clone() };
        let is_noted = decided.raises_consent() && !self.is_first_meeting();
        is_noted.then(|| Self { consent, ..self.clone() })
    }

    /// The base with a note that `operation` is about to be tried, where that is an opt-out of the register's; `None` for
    /// any other, and at a first meeting, where it wins whatever was noted.
    ///
    /// What the guard holds is not tried, and not noted: it may be a mistake that is undone.
    pub fn leaving(
        &self,
        operation: &Operation,
        rows: &[Registration],
        contact: Option<&Contact>,
    ) -> Option<Self> {
        let Operation::RemoteStatus { decided, standing } = operation else { return None };
        let remote = contact.map(|contact| contact.status);
        // Rows that are gone say nothing: what becomes of their contact is the policy's word.
        let says_so = !rows.is_empty() && standing.local == Some(SubscriptionStatus::Unsubscribed);
        let is_noted = says_so && !decided.raises_consent() && !self.is_first_meeting();
        is_noted.then(|| Self { consent: Standing { remote, ..standing.clone() }, ..self.clone() })
    }
}

impl Standing {
    /// Where the person stands by what the contact shows: as if the answer to a request had been heard that was carried
    /// out. A request that shows no effect may still have one later, and stays noted; so may one after which they left.
    pub(crate) fn heard(&self, contact: &Contact) -> Self {
        let is_news = |asking: &&Asking| !asking.superseded || self.remote != Some(contact.status);
        let shown = self.asking.as_ref().filter(is_news).filter(|asking| asking.shows_in(contact));
        let Some(asking) = shown else { return self.clone() };
        let standing = (*asking.standing).clone();
        if !asking.is_shown_by(contact) {
            return Self { asking: Some(asking.overtaken()), ..standing };
        }
        // Our own call is nobody's opt-in.
        let ours = contact.timestamp_opt.filter(|at| is_about(*at, asking.at));
        let remote = Some(contact.status);
        match asking.superseded && self.opted_out_at > standing.opted_out_at {
            // Who left since is out, and the contact has yet to hear of it.
            true => Self {
                local: Some(SubscriptionStatus::Unsubscribed),
                remote,
                remote_at: ours.or(self.remote_at),
                asking: None,
                ..self.clone()
            },
            // What shows may be somebody else's doing, and the request still on its way.
            false => Self {
                remote,
                remote_at: ours.or(standing.remote_at),
                asking: (!asking.superseded).then(|| asking.overtaken().limited_to(contact)),
                ..standing
            },
        }
    }
}

impl Asking {
    /// The request once it was decided otherwise, or made once more: all that is left of it is what it may still do.
    pub(crate) fn overtaken(&self) -> Self {
        let standing = Box::new(Standing { asking: None, ..(*self.standing).clone() });
        Self { standing, superseded: true, ..self.clone() }
    }

    /// The request for what the contact shows: whom Mailchimp asked to confirm it does not subscribe by it.
    fn limited_to(self, contact: &Contact) -> Self {
        let standing = Box::new(Standing { remote: Some(contact.status), ..(*self.standing).clone() });
        Self { standing, ..self }
    }

    /// Whether the contact shows that the request was carried out, or answered by an opt-in of their own: by its status, or
    /// because somebody who is out has changed since. Of two changes within one second Mailchimp shows one time.
    ///
    /// Of one that was decided otherwise since, only its own status at about its own time shows that.
    fn shows_in(&self, contact: &Contact) -> bool {
        if self.superseded {
            let began = contact.timestamp_opt.max(contact.last_changed);
            return self.is_shown_by(contact) && began.is_some_and(|began| is_about(began, self.at));
        }
        match contact.status {
            SubscriptionStatus::Unsubscribed | SubscriptionStatus::Archived | SubscriptionStatus::Cleaned => {
                let since = |at: Timestamp| at.as_second() >= self.at.as_second();
                contact.last_changed != self.changed_at || self.changed_at.is_some_and(since)
            }
            SubscriptionStatus::Subscribed if contact.timestamp_opt != self.standing.remote_at => true,
            SubscriptionStatus::Subscribed
            | SubscriptionStatus::Pending
            | SubscriptionStatus::Transactional => self.is_shown_by(contact),
        }
    }

    /// Whether the contact stands as was asked for. Whom Mailchimp does not let us subscribe is asked to confirm.
    fn is_shown_by(&self, contact: &Contact) -> bool {
        self.standing.remote == Some(contact.status)
            || self.standing.remote == Some(SubscriptionStatus::Subscribed)
                && contact.status == SubscriptionStatus::Pending
                && contact.last_changed != self.changed_at
    }
}
