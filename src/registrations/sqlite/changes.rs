//! The incremental reading: what changed since a cursor, and which rows are gone.

use rusqlite::{OptionalExtension, ToSql};

use crate::model::RegistrationId;
use crate::registrations::cell::Cell;
use crate::registrations::decode::read_row;
use crate::registrations::sqlite::fault::Fault;
use crate::registrations::sqlite::link::Link;
use crate::registrations::sqlite::position::{
    From, Mark, Next, Position, Stamp, after_page, next_page, sorts_by_time,
};
use crate::registrations::sqlite::read::{cell, cells, complete, id_of, key_of};
use crate::registrations::times::{TimeShape, shape_of};
use crate::registrations::{Changes, LocalCursor, Reading};

/// A cursor at the present.
pub(super) fn cursor(link: &mut Link) -> Result<LocalCursor, Fault> {
    let transaction = link.conn.unchecked_transaction()?;
    let now = now(link)?;
    let position = Position {
        top: top(link)?,
        seen: now,
        settled: false,
        started: now,
        walk: None,
        removed: last_removal(link)?,
    };
    transaction.commit()?;
    cursor_of(&position)
}

/// The changes since a cursor; `None` where the column does not tell them.
pub(super) fn changes(link: &mut Link, cursor: &LocalCursor, limit: usize) -> Result<Option<Changes>, Fault> {
    // A cursor of another version tells nothing: the full reading that follows makes a new one.
    let Ok(position) = serde_json::from_str::<Position>(&cursor.0) else { return Ok(None) };
    let transaction = link.conn.unchecked_transaction()?;
    let now = now(link)?;
    let Some(column) = link.sql.updated_at.clone() else { return Ok(None) };
    // A clock that was set back dates new rows before those already seen.
    if now < position.started {
        return Ok(None);
    }
    let Some(shape) = shape(link, &column, &position)? else { return Ok(None) };
    let from = match shape {
        Shape::NoRows => From::Beginning,
        Shape::Of(shape) => next_page(&position, shape, link.layout.zone.as_ref(), link.overlap, now),
    };
    let limit = limit.max(1);
    let Some(mut page) = read_page(link, &column, &from, shape, limit)? else { return Ok(None) };
    let (removed_until, mut gone, full) = removals(link, position.removed, limit)?;
    page.removed.append(&mut gone);
    complete(link, &mut page.rows)?;
    transaction.commit()?;
    let more = page.count == limit || full;
    let started = position.walk.as_ref().map_or(now, |walk| walk.started);
    let next = if more { Next::Page } else { Next::Walk };
    let position = after_page(position, page.last, started, link.overlap, removed_until, next);
    Ok(Some(Changes { rows: page.rows, removed: page.removed, next: cursor_of(&position)?, more }))
}

/// A page of changed rows.
#[derive(Default)]
struct RowPage {
    rows: Vec<Reading>,
    removed: Vec<RegistrationId>,
    last: Option<Mark>,
    count: usize,
}

/// Reads a page; `None` where a row's time is in another form than the rest.
///
/// After a row, its own time comes first and later times then: one condition over both would pass by every row of that
/// time again on each page, and thousands can share one after an import.
fn read_page(
    link: &Link,
    column: &str,
    from: &From,
    shape: Shape,
    limit: usize,
) -> Result<Option<RowPage>, Fault> {
    let id = &link.sql.id;
    let mut page = RowPage::default();
    let is_uniform = match from {
        From::Beginning => fill(link, column, &format!("{id} IS NOT NULL"), &[], shape, limit, &mut page)?,
        From::Since(stamp) => {
            fill(link, column, &format!("{column} >= ?2"), &[&stamp.cell()], shape, limit, &mut page)?
        }
        From::After(mark) => {
            let (stamp, key) = (mark.stamp.cell(), key_of(&RegistrationId::new(mark.id.clone())));
            let same = format!("{column} = ?2 AND {id} > ?3");
            let later = format!("{column} > ?2");
            fill(link, column, &same, &[&stamp, &key], shape, limit, &mut page)?
                && fill(link, column, &later, &[&stamp], shape, limit, &mut page)?
        }
    };
    Ok(is_uniform.then_some(page))
}

/// Adds rows up to the limit; false where a row's time is in another form than the rest.
fn fill(
    link: &Link,
    column: &str,
    condition: &str,
    bounds: &[&dyn ToSql],
    shape: Shape,
    limit: usize,
    page: &mut RowPage,
) -> Result<bool, Fault> {
    let sql = &link.sql;
    let text = format!(
        "SELECT {columns}, {column}, {live} {from} WHERE {condition} ORDER BY {column}, {id} LIMIT ?1",
        columns = sql.columns,
        live = sql.live,
        from = sql.from,
        id = sql.id
    );
    let room = i64::try_from(limit.saturating_sub(page.count)).unwrap_or(i64::MAX);
    let mut params: Vec<&dyn ToSql> = vec![&room];
    params.extend(bounds);
    let mut statement = link.conn.prepare_cached(&text)?;
    let mut found = statement.query(params.as_slice())?;
    while let Some(row) = found.next()? {
        let stamp = cell(row, sql.width)?;
        let is_like_the_rest = match (shape, shape_of(&stamp)) {
            (Shape::Of(rest), Some(own)) => sorts_by_time(rest, own),
            _ => false,
        };
        let (true, Some(stamp)) = (is_like_the_rest, Stamp::of(&stamp)) else { return Ok(false) };
        let id = id_of(row, 0)?;
        page.last = Some(Mark { stamp, id: id.as_str().to_owned() });
        if row.get(sql.width + 1)? {
            page.rows.push(read_row(&link.layout, cells(row, sql.width)?));
        } else {
            page.removed.push(id);
        }
        page.count += 1;
    }
    Ok(true)
}

