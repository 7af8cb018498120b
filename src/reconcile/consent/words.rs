//! What each side says about a person's consent, drawn from its rows or its contact.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::SubscriptionStatus::{Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed};
use crate::model::{Contact, Registration, RegistrationId, SubscriptionStatus};
use crate::reconcile::consent::{is_after, is_ahead};
use crate::reconcile::policy::Policy;
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
    /// When that row was last changed.
    pub edited_at: Option<Timestamp>,
    /// Whether another row says otherwise in a way that would be heard once this one is silent.
    pub contradicted: bool,
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

/// What the rows of a member say about consent, or what was last agreed on where the register has no word for that.
///
/// A row that cannot say `pending` or `cleaned` goes on to say `subscribed`, and means no more by it until the person leaves
/// or, after a bounce, says something at another time. Whoever was asked to confirm confirms in Mailchimp: a yes of the
/// register is not told from the one that was there before.
pub fn local_word(
    rows: &[Registration],
    unusable: &BTreeSet<RegistrationId>,
    base: &Standing,
    policy: &Policy,
    observed_at: Timestamp,
) -> Option<LocalWord> {
    let spoken = spoken(rows, unusable, base, policy, observed_at)?;
    let unsaid = base.local.filter(|agreed| policy.register.lacks(*agreed));
    let status = match (spoken.status, unsaid) {
        (Subscribed, Some(Pending)) => Pending,
        (Subscribed, Some(Cleaned)) if spoken.at == base.local_at => Cleaned,
        (status, _) => status,
    };
    Some(LocalWord { status, ..spoken })
}

/// Which of several rows of one member speaks about consent: the latest; of one time, the opt-out.
///
/// Where the time of an opt-out is not known because its column is not mapped or cannot be read, the opt-out stands unless
/// a row's consent is later than the opt-out that the base remembers. An opt-in of the future proves nothing against
/// another row.
fn spoken(
    rows: &[Registration],
    unusable: &BTreeSet<RegistrationId>,
    base: &Standing,
    policy: &Policy,
    observed_at: Timestamp,
) -> Option<LocalWord> {
    let is_undated = |row: &&Registration| {
        let unread = row.status_changed_at.is_none() && unusable.contains(&row.id);
        row.status == Unsubscribed && (!policy.register.consent_time || row.consent_at().is_none() || unread)
    };
    let undated = rows.iter().any(|row| is_undated(&row));
    let wants_in = rows.iter().any(|row| matches!(row.status, Subscribed | Pending));
    let row = rows.iter().max_by_key(|row| (weight(row, base, observed_at), caution(row.status)))?;
    let spoken = LocalWord {
        status: row.status,
        at: row.consent_at(),
        timed: row.status_changed_at.is_some(),
        edited_at: row.updated_at,
        contradicted: match row.status {
            Unsubscribed | Cleaned => wants_in,
            Subscribed | Pending | Transactional | Archived => undated,
        },
    };
    if !undated || spoken.status == Unsubscribed {
        return Some(spoken);
    }
    let remembers = base.local == Some(Unsubscribed) || base.asked_at.is_some();
    let left = base.opted_out_at.filter(|_| remembers);
    if spoken.at.zip(left).is_some_and(|(at, left)| is_after(at, left)) {
        return Some(spoken);
    }
    Some(LocalWord { status: Unsubscribed, at: left, timed: false, edited_at: None, contradicted: wants_in })
}

/// The time by which a row speaks: that of its consent, unless it lies in the future. An opt-out of the future was said
/// when its row last changed.
fn weight(row: &Registration, base: &Standing, observed_at: Timestamp) -> Option<Timestamp> {
    let at = row.consent_at()?;
    match row.status {
        _ if !is_ahead(at, observed_at) => Some(at),
        Subscribed | Pending => None,
        Unsubscribed | Cleaned | Transactional | Archived => {
            // One that is known already was said when it was first seen, whatever else of its row was edited since.
            let known = base.opted_out_at.filter(|_| base.local_at == Some(at));
            let said = row.updated_at.filter(|at| !is_ahead(*at, observed_at));
            known.or(said).or(base.opted_out_at).or(Some(observed_at))
        }
    }
}

/// Of two words of one time, the more cautious counts.
fn caution(status: SubscriptionStatus) -> u8 {
    match status {
        Subscribed => 0,
        Pending => 1,
        Cleaned | Transactional | Archived => 2,
        Unsubscribed => 3,
    }
}
