//! What the guard keeps back: immutable lists, named by their content.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use crate::state::decisions::{self, Decision};
use crate::state::error::{Fault, StateError};
use crate::state::staged::SHARING;
use crate::state::text::{hex, stamp};
use crate::state::{ClassName, HoldSummary, State};

/// Which staged operations are to be held. What is held or approved already is never meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of a class.
    Class(ClassName),
    /// Opt-outs whose time is shared by more than `more_than` of the plan and of the trail since `since`.
    SharedTimes {
        /// How many may share a time.
        more_than: u64,
        /// How far back the trail counts.
        since: Timestamp,
    },
    /// Those that take somebody out in Mailchimp, whatever their class.
    RemoteOptOuts,
    /// All.
    Everything,
}

/// How many hex digits name a hold: eight, more only where eight name another one already.
const ID_DIGITS: [usize; 3] = [8, 16, 64];

impl State {
    /// Holds the staged operations that any of `selections` means, until a person decides; `None` where there are none.
    ///
    /// A hold of the same content, if there is one, is taken again with what was decided about it; one that was
    /// done is opened again.
    pub async fn hold(
        &self,
        class: &'static str,
        selections: Vec<Selection>,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<HoldSummary>, StateError> {
        self.write(move |tx| {
            for selection in &selections {
                select(tx, *selection)?;
            }
            let Some(digest) = digest_of_selected(tx, class)? else { return Ok(None) };
            let id = name(tx, &digest)?;
            take(tx, &id, class, &digest, &reason, now)?;
            let summary = decisions::summary(tx, &id)?;
            match summary.decision {
                // Approved since the plan was staged: the person was faster.
                Decision::Approved => tx
                    .prepare_cached("UPDATE temp.plan SET held = NULL, approved = ?1 WHERE held = '*'")?
                    .execute([&summary.id])?,
                Decision::Open | Decision::Rejected | Decision::Done => tx
                    .prepare_cached("UPDATE temp.plan SET held = ?1 WHERE held = '*'")?
                    .execute([&summary.id])?,
            };
            Ok(Some(summary))
        })
        .await
    }

    /// Takes out of the staged plan what is selected: it is left to a plan that is complete.
    pub async fn unstage(&self, selections: Vec<Selection>) -> Result<(), StateError> {
        self.write(move |tx| {
            for selection in &selections {
                select(tx, *selection)?;
            }
            tx.prepare_cached("DELETE FROM temp.plan WHERE held = '*'")?.execute([])?;
            Ok(())
        })
        .await
    }

    /// Ends holds of which the staged plan, which must be complete, wants nothing any more; says how many.
    ///
    /// One that lists a member who is yet to be read by itself stays: what is wanted for it is not known.
    pub async fn settle_holds(&self, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let ended = tx
                .prepare_cached(
                    "UPDATE holds SET decision = 'done', decided_at = ?1
                     WHERE decision IN ('open', 'rejected') AND class <> 'missing'
                       AND NOT EXISTS (SELECT 1 FROM held_operations AS o
                         JOIN temp.plan AS p ON p.fingerprint = o.fingerprint WHERE o.hold = holds.id)
                       AND NOT EXISTS (SELECT 1 FROM held_operations AS o
                         JOIN members AS m ON m.id = o.member WHERE o.hold = holds.id AND m.recheck = 1)",
                )?
                .execute([stamp(now)])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }

    /// Ends the open holds of a class whose ground is gone, so that what they list is judged anew; says how many.
    ///
    /// For what came while the first adoption waited, once that is approved. What was rejected stays so.
    pub async fn end_holds(&self, class: &'static str, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let ended = tx
                .prepare_cached(
                    "UPDATE holds SET decision = 'done', decided_at = ?2
                     WHERE class = ?1 AND decision = 'open'",
                )?
                .execute(params![class, stamp(now)])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }
}

/// Marks what is meant with a star that no hold is named by.
fn select(tx: &Transaction<'_>, selection: Selection) -> Result<(), Fault> {
    let update = |condition: &str| {
        format!("UPDATE temp.plan SET held = '*' WHERE approved IS NULL AND held IS NULL AND {condition}")
    };
    match selection {
        Selection::Class(class) => tx.prepare_cached(&update("class = ?1"))?.execute([class.as_str()])?,
        Selection::SharedTimes { more_than, since } => {
            let more_than = i64::try_from(more_than).unwrap_or(i64::MAX);
            tx.prepare_cached(&update(SHARING))?.execute(params![more_than, stamp(since)])?
        }
        Selection::RemoteOptOuts => {
            let sql = update("(kind = 'remote_archive' OR kind = 'remote_status' AND rank = 1)");
            tx.prepare_cached(&sql)?.execute([])?
        }
        Selection::Everything => tx.prepare_cached(&update("1"))?.execute([])?,
    };
    Ok(())
}

/// SHA-256 over the class and the sorted fingerprints of what is selected; `None` where nothing is.
fn digest_of_selected(tx: &Transaction<'_>, class: &str) -> Result<Option<String>, Fault> {
    let sql = "SELECT fingerprint FROM temp.plan WHERE held = '*' ORDER BY fingerprint";
    digest_of(tx, class, sql)
}

/// SHA-256 over the class and the texts that `sql` yields in their order; `None` where it yields none.
pub(crate) fn digest_of(tx: &Transaction<'_>, class: &str, sql: &str) -> Result<Option<String>, Fault> {
    let mut hasher = Sha256::new();
    hasher.update(class);
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut any = false;
    while let Some(row) = rows.next()? {
        any = true;
        hasher.update([0]);
        hasher.update(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(any.then(|| hex(&hasher.finalize())))
}

/// The shortest beginning of the digest that names no hold of another content.
pub(crate) fn name(tx: &Transaction<'_>, digest: &str) -> Result<String, Fault> {
    for digits in ID_DIGITS {
        let id: String = digest.chars().take(digits).collect();
        let other: Option<String> = tx
            .prepare_cached("SELECT digest FROM holds WHERE id = ?1")?
            .query_row([&id], |row| row.get(0))
            .optional()?;
        if other.is_none_or(|other| other == digest) {
            return Ok(id);
        }
    }
    Ok(digest.to_owned())
}

/// Writes the hold down with what it lists, or opens it again where it was done.
fn take(
    tx: &Transaction<'_>,
    id: &str,
    class: &str,
    digest: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let new = tx
        .prepare_cached(
            "INSERT OR IGNORE INTO holds (id, class, digest, reason, since, count, decision)
             SELECT ?1, ?2, ?3, ?4, ?5, COUNT(*), 'open' FROM temp.plan WHERE held = '*'",
        )?
        .execute(params![id, class, digest, reason, stamp(now)])?;
    if new > 0 {
        tx.prepare_cached(
            "INSERT INTO held_operations (hold, seq, member, email, fingerprint, planned)
             SELECT ?1, row_number() OVER (ORDER BY name, seq), member, email, fingerprint, planned
             FROM temp.plan WHERE held = '*'",
        )?
        .execute([id])?;
    }
    reopen(tx, id, reason, now)
}

/// Opens a hold again that was done.
pub(crate) fn reopen(tx: &Transaction<'_>, id: &str, reason: &str, now: Timestamp) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE holds SET decision = 'open', decided_at = NULL, reason = ?2, since = ?3
         WHERE id = ?1 AND decision = 'done'",
    )?
    .execute(params![id, reason, stamp(now)])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MemberId;
    use crate::reconcile::plan::{Class, Operation};
    use crate::state::sample::{archive, later, members, now, open, rename, to_do, trio};
    use crate::state::{CycleKind, HoldSummary, Place, SharedTimes};

    /// Stages the same kind of operation for each of these members, as one cycle would.
    async fn plan(state: &State, members: &[MemberId], operation: fn() -> Operation, class: Class) {
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        state.begin_plan().await.unwrap();
        for member in members {
            let plan = to_do(&trio(state, *member).await, vec![(operation(), class)]);
            state.stage(vec![plan], policy).await.unwrap();
        }
    }

    async fn hold(state: &State, selection: Selection) -> Option<HoldSummary> {
        state.hold("removals", vec![selection], "too many".to_owned(), now()).await.unwrap()
    }

    async fn let_through(state: &State) -> Vec<MemberId> {
        let next = state.next_operations((0, 0), 100).await.unwrap();
        next.into_iter().map(|staged| staged.member).collect()
    }

    const REMOVALS: Selection = Selection::Class(ClassName::Removal);

    #[tokio::test]
    async fn what_is_held_stays_back_until_it_is_approved_and_then_goes_once() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b", "c"]).await;
        plan(&state, &all[..2], archive, Class::Removal).await;
        let held = hold(&state, REMOVALS).await.unwrap();
        assert_eq!((held.id.len(), held.count, held.decision), (8, 2, Decision::Open));
        assert_eq!(let_through(&state).await, []);

        let same = plan_again(&state, &all[..2]).await;
        assert_eq!(same, None, "the same list is the same hold, and held from the beginning");
        assert_eq!(let_through(&state).await, []);

        state.approve(held.id.clone(), later(10)).await.unwrap();
        plan(&state, &all, archive, Class::Removal).await;
        assert_eq!(state.planned_counts().await.unwrap(), [(ClassName::Removal, 1)].into());
        let new = hold(&state, REMOVALS).await.unwrap();
        assert_eq!(new.count, 1, "what comes later makes a new hold");
        assert_eq!(let_through(&state).await, all[..2]);

        let cycle = state.begin_cycle(CycleKind::Incremental, later(20)).await.unwrap();
        assert_eq!(state.expire_approvals(cycle, later(30)).await.unwrap(), 1);
        plan(&state, &all[..2], archive, Class::Removal).await;
        assert_eq!(state.planned_counts().await.unwrap(), [(ClassName::Removal, 2)].into());
        let again = hold(&state, REMOVALS).await.unwrap();
        assert_eq!((again.id, again.decision), (held.id, Decision::Open), "asked anew");
    }

    async fn plan_again(state: &State, members: &[MemberId]) -> Option<HoldSummary> {
        plan(state, members, archive, Class::Removal).await;
        hold(state, REMOVALS).await
    }

    #[tokio::test]
    async fn an_approval_given_after_a_cycle_began_outlives_it() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a"]).await;
        plan(&state, &all, archive, Class::Removal).await;
        let held = hold(&state, REMOVALS).await.unwrap();
        let cycle = state.begin_cycle(CycleKind::Incremental, later(10)).await.unwrap();
        state.approve(held.id, later(11)).await.unwrap();
        assert_eq!(state.expire_approvals(cycle, later(12)).await.unwrap(), 0);
    }

