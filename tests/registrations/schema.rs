//! The schema of `init`: each trigger, seen from the website.

use rosterd::registrations::{RegisterError, create_register};

use crate::fixture::{Fixture, Layout};

const PAST: &str = "2026-01-01T00:00:00.000Z";

/// A register whose rows all changed long ago.
async fn fixture() -> Fixture {
    let fixture = Fixture::new(Layout::Rows).await;
    fixture.site.sqlite().pragma_update(None, "recursive_triggers", true).unwrap();
    fixture.site.sqlite().execute("UPDATE registrations SET updated_at = ?1", [PAST]).unwrap();
    fixture
}

fn column(fixture: &Fixture, name: &str) -> Option<String> {
    let text = format!("SELECT {name} FROM registrations WHERE id = 1");
    fixture.site.sqlite().query_row(&text, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn every_change_but_rosterds_own_moves_the_time_of_change() {
    let cases = [
        ("UPDATE registrations SET first_name = 'Augusta' WHERE id = 1", true),
        ("UPDATE registrations SET subscription = 'unsubscribed' WHERE id = 1", true),
        ("UPDATE registrations SET deleted_at = '2026-01-01' WHERE id = 1", true),
        ("UPDATE registrations SET email = 'a@b.test', sync_note = 'x' WHERE id = 1", true),
        ("UPDATE registrations SET country = 'CH', updated_at = '2025-01-01T00:00:00Z' WHERE id = 1", true),
        ("UPDATE registrations SET country = 'CH', updated_at = '2026-01-01 09:00:00' WHERE id = 1", true),
        ("INSERT INTO registration_interests VALUES (1, 'topic', 'Water')", true),
        ("DELETE FROM registration_interests WHERE registration_id = 1", true),
        (
            "UPDATE registration_interests SET interest = 'W' WHERE registration_id = 1 AND dimension = 'topic'",
            true,
        ),
        ("UPDATE registration_interests SET registration_id = 2 WHERE registration_id = 1", true),
        ("UPDATE registrations SET sync_note = 'x', preferences_url = 'y' WHERE id = 1", false),
        ("UPDATE registrations SET first_name = 'Benno' WHERE id = 2", false),
    ];
    for (statement, moves) in cases {
        let fixture = fixture().await;
        fixture.site.sqlite().execute(statement, []).unwrap();
        let updated_at = column(&fixture, "updated_at").unwrap();
        assert_eq!(updated_at != PAST, moves, "{statement}: {updated_at}");
        assert!(!moves || (updated_at.as_str() > "2026-06" && updated_at.ends_with('Z')), "{updated_at}");
    }
}

#[tokio::test]
async fn a_time_of_change_that_moves_forward_is_the_websites_own() {
    let fixture = fixture().await;
    let text = "UPDATE registrations SET country = 'CH', updated_at = '2026-02-01T00:00:00Z' WHERE id = 1";
    fixture.site.sqlite().execute(text, []).unwrap();
    assert_eq!(column(&fixture, "updated_at").unwrap(), "2026-02-01T00:00:00Z");
}

#[tokio::test]
async fn a_row_inserted_with_another_spelling_is_dated_anew() {
    let fixture = fixture().await;
    let text =
        "INSERT INTO registrations (email, updated_at) VALUES ('z@alliance.test', '2026-02-01 10:00:00')";
    fixture.site.sqlite().execute(text, []).unwrap();
    let text = "SELECT updated_at FROM registrations WHERE email = 'z@alliance.test'";
    let updated_at: String = fixture.site.sqlite().query_row(text, [], |row| row.get(0)).unwrap();
    assert!(updated_at.contains('T') && updated_at.ends_with('Z'), "{updated_at}");
}

#[tokio::test]
async fn consent_without_a_time_happened_now() {
    let own = "2026-03-01T12:00:00.000Z";
    let cases = [
        ("subscription = 'unsubscribed'", None),
        (
            "subscription = 'unsubscribed', subscription_changed_at = '2026-02-02T00:00:00Z'",
            Some("2026-02-02T00:00:00Z"),
        ),
        ("subscription = 'subscribed'", Some(own)),
        ("first_name = 'Augusta'", Some(own)),
    ];
    for (set, expected) in cases {
        let fixture = fixture().await;
        fixture.site.sqlite().execute(&format!("UPDATE registrations SET {set} WHERE id = 1"), []).unwrap();
        let time = column(&fixture, "subscription_changed_at").unwrap();
        match expected {
            Some(expected) => assert_eq!(time, expected, "{set}"),
            None => assert!(time.as_str() > "2026-06", "{set}: {time}"),
        }
    }
}

#[tokio::test]
async fn a_removed_row_leaves_a_trace_and_no_interests() {
    for foreign_keys in [true, false] {
        let fixture = fixture().await;
        fixture.site.sqlite().pragma_update(None, "foreign_keys", foreign_keys).unwrap();
        fixture.site.sqlite().execute("DELETE FROM registrations WHERE id = 1", []).unwrap();
        let text = "SELECT (SELECT count(*) FROM registration_interests WHERE registration_id = 1), \
                    (SELECT group_concat(registration_id) FROM registration_removals)";
        let left: (i64, String) =
            fixture.site.sqlite().query_row(text, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(left, (0, "1".to_owned()), "{foreign_keys}");
    }
}

#[tokio::test]
async fn a_key_is_never_given_twice() {
    let fixture = fixture().await;
    fixture.site.sqlite().execute("DELETE FROM registrations WHERE id = 10", []).unwrap();
    fixture
        .site
        .sqlite()
        .execute("INSERT INTO registrations (email) VALUES ('z@alliance.test')", [])
        .unwrap();
    assert_eq!(fixture.site.sqlite().last_insert_rowid(), 11);
    fixture.site.sqlite().execute("UPDATE registrations SET id = 99 WHERE id = 11", []).unwrap();
    let text = "SELECT group_concat(registration_id) FROM registration_removals";
    let removed: String = fixture.site.sqlite().query_row(text, [], |row| row.get(0)).unwrap();
    assert_eq!(removed, "10,11");
}

#[tokio::test]
async fn a_file_that_is_there_is_left_alone() {
    let fixture = fixture().await;
    let refused = create_register(fixture.database.address().as_ref()).await.unwrap_err();
    assert!(matches!(refused, RegisterError::Mapping { .. }), "{refused}");
    assert_eq!(fixture.row(2).await.email.as_str(), "ben@alliance.test");
}
