//! Times as people say them.

use jiff::{SignedDuration, Timestamp};

/// `3 min ago`, `in 5 h`.
pub(super) fn ago(now: Timestamp, then: Timestamp) -> String {
    let distance = now.duration_since(then);
    if distance.is_negative() {
        format!("in {}", length(distance.abs()))
    } else {
        format!("{} ago", length(distance))
    }
}

/// The minute, in UTC.
pub(super) fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M").to_string()
}

/// In the largest unit of which there are at least two; one of the smallest is never too exact.
fn length(duration: SignedDuration) -> String {
    let units = [("days", 24 * 60 * 60), ("h", 60 * 60), ("min", 60), ("s", 1)];
    let seconds = duration.as_secs();
    let fits = units.into_iter().find(|(_, size)| seconds >= 2 * size);
    let (unit, size) = fits.unwrap_or(("s", 1));
    format!("{} {unit}", seconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(seconds: i64, expected: &str) {
        let now: Timestamp = "2026-03-01T12:00:00Z".parse().unwrap();
        let then = now - SignedDuration::from_secs(seconds);
        assert_eq!(ago(now, then), expected, "{seconds}");
    }

    #[test]
    fn a_distance_is_said_in_the_unit_that_fits() {
        check(0, "0 s ago");
        check(119, "119 s ago");
        check(120, "2 min ago");
        check(2 * 60 * 60 - 1, "119 min ago");
        check(47 * 60 * 60, "47 h ago");
        check(3 * 24 * 60 * 60, "3 days ago");
        check(-600, "in 10 min");
    }

    #[test]
    fn a_minute_is_said_in_utc() {
        assert_eq!(minute("2026-03-01T13:05:59+01:00".parse().unwrap()), "2026-03-01 12:05");
    }
}
