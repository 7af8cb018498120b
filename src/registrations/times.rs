//! Times as registers write them: texts with and without an offset, and numbers.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::registrations::cell::Cell;

/// Why a value is no time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadTime {
    /// Nothing that looks like a time.
    Unreadable,
    /// A time without an offset, and no zone was configured.
    NoZone,
}

/// How a column writes its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeShape {
    /// `2026-03-01T12:00:00Z`: a date, a separator, a time, an offset or none.
    Text {
        /// `T` or a space.
        separator: char,
        /// What follows the time.
        offset: OffsetShape,
        /// How many digits follow the seconds.
        digits: usize,
    },
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
    /// Microseconds since 1970.
    Micros,
    /// Another form, which is read but not compared.
    Other,
}

/// What follows the time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OffsetShape {
    /// `Z`, or an offset of nothing.
    Utc,
    /// Another offset.
    Other,
    /// Nothing: the zone of the configuration.
    Missing,
}

/// The spelling of the schema of `init`.
pub(super) const RFC_3339: TimeShape =
    TimeShape::Text { separator: 'T', offset: OffsetShape::Utc, digits: 3 };

/// Day zero of the Julian calendar stands this many days before 1970.
const JULIAN_DAY_OF_1970: f64 = 2_440_587.5;

/// Whether the value says nothing: NULL, blank, zero, or the zero date of MySQL.
pub(super) fn is_no_time(cell: &Cell<'_>) -> bool {
    match cell {
        Cell::Null | Cell::Integer(0) => true,
        Cell::Real(number) => *number == 0.0,
        Cell::Integer(_) => false,
        Cell::Text(text) => {
            let text = text.trim();
            text.is_empty() || text == "0" || text.starts_with("0000-00-00")
        }
    }
}

/// Reads a time; `None` where the value says nothing.
pub(super) fn read_time(cell: &Cell<'_>, zone: Option<&TimeZone>) -> Result<Option<Timestamp>, BadTime> {
    if is_no_time(cell) {
        return Ok(None);
    }
    let time = match cell {
        Cell::Null => return Ok(None),
        Cell::Integer(number) => from_number(*number),
        Cell::Real(number) => from_real(*number),
        // The spelling of our own schema, and by far the most frequent, is read in one go.
        Cell::Text(text) if text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T') => {
            match text.parse() {
                Ok(time) => Some(time),
                Err(_) => return read_text(text, zone).map(Some),
            }
        }
        Cell::Text(text) => return read_text(text, zone).map(Some),
    };
    time.map(Some).ok_or(BadTime::Unreadable)
}

/// Reads the time of an opt-out: of a day without a time of day it is the day's end, since an opt-in of that day that looked
/// later may have come before.
pub(super) fn read_time_of_leaving(
    cell: &Cell<'_>,
    zone: Option<&TimeZone>,
) -> Result<Option<Timestamp>, BadTime> {
    let time = read_time(cell, zone)?;
    let day = match cell {
        Cell::Text(text) => split(text.trim()).filter(|(_, separator, _)| separator.is_none()),
        Cell::Null | Cell::Integer(_) | Cell::Real(_) => None,
    };
    let end = day.zip(zone).and_then(|((day, _, _), zone)| {
        let next = zone.to_timestamp(day.tomorrow().ok()?).ok()?;
        next.checked_sub(SignedDuration::from_secs(1)).ok()
    });
    Ok(end.or(time))
}

/// Reads a text that is not empty.
fn read_text(text: &str, zone: Option<&TimeZone>) -> Result<Timestamp, BadTime> {
    let text = text.trim();
    if let Ok(number) = text.parse() {
        return from_number(number).ok_or(BadTime::Unreadable);
    }
    let (civil, _, offset) = split(text).ok_or(BadTime::Unreadable)?;
    let time = match (offset, zone) {
        (Some(offset), _) => offset.to_timestamp(civil).ok(),
        (None, Some(zone)) => zone.to_timestamp(civil).ok(),
        (None, None) => return Err(BadTime::NoZone),
    };
    time.ok_or(BadTime::Unreadable)
}

/// How the value is written; `None` where it says nothing or is no time.
pub(super) fn shape_of(cell: &Cell<'_>) -> Option<TimeShape> {
    if is_no_time(cell) {
        return None;
    }
    match cell {
        Cell::Null => None,
        Cell::Integer(number) => unit(number.unsigned_abs() as f64),
        Cell::Real(number) => unit(number.abs()).or(from_real(*number).map(|_| TimeShape::Other)),
        Cell::Text(text) => {
            let text = text.trim();
            if text.parse::<i64>().is_ok() {
                return Some(TimeShape::Other);
            }
            let (_, separator, offset) = split(text)?;
            let Some(separator) = separator else { return Some(TimeShape::Other) };
            let offset = match offset {
                Some(Offset::UTC) => OffsetShape::Utc,
                Some(_) => OffsetShape::Other,
                None => OffsetShape::Missing,
            };
            let digits = text
                .split_once('.')
                .map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
            Some(TimeShape::Text { separator, offset, digits })
        }
    }
}

