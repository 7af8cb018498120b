//! The incremental reading: what changed since a cursor, and which rows are gone.

use crate::model::RegistrationId;
use crate::registrations::catalogue::{Column, Kind, Zone};
use crate::registrations::cell::Cell;
use crate::registrations::decode::read_row;
use crate::registrations::fault::Fault;
use crate::registrations::link::{Link, Moment, Purpose, owned};
use crate::registrations::position::{
    Again, From, Mark, Next, Position, Stamp, after_page, next_page, sorts_by_time,
};
use crate::registrations::query::Query;
use crate::registrations::read::{complete, id_of, limit_of};
use crate::registrations::times::{OffsetShape, TimeShape, shape_of};
use crate::registrations::{Changes, LocalCursor, Reading};

/// A cursor at the present.
pub(super) fn cursor(link: &Link<'_>) -> Result<LocalCursor, Fault> {
    // The clock first: whoever begins to write after it is seen, or dates rows after it.
    let Moment { now, horizon } = link.session.moment()?;
    let (top, removed) =
        link.within(Purpose::Read, || Ok((top(link)?, last_removal(link)?.unwrap_or_default())))?;
    let comes_late = !link.session.dialect().commits_in_order();
    // A removal that somebody is about to commit may have been counted before the last: then all are read once more.
    let removed = if comes_late && horizon != Some(now) { 0 } else { removed };
    let position = Position {
        top,
        seen: now,
        settled: false,
        // Where nobody can say since when a writer is at work, everything may still come.
        started: horizon.unwrap_or_default(),
        walk: None,
        removed,
        again: comes_late.then_some(Again { proved: removed, seen: removed, at: now }),
    };
    cursor_of(&position)
}

/// The changes since a cursor; `None` where the column does not tell them.
pub(super) fn changes(link: &Link<'_>, cursor: &LocalCursor, limit: usize) -> Result<Option<Changes>, Fault> {
    // A cursor of another version tells nothing: the full reading that follows makes a new one.
    let Ok(position) = serde_json::from_str::<Position>(&cursor.0) else { return Ok(None) };
    let Some(column) = &link.layout.updated_at else { return Ok(None) };
    // Whoever is at work counts where a walk begins.
    let moment = match &position.walk {
        Some(walk) => Moment { now: link.session.now()?, horizon: Some(walk.started) },
        None => link.session.moment()?,
    };
    // A clock that was set back dates new rows before those already seen.
    if moment.now < position.started {
        return Ok(None);
    }
    link.within(Purpose::Read, || page_of_changes(link, column, position, moment, limit.max(1)))
}

fn page_of_changes(
    link: &Link<'_>,
    column: &Column,
    position: Position,
    moment: Moment,
    limit: usize,
) -> Result<Option<Changes>, Fault> {
    let Some(shape) = shape(link, column, &position)? else { return Ok(None) };
    let from = match shape {
        Shape::NoRows => From::Beginning,
        Shape::Of(shape) => next_page(&position, shape, link.layout.zone.as_ref(), link.overlap, moment.now),
    };
    let Some(mut page) = read_page(link, &from, shape, limit)? else { return Ok(None) };
    let removals = removals(link, position.removed, limit)?;
    page.removed.extend(removals.gone);
    complete(link, &mut page.rows)?;
    let more = page.count == limit || removals.is_full;
    let started = moment.horizon.unwrap_or(position.started);
    let next = if more { Next::Page } else { Next::Walk };
    let mut position = after_page(position, page.last, started, link.overlap, removals.until, next);
    if let (Next::Walk, Some(again)) = (next, position.again) {
        let again = again.after(position.removed, started, moment.now, link.overlap);
        (position.removed, position.again) = (again.proved, Some(again));
    }
    Ok(Some(Changes { rows: page.rows, removed: page.removed, next: cursor_of(&position)?, more }))
}

/// A page of changed rows.
#[derive(Default)]
struct RowPage {
    rows: Vec<Reading>,
    removed: Vec<RegistrationId>,
    last: Option<Mark>,
    count: usize,
    is_mixed: bool,
}

