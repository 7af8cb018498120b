//! Which member an observed contact or row belongs to.

use rusqlite::{OptionalExtension, Transaction, params};

use crate::model::MemberId;
use crate::state::error::Fault;

/// What came of putting a page into the mirror.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PutCounts {
    /// Not known before.
    pub new: u64,
    /// Known, and not as it was.
    pub changed: u64,
    /// As it was: nothing was written.
    pub unchanged: u64,
}

impl std::ops::AddAssign for PutCounts {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.changed += other.changed;
        self.unchanged += other.unchanged;
    }
}

/// The member without a contact that a new contact of this address belongs to: one with a row of the address
/// before one whose base has it. Never one that left this very contact behind.
pub(crate) fn lacking_contact(
    tx: &Transaction<'_>,
    address: &str,
    contact: &str,
) -> Result<Option<MemberId>, Fault> {
    let sql = "SELECT m.id FROM (
            SELECT member AS id, 0 AS place FROM registrations WHERE address = ?1
            UNION ALL
            SELECT id, 1 FROM members WHERE base_address = ?1 AND base IS NOT NULL
        ) AS candidate JOIN members AS m ON m.id = candidate.id
        WHERE m.contact IS NULL
          AND NOT EXISTS (SELECT 1 FROM left_behind WHERE contact_id = ?2 AND member = m.id)
        ORDER BY candidate.place, m.base_address IS NOT ?1, m.id LIMIT 1";
    let found = tx.prepare_cached(sql)?.query_row(params![address, contact], |row| row.get(0));
    Ok(found.optional()?.map(MemberId))
}

/// The member with a row of this address whose contact is out at another one, and whose last creation was never
/// answered: a contact that shows at this address is what came of it.
pub(crate) fn created_unheard(tx: &Transaction<'_>, address: &str) -> Result<Option<MemberId>, Fault> {
    let sql = "SELECT m.id FROM registrations AS r JOIN members AS m ON m.id = r.member
        WHERE r.address = ?1 AND m.contact IS NOT NULL AND m.contact_address <> ?1
          AND json_extract(m.contact, '$.status') NOT IN ('subscribed', 'pending')
          AND (SELECT outcome IN ('lost', 'unknown') FROM operations
               WHERE member = m.id AND kind = 'remote_create' ORDER BY id DESC LIMIT 1)
        ORDER BY m.id LIMIT 1";
    let found = tx.prepare_cached(sql)?.query_row([address], |row| row.get(0));
    Ok(found.optional()?.map(MemberId))
}

/// The member that a row of this address belongs to, other than `but`: one with a row of the address, else one
/// whose contact has it, else one whose base has it and that lacks rows.
///
/// Of several with a row, the one whose contact has the address too: the others took it over.
pub(crate) fn for_row(
    tx: &Transaction<'_>,
    address: &str,
    but: Option<MemberId>,
) -> Result<Option<MemberId>, Fault> {
    let by_row = "SELECT m.id FROM registrations AS r JOIN members AS m ON m.id = r.member
        WHERE r.address = ?1 AND m.id IS NOT ?2
        ORDER BY m.contact_address IS NOT ?1, m.base_address IS NOT ?1, m.id LIMIT 1";
    let by_contact = "SELECT id FROM members
        WHERE contact IS NOT NULL AND contact_address = ?1 AND id IS NOT ?2 ORDER BY recheck, id LIMIT 1";
    let by_base = "SELECT id FROM members
        WHERE base IS NOT NULL AND base_address = ?1 AND id IS NOT ?2
          AND NOT EXISTS (SELECT 1 FROM registrations WHERE member = members.id)
        ORDER BY id LIMIT 1";
    for sql in [by_row, by_contact, by_base] {
        if let Some(member) = first(tx, sql, address, but)? {
            return Ok(Some(member));
        }
    }
    Ok(None)
}

/// The member that a row of this address belongs to, other than `but`: a new one where there is none.
pub(crate) fn member_for(
    tx: &Transaction<'_>,
    address: &str,
    but: Option<MemberId>,
) -> Result<MemberId, Fault> {
    match for_row(tx, address, but)? {
        Some(member) => Ok(member),
        None => new_member(tx),
    }
}

fn first(
    tx: &Transaction<'_>,
    sql: &str,
    address: &str,
    but: Option<MemberId>,
) -> Result<Option<MemberId>, Fault> {
    let but = but.map(|member| member.0);
    let found = tx.prepare_cached(sql)?.query_row(params![address, but], |row| row.get(0));
    Ok(found.optional()?.map(MemberId))
}