/// The date and time of day that stand in a text, whatever its offset; `None` for other values.
pub(super) fn civil_of(cell: &Cell<'_>) -> Option<DateTime> {
    match cell {
        Cell::Text(text) => split(text.trim()).map(|(civil, _, _)| civil),
        Cell::Null | Cell::Integer(_) | Cell::Real(_) => None,
    }
}

/// Writes a time as the column does; without a configured zone, or in a form we only read, in RFC 3339.
pub(super) fn write_time(time: Timestamp, shape: TimeShape, zone: Option<&TimeZone>) -> Cell<'static> {
    match (shape, zone) {
        (TimeShape::Seconds, _) => Cell::Integer(time.as_second()),
        (TimeShape::Millis, _) => Cell::Integer(time.as_millisecond()),
        (TimeShape::Micros, _) => Cell::Integer(time.as_microsecond()),
        (TimeShape::Text { separator, offset: OffsetShape::Missing, digits }, Some(zone)) => {
            Cell::owned(spell(zone.to_datetime(time), separator, digits))
        }
        (TimeShape::Text { separator, offset: OffsetShape::Utc | OffsetShape::Other, digits }, _) => {
            let civil = Offset::UTC.to_datetime(time);
            Cell::owned(format!("{}Z", spell(civil, separator, digits)))
        }
        (TimeShape::Text { offset: OffsetShape::Missing, .. }, None) | (TimeShape::Other, _) => {
            Cell::owned(format!("{}Z", spell(Offset::UTC.to_datetime(time), 'T', 3)))
        }
    }
}

/// Spells a date and time with so many digits after the seconds, cut and not rounded.
pub(super) fn spell(civil: DateTime, separator: char, digits: usize) -> String {
    let mut text = format!("{}{separator}{}", civil.date(), civil.time().strftime("%H:%M:%S"));
    if digits > 0 {
        let fraction = format!("{:09}", civil.subsec_nanosecond());
        text.push('.');
        text.push_str(&fraction[..digits.min(9)]);
    }
    text
}

/// The unit that a number of this size counts since 1970: between 1973 and 5138 they do not overlap.
fn unit(size: f64) -> Option<TimeShape> {
    match size {
        s if (1e8..1e11).contains(&s) => Some(TimeShape::Seconds),
        s if (1e11..1e14).contains(&s) => Some(TimeShape::Millis),
        s if (1e14..1e17).contains(&s) => Some(TimeShape::Micros),
        _ => None,
    }
}

fn from_number(number: i64) -> Option<Timestamp> {
    match unit(number.unsigned_abs() as f64)? {
        TimeShape::Seconds => Timestamp::from_second(number).ok(),
        TimeShape::Millis => Timestamp::from_millisecond(number).ok(),
        TimeShape::Micros => Timestamp::from_microsecond(number).ok(),
        TimeShape::Text { .. } | TimeShape::Other => None,
    }
}

/// Seconds with a fraction, or a Julian day as SQLite's `julianday` gives it.
fn from_real(number: f64) -> Option<Timestamp> {
    let millis = if (2_000_000.0..4_000_000.0).contains(&number) {
        (number - JULIAN_DAY_OF_1970) * 86_400_000.0
    } else {
        match unit(number.abs())? {
            TimeShape::Seconds => number * 1e3,
            TimeShape::Millis => number,
            TimeShape::Micros => number / 1e3,
            TimeShape::Text { .. } | TimeShape::Other => return None,
        }
    };
    Timestamp::from_millisecond(millis.round() as i64).ok()
}

/// A text as a date with a time of day, its separator (`None`: a date alone) and its offset.
fn split(text: &str) -> Option<(DateTime, Option<char>, Option<Offset>)> {
    let date: Date = text.get(..10)?.parse().ok()?;
    let Some(separator) = text.get(10..)?.chars().next() else {
        return Some((date.to_datetime(Time::midnight()), None, None));
    };
    if !matches!(separator, 'T' | 't' | ' ') {
        return None;
    }
    let rest = text.get(11..)?.trim_start();
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != ':' && c != '.').unwrap_or(rest.len());
    let time: Time = rest[..end].parse().ok()?;
    let offset = match rest[end..].trim() {
        "" => None,
        "Z" | "z" | "UTC" | "GMT" => Some(Offset::UTC),
        offset => Some(parse_offset(offset)?),
    };
    Some((date.to_datetime(time), Some(separator), offset))
}