/// Reads a page; `None` where a row's time is in another form than the rest.
///
/// After a row, its own time comes first and later times then: one condition over both would pass by every row of that
/// time again on each page, and thousands can share one after an import.
fn read_page(link: &Link<'_>, from: &From, shape: Shape, limit: usize) -> Result<Option<RowPage>, Fault> {
    let (Some(column), Some(name)) = (&link.layout.updated_at, &link.sql.updated_at) else {
        return Ok(None);
    };
    let (id, mut page) = (&link.sql.id, RowPage::default());
    let begin = || link.query(changed(link));
    match from {
        From::Beginning => fill(link, begin().push(&format!("{id} IS NOT NULL")), shape, limit, &mut page)?,
        From::Since(stamp) => {
            let query = begin().push(&format!("{name} >= ")).bind_to(column, stamp.cell());
            fill(link, query, shape, limit, &mut page)?;
        }
        From::After(mark) => {
            let key = RegistrationId::new(mark.id.clone());
            let Some(key) = link.session.dialect().key(&link.layout.id, &key) else { return Ok(None) };
            let same = begin()
                .push(&format!("{name} = "))
                .bind_to(column, mark.stamp.cell())
                .push(&format!(" AND {id} > "))
                .bind_to(&link.layout.id, key);
            fill(link, same, shape, limit, &mut page)?;
            let later = begin().push(&format!("{name} > ")).bind_to(column, mark.stamp.cell());
            fill(link, later, shape, limit, &mut page)?;
        }
    }
    Ok((!page.is_mixed).then_some(page))
}

/// The beginning of a reading of changed rows, up to its condition.
fn changed(link: &Link<'_>) -> String {
    let sql = link.sql;
    let shown = sql.shown_updated_at.as_deref().unwrap_or("NULL");
    format!("SELECT {}, {shown}, {} {} WHERE ", sql.columns, sql.live, sql.from)
}