/// How the column is written.
#[derive(Clone, Copy)]
enum Shape {
    /// There is no row.
    NoRows,
    /// Like this.
    Of(TimeShape),
}

/// How the column is written; `None` where it does not sort by time.
///
/// Asks only for what an index answers at once: a row without a time, the two ends, and rows in another form that
/// would sort below the present ones and never be seen.
fn shape(link: &Link, column: &str, position: &Position) -> Result<Option<Shape>, Fault> {
    let from = &link.sql.from;
    let exists = |condition: &str, bounds: &[&dyn ToSql]| -> rusqlite::Result<bool> {
        let text = format!("SELECT EXISTS (SELECT 1 {from} WHERE {condition})");
        link.conn.prepare_cached(&text)?.query_row(bounds, |row| row.get(0))
    };
    if exists(&format!("{column} IS NULL"), &[])? {
        return Ok(None);
    }
    let end = |way: &str| -> Result<Option<TimeShape>, Fault> {
        let text = format!("SELECT {column} {from} ORDER BY {column} {way} LIMIT 1");
        let mut statement = link.conn.prepare_cached(&text)?;
        let mut rows = statement.query([])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(shape_of(&cell(row, 0)?).unwrap_or(TimeShape::Other)))
    };
    let (Some(first), Some(last)) = (end("ASC")?, end("DESC")?) else { return Ok(Some(Shape::NoRows)) };
    if !sorts_by_time(first, last) {
        return Ok(None);
    }
    // "2026-03-01 12:00" sorts before "2026-03-01T00:00": a column that changed its separator today hides new rows.
    if let (TimeShape::Text { separator: 'T' | 't', .. }, Some(Stamp::Text(top))) =
        (first, position.top.as_ref().map(|mark| &mark.stamp))
    {
        let day = top.get(..10).unwrap_or_default();
        let bounds = [format!("{day} "), format!("{day}!")];
        if exists(&format!("{column} >= ?1 AND {column} < ?2"), &[&bounds[0], &bounds[1]])? {
            return Ok(None);
        }
    }
    Ok(Some(Shape::Of(first)))
}

/// The removals after a position that stand: the new position, the keys that no row bears, whether there may be more.
fn removals(link: &Link, after: i64, limit: usize) -> Result<(i64, Vec<RegistrationId>, bool), Fault> {
    let Some(text) = &link.sql.removals else { return Ok((after, Vec::new(), false)) };
    // The table was trimmed, and its positions began anew.
    let after = if last_removal(link)? < after { 0 } else { after };
    let limit_value = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut statement = link.conn.prepare_cached(text)?;
    let mut found = statement.query([after, limit_value])?;
    let (mut until, mut gone, mut count) = (after, Vec::new(), 0);
    while let Some(row) = found.next()? {
        until = row.get(0)?;
        if !row.get::<_, bool>(2)? {
            gone.push(id_of(row, 1)?);
        }
        count += 1;
    }
    Ok((until, gone, count == limit))
}

fn last_removal(link: &Link) -> Result<i64, Fault> {
    let Some(text) = &link.sql.last_removal else { return Ok(0) };
    let last: Option<i64> = link.conn.prepare_cached(text)?.query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// The row that sorts last by time.
fn top(link: &Link) -> Result<Option<Mark>, Fault> {
    let (sql, Some(column)) = (&link.sql, &link.sql.updated_at) else { return Ok(None) };
    let (id, from) = (&sql.id, &sql.from);
    let text = format!("SELECT {column}, {id} {from} ORDER BY {column} DESC, {id} DESC LIMIT 1");
    let mut statement = link.conn.prepare_cached(&text)?;
    let found = statement
        .query_row([], |row| {
            let stamp = match row.get_ref(0)? {
                rusqlite::types::ValueRef::Integer(number) => Cell::Integer(number),
                rusqlite::types::ValueRef::Text(text) => Cell::owned(String::from_utf8_lossy(text)),
                _ => Cell::Null,
            };
            Ok((Stamp::of(&stamp), id_of(row, 1)))
        })
        .optional()?;
    let Some((Some(stamp), id)) = found else { return Ok(None) };
    Ok(Some(Mark { stamp, id: id?.as_str().to_owned() }))
}

/// The store's clock, in milliseconds since 1970: the one that its triggers and defaults date rows by.
pub(super) fn now(link: &Link) -> Result<i64, Fault> {
    let text = "SELECT CAST(round(unixepoch('now', 'subsec') * 1000) AS INTEGER)";
    Ok(link.conn.prepare_cached(text)?.query_row([], |row| row.get(0))?)
}

fn cursor_of(position: &Position) -> Result<LocalCursor, Fault> {
    let text = serde_json::to_string(position).map_err(|error| Fault::Away(Box::new(error)))?;
    Ok(LocalCursor(text))
}