/// `+02:00`, `+0200` or `+02`.
fn parse_offset(text: &str) -> Option<Offset> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let hours: i32 = digits[..2].parse().ok()?;
    let minutes: i32 = if digits.len() == 4 { digits[2..].parse().ok()? } else { 0 };
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zurich() -> TimeZone {
        TimeZone::get("Europe/Zurich").unwrap()
    }

    #[test]
    fn times_are_read_in_the_forms_of_registers() {
        let noon = "2026-03-01T12:00:00Z";
        let cases = [
            (Cell::owned("2026-03-01T12:00:00.000Z"), Ok(Some(noon))),
            (Cell::owned("2026-03-01 12:00:00Z"), Ok(Some(noon))),
            (Cell::owned("2026-03-01 12:00:00 UTC"), Ok(Some(noon))),
            (Cell::owned("2026-03-01T14:00:00+02:00"), Ok(Some(noon))),
            (Cell::owned("2026-03-01 06:30:00-0530"), Ok(Some(noon))),
            (Cell::owned("2026-03-01 13:00:00"), Ok(Some(noon))),
            (Cell::owned("2026-03-01 13:00"), Ok(Some(noon))),
            (Cell::owned("2026-03-01"), Ok(Some("2026-02-28T23:00:00Z"))),
            (Cell::Integer(1_772_366_400), Ok(Some(noon))),
            (Cell::Integer(1_772_366_400_000), Ok(Some(noon))),
            (Cell::Integer(1_772_366_400_000_000), Ok(Some(noon))),
            (Cell::Real(1_772_366_400.0), Ok(Some(noon))),
            (Cell::Real(2_461_101.0), Ok(Some(noon))),
            (Cell::owned("1772366400"), Ok(Some(noon))),
            (Cell::owned("0000-00-00 00:00:00"), Ok(None)),
            (Cell::Integer(0), Ok(None)),
            (Cell::Null, Ok(None)),
            (Cell::owned("yesterday"), Err(BadTime::Unreadable)),
            (Cell::owned("2026-02-31 12:00:00"), Err(BadTime::Unreadable)),
            (Cell::owned("2026-03-01Zé"), Err(BadTime::Unreadable)),
            (Cell::Integer(17), Err(BadTime::Unreadable)),
        ];
        for (cell, expected) in cases {
            let expected = expected.map(|time| time.map(|time| time.parse().unwrap()));
            assert_eq!(read_time(&cell, Some(&zurich())), expected, "{cell:?}");
        }
    }

    #[test]
    fn whoever_left_on_a_day_left_at_its_end() {
        let cases = [
            ("2026-03-01", Some("2026-03-01T22:59:59Z")),
            // The day on which the clocks are set forward.
            ("2026-03-29", Some("2026-03-29T21:59:59Z")),
            ("2026-03-01 00:00:00", Some("2026-02-28T23:00:00Z")),
            ("2026-03-01T12:00:00Z", Some("2026-03-01T12:00:00Z")),
            ("0000-00-00", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|time| time.parse().unwrap());
            assert_eq!(read_time_of_leaving(&Cell::owned(text), Some(&zurich())), Ok(expected), "{text}");
        }
        assert_eq!(read_time_of_leaving(&Cell::owned("2026-03-01"), None), Err(BadTime::NoZone));
        assert_eq!(read_time_of_leaving(&Cell::owned("gone"), None), Err(BadTime::Unreadable));
    }

    #[test]
    fn a_time_without_an_offset_needs_a_zone() {
        let cell = Cell::owned("2026-03-01 13:00:00");
        assert_eq!(read_time(&cell, None), Err(BadTime::NoZone));
    }

    #[test]
    fn times_are_written_as_the_column_writes_them() {
        let time: Timestamp = "2026-03-01T12:00:00.123Z".parse().unwrap();
        let cases = [
            (Cell::owned("2025-01-01T00:00:00.000Z"), Cell::owned("2026-03-01T12:00:00.123Z")),
            (Cell::owned("2025-01-01 00:00:00"), Cell::owned("2026-03-01 13:00:00")),
            (Cell::owned("2025-01-01 00:00:00.000000"), Cell::owned("2026-03-01 13:00:00.123000")),
            (Cell::owned("2025-01-01T00:00:00+02:00"), Cell::owned("2026-03-01T12:00:00Z")),
            (Cell::Integer(1_700_000_000), Cell::Integer(1_772_366_400)),
            (Cell::Integer(1_700_000_000_000), Cell::Integer(1_772_366_400_123)),
            (Cell::owned("2025-01-01"), Cell::owned("2026-03-01T12:00:00.123Z")),
        ];
        for (sample, expected) in cases {
            let shape = shape_of(&sample).unwrap();
            assert_eq!(write_time(time, shape, Some(&zurich())), expected, "{sample:?}");
        }
    }
}
