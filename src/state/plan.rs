//! Staging the plan: what agrees is settled at once, what is to be written waits in a temporary table.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::model::{EmailAddress, MemberId};
use crate::reconcile::plan::{Class, MemberPlan, Operation, Planned};
use crate::state::error::{Fault, StateError};
use crate::state::joining::drop_if_empty;
use crate::state::text::{digest, json, stamp};
use crate::state::{ClassName, Decision, PolicyNumber, State, base, kind, rank};

impl State {
    /// Forgets the staged plan, if there is one.
    pub async fn begin_plan(&self) -> Result<(), StateError> {
        self.write(|tx| {
            tx.prepare_cached("DELETE FROM temp.plan")?.execute([])?;
            tx.prepare_cached("DELETE FROM temp.conflicts")?.execute([])?;
            Ok(())
        })
        .await
    }

    /// The hold that lists this operation, with what was decided about it; `None` where none does, or only one that
    /// is done.
    pub async fn holding_of(
        &self,
        email: EmailAddress,
        operation: Operation,
    ) -> Result<Option<(String, Decision)>, StateError> {
        self.call(move |connection| {
            let found = decided(connection, &fingerprint(&email, &operation)?)?;
            Ok(found.and_then(|(id, word)| Some((id, Decision::parse(&word)?))))
        })
        .await
    }

    /// Stages what is to be done about some members, and stores what needs no write; one transaction.
    ///
    /// A member with nothing to do and nothing to wait for is settled under `policy`. What a person has yet to
    /// decide on, or rejected, is held from the beginning; what they approved is marked so. A member that is no
    /// longer there is left out.
    pub async fn stage(&self, plans: Vec<MemberPlan>, policy: PolicyNumber) -> Result<(), StateError> {
        self.write(move |tx| plans.iter().try_for_each(|plan| stage(tx, plan, policy))).await
    }
}

fn stage(tx: &Transaction<'_>, plan: &MemberPlan, policy: PolicyNumber) -> Result<(), Fault> {
    let there: bool = tx
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM members WHERE id = ?1)")?
        .query_row([plan.member.0], |row| row.get(0))?;
    if !there {
        return Ok(());
    }
    if let Some(tombstone) = plan.tombstone.as_ref().filter(|_| plan.operations.is_empty()) {
        if let Some(email) = &plan.email {
            base::lay(tx, &email.hash(), tombstone)?;
        }
        tx.prepare_cached("DELETE FROM members WHERE id = ?1")?.execute([plan.member.0])?;
        return Ok(());
    }
    base::store(tx, plan.member, plan.base.as_ref())?;
    let done = plan.operations.is_empty() && plan.waits.is_none();
    let settled = if done { policy.0 } else { 0 };
    tx.prepare_cached(
        "UPDATE members SET settled = ?2, waits = ?3 WHERE id = ?1 AND (settled <> ?2 OR waits IS NOT ?3)",
    )?
    .execute(params![plan.member.0, settled, plan.waits])?;
    if done {
        tx.prepare_cached("DELETE FROM parked WHERE member = ?1 AND active = 0")?.execute([plan.member.0])?;
        drop_if_empty(tx, plan.member)?;
    }
    let Some(email) = &plan.email else { return Ok(()) };
    for conflict in &plan.conflicts {
        tx.prepare_cached(
            "INSERT INTO temp.conflicts (member, email, name, conflict) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![plan.member.0, email.as_str(), email.key().as_str(), json(conflict)?])?;
    }
    let ranks = rank::ranks(plan.operations.iter().map(|planned| &planned.operation));
    plan.operations
        .iter()
        .zip(ranks)
        .try_for_each(|(planned, rank)| stage_operation(tx, plan.member, email, planned, rank))
}

fn stage_operation(
    tx: &Transaction<'_>,
    member: MemberId,
    email: &EmailAddress,
    planned: &Planned,
    rank: i64,
) -> Result<(), Fault> {
    let fingerprint = fingerprint(email, &planned.operation)?;
    let (approved, held) = match decided(tx, &fingerprint)? {
        Some((id, word)) if word == "approved" => (Some(id), None),
        Some((id, _)) => (None, Some(id)),
        None => (None, None),
    };
    let (class, class_at) = class_words(planned.class);
    tx.prepare_cached(
        "INSERT INTO temp.plan (rank, member, email, name, kind, class, class_at, fingerprint, planned, approved, held)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
    )?
    .execute(params![
        rank,
        member.0,
        email.as_str(),
        email.key().as_str(),
        kind(&planned.operation),
        class,
        class_at,
        fingerprint,
        json(planned)?,
        approved,
        held
    ])?;
    Ok(())
}

