//! What the tests of the state are made of.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tempfile::TempDir;

use crate::clock::Clock;
use crate::model::{
    Contact, ContactId, EmailAddress, InterestSet, MemberId, MergeFields, Registration, RegistrationId,
    SubscriptionStatus,
};
use crate::reconcile::plan::{Class, Meeting, MemberPlan, Operation, Planned, Reason};
use crate::reconcile::trio::{Base, Standing, Trio};
use crate::state::{MemberName, Seen, State};

pub(crate) fn now() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) fn later(seconds: i64) -> Timestamp {
    now() + jiff::SignedDuration::from_secs(seconds)
}

/// An empty state in a directory of its own.
pub(crate) async fn open() -> (TempDir, State) {
    let directory = tempfile::tempdir().unwrap();
    let state = reopen(&directory).await;
    (directory, state)
}

pub(crate) async fn reopen(directory: &TempDir) -> State {
    State::open(directory.path().join("state.db"), &Clock::set_at(now())).await.unwrap()
}

/// `a` is `a@alliance.test`; an address stays as it is.
pub(crate) fn email(name: &str) -> EmailAddress {
    if name.contains('@') {
        return EmailAddress::parse(name).unwrap();
    }
    EmailAddress::parse(&format!("{name}@alliance.test")).unwrap()
}

pub(crate) fn contact(id: &str, address: &str) -> Contact {
    let email = email(address);
    Contact {
        contact_id: ContactId::new(id),
        path_id: email.hash().as_str().to_owned(),
        email,
        status: SubscriptionStatus::Subscribed,
        fields: MergeFields::new(),
        interests: InterestSet::new(),
        group_tags: Default::default(),
        unique_email_id: format!("u{id}"),
        last_changed: Some(now()),
        timestamp_opt: None,
    }
}

pub(crate) fn row(id: &str, address: &str) -> Registration {
    Registration {
        id: RegistrationId::new(id),
        email: email(address),
        membership: None,
        status: SubscriptionStatus::Subscribed,
        status_changed_at: None,
        signup_ip: None,
        signup_at: None,
        created_at: None,
        updated_at: Some(now()),
        fields: MergeFields::new(),
        interests: InterestSet::new(),
        preferences_url: Some(String::new()),
        sync_note: Some(String::new()),
        working_groups: None,
    }
}

/// What a member shows, taken for agreed upon.
pub(crate) fn base_of(trio: &Trio) -> Base {
    Base {
        rows: trio.local.iter().map(|row| (row.id.clone(), row.email.clone())).collect(),
        contact: trio.remote.as_ref().map(|contact| (contact.contact_id.clone(), contact.email.clone())),
        values: BTreeMap::new(),
        consent: Standing {
            local: trio.local.last().map(|row| row.status),
            remote: trio.remote.as_ref().map(|contact| contact.status),
            ..Standing::default()
        },
        local_written_at: None,
        remote_written_at: None,
        unheard: Vec::new(),
    }
}

/// A plan that has nothing to do and agrees on what the member shows.
pub(crate) fn agreed(trio: &Trio) -> MemberPlan {
    let email = trio.remote.as_ref().map(|contact| contact.email.clone());
    let email = email.or_else(|| trio.local.last().map(|row| row.email.clone()));
    MemberPlan {
        member: trio.id,
        meeting: Meeting::KnownOnBoth,
        email: Some(email.unwrap_or_else(|| self::email("nobody"))),
        operations: Vec::new(),
        conflicts: Vec::new(),
        base: Some(base_of(trio)),
        waits: None,
        tombstone: None,
    }
}

/// A plan with these operations that leaves the base as it is.
pub(crate) fn to_do(trio: &Trio, operations: Vec<(Operation, Class)>) -> MemberPlan {
    let operations = operations
        .into_iter()
        .map(|(operation, class)| Planned { operation, reason: Reason("a test".to_owned()), class })
        .collect();
    MemberPlan { operations, base: trio.base.clone(), ..agreed(trio) }
}

pub(crate) fn archive() -> Operation {
    Operation::RemoteArchive { standing: Standing::default() }
}

pub(crate) fn rename(to: &str) -> Operation {
    Operation::RemoteRename { to: email(to) }
}

/// Puts a contact and a row of each address and returns their members.
pub(crate) async fn members(state: &State, names: &[&str]) -> Vec<MemberId> {
    let contacts = names.iter().map(|name| contact(&format!("c-{name}"), name)).collect();
    let rows = names.iter().map(|name| row(&format!("r-{name}"), name)).collect();
    state.put_contacts(contacts, Seen::Walk).await.unwrap();
    state.put_readings(rows, Vec::new()).await.unwrap();
    let mut members = Vec::new();
    for name in names {
        members.extend(state.find_members(MemberName::Address(email(name))).await.unwrap());
    }
    members
}

pub(crate) async fn trio(state: &State, member: MemberId) -> Trio {
    state.trio(member, now()).await.unwrap().unwrap()
}
