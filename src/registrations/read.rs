//! Reading rows: pages in key order, named keys, an address.

use std::collections::BTreeMap;

use crate::model::{EmailAddress, Interest, RegistrationId};
use crate::registrations::Reading;
use crate::registrations::catalogue::Column;
use crate::registrations::cell::Cell;
use crate::registrations::decode::read_row;
use crate::registrations::fault::Fault;
use crate::registrations::layout::InterestPlace;
use crate::registrations::link::{Link, Purpose, owned};
use crate::registrations::query::Query;

/// Keys asked for at once: an array of more would be a long text.
const KEYS_AT_ONCE: usize = 1000;

/// Up to `limit` rows after a key, in key order.
///
/// A page is a query of its own rather than a part of one long one: no snapshot is held that would keep a server from
/// tidying up for as long as a walk takes, a walk survives a restart of the server, and each page is as new as it can be.
pub(super) fn page(
    link: &Link<'_>,
    after: Option<&RegistrationId>,
    limit: usize,
) -> Result<Vec<Reading>, Fault> {
    let query = page_of(link, &link.sql.select, after, limit)?;
    link.within(Purpose::Read, || {
        let mut rows = rows(link, &query, |_| true)?;
        complete(link, &mut rows)?;
        Ok(rows)
    })
}

/// Up to `limit` keys after a key, in key order.
pub(super) fn ids(
    link: &Link<'_>,
    after: Option<&RegistrationId>,
    limit: usize,
) -> Result<Vec<RegistrationId>, Fault> {
    let select = format!("SELECT {} {}", link.sql.shown_id, link.sql.from);
    let query = page_of(link, &select, after, limit)?;
    let mut ids = Vec::new();
    link.session.each(&query, &mut |cells| {
        ids.extend(cells.first().map(id_of));
        Ok(())
    })?;
    Ok(ids)
}

/// A page of a selection.
fn page_of(
    link: &Link<'_>,
    select: &str,
    after: Option<&RegistrationId>,
    limit: usize,
) -> Result<Query, Fault> {
    let sql = link.sql;
    let query = link.query(format!("{select} WHERE {} AND {}", sql.live, sql.id));
    let query = match after {
        None => query.push(" IS NOT NULL"),
        Some(after) => {
            let key = link.session.dialect().key(&link.layout.id, after).ok_or_else(|| {
                Fault::Mapping(format!("the column {:?} holds other keys than before", link.layout.id.name))
            })?;
            query.push(" > ").bind_to(&link.layout.id, key)
        }
    };
    Ok(query.push(&format!(" ORDER BY {} LIMIT ", sql.id)).bind(limit_of(limit)))
}

/// The rows of these keys.
pub(super) fn by_id(link: &Link<'_>, ids: &[RegistrationId]) -> Result<Vec<Reading>, Fault> {
    let sql = link.sql;
    link.within(Purpose::Read, || {
        let mut found = Vec::new();
        for chunk in ids.chunks(KEYS_AT_ONCE) {
            let query = link
                .query(format!("{} WHERE {} AND {}", sql.select, sql.live, sql.id))
                .among(&link.layout.id, chunk)
                .push(&format!(" ORDER BY {}", sql.id));
            let mut page = rows(link, &query, |_| true)?;
            complete(link, &mut page)?;
            found.append(&mut page);
        }
        Ok(found)
    })
}

/// The row of this key, if it is there.
pub(super) fn by_key(link: &Link<'_>, id: &RegistrationId) -> Result<Option<Reading>, Fault> {
    row_of(link, id, "")
}

/// The row of this key, which nobody changes before the transaction ends.
pub(super) fn lock(link: &Link<'_>, id: &RegistrationId) -> Result<Option<Reading>, Fault> {
    row_of(link, id, link.session.dialect().lock(&link.layout.table))
}

fn row_of(link: &Link<'_>, id: &RegistrationId, lock: &str) -> Result<Option<Reading>, Fault> {
    let sql = link.sql;
    let Some(key) = link.session.dialect().key(&link.layout.id, id) else { return Ok(None) };
    let query = link
        .query(format!("{} WHERE {} AND {} = ", sql.select, sql.live, sql.id))
        .bind_to(&link.layout.id, key)
        .push(lock);
    let mut rows = rows(link, &query, |_| true)?;
    complete(link, &mut rows)?;
    Ok(rows.into_iter().next())
}