/// The class and its time as they are stored.
pub(crate) fn class_words(class: Class) -> (&'static str, Option<String>) {
    let at = match class {
        Class::TimedOptOut(at) => Some(stamp(at)),
        Class::Free
        | Class::Removal
        | Class::Absence
        | Class::Creation
        | Class::Invitation
        | Class::UnprovenInvitation => None,
    };
    (ClassName::from(class).as_str(), at)
}

/// The hold that lists an operation of this content, and what was decided: a no before no answer before a yes.
fn decided(connection: &Connection, fingerprint: &str) -> Result<Option<(String, String)>, Fault> {
    let found = connection
        .prepare_cached(
            "SELECT h.id, h.decision FROM held_operations AS o JOIN holds AS h ON h.id = o.hold
             WHERE o.fingerprint = ?1 AND h.decision <> 'done'
             ORDER BY h.decision <> 'rejected', h.decision <> 'open' LIMIT 1",
        )?
        .query_row([fingerprint], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// What is written to whom: the same in every cycle, whatever number the member has and whenever it was observed.
///
/// Left out are the base that follows and the time that goes with a status: they tell when it was decided, and an
/// approval must still find what it approved.
fn fingerprint(email: &EmailAddress, operation: &Operation) -> Result<String, Fault> {
    let mut content = serde_json::to_value(operation)?;
    if let Value::Object(content) = &mut content {
        content.remove("standing");
        content.remove("changed_at");
    }
    Ok(digest([email.key().as_str(), json(&content)?.as_str()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContactId, RegistrationId};
    use crate::reconcile::plan::{Conflict, Tombstone};
    use crate::reconcile::trio::Base;
    use crate::state::sample::{
        agreed, archive, contact, email, later, members, now, open, rename, row, to_do, trio,
    };
    use crate::state::{MemberName, Place, Seen};

    async fn policy(state: &State, fingerprint: &str) -> PolicyNumber {
        state.policy_number(fingerprint.to_owned()).await.unwrap()
    }

    async fn unsettled(state: &State, policy: PolicyNumber) -> Vec<MemberId> {
        let trios = state.unsettled(policy, None, 100, now()).await.unwrap();
        trios.iter().map(|trio| trio.id).collect()
    }

    async fn staged(state: &State, policy: PolicyNumber) -> Vec<MemberId> {
        let members = unsettled(state, policy).await;
        let trios = state.trios(members.clone(), now()).await.unwrap();
        state.stage(trios.iter().map(agreed).collect(), policy).await.unwrap();
        members
    }

    #[tokio::test]
    async fn a_member_with_nothing_to_do_is_settled_until_its_mirror_changes() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        let policy = policy(&state, "p").await;
        assert_eq!(staged(&state, policy).await, all);
        assert_eq!(unsettled(&state, policy).await, []);

        let counts = state.put_contacts(vec![contact("c-a", "a")], Seen::Walk).await.unwrap();
        assert_eq!((counts.unchanged, counts.changed), (1, 0));
        let counts = state.put_readings(vec![row("r-a", "a")], Vec::new()).await.unwrap();
        assert_eq!((counts.unchanged, counts.changed), (1, 0));
        assert_eq!(unsettled(&state, policy).await, [], "unchanged");

        state.put_contacts(vec![contact("c-b", "B")], Seen::Walk).await.unwrap();
        assert_eq!(unsettled(&state, policy).await, [all[1]], "another spelling is a change");
    }

    #[tokio::test]
    async fn another_policy_unsettles_everybody_and_the_former_one_does_again() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b", "c"]).await;
        let (first, second) = (policy(&state, "first").await, policy(&state, "second").await);
        assert_eq!(first, policy(&state, "first").await);
        staged(&state, first).await;
        assert_eq!(staged(&state, second).await, all);
        assert_eq!(unsettled(&state, second).await, []);
        assert_eq!(unsettled(&state, first).await, all);
        let page = state.unsettled(first, Some(all[0]), 1, now()).await.unwrap();
        assert_eq!(page.iter().map(|trio| trio.id).collect::<Vec<_>>(), [all[1]]);
    }

    #[tokio::test]
    async fn a_member_that_waits_or_has_something_to_do_stays_unsettled() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        let policy = policy(&state, "p").await;
        let waiting =
            MemberPlan { waits: Some("for a person".to_owned()), ..agreed(&trio(&state, all[0]).await) };
        let busy = to_do(&trio(&state, all[1]).await, vec![(archive(), Class::Removal)]);
        state.stage(vec![waiting, busy], policy).await.unwrap();
        assert_eq!(unsettled(&state, policy).await, all);
        assert!(trio(&state, all[0]).await.base.is_some(), "what agrees is kept all the same");
    }

    #[tokio::test]
    async fn the_plan_is_read_in_its_order_and_made_by_rank() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        let policy = policy(&state, "p").await;
        let plans = vec![
            to_do(&trio(&state, all[0]).await, vec![(rename("x"), Class::Free)]),
            to_do(&trio(&state, all[1]).await, vec![(archive(), Class::Removal)]),
        ];
        state.begin_plan().await.unwrap();
        state.stage(plans, policy).await.unwrap();
        let planned = state.planned(Place::default(), 10).await.unwrap();
        assert_eq!(planned.iter().map(|staged| staged.member).collect::<Vec<_>>(), all);
        let first = state.next_operations((0, 0), 1).await.unwrap().remove(0);
        let second = state.next_operations((first.rank, first.seq), 1).await.unwrap().remove(0);
        assert_eq!((first.member, second.member), (all[1], all[0]));
        assert_eq!(state.next_operations((second.rank, second.seq), 1).await.unwrap(), []);
        state.begin_plan().await.unwrap();
        assert_eq!(state.count_planned().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn the_plan_and_its_conflicts_are_shown_by_address_whoever_came_first() {
        let (_directory, state) = open().await;
        let all = members(&state, &["b", "A"]).await;
        let policy = policy(&state, "p").await;
        let mut plans = Vec::new();
        for member in &all {
            let twice = vec![(rename("x"), Class::Free), (archive(), Class::Removal)];
            let conflicts = vec![Conflict::AddressTakenLocally, Conflict::AddressTakenRemotely];
            plans.push(MemberPlan { conflicts, ..to_do(&trio(&state, *member).await, twice) });
        }
        state.begin_plan().await.unwrap();
        state.stage(plans, policy).await.unwrap();
        let (mut after, mut shown) = (Place::default(), Vec::new());
        while let Some(staged) = state.planned(after, 1).await.unwrap().pop() {
            after = staged.place();
            shown.push((staged.member, staged.planned.class));
        }
        let of = |member| [(member, Class::Free), (member, Class::Removal)];
        assert_eq!(shown, [of(all[1]), of(all[0])].concat());
        let (mut after, mut shown) = (Place::default(), Vec::new());
        while let Some(found) = state.conflicts(after, 1).await.unwrap().pop() {
            after = found.place;
            shown.push((found.email, found.conflict.kind()));
        }
        let of = |name| ["address_taken_locally", "address_taken_remotely"].map(|kind| (email(name), kind));
        assert_eq!(shown, [of("A"), of("b")].concat());
        state.begin_plan().await.unwrap();
        assert_eq!(state.conflicts(Place::default(), 1).await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_address_of_another_member_is_taken() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        let policy = policy(&state, "p").await;
        staged(&state, policy).await;
        let taken = async |member| {
            let trio = trio(&state, member).await;
            (trio.taken_remotely, trio.taken_locally)
        };
        assert_eq!(taken(all[0]).await, (false, false));
        state.put_readings(vec![row("r-a", "b")], Vec::new()).await.unwrap();
        assert_eq!(taken(all[0]).await, (true, false), "the row took the address of another contact");
        state.put_readings(vec![row("r-a", "a")], Vec::new()).await.unwrap();
        state.put_contacts(vec![contact("c-b", "e"), contact("c-a", "b")], Seen::Walk).await.unwrap();
        assert_eq!(taken(all[0]).await, (false, true), "the contact took the address of another row");
        assert_eq!(taken(all[1]).await, (true, false));
    }

    #[tokio::test]
    async fn a_tombstone_remembers_by_hash_that_somebody_left() {
        for opted_out in [true, false] {
            let (_directory, state) = open().await;
            let all = members(&state, &["a"]).await;
            let policy = policy(&state, "p").await;
            staged(&state, policy).await;
            let tombstone = Some(Tombstone { at: now(), opted_out });
            let gone = MemberPlan { tombstone, base: None, ..agreed(&trio(&state, all[0]).await) };
            state.stage(vec![gone], policy).await.unwrap();
            assert!(state.find_members(MemberName::Address(email("a"))).await.unwrap().is_empty());
            let laid = state.tombstone(email("A").hash()).await.unwrap();
            assert_eq!(laid, Some(Tombstone { at: now(), opted_out }));

            state.put_readings(vec![row("9", "a")], Vec::new()).await.unwrap();
            let [again] = unsettled(&state, policy).await[..] else { panic!("one member") };
            let remembered = trio(&state, again).await.tombstone;
            assert_eq!(remembered, Some(Tombstone { at: now(), opted_out }), "who registers again");

            let noted = Base { rows: [(RegistrationId::new("9"), email("a"))].into(), ..Base::default() };
            state.note_base(again, Some(noted)).await.unwrap();
            let remembered = trio(&state, again).await.tombstone;
            assert_eq!(remembered, Some(Tombstone { at: now(), opted_out }), "with a note in the row");

            state.put_contacts(vec![contact("c9", "a")], Seen::Walk).await.unwrap();
            let remembered = trio(&state, again).await.tombstone;
            assert_eq!(
                remembered,
                Some(Tombstone { at: now(), opted_out }),
                "whatever Mailchimp shows again"
            );
            staged(&state, policy).await;
            assert_eq!(state.tombstone(email("a").hash()).await.unwrap(), None, "agreed upon: not gone");
        }
    }

    #[tokio::test]
    async fn a_plan_for_somebody_who_is_no_longer_there_is_left_out() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a"]).await;
        let policy = policy(&state, "p").await;
        let plan = to_do(&trio(&state, all[0]).await, vec![(archive(), Class::Removal)]);
        state.erase_member(all[0], vec![], "erased".to_owned(), later(1)).await.unwrap();
        state.stage(vec![plan], policy).await.unwrap();
        assert_eq!(state.count_planned().await.unwrap(), 0);
        assert_eq!(state.member_of_contact(ContactId::new("c-a")).await.unwrap(), None);
    }

    #[test]
    fn a_fingerprint_tells_content_and_not_when_it_was_decided() {
        let standing = |opted_out_at| crate::reconcile::trio::Standing { opted_out_at, ..Default::default() };
        let archive = |at| Operation::RemoteArchive { standing: standing(at) };
        let of = |name: &str, operation: Operation| fingerprint(&email(name), &operation).unwrap();
        assert_eq!(of("a", archive(None)), of("A", archive(Some(now()))));
        assert_ne!(of("a", archive(None)), of("b", archive(None)));
        assert_ne!(of("a", rename("x")), of("a", rename("y")));
    }

    #[tokio::test]
    async fn an_operation_knows_the_hold_that_lists_it_and_what_was_decided() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a"]).await;
        let number = policy(&state, "one").await;
        let plan = to_do(&trio(&state, all[0]).await, vec![(archive(), Class::Removal)]);
        state.begin_plan().await.unwrap();
        state.stage(vec![plan], number).await.unwrap();
        assert_eq!(state.holding_of(email("a"), archive()).await.unwrap(), None);
        let everything = vec![crate::state::Selection::Everything];
        let held = state.hold("removals", everything, "a test".to_owned(), now()).await.unwrap().unwrap();
        let of_a = state.holding_of(email("a"), archive()).await.unwrap();
        assert_eq!(of_a, Some((held.id.clone(), Decision::Open)));
        assert_eq!(state.holding_of(email("b"), archive()).await.unwrap(), None);
        state.reject(held.id.clone(), later(1)).await.unwrap();
        let of_a = state.holding_of(email("a"), archive()).await.unwrap();
        assert_eq!(of_a, Some((held.id, Decision::Rejected)));
    }

    #[tokio::test]
    async fn what_members_wait_for_is_counted_by_its_words() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b", "c"]).await;
        let number = policy(&state, "one").await;
        for (member, waits) in all.iter().zip([Some("a confirmation"), Some("a confirmation"), None]) {
            let plan = agreed(&trio(&state, *member).await);
            let plan = MemberPlan { waits: waits.map(str::to_owned), ..plan };
            state.stage(vec![plan], number).await.unwrap();
        }
        let waiting = state.waiting().await.unwrap();
        assert_eq!(waiting.into_iter().collect::<Vec<_>>(), [("a confirmation".to_owned(), 2)]);
        let page = state.members(Some(all[0]), 10, now()).await.unwrap();
        assert_eq!(page.iter().map(|trio| trio.id).collect::<Vec<_>>(), all[1..]);
    }
}
