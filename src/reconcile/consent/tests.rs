//! The consent table, case by case, in the order of its rows and of the sentences below it in the design.

mod alone;
mod bounces;
mod table;
mod time;
mod wordless;

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::model::SubscriptionStatus::{
    self, Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed,
};
use crate::model::{EmailAddress, Registration, RegistrationId};
use crate::reconcile::policy::{GoneLocal, NewLocal, NewRemote, RegisterFeatures, Resubscribe};

use super::*;

/// The observation; times in cases are minutes before (negative) or after it.
const NOW: i64 = 1_790_000_000;

fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW + minutes * 60).unwrap()
}

/// What the register says, its time of consent mapped.
fn local(status: SubscriptionStatus, minutes: i64) -> Option<LocalWord> {
    Some(LocalWord { status, at: Some(at(minutes)), timed: true, edited_at: None, contradicted: false })
}

/// What the register says where only the time of the sign-up is known.
fn untimed(status: SubscriptionStatus, minutes: i64) -> Option<LocalWord> {
    Some(LocalWord { status, at: Some(at(minutes)), timed: false, edited_at: None, contradicted: false })
}

/// What Mailchimp says: opted in then, changed then.
fn remote(status: SubscriptionStatus, opted_in: i64, changed: i64) -> Option<RemoteWord> {
    Some(RemoteWord { status, opted_in_at: Some(at(opted_in)), changed_at: Some(at(changed)) })
}

/// Where both sides stood, of somebody who never left.
fn stood(local: SubscriptionStatus, remote: SubscriptionStatus) -> Standing {
    Standing { local: Some(local), remote: Some(remote), ..Standing::default() }
}

/// Where both sides stood, of somebody who left then.
fn left(local: SubscriptionStatus, remote: SubscriptionStatus, minutes: i64) -> Standing {
    Standing { opted_out_at: Some(at(minutes)), ..stood(local, remote) }
}

/// Somebody who left in Mailchimp before Rosterd came, or whose rows are gone.
fn rowless(remote: SubscriptionStatus, minutes: Option<i64>) -> Standing {
    Standing { remote: Some(remote), opted_out_at: minutes.map(at), ..Standing::default() }
}

fn policy() -> Policy {
    Policy {
        register: RegisterFeatures { consent_time: true, ..RegisterFeatures::default() },
        ..Policy::default()
    }
}

fn with(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = policy();
    change(&mut policy);
    policy
}

fn question<'a>(
    base: &Standing,
    local: Option<LocalWord>,
    remote: Option<RemoteWord>,
    policy: &'a Policy,
) -> Question<'a> {
    Question { base: base.clone(), local, remote, policy, observed_at: at(0) }
}

fn ask(base: &Standing, local: Option<LocalWord>, remote: Option<RemoteWord>, policy: &Policy) -> Decision {
    decide(&question(base, local, remote, policy))
}

/// One row of the table: its name, what was, what each side says, and what is to be done.
#[track_caller]
fn check(
    row: &str,
    policy: &Policy,
    base: Standing,
    sides: (Option<LocalWord>, Option<RemoteWord>),
    expected: Verdict,
) -> Decision {
    let decision = ask(&base, sides.0, sides.1, policy);
    assert_eq!(decision.verdict, expected, "{row}: {} ({base:?}, {sides:?})", decision.reason);
    decision
}

fn send(status: SubscriptionStatus) -> Verdict {
    Verdict::Remote(DecidedStatus(status))
}

fn create(status: SubscriptionStatus) -> Verdict {
    Verdict::CreateRemote(DecidedStatus(status))
}

fn write(status: SubscriptionStatus, minutes: i64) -> Verdict {
    Verdict::Local(status, Some(at(minutes)))
}

fn row(id: &str, status: SubscriptionStatus, minutes: Option<i64>) -> Registration {
    Registration {
        id: RegistrationId::new(id),
        email: EmailAddress::parse("ada@alliance.test").unwrap(),
        membership: None,
        status,
        status_changed_at: minutes.map(at),
        signup_ip: None,
        signup_at: None,
        created_at: None,
        updated_at: None,
        fields: Default::default(),
        interests: BTreeSet::new(),
        preferences_url: None,
        sync_note: None,
        working_groups: None,
    }
}
