//! Contacts that a whole walk did not show, held before even one of them is read by itself: a wrong audience
//! shows none of them.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::MemberId;
use crate::state::decisions;
use crate::state::error::{Fault, StateError};
use crate::state::holds::{digest_of, name, reopen};
use crate::state::text::stamp;
use crate::state::{HoldSummary, State};

/// What the guard holds them as.
const CLASS: &str = "missing";

/// Unseen contacts that no hold of this kind lists yet, or only one that is done.
const UNLISTED: &str = "FROM members AS m
    WHERE m.contact IS NOT NULL AND m.id NOT IN (SELECT member FROM temp.seen_contacts)
      AND NOT EXISTS (SELECT 1 FROM held_operations AS o JOIN holds AS h ON h.id = o.hold
        WHERE o.fingerprint = 'missing:' || m.contact_id AND h.decision <> 'done')";

impl State {
    /// Holds the contacts that the finished walk did not show and that no hold lists yet; `None` where there are none.
    ///
    /// [`State::unseen_contacts`] leaves them out until a person approves the hold.
    pub async fn hold_missing(
        &self,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<HoldSummary>, StateError> {
        self.write(move |tx| {
            let sql = format!("SELECT m.contact_id {UNLISTED} ORDER BY m.contact_id");
            let Some(digest) = digest_of(tx, CLASS, &sql)? else { return Ok(None) };
            let id = name(tx, &digest)?;
            take(tx, &id, &digest, &reason, now)?;
            decisions::summary(tx, &id).map(Some)
        })
        .await
    }

    /// The hold that keeps this member's missing contact from being looked into; `None` where none does.
    pub async fn missing_hold_of(&self, member: MemberId) -> Result<Option<String>, StateError> {
        self.call(move |connection| {
            let found = connection
                .prepare_cached(
                    "SELECT h.id FROM members AS m
                     JOIN held_operations AS o ON o.fingerprint = 'missing:' || m.contact_id
                     JOIN holds AS h ON h.id = o.hold
                     WHERE m.id = ?1 AND m.contact IS NOT NULL AND h.decision IN ('open', 'rejected') LIMIT 1",
                )?
                .query_row([member.0], |row| row.get(0))
                .optional()?;
            Ok(found)
        })
        .await
    }

    /// Ends holds of missing contacts of which the finished walk, and what was read since, misses none; says how many.
    pub async fn settle_missing_holds(&self, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let ended = tx
                .prepare_cached(
                    "UPDATE holds SET decision = 'done', decided_at = ?1
                     WHERE decision <> 'done' AND class = 'missing' AND NOT EXISTS (
                        SELECT 1 FROM held_operations AS o JOIN members AS m ON m.id = o.member
                        WHERE o.hold = holds.id AND m.contact IS NOT NULL
                          AND o.fingerprint = 'missing:' || m.contact_id
                          AND m.id NOT IN (SELECT member FROM temp.seen_contacts))",
                )?
                .execute([stamp(now)])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }
}

/// Has the missing contacts that a hold lists read by themselves in the next cycle, whatever it reads otherwise.
pub(crate) fn look_into(tx: &Transaction<'_>, hold: &str) -> Result<(), Fault> {
    tx.prepare_cached(
        "UPDATE members SET recheck = 1, settled = 0
         WHERE contact IS NOT NULL AND 'missing:' || contact_id IN (
            SELECT fingerprint FROM held_operations WHERE hold = ?1 AND planned IS NULL)
           AND id IN (SELECT member FROM held_operations WHERE hold = ?1)",
    )?
    .execute([hold])?;
    Ok(())
}

fn take(tx: &Transaction<'_>, id: &str, digest: &str, reason: &str, now: Timestamp) -> Result<(), Fault> {
    let new = tx.execute(
        &format!(
            "INSERT OR IGNORE INTO holds (id, class, digest, reason, since, count, decision)
             SELECT ?1, '{CLASS}', ?2, ?3, ?4, COUNT(*), 'open' {UNLISTED}"
        ),
        params![id, digest, reason, stamp(now)],
    )?;
    if new == 0 {
        return reopen(tx, id, reason, now);
    }
    tx.execute(
        &format!(
            "INSERT INTO held_operations (hold, seq, member, email, fingerprint)
             SELECT ?1, row_number() OVER (ORDER BY m.id), m.id, m.contact_address, 'missing:' || m.contact_id
             {}",
            // The hold is there by now, empty, so that nothing is listed by it.
            UNLISTED
        ),
        [id],
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::MemberId;
    use crate::state::sample::{contact, later, members, now, open};
    use crate::state::{Decision, Seen, Walk};

    async fn unseen(state: &State) -> Vec<MemberId> {
        let page = state.unseen_contacts(None, 10).await.unwrap();
        page.into_iter().map(|(member, _)| member).collect()
    }

    async fn walk(state: &State, shown: &[&str]) {
        state.begin_walk(Walk::Remote).await.unwrap();
        let contacts = shown.iter().map(|name| contact(&format!("c-{name}"), name)).collect();
        state.put_contacts(contacts, Seen::Walk).await.unwrap();
    }

    #[tokio::test]
    async fn missing_contacts_are_not_read_before_a_person_approves() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b", "c"]).await;
        walk(&state, &["a"]).await;
        assert_eq!(unseen(&state).await, all[1..]);
        let held = state.hold_missing("too many".to_owned(), now()).await.unwrap().unwrap();
        assert_eq!((held.count, held.decision), (2, Decision::Open));
        assert_eq!(unseen(&state).await, []);
        assert_eq!(state.count_unseen_contacts().await.unwrap(), 2, "they still count");
        assert_eq!(state.hold_missing("too many".to_owned(), now()).await.unwrap(), None);

        walk(&state, &["b"]).await;
        let new = state.hold_missing("too many".to_owned(), now()).await.unwrap().unwrap();
        assert_eq!(new.count, 1, "what is missing later makes a new hold");

        assert_eq!(state.rechecks(None, 10).await.unwrap(), []);
        state.approve(held.id.clone(), later(1)).await.unwrap();
        let read: Vec<_> = state.rechecks(None, 10).await.unwrap().iter().map(|one| one.member).collect();
        assert_eq!(read, all[1..], "in the next cycle, not only in the next that reads everything");
        assert_eq!(state.count_unseen_contacts().await.unwrap(), 1);
        assert_eq!(unseen(&state).await, all[2..], "what was approved is read");
        assert_eq!(state.settle_missing_holds(later(2)).await.unwrap(), 0);
        let lines = state.held_operations(held.id, 0, 10).await.unwrap();
        assert_eq!(lines[0].planned, None);

        walk(&state, &["a", "b", "c"]).await;
        assert_eq!(state.settle_missing_holds(later(3)).await.unwrap(), 2);
        walk(&state, &["a"]).await;
        let again = state.hold_missing("too many".to_owned(), now()).await.unwrap().unwrap();
        assert_eq!((again.decision, again.count), (Decision::Open, 2), "asked anew");
        assert_eq!(unseen(&state).await, []);
    }

    #[tokio::test]
    async fn a_contact_read_by_itself_is_not_missing() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        walk(&state, &[]).await;
        state.put_contacts(vec![contact("c-a", "a")], Seen::Single).await.unwrap();
        state.forget_contact(all[1]).await.unwrap();
        assert_eq!(unseen(&state).await, []);
        assert_eq!(state.count_unseen_contacts().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn a_member_knows_the_hold_that_keeps_its_missing_contact() {
        let (_directory, state) = open().await;
        let all = members(&state, &["a", "b"]).await;
        walk(&state, &["a"]).await;
        let held = state.hold_missing("too many".to_owned(), now()).await.unwrap().unwrap();
        assert_eq!(state.missing_hold_of(all[0]).await.unwrap(), None);
        assert_eq!(state.missing_hold_of(all[1]).await.unwrap(), Some(held.id.clone()));
        state.approve(held.id, later(1)).await.unwrap();
        assert_eq!(state.missing_hold_of(all[1]).await.unwrap(), None);
    }
}
