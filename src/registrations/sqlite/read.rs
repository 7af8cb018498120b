//! Reading rows: pages in key order, named keys, an address.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Row, ToSql};
use serde_json::Value as Json;

use crate::model::{EmailAddress, Interest, RegistrationId};
use crate::registrations::Reading;
use crate::registrations::cell::Cell;
use crate::registrations::decode::read_row;
use crate::registrations::sqlite::fault::Fault;
use crate::registrations::sqlite::link::Link;
use crate::registrations::sqlite::statements::AMONG;

/// Keys asked for at once: an array of more would be a long text.
const KEYS_AT_ONCE: usize = 1000;

/// Up to `limit` rows after a key, in key order.
pub(super) fn page(link: &Link, after: Option<&RegistrationId>, limit: usize) -> Result<Vec<Reading>, Fault> {
    let (sql, limit) = (&link.sql, limit_of(limit));
    let begin = after.map_or("IS NOT NULL", |_| "> ?2");
    let text =
        format!("{} WHERE {} AND {} {begin} ORDER BY {} LIMIT ?1", sql.select, sql.live, sql.id, sql.id);
    let transaction = link.conn.unchecked_transaction()?;
    let mut rows = match after {
        None => rows(link, &text, &[&limit], |_| true)?,
        Some(after) => rows(link, &text, &[&limit, &key_of(after)], |_| true)?,
    };
    complete(link, &mut rows)?;
    transaction.commit()?;
    Ok(rows)
}

/// Up to `limit` keys after a key, in key order.
pub(super) fn ids(
    link: &Link,
    after: Option<&RegistrationId>,
    limit: usize,
) -> Result<Vec<RegistrationId>, Fault> {
    let (sql, limit) = (&link.sql, limit_of(limit));
    let begin = after.map_or("IS NOT NULL", |_| "> ?2");
    let text = format!(
        "SELECT {id} {from} WHERE {live} AND {id} {begin} ORDER BY {id} LIMIT ?1",
        id = sql.id,
        from = sql.from,
        live = sql.live
    );
    let mut statement = link.conn.prepare_cached(&text)?;
    let mut found = match after {
        None => statement.query([&limit as &dyn ToSql])?,
        Some(after) => statement.query([&limit as &dyn ToSql, &key_of(after)])?,
    };
    let mut ids = Vec::new();
    while let Some(row) = found.next()? {
        ids.push(id_of(row, 0)?);
    }
    Ok(ids)
}

/// The rows of these keys that are there.
pub(super) fn by_id(link: &Link, ids: &[RegistrationId]) -> Result<Vec<Reading>, Fault> {
    let transaction = link.conn.unchecked_transaction()?;
    let mut all = Vec::new();
    for ids in ids.chunks(KEYS_AT_ONCE) {
        let sql = &link.sql;
        let text = format!("{} WHERE {} AND {} {AMONG} ORDER BY {}", sql.select, sql.live, sql.id, sql.id);
        let mut rows = rows(link, &text, &[&json_keys(ids.iter())], |_| true)?;
        complete(link, &mut rows)?;
        all.append(&mut rows);
    }
    transaction.commit()?;
    Ok(all)
}

/// The row of this key, if it is there, with all that belongs to it.
pub(super) fn by_key(link: &Link, id: &RegistrationId) -> Result<Option<Reading>, Fault> {
    let sql = &link.sql;
    let text = format!("{} WHERE {} AND {} = ?1", sql.select, sql.live, sql.id);
    let mut rows = rows(link, &text, &[&key_of(id)], |_| true)?;
    complete(link, &mut rows)?;
    Ok(rows.into_iter().next())
}

/// The rows that bear this address.
pub(super) fn by_email(link: &Link, email: &EmailAddress) -> Result<Vec<Reading>, Fault> {
    let transaction = link.conn.unchecked_transaction()?;
    let mut rows = bearers(link, email)?;
    complete(link, &mut rows)?;
    transaction.commit()?;
    Ok(rows)
}