/// Adds rows up to the limit.
fn fill(link: &Link<'_>, query: Query, shape: Shape, limit: usize, page: &mut RowPage) -> Result<(), Fault> {
    let (sql, room) = (link.sql, limit.saturating_sub(page.count));
    if page.is_mixed || room == 0 {
        return Ok(());
    }
    let name = sql.updated_at.as_deref().unwrap_or("NULL");
    let query = query.push(&format!(" ORDER BY {name}, {} LIMIT ", sql.id)).bind(limit_of(room));
    link.session.each(&query, &mut |cells| {
        let [row @ .., stamp, live] = cells else { return Ok(()) };
        let is_like_the_rest = match (shape, shape_of(stamp)) {
            (Shape::Of(rest), Some(own)) => sorts_by_time(rest, own),
            _ => false,
        };
        let (true, Some(stamp), Some(id)) = (is_like_the_rest, Stamp::of(stamp), row.first()) else {
            page.is_mixed = true;
            return Ok(());
        };
        let id = id_of(id);
        page.last = Some(Mark { stamp, id: id.as_str().to_owned() });
        if live.flag() == Some(true) {
            page.rows.push(read_row(link.layout, row.iter().cloned()));
        } else {
            page.removed.push(id);
        }
        page.count += 1;
        Ok(())
    })
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
fn shape(link: &Link<'_>, column: &Column, position: &Position) -> Result<Option<Shape>, Fault> {
    let Some(name) = &link.sql.updated_at else { return Ok(None) };
    let from = &link.sql.from;
    let exists = |query: Query| Ok::<_, Fault>(link.first(&query.push(")"))?.flag() == Some(true));
    let among = || link.query(format!("SELECT EXISTS (SELECT 1 {from} WHERE {name} "));
    if exists(among().push("IS NULL"))? {
        return Ok(None);
    }
    match column.kind {
        // The type says it all.
        Kind::Time { zone, digits } => {
            let offset = match zone {
                Zone::Utc => OffsetShape::Utc,
                Zone::Unsaid => OffsetShape::Missing,
            };
            return Ok(Some(Shape::Of(TimeShape::Text { separator: ' ', offset, digits })));
        }
        Kind::Loose | Kind::Untyped | Kind::Integer => (),
        // Texts sort by a collation, dates hide all changes of a day.
        Kind::Text(_) | Kind::Flag | Kind::Date | Kind::Binary | Kind::Uuid => return Ok(None),
        Kind::Json | Kind::Array | Kind::Set | Kind::Other => return Ok(None),
    }
    let end = |way: &str| -> Result<Option<TimeShape>, Fault> {
        let shown = link.sql.shown_updated_at.as_deref().unwrap_or(name);
        let text = format!("SELECT {shown} {from} ORDER BY {name} {way} LIMIT 1");
        let mut end = None;
        link.session.each(&link.query(text).of_values(), &mut |cells| {
            end = cells.first().map(|cell| shape_of(cell).unwrap_or(TimeShape::Other));
            Ok(())
        })?;
        Ok(end)
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
        let today = among()
            .push(">= ")
            .bind(Cell::owned(format!("{day} ")))
            .push(&format!(" AND {name} < "))
            .bind(Cell::owned(format!("{day}!")));
        if exists(today)? {
            return Ok(None);
        }
    }
    Ok(Some(Shape::Of(first)))
}

/// Removals that were read.
#[derive(Default)]
struct Removed {
    /// How far.
    until: i64,
    /// The keys that no row bears.
    gone: Vec<RegistrationId>,
    /// Whether there may be more.
    is_full: bool,
}

/// The removals after a position that stand.
fn removals(link: &Link<'_>, after: i64, limit: usize) -> Result<Removed, Fault> {
    let Some(text) = &link.sql.removals else { return Ok(Removed { until: after, ..Removed::default() }) };
    // The table was trimmed, and its positions began anew.
    let after = if last_removal(link)?.unwrap_or_default() < after { 0 } else { after };
    let query = link
        .query(text)
        .push(" > ")
        .bind(Cell::Integer(after))
        .push(&format!(" ORDER BY {} LIMIT ", link.sql.position))
        .bind(limit_of(limit));
    let (mut removed, mut count) = (Removed { until: after, ..Removed::default() }, 0);
    link.session.each(&query, &mut |cells| {
        if let [Cell::Integer(position), key, there] = cells {
            removed.until = *position;
            if there.flag() != Some(true) {
                removed.gone.push(id_of(key));
            }
            count += 1;
        }
        Ok(())
    })?;
    removed.is_full = count == limit;
    Ok(removed)
}

fn last_removal(link: &Link<'_>) -> Result<Option<i64>, Fault> {
    let Some(text) = &link.sql.last_removal else { return Ok(None) };
    match link.first(&link.query(text))? {
        Cell::Integer(last) => Ok(Some(last)),
        Cell::Null | Cell::Real(_) | Cell::Text(_) => Ok(None),
    }
}

/// The row that sorts last by time.
fn top(link: &Link<'_>) -> Result<Option<Mark>, Fault> {
    let sql = link.sql;
    let (Some(name), Some(shown)) = (&sql.updated_at, &sql.shown_updated_at) else { return Ok(None) };
    let text = format!(
        "SELECT {shown}, {} {} WHERE {name} IS NOT NULL ORDER BY {name} DESC, {} DESC LIMIT 1",
        sql.shown_id, sql.from, sql.id
    );
    let mut found = None;
    link.session.each(&link.query(text).of_values(), &mut |cells| {
        if let [stamp, id] = cells {
            found = Stamp::of(&owned(stamp)).map(|stamp| Mark { stamp, id: id_of(id).as_str().to_owned() });
        }
        Ok(())
    })?;
    Ok(found)
}

fn cursor_of(position: &Position) -> Result<LocalCursor, Fault> {
    let text = serde_json::to_string(position).map_err(|error| Fault::Failed(Box::new(error)))?;
    Ok(LocalCursor(text))
}
