//! Registers with words of their own for where a person stands.

use std::sync::Arc;

use rosterd::model::{Registration, SubscriptionStatus};
use rosterd::registrations::mapping::RegisterMapping;
use rosterd::registrations::words::StatusWords;
use rosterd::registrations::{
    CreateOutcome, NewRegistration, Reading, RowChanges, WriteOutcome, WriteRegistrations, open,
};
use rusqlite::types::Value;

use crate::fixture::{Fixture, Layout, at, check, email, id, keys, usable};
use crate::stores::Store;

const AT: &str = "2026-03-01T12:30:00Z";

/// Opens the register with words of its own.
async fn speaking(fixture: &Fixture, words: &str) -> Arc<dyn WriteRegistrations> {
    let statuses: StatusWords = toml::from_str(words).unwrap();
    let mapping = RegisterMapping { statuses, ..fixture.mapping.clone() };
    open(&fixture.place(), &mapping, &fixture.values).await.unwrap()
}

async fn row(register: &dyn WriteRegistrations) -> Registration {
    usable(&register.by_id(&[id(1)]).await.unwrap()[0])
}

fn becomes(status: SubscriptionStatus) -> RowChanges {
    RowChanges { status: Some((status, Some(at(AT)))), ..RowChanges::default() }
}

#[tokio::test]
async fn own_words_are_read_in_any_case_and_the_first_is_written() {
    let words =
        "subscribed = ['Ja', 'yes']\nunsubscribed = ['opted_out', 'NEIN']\npending = '?'\ncleaned = 'tot'";
    check(async |fixture| {
        let register = speaking(&fixture, words).await;
        for (word, status) in [
            ("ja", SubscriptionStatus::Subscribed),
            (" YES ", SubscriptionStatus::Subscribed),
            ("nein", SubscriptionStatus::Unsubscribed),
            ("?", SubscriptionStatus::Pending),
            ("Tot", SubscriptionStatus::Cleaned),
        ] {
            fixture.set(1, "subscription", word.to_owned(), AT);
            assert_eq!(row(register.as_ref()).await.status, status, "{word}");
        }
        for (status, word) in [
            (SubscriptionStatus::Unsubscribed, "opted_out"),
            (SubscriptionStatus::Pending, "?"),
            (SubscriptionStatus::Subscribed, "Ja"),
            (SubscriptionStatus::Cleaned, "tot"),
        ] {
            let seen = row(register.as_ref()).await;
            let outcome = register.write(&seen, &becomes(status)).await.unwrap();
            let WriteOutcome::Written(row) = outcome else { panic!("{outcome:?}") };
            assert_eq!(row.status, status);
            assert_eq!(fixture.cell(1, "subscription"), Value::Text(word.to_owned()));
        }
    })
    .await;
}

#[tokio::test]
async fn a_word_of_the_default_is_none_any_more_where_there_are_own_ones() {
    check(async |fixture| {
        let register = speaking(&fixture, "subscribed = 'ja'").await;
        let rows = register.by_id(&[id(1), id(2)]).await.unwrap();
        let Reading::Unusable(ada) = &rows[0] else { panic!("{rows:?}") };
        assert!(ada.problem.ends_with("it must be ja, unsubscribed, pending or cleaned"), "{}", ada.problem);
        assert_eq!(usable(&rows[1]).status, SubscriptionStatus::Unsubscribed);
    })
    .await;
}

#[tokio::test]
async fn nothing_can_be_a_word() {
    check(async |fixture| {
        // The schema of `init` wants a word in each row.
        if fixture.layout == Layout::Rows {
            return;
        }
        let register =
            speaking(&fixture, "unsubscribed = ['', 'no']\nsubscribed = ['subscribed', 'yes']").await;
        for value in [Value::Null, Value::Text(String::new()), Value::Text("no".to_owned())] {
            fixture.set(1, "subscription", value, AT);
            assert_eq!(row(register.as_ref()).await.status, SubscriptionStatus::Unsubscribed);
        }
        fixture.set(1, "subscription", "yes".to_owned(), AT);
        let seen = row(register.as_ref()).await;
        let outcome = register.write(&seen, &becomes(SubscriptionStatus::Unsubscribed)).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        assert_eq!(fixture.cell(1, "subscription"), Value::Null);
    })
    .await;
}

#[tokio::test]
async fn numbers_are_words_in_a_column_of_numbers() {
    check(async |fixture| {
        if fixture.layout != Layout::Flags {
            return;
        }
        let store = fixture.store();
        fixture.site.run("UPDATE registrations SET subscription = CASE subscription WHEN 'subscribed' THEN '1' WHEN 'pending' THEN '2' ELSE '0' END");
        match store {
            Store::Sqlite => (),
            Store::Postgres => fixture
                .site
                .run("ALTER TABLE registrations ALTER COLUMN subscription TYPE smallint USING subscription::smallint"),
            Store::Mariadb => fixture.site.run("ALTER TABLE registrations MODIFY subscription tinyint(1)"),
        }
        let words = "subscribed = 1\nunsubscribed = 0\npending = 2\ncleaned = 3";
        let register = speaking(&fixture, words).await;
        let statuses: Vec<_> =
            register.page(None, 10).await.unwrap().iter().map(|row| usable(row).status).collect();
        let expected =
            [SubscriptionStatus::Subscribed, SubscriptionStatus::Unsubscribed, SubscriptionStatus::Pending];
        assert_eq!(statuses, expected, "{store:?}");
        let cursor = register.cursor().await.unwrap();
        let seen = row(register.as_ref()).await;
        let outcome = register.write(&seen, &becomes(SubscriptionStatus::Cleaned)).await.unwrap();
        let WriteOutcome::Written(row) = outcome else { panic!("{store:?}: {outcome:?}") };
        assert_eq!(row.status, SubscriptionStatus::Cleaned);
        let new = NewRegistration {
            email: email("dora@alliance.test"),
            status: SubscriptionStatus::Subscribed,
            status_changed_at: Some(at(AT)),
            membership: "subscriber".to_owned(),
            values: [].into(),
        };
        let outcome = register.create(&new).await.unwrap();
        let CreateOutcome::Created(row) = outcome else { panic!("{store:?}: {outcome:?}") };
        assert_eq!(row.status, SubscriptionStatus::Subscribed);
        assert!(keys(&register.changes(&cursor, 10).await.unwrap().unwrap().rows).len() < 5);
    })
    .await;
}