/// The rows that bear this address, without the interests that are rows.
pub(super) fn bearers(link: &Link, email: &EmailAddress) -> Result<Vec<Reading>, Fault> {
    let (sql, key) = (&link.sql, email.key());
    let bears =
        |cells: &[Cell<'_>]| cells.get(1).is_some_and(|cell| cell.text().trim().to_lowercase() == key);
    // SQLite's lower() knows ASCII only: other addresses are compared here, row by row.
    if !key.is_ascii() {
        let text = format!("{} WHERE {} ORDER BY {}", sql.select, sql.live, sql.id);
        return rows(link, &text, &[], bears);
    }
    // From the address up to "address!": itself, and itself with white space after it, which all sorts before "!".
    let text = format!("{} WHERE {} AND {} ORDER BY {}", sql.select, sql.live, sql.email, sql.id);
    let bounds = [key.clone(), format!("{key}!"), format!(" {key}"), format!(" {key}!")];
    let bounds = bounds.each_ref().map(|bound| bound as &dyn ToSql);
    rows(link, &text, &bounds, bears)
}

/// The rows of a statement whose cells `keep` accepts.
pub(super) fn rows(
    link: &Link,
    text: &str,
    params: &[&dyn ToSql],
    keep: impl Fn(&[Cell<'_>]) -> bool,
) -> Result<Vec<Reading>, Fault> {
    let mut statement = link.conn.prepare_cached(text)?;
    let mut found = statement.query(params)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next()? {
        let cells = cells(row, link.sql.width)?;
        if keep(&cells) {
            rows.push(read_row(&link.layout, cells));
        }
    }
    Ok(rows)
}

/// Fills in what stands in other tables: interests that are rows, working groups.
pub(super) fn complete(link: &Link, rows: &mut [Reading]) -> Result<(), Fault> {
    let places: BTreeMap<String, usize> =
        rows.iter().enumerate().map(|(place, row)| (row.id().as_str().to_owned(), place)).collect();
    for chunk in 0..rows.len().div_ceil(KEYS_AT_ONCE) {
        let from = chunk * KEYS_AT_ONCE;
        let until = rows.len().min(from + KEYS_AT_ONCE);
        let keys = json_keys(rows[from..until].iter().map(Reading::id));
        if let Some(text) = &link.sql.interests {
            each_row_of(link, text, &keys, &places, |place, found| {
                let interest = Interest::new(&cell(found, 1)?.text(), &cell(found, 2)?.text());
                let is_mapped = link.layout.dimensions.contains(&interest.dimension);
                if let (Reading::Usable(row), true, false) =
                    (&mut rows[place], is_mapped, interest.name.is_empty())
                {
                    row.interests.insert(interest);
                }
                Ok(())
            })?;
        }
        if let Some(text) = &link.sql.groups {
            each_row_of(link, text, &keys, &places, |place, found| {
                if let Reading::Usable(row) = &mut rows[place] {
                    row.working_groups.get_or_insert_default().insert(cell(found, 1)?.text().into_owned());
                }
                Ok(())
            })?;
        }
    }
    Ok(())
}

/// Runs a statement over keys; rows of one key come together, so the place is looked up once for each.
fn each_row_of(
    link: &Link,
    text: &str,
    keys: &str,
    places: &BTreeMap<String, usize>,
    mut with: impl FnMut(usize, &Row<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut statement = link.conn.prepare_cached(text)?;
    let mut found = statement.query([keys])?;
    let mut last: Option<(Value, Option<usize>)> = None;
    while let Some(row) = found.next()? {
        let key = row.get_ref(0)?;
        let place = match &last {
            Some((value, place)) if ValueRef::from(value) == key => *place,
            _ => {
                let place = places.get(cell(row, 0)?.text().as_ref()).copied();
                last = Some((Value::try_from(key).unwrap_or(Value::Null), place));
                place
            }
        };
        if let Some(place) = place {
            with(place, row)?;
        }
    }
    Ok(())
}

/// The first `width` cells of a row.
pub(super) fn cells<'r>(row: &'r Row<'_>, width: usize) -> Result<Vec<Cell<'r>>, Fault> {
    if let ValueRef::Blob(_) = row.get_ref(0)? {
        let problem = "the key column holds binary keys; map a view that shows them as hex(…)";
        return Err(Fault::Mapping(problem.to_owned()));
    }
    (0..width).map(|place| cell(row, place)).collect()
}

/// One cell; bytes that are no UTF-8 are replaced.
pub(super) fn cell<'r>(row: &'r Row<'_>, place: usize) -> Result<Cell<'r>, Fault> {
    Ok(match row.get_ref(place)? {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Cell::Text(match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => String::from_utf8_lossy(bytes),
        }),
    })
}

/// The key in this cell.
pub(super) fn id_of(row: &Row<'_>, place: usize) -> Result<RegistrationId, Fault> {
    Ok(RegistrationId::new(cell(row, place)?.text()))
}

/// A key as SQLite compares it: numbers as numbers. A column's own type turns it into a text where it keeps texts.
pub(super) fn key_of(id: &RegistrationId) -> Value {
    match whole_number(id) {
        Some(number) => Value::Integer(number),
        None => Value::Text(id.as_str().to_owned()),
    }
}

/// Keys as a JSON array.
pub(super) fn json_keys<'i>(ids: impl Iterator<Item = &'i RegistrationId>) -> String {
    let key = |id: &RegistrationId| {
        whole_number(id).map_or_else(|| Json::String(id.as_str().to_owned()), Json::from)
    };
    Json::Array(ids.map(key).collect()).to_string()
}

fn whole_number(id: &RegistrationId) -> Option<i64> {
    id.as_str().parse().ok().filter(|number: &i64| number.to_string() == id.as_str())
}

fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl ToSql for Cell<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(number) => ToSqlOutput::Owned(Value::Integer(*number)),
            Self::Real(number) => ToSqlOutput::Owned(Value::Real(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(Cow::as_ref(text).as_bytes())),
        })
    }
}
