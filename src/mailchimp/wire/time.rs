//! Mailchimp's times: ISO 8601 in whole seconds, empty where there is none.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::tz::TimeZone;

/// Reads a time; `None` where there is none or it cannot be read. Without an offset it is UTC, as in webhooks.
pub fn read(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    text.parse().ok().or_else(|| TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok())
}

/// Reads the `Date` header of an answer.
pub fn read_header(text: &str) -> Option<Timestamp> {
    const PARSER: DateTimeParser = DateTimeParser::new();
    PARSER.parse_timestamp(text.trim()).ok()
}

/// A time as Mailchimp writes it: `2026-03-01T12:00:00+00:00`, fractions cut off.
pub fn write(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%S+00:00").to_string()
}

/// A time in a query, where a plus would be read as a space.
pub fn write_query(moment: Timestamp) -> String {
    write(moment).replace('+', "%2B")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_leniently() {
        let noon = "2026-03-01T12:00:00Z".parse::<Timestamp>().ok();
        let cases = [
            ("2026-03-01T12:00:00+00:00", noon),
            ("2026-03-01T13:00:00+01:00", noon),
            ("2026-03-01T12:00:00Z", noon),
            ("2026-03-01 12:00:00", noon),
            (" 2026-03-01T12:00:00 ", noon),
            ("", None),
            ("0000-00-00 00:00:00", None),
            ("yesterday", None),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text), expected, "{text:?}");
        }
        assert_eq!(read_header("Sun, 01 Mar 2026 12:00:00 GMT"), noon);
        assert_eq!(read_header("noon"), None);
    }

    #[test]
    fn times_are_written_as_mailchimp_does() {
        let moment = "2026-03-01T12:00:00.999Z".parse().unwrap();
        assert_eq!(write(moment), "2026-03-01T12:00:00+00:00");
        assert_eq!(write_query(moment), "2026-03-01T12:00:00%2B00:00");
    }
}
