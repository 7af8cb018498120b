//! Rows that cannot be synchronized as they stand, and whether they bear a note that says so.

use rusqlite::{Row, Transaction, params};

use crate::model::{EmailAddress, MemberId, Registration, RegistrationId, UnusableRegistration};
use crate::state::error::{Fault, StateError};
use crate::state::joining::{PutCounts, member_for, unsettle, unsettle_and_unpark};
use crate::state::text::{count, from_json_or_none, json, number};
use crate::state::{State, walk};

/// A row that cannot be synchronized as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnusableRow {
    /// The row.
    pub id: RegistrationId,
    /// The member it belongs to; `None` where it never was usable.
    pub member: Option<MemberId>,
    /// What is wrong, as a sentence for staff.
    pub problem: String,
    /// The note that the row bears, as last observed or written; `None` where none can be written.
    pub noted: Option<String>,
}

impl State {
    /// Unusable rows whose note does not say what is wrong, at most `limit`.
    ///
    /// After writing the note, say so with [`State::note_written`]: else the same rows come again.
    pub async fn unusable_without_note(&self, limit: usize) -> Result<Vec<UnusableRow>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, member, problem, noted FROM registrations
                 WHERE problem IS NOT NULL AND noted IS NOT NULL AND noted <> problem ORDER BY seq LIMIT ?1",
            )?;
            let rows = statement.query_map([number(limit)], read)?.collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    /// Up to `limit` unusable rows, after `after`, in the order in which they were first put.
    pub async fn unusable(
        &self,
        after: Option<RegistrationId>,
        limit: usize,
    ) -> Result<Vec<UnusableRow>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, member, problem, noted FROM registrations
                 WHERE problem IS NOT NULL
                   AND seq > IFNULL((SELECT seq FROM registrations WHERE id = ?1), 0)
                 ORDER BY seq LIMIT ?2",
            )?;
            let after = after.as_ref().map(RegistrationId::as_str);
            let rows = statement.query_map((after, number(limit)), read)?.collect::<Result<_, _>>()?;
            Ok(rows)
        })
        .await
    }

    /// The row bears this note now.
    pub async fn note_written(&self, row: RegistrationId, note: String) -> Result<(), StateError> {
        self.write(move |tx| {
            tx.prepare_cached("UPDATE registrations SET noted = ?2 WHERE id = ?1 AND problem IS NOT NULL")?
                .execute(params![row.as_str(), note])?;
            Ok(())
        })
        .await
    }

    /// How many rows cannot be synchronized as they stand.
    pub async fn count_unusable(&self) -> Result<u64, StateError> {
        self.call(|connection| {
            let sql = "SELECT COUNT(*) FROM registrations WHERE problem IS NOT NULL";
            Ok(connection.query_row(sql, [], count)?)
        })
        .await
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<UnusableRow> {
    Ok(UnusableRow {
        id: RegistrationId::new(row.get::<_, String>(0)?),
        member: row.get::<_, Option<i64>>(1)?.map(MemberId),
        problem: row.get(2)?,
        noted: row.get(3)?,
    })
}

/// A row as the mirror holds it.
struct Known {
    seq: i64,
    member: Option<i64>,
    address: Option<String>,
    problem: Option<String>,
    noted: Option<String>,
    last: Option<Registration>,
}

/// Notes that a row is unusable; what it last said stays, so that nobody is taken for gone, but an opt-out is heard.
///
/// One that never was usable belongs to nobody, until it is or somebody leaves by it.
pub(crate) fn put(
    tx: &Transaction<'_>,
    row: &UnusableRegistration,
    counts: &mut PutCounts,
) -> Result<(), Fault> {
    let known = known(tx, row)?;
    let address = match &known {
        Some(Known { last: Some(_), address, .. }) => address.clone(),
        Some(_) | None => row.email.as_ref().map(EmailAddress::key),
    };
    let heard = row.heard_after(known.as_ref().and_then(|known| known.last.clone()));
    let same = known.as_ref().is_some_and(|known| {
        known.problem.as_ref() == Some(&row.problem)
            && known.noted == row.sync_note
            && known.address == address
    });
    let (seq, member) = match known {
        None => {
            counts.new += 1;
            tx.prepare_cached(
                "INSERT INTO registrations (id, address, problem, noted) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![row.id.as_str(), address, row.problem, row.sync_note])?;
            (tx.last_insert_rowid(), None)
        }
        Some(Known { seq, .. }) if same && heard.is_none() => {
            counts.unchanged += 1;
            return walk::mark_row(tx, seq);
        }
        Some(Known { seq, member, .. }) => {
            counts.changed += 1;
            tx.prepare_cached(
                "UPDATE registrations SET address = ?2, problem = ?3, noted = ?4, mark = NULL WHERE seq = ?1",
            )?
            .execute(params![seq, address, row.problem, row.sync_note])?;
            (seq, member.map(MemberId))
        }
    };
    walk::mark_row(tx, seq)?;
    match (heard, member) {
        (Some(heard), member) => hear(tx, seq, member, &heard),
        (None, Some(member)) => unsettle(tx, member),
        (None, None) => Ok(()),
    }
}

fn known(tx: &Transaction<'_>, row: &UnusableRegistration) -> Result<Option<Known>, Fault> {
    let mut statement = tx.prepare_cached(
        "SELECT seq, member, address, problem, noted, payload FROM registrations WHERE id = ?1",
    )?;
    let mut found = statement.query([row.id.as_str()])?;
    let Some(found) = found.next()? else { return Ok(None) };
    Ok(Some(Known {
        seq: found.get(0)?,
        member: found.get(1)?,
        address: found.get(2)?,
        problem: found.get(3)?,
        noted: found.get(4)?,
        last: from_json_or_none(found.get(5)?)?,
    }))
}

/// Takes the row to say that somebody leaves; of one that never was usable, whoever has its address.
fn hear(tx: &Transaction<'_>, seq: i64, member: Option<MemberId>, heard: &Registration) -> Result<(), Fault> {
    let member = match member {
        Some(member) => member,
        None => member_for(tx, &heard.email.key(), None)?,
    };
    tx.prepare_cached("UPDATE registrations SET member = ?2, payload = ?3 WHERE seq = ?1")?
        .execute(params![seq, member.0, json(heard)?])?;
    unsettle_and_unpark(tx, member)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SubscriptionStatus;
    use crate::state::sample::{agreed, now, open, row, trio};
    use crate::state::{Seen, Walk};

    fn unusable(id: &str, problem: &str, note: Option<&str>) -> UnusableRegistration {
        UnusableRegistration {
            id: RegistrationId::new(id),
            problem: problem.to_owned(),
            sync_note: note.map(str::to_owned),
            email: None,
            status: None,
            status_changed_at: None,
        }
    }

    #[tokio::test]
    async fn a_row_that_becomes_unusable_keeps_what_it_last_said() {
        let (_directory, state) = open().await;
        state.put_readings(vec![row("1", "a")], Vec::new()).await.unwrap();
        let counts =
            state.put_readings(Vec::new(), vec![unusable("1", "no address", Some(""))]).await.unwrap();
        assert_eq!(counts.changed, 1);
        assert_eq!(trio(&state, MemberId(1)).await.local, [row("1", "a")]);
        let same = state.put_readings(Vec::new(), vec![unusable("1", "no address", Some(""))]).await.unwrap();
        assert_eq!(same.unchanged, 1);
        let back = state.put_readings(vec![row("1", "a")], Vec::new()).await.unwrap();
        assert_eq!((back.changed, state.counts().await.unwrap().unusable), (1, 0));
    }

    #[tokio::test]
    async fn a_row_that_never_was_usable_belongs_to_nobody_until_it_is() {
        let (_directory, state) = open().await;
        state.put_readings(Vec::new(), vec![unusable("1", "no address", None)]).await.unwrap();
        let id = RegistrationId::new("1");
        assert_eq!(state.member_of_registration(id.clone()).await.unwrap(), None);
        assert!(state.trio(MemberId(1), now()).await.unwrap().is_none());
        state.put_readings(vec![row("1", "a"), row("2", "a")], Vec::new()).await.unwrap();
        assert_eq!(state.member_of_registration(id).await.unwrap(), Some(MemberId(1)));
        assert_eq!(trio(&state, MemberId(1)).await.local.len(), 2);
    }

    #[tokio::test]
    async fn rows_whose_note_does_not_say_what_is_wrong_are_found_once() {
        let (_directory, state) = open().await;
        let rows = vec![
            unusable("1", "no address", Some("")),
            unusable("2", "no address", Some("no address")),
            unusable("3", "no address", None),
        ];
        state.put_readings(Vec::new(), rows).await.unwrap();
        let found = state.unusable_without_note(10).await.unwrap();
        assert_eq!(found.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["1"]);
        state.note_written(RegistrationId::new("1"), "no address".to_owned()).await.unwrap();
        assert_eq!(state.unusable_without_note(10).await.unwrap(), []);
        assert_eq!(state.count_unusable().await.unwrap(), 3);
    }

    #[tokio::test]
    async fn rows_that_a_walk_did_not_show_are_found_page_by_page() {
        let (_directory, state) = open().await;
        let rows = ["10", "9", "8"].map(|id| row(id, id)).to_vec();
        state.put_readings(rows, vec![unusable("7", "no address", None)]).await.unwrap();
        state.begin_walk(Walk::Local).await.unwrap();
        state.put_readings(vec![row("9", "9")], Vec::new()).await.unwrap();
        assert_eq!(state.count_unseen_registrations().await.unwrap(), 3);
        let first = state.unseen_registrations(None, 2).await.unwrap();
        assert_eq!(first, ["10", "8"].map(RegistrationId::new));
        let second = state.unseen_registrations(first.last().cloned(), 2).await.unwrap();
        assert_eq!(second, ["7"].map(RegistrationId::new));
        assert_eq!(state.remove_registrations(first).await.unwrap(), 2);
        state.put_readings(Vec::new(), vec![unusable("7", "no address", None)]).await.unwrap();
        assert_eq!(state.count_unseen_registrations().await.unwrap(), 0);
    }

    #[tokio::test]
    async fn counts_tell_who_is_where() {
        let (_directory, state) = open().await;
        let mut archived = crate::state::sample::contact("c2", "b");
        archived.status = SubscriptionStatus::Archived;
        let contacts = vec![crate::state::sample::contact("c1", "a"), archived];
        state.put_contacts(contacts, Seen::Walk).await.unwrap();
        state.put_readings(vec![row("1", "a"), row("2", "a")], Vec::new()).await.unwrap();
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        state.stage(vec![agreed(&trio(&state, MemberId(1)).await)], policy).await.unwrap();
        let counts = state.counts().await.unwrap();
        assert_eq!((counts.with_contact, counts.with_rows, counts.with_base), (1, 1, 1));
        assert_eq!(counts.unsettled, 1);
    }

    #[tokio::test]
    async fn unusable_rows_come_page_by_page_whether_noted_or_not() {
        let (_directory, state) = open().await;
        let rows = vec![
            unusable("9", "no address", None),
            unusable("1", "no status", Some("")),
            unusable("5", "no status", Some("no status")),
        ];
        state.put_readings(vec![row("2", "a")], rows).await.unwrap();
        let page = |after: Option<&str>| state.unusable(after.map(RegistrationId::new), 2);
        let ids = |rows: Vec<UnusableRow>| rows.iter().map(|row| row.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(page(None).await.unwrap()), ["9", "1"]);
        assert_eq!(ids(page(Some("1")).await.unwrap()), ["5"]);
        assert_eq!(ids(page(Some("5")).await.unwrap()), [""; 0]);
    }
}
