//! Rows that cannot be synchronized as they stand.

use rosterd::model::{Interest, Key, SubscriptionStatus, UnusableRegistration, Value};
use rosterd::registrations::{Reading, RowChanges, WriteOutcome, examine};
use rusqlite::types::Value as Sql;

use crate::fixture::{Fixture, Layout, at, check, email, id};

async fn unusable(fixture: &Fixture) -> UnusableRegistration {
    match fixture.register.by_id(&[id(1)]).await.unwrap().remove(0) {
        Reading::Unusable(row) => row,
        Reading::Usable(row) => panic!("{row:?}"),
    }
}

async fn problem(fixture: &Fixture) -> Option<String> {
    let rows = fixture.register.by_id(&[id(1)]).await.unwrap();
    match &rows[0] {
        Reading::Usable(_) => None,
        Reading::Unusable(row) => Some(row.problem.clone()),
    }
}

#[tokio::test]
async fn an_unusable_row_names_its_column_and_not_the_address() {
    let cases: [(&str, Sql, &str); 8] = [
        ("email", Sql::Text("ada at alliance.test".to_owned()), "holds no usable address"),
        ("email", Sql::Text("ada@secret.test ben@secret.test".to_owned()), "holds no usable address"),
        ("email", Sql::Text(String::new()), "the address is empty"),
        ("subscription", Sql::Text("ja".to_owned()), "\"ja\""),
        ("subscription", Sql::Text("archived".to_owned()), "\"archived\""),
        ("subscription", Sql::Text("ada@secret.test".to_owned()), "something else than a status"),
        ("subscription", Sql::Text(" ".to_owned()), "holds no status"),
        ("subscription_changed_at", Sql::Text("last week".to_owned()), "something else than a time"),
    ];
    for (column, value, part) in cases {
        check(async |fixture| {
            if !fixture.takes_text(column) {
                return;
            }
            fixture.set(1, column, value.clone(), "2026-03-01T12:30:00Z");
            let said = problem(&fixture).await.unwrap();
            let column = fixture.column(column).replace(['"', '`'], "");
            assert!(said.contains(part) && said.contains(&column), "{said}");
            assert!(!said.contains('@') || part.contains("address"), "{said}");
            assert!(!said.contains("secret"), "{said}");
            // Unusable rows are in pages, changes and by address, so that they can be noted and seen.
            assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 3);
        })
        .await;
    }
}

#[tokio::test]
async fn an_unreadable_time_of_the_row_is_none() {
    check(async |fixture| {
        if !fixture.takes_text("created_at") {
            return;
        }
        fixture.set(1, "created_at", "once".to_owned(), "2026-03-01T12:30:00Z");
        assert_eq!(problem(&fixture).await, None);
        assert_eq!(fixture.row(1).await.created_at, None);
    })
    .await;
}

#[tokio::test]
async fn a_time_without_an_offset_needs_the_zone() {
    let mut fixture = Fixture::new(Layout::List).await;
    for zone in [None, Some("Europe/Zurich")] {
        fixture.mapping.time_zone = zone.map(str::to_owned);
        fixture.register = fixture.with_overlap(fixture.mapping.overlap).await;
        match zone {
            None => assert!(problem(&fixture).await.unwrap().contains("time_zone")),
            Some(_) => {
                let expected = "2026-03-01T11:00:00Z".parse().unwrap();
                assert_eq!(fixture.row(1).await.status_changed_at, Some(expected));
            }
        }
    }
}

#[tokio::test]
async fn cells_of_interests_that_make_no_sense_stop_the_row() {
    let fixture = Fixture::new(Layout::List).await;
    let text = r#"UPDATE "the ""people""" SET topics = ?1 WHERE "select" = '1'"#;
    fixture.site.sqlite().execute(text, ["[\"Finance\""]).unwrap();
    assert!(problem(&fixture).await.unwrap().contains("\"topics\""));
    let fixture = Fixture::new(Layout::Flags).await;
    fixture.site.run("UPDATE registrations SET africa = 'sometimes' WHERE id = 1");
    assert!(problem(&fixture).await.unwrap().contains("\"africa\""));
}

