//! Reads the register: what changed, or every row in key order.

use crate::model::{EmailAddress, RegistrationId};
use crate::observe::{ObserveError, Sources};
use crate::progress::Phase;
use crate::registrations::{LocalCursor, Reading, split};
use crate::state::Walk;

/// Rows a page: large enough that a page costs more than asking for it, small enough to hold.
const PAGE: usize = 1_000;

/// The name of the register's cursor in the state.
const CURSOR: &str = "local";

/// The cursor of the comparison of ids, for rows that vanish without a trace.
const COMPARED: &str = "local_ids";

/// Rows removed without a trace are noticed after this long at the latest.
const COMPARE_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_mins(10);

/// Reads the rows that changed since the cursor; all of them where the store cannot tell.
pub(super) async fn read_changes(sources: &Sources) -> Result<u64, ObserveError> {
    let Some(cursor) = sources.state.cursor(CURSOR).await? else {
        return read_all(sources).await;
    };
    let mut cursor = LocalCursor(cursor);
    let mut n_rows = 0;
    loop {
        sources.check_stop()?;
        let Some(changes) = sources.local.changes(&cursor, PAGE).await? else {
            return read_all(sources).await;
        };
        n_rows += changes.rows.len() as u64;
        let moved = changes.next != cursor;
        store(sources, changes.rows).await?;
        sources.state.remove_registrations(changes.removed).await?;
        if moved {
            sources.state.set_cursor(CURSOR, changes.next.0.clone(), sources.clock.now()).await?;
        }
        cursor = changes.next;
        if !changes.more {
            break;
        }
        sources.report(Phase::ReadingRegister, n_rows, 0);
    }
    compare_ids(sources).await?;
    Ok(n_rows)
}

/// Reads every row, and concludes which are gone.
pub(super) async fn read_all(sources: &Sources) -> Result<u64, ObserveError> {
    let cursor = sources.local.cursor().await?;
    sources.state.begin_walk(Walk::Local).await?;
    let mut after = None;
    let mut n_rows = 0;
    loop {
        sources.check_stop()?;
        let rows = sources.local.page(after.as_ref(), PAGE).await?;
        let n_page = rows.len();
        after = rows.last().map(|row| row.id().clone());
        n_rows += n_page as u64;
        store(sources, rows).await?;
        sources.report(Phase::ReadingRegister, n_rows, 0);
        if n_page < PAGE {
            break;
        }
    }
    conclude_removed(sources).await?;
    let now = sources.clock.now();
    sources.state.set_cursors([(CURSOR, cursor.0), (COMPARED, now.to_string())], now).await?;
    Ok(n_rows)
}

/// Rows of the mirror that no page showed are asked for by key before they count as gone.
async fn conclude_removed(sources: &Sources) -> Result<(), ObserveError> {
    let mut after = None;
    loop {
        let unseen = sources.state.unseen_registrations(after.clone(), PAGE).await?;
        let Some(last) = unseen.last() else { return Ok(()) };
        after = Some(last.clone());
        let there = sources.local.by_id(&unseen).await?;
        let gone = unseen.into_iter().filter(|id| there.iter().all(|row| row.id() != id)).collect();
        store(sources, there).await?;
        sources.state.remove_registrations(gone).await?;
    }
}

/// Compares the set of ids now and then: a row may be deleted where no trigger notes it.
async fn compare_ids(sources: &Sources) -> Result<(), ObserveError> {
    let now = sources.clock.now();
    let compared = sources.state.cursor(COMPARED).await?.and_then(|at| at.parse::<jiff::Timestamp>().ok());
    if compared.is_some_and(|at| at <= now && now.duration_since(at) < COMPARE_EVERY) {
        return Ok(());
    }
    sources.state.begin_walk(Walk::Local).await?;
    let mut after = None;
    loop {
        sources.check_stop()?;
        let ids = sources.local.ids(after.as_ref(), PAGE).await?;
        let n_page = ids.len();
        after = ids.last().cloned();
        sources.state.see_registrations(ids).await?;
        if n_page < PAGE {
            break;
        }
    }
    conclude_removed(sources).await?;
    sources.state.set_cursor(COMPARED, now.to_string(), now).await?;
    Ok(())
}

/// Puts what was read into the mirror.
pub(super) async fn store(sources: &Sources, readings: Vec<Reading>) -> Result<(), ObserveError> {
    let (usable, unusable) = split(readings);
    sources.state.put_readings(usable, unusable).await?;
    Ok(())
}

/// Reads rows by their keys and by the addresses they may bear; those that are not there count as gone.
pub(super) async fn read_by_keys(
    sources: &Sources,
    ids: &[RegistrationId],
    addresses: &[EmailAddress],
) -> Result<(), ObserveError> {
    let mut rows = sources.local.by_id(ids).await?;
    let gone = ids.iter().filter(|id| rows.iter().all(|row| row.id() != *id)).cloned().collect();
    for address in addresses {
        rows.extend(sources.local.by_email(address).await?);
    }
    store(sources, rows).await?;
    sources.state.remove_registrations(gone).await?;
    Ok(())
}
