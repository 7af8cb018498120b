//! Writing rows: compare-and-set on what was observed, creation, notes, erasure; each in one transaction.

use crate::model::{Key, Registration, RegistrationId, SubscriptionStatus, UnusableRegistration};
use crate::registrations::catalogue::{Column, Kind};
use crate::registrations::cell::Cell;
use crate::registrations::cells::{
    cell_interests, consent_time, group_rows, interest_rows, new_cells, nothing, standing, wanted_interests,
};
use crate::registrations::fault::Fault;
use crate::registrations::layout::{InterestPlace, Standing};
use crate::registrations::link::{Link, Purpose};
use crate::registrations::query::Query;
use crate::registrations::read::{bearers, by_key, id_of, lock};
use crate::registrations::{CreateOutcome, NewRegistration, Reading, RowChanges, WriteOutcome};

/// A column and what it is set to.
pub(super) type Set = (Column, Cell<'static>);

/// Writes `changes` to the row that was observed as `seen`, if it still is as observed.
pub(super) fn write(
    link: &Link<'_>,
    seen: &Registration,
    changes: &RowChanges,
) -> Result<WriteOutcome, Fault> {
    match link.within(Purpose::Write, || compare_and_set(link, seen, changes)) {
        // Whoever was faster changed the row after it was observed.
        Err(Fault::Raced(_)) => Ok(WriteOutcome::Changed),
        outcome => outcome,
    }
}

fn compare_and_set(
    link: &Link<'_>,
    seen: &Registration,
    changes: &RowChanges,
) -> Result<WriteOutcome, Fault> {
    let row = match lock(link, &seen.id)? {
        None => return Ok(WriteOutcome::Gone),
        Some(Reading::Unusable(row)) => return write_opt_out(link, &row, changes),
        Some(Reading::Usable(row)) => row,
    };
    if !is_as_seen(seen, &row) {
        return Ok(WriteOutcome::Changed);
    }
    let interests = wanted_interests(link.layout, &row.interests, &changes.values)?;
    let mut sets = row_sets(link, &row, changes)?;
    sets.extend(cell_interests(link, &row, &interests)?);
    update(link, &row.id, sets)?;
    date_consent(link, &row, changes)?;
    interest_rows(link, &row.id, &row.interests, &interests)?;
    if let Some(groups) = &changes.working_groups {
        group_rows(link, &row.id, groups)?;
    }
    let written = stands(link, &row.id)?;
    if let Some((status, _)) = changes.status {
        said_so(status, Some(written.status))?;
    }
    Ok(WriteOutcome::Written(Box::new(written)))
}

/// Writes the status and its time, if that is an opt-out, into a row of which nothing else can be told.
fn write_opt_out(
    link: &Link<'_>,
    row: &UnusableRegistration,
    changes: &RowChanges,
) -> Result<WriteOutcome, Fault> {
    let Some((status @ (SubscriptionStatus::Unsubscribed | SubscriptionStatus::Cleaned), at)) =
        changes.status
    else {
        return Ok(WriteOutcome::Changed);
    };
    if row.status == Some(status) {
        return Ok(WriteOutcome::OptOutOnly);
    }
    let stands = standing(link, Some(&row.id), status, at)?;
    let time = match &link.layout.subscription_changed_at {
        Some(column) => Some((column.clone(), consent_time(link, column, &row.id, at)?)),
        None => None,
    };
    update(link, &row.id, [Some(stands), time.clone()].into_iter().flatten().collect())?;
    // A trigger may take a time that stays as it was for one that was not named.
    let time = time.filter(|_| row.status_changed_at == at);
    update(link, &row.id, time.into_iter().collect())?;
    match by_key(link, &row.id)? {
        Some(Reading::Usable(now)) => said_so(status, Some(now.status))?,
        Some(Reading::Unusable(now)) => said_so(status, now.status)?,
        None => (),
    }
    Ok(WriteOutcome::OptOutOnly)
}

/// Creates a registration unless a row with its address is there by now.
pub(super) fn create(link: &Link<'_>, new: &NewRegistration) -> Result<CreateOutcome, Fault> {
    let outcome = link.within(Purpose::Write, || {
        if bearers(link, &new.email)?.is_empty() { insert(link, new) } else { Ok(CreateOutcome::Exists) }
    });
    match outcome {
        // The website may have been faster, which a unique address tells.
        Err(Fault::Refused(said)) => match link.within(Purpose::Read, || bearers(link, &new.email))? {
            rows if rows.is_empty() => Err(Fault::Refused(said)),
            _ => Ok(CreateOutcome::Exists),
        },
        outcome => outcome,
    }
}

fn insert(link: &Link<'_>, new: &NewRegistration) -> Result<CreateOutcome, Fault> {
    let (dialect, layout) = (link.session.dialect(), link.layout);
    let none = std::collections::BTreeSet::new();
    let interests = wanted_interests(layout, &none, &new.values)?;
    let sets = new_cells(link, new, &interests)?;
    let columns: Vec<String> = sets.iter().map(|(column, _)| dialect.quoted(&column.name)).collect();
    let mut query = link.query(format!("INSERT INTO {} ({}) VALUES (", layout.table.sql, columns.join(", ")));
    for (at, (column, cell)) in sets.into_iter().enumerate() {
        query = if at > 0 { query.push(", ") } else { query };
        query = query.bind_to(&column, cell);
    }
    let Some(id) = inserted(link, query.push(")"), new)? else {
        let problem = "the register gives a new row no key by itself; give the key column a default";
        return Err(Fault::Refused(problem.to_owned()));
    };
    interest_rows(link, &id, &none, &interests)?;
    let created = stands(link, &id)?;
    said_so(new.status, Some(created.status))?;
    Ok(CreateOutcome::Created(Box::new(created)))
}

/// Inserts a row; its key, if it got one.
fn inserted(link: &Link<'_>, query: Query, new: &NewRegistration) -> Result<Option<RegistrationId>, Fault> {
    let (dialect, key) = (link.session.dialect(), &link.layout.id);
    let inserted = if dialect.returns_keys() {
        // Named without an alias: an inserted row has none.
        let shown = match key.kind {
            Kind::Loose | Kind::Untyped => dialect.quoted(&key.name),
            _ => format!("{}::text", dialect.quoted(&key.name)),
        };
        link.first(&query.push(&format!(" RETURNING {shown}"))).map(|cell| Some(id_of(&cell)))
    } else {
        // Nobody bore the address a moment ago: whoever bears it now is the new row.
        let bearer = || bearers(link, &new.email).map(|rows| rows.last().map(|row| row.id().clone()));
        link.session.execute(&query).and_then(|_| bearer())
    };
    match inserted {
        Err(Fault::Refused(said)) if !key.has_default && said.contains(&key.name) => Ok(None),
        inserted => Ok(inserted?.filter(|id| !id.as_str().is_empty())),
    }
}

/// Writes the note of a row, whether it is usable or not; nothing where no note is mapped.
pub(super) fn note(link: &Link<'_>, id: &RegistrationId, note: &str) -> Result<(), Fault> {
    let Some(column) = link.layout.sync_note.clone() else { return Ok(()) };
    link.within(Purpose::Write, || {
        let noted = match lock(link, id)? {
            None => return Ok(()),
            Some(Reading::Usable(row)) => row.sync_note,
            Some(Reading::Unusable(row)) => row.sync_note,
        };
        if noted.as_deref() == Some(note) {
            return Ok(());
        }
        let cell = text_or_nothing(&column, note);
        update(link, id, vec![(column, cell)])
    })
}

/// Takes rows that are gone or no longer live out of the table of working groups.
pub(super) fn drop_orphaned_groups(link: &Link<'_>) -> Result<u64, Fault> {
    let Some((table, key, _)) = &link.layout.groups else { return Ok(0) };
    let (sql, dialect) = (link.sql, link.session.dialect());
    let query = link.query(dialect.delete(&table.sql, "g")).push(&format!(
        "NOT EXISTS (SELECT 1 {} WHERE {} = {} AND {})",
        sql.from,
        sql.id,
        dialect.key_in("g", key),
        sql.live
    ));
    link.within(Purpose::Write, || link.session.execute(&query))
}

/// Removes rows for good, marked as removed or not, with all that hangs on them.
pub(super) fn erase(link: &Link<'_>, ids: &[RegistrationId]) -> Result<(), Fault> {
    let (layout, dialect) = (link.layout, link.session.dialect());
    let mut places = Vec::new();
    if let InterestPlace::Rows { table, registration_id, .. } = &layout.interests {
        places.push((table, registration_id));
    }
    places.extend(layout.groups.as_ref().map(|(table, key, _)| (table, key)));
    places.push((&layout.table, &layout.id));
    link.within(Purpose::Write, || {
        for (table, key) in &places {
            for value in ids.iter().filter_map(|id| dialect.key(key, id)) {
                let query = link.query(dialect.delete(&table.sql, "e")).push(&dialect.key_in("e", key));
                link.session.execute(&query.push(" = ").bind_to(key, value))?;
            }
        }
        Ok(())
    })
}

/// Whether a row is as it was observed. What Rosterd writes for itself does not count, nor does `updated_at`: where all
/// values are the same, nothing that matters has changed.
fn is_as_seen(seen: &Registration, row: &Registration) -> bool {
    let Registration {
        id,
        email,
        membership,
        status,
        status_changed_at,
        signup_ip,
        signup_at,
        created_at,
        updated_at: _,
        fields,
        interests,
        preferences_url: _,
        sync_note: _,
        working_groups: _,
    } = seen;
    *id == row.id
        && email.as_str() == row.email.as_str()
        && *membership == row.membership
        && *status == row.status
        && *status_changed_at == row.status_changed_at
        && *signup_ip == row.signup_ip
        && *signup_at == row.signup_at
        && *created_at == row.created_at
        && *fields == row.fields
        && *interests == row.interests
}

/// What changes in the row itself, interests left out.
fn row_sets(link: &Link<'_>, row: &Registration, changes: &RowChanges) -> Result<Vec<Set>, Fault> {
    let RowChanges { email, status, values, preferences_url, sync_note, working_groups: _ } = changes;
    let layout = link.layout;
    let mut sets = Vec::new();
    if let Some(email) = email.as_ref().filter(|email| email.as_str() != row.email.as_str()) {
        sets.push((layout.email.clone(), Cell::owned(email.as_str())));
    }
    if let Some((status, changed_at)) = status {
        sets.extend(status_sets(link, row, *status, *changed_at)?);
    }
    for (key, value) in values {
        if let Key::Field(tag) = key
            && row.fields.get(tag).map(String::as_str) != Some(value.as_text())
        {
            let column = layout.writable(tag).map_err(Fault::Refused)?;
            sets.push((column.clone(), text_or_nothing(column, value.as_text())));
        }
    }
    for (column, now, text) in [
        (&layout.preferences_url, &row.preferences_url, preferences_url),
        (&layout.sync_note, &row.sync_note, sync_note),
    ] {
        if let (Some(column), Some(text)) = (column, text)
            && now.as_ref() != Some(text)
        {
            sets.push((column.clone(), text_or_nothing(column, text)));
        }
    }
    Ok(sets)
}

/// A changed status goes with its time in one statement: else a trigger would take the moment of the write for it.
fn status_sets(
    link: &Link<'_>,
    row: &Registration,
    status: SubscriptionStatus,
    changed_at: Option<jiff::Timestamp>,
) -> Result<Vec<Set>, Fault> {
    let mut sets = Vec::new();
    // Where the column is the time of leaving, another time of it is another value; no time says nothing anew.
    let is_other_time = link.layout.standing == Standing::LeftAt
        && status == SubscriptionStatus::Unsubscribed
        && changed_at.is_some_and(|at| row.status_changed_at != Some(at));
    if status != row.status || is_other_time {
        sets.push(standing(link, Some(&row.id), status, changed_at)?);
    }
    if let Some(column) = &link.layout.subscription_changed_at
        && (status != row.status || changed_at != row.status_changed_at)
    {
        sets.push((column.clone(), consent_time(link, column, &row.id, changed_at)?));
    }
    Ok(sets)
}

/// Writes the consent time once more where a trigger overwrote it: one that looks for a changed time cannot tell a
/// statement that sets the time to what it was from one that does not name it.
fn date_consent(link: &Link<'_>, row: &Registration, changes: &RowChanges) -> Result<(), Fault> {
    let (Some((_, wanted)), Some(column)) = (changes.status, &link.layout.subscription_changed_at) else {
        return Ok(());
    };
    if wanted != row.status_changed_at {
        return Ok(());
    }
    match by_key(link, &row.id)? {
        Some(Reading::Usable(now)) if now.status_changed_at == wanted => Ok(()),
        _ => {
            let time = consent_time(link, column, &row.id, wanted)?;
            update(link, &row.id, vec![(column.clone(), time)])
        }
    }
}

/// Sets columns of one row, those named and no other.
fn update(link: &Link<'_>, id: &RegistrationId, sets: Vec<Set>) -> Result<(), Fault> {
    let (layout, dialect) = (link.layout, link.session.dialect());
    let Some(key) = dialect.key(&layout.id, id).filter(|_| !sets.is_empty()) else { return Ok(()) };
    let mut query = link.query(format!("UPDATE {} AS r SET ", layout.table.sql));
    for (at, (column, cell)) in sets.into_iter().enumerate() {
        let between = if at > 0 { ", " } else { "" };
        query = query.push(&format!("{between}{} = ", dialect.quoted(&column.name))).bind_to(&column, cell);
    }
    let query = query.push(&format!(" WHERE {} = ", link.sql.id)).bind_to(&layout.id, key);
    link.session.execute(&query).map(|_| ())
}

/// The row as it now stands; a write that leaves it unusable is taken back.
fn stands(link: &Link<'_>, id: &RegistrationId) -> Result<Registration, Fault> {
    match by_key(link, id)? {
        Some(Reading::Usable(row)) => Ok(row),
        Some(Reading::Unusable(row)) => {
            Err(Fault::Refused(format!("the row would be unusable: {}", row.problem)))
        }
        None => Err(Fault::Refused("the row would be gone".to_owned())),
    }
}

/// A write after which the row says another status than was written is taken back: a trigger may have set it, or the column
/// made something else of it.
fn said_so(wanted: SubscriptionStatus, said: Option<SubscriptionStatus>) -> Result<(), Fault> {
    match said {
        Some(said) if said == wanted => Ok(()),
        Some(said) => Err(Fault::Refused(format!("the row would say {said}, not {wanted}"))),
        None => Err(Fault::Refused(format!("the row would not say {wanted}"))),
    }
}

fn text_or_nothing(column: &Column, text: &str) -> Cell<'static> {
    if text.is_empty() { nothing(column) } else { Cell::owned(text) }
}
