//! What each side says about a person's consent, drawn from its rows or its contact.

use jiff::Timestamp;

use crate::model::{Contact, Registration, SubscriptionStatus};
use crate::reconcile::trio::Standing;

/// What the register says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalWord {
    /// The status.
    pub status: SubscriptionStatus,
    /// When the person said so: the consent time of the row that speaks.
    pub at: Option<Timestamp>,
    /// Whether that is the status's own time, and not that of the sign-up.
    pub timed: bool,
}

/// What Mailchimp says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoteWord {
    /// The status.
    pub status: SubscriptionStatus,
    /// `timestamp_opt`: when the person opted in.
    pub opted_in_at: Option<Timestamp>,
    /// `last_changed`.
    pub changed_at: Option<Timestamp>,
}

impl RemoteWord {
    /// The word of `contact`.
    pub fn of(contact: &Contact) -> Self {
        Self { status: contact.status, opted_in_at: contact.timestamp_opt, changed_at: contact.last_changed }
    }

    /// Whether the person has left by Mailchimp's word.
    pub fn is_out(&self) -> bool {
        matches!(self.status, SubscriptionStatus::Unsubscribed | SubscriptionStatus::Archived)
    }
}

impl LocalWord {
    /// The status as it counts: a `cleaned` that Rosterd did not write is an opt-out.
    pub fn standing(&self, remote: &RemoteWord, base: &Standing) -> SubscriptionStatus {
        let ours =
            remote.status == SubscriptionStatus::Cleaned || base.local == Some(SubscriptionStatus::Cleaned);
        match self.status {
            SubscriptionStatus::Cleaned if ours => SubscriptionStatus::Cleaned,
            SubscriptionStatus::Cleaned
            | SubscriptionStatus::Archived
            | SubscriptionStatus::Transactional => SubscriptionStatus::Unsubscribed,
            status => status,
        }
    }
}

/// Which of several rows of one member speaks about consent: the latest; of one time, the opt-out.
///
/// Where the time of an opt-out is not known because its column is not mapped, the opt-out stands unless a row's
/// consent is later than the opt-out that the base remembers.
pub fn local_word(rows: &[Registration], base: &Standing, consent_time_mapped: bool) -> Option<LocalWord> {
    let spoken = rows
        .iter()
        .map(|row| LocalWord {
            status: row.status,
            at: row.consent_at(),
            timed: row.status_changed_at.is_some(),
        })
        .max_by_key(|word| (word.at, word.status == SubscriptionStatus::Unsubscribed))?;
    let undated = rows
        .iter()
        .filter(|row| row.status == SubscriptionStatus::Unsubscribed)
        .any(|row| !consent_time_mapped || row.consent_at().is_none());
    if !undated || spoken.status == SubscriptionStatus::Unsubscribed {
        return Some(spoken);
    }
    let left = base.opted_out_at.filter(|_| base.local == Some(SubscriptionStatus::Unsubscribed));
    if left.is_some() && spoken.at > left {
        return Some(spoken);
    }
    Some(LocalWord { status: SubscriptionStatus::Unsubscribed, at: left, timed: false })
}
