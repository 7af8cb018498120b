//! How far the changes of a register have been read, and from where to read on.
//!
//! Rows are read in the order of (`updated_at`, key). A walk begins some seconds before the highest time seen, because a
//! row may be committed after it was dated; it stops doing so once a whole walk found nothing new that long after, so that
//! an idle register costs nothing. Three things can set a register's times back, and a walk begins before each of them:
//! rows dated in the future, the end of summer time in a column without offsets, and a clock that was corrected
//! (that one asks for a full reading).
//!
//! A server has many writers at once: a row dated now may be committed in an hour. So a walk counts as begun no later than
//! the oldest transaction that was at work then, and the next one begins before that; a removal counts as seen for good
//! once everybody who was at work when it was read has finished.

use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::registrations::cell::Cell;
use crate::registrations::times::{OffsetShape, TimeShape, civil_of, spell};

/// How far the changes have been read; JSON in the cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The highest time seen and the highest key that bears it; `None` where no row had one.
    pub(super) top: Option<Mark>,
    /// When that was first seen, by the store's clock, in milliseconds since 1970.
    pub(super) seen: i64,
    /// Whether a whole walk that began long enough after found nothing new.
    pub(super) settled: bool,
    /// When the last finished walk began, by the store's clock, or the oldest writer that was at work then.
    pub(super) started: i64,
    /// How far the present walk has come.
    pub(super) walk: Option<Walk>,
    /// The position of the last removal seen.
    pub(super) removed: i64,
    /// From where the next walk reads the removals again; `None` where none can come late.
    #[serde(default)]
    pub(super) again: Option<Again>,
}

/// Removals that are read once more: one may be committed after another that was counted later.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Again {
    /// Up to here nothing can come late.
    pub(super) proved: i64,
    /// What had been seen at this time, by the store's clock.
    pub(super) seen: i64,
    /// The time.
    pub(super) at: i64,
}

impl Again {
    /// After a walk that saw removals up to `removed` and began at `started`, no later than the oldest writer at work.
    pub(super) fn after(self, removed: i64, started: i64, now: i64, overlap: Duration) -> Self {
        let patience = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
        if started > self.at.saturating_add(patience) {
            Self { proved: self.seen.min(removed), seen: removed, at: now }
        } else {
            self
        }
    }
}

/// A walk that has more pages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Walk {
    /// The last row handed out; `None` where there was none yet.
    pub(super) last: Option<Mark>,
    /// When it began, by the store's clock.
    pub(super) started: i64,
}

/// A row's place in the order of changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// `updated_at`.
    pub(super) stamp: Stamp,
    /// The key.
    pub(super) id: String,
}

/// A value of `updated_at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Stamp {
    /// A number since 1970.
    Number(i64),
    /// A text.
    Text(String),
}

/// From where to read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum From {
    /// Everything.
    Beginning,
    /// Rows of this time and later.
    Since(Stamp),
    /// Rows after this one.
    After(Mark),
}

impl Stamp {
    /// The value of a cell that can be compared.
    pub(super) fn of(cell: &Cell<'_>) -> Option<Self> {
        match cell {
            Cell::Integer(number) => Some(Self::Number(*number)),
            Cell::Text(text) => Some(Self::Text(text.clone().into_owned())),
            Cell::Null | Cell::Real(_) => None,
        }
    }

    /// The cell it came from.
    pub(super) fn cell(&self) -> Cell<'static> {
        match self {
            Self::Number(number) => Cell::Integer(*number),
            Self::Text(text) => Cell::owned(text.clone()),
        }
    }
}

/// Whether a column of two such values sorts by time as it stands.
pub(super) fn sorts_by_time(a: TimeShape, b: TimeShape) -> bool {
    match (a, b) {
        (TimeShape::Seconds, TimeShape::Seconds)
        | (TimeShape::Millis, TimeShape::Millis)
        | (TimeShape::Micros, TimeShape::Micros) => true,
        (
            TimeShape::Text { separator: a, offset: x, .. },
            TimeShape::Text { separator: b, offset: y, .. },
        ) => a == b && x == y && x != OffsetShape::Other,
        _ => false,
    }
}