    #[tokio::test]
    async fn what_was_rejected_stays_back_without_being_held_again_and_counts_no_more() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a"]).await;
        plan(&state, &all, archive, Class::Removal).await;
        let held = hold(&state, REMOVALS).await.unwrap();
        assert_eq!(state.planned_counts().await.unwrap(), [(ClassName::Removal, 1)].into());
        state.reject(held.id.clone(), later(1)).await.unwrap();
        plan(&state, &all, archive, Class::Removal).await;
        assert_eq!(let_through(&state).await, []);
        assert!(state.planned_counts().await.unwrap().is_empty());
        assert_eq!(state.settle_holds(later(2)).await.unwrap(), 0, "still wanted");
    }

    #[tokio::test]
    async fn open_holds_of_a_class_can_be_ended_and_rejected_ones_stay() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        plan(&state, &all[..1], archive, Class::Removal).await;
        let rejected = hold(&state, REMOVALS).await.unwrap();
        state.reject(rejected.id, now()).await.unwrap();
        plan(&state, &all, archive, Class::Removal).await;
        hold(&state, REMOVALS).await.unwrap();
        assert_eq!(state.end_holds("creations", now()).await.unwrap(), 0);
        assert_eq!(state.end_holds("removals", now()).await.unwrap(), 1);
        plan(&state, &all, archive, Class::Removal).await;
        assert_eq!(let_through(&state).await, all[1..]);
    }

    #[tokio::test]
    async fn a_hold_ends_when_nothing_of_it_is_wanted_any_more() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        plan(&state, &all, archive, Class::Removal).await;
        let held = hold(&state, REMOVALS).await.unwrap();
        plan(&state, &all[1..], archive, Class::Removal).await;
        assert_eq!(state.settle_holds(now()).await.unwrap(), 0, "one is still wanted");
        plan(&state, &all, || rename("x"), Class::Free).await;
        state.ask_for_recheck(vec![all[0]]).await.unwrap();
        assert_eq!(state.settle_holds(now()).await.unwrap(), 0, "what is wanted for one is not known");
        state.forget_contact(all[0]).await.unwrap();
        assert_eq!(state.settle_holds(now()).await.unwrap(), 1);
        assert!(state.holds().await.unwrap().is_empty());
        let late = state.approve(held.id, later(1)).await.unwrap_err();
        assert!(matches!(late, StateError::HoldIsDone { .. }), "{late}");
        let unknown = state.approve("00000000".to_owned(), later(1)).await.unwrap_err();
        assert!(matches!(unknown, StateError::NoSuchHold { .. }), "{unknown}");
    }

    #[tokio::test]
    async fn what_a_hold_lists_never_changes() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a"]).await;
        plan(&state, &all, archive, Class::Removal).await;
        let held = hold(&state, REMOVALS).await.unwrap();
        let changed = state
            .write(|tx| Ok(tx.execute("UPDATE held_operations SET email = 'b@alliance.test'", [])?))
            .await;
        assert!(changed.is_err());
        plan(&state, &[], archive, Class::Removal).await;
        let lines = state.held_operations(held.id, 0, 10).await.unwrap();
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].planned.as_ref().map(|planned| planned.class), Some(Class::Removal));
    }

    #[tokio::test]
    async fn opt_outs_that_share_a_time_are_told_from_those_that_do_not() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b", "c"]).await;
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        for (member, at) in [(0, later(1)), (1, later(1)), (2, later(2))] {
            let plan = to_do(&trio(&state, all[member]).await, vec![(archive(), Class::TimedOptOut(at))]);
            state.stage(vec![plan], policy).await.unwrap();
        }
        let sharing = async |more_than| {
            let SharedTimes { planned, applied } =
                state.timed_opt_outs_sharing_a_time(more_than, now()).await.unwrap();
            (planned, applied)
        };
        assert_eq!(sharing(1).await, (2, 0));
        assert_eq!(sharing(2).await, (0, 0));

        let cycle = state.begin_cycle(CycleKind::Incremental, now()).await.unwrap();
        let applied = state.planned(Place::default(), 10).await.unwrap();
        let entries = state.open_entries(cycle, vec![applied[0].clone()], now()).await.unwrap();
        let done = crate::state::Closing::new(entries[0], all[0], crate::state::Outcome::Done);
        state.close_entries(vec![done], now()).await.unwrap();
        assert_eq!(sharing(2).await, (2, 1), "the trail counts too");
        let of_today = state.applied_in([ClassName::TimedOptOut].into(), now()).await.unwrap();
        assert_eq!(of_today, 1);
        assert_eq!(state.applied_in([ClassName::TimedOptOut].into(), later(1)).await.unwrap(), 0);

        let held = hold(&state, Selection::SharedTimes { more_than: 1, since: later(1) }).await.unwrap();
        assert_eq!(held.count, 2);
        assert_eq!(let_through(&state).await, [all[2]]);
    }

    #[tokio::test]
    async fn everything_means_what_no_other_hold_has_and_the_register_of_opt_outs_is_its_own() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        let out = to_do(&trio(&state, all[0]).await, vec![(archive(), Class::Free)]);
        let renamed = to_do(&trio(&state, all[1]).await, vec![(rename("x"), Class::Free)]);
        state.stage(vec![out, renamed], policy).await.unwrap();
        assert_eq!(hold(&state, Selection::RemoteOptOuts).await.unwrap().count, 1);
        assert_eq!(hold(&state, Selection::Everything).await.unwrap().count, 1);
        assert_eq!(state.count_planned_held().await.unwrap(), 2);
        assert_eq!(hold(&state, Selection::Everything).await, None);
    }
}
