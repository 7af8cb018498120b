//! Contacts that were created in bulk: that answer names no `contact_id`, so that whoever changes their address before a
//! page shows it appears under a key and an address that nobody knows.
//! <https://mailchimp.com/developer/marketing/api/lists/batch-subscribe-or-unsubscribe/>
//!
//! The time of the opt-in survives a change of address, and it is that of our call.

use rusqlite::{Connection, Transaction};

use crate::model::{Contact, MemberId, MergeTag};
use crate::reconcile::trio::Base;
use crate::state::contacts::succeed;
use crate::state::error::{Fault, StateError};
use crate::state::text::from_json;
use crate::state::{State, base};

/// The opt-in of the contact as it was created; what the index `members_created` holds.
const CREATED_AT: &str = "json_extract(created, '$.timestamp_opt')";

/// Contacts of nobody yet, each of which may be one that was created elsewhere.
const STRANGERS: &str = "FROM members AS n WHERE n.settled = 0 AND n.recheck = 0 AND n.base IS NULL
    AND n.contact IS NOT NULL AND NOT EXISTS (SELECT 1 FROM registrations WHERE member = n.id)";

/// Members whose contact was created in bulk and is proven gone from there.
const GONE: &str = "created IS NOT NULL AND contact IS NULL AND base IS NOT NULL";

impl State {
    /// Has members read by themselves whose contact was created in bulk, was never shown since, and may be one that
    /// has appeared under another address.
    pub async fn doubt_created(&self) -> Result<(), StateError> {
        let is_waited_for = self.call(|connection| {
            let sql =
                "SELECT EXISTS (SELECT 1 FROM members INDEXED BY members_created WHERE created IS NOT NULL)";
            Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get::<_, bool>(0))?)
        });
        if !is_waited_for.await? {
            return Ok(());
        }
        self.write(|tx| {
            let sql = format!(
                "UPDATE members SET recheck = 1, settled = 0
                 WHERE created IS NOT NULL AND contact IS NOT NULL AND recheck = 0
                   AND {CREATED_AT} IN (SELECT json_extract(n.contact, '$.timestamp_opt') {STRANGERS})"
            );
            tx.prepare_cached(&sql)?.execute([])?;
            Ok(())
        })
        .await
    }

    /// Gives contacts of nobody to the members who were created as them and are gone from the address where that was.
    pub async fn follow_created(&self) -> Result<(), StateError> {
        let found = self.call(|connection| {
            let created_then = format!("SELECT {CREATED_AT} FROM members WHERE {GONE}");
            let strangers = format!(
                "SELECT n.id, n.contact {STRANGERS} AND json_extract(n.contact, '$.timestamp_opt') IN ({created_then})
                 ORDER BY n.id"
            );
            let strangers = contacts(connection, &strangers)?;
            if strangers.is_empty() {
                return Ok((strangers, Vec::new()));
            }
            let gone = contacts(connection, &format!("SELECT id, created FROM members WHERE {GONE} ORDER BY id"))?;
            Ok((strangers, gone))
        });
        let (strangers, gone) = found.await?;
        if strangers.is_empty() {
            return Ok(());
        }
        self.write(move |tx| {
            strangers.iter().try_for_each(|stranger| match most_alike(&gone, stranger) {
                Some(member) if most_alike(&strangers, member).is_some_and(|(id, _)| *id == stranger.0) => {
                    follow(tx, stranger, member.0)
                }
                Some(_) | None => Ok(()),
            })
        })
        .await
    }
}

fn contacts(connection: &Connection, sql: &str) -> Result<Vec<(MemberId, Contact)>, Fault> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut contacts = Vec::new();
    while let Some(row) = rows.next()? {
        contacts.push((
            MemberId(row.get(0)?),
            from_json(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?)?,
        ));
    }
    Ok(contacts)
}

/// Gives the contact of a stranger to the member it was created for.
fn follow(
    tx: &Transaction<'_>,
    (stranger, contact): &(MemberId, Contact),
    member: MemberId,
) -> Result<(), Fault> {
    let text: String = tx
        .prepare_cached("SELECT base FROM members WHERE id = ?1")?
        .query_row([member.0], |row| row.get(0))?;
    let mut known: Base = from_json(&text)?;
    if let Some((id, _)) = &mut known.contact {
        *id = contact.contact_id.clone();
    }
    base::store(tx, member, Some(&known))?;
    succeed(tx, *stranger, contact, member)
}

