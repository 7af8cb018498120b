//! How a member stands, in a word for programs and a sentence for people.

use jiff::Timestamp;

use crate::cli::moments::{ago, minute};
use crate::cli::output::counted;
use crate::model::{MemberId, SubscriptionStatus};
use crate::reconcile::plan::{Conflict, MemberPlan};
use crate::reconcile::trio::Trio;
use crate::state::Parked;

/// What decides how a member stands.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The member.
    pub trio: &'a Trio,
    /// What a cycle would do about it; `None` where nobody can tell.
    pub plan: Option<&'a MemberPlan>,
    /// Why it is set aside.
    pub parked: Option<&'a Parked>,
    /// The holds that keep back what is due.
    pub holds: &'a [String],
    /// What the register says otherwise than Mailchimp, of somebody who left.
    pub unsent: &'a [String],
    /// Now.
    pub now: Timestamp,
}

/// How a member stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// `parked`, `in_conflict`, `held`, `to_do`, `waits`, `unknown` or `in_step`.
    pub word: &'static str,
    /// Why, as a sentence for people.
    pub because: String,
}

/// How the member stands: what keeps it from being in step comes first.
pub fn standing(facts: Facts<'_>) -> Standing {
    let say = |word, because: String| Standing { word, because };
    if facts.trio.parked.is_some()
        && let Some(parked) = facts.parked
    {
        return say("parked", parked_words(parked, facts.now));
    }
    let Some(plan) = facts.plan else {
        return say("unknown", "what a cycle would do cannot be told".to_owned());
    };
    let conflicts: Vec<String> =
        plan.conflicts.iter().filter(|conflict| stops(conflict)).map(ToString::to_string).collect();
    if !conflicts.is_empty() {
        return say("in_conflict", format!("in conflict, for a person to decide: {}", conflicts.join("; ")));
    }
    if !facts.holds.is_empty() {
        let ids = facts.holds.join(", ");
        return say("held", format!("held in {ids}: rosterd approve ID or rosterd reject ID decides"));
    }
    match (plan.operations.len(), &plan.waits) {
        (0, None) if !facts.unsent.is_empty() => say("waits", unsent_words(facts.unsent)),
        (0, None) => say("in_step", in_step_words(facts.trio)),
        (0, Some(words)) => say("waits", format!("waits: {words}")),
        (n, _) => say("to_do", format!("the next cycle has {} to carry out", counted(n as u64, "operation"))),
    }
}

fn unsent_words(unsent: &[String]) -> String {
    format!(
        "left, and is left alone: what the register changed waits until they return: {}",
        unsent.join(", ")
    )
}

/// Whether a person has to decide, and not only to know.
fn stops(conflict: &Conflict) -> bool {
    match conflict {
        Conflict::AddressTakenRemotely
        | Conflict::AddressTakenLocally
        | Conflict::UnprovenOptIn
        | Conflict::AddressChangedTwice => true,
        Conflict::Overwritten { .. } | Conflict::UnknownInterest { .. } => false,
    }
}

fn parked_words(parked: &Parked, now: Timestamp) -> String {
    let Parked { member: MemberId(_), park, since, attempts, rests: _ } = parked;
    let next = match park.retry_at {
        Some(at) if at <= now => "tried again by the next cycle".to_owned(),
        Some(at) => format!("tried again {}", ago(now, at)),
        None => "until either side changes, or rosterd member retry".to_owned(),
    };
    format!(
        "set aside since {} UTC, refused {}: {}: {}; {next}",
        minute(*since),
        counted(*attempts, "time"),
        park.title,
        park.said
    )
}

