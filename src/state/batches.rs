//! Batches: changes handed to Mailchimp to be made later, remembered until it is known what came of each.
//!
//! An entry leaves its batch in the transaction that stores its outcome, a batch ends with its last entry, and the
//! member of an entry is not written otherwise meanwhile, but for opt-outs.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, params};

use crate::model::MemberId;
use crate::reconcile::plan::{Class, Planned, Reason};
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, count, from_json, moment, number, stamp};
use crate::state::{CycleId, EntryId, StagedOperation, State, trail};

/// The number of a batch in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BatchNumber(pub i64);

/// A batch that Mailchimp is known to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Its number.
    pub number: BatchNumber,
    /// Mailchimp's own id of it.
    pub handle: String,
    /// When it was made.
    pub begun_at: Timestamp,
    /// How many of its entries have no outcome yet.
    pub left: u64,
}

/// An entry of a batch that has no outcome yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchedOperation {
    /// Its entry in the trail, whose number is the operation's id at Mailchimp.
    pub entry: EntryId,
    /// What was asked for.
    pub staged: StagedOperation,
    /// Whether the mirror still holds the contact that it held when the change was handed over.
    pub contact_is_as_it_was: bool,
}

const COLUMNS: &str = "e.entry, o.member, o.email, o.operation, o.reason, m.contact_mark IS e.mark
    FROM batch_entries AS e JOIN operations AS o ON o.id = e.entry JOIN members AS m ON m.id = e.member";

impl State {
    /// Notes operations that are about to be handed over as one batch, in the order given; they are in the file when
    /// this returns, and count as perhaps submitted until [`State::note_submitted`].
    pub async fn open_batch(
        &self,
        cycle: CycleId,
        operations: Vec<StagedOperation>,
        now: Timestamp,
    ) -> Result<(BatchNumber, Vec<EntryId>), StateError> {
        self.write(move |tx| {
            tx.prepare_cached("INSERT INTO batches (begun_at) VALUES (?1)")?.execute([stamp(now)])?;
            let batch = tx.last_insert_rowid();
            let mut entries = Vec::with_capacity(operations.len());
            for staged in &operations {
                let entry = trail::open(tx, cycle, staged, now)?;
                tx.prepare_cached(
                    "INSERT INTO batch_entries (entry, batch, member, mark)
                     SELECT ?1, ?2, id, contact_mark FROM members WHERE id = ?3",
                )?
                .execute(params![entry.0, batch, staged.member.0])?;
                entries.push(entry);
            }
            Ok((BatchNumber(batch), entries))
        })
        .await
    }

    /// Notes that Mailchimp has the batch, and under which id.
    pub async fn note_submitted(&self, batch: BatchNumber, handle: String) -> Result<(), StateError> {
        self.write(move |tx| {
            tx.execute("UPDATE batches SET handle = ?2 WHERE id = ?1", params![batch.0, handle])?;
            Ok(())
        })
        .await
    }

