//! In which order operations are made, and the words they are stored under.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::SubscriptionStatus;
use crate::reconcile::plan::{Class, Operation, Side};

/// Opt-outs first, what could bring mail to somebody late, Rosterd's own columns last.
pub fn rank(operation: &Operation) -> i64 {
    match operation {
        Operation::RemoteStatus { decided, .. } if decided.raises_consent() => 8,
        Operation::RemoteStatus { .. } | Operation::RemoteLeave { .. } | Operation::RemoteArchive { .. } => {
            FIRST
        }
        Operation::LocalStatus { status, .. } if is_opt_out(*status) => SECOND,
        Operation::LocalStatus { .. }
        | Operation::LocalCreate { .. }
        | Operation::LocalRename { .. }
        | Operation::LocalUpdate { .. } => 3,
        Operation::RemoteRename { .. } | Operation::RemoteUpdate { .. } => UPDATES,
        Operation::RemoteTags { .. } => TAGS,
        Operation::RemoteCreate { .. } => 7,
        Operation::LocalKeep { .. } => 9,
    }
}

/// Opt-outs in Mailchimp; removed rows are opt-outs, too.
const FIRST: i64 = 1;
/// Opt-outs in the register.
const SECOND: i64 = 2;
/// The last rank of opt-outs: they wait for nothing.
pub(crate) const OPT_OUTS: i64 = SECOND;
/// The rank of values and addresses that go to Mailchimp.
pub const UPDATES: i64 = 4;
/// The rank of tags that go to Mailchimp.
pub const TAGS: i64 = 5;

/// The ranks of one member's operations: their own, but never before an earlier one of the same member, as a
/// plan gives them in the order in which they are to be made. Opt-outs wait for nothing.
pub(crate) fn ranks<'a>(operations: impl IntoIterator<Item = &'a Operation>) -> Vec<i64> {
    let mut latest = 0;
    let mut ranks = Vec::new();
    for operation in operations {
        let own = rank(operation);
        latest = own.max(latest);
        ranks.push(if own <= SECOND { own } else { latest });
    }
    ranks
}

/// Whether a status of the register takes somebody out.
pub fn is_opt_out(status: SubscriptionStatus) -> bool {
    match status {
        SubscriptionStatus::Unsubscribed | SubscriptionStatus::Cleaned | SubscriptionStatus::Archived => true,
        SubscriptionStatus::Subscribed | SubscriptionStatus::Pending | SubscriptionStatus::Transactional => {
            false
        }
    }
}

/// The word for an operation, as in its JSON.
pub fn kind(operation: &Operation) -> &'static str {
    match operation {
        Operation::RemoteStatus { .. } => "remote_status",
        Operation::RemoteArchive { .. } => "remote_archive",
        Operation::RemoteCreate { .. } => "remote_create",
        Operation::RemoteLeave { .. } => "remote_leave",
        Operation::RemoteRename { .. } => "remote_rename",
        Operation::RemoteUpdate { .. } => "remote_update",
        Operation::RemoteTags { .. } => "remote_tags",
        Operation::LocalStatus { .. } => "local_status",
        Operation::LocalCreate { .. } => "local_create",
        Operation::LocalRename { .. } => "local_rename",
        Operation::LocalUpdate { .. } => "local_update",
        Operation::LocalKeep { .. } => "local_keep",
    }
}

/// The word for a side.
pub(crate) fn side_word(side: Side) -> &'static str {
    match side {
        Side::Local => "local",
        Side::Remote => "remote",
    }
}

/// A class of the guard's without the time it may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ClassName {
    /// Counts against no limit.
    Free,
    /// Takes somebody out of the audience without a word of their own.
    Removal,
    /// Takes somebody out who said so at some time.
    TimedOptOut,
    /// Follows a contact that was archived or is gone in Mailchimp.
    Absence,
    /// Creates somebody on either side.
    Creation,
    /// Asks somebody back after they left.
    Invitation,
    /// Asks somebody back without proof that they want it.
    UnprovenInvitation,
}

impl ClassName {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 7] = [
        Self::Free,
        Self::Removal,
        Self::TimedOptOut,
        Self::Absence,
        Self::Creation,
        Self::Invitation,
        Self::UnprovenInvitation,
    ];

    /// The word it is stored under.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Removal => "removal",
            Self::TimedOptOut => "timed_opt_out",
            Self::Absence => "absence",
            Self::Creation => "creation",
            Self::Invitation => "invitation",
            Self::UnprovenInvitation => "unproven_invitation",
        }
    }

    /// Reads the word it is stored under.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|name| name.as_str() == word)
    }
}

impl From<Class> for ClassName {
    fn from(class: Class) -> Self {
        match class {
            Class::Free => Self::Free,
            Class::Removal => Self::Removal,
            Class::TimedOptOut(_) => Self::TimedOptOut,
            Class::Absence => Self::Absence,
            Class::Creation => Self::Creation,
            Class::Invitation => Self::Invitation,
            Class::UnprovenInvitation => Self::UnprovenInvitation,
        }
    }
}

impl fmt::Display for ClassName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Class words as a JSON array, the form in which SQLite takes a set.
pub(crate) fn words(classes: &BTreeSet<ClassName>) -> String {
    let words: Vec<String> = classes.iter().map(|class| format!("\"{class}\"")).collect();
    format!("[{}]", words.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EmailAddress;
    use crate::reconcile::trio::Standing;

    fn status(word: &str) -> Operation {
        let text = format!(
            r#"{{"operation":"remote_status","decided":"{word}","standing":{}}}"#,
            serde_json::to_string(&Standing::default()).unwrap()
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn operations_keep_the_order_of_their_member_but_opt_outs_wait_for_nothing() {
        let rename = Operation::RemoteRename { to: EmailAddress::parse("ada@alliance.test").unwrap() };
        let tags = Operation::RemoteTags { tags: Default::default(), source: Default::default() };
        assert_eq!(ranks([&tags, &rename]), [5, 5]);
        assert_eq!(ranks([&rename, &tags]), [4, 5]);
        assert_eq!(ranks([&status("pending"), &rename]), [8, 8]);
        assert_eq!(ranks([&tags, &status("unsubscribed"), &rename]), [5, 1, 5]);
    }

    #[test]
    fn an_operation_is_stored_under_the_word_of_its_json() {
        for operation in [status("subscribed"), Operation::RemoteArchive { standing: Standing::default() }] {
            let json = serde_json::to_value(&operation).unwrap();
            assert_eq!(json["operation"], kind(&operation));
        }
    }
}