/// Which of these, opted in within the same second, shows most of what the one shows; `None` where several do alike, or
/// none shows anything of it: no two people are merged.
fn most_alike<'a>(
    others: &'a [(MemberId, Contact)],
    (_, one): &(MemberId, Contact),
) -> Option<&'a (MemberId, Contact)> {
    let likeness = |other: &Contact| {
        let same = |(tag, value): &(&MergeTag, &String)| other.fields.get(*tag) == Some(*value);
        let said = one.fields.iter().filter(|(_, value)| !value.is_empty());
        let chosen = usize::from(!one.interests.is_empty() && one.interests == other.interests);
        said.filter(same).count() + chosen
    };
    let within = others.iter().filter(|(_, other)| other.timestamp_opt == one.timestamp_opt);
    let ranked: Vec<_> = within.map(|other| (likeness(&other.1), other)).collect();
    let best = ranked.iter().map(|(likeness, _)| *likeness).max().filter(|best| *best > 0)?;
    let mut alike = ranked.into_iter().filter(|(likeness, _)| *likeness == best);
    let (_, found) = alike.next()?;
    alike.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use crate::model::{ContactId, RegistrationId};
    use crate::state::Seen;
    use crate::state::contacts::show;
    use crate::state::sample::{agreed, contact, later, open, row, trio};

    use super::*;

    /// A contact with a first name, opted in so many seconds after all began.
    fn named(id: &str, address: &str, name: &str, opted_in: i64) -> Contact {
        Contact {
            timestamp_opt: Some(later(opted_in)),
            fields: [("FNAME", name), ("COUNTRY", "France")]
                .map(|(tag, value)| (MergeTag::parse(tag).unwrap(), value.to_owned()))
                .into(),
            ..contact(id, address)
        }
    }

    /// A registration of this address whose contact was created in bulk in the second 60.
    async fn create(state: &State, address: &str, name: &str) -> MemberId {
        state.put_readings(vec![row(address, address)], Vec::new()).await.unwrap();
        let member = state.member_of_registration(RegistrationId::new(address)).await.unwrap().unwrap();
        let answered = named("", address, name, 60);
        let answered = Contact { contact_id: ContactId::new(answered.path_id.clone()), ..answered };
        state.write(move |tx| show(tx, member, &answered)).await.unwrap();
        let policy = state.policy_number("p".to_owned()).await.unwrap();
        state.stage(vec![agreed(&trio(state, member).await)], policy).await.unwrap();
        member
    }

    async fn appears(state: &State, contact: Contact) {
        state.put_contacts(vec![contact], Seen::Walk).await.unwrap();
    }

    async fn doubted(state: &State) -> Vec<MemberId> {
        state.doubt_created().await.unwrap();
        state.rechecks(None, 10).await.unwrap().iter().map(|recheck| recheck.member).collect()
    }

    /// The address at which the member's contact is.
    async fn found_at(state: &State, member: MemberId) -> Option<String> {
        state.follow_created().await.unwrap();
        trio(state, member).await.remote.map(|contact| contact.email.key())
    }

    #[tokio::test]
    async fn whoever_moved_before_a_page_showed_them_keeps_their_base() {
        let (_directory, state) = open().await;
        let member = create(&state, "a", "Ada").await;
        assert_eq!(doubted(&state).await, [], "nobody has appeared");
        appears(&state, named("c1", "b", "Ada Maria", 60)).await;
        assert_eq!(doubted(&state).await, [member]);
        assert_eq!(
            found_at(&state, member).await.as_deref(),
            Some("a@alliance.test"),
            "not yet known to be gone"
        );
        state.forget_contact(member).await.unwrap();
        assert_eq!(found_at(&state, member).await.as_deref(), Some("b@alliance.test"));
        let (id, address) = trio(&state, member).await.base.unwrap().contact.unwrap();
        assert_eq!(
            (id.as_str(), address.key().as_str()),
            ("c1", "a@alliance.test"),
            "the move is yet to be merged"
        );
        assert_eq!(state.counts().await.unwrap().with_contact, 1);
    }

    #[tokio::test]
    async fn a_contact_of_another_second_is_another_person() {
        let (_directory, state) = open().await;
        let member = create(&state, "a", "Ada").await;
        appears(&state, named("c1", "b", "Ada", 61)).await;
        assert_eq!(doubted(&state).await, []);
        state.forget_contact(member).await.unwrap();
        assert_eq!(found_at(&state, member).await, None);
    }

    #[tokio::test]
    async fn whose_key_a_page_has_shown_is_not_doubted() {
        let (_directory, state) = open().await;
        let member = create(&state, "a", "Ada").await;
        appears(&state, named("c1", "a", "Ada", 60)).await;
        appears(&state, named("c2", "b", "Ada", 60)).await;
        assert_eq!(doubted(&state).await, []);
        state.forget_contact(member).await.unwrap();
        assert_eq!(found_at(&state, member).await, None, "deleted, and a stranger of the same second");
    }

    #[tokio::test]
    async fn a_contact_that_shows_nothing_of_them_is_another_person() {
        let (_directory, state) = open().await;
        let member = create(&state, "a", "Ada").await;
        appears(&state, Contact { fields: [].into(), ..named("c1", "b", "", 60) }).await;
        state.forget_contact(member).await.unwrap();
        assert_eq!(found_at(&state, member).await, None, "a sign-up of the same second");
        appears(&state, named("c2", "c", "Ada", 60)).await;
        assert_eq!(
            found_at(&state, member).await.as_deref(),
            Some("c@alliance.test"),
            "though it came later"
        );
    }

    #[tokio::test]
    async fn of_several_who_moved_each_is_told_by_what_they_show() {
        let (_directory, state) = open().await;
        let ada = create(&state, "a", "Ada").await;
        let ben = create(&state, "b", "Ben").await;
        let twins = [create(&state, "c", "Kim").await, create(&state, "d", "Kim").await];
        appears(&state, named("c1", "e", "Ben", 60)).await;
        appears(&state, named("c2", "f", "Ada", 60)).await;
        appears(&state, named("c3", "g", "Kim", 60)).await;
        assert_eq!(doubted(&state).await, [ada, ben, twins[0], twins[1]]);
        for member in [ada, ben, twins[0], twins[1]] {
            state.forget_contact(member).await.unwrap();
        }
        assert_eq!(found_at(&state, ada).await.as_deref(), Some("f@alliance.test"));
        assert_eq!(found_at(&state, ben).await.as_deref(), Some("e@alliance.test"));
        for twin in twins {
            assert_eq!(found_at(&state, twin).await, None, "nobody can tell which of the two");
        }
    }
}
