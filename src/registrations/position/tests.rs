//! Where readings begin, case by case.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn millis(time: &str) -> i64 {
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

fn text(separator: char, offset: OffsetShape) -> TimeShape {
    TimeShape::Text { separator, offset, digits: 0 }
}

/// A position that has seen `top` and whose last walk began at `started`.
fn position(top: Stamp, started: &str, settled: bool) -> Position {
    Position {
        top: Some(Mark { stamp: top, id: "7".to_owned() }),
        seen: millis(started),
        settled,
        started: millis(started),
        walk: None,
        removed: 0,
        again: None,
    }
}

#[test]
fn a_removal_is_seen_for_good_once_everybody_who_was_at_work_has_finished() {
    let start = Again { proved: 3, seen: 3, at: 10_000 };
    // Seen at 70 s, while a writer is at work since 9 s.
    let waiting = start.after(5, 9_000, 70_000, SECOND);
    assert_eq!(waiting, start);
    let seen = waiting.after(5, 70_000, 70_000, SECOND);
    assert_eq!(seen, Again { proved: 3, seen: 5, at: 70_000 });
    // One that began right after the clock was read is waited for too.
    assert_eq!(seen.after(6, 70_500, 130_000, SECOND), seen);
    assert_eq!(seen.after(6, 130_000, 130_000, SECOND), Again { proved: 5, seen: 6, at: 130_000 });
}

fn stamp(text: &str) -> Stamp {
    Stamp::Text(text.to_owned())
}

#[test]
fn a_walk_begins_before_everything_that_may_have_been_missed() {
    let zurich = TimeZone::get("Europe/Zurich").unwrap();
    let utc = text('T', OffsetShape::Utc);
    let local = text(' ', OffsetShape::Missing);
    let walk = |top: Stamp, shape, started: &str, now: &str| {
        next_page(&position(top, started, false), shape, Some(&zurich), SECOND, millis(now))
    };
    let since = |text: &str| From::Since(stamp(text));
    let cases = [
        (
            "the overlap",
            stamp("2026-03-01T12:00:00.500Z"),
            utc,
            "2026-03-02T00:00:00Z",
            since("2026-03-01T11:59:59"),
        ),
        (
            "a row of the future",
            stamp("2099-01-01T00:00:00Z"),
            utc,
            "2026-03-02T00:00:00Z",
            since("2026-03-01T23:59:59"),
        ),
        // In the night to 25 October 2026, 03:00 in Zurich (01:00 UTC) was 02:00 again.
        (
            "the lost hour",
            stamp("2026-10-25 02:59:30"),
            local,
            "2026-10-25T00:59:40Z",
            since("2026-10-25 01:59:39"),
        ),
        (
            "the hour again",
            stamp("2026-10-25 02:59:30"),
            local,
            "2026-10-25T01:10:00Z",
            since("2026-10-25 02:09:59"),
        ),
    ];
    for (name, top, shape, started, expected) in cases {
        assert_eq!(walk(top, shape, started, "2026-11-01T00:00:00Z"), expected, "{name}");
    }
    let (noon, later) = (1_772_366_400, "2026-03-02T00:00:00Z");
    let numbers = [
        (TimeShape::Seconds, noon, noon - 2),
        (TimeShape::Millis, noon * 1000, noon * 1000 - 1000),
        (TimeShape::Micros, noon * 1_000_000, noon * 1_000_000 - 1_000_000),
        (TimeShape::Seconds, 4_000_000_000, millis(later) / 1000 - 2),
    ];
    for (shape, top, expected) in numbers {
        let from = walk(Stamp::Number(top), shape, later, later);
        assert_eq!(from, From::Since(Stamp::Number(expected)), "{shape:?} {top}");
    }
}

#[test]
fn a_settled_walk_reads_on_after_the_last_row_but_not_past_a_row_of_the_future() {
    let shape = text('T', OffsetShape::Utc);
    let from = |top: &str| {
        let position = position(stamp(top), "2026-03-02T00:00:00Z", true);
        next_page(&position, shape, None, SECOND, millis("2026-03-02T00:01:00Z"))
    };
    let mark = Mark { stamp: stamp("2026-03-01T12:00:00Z"), id: "7".to_owned() };
    assert_eq!(from("2026-03-01T12:00:00Z"), From::After(mark));
    assert_eq!(from("2027-01-01T00:00:00Z"), From::Since(stamp("2026-03-01T23:59:59")));
}

#[test]
fn a_position_settles_when_a_whole_walk_later_than_the_overlap_shows_nothing_new() {
    let top = || Mark { stamp: stamp("2026-03-01T12:00:00Z"), id: "7".to_owned() };
    let news = Mark { stamp: stamp("2026-03-01T12:00:00Z"), id: "8".to_owned() };
    let cases = [
        (Some(top()), "2026-03-02T00:00:00.900Z", Next::Walk, false),
        (Some(top()), "2026-03-02T00:00:01.100Z", Next::Walk, true),
        (None, "2026-03-02T00:00:01.100Z", Next::Walk, true),
        (Some(top()), "2026-03-02T00:00:01.100Z", Next::Page, false),
        (Some(news), "2026-03-02T00:00:01.100Z", Next::Walk, false),
    ];
    for (last, started, next, settled) in cases {
        let before = position(top().stamp, "2026-03-02T00:00:00Z", false);
        let after = after_page(before, last.clone(), millis(started), SECOND, 3, next);
        assert_eq!(after.settled, settled, "{last:?} {started}");
        assert_eq!((after.removed, after.walk.is_some()), (3, next == Next::Page));
    }
}

#[test]
fn only_one_spelling_sorts_by_time() {
    use OffsetShape::{Missing, Other, Utc};
    let cases = [
        (text('T', Utc), text('T', Utc), true),
        (text(' ', Missing), TimeShape::Text { separator: ' ', offset: Missing, digits: 6 }, true),
        (text('T', Utc), text(' ', Utc), false),
        (text('T', Utc), text('T', Missing), false),
        (text('T', Other), text('T', Other), false),
        (TimeShape::Seconds, TimeShape::Seconds, true),
        (TimeShape::Seconds, TimeShape::Millis, false),
        (TimeShape::Other, TimeShape::Other, false),
    ];
    for (a, b, expected) in cases {
        assert_eq!(sorts_by_time(a, b), expected, "{a:?} {b:?}");
    }
}