    /// The batches that Mailchimp has and whose outcome is not known whole, oldest first.
    pub async fn unfinished_batches(&self) -> Result<Vec<Batch>, StateError> {
        self.call(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT (SELECT COUNT(*) FROM batch_entries WHERE batch = batches.id), id, handle, begun_at
                 FROM batches WHERE handle IS NOT NULL ORDER BY id",
            )?;
            let mut rows = statement.query([])?;
            let mut batches = Vec::new();
            while let Some(row) = rows.next()? {
                batches.push(Batch {
                    left: count(row)?,
                    number: BatchNumber(row.get(1)?),
                    handle: row.get(2)?,
                    begun_at: moment(&row.get::<_, String>(3)?)?,
                });
            }
            Ok(batches)
        })
        .await
    }

    /// The batch that Mailchimp has and that holds a change of the member's whose outcome is not known.
    pub async fn batch_of(&self, member: MemberId) -> Result<Option<Batch>, StateError> {
        let batches = self.unfinished_batches().await?;
        let number: Option<i64> = self
            .call(move |connection| {
                let sql = "SELECT batch FROM batch_entries WHERE member = ?1 ORDER BY batch LIMIT 1";
                Ok(connection.prepare_cached(sql)?.query_row([member.0], |row| row.get(0)).optional()?)
            })
            .await?;
        Ok(batches.into_iter().find(|batch| Some(batch.number.0) == number))
    }

    /// Those of these entries that the batch has and that have no outcome yet, in the order given, each once.
    pub async fn batched(
        &self,
        batch: BatchNumber,
        entries: Vec<EntryId>,
    ) -> Result<Vec<BatchedOperation>, StateError> {
        self.call(move |connection| {
            let sql = format!("SELECT {COLUMNS} WHERE e.batch = ?1 AND e.entry = ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut seen = std::collections::BTreeSet::new();
            let mut found = Vec::new();
            for entry in entries.into_iter().filter(|entry| seen.insert(*entry)) {
                let mut rows = statement.query(params![batch.0, entry.0])?;
                if let Some(row) = rows.next()? {
                    found.push(batched(row)?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Up to `limit` entries of the batch that have no outcome yet, in their order.
    pub async fn left_in_batch(
        &self,
        batch: BatchNumber,
        limit: usize,
    ) -> Result<Vec<BatchedOperation>, StateError> {
        self.call(move |connection| {
            let sql = format!("SELECT {COLUMNS} WHERE e.batch = ?1 ORDER BY e.entry LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![batch.0, number(limit)])?;
            let mut left = Vec::new();
            while let Some(row) = rows.next()? {
                left.push(batched(row)?);
            }
            Ok(left)
        })
        .await
    }
}

fn batched(row: &Row<'_>) -> Result<BatchedOperation, Fault> {
    let entry = EntryId(row.get(0)?);
    let planned = Planned {
        operation: from_json(&row.get::<_, String>(3)?)?,
        reason: Reason(row.get(4)?),
        // A batch holds values only, which count against no limit.
        class: Class::Free,
    };
    let staged = StagedOperation {
        seq: entry.0,
        rank: 0,
        member: MemberId(row.get(1)?),
        email: address(&row.get::<_, String>(2)?)?,
        planned,
        held: None,
        approved: None,
    };
    Ok(BatchedOperation { entry, staged, contact_is_as_it_was: row.get(5)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::sample::{contact, later, members, now, open, rename, reopen, to_do, trio};
    use crate::state::{Closing, CycleKind, Outcome, Seen};

    /// Two members with something staged, and a batch of both.
    async fn batch_of_two(state: &State) -> (BatchNumber, Vec<EntryId>, Vec<MemberId>) {
        let all = members(state, &["a", "b"]).await;
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        let mut plans = Vec::new();
        for member in &all {
            plans.push(to_do(&trio(state, *member).await, vec![(rename("x"), Class::Free)]));
        }
        state.begin_plan().await.unwrap();
        state.stage(plans, policy).await.unwrap();
        let cycle = state.begin_cycle(CycleKind::Incremental, now()).await.unwrap();
        let staged = state.next_operations((0, 0), 10).await.unwrap();
        let (batch, entries) = state.open_batch(cycle, staged, now()).await.unwrap();
        (batch, entries, all)
    }

    #[tokio::test]
    async fn a_batch_that_was_perhaps_submitted_ends_and_its_members_are_read_by_themselves() {
        let (directory, state) = open().await;
        let (_, _, all) = batch_of_two(&state).await;
        drop(state);
        let state = reopen(&directory).await;
        assert_eq!(state.unfinished_batches().await.unwrap(), []);
        assert_eq!(state.end_open_entries(later(1)).await.unwrap(), 2);
        let asked = state.rechecks(None, 10).await.unwrap();
        assert_eq!(asked.iter().map(|recheck| recheck.member).collect::<Vec<_>>(), all);
    }

    #[tokio::test]
    async fn a_batch_that_mailchimp_has_outlives_the_process() {
        let (directory, state) = open().await;
        let (batch, entries, all) = batch_of_two(&state).await;
        state.note_submitted(batch, "h1".to_owned()).await.unwrap();
        drop(state);
        let state = reopen(&directory).await;
        assert_eq!(state.end_open_entries(later(1)).await.unwrap(), 0);
        let unfinished = state.unfinished_batches().await.unwrap();
        assert_eq!(unfinished[0], Batch { number: batch, handle: "h1".to_owned(), begun_at: now(), left: 2 });
        assert_eq!(state.batch_of(all[0]).await.unwrap().as_ref(), Some(&unfinished[0]));
        assert_eq!(state.batch_of(MemberId(99)).await.unwrap(), None);
        let asked = vec![EntryId(99), entries[1], entries[1]];
        let found = state.batched(batch, asked).await.unwrap();
        assert_eq!((found.len(), found[0].entry, found[0].staged.member), (1, entries[1], all[1]));
        assert_eq!(state.batched(BatchNumber(7), entries).await.unwrap(), []);
    }

    #[tokio::test]
    async fn an_outcome_ends_an_entry_and_the_last_one_the_batch() {
        let (_directory, state) = open().await;
        let (batch, entries, all) = batch_of_two(&state).await;
        state.note_submitted(batch, "h1".to_owned()).await.unwrap();
        state
            .close_entries(vec![Closing::new(entries[0], all[0], Outcome::Skipped)], later(1))
            .await
            .unwrap();
        let left = state.left_in_batch(batch, 10).await.unwrap();
        assert_eq!(left.iter().map(|left| left.entry).collect::<Vec<_>>(), entries[1..]);
        state.erase_member(all[1], vec![], "erased".to_owned(), later(2)).await.unwrap();
        assert_eq!(state.unfinished_batches().await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_contact_seen_meanwhile_is_told_from_one_that_is_as_it_was() {
        let (_directory, state) = open().await;
        let (batch, _, _) = batch_of_two(&state).await;
        let mut seen = contact("c-b", "b");
        seen.last_changed = Some(later(5));
        state.put_contacts(vec![contact("c-a", "a"), seen], Seen::Walk).await.unwrap();
        let left = state.left_in_batch(batch, 10).await.unwrap();
        assert_eq!(left.iter().map(|left| left.contact_is_as_it_was).collect::<Vec<_>>(), [true, false]);
    }

    #[tokio::test]
    async fn a_member_in_a_batch_is_not_written_otherwise_but_for_opt_outs() {
        let (_directory, state) = open().await;
        let (_, _, all) = batch_of_two(&state).await;
        assert_eq!(state.next_operations((0, 0), 10).await.unwrap(), []);
        let leave: crate::reconcile::plan::Operation = serde_json::from_value(serde_json::json!({
            "operation": "remote_status", "decided": "unsubscribed",
            "standing": crate::reconcile::trio::Standing::default()
        }))
        .unwrap();
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        let twice = vec![(leave, Class::Free), (rename("y"), Class::Free)];
        let plan = to_do(&trio(&state, all[0]).await, twice);
        state.begin_plan().await.unwrap();
        state.stage(vec![plan], policy).await.unwrap();
        let next = state.next_operations((0, 0), 10).await.unwrap();
        assert_eq!(next.iter().map(|staged| staged.rank).collect::<Vec<_>>(), [1]);
    }
}
