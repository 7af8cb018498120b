//! Reading what changed.

use std::time::Duration;

use jiff::SignedDuration;
use rosterd::clock::Clock;
use rosterd::registrations::{LocalCursor, telling_script};
use rusqlite::types::Value;

use crate::fixture::{ADA, BEN, Fixture, Layout, Person, check, check_rows, id, keys, tag, usable};
use crate::stores::Store;

#[tokio::test]
async fn a_change_after_the_cursor_is_read() {
    check(async |fixture| {
        let cursor = fixture.register.cursor().await.unwrap();
        fixture.set(1, "first_name", "Augusta".to_owned(), "2026-03-01T12:30:00Z");
        let (rows, removed, cursor) = fixture.all_changes(&cursor, 10).await;
        let ada = rows.iter().map(usable).find(|row| row.id == id(1)).unwrap();
        assert_eq!(ada.fields[&tag("FNAME")], "Augusta");
        assert!(removed.is_empty());
        // The overlap shows a row again, and does no harm; a change of interests counts as one.
        fixture.set_interests(2, &["topic:Finance"], "2026-03-01T12:30:01Z");
        let (rows, _, _) = fixture.all_changes(&cursor, 10).await;
        assert!(rows.iter().map(usable).any(|row| row.id == id(2) && row.interests.len() == 1));
    })
    .await;
}

