//! What the guard keeps back: immutable lists, named by their content.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Transaction, params};
use sha2::{Digest, Sha256};

use crate::state::decisions::{self, Decision};
use crate::state::error::{Fault, StateError};
use crate::state::staged::SHARING;
use crate::state::text::{hex, stamp};
use crate::state::{ClassName, HoldSummary, State};

/// Which staged operations are to be held. What is held or approved already is never meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Those of a class.
    Class(ClassName),
    /// Opt-outs whose time is shared by more than `more_than` of the plan and of the trail since `since`.
    SharedTimes {
        /// How many may share a time.
        more_than: u64,
        /// How far back the trail counts.
        since: Timestamp,
    },
    /// Those that take somebody out in Mailchimp, whatever their class.
    RemoteOptOuts,
    /// All.
    Everything,
}

/// How many hex digits name a hold: eight, more only where eight name another one already.
const ID_DIGITS: [usize; 3] = [8, 16, 64];

impl State {
    /// Holds the staged operations that any of `selections` means, until a person decides; `None` where there are none.
    ///
    /// A hold of the same content, if there is one, is taken again with what was decided about it; one that was
    /// done is opened again.
    pub async fn hold(
        &self,
        class: &'static str,
        selections: Vec<Selection>,
        reason: String,
        now: Timestamp,
    ) -> Result<Option<HoldSummary>, StateError> {
        self.write(move |tx| {
            for selection in &selections {
                select(tx, *selection)?;
            }
            let Some(digest) = digest_of_selected(tx, class)? else { return Ok(None) };
            let id = name(tx, &digest)?;
            take(tx, &id, class, &digest, &reason, now)?;
            let summary = decisions::summary(tx, &id)?;
            match summary.decision {
                // Approved since the plan was staged: the person was faster.
                Decision::Approved => tx.execute(
                    "UPDATE temp.plan SET held = NULL, approved = ?1 WHERE held = '*'",
                    [&summary.id],
                )?,
                Decision::Open | Decision::Rejected | Decision::Done => {
                    tx.execute("UPDATE temp.plan SET held = ?1 WHERE held = '*'", [&summary.id])?
                }
            };
            Ok(Some(summary))
        })
        .await
    }

    /// Ends holds of which the staged plan, which must be complete, wants nothing any more; says how many.
    ///
    /// One that lists a member who is yet to be read by itself stays: what is wanted for it is not known.
    pub async fn settle_holds(&self, now: Timestamp) -> Result<u64, StateError> {
        self.write(move |tx| {
            let ended = tx
                .prepare_cached(
                    "UPDATE holds SET decision = 'done', decided_at = ?1
                     WHERE decision IN ('open', 'rejected') AND class <> 'missing'
                       AND NOT EXISTS (SELECT 1 FROM held_operations AS o
                         JOIN temp.plan AS p ON p.fingerprint = o.fingerprint WHERE o.hold = holds.id)
                       AND NOT EXISTS (SELECT 1 FROM held_operations AS o
                         JOIN members AS m ON m.id = o.member WHERE o.hold = holds.id AND m.recheck = 1)",
                )?
                .execute([stamp(now)])?;
            Ok(u64::try_from(ended).unwrap_or(u64::MAX))
        })
        .await
    }
}

/// Marks what is meant with a star that no hold is named by.
fn select(tx: &Transaction<'_>, selection: Selection) -> Result<(), Fault> {
    let update = |condition: &str| {
        format!("UPDATE temp.plan SET held = '*' WHERE approved IS NULL AND held IS NULL AND {condition}")
    };
    match selection {
        Selection::Class(class) => tx.execute(&update("class = ?1"), [class.as_str()])?,
        Selection::SharedTimes { more_than, since } => {
            let more_than = i64::try_from(more_than).unwrap_or(i64::MAX);
            tx.execute(&update(SHARING), params![more_than, stamp(since)])?
        }
        Selection::RemoteOptOuts => {
            tx.execute(&update("(kind = 'remote_archive' OR kind = 'remote_status' AND rank = 1)"), [])?
        }
        Selection::Everything => tx.execute(&update("1"), [])?,
    };
    Ok(())
}

/// SHA-256 over the class and the sorted fingerprints of what is selected; `None` where nothing is.
fn digest_of_selected(tx: &Transaction<'_>, class: &str) -> Result<Option<String>, Fault> {
    let sql = "SELECT fingerprint FROM temp.plan WHERE held = '*' ORDER BY fingerprint";
    digest_of(tx, class, sql)
}

/// SHA-256 over the class and the texts that `sql` yields in their order; `None` where it yields none.
pub(crate) fn digest_of(tx: &Transaction<'_>, class: &str, sql: &str) -> Result<Option<String>, Fault> {
    let mut hasher = Sha256::new();
    hasher.update(class);
    let mut statement = tx.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    let mut any = false;
    while let Some(row) = rows.next()? {
        any = true;
        hasher.update([0]);
        hasher.update(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?);
    }
    Ok(any.then(|| hex(&hasher.finalize())))
}

/// The shortest beginning of the digest that names no hold of another content.
pub(crate) fn name(tx: &Transaction<'_>, digest: &str) -> Result<String, Fault> {
    for digits in ID_DIGITS {
        let id: String = digest.chars().take(digits).collect();
        let other: Option<String> = tx
            .prepare_cached("SELECT digest FROM holds WHERE id = ?1")?
            .query_row([&id], |row| row.get(0))
            .optional()?;
        if other.is_none_or(|other| other == digest) {
            return Ok(id);
        }
    }
    Ok(digest.to_owned())
}

/// Writes the hold down with what it lists, or opens it again where it was done.
fn take(
    tx: &Transaction<'_>,
    id: &str,
    class: &str,
    digest: &str,
    reason: &str,
    now: Timestamp,
) -> Result<(), Fault> {
    let new = tx.execute(
        "INSERT OR IGNORE INTO holds (id, class, digest, reason, since, count, decision)
         SELECT ?1, ?2, ?3, ?4, ?5, COUNT(*), 'open' FROM temp.plan WHERE held = '*'",
        params![id, class, digest, reason, stamp(now)],
    )?;
    if new > 0 {
        tx.execute(
            "INSERT INTO held_operations (hold, seq, member, email, fingerprint, planned)
             SELECT ?1, row_number() OVER (ORDER BY seq), member, email, fingerprint, planned
             FROM temp.plan WHERE held = '*'",
            [id],
        )?;
    }
    reopen(tx, id, reason, now)
}

/// Opens a hold again that was done.
pub(crate) fn reopen(tx: &Transaction<'_>, id: &str, reason: &str, now: Timestamp) -> Result<(), Fault> {
    tx.execute(
        "UPDATE holds SET decision = 'open', decided_at = NULL, reason = ?2, since = ?3
         WHERE id = ?1 AND decision = 'done'",
        params![id, reason, stamp(now)],
    )?;
    Ok(())
}
