//! Rows that cannot be synchronized as they stand.

use rosterd::registrations::Reading;
use rusqlite::types::Value;

use crate::fixture::{Fixture, Layout, check, id};

async fn problem(fixture: &Fixture) -> Option<String> {
    let rows = fixture.register.by_id(&[id(1)]).await.unwrap();
    match &rows[0] {
        Reading::Usable(_) => None,
        Reading::Unusable(row) => Some(row.problem.clone()),
    }
}

#[tokio::test]
async fn an_unusable_row_names_its_column_and_not_the_address() {
    let cases: [(&str, Value, &str); 8] = [
        ("email", Value::Text("ada at alliance.test".to_owned()), "holds no usable address"),
        ("email", Value::Text("ada@secret.test ben@secret.test".to_owned()), "holds no usable address"),
        ("email", Value::Text(String::new()), "the address is empty"),
        ("subscription", Value::Text("ja".to_owned()), "\"ja\""),
        ("subscription", Value::Text("archived".to_owned()), "\"archived\""),
        ("subscription", Value::Text("ada@secret.test".to_owned()), "something else than a status"),
        ("subscription", Value::Text(" ".to_owned()), "holds no status"),
        ("subscription_changed_at", Value::Text("last week".to_owned()), "something else than a time"),
    ];
    for (column, value, part) in cases {
        check(async |fixture| {
            fixture.set(1, column, value.clone(), "2026-03-01T12:30:00Z");
            let said = problem(&fixture).await.unwrap();
            let column = fixture.column(column).replace('"', "");
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
    fixture.site.execute(text, ["[\"Finance\""]).unwrap();
    assert!(problem(&fixture).await.unwrap().contains("\"topics\""));
    let fixture = Fixture::new(Layout::Flags).await;
    fixture.site.execute("UPDATE registrations SET africa = 'sometimes' WHERE id = 1", []).unwrap();
    assert!(problem(&fixture).await.unwrap().contains("\"africa\""));
}
