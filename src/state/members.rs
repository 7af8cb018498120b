//! Members as the decisions see them.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};

use crate::model::{
    Contact, ContactId, EmailAddress, MemberId, Registration, RegistrationId, SubscriberHash,
};
use crate::reconcile::plan::Tombstone;
use crate::reconcile::trio::{Base, Trio};
use crate::state::error::{Fault, StateError};
use crate::state::text::{address, from_json, from_json_or_none, number};
use crate::state::{PolicyNumber, State, base};

/// By what a person names a member.
#[derive(Clone, Debug)]
pub enum MemberName {
    /// The address.
    Address(EmailAddress),
    /// The subscriber hash of the address; found by looking at every address.
    Hash(SubscriberHash),
}

/// A member to be read by itself, on both sides, before anything else is done to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recheck {
    /// The member.
    pub member: MemberId,
    /// The contact it holds, held or is known to have had.
    pub contact: Option<ContactId>,
    /// Its addresses on either side and in the base, without repetition.
    pub addresses: Vec<EmailAddress>,
    /// Its rows.
    pub rows: Vec<RegistrationId>,
}

const COLUMNS: &str = "id, contact, base, contact_address,
    (SELECT said FROM parked WHERE member = members.id AND active = 1)";

impl State {
    /// Up to `limit` members after `after` that are not settled under `policy`, in the order of their numbers,
    /// without those that are to be read by themselves.
    ///
    /// A page may be shorter than `limit` only where nothing follows.
    pub async fn unsettled(
        &self,
        policy: PolicyNumber,
        after: Option<MemberId>,
        limit: usize,
        observed_at: Timestamp,
    ) -> Result<Vec<Trio>, StateError> {
        self.call(move |connection| {
            let after = after.map_or(0, |member| member.0);
            // Either hardly anybody is unsettled and the index finds them, or a new policy unsettled nearly
            // everybody and they are found on the way through the table.
            let elsewhere: bool = connection
                .prepare_cached(
                    "SELECT EXISTS (SELECT 1 FROM members WHERE settled > 0 AND settled < ?1)
                         OR EXISTS (SELECT 1 FROM members WHERE settled > ?1)",
                )?
                .query_row([policy.0], |row| row.get(0))?;
            let which = if elsewhere { "+settled <> ?1" } else { "settled = 0 AND ?1 <> 0" };
            let sql = format!(
                "SELECT {COLUMNS} FROM members WHERE {which} AND recheck = 0 AND id > ?2 ORDER BY id LIMIT ?3"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![policy.0, after, number(limit)])?;
            let mut trios = Vec::new();
            while let Some(row) = rows.next()? {
                trios.push(trio(connection, row, observed_at)?);
            }
            Ok(trios)
        })
        .await
    }