#[tokio::test]
async fn nothing_is_lost_among_rows_of_one_time() {
    check(async |fixture| {
        let cursor = fixture.register.cursor().await.unwrap();
        for number in 100..125 {
            let address = format!("p{number}@alliance.test");
            let at = "2026-03-01T12:30:00Z";
            fixture.register_person(&Person { id: number, email: &address, at, ..BEN });
        }
        for limit in [1, 7, 25] {
            let (rows, _, _) = fixture.all_changes(&cursor, limit).await;
            let mut keys = keys(&rows);
            keys.retain(|key| key.len() == 3);
            assert_eq!(keys.len(), 25, "{:?} {limit}", fixture.layout);
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_moves_to_the_end_hides_nobody() {
    check(async |fixture| {
        let start = LocalCursor(fixture.register.cursor().await.unwrap().0);
        let first = fixture.register.changes(&start, 1).await.unwrap().unwrap();
        assert!(first.more);
        fixture.set(1, "first_name", "Augusta".to_owned(), "2026-03-01T12:30:00Z");
        let (rows, _, _) = fixture.all_changes(&first.next, 1).await;
        let mut all: Vec<_> = keys(&first.rows);
        all.extend(keys(&rows));
        for key in ["1", "2", "10"] {
            assert!(all.contains(&key), "{:?} lacks {key}: {all:?}", fixture.layout);
        }
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_committed_late_is_read_within_the_overlap() {
    check(async |fixture| {
        fixture.set(1, "first_name", "Augusta".to_owned(), "2026-03-01T12:30:03Z");
        let cursor = fixture.register.cursor().await.unwrap();
        // Dated before the last one seen, and committed after.
        fixture.set(2, "first_name", "Benno".to_owned(), "2026-03-01T12:30:00Z");
        let (rows, _, _) = fixture.all_changes(&cursor, 10).await;
        assert!(keys(&rows).contains(&"2"), "{:?}", fixture.layout);
    })
    .await;
}

#[tokio::test]
async fn an_idle_register_shows_nothing_again_once_it_settled() {
    check(async |fixture| {
        let register = fixture.with_overlap(SignedDuration::from_millis(1)).await;
        let mut cursor = register.cursor().await.unwrap();
        let mut shown = 0;
        // The store's clock has to pass the overlap of a millisecond: a few walks, however fast.
        for _ in 0..200_000 {
            let changes = register.changes(&cursor, 10).await.unwrap().unwrap();
            shown = changes.rows.len();
            cursor = changes.next;
            if shown == 0 {
                break;
            }
        }
        assert_eq!(shown, 0, "{:?}", fixture.layout);
        fixture.set(2, "first_name", "Benno".to_owned(), "2026-03-01T12:30:00Z");
        let changes = register.changes(&cursor, 10).await.unwrap().unwrap();
        assert_eq!(keys(&changes.rows), ["2"]);
    })
    .await;
}

#[tokio::test]
async fn a_row_dated_in_the_future_hides_nobody() {
    check(async |fixture| {
        // MySQL's timestamps end in 2038, as do seconds in an int.
        let is_short = fixture.store() != Store::Sqlite;
        let future = if is_short { "2037-01-01T00:00:00Z" } else { "2099-01-01T00:00:00Z" };
        fixture.set(1, "first_name", "Augusta".to_owned(), future);
        let cursor = fixture.register.cursor().await.unwrap();
        let (_, _, cursor) = fixture.all_changes(&cursor, 10).await;
        let now = format!("{:.0}", Clock::System.now());
        fixture.set(2, "first_name", "Benno".to_owned(), &now);
        let (rows, _, _) = fixture.all_changes(&cursor, 10).await;
        assert!(keys(&rows).contains(&"2"), "{:?}", fixture.layout);
    })
    .await;
}

#[tokio::test]
async fn removed_rows_are_told_whether_deleted_or_marked() {
    check(async |fixture| {
        let cursor = fixture.register.cursor().await.unwrap();
        fixture.remove(1);
        fixture.set(2, "deleted_at", fixture.time("2026-03-01T12:30:00Z"), "2026-03-01T12:30:00Z");
        let (rows, mut removed, cursor) = fixture.all_changes(&cursor, 1).await;
        removed.sort();
        removed.dedup();
        assert_eq!(removed, ["1", "2"], "{:?}", fixture.layout);
        assert!(!keys(&rows).contains(&"1") && !keys(&rows).contains(&"2"));
        // A key that is used again is a row, not a removal.
        fixture.remove(10);
        fixture.register_person(&Person { id: 10, at: "2026-03-01T12:40:00Z", ..ADA });
        let (rows, removed, _) = fixture.all_changes(&cursor, 10).await;
        assert!(keys(&rows).contains(&"10") && !removed.contains(&"10".to_owned()));
    })
    .await;
}

#[tokio::test]
async fn removals_are_read_again_after_their_table_was_trimmed() {
    check_rows(async |fixture| {
        for number in 100..105 {
            let time = fixture.literal(&fixture.time(ADA.at));
            fixture.site.run(&format!(
                "INSERT INTO registration_removals (registration_id, removed_at) VALUES ({number}, {time})"
            ));
        }
        let cursor = fixture.register.cursor().await.unwrap();
        fixture.site.run("DELETE FROM registration_removals");
        fixture.remove(2);
        let (_, removed, _) = fixture.all_changes(&cursor, 10).await;
        assert_eq!(removed, ["2"], "{:?}", fixture.store());
    })
    .await;
}

#[tokio::test]
async fn a_column_that_does_not_sort_by_time_asks_for_a_full_reading() {
    let cases: [(Layout, Value); 6] = [
        (Layout::List, Value::Null),
        (Layout::List, Value::Text("2026-03-01T00:00:00".to_owned())),
        (Layout::List, Value::Text("2026-03-01 12:00:00+02:00".to_owned())),
        (Layout::List, Value::Text("01.03.2026".to_owned())),
        (Layout::List, Value::Integer(1_772_366_400)),
        (Layout::Flags, Value::Integer(1_772_366_400_000)),
    ];
    for (layout, value) in cases {
        let fixture = Fixture::new(layout).await;
        let cursor = fixture.register.cursor().await.unwrap();
        assert!(fixture.register.changes(&cursor, 10).await.unwrap().is_some());
        let text = format!(
            "UPDATE {} SET {} = ?1 WHERE {} = '2'",
            fixture.table(),
            fixture.column("updated_at"),
            fixture.column("id")
        );
        fixture.site.sqlite().execute(&text, [&value]).unwrap();
        let cursor = fixture.register.cursor().await.unwrap();
        let changes = fixture.register.changes(&cursor, 10).await.unwrap();
        assert_eq!(changes, None, "{value:?}");
    }
}

#[tokio::test]
async fn a_cursor_that_cannot_be_read_asks_for_a_full_reading() {
    check(async |fixture| {
        let cursor = LocalCursor("7".to_owned());
        assert_eq!(fixture.register.changes(&cursor, 10).await.unwrap(), None);
    })
    .await;
}

#[tokio::test]
async fn an_empty_register_tells_its_first_rows() {
    check(async |fixture| {
        for key in [1, 2, 10] {
            fixture.remove(key);
        }
        let cursor = fixture.register.cursor().await.unwrap();
        let (rows, _, cursor) = fixture.all_changes(&cursor, 10).await;
        assert!(rows.is_empty());
        fixture.register_person(&Person { id: 50, ..ADA });
        let (rows, _, _) = fixture.all_changes(&cursor, 10).await;
        assert_eq!(keys(&rows), ["50"]);
    })
    .await;
}

/// Whether the register tells of a change before long.
async fn is_told(fixture: &Fixture) -> bool {
    let told = async {
        let mut beat = tokio::time::interval(Duration::from_millis(5));
        while !fixture.register.was_changed().await.unwrap() {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.is_ok()
}

/// Whether the register tells of nothing for a tenth of a second.
async fn is_quiet(fixture: &Fixture) -> bool {
    let mut beat = tokio::time::interval(Duration::from_millis(1));
    for _ in 0..100 {
        beat.tick().await;
        if fixture.register.was_changed().await.unwrap() {
            return false;
        }
    }
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_changes_is_told_at_once_where_the_store_can_and_what_we_change_is_not() {
    check(async |fixture| {
        let script = telling_script(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
        if let Some(script) = script {
            assert_eq!(fixture.store(), Store::Postgres);
            fixture.site.run(&script);
            let left = telling_script(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
            assert_eq!(left, None, "{:?}", fixture.layout);
        }
        if fixture.store() == Store::Mariadb {
            fixture.set(1, "first_name", "Augusta".to_owned(), "2026-03-01T12:30:00Z");
            assert!(!fixture.register.was_changed().await.unwrap(), "it tells nobody");
            return;
        }
        // What was changed before anybody listened is told, too.
        assert!(is_told(&fixture).await, "{:?}", fixture.layout);
        for (key, name) in [(1, "Augusta"), (2, "Benno")] {
            fixture.set(key, "first_name", name.to_owned(), "2026-03-01T12:30:00Z");
            assert!(is_told(&fixture).await, "{:?} {name}", fixture.layout);
        }
        fixture.set_interests(2, &["topic:Finance"], "2026-03-01T12:30:01Z");
        assert!(is_told(&fixture).await, "{:?}", fixture.layout);
        // Several statements are told of one by one.
        while !is_quiet(&fixture).await {}
        fixture.register.note(&id(1), "a note of ours").await.unwrap();
        assert!(is_quiet(&fixture).await, "{:?}: our own", fixture.layout);
    })
    .await;
}
