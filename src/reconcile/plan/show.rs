//! The plan as text and as JSON: the same bytes for the same plan.
//!
//! Everything is taken apart field by field, so that a new field that is not shown does not compile.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value as Json, json};

use crate::model::{Change, EmailAddress, Key, SubscriptionStatus, Value};
use crate::reconcile::plan::{Conflict, Operation, Planned, Side};

/// One value as it was and as it becomes; `None` where there was nothing, or nobody knows.
type Step = (Option<Json>, Json);

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Remote => "remote",
        })
    }
}

impl Operation {
    /// What is written, in words: `FNAME Ada → Bo, row 7`.
    pub fn changes(&self) -> String {
        let steps: Vec<String> = self.steps().iter().map(|(key, step)| step_text(key, step)).collect();
        steps.join(", ")
    }

    /// What is written, by key.
    fn steps(&self) -> BTreeMap<String, Step> {
        match self {
            Self::RemoteStatus { decided, standing: _ } | Self::RemoteLeave { decided, standing: _ } => {
                one("status", status(decided.get()))
            }
            Self::RemoteArchive { standing: _ } => one("status", status(SubscriptionStatus::Archived)),
            Self::RemoteCreate { email, decided, values, group_tags, signup_ip, signup_at, standing: _ } => {
                let mut steps = filled(values);
                steps.extend(one("email", json!(email)));
                steps.extend(one("status", status(decided.get())));
                steps.extend(group_tags.iter().map(|tag| (format!("tag {tag}"), (None, json!(true)))));
                steps.extend(signup_ip.iter().flat_map(|ip| one("ip_signup", json!(ip))));
                steps.extend(signup_at.iter().flat_map(|at| one("timestamp_signup", json!(at))));
                steps
            }
            Self::RemoteRename { to } => one("email", json!(to)),
            Self::RemoteUpdate { changes, source: _ } => changed(changes),
            Self::RemoteTags { tags, source: _ } => {
                tags.iter().map(|(tag, on)| (format!("tag {tag}"), (Some(json!(!on)), json!(on)))).collect()
            }
            Self::LocalStatus { status: to, changed_at, standing: _ } => {
                let mut steps = one("status", status(*to));
                steps.extend(changed_at.iter().flat_map(|at| one("subscription_changed_at", json!(at))));
                steps
            }
            Self::LocalCreate { email, changed_at, values, standing: _ } => {
                let mut steps = filled(values);
                steps.extend(one("email", json!(email)));
                steps.extend(one("status", status(SubscriptionStatus::Subscribed)));
                steps.extend(changed_at.iter().flat_map(|at| one("subscription_changed_at", json!(at))));
                steps
            }
            Self::LocalRename { from, to } => {
                BTreeMap::from([("email".to_owned(), (Some(json!(from)), json!(to)))])
            }
            Self::LocalUpdate { row, changes, source: _ } => {
                let mut steps = changed(changes);
                steps.extend(one("row", json!(row)));
                steps
            }
            Self::LocalKeep { row, preferences_url, sync_note, working_groups } => {
                let mut steps = one("row", json!(row));
                steps.extend(preferences_url.iter().flat_map(|url| one("preferences_url", json!(url))));
                steps.extend(sync_note.iter().flat_map(|note| one("sync_note", json!(note))));
                steps.extend(working_groups.iter().flat_map(|groups| one("working_groups", json!(groups))));
                steps
            }
        }
    }
}

impl Planned {
    /// The operation in the JSON form of the command line's contract.
    pub fn json(&self, email: &EmailAddress) -> Json {
        let Self { operation, reason, class: _ } = self;
        let changes: Map<String, Json> = operation
            .steps()
            .into_iter()
            .map(|(key, (before, after))| (key, json!([before, after])))
            .collect();
        json!({
            "side": operation.side(),
            "kind": operation.kind(),
            "email": email,
            "hash": email.hash(),
            "changes": changes,
            "reason": reason,
        })
    }

    /// The operation in one line for people.
    pub fn line(&self, email: &EmailAddress) -> String {
        let Self { operation, reason, class: _ } = self;
        format!(
            "{:6}  {:7}  {email}  {}  ({reason})",
            operation.side().to_string(),
            operation.kind(),
            operation.changes()
        )
    }
}