    /// Those of these members that are not settled under `policy`, without those that are to be read by themselves.
    pub async fn unsettled_among(
        &self,
        policy: PolicyNumber,
        members: BTreeSet<MemberId>,
        observed_at: Timestamp,
    ) -> Result<Vec<Trio>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {COLUMNS} FROM members WHERE id = ?1 AND settled <> ?2 AND recheck = 0"
            ))?;
            let mut trios = Vec::new();
            for member in members {
                let mut rows = statement.query(params![member.0, policy.0])?;
                if let Some(row) = rows.next()? {
                    trios.push(trio(connection, row, observed_at)?);
                }
            }
            Ok(trios)
        })
        .await
    }

    /// Up to `limit` members after `after`, settled or not, in the order of their numbers.
    pub async fn members(
        &self,
        after: Option<MemberId>,
        limit: usize,
        observed_at: Timestamp,
    ) -> Result<Vec<Trio>, StateError> {
        self.call(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM members WHERE id > ?1 ORDER BY id LIMIT ?2");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query(params![after.map_or(0, |member| member.0), number(limit)])?;
            let mut trios = Vec::new();
            while let Some(row) = rows.next()? {
                trios.push(trio(connection, row, observed_at)?);
            }
            Ok(trios)
        })
        .await
    }

    /// One member; `None` where there is none of this number.
    pub async fn trio(&self, member: MemberId, observed_at: Timestamp) -> Result<Option<Trio>, StateError> {
        let trios = self.trios(vec![member], observed_at).await?;
        Ok(trios.into_iter().next())
    }

    /// These members, in the order given, without those that are not there.
    pub async fn trios(
        &self,
        members: Vec<MemberId>,
        observed_at: Timestamp,
    ) -> Result<Vec<Trio>, StateError> {
        self.call(move |connection| {
            let mut statement =
                connection.prepare_cached(&format!("SELECT {COLUMNS} FROM members WHERE id = ?1"))?;
            let mut trios = Vec::new();
            for member in members {
                let mut rows = statement.query([member.0])?;
                if let Some(row) = rows.next()? {
                    trios.push(trio(connection, row, observed_at)?);
                }
            }
            Ok(trios)
        })
        .await
    }

    /// Up to `limit` members that are to be read by themselves, in the order of their numbers after `after`.
    pub async fn rechecks(&self, after: Option<MemberId>, limit: usize) -> Result<Vec<Recheck>, StateError> {
        self.call(move |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT id, contact_id FROM members WHERE recheck = 1 AND id > ?1 ORDER BY id LIMIT ?2",
            )?;
            let found: Vec<(i64, Option<String>)> = statement
                .query_map(params![after.map_or(0, |member| member.0), number(limit)], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })?
                .collect::<Result<_, _>>()?;
            found.into_iter().map(|(member, contact)| recheck(connection, member, contact)).collect()
        })
        .await
    }

    /// Sets members aside to be read by themselves before anything else is done to them.
    pub async fn ask_for_recheck(&self, members: Vec<MemberId>) -> Result<(), StateError> {
        self.write(move |tx| {
            members.into_iter().try_for_each(|member| crate::state::joining::mark_for_recheck(tx, member))
        })
        .await
    }

    /// The members that bear this address on either side or in the base, in the order of their numbers.
    pub async fn find_members(&self, name: MemberName) -> Result<Vec<MemberId>, StateError> {
        self.call(move |connection| {
            let address = match name {
                MemberName::Address(address) => Some(address.key()),
                MemberName::Hash(hash) => address_of(connection, &hash)?,
            };
            let mut statement = connection.prepare_cached(
                "SELECT member FROM registrations WHERE address = ?1 AND member IS NOT NULL
                 UNION SELECT id FROM members WHERE contact_address = ?1 AND contact IS NOT NULL
                 UNION SELECT id FROM members WHERE base_address = ?1 AND base IS NOT NULL",
            )?;
            let members =
                statement.query_map([address], |row| row.get(0).map(MemberId))?.collect::<Result<_, _>>()?;
            Ok(members)
        })
        .await
    }

    /// The stored address that has this hash, found by looking at every address.
    pub async fn address_of(&self, hash: SubscriberHash) -> Result<Option<EmailAddress>, StateError> {
        self.call(move |connection| address_of(connection, &hash)?.as_deref().map(address).transpose()).await
    }
}