fn in_step_words(trio: &Trio) -> String {
    let remote = trio.remote.as_ref().map(|contact| contact.status);
    match (trio.local.last().map(|row| row.status), remote) {
        (Some(local), Some(remote)) if local == remote => format!("in step, {local} on both sides"),
        (Some(local), Some(remote)) => format!("in step, {local} in the register and {remote} in Mailchimp"),
        (Some(local), None) => format!("in step, {local} in the register and not in Mailchimp"),
        (None, Some(SubscriptionStatus::Archived)) => "archived in Mailchimp, not in the register".to_owned(),
        (None, Some(remote)) => format!("{remote} in Mailchimp, not in the register"),
        (None, None) => "on neither side".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::model::EmailAddress;
    use crate::reconcile::plan::{Class, Meeting, Operation, Planned, Reason};
    use crate::state::Park;

    use super::*;

    fn now() -> Timestamp {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    fn trio(parked: Option<&str>) -> Trio {
        Trio {
            id: MemberId(1),
            base: None,
            local: Vec::new(),
            unusable: std::collections::BTreeSet::new(),
            remote: None,
            tombstone: None,
            parked: parked.map(str::to_owned),
            taken_remotely: false,
            taken_locally: false,
            observed_at: now(),
        }
    }

    fn plan(n_operations: usize, conflicts: Vec<Conflict>, waits: Option<&str>) -> MemberPlan {
        let operation = Operation::RemoteRename { to: EmailAddress::parse("b@alliance.test").unwrap() };
        let planned = Planned { operation, reason: Reason("a test".to_owned()), class: Class::Free };
        MemberPlan {
            member: MemberId(1),
            meeting: Meeting::KnownOnBoth,
            email: None,
            operations: vec![planned; n_operations],
            conflicts,
            base: None,
            waits: waits.map(str::to_owned),
            tombstone: None,
        }
    }

    fn parked(retry_at: Option<&str>) -> Parked {
        Parked {
            member: MemberId(1),
            park: Park {
                class: "permanent".to_owned(),
                title: "Invalid Resource".to_owned(),
                said: "looks fake".to_owned(),
                retry_at: retry_at.map(|at| at.parse().unwrap()),
            },
            since: now(),
            attempts: 2,
            rests: true,
        }
    }

    fn check(
        trio: &Trio,
        plan: Option<&MemberPlan>,
        parked: Option<&Parked>,
        holds: &[&str],
        word: &str,
        part: &str,
    ) {
        let holds: Vec<String> = holds.iter().map(|id| (*id).to_owned()).collect();
        let standing = standing(Facts { trio, plan, parked, holds: &holds, unsent: &[], now: now() });
        assert_eq!(standing.word, word, "{standing:?}");
        assert!(standing.because.contains(part), "{standing:?} lacks {part}");
    }

    #[test]
    fn what_waits_for_somebody_who_left_is_told() {
        let (trio, plan, unsent) = (trio(None), plan(0, Vec::new(), None), ["region Africa".to_owned()]);
        let facts =
            Facts { trio: &trio, plan: Some(&plan), parked: None, holds: &[], unsent: &unsent, now: now() };
        let standing = standing(facts);
        assert_eq!(standing.word, "waits");
        assert!(standing.because.ends_with("waits until they return: region Africa"), "{standing:?}");
    }

    #[test]
    fn what_keeps_a_member_from_being_in_step_comes_first() {
        let (at_rest, free) = (trio(Some("looks fake")), trio(None));
        let both = plan(1, vec![Conflict::UnprovenOptIn], Some("the person's confirmation"));
        check(
            &at_rest,
            Some(&both),
            Some(&parked(None)),
            &["0a"],
            "parked",
            "refused 2 times: Invalid Resource: looks fake; until either",
        );
        check(
            &at_rest,
            Some(&both),
            Some(&parked(Some("2026-03-01T13:30:00Z"))),
            &[],
            "parked",
            "tried again in 90 min",
        );
        check(
            &free,
            Some(&both),
            Some(&parked(None)),
            &["0a"],
            "in_conflict",
            "without their own later opt-in",
        );
        check(&free, Some(&plan(2, Vec::new(), None)), None, &["0a"], "held", "held in 0a");
        check(&free, Some(&plan(2, Vec::new(), None)), None, &[], "to_do", "2 operations");
        let waits = plan(0, Vec::new(), Some("the person's confirmation"));
        check(&free, Some(&waits), None, &[], "waits", "waits: the person's confirmation");
        check(&free, None, None, &[], "unknown", "cannot be told");
        let unknown = Conflict::UnknownInterest { interest: "topic:X".to_owned() };
        check(&free, Some(&plan(0, vec![unknown], None)), None, &[], "in_step", "on neither side");
    }
}
