//! What is written into a row's cells, each in the form that its column has.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::model::{
    Dimension, Interest, InterestSet, Key, Registration, RegistrationId, SubscriptionStatus, Value,
};
use crate::registrations::NewRegistration;
use crate::registrations::catalogue::{Column, Kind, Zone};
use crate::registrations::cell::{Cell, FlagWord, flag_like};
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Layout, Standing};
use crate::registrations::link::Link;
use crate::registrations::lists::{ListCell, read_list};
use crate::registrations::times::{RFC_3339, TimeShape, shape_of, spell, write_time};
use crate::registrations::words::Word;
use crate::registrations::write::Set;

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
    match wanted.difference(now).find_map(|new| layout.homeless(new)) {
        Some(why) => Err(Fault::Refused(why)),
        None => Ok(wanted),
    }
}

/// What changes in the row's own cells to bring its interests about.
pub(super) fn cell_interests(
    link: &Link<'_>,
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
                    let list = read_list(column, &own_cell(link, column, &row.id)?);
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

/// What the column that says where a person stands is set to. A status that it cannot hold is refused: nothing else is written
/// in its place.
pub(super) fn standing(
    link: &Link<'_>,
    id: Option<&RegistrationId>,
    status: SubscriptionStatus,
    since: Option<Timestamp>,
) -> Result<Set, Fault> {
    let column = &link.layout.subscription;
    let wordless = || {
        Fault::Refused(format!("the column {:?} cannot hold {status}, and nothing else will do", column.name))
    };
    let cell = match &link.layout.standing {
        Standing::Words(words) => match words.word(status).ok_or_else(wordless)? {
            Word::Text(word) if word.is_empty() && column.nullable => Cell::Null,
            Word::Text(word) => Cell::owned(word.as_str()),
            Word::Flag(yes) => flag_like(&sample(link, column)?, FlagWord::from(*yes)),
        },
        Standing::LeftAt => match status {
            SubscriptionStatus::Subscribed => nothing(column),
            // Without a time it would say that they are subscribed.
            SubscriptionStatus::Unsubscribed => {
                time_cell(link, column, id, since.map_or_else(|| now(link), Ok)?)?
            }
            SubscriptionStatus::Pending
            | SubscriptionStatus::Cleaned
            | SubscriptionStatus::Transactional
            | SubscriptionStatus::Archived => return Err(wordless()),
        },
    };
    Ok((column.clone(), cell))
}

/// The present, by the store's clock.
fn now(link: &Link<'_>) -> Result<Timestamp, Fault> {
    Ok(Timestamp::from_millisecond(link.session.now()?).unwrap_or_default())
}

/// The cells of a new row.
pub(super) fn new_cells(
    link: &Link<'_>,
    new: &NewRegistration,
    interests: &InterestSet,
) -> Result<Vec<Set>, Fault> {
    let layout = link.layout;
    let mut sets = vec![
        (layout.email.clone(), Cell::owned(new.email.as_str())),
        standing(link, None, new.status, new.status_changed_at)?,
    ];
    sets.extend(layout.membership.clone().map(|column| (column, Cell::owned(new.membership.clone()))));
    if let (Some(column), Some(time)) = (&layout.subscription_changed_at, new.status_changed_at) {
        sets.push((column.clone(), time_cell(link, column, None, time)?));
    }
    let moment = now(link)?;
    for column in [&layout.created_at, &layout.updated_at].into_iter().flatten() {
        // Many frameworks write these themselves and leave them without a default.
        if !column.has_default {
            sets.push((column.clone(), time_cell(link, column, None, moment)?));
        }
    }
    for (tag, column) in layout.fields.iter().filter(|(_, column)| !column.is_generated) {
        let said = new.values.get(&Key::Field(tag.clone())).map(Value::as_text);
        match said.filter(|_| !layout.read_only.contains(tag)) {
            Some(text) if !text.is_empty() => sets.push((column.clone(), Cell::owned(text))),
            _ if !column.nullable && !column.has_default => sets.push((column.clone(), Cell::owned(""))),
            _ => (),
        }
    }
    sets.extend(new_interest_cells(link, interests)?);
    Ok(sets)
}

fn new_interest_cells(link: &Link<'_>, interests: &InterestSet) -> Result<Vec<Set>, Fault> {
    let mut sets = Vec::new();
    let must_say = |column: &Column| !column.nullable && !column.has_default;
    match &link.layout.interests {
        InterestPlace::Nowhere | InterestPlace::Rows { .. } => (),
        InterestPlace::Lists(columns) => {
            for (dimension, column) in columns {
                let names = names_of(interests, dimension);
                if !names.is_empty() || must_say(column) {
                    let list = read_list(column, &Cell::Null).unwrap_or(ListCell::Empty);
                    sets.push((column.clone(), list_cell(link, column, &list, &names)?));
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
    link: &Link<'_>,
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
    let dialect = link.session.dialect();
    let Some(key) = dialect.key(registration_id, id) else { return Ok(()) };
    // Compared as they are read, and removed as they are spelled: white space around a name is not ours to judge.
    let has_key = dialect.key_in("i", registration_id);
    let shown = [dimension, interest].map(|column| dialect.shown("i", column));
    let query = link
        .query(format!("SELECT {} FROM {} AS i WHERE {has_key} = ", shown.join(", "), table.sql))
        .bind_to(registration_id, key.clone())
        .of_values();
    let mut dropped = Vec::new();
    link.session.each(&query, &mut |cells| {
        let [dimension, interest] = [0, 1].map(|at| cells.get(at).map(Cell::text).unwrap_or_default());
        let read = Interest::new(&dimension, &interest);
        if now.contains(&read) && !wanted.contains(&read) {
            dropped.push([dimension.into_owned(), interest.into_owned()]);
        }
        Ok(())
    })?;
    for [old_dimension, old_interest] in dropped {
        let query = link
            .query(dialect.delete(&table.sql, "i"))
            .push(&format!("{has_key} = "))
            .bind_to(registration_id, key.clone())
            .push(&format!(" AND {} = ", dialect.of("i", dimension)))
            .bind_to(dimension, Cell::owned(old_dimension))
            .push(&format!(" AND {} = ", dialect.of("i", interest)))
            .bind_to(interest, Cell::owned(old_interest));
        link.session.execute(&query)?;
    }
    let names = [registration_id, dimension, interest].map(|column| dialect.quoted(&column.name));
    for new in wanted.difference(now) {
        let query = link
            .query(format!("INSERT INTO {} ({}) VALUES (", table.sql, names.join(", ")))
            .bind_to(registration_id, key.clone())
            .push(", ")
            .bind_to(dimension, Cell::owned(new.dimension.as_str()))
            .push(", ")
            .bind_to(interest, Cell::owned(new.name.clone()));
        link.session.execute(&query.push(")"))?;
    }
    Ok(())
}

/// Makes the working groups of a row exactly these.
pub(super) fn group_rows(
    link: &Link<'_>,
    id: &RegistrationId,
    wanted: &BTreeSet<String>,
) -> Result<(), Fault> {
    let Some((table, key_column, name)) = &link.layout.groups else { return Ok(()) };
    let dialect = link.session.dialect();
    let Some(key) = dialect.key(key_column, id) else { return Ok(()) };
    let (has_key, has_name) = (dialect.key_in("g", key_column), dialect.of("g", name));
    let query = link
        .query(format!("SELECT {} FROM {} AS g WHERE {has_key} = ", dialect.shown("g", name), table.sql))
        .bind_to(key_column, key.clone())
        .of_values();
    let mut now = BTreeSet::new();
    link.session.each(&query, &mut |cells| {
        now.extend(cells.first().map(|cell| cell.text().into_owned()));
        Ok(())
    })?;
    for old in now.difference(wanted) {
        let query = link
            .query(dialect.delete(&table.sql, "g"))
            .push(&format!("{has_key} = "))
            .bind_to(key_column, key.clone())
            .push(&format!(" AND {has_name} = "))
            .bind_to(name, Cell::owned(old.clone()));
        link.session.execute(&query)?;
    }
    let names = [key_column, name].map(|column| dialect.quoted(&column.name));
    for new in wanted.difference(&now) {
        let query = link
            .query(format!("INSERT INTO {} ({}) VALUES (", table.sql, names.join(", ")))
            .bind_to(key_column, key.clone())
            .push(", ")
            .bind_to(name, Cell::owned(new.clone()));
        link.session.execute(&query.push(")"))?;
    }
    Ok(())
}

/// A consent time as the column writes times; nothing for none.
pub(super) fn consent_time(
    link: &Link<'_>,
    column: &Column,
    id: &RegistrationId,
    time: Option<Timestamp>,
) -> Result<Cell<'static>, Fault> {
    let Some(time) = time else { return Ok(nothing(column)) };
    time_cell(link, column, Some(id), time)
}

/// NULL, or an empty text where the column refuses it.
pub(super) fn nothing(column: &Column) -> Cell<'static> {
    if column.nullable { Cell::Null } else { Cell::owned("") }
}

/// A time as the column keeps it, or else writes it.
fn time_cell(
    link: &Link<'_>,
    column: &Column,
    id: Option<&RegistrationId>,
    time: Timestamp,
) -> Result<Cell<'static>, Fault> {
    let zone = link.layout.zone.as_ref();
    let civil = |zone: Option<&TimeZone>| zone.unwrap_or(&TimeZone::UTC).to_datetime(time);
    Ok(match column.kind {
        // The sessions' zone is UTC.
        Kind::Time { zone: Zone::Utc, digits } => Cell::owned(spell(civil(None), ' ', digits)),
        Kind::Time { zone: Zone::Unsaid, digits } => Cell::owned(spell(civil(zone), ' ', digits)),
        Kind::Date => Cell::owned(civil(zone).date().to_string()),
        _ => write_time(time, time_shape(link, column, id)?, zone),
    })
}

/// How times are written: as in the row itself, else elsewhere in the column, else in another column of times.
fn time_shape(link: &Link<'_>, column: &Column, id: Option<&RegistrationId>) -> Result<TimeShape, Fault> {
    if let Some(id) = id
        && let Some(shape) = shape_of(&own_cell(link, column, id)?)
    {
        return Ok(shape);
    }
    let layout = link.layout;
    let others = [&layout.signup_at, &layout.created_at, &layout.updated_at];
    for other in [Some(column)].into_iter().chain(others.map(Option::as_ref)).flatten() {
        if is_alike(other.kind, column.kind)
            && let Some(shape) = shape_of(&sample(link, other)?)
        {
            return Ok(shape);
        }
    }
    Ok(if column.kind == Kind::Integer { TimeShape::Seconds } else { RFC_3339 })
}

/// Whether what is written in a column of the one kind can be written in one of the other.
fn is_alike(a: Kind, b: Kind) -> bool {
    let is_any = |kind| matches!(kind, Kind::Loose | Kind::Untyped);
    a == b || is_any(a) && is_any(b)
}

fn list_cell(
    link: &Link<'_>,
    column: &Column,
    list: &ListCell,
    names: &BTreeSet<String>,
) -> Result<Cell<'static>, Fault> {
    let sample = match list {
        ListCell::Empty => read_list(column, &sample(link, column)?).unwrap_or(ListCell::Empty),
        ListCell::Json(_) | ListCell::Array(_) | ListCell::Commas(..) | ListCell::One(_) => ListCell::Empty,
    };
    let cell = list
        .with(names, &sample)
        .map_err(|bad| Fault::Refused(format!("the column {:?} {}", column.name, bad.0)))?;
    Ok(if cell == Cell::Null { nothing(column) } else { cell })
}

/// The row's own cell in a column.
fn own_cell(link: &Link<'_>, column: &Column, id: &RegistrationId) -> Result<Cell<'static>, Fault> {
    let dialect = link.session.dialect();
    let Some(key) = dialect.key(&link.layout.id, id) else { return Ok(Cell::Null) };
    let text = format!("SELECT {} {} WHERE {} = ", dialect.shown("r", column), link.sql.from, link.sql.id);
    link.first(&link.query(text).bind_to(&link.layout.id, key).of_values())
}

/// Any cell of a column that says something.
fn sample(link: &Link<'_>, column: &Column) -> Result<Cell<'static>, Fault> {
    let dialect = link.session.dialect();
    let (shown, says) = (dialect.shown("r", column), dialect.says("r", column));
    link.first(&link.query(format!("SELECT {shown} {} WHERE {says} LIMIT 1", link.sql.from)).of_values())
}

fn names_of(interests: &InterestSet, dimension: &Dimension) -> BTreeSet<String> {
    let of_it = interests.iter().filter(|interest| interest.dimension == *dimension);
    of_it.map(|interest| interest.name.clone()).collect()
}