/// The stored address that has this hash.
fn address_of(connection: &Connection, hash: &SubscriberHash) -> Result<Option<String>, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT contact_address FROM members WHERE contact IS NOT NULL
         UNION ALL SELECT address FROM registrations WHERE address IS NOT NULL
         UNION ALL SELECT base_address FROM members WHERE base IS NOT NULL AND base_address IS NOT NULL",
    )?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        if format!("{:x}", md5::compute(&text)) == hash.as_str() {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

fn trio(connection: &Connection, row: &Row<'_>, observed_at: Timestamp) -> Result<Trio, Fault> {
    let id = MemberId(row.get(0)?);
    let remote: Option<Contact> = from_json_or_none(row.get(1)?)?;
    let base: Option<Base> = from_json_or_none(row.get(2)?)?;
    let remote_address: Option<String> = row.get(3)?;
    let LocalSide { rows: local, unusable, addresses } = local(connection, id)?;
    let mut taken_remotely = false;
    // The address that some rows are leaving may well be that of the contact that was left behind there.
    let taken = match addresses.len() {
        0 | 1 => {
            "SELECT EXISTS (SELECT 1 FROM members
                WHERE contact IS NOT NULL AND contact_address = ?1 AND id <> ?2)"
        }
        _ => {
            "SELECT EXISTS (SELECT 1 FROM members AS m
                WHERE contact IS NOT NULL AND contact_address = ?1 AND id <> ?2
                  AND NOT EXISTS (SELECT 1 FROM left_behind WHERE contact_id = m.contact_id AND member = ?2))"
        }
    };
    for address in addresses.iter().filter(|address| Some(*address) != remote_address.as_ref()) {
        taken_remotely |= is_taken(connection, taken, address, id)?;
    }
    let taken_locally = match remote_address {
        Some(address) if !addresses.contains(&address) => is_taken(
            connection,
            "SELECT EXISTS (SELECT 1 FROM registrations WHERE address = ?1 AND member IS NOT ?2)",
            &address,
            id,
        )?,
        _ => false,
    };
    // A note that was written to the row makes a base, but agrees on nothing.
    let tombstone = match base.as_ref().is_none_or(Base::is_first_meeting) {
        true => remembered(connection, &local, remote.as_ref())?,
        false => None,
    };
    Ok(Trio {
        id,
        base,
        local,
        unusable,
        remote,
        tombstone,
        parked: row.get(4)?,
        taken_remotely,
        taken_locally,
        observed_at,
    })
}

/// The local side of a member.
#[derive(Default)]
struct LocalSide {
    /// The rows, oldest first.
    rows: Vec<Registration>,
    /// Those that cannot be synchronized as they stand.
    unusable: BTreeSet<RegistrationId>,
    /// The addresses they bear.
    addresses: Vec<String>,
}

fn local(connection: &Connection, member: MemberId) -> Result<LocalSide, Fault> {
    let mut statement = connection.prepare_cached(
        "SELECT payload, address, problem IS NOT NULL FROM registrations
         WHERE member = ?1 AND payload IS NOT NULL",
    )?;
    let mut found = statement.query([member.0])?;
    let mut local = LocalSide::default();
    while let Some(row) = found.next()? {
        let text = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        let registration: Registration = from_json(text)?;
        let address: String = row.get(1)?;
        if !local.addresses.contains(&address) {
            local.addresses.push(address);
        }
        if row.get(2)? {
            local.unusable.insert(registration.id.clone());
        }
        local.rows.push(registration);
    }
    local.rows.sort_by(|a, b| a.age().cmp(&b.age()));
    Ok(local)
}

fn is_taken(connection: &Connection, sql: &str, address: &str, member: MemberId) -> Result<bool, Fault> {
    Ok(connection.prepare_cached(sql)?.query_row(params![address, member.0], |row| row.get(0))?)
}

/// What was laid when a member with this address was gone from both sides before: that of the rows, else the contact's.
fn remembered(
    connection: &Connection,
    local: &[Registration],
    remote: Option<&Contact>,
) -> Result<Option<Tombstone>, Fault> {
    let address = local.last().map(|newest| &newest.email).or(remote.map(|contact| &contact.email));
    address.map_or(Ok(None), |address| base::lookup(connection, &address.hash()))
}

fn recheck(connection: &Connection, member: i64, contact: Option<String>) -> Result<Recheck, Fault> {
    let addresses: Vec<String> = connection
        .prepare_cached(
            "SELECT address FROM registrations WHERE member = ?1 AND address IS NOT NULL
             UNION SELECT contact_address FROM members WHERE id = ?1 AND contact_address IS NOT NULL
             UNION SELECT base_address FROM members WHERE id = ?1 AND base_address IS NOT NULL",
        )?
        .query_map([member], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let rows = connection
        .prepare_cached("SELECT id FROM registrations WHERE member = ?1 ORDER BY seq")?
        .query_map([member], |row| Ok(RegistrationId::new(row.get::<_, String>(0)?)))?
        .collect::<Result<_, _>>()?;
    Ok(Recheck {
        member: MemberId(member),
        contact: contact.map(ContactId::new),
        addresses: addresses.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
        rows,
    })
}
