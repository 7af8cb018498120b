//! What is written into a row's cells, each in the form that its column has.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::ToSql;

use crate::model::{Dimension, Interest, InterestSet, Key, Registration, RegistrationId, Value};
use crate::registrations::NewRegistration;
use crate::registrations::cell::{Cell, FlagWord, flag_like};
use crate::registrations::layout::{Column, InterestPlace, Layout};
use crate::registrations::lists::{ListCell, read_list};
use crate::registrations::sqlite::changes::now;
use crate::registrations::sqlite::fault::Fault;
use crate::registrations::sqlite::link::Link;
use crate::registrations::sqlite::read::{cell, key_of};
use crate::registrations::sqlite::statements::{key_in, of, quoted};
use crate::registrations::sqlite::write::Set;
use crate::registrations::times::{RFC_3339, shape_of, write_time};

/// The interests that a row is to have.
pub(super) fn wanted_interests(
    layout: &Layout,
    now: &InterestSet,
    values: &BTreeMap<Key, Value>,
) -> Result<InterestSet, Fault> {
    let mut wanted = now.clone();
    for (key, value) in values {
        match key {
            Key::Field(_) => (),
            Key::Choice(dimension) => {
                wanted.retain(|interest| interest.dimension != *dimension);
                if !value.is_empty() {
                    wanted.insert(Interest::new(dimension.as_str(), value.as_text()));
                }
            }
            Key::Interest(interest) if value.is_yes() => {
                wanted.insert(interest.clone());
            }
            Key::Interest(interest) => {
                wanted.remove(interest);
            }
        }
    }
    match wanted.difference(now).find(|new| !layout.holds(&Key::Interest((*new).clone()))) {
        Some(homeless) => Err(Fault::Refused(format!("no column is mapped for the interest {homeless}"))),
        None => Ok(wanted),
    }
}

/// What changes in the row's own cells to bring its interests about.
pub(super) fn cell_interests(
    link: &Link,
    row: &Registration,
    wanted: &InterestSet,
) -> Result<Vec<Set>, Fault> {
    let mut sets = Vec::new();
    match &link.layout.interests {
        InterestPlace::Nowhere | InterestPlace::Rows { .. } => (),
        InterestPlace::Lists(columns) => {
            for (dimension, column) in columns {
                let names = names_of(wanted, dimension);
                if names != names_of(&row.interests, dimension) {
                    let list = read_list(&own_cell(link, column, &row.id)?);
                    let list = list.unwrap_or(ListCell::Empty);
                    sets.push((column.clone(), list_cell(link, column, &list, &names)?));
                }
            }
        }
        InterestPlace::Flags(columns) => {
            for (interest, column) in columns {
                let yes = wanted.contains(interest);
                if yes != row.interests.contains(interest) {
                    let own = own_cell(link, column, &row.id)?;
                    let sample = if own == Cell::Null { sample(link, column)? } else { own };
                    sets.push((column.clone(), flag_like(&sample, FlagWord::from(yes))));
                }
            }
        }
    }
    Ok(sets)
}

/// The cells of a new row.
pub(super) fn new_cells(
    link: &Link,
    new: &NewRegistration,
    interests: &InterestSet,
) -> Result<Vec<Set>, Fault> {
    let layout = &link.layout;
    let mut sets = vec![
        (layout.email.clone(), Cell::owned(new.email.as_str())),
        (layout.subscription.clone(), Cell::owned(new.status.as_str())),
    ];
    sets.extend(layout.membership.clone().map(|column| (column, Cell::owned(new.membership.clone()))));
    if let (Some(column), Some(time)) = (&layout.subscription_changed_at, new.status_changed_at) {
        sets.push((column.clone(), write_time(time, time_shape(link, column, None)?, layout.zone.as_ref())));
    }
    let moment = Timestamp::from_millisecond(now(link)?).unwrap_or_default();
    for column in [&layout.created_at, &layout.updated_at].into_iter().flatten() {
        // Many frameworks write these themselves and leave them without a default.
        if !column.has_default {
            let shape = time_shape(link, column, None)?;
            sets.push((column.clone(), write_time(moment, shape, layout.zone.as_ref())));
        }
    }
    for (tag, column) in &layout.fields {
        match new.values.get(&Key::Field(tag.clone())).map(Value::as_text) {
            Some(text) if !text.is_empty() => sets.push((column.clone(), Cell::owned(text))),
            _ if !column.nullable && !column.has_default => sets.push((column.clone(), Cell::owned(""))),
            _ => (),
        }
    }
    sets.extend(new_interest_cells(link, interests)?);
    Ok(sets)
}

