//! The guard of a cycle: looks at the staged plan as a whole, and holds what a person has to decide.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::reconcile::guard::{Limit, Limits, SHARED_TIME};
use crate::state::{ClassName, Counts, Decision, Selection, State, StateError};

/// What holds of the first adoption are called.
pub const ADOPTION: &str = "adoption";

/// What those within it are called that would unsubscribe somebody in Mailchimp.
pub(super) const ADOPTION_OPT_OUTS: &str = "adoption_opt_outs";

/// The limits count over this long, so that a slow leak is seen too.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// Whether the first adoption was answered beforehand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adoption {
    /// It is held until a person approves it.
    #[default]
    Ask,
    /// Yes, but for unsubscribing anybody in it.
    Yes,
}

/// Holds what is unsafe in the staged plan; says how many operations wait for a person's decision now.
pub async fn guard(
    state: &State,
    limits: &Limits,
    adoption: Adoption,
    now: Timestamp,
) -> Result<u64, StateError> {
    if state.adopted_at().await?.is_none() {
        adopt(state, adoption, now).await?;
    }
    // What nobody was asked about is judged like on every other day, also in the cycle that ends the adoption.
    if state.adopted_at().await?.is_some() && state.count_planned().await? > 0 {
        let (counts, planned) = (state.counts().await?, state.planned_counts().await?);
        match emptied(&counts, &planned) {
            Some(reason) => {
                state.hold("emptied", vec![Selection::Everything], reason.to_owned(), now).await?;
            }
            None => {
                for Excess { class, selections, reason } in
                    excesses(state, limits, &counts, &planned, now).await?
                {
                    state.hold(class, selections, reason, now).await?;
                }
                hold_unproven(state, now).await?;
            }
        }
    }
    state.settle_holds(now).await?;
    state.count_planned_held().await
}

/// Leaves to the plan of everybody what is unsafe in a staged plan of a few: only that can be held.
pub(super) async fn leave_unsafe(state: &State, limits: &Limits, now: Timestamp) -> Result<(), StateError> {
    let (counts, planned) = (state.counts().await?, state.planned_counts().await?);
    if emptied(&counts, &planned).is_some() {
        return state.unstage(vec![Selection::Everything]).await;
    }
    for Excess { selections, .. } in excesses(state, limits, &counts, &planned, now).await? {
        state.unstage(selections).await?;
    }
    state.unstage(vec![Selection::Class(ClassName::UnprovenInvitation)]).await
}

/// A yes given beforehand also answers what was asked for in an earlier cycle; to be called before the plan is staged.
pub(super) async fn answer(state: &State, adoption: Adoption, now: Timestamp) -> Result<(), StateError> {
    if adoption == Adoption::Ask || state.adopted_at().await?.is_some() {
        return Ok(());
    }
    for hold in state.holds().await?.into_iter().filter(|hold| hold.class == ADOPTION) {
        state.approve(hold.id, now).await?;
    }
    Ok(())
}

/// The first adoption is held whole, and apart from it whom it would unsubscribe in Mailchimp.
async fn adopt(state: &State, adoption: Adoption, now: Timestamp) -> Result<(), StateError> {
    let opt_outs = "the first adoption would unsubscribe these people in Mailchimp".to_owned();
    state.hold(ADOPTION_OPT_OUTS, vec![Selection::RemoteOptOuts], opt_outs, now).await?;
    hold_unproven(state, now).await?;
    let approved =
        state.holds().await?.iter().any(|hold| hold.class == ADOPTION && hold.decision == Decision::Approved);
    if adoption == Adoption::Yes || approved || state.count_planned().await? == 0 {
        if adoption == Adoption::Yes {
            state.approve_staged(ADOPTION).await?;
        }
        state.end_holds(ADOPTION, now).await?;
        return state.set_adopted_at(now).await;
    }
    let reason = "this is the first time that the register and the audience meet".to_owned();
    state.hold(ADOPTION, vec![Selection::Everything], reason, now).await?;
    Ok(())
}

/// A side that had members and shows none: a wrong table, a wrong audience, an accident.
fn emptied(counts: &Counts, planned: &BTreeMap<ClassName, u64>) -> Option<&'static str> {
    if counts.with_rows == 0 && count(planned, ClassName::Removal) > 0 {
        return Some("the register shows no rows at all, and had some");
    }
    if counts.with_contact == 0 && count(planned, ClassName::Absence) > 0 {
        return Some("the audience shows no contacts at all, and had some");
    }
    None
}

/// More of a class than may go unasked.
struct Excess {
    class: &'static str,
    selections: Vec<Selection>,
    reason: String,
}

/// The classes of which more is planned, or was done over the day, than may go unasked.
async fn excesses(
    state: &State,
    limits: &Limits,
    counts: &Counts,
    planned: &BTreeMap<ClassName, u64>,
    now: Timestamp,
) -> Result<Vec<Excess>, StateError> {
    let since = now.checked_sub(DAY).unwrap_or(Timestamp::MIN);
    let shared = state.timed_opt_outs_sharing_a_time(SHARED_TIME, since).await?;
    let removals = count(planned, ClassName::Removal) + shared.planned;
    let taken = Selection::SharedTimes { more_than: SHARED_TIME, since };
    let classes = [
        ("removals", ClassName::Removal, removals, limits.removals, Some(taken), "would leave the audience"),
        (
            "absences",
            ClassName::Absence,
            count(planned, ClassName::Absence),
            limits.removals,
            None,
            "are archived or gone in Mailchimp",
        ),
        (
            "creations",
            ClassName::Creation,
            count(planned, ClassName::Creation),
            limits.creations,
            None,
            "would be created",
        ),
        (
            "invitations",
            ClassName::Invitation,
            count(planned, ClassName::Invitation),
            limits.invitations,
            None,
            "would be asked back after they left",
        ),
    ];
    let mut excesses = Vec::new();
    for (name, class, n_planned, limit, also, what) in classes {
        let shared = also.map_or(0, |_| shared.applied);
        let done = state.applied_in([class].into(), since).await? + shared;
        if n_planned > 0 && limit.is_passed_by(n_planned + done, counts.with_base) {
            let selections = [Some(Selection::Class(class)), also].into_iter().flatten().collect();
            let reason = reason(n_planned, done, what, limit);
            excesses.push(Excess { class: name, selections, reason });
        }
    }
    Ok(excesses)
}

/// Nobody is asked back without proof that they want it, unless a person says so of each.
async fn hold_unproven(state: &State, now: Timestamp) -> Result<(), StateError> {
    let unproven = "subscribed again in the register, nobody knows since when".to_owned();
    let selections = vec![Selection::Class(ClassName::UnprovenInvitation)];
    state.hold("unproven_invitations", selections, unproven, now).await?;
    Ok(())
}

fn count(planned: &BTreeMap<ClassName, u64>, class: ClassName) -> u64 {
    planned.get(&class).copied().unwrap_or(0)
}

fn reason(planned: u64, done: u64, what: &str, limit: Limit) -> String {
    let share = f64::from(limit.basis_points) / 100.0;
    let before = if done == 0 { String::new() } else { format!(", {done} already in the last day") };
    format!("{planned} members {what}{before}: more than {share} % and more than {} a day", limit.more_than)
}