/// A member about whom nothing is known yet.
pub(crate) fn new_member(tx: &Transaction<'_>) -> Result<MemberId, Fault> {
    tx.prepare_cached("INSERT INTO members (settled) VALUES (0)")?.execute([])?;
    Ok(MemberId(tx.last_insert_rowid()))
}

/// The member is to be looked at again; what it was parked for may have changed.
pub(crate) fn unsettle_and_unpark(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    unsettle(tx, member)?;
    tx.prepare_cached("UPDATE parked SET active = 0, retry_at = NULL WHERE member = ?1")?
        .execute([member.0])?;
    Ok(())
}

/// The member is to be looked at again.
pub(crate) fn unsettle(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE members SET settled = 0 WHERE id = ?1 AND settled <> 0")?
        .execute([member.0])?;
    Ok(())
}

/// The member is to be read by itself before anything else is done to it.
pub(crate) fn mark_for_recheck(tx: &Transaction<'_>, member: MemberId) -> Result<(), Fault> {
    tx.prepare_cached("UPDATE members SET recheck = 1, settled = 0 WHERE id = ?1")?.execute([member.0])?;
    Ok(())
}

/// Removes the member if neither side nor the base knows anything of it; says whether it did.
pub(crate) fn drop_if_empty(tx: &Transaction<'_>, member: MemberId) -> Result<bool, Fault> {
    let sql = "DELETE FROM members WHERE id = ?1 AND contact IS NULL AND base IS NULL
        AND NOT EXISTS (SELECT 1 FROM registrations WHERE member = ?1)";
    Ok(tx.prepare_cached(sql)?.execute([member.0])? > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RegistrationId;
    use crate::state::sample::{agreed, contact, email, now, open, row, trio};
    use crate::state::{MemberName, Seen, State};

    enum Step {
        Contact(&'static str, &'static str),
        Row(&'static str, &'static str),
        /// The contact of the member with this row or contact is proven gone.
        ContactGone(&'static str),
        RowGone(&'static str),
        /// What the member of this row or contact shows is agreed upon.
        Agreed(&'static str),
    }
    use Step::*;

    async fn member_of(state: &State, key: &str) -> MemberId {
        let by_row = state.member_of_registration(RegistrationId::new(key)).await.unwrap();
        let by_contact = state.member_of_contact(crate::model::ContactId::new(key)).await.unwrap();
        by_row.or(by_contact).unwrap()
    }

    async fn take(state: &State, step: &Step) {
        match step {
            Contact(id, address) => {
                state.put_contacts(vec![contact(id, address)], Seen::Walk).await.unwrap();
            }
            Row(id, address) => {
                state.put_readings(vec![row(id, address)], Vec::new()).await.unwrap();
            }
            ContactGone(key) => state.forget_contact(member_of(state, key).await).await.unwrap(),
            RowGone(id) => {
                state.remove_registrations(vec![RegistrationId::new(*id)]).await.unwrap();
            }
            Agreed(key) => {
                let trio = trio(state, member_of(state, key).await).await;
                let policy = state.policy_number("p".to_owned()).await.unwrap();
                state.stage(vec![agreed(&trio)], policy).await.unwrap();
            }
        }
    }

    /// Every member as `contact@address rows`, `?` before one that is to be read by itself, `b` after one with a base.
    async fn shown(state: &State) -> Vec<String> {
        state
            .call(|connection| {
                let mut statement = connection.prepare(
                    "SELECT iif(recheck, '?', '')
                        || iif(contact IS NULL, '-', contact_id || '@' || replace(contact_address, '@alliance.test', ''))
                        || ' ' || IFNULL((SELECT group_concat(r.id || '@' || replace(r.address, '@alliance.test', ''), ' ')
                            FROM registrations AS r WHERE r.member = members.id), '-')
                        || iif(base IS NULL, '', ' b')
                     FROM members ORDER BY id",
                )?;
                let shown = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
                Ok(shown)
            })
            .await
            .unwrap()
    }

    async fn check(what: &str, steps: &[Step], expected: &[&str]) {
        let (_directory, state) = open().await;
        for step in steps {
            take(&state, step).await;
        }
        assert_eq!(shown(&state).await, expected, "{what}");
    }

    #[tokio::test]
    async fn contacts_find_their_member() {
        check("a contact of nobody", &[Contact("c1", "a")], &["c1@a -"]).await;
        check("by its key", &[Contact("c1", "a"), Contact("c1", "b")], &["c1@b -"]).await;
        check("by a row", &[Row("1", "a"), Contact("c1", "A")], &["c1@a 1@a"]).await;
        check(
            "by a row before a base",
            &[
                Row("1", "a"),
                Contact("c1", "a"),
                Agreed("1"),
                Row("1", "b"),
                ContactGone("1"),
                Row("2", "a"),
                Contact("c2", "a"),
            ],
            &["- 1@b b", "c2@a 2@a"],
        )
        .await;
        check(
            "by a base",
            &[Contact("c1", "a"), Agreed("c1"), ContactGone("c1"), Contact("c2", "a")],
            &["c2@a - b"],
        )
        .await;
        check(
            "not where there is another contact already",
            &[Contact("c1", "a"), Row("1", "a"), Contact("c2", "a")],
            &["?c1@a 1@a", "c2@a -"],
        )
        .await;
        check(
            "the former holder of an address is looked at again",
            &[Contact("c1", "a"), Contact("c2", "b"), Contact("c2", "a")],
            &["?c1@a -", "c2@a -"],
        )
        .await;
    }

    #[tokio::test]
    async fn a_contact_that_stands_alone_succeeds_one_that_is_gone() {
        check(
            "under the same address",
            &[Contact("c1", "a"), Row("1", "a"), Agreed("1"), Contact("c2", "a"), ContactGone("c1")],
            &["c2@a 1@a b"],
        )
        .await;
        check(
            "not one that has rows of its own",
            &[Contact("c1", "a"), Row("1", "b"), Contact("c2", "b"), Agreed("1"), ContactGone("c1")],
            &["c2@b 1@b b"],
        )
        .await;
        check("and nobody remains of whom nothing is known", &[Contact("c1", "a"), ContactGone("c1")], &[])
            .await;
    }

    #[tokio::test]
    async fn rows_find_their_member() {
        check("a row of nobody", &[Row("1", "a")], &["- 1@a"]).await;
        check("by a row", &[Row("1", "a"), Row("2", "A")], &["- 1@a 2@a"]).await;
        check("by a contact", &[Contact("c1", "a"), Row("1", "a")], &["c1@a 1@a"]).await;
        check(
            "by a base that lacks rows",
            &[Row("1", "a"), Agreed("1"), RowGone("1"), Row("2", "a")],
            &["- 2@a b"],
        )
        .await;
        check(
            "not by a base that has rows elsewhere",
            &[Row("1", "a"), Agreed("1"), Row("1", "b"), Row("2", "a")],
            &["- 1@b b", "- 2@a"],
        )
        .await;
        check(
            "a linked row stays with its member",
            &[Contact("c1", "a"), Row("1", "a"), Agreed("1"), Contact("c2", "b"), Row("1", "b")],
            &["c1@a 1@b b", "c2@b -"],
        )
        .await;
        check(
            "a row without a base goes where its new address leads",
            &[Row("1", "typo"), Contact("c1", "a"), Row("1", "a")],
            &["c1@a 1@a"],
        )
        .await;
        check(
            "and stays where that leads nowhere",
            &[Row("1", "a"), Contact("c1", "a"), Row("1", "b")],
            &["c1@a 1@b"],
        )
        .await;
        check(
            "of two members with rows, the one whose contact has the address",
            &[
                Row("1", "b"),
                Agreed("1"),
                Contact("c2", "a"),
                Row("2", "a"),
                Agreed("2"),
                Row("1", "a"),
                Row("3", "a"),
            ],
            &["- 1@a b", "c2@a 2@a 3@a b"],
        )
        .await;
    }

    #[tokio::test]
    async fn a_removed_row_takes_a_member_along_only_if_nothing_else_is_known() {
        check("nothing else", &[Row("1", "a"), RowGone("1")], &[]).await;
        check("a contact", &[Contact("c1", "a"), Row("1", "a"), RowGone("1")], &["c1@a -"]).await;
        check("a base", &[Row("1", "a"), Agreed("1"), RowGone("1")], &["- - b"]).await;
    }

    #[tokio::test]
    async fn a_member_is_found_by_any_of_its_addresses_and_by_their_hashes() {
        let (_directory, state) = open().await;
        for step in [Contact("c1", "a"), Row("1", "a"), Agreed("1"), Row("1", "b")] {
            take(&state, &step).await;
        }
        for (name, expected) in [("a", 1), ("B", 1), ("c", 0)] {
            let by_address = MemberName::Address(email(name));
            let by_hash = MemberName::Hash(email(name).hash());
            assert_eq!(state.find_members(by_address).await.unwrap().len(), expected, "{name}");
            assert_eq!(state.find_members(by_hash).await.unwrap().len(), expected, "hash of {name}");
        }
        assert!(state.rechecks(None, 10).await.unwrap().is_empty());
        assert_eq!(state.due_retries(now()).await.unwrap(), 0);
    }
}