fn new_interest_cells(link: &Link, interests: &InterestSet) -> Result<Vec<Set>, Fault> {
    let mut sets = Vec::new();
    let must_say = |column: &Column| !column.nullable && !column.has_default;
    match &link.layout.interests {
        InterestPlace::Nowhere | InterestPlace::Rows { .. } => (),
        InterestPlace::Lists(columns) => {
            for (dimension, column) in columns {
                let names = names_of(interests, dimension);
                if !names.is_empty() || must_say(column) {
                    sets.push((column.clone(), list_cell(link, column, &ListCell::Empty, &names)?));
                }
            }
        }
        InterestPlace::Flags(columns) => {
            for (interest, column) in columns {
                let yes = interests.contains(interest);
                if yes || must_say(column) {
                    let word = flag_like(&sample(link, column)?, FlagWord::from(yes));
                    sets.push((column.clone(), word));
                }
            }
        }
    }
    Ok(sets)
}

/// Brings interests about that are rows; those of other dimensions stay.
pub(super) fn interest_rows(
    link: &Link,
    id: &RegistrationId,
    now: &InterestSet,
    wanted: &InterestSet,
) -> Result<(), Fault> {
    let InterestPlace::Rows { table, registration_id, dimension, interest } = &link.layout.interests else {
        return Ok(());
    };
    if now == wanted {
        return Ok(());
    }
    let (table, key) = (quoted(table), key_of(id));
    let names = [registration_id, dimension, interest].map(|column| quoted(&column.name));
    // Compared as they are read, and removed as they are spelled: white space around a name is not ours to judge.
    let has_key = key_in("i", registration_id);
    let [has_dimension, has_interest] = [dimension, interest].map(|column| of("i", column));
    let text = format!("SELECT {has_dimension}, {has_interest} FROM {table} AS i WHERE {has_key} = ?1");
    let mut dropped = Vec::new();
    {
        let mut statement = link.conn.prepare_cached(&text)?;
        let mut rows = statement.query([&key])?;
        while let Some(row) = rows.next()? {
            let spelled = [cell(row, 0)?.text().into_owned(), cell(row, 1)?.text().into_owned()];
            let read = Interest::new(&spelled[0], &spelled[1]);
            if now.contains(&read) && !wanted.contains(&read) {
                dropped.push(spelled);
            }
        }
    }
    let text = format!(
        "DELETE FROM {table} AS i WHERE {has_key} = ?1 AND {has_dimension} = ?2 AND {has_interest} = ?3"
    );
    for [dimension, interest] in dropped {
        link.conn.prepare_cached(&text)?.execute([&key as &dyn ToSql, &dimension, &interest])?;
    }
    let text = format!("INSERT INTO {table} ({}) VALUES (?1, ?2, ?3)", names.join(", "));
    for new in wanted.difference(now) {
        let params = [&key as &dyn ToSql, &new.dimension.as_str(), &new.name];
        link.conn.prepare_cached(&text)?.execute(params)?;
    }
    Ok(())
}

/// Makes the working groups of a row exactly these.
pub(super) fn group_rows(link: &Link, id: &RegistrationId, wanted: &BTreeSet<String>) -> Result<(), Fault> {
    let Some((table, key_column, name)) = &link.layout.groups else { return Ok(()) };
    let (table, key) = (quoted(table), key_of(id));
    let (has_key, has_name) = (key_in("g", key_column), of("g", name));
    let text = format!("SELECT {has_name} FROM {table} AS g WHERE {has_key} = ?1");
    let mut now = BTreeSet::new();
    {
        let mut statement = link.conn.prepare_cached(&text)?;
        let mut rows = statement.query([&key])?;
        while let Some(row) = rows.next()? {
            now.insert(cell(row, 0)?.text().into_owned());
        }
    }
    let text = format!("DELETE FROM {table} AS g WHERE {has_key} = ?1 AND {has_name} = ?2");
    for name in now.difference(wanted) {
        link.conn.prepare_cached(&text)?.execute([&key as &dyn ToSql, name])?;
    }
    let names = [key_column, name].map(|column| quoted(&column.name));
    let text = format!("INSERT INTO {table} ({}) VALUES (?1, ?2)", names.join(", "));
    for name in wanted.difference(&now) {
        link.conn.prepare_cached(&text)?.execute([&key as &dyn ToSql, name])?;
    }
    Ok(())
}

