//! Moments as Mailchimp writes and reads them: whole seconds, UTC.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Writes seconds since 1970 as `2022-02-23T16:25:57+00:00`.
pub(crate) fn write_moment(seconds: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    digits(year, 4, out);
    out.push(b'-');
    digits(month, 2, out);
    out.push(b'-');
    digits(day, 2, out);
    out.push(b'T');
    digits(of_day / 3600, 2, out);
    out.push(b':');
    digits(of_day / 60 % 60, 2, out);
    out.push(b':');
    digits(of_day % 60, 2, out);
    out.extend_from_slice(b"+00:00");
}

/// Seconds since 1970 as `2022-02-23T16:25:57+00:00`, nothing as the empty text.
pub(crate) fn moment_text(seconds: Option<i64>) -> String {
    let mut out = Vec::new();
    if let Some(seconds) = seconds {
        write_moment(seconds, &mut out);
    }
    String::from_utf8(out).unwrap_or_default()
}

/// Seconds since 1970 as webhooks write them: `2022-02-23 16:25:57`.
pub(crate) fn fired_at(seconds: i64) -> String {
    let mut text = moment_text(Some(seconds)).replace('T', " ");
    text.truncate(19);
    text
}

/// Reads a moment with an offset, or without one as UTC.
pub(crate) fn parse_moment(text: &str) -> Option<Timestamp> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment);
    }
    let local: DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(local).ok()
}

/// Year, month and day of a number of days since 1970.
///
/// The calendar repeats every 400 years of 146 097 days; years are counted from March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn digits(number: i64, width: u32, out: &mut Vec<u8>) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        for text in
            ["1970-01-01T00:00:00", "2000-02-29T23:59:59", "2022-02-23T16:25:57", "2100-03-01T00:00:01"]
        {
            let seconds = parse_moment(text).unwrap().as_second();
            assert_eq!(moment_text(Some(seconds)), format!("{text}+00:00"));
        }
        assert_eq!(moment_text(None), "");
        assert_eq!(fired_at(1_645_633_557), "2022-02-23 16:25:57");
    }

    #[test]
    fn moments_are_read_with_and_without_an_offset() {
        let expected = Some(1_645_633_557);
        for text in [
            "2022-02-23T16:25:57+00:00",
            "2022-02-23T16:25:57.999Z",
            "2022-02-23 16:25:57",
            "2022-02-23T17:25:57+01:00",
        ] {
            assert_eq!(parse_moment(text).map(Timestamp::as_second), expected, "{text}");
        }
        assert_eq!(parse_moment("2022-02-23T16:25:57 00:00"), None, "a plus that was not encoded");
    }
}
