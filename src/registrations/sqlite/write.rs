//! Writing rows: compare-and-set on what was observed, creation, notes, erasure; each in one transaction.

use rusqlite::{ToSql, Transaction, TransactionBehavior, params_from_iter};

use crate::model::{Registration, RegistrationId, SubscriptionStatus, UnusableRegistration};
use crate::registrations::cell::Cell;
use crate::registrations::layout::{Column, InterestPlace, Layout};
use crate::registrations::sqlite::cells::{
    cell_interests, consent_time, group_rows, interest_rows, new_cells, nothing, wanted_interests,
};
use crate::registrations::sqlite::fault::Fault;
use crate::registrations::sqlite::link::Link;
use crate::registrations::sqlite::read::{bearers, by_key, id_of, key_of};
use crate::registrations::sqlite::statements::{key_in, quoted};
use crate::registrations::{CreateOutcome, NewRegistration, Reading, RowChanges, WriteOutcome};

/// A column and what it is set to.
pub(super) type Set = (Column, Cell<'static>);

/// Writes `changes` to the row that was observed as `seen`, if it still is as observed.
pub(super) fn write(
    link: &mut Link,
    seen: &Registration,
    changes: &RowChanges,
) -> Result<WriteOutcome, Fault> {
    let transaction = begin(link)?;
    let row = match by_key(link, &seen.id)? {
        None => return Ok(WriteOutcome::Gone),
        Some(Reading::Unusable(row)) => {
            let outcome = write_opt_out(link, &row, changes)?;
            transaction.commit()?;
            return Ok(outcome);
        }
        Some(Reading::Usable(row)) => row,
    };
    if !is_as_seen(seen, &row) {
        return Ok(WriteOutcome::Changed);
    }
    let interests = wanted_interests(&link.layout, &row.interests, &changes.values)?;
    let mut sets = row_sets(link, &row, changes)?;
    sets.extend(cell_interests(link, &row, &interests)?);
    update(link, &row.id, &sets)?;
    date_consent(link, &row, changes)?;
    interest_rows(link, &row.id, &row.interests, &interests)?;
    if let Some(groups) = &changes.working_groups {
        group_rows(link, &row.id, groups)?;
    }
    let row = stands(link, &row.id)?;
    transaction.commit()?;
    Ok(WriteOutcome::Written(Box::new(row)))
}

/// Writes the status and its time, if that is an opt-out, into a row of which nothing else can be told.
fn write_opt_out(
    link: &Link,
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
    let status = (link.layout.subscription.clone(), Cell::owned(status.as_str()));
    let time = match &link.layout.subscription_changed_at {
        Some(column) => Some((column.clone(), consent_time(link, column, &row.id, at)?)),
        None => None,
    };
    update(link, &row.id, &[Some(status), time.clone()].into_iter().flatten().collect::<Vec<_>>())?;
    // A trigger may take a time that stays as it was for one that was not named.
    let time = time.filter(|_| row.status_changed_at == at);
    update(link, &row.id, &time.into_iter().collect::<Vec<_>>())?;
    Ok(WriteOutcome::OptOutOnly)
}

/// Creates a registration unless a row with its address is there by now.
pub(super) fn create(link: &mut Link, new: &NewRegistration) -> Result<CreateOutcome, Fault> {
    let transaction = begin(link)?;
    if !bearers(link, &new.email)?.is_empty() {
        return Ok(CreateOutcome::Exists);
    }
    let none = std::collections::BTreeSet::new();
    let interests = wanted_interests(&link.layout, &none, &new.values)?;
    let sets = new_cells(link, new, &interests)?;
    let columns: Vec<String> = sets.iter().map(|(column, _)| quoted(&column.name)).collect();
    let text = format!(
        "INSERT INTO {} ({}) VALUES ({}) RETURNING {}",
        quoted(&link.layout.table),
        columns.join(", "),
        vec!["?"; sets.len()].join(", "),
        quoted(&link.layout.id.name)
    );
    let id = {
        let mut statement = link.conn.prepare_cached(&text)?;
        let mut rows = statement.query(params_from_iter(sets.iter().map(|(_, cell)| cell)))?;
        let id = rows.next()?.map(|row| id_of(row, 0)).transpose()?;
        // Stepped to the end: only then is the row inserted for good.
        while rows.next()?.is_some() {}
        id.filter(|id| !id.as_str().is_empty())
    };
    let Some(id) = id else {
        let problem = "the register gives a new row no key by itself; give the key column a default";
        return Err(Fault::Refused(problem.to_owned()));
    };
    interest_rows(link, &id, &none, &interests)?;
    let row = stands(link, &id)?;
    transaction.commit()?;
    Ok(CreateOutcome::Created(Box::new(row)))
}

/// Writes the note of a row, whether it is usable or not; nothing where no note is mapped.
pub(super) fn note(link: &mut Link, id: &RegistrationId, note: &str) -> Result<(), Fault> {
    let Some(column) = link.layout.sync_note.clone() else { return Ok(()) };
    let transaction = begin(link)?;
    let noted = match by_key(link, id)? {
        None => return Ok(()),
        Some(Reading::Usable(row)) => row.sync_note,
        Some(Reading::Unusable(row)) => row.sync_note,
    };
    if noted.as_deref() != Some(note) {
        let cell = text_or_nothing(&column, note);
        update(link, id, &[(column, cell)])?;
    }
    transaction.commit()?;
    Ok(())
}

/// Takes rows that are gone or no longer live out of the table of working groups.
pub(super) fn drop_orphaned_groups(link: &mut Link) -> Result<u64, Fault> {
    let Some((table, key, _)) = &link.layout.groups else { return Ok(0) };
    let (sql, table, key) = (&link.sql, quoted(table), key_in("g", key));
    let text = format!(
        "DELETE FROM {table} AS g WHERE NOT EXISTS (SELECT 1 {} WHERE {} = {key} AND {})",
        sql.from, sql.id, sql.live
    );
    let transaction = begin(link)?;
    let dropped = link.conn.execute(&text, [])?;
    transaction.commit()?;
    Ok(u64::try_from(dropped).unwrap_or(u64::MAX))
}

/// Removes rows for good, marked as removed or not, with all that hangs on them.
pub(super) fn erase(link: &mut Link, ids: &[RegistrationId]) -> Result<(), Fault> {
    let transaction = begin(link)?;
    let layout = &link.layout;
    let mut places = Vec::new();
    if let InterestPlace::Rows { table, registration_id, .. } = &layout.interests {
        places.push((table, registration_id));
    }
    places.extend(layout.groups.as_ref().map(|(table, key, _)| (table, key)));
    places.push((&layout.table, &layout.id));
    for (table, key) in places {
        let text = format!("DELETE FROM {} AS e WHERE {} = ?1", quoted(table), key_in("e", key));
        let mut statement = link.conn.prepare_cached(&text)?;
        for id in ids {
            statement.execute([key_of(id)])?;
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Begins to write: waits for other writers here, so that nothing changes between the comparison and the write.
fn begin(link: &Link) -> Result<Transaction<'_>, Fault> {
    Ok(Transaction::new_unchecked(&link.conn, TransactionBehavior::Immediate)?)
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
fn row_sets(link: &Link, row: &Registration, changes: &RowChanges) -> Result<Vec<Set>, Fault> {
    let RowChanges { email, status, values, preferences_url, sync_note, working_groups: _ } = changes;
    let layout = &link.layout;
    let mut sets = Vec::new();
    if let Some(email) = email.as_ref().filter(|email| email.as_str() != row.email.as_str()) {
        sets.push((layout.email.clone(), Cell::owned(email.as_str())));
    }
    if let Some((status, changed_at)) = status {
        sets.extend(status_sets(link, row, *status, *changed_at)?);
    }
    for (key, value) in values {
        if let crate::model::Key::Field(tag) = key {
            let Some(column) = layout.fields.get(tag) else {
                return Err(Fault::Refused(format!("no column is mapped for {tag}")));
            };
            if row.fields.get(tag).map(String::as_str) != Some(value.as_text()) {
                sets.push((column.clone(), text_or_nothing(column, value.as_text())));
            }
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
    link: &Link,
    row: &Registration,
    status: SubscriptionStatus,
    changed_at: Option<jiff::Timestamp>,
) -> Result<Vec<Set>, Fault> {
    let mut sets = Vec::new();
    if status != row.status {
        sets.push((link.layout.subscription.clone(), Cell::owned(status.as_str())));
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
fn date_consent(link: &Link, row: &Registration, changes: &RowChanges) -> Result<(), Fault> {
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
            update(link, &row.id, &[(column.clone(), time)])
        }
    }
}

/// Sets columns of one row, those named and no other.
fn update(link: &Link, id: &RegistrationId, sets: &[Set]) -> Result<(), Fault> {
    if sets.is_empty() {
        return Ok(());
    }
    let layout: &Layout = &link.layout;
    let columns: Vec<String> =
        sets.iter().map(|(column, _)| format!("{} = ?", quoted(&column.name))).collect();
    let text =
        format!("UPDATE {} AS r SET {} WHERE {} = ?", quoted(&layout.table), columns.join(", "), link.sql.id);
    let key = key_of(id);
    let params = sets.iter().map(|(_, cell)| cell as &dyn ToSql).chain([&key as &dyn ToSql]);
    link.conn.prepare_cached(&text)?.execute(params_from_iter(params))?;
    Ok(())
}

/// The row as it now stands; a write that leaves it unusable is taken back.
fn stands(link: &Link, id: &RegistrationId) -> Result<Registration, Fault> {
    match by_key(link, id)? {
        Some(Reading::Usable(row)) => Ok(row),
        Some(Reading::Unusable(row)) => {
            Err(Fault::Refused(format!("the row would be unusable: {}", row.problem)))
        }
        None => Err(Fault::Refused("the row would be gone".to_owned())),
    }
}

fn text_or_nothing(column: &Column, text: &str) -> Cell<'static> {
    if text.is_empty() { nothing(column) } else { Cell::owned(text) }
}