/// The rows that bear this address.
pub(super) fn by_email(link: &Link<'_>, email: &EmailAddress) -> Result<Vec<Reading>, Fault> {
    link.within(Purpose::Read, || {
        let mut rows = bearers(link, email)?;
        complete(link, &mut rows)?;
        Ok(rows)
    })
}

/// The rows that bear this address, without the interests that are rows.
pub(super) fn bearers(link: &Link<'_>, email: &EmailAddress) -> Result<Vec<Reading>, Fault> {
    let (sql, key) = (link.sql, email.key());
    let query = link.query(format!("{} WHERE {} AND ", sql.select, sql.live));
    let query = link.session.dialect().bears(query, "r", &link.layout.email, email);
    rows(link, &query.push(&format!(" ORDER BY {}", sql.id)), |cells| {
        cells.get(1).is_some_and(|cell| cell.text().trim().to_lowercase() == key)
    })
}

/// The rows of a query whose cells `keep` accepts.
fn rows(link: &Link<'_>, query: &Query, keep: impl Fn(&[Cell<'_>]) -> bool) -> Result<Vec<Reading>, Fault> {
    let mut rows = Vec::new();
    link.session.each(query, &mut |cells| {
        if keep(cells) {
            rows.push(read_row(link.layout, cells.iter().cloned()));
        }
        Ok(())
    })?;
    Ok(rows)
}

/// Fills in what stands in other tables: interests that are rows, working groups.
pub(super) fn complete(link: &Link<'_>, rows: &mut [Reading]) -> Result<(), Fault> {
    let places: BTreeMap<String, usize> =
        rows.iter().enumerate().map(|(place, row)| (row.id().as_str().to_owned(), place)).collect();
    let ids: Vec<RegistrationId> = rows.iter().map(|row| row.id().clone()).collect();
    for chunk in ids.chunks(KEYS_AT_ONCE) {
        if let (Some(text), InterestPlace::Rows { registration_id, .. }) =
            (&link.sql.interests, &link.layout.interests)
        {
            each_row_of(link, text, registration_id, chunk, &places, |place, found| {
                let [_, dimension, name, ..] = found else { return };
                let interest = Interest::new(&dimension.text(), &name.text());
                let is_mapped = link.layout.dimensions.contains(&interest.dimension);
                if let (Reading::Usable(row), true, false) =
                    (&mut rows[place], is_mapped, interest.name.is_empty())
                {
                    row.interests.insert(interest);
                }
            })?;
        }
        if let (Some(text), Some((_, key, _))) = (&link.sql.groups, &link.layout.groups) {
            each_row_of(link, text, key, chunk, &places, |place, found| {
                if let (Reading::Usable(row), [_, name, ..]) = (&mut rows[place], found) {
                    row.working_groups.get_or_insert_default().insert(name.text().into_owned());
                }
            })?;
        }
    }
    Ok(())
}

/// Asks for the rows of keys; rows of one key come together, so the place is looked up once for each.
fn each_row_of(
    link: &Link<'_>,
    text: &str,
    column: &Column,
    ids: &[RegistrationId],
    places: &BTreeMap<String, usize>,
    mut with: impl FnMut(usize, &[Cell<'_>]),
) -> Result<(), Fault> {
    let query = link.query(text).among(column, ids);
    let mut last: Option<(Cell<'static>, Option<usize>)> = None;
    link.session.each(&query, &mut |cells| {
        let Some(key) = cells.first() else { return Ok(()) };
        let place = match &last {
            Some((known, place)) if known == key => *place,
            _ => {
                let place = places.get(key.text().as_ref()).copied();
                last = Some((owned(key), place));
                place
            }
        };
        if let Some(place) = place {
            with(place, cells);
        }
        Ok(())
    })
}

/// The key in this cell.
pub(super) fn id_of(cell: &Cell<'_>) -> RegistrationId {
    RegistrationId::new(cell.text())
}

pub(super) fn limit_of(limit: usize) -> Cell<'static> {
    Cell::Integer(i64::try_from(limit).unwrap_or(i64::MAX))
}