#[tokio::test]
async fn bytes_are_taken_for_a_key_only_where_a_key_stands() {
    let fixture = Fixture::new(Layout::Flags).await;
    let cursor = fixture.register.cursor().await.unwrap();
    let changes = fixture.register.changes(&cursor, 10).await.unwrap();
    assert!(changes.is_some());
    // Once they stopped every reading of changes, and every write of the cell.
    fixture
        .site
        .run("UPDATE registrations SET updated_at = x'00ff', africa = CAST('yes' AS BLOB) WHERE id = 1");
    assert_eq!(fixture.register.changes(&cursor, 10).await.unwrap(), None);
    let seen = fixture.row(1).await;
    let africa = Key::Interest(Interest::new("region", "Africa"));
    let changes = RowChanges { values: [(africa, Value::Flag(false))].into(), ..RowChanges::default() };
    let outcome = fixture.register.write(&seen, &changes).await.unwrap();
    assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
    let report = examine(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
    assert!(report.is_usable(), "{:?}", report.problems);
}

#[tokio::test]
async fn an_unusable_row_says_whose_it_is_and_where_they_stand_as_far_as_that_can_be_read() {
    check(async |fixture| {
        if !fixture.takes_text("subscription_changed_at") {
            return;
        }
        let now = "2026-03-01T12:30:00Z";
        fixture.set(1, "subscription", "unsubscribed".to_owned(), now);
        fixture.set(1, "subscription_changed_at", "lately".to_owned(), now);
        let row = unusable(&fixture).await;
        assert_eq!(row.email, Some(email("ada@alliance.test")));
        assert_eq!((row.status, row.status_changed_at), (Some(SubscriptionStatus::Unsubscribed), None));
        fixture.set(1, "subscription_changed_at", fixture.time(now), now);
        fixture.set(1, "email", "".to_owned(), now);
        let row = unusable(&fixture).await;
        assert_eq!(row.email, None);
        assert_eq!(
            (row.status, row.status_changed_at),
            (Some(SubscriptionStatus::Unsubscribed), Some(at(now)))
        );
    })
    .await;
    let fixture = Fixture::new(Layout::Flags).await;
    let sql = "UPDATE registrations SET africa = 'sometimes', subscription = 'unsubscribed' WHERE id = 1";
    fixture.site.run(sql);
    assert_eq!(unusable(&fixture).await.status, Some(SubscriptionStatus::Unsubscribed));
}

#[tokio::test]
async fn an_unusable_row_takes_an_opt_out_and_nothing_else() {
    check(async |fixture| {
        let now = "2026-03-01T12:30:00Z";
        let seen = fixture.row(1).await;
        fixture.set(1, "email", "".to_owned(), now);
        let status = |status| RowChanges { status: Some((status, Some(at(now)))), ..RowChanges::default() };
        for refused in [
            status(SubscriptionStatus::Subscribed),
            status(SubscriptionStatus::Pending),
            RowChanges { email: Some(email("ada@new.test")), ..RowChanges::default() },
        ] {
            assert_eq!(fixture.register.write(&seen, &refused).await.unwrap(), WriteOutcome::Changed);
        }
        for opt_out in [SubscriptionStatus::Cleaned, SubscriptionStatus::Unsubscribed] {
            let outcome = fixture.register.write(&seen, &status(opt_out)).await.unwrap();
            assert_eq!(outcome, WriteOutcome::OptOutOnly);
            let row = unusable(&fixture).await;
            assert_eq!((row.email, row.status, row.status_changed_at), (None, Some(opt_out), Some(at(now))));
        }
    })
    .await;
}

#[tokio::test]
async fn a_key_that_a_view_makes_up_is_found_like_any_other() {
    // Digits without a type were found by no number, and a page after one of them began anew.
    for made_up in ["id || ''", "hex(x'1234567812345670') + id", "printf('%d', id)", "id"] {
        let fixture = Fixture::new(Layout::Flags).await;
        let view = format!(
            "ALTER TABLE registrations RENAME TO people;
             CREATE VIEW registrations AS SELECT {made_up} AS id, email, subscription, first_name,
                subscription_changed_at, created_at, updated_at, deleted_at, sync_note, preferences_url,
                finance, energy, africa FROM people"
        );
        fixture.site.run(&view);
        let register = fixture.with_overlap(fixture.mapping.overlap).await;
        let all = register.page(None, 10).await.unwrap();
        assert_eq!(all.len(), 3, "{made_up}");
        let keys: Vec<_> = all.iter().map(|row| row.id().clone()).collect();
        assert_eq!(register.by_id(&keys).await.unwrap(), all, "{made_up}");
        let mut paged = Vec::new();
        for row in &all {
            let page = register.page(paged.last().map(Reading::id), 1).await.unwrap();
            assert_eq!(page, std::slice::from_ref(row), "{made_up}");
            paged.extend(page);
        }
        assert_eq!(register.page(paged.last().map(Reading::id), 1).await.unwrap(), [], "{made_up}");
    }
}