/// Where the next page begins; `now` is the store's clock.
pub(super) fn next_page(
    position: &Position,
    shape: TimeShape,
    zone: Option<&TimeZone>,
    overlap: Duration,
    now: i64,
) -> From {
    if let Some(last) = position.walk.as_ref().and_then(|walk| walk.last.clone()) {
        return From::After(last);
    }
    let Some(top) = &position.top else { return From::Beginning };
    let earliest = earliest_after(position.started, now, shape, zone);
    match (&top.stamp, earliest) {
        (Stamp::Number(number), Earliest::Number(earliest)) => {
            if position.settled && *number <= earliest {
                return From::After(top.clone());
            }
            let units_a_milli = match shape {
                TimeShape::Micros => 1000,
                _ => 1,
            };
            let back = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
            let back = if shape == TimeShape::Seconds {
                back / 1000 + 1
            } else {
                back.saturating_mul(units_a_milli)
            };
            From::Since(Stamp::Number((*number).min(earliest).saturating_sub(back)))
        }
        (Stamp::Text(_), Earliest::Civil(earliest)) => {
            let (Some(civil), TimeShape::Text { separator, .. }) = (civil_of(&top.stamp.cell()), shape)
            else {
                return From::Beginning;
            };
            if position.settled && civil <= earliest {
                return From::After(top.clone());
            }
            let back = SignedDuration::try_from(overlap).unwrap_or(SignedDuration::MAX);
            let floor = civil.min(earliest).checked_sub(back).unwrap_or(DateTime::MIN);
            // Cut to the second: every later time of that second sorts after it, with or without a fraction.
            From::Since(Stamp::Text(spell(floor, separator, 0)))
        }
        _ => From::Beginning,
    }
}

/// The earliest time that a row dated after the last walk can bear.
enum Earliest {
    Number(i64),
    Civil(DateTime),
}

fn earliest_after(started: i64, now: i64, shape: TimeShape, zone: Option<&TimeZone>) -> Earliest {
    match shape {
        TimeShape::Seconds => Earliest::Number(started.div_euclid(1000)),
        TimeShape::Micros => Earliest::Number(started.saturating_mul(1000)),
        TimeShape::Millis | TimeShape::Other => Earliest::Number(started),
        TimeShape::Text { offset, .. } => {
            let at = |millis| Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MIN);
            let offset_of = |time| match (offset, zone) {
                (OffsetShape::Missing, Some(zone)) => zone.to_offset(time),
                _ => Offset::UTC,
            };
            // At the end of summer time the offset shrinks, and times of the lost hour come again.
            let offset = offset_of(at(started)).min(offset_of(at(now)));
            Earliest::Civil(offset.to_datetime(at(started)))
        }
    }
}

/// The position after a page: `last` is its last row, `started` when the walk began.
pub(super) fn after_page(
    position: Position,
    last: Option<Mark>,
    started: i64,
    overlap: Duration,
    removed: i64,
    more: Next,
) -> Position {
    let last = last.or_else(|| position.walk.as_ref().and_then(|walk| walk.last.clone()));
    if more == Next::Page {
        return Position { walk: Some(Walk { last, started }), removed, ..position };
    }
    let is_news = last.is_some() && last != position.top;
    let patience = i64::try_from(overlap.as_millis()).unwrap_or(i64::MAX);
    Position {
        seen: if is_news { started } else { position.seen },
        settled: !is_news && (position.settled || started.saturating_sub(position.seen) > patience),
        top: last.or(position.top),
        started,
        walk: None,
        removed,
        again: position.again,
    }
}

/// What follows a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Another page of the same walk.
    Page,
    /// A new walk, later.
    Walk,
}

#[cfg(test)]
mod tests;