impl Conflict {
    /// The word for it, without what it is about: fit for logs.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::AddressTakenRemotely => "address_taken_remotely",
            Self::AddressTakenLocally => "address_taken_locally",
            Self::UnprovenOptIn => "unproven_opt_in",
            Self::AddressChangedTwice => "address_changed_twice",
            Self::Overwritten { .. } => "overwritten",
            Self::UnknownInterest { .. } => "unknown_interest",
        }
    }

    /// The conflict in the JSON form of the command line's contract.
    pub fn json(&self, email: &EmailAddress) -> Json {
        let mut json = serde_json::to_value(self).unwrap_or_default();
        if let Json::Object(fields) = &mut json {
            fields.insert("email".to_owned(), json!(email));
            fields.insert("hash".to_owned(), json!(email.hash()));
        }
        json
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressTakenRemotely => {
                f.write_str("the new address belongs to another contact in Mailchimp")
            }
            Self::AddressTakenLocally => f.write_str("the new address belongs to another registration"),
            Self::UnprovenOptIn => {
                f.write_str("left before, subscribed in Mailchimp without their own later opt-in")
            }
            Self::AddressChangedTwice => f.write_str("the address was changed on both sides"),
            Self::Overwritten { key, side, lost } => {
                write!(f, "{key} was changed on both sides, {side} {lost} lost")
            }
            Self::UnknownInterest { interest } => write!(f, "Mailchimp has no interest {interest}"),
        }
    }
}

fn one(key: &str, after: Json) -> BTreeMap<String, Step> {
    BTreeMap::from([(key.to_owned(), (None, after))])
}

fn status(status: SubscriptionStatus) -> Json {
    json!(status.as_str())
}

fn filled(values: &BTreeMap<Key, Value>) -> BTreeMap<String, Step> {
    values.iter().map(|(key, value)| (key.to_string(), (None, json!(value)))).collect()
}

fn changed(changes: &BTreeMap<Key, Change>) -> BTreeMap<String, Step> {
    let step = |Change { before, after }: &Change| (Some(json!(before)), json!(after));
    changes.iter().map(|(key, change)| (key.to_string(), step(change))).collect()
}

fn step_text(key: &str, (before, after): &Step) -> String {
    match (before, after) {
        (_, Json::Bool(true)) => format!("+{key}"),
        (_, Json::Bool(false)) => format!("-{key}"),
        (None, after) => format!("{key} {}", word(after)),
        (Some(before), after) => format!("{key} {} → {}", word(before), word(after)),
    }
}

fn word(value: &Json) -> String {
    match value {
        Json::String(text) if text.is_empty() => "(empty)".to_owned(),
        Json::String(text) if text.contains(' ') => format!("\"{text}\""),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{MergeTag, RegistrationId};
    use crate::reconcile::plan::{Class, Reason};

    use super::*;

    fn planned() -> Planned {
        let key = Key::Field(MergeTag::parse("FNAME").unwrap());
        let change = Change { before: Value::text("Ada"), after: Value::text("Ada M.") };
        let operation = Operation::LocalUpdate {
            row: RegistrationId::new("7"),
            changes: BTreeMap::from([(key, change)]),
            source: BTreeMap::new(),
        };
        Planned { operation, reason: Reason("changed in Mailchimp".to_owned()), class: Class::Free }
    }

    #[test]
    fn an_operation_is_one_line_for_people() {
        let email = EmailAddress::parse("ada@alliance.test").unwrap();
        let expected =
            "local   update   ada@alliance.test  FNAME Ada → \"Ada M.\", row 7  (changed in Mailchimp)";
        assert_eq!(planned().line(&email), expected);
    }

    #[test]
    fn an_operation_has_the_json_form_of_the_contract() {
        let email = EmailAddress::parse("Ada@alliance.test").unwrap();
        let expected = json!({
            "side": "local", "kind": "update", "email": "Ada@alliance.test", "hash": email.hash(),
            "changes": {"FNAME": ["Ada", "Ada M."], "row": [null, "7"]}, "reason": "changed in Mailchimp",
        });
        assert_eq!(planned().json(&email), expected);
    }
}