/// A consent time as the column writes times; nothing for none.
pub(super) fn consent_time(
    link: &Link,
    column: &Column,
    id: &RegistrationId,
    time: Option<Timestamp>,
) -> Result<Cell<'static>, Fault> {
    let Some(time) = time else { return Ok(nothing(column)) };
    Ok(write_time(time, time_shape(link, column, Some(id))?, link.layout.zone.as_ref()))
}

/// NULL, or an empty text where the column refuses it.
pub(super) fn nothing(column: &Column) -> Cell<'static> {
    if column.nullable { Cell::Null } else { Cell::owned("") }
}

/// How times are written: as in the row itself, else elsewhere in the column, else in another column of times.
fn time_shape(
    link: &Link,
    column: &Column,
    id: Option<&RegistrationId>,
) -> Result<crate::registrations::times::TimeShape, Fault> {
    if let Some(id) = id
        && let Some(shape) = shape_of(&own_cell(link, column, id)?)
    {
        return Ok(shape);
    }
    let layout = &link.layout;
    let others = [&layout.signup_at, &layout.created_at, &layout.updated_at];
    for column in [Some(column)].into_iter().chain(others.map(Option::as_ref)).flatten() {
        if let Some(shape) = shape_of(&sample(link, column)?) {
            return Ok(shape);
        }
    }
    Ok(RFC_3339)
}

fn list_cell(
    link: &Link,
    column: &Column,
    list: &ListCell,
    names: &BTreeSet<String>,
) -> Result<Cell<'static>, Fault> {
    let sample = match list {
        ListCell::Empty => read_list(&sample(link, column)?).unwrap_or(ListCell::Empty),
        ListCell::Json(_) | ListCell::Commas(..) => ListCell::Empty,
    };
    let cell = list
        .with(names, &sample)
        .map_err(|bad| Fault::Refused(format!("the column {:?} {}", column.name, bad.0)))?;
    Ok(if cell == Cell::Null { nothing(column) } else { cell })
}

/// The row's own cell in a column.
fn own_cell(link: &Link, column: &Column, id: &RegistrationId) -> Result<Cell<'static>, Fault> {
    let text = format!("SELECT {} {} WHERE {} = ?1", of("r", column), link.sql.from, link.sql.id);
    first_cell(link, &text, &[&key_of(id)])
}

/// Any cell of a column that says something.
fn sample(link: &Link, column: &Column) -> Result<Cell<'static>, Fault> {
    let column = of("r", column);
    let text = format!("SELECT {column} {} WHERE {column} <> '' AND {column} <> 0 LIMIT 1", link.sql.from);
    first_cell(link, &text, &[])
}

fn first_cell(link: &Link, text: &str, params: &[&dyn ToSql]) -> Result<Cell<'static>, Fault> {
    let mut statement = link.conn.prepare_cached(text)?;
    let mut rows = statement.query(params)?;
    let Some(row) = rows.next()? else { return Ok(Cell::Null) };
    Ok(match cell(row, 0)? {
        Cell::Null => Cell::Null,
        Cell::Integer(number) => Cell::Integer(number),
        Cell::Real(number) => Cell::Real(number),
        Cell::Text(text) => Cell::owned(text.into_owned()),
    })
}

fn names_of(interests: &InterestSet, dimension: &Dimension) -> BTreeSet<String> {
    let of_it = interests.iter().filter(|interest| interest.dimension == *dimension);
    of_it.map(|interest| interest.name.clone()).collect()
}
