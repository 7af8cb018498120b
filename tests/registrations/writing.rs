//! Writing rows: compare-and-set, creation, notes, erasure.

use std::collections::BTreeMap;

use rosterd::model::{Dimension, Interest, Key, SubscriptionStatus, Value};
use rosterd::registrations::{CreateOutcome, NewRegistration, RegisterError, RowChanges, WriteOutcome};
use rusqlite::types::Value as Sql;

use crate::fixture::{Fixture, Layout, at, check, email, id, interests, tag};
use crate::stores::Store;

fn values<const N: usize>(pairs: [(Key, Value); N]) -> RowChanges {
    RowChanges { values: BTreeMap::from(pairs), ..RowChanges::default() }
}

fn yes(text: &str) -> (Key, Value) {
    (Key::Interest(Interest::parse(text).unwrap()), Value::Flag(true))
}

fn no(text: &str) -> (Key, Value) {
    (Key::Interest(Interest::parse(text).unwrap()), Value::Flag(false))
}

fn written(outcome: WriteOutcome) -> rosterd::model::Registration {
    match outcome {
        WriteOutcome::Written(row) => *row,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_sets_what_is_named_and_nothing_else() {
    check(async |fixture| {
        let seen = fixture.row(1).await;
        let changes = RowChanges {
            email: Some(email("ada@new.test")),
            status: Some((SubscriptionStatus::Unsubscribed, Some(at("2026-04-01T08:00:00Z")))),
            preferences_url: Some("https://example.test/?u=1&e=ü".to_owned()),
            sync_note: Some("see staff".to_owned()),
            working_groups: Some(["Finance".to_owned(), "Water".to_owned()].into()),
            ..values([
                (Key::Field(tag("FNAME")), Value::text("Augusta 'Ada'")),
                no("region:Africa"),
                yes("topic:Énergie"),
            ])
        };
        let row = written(fixture.register.write(&seen, &changes).await.unwrap());
        assert_eq!(row, fixture.row(1).await);
        assert_eq!(row.email.as_str(), "ada@new.test");
        assert_eq!(row.status, SubscriptionStatus::Unsubscribed);
        assert_eq!(row.status_changed_at, Some(at("2026-04-01T08:00:00Z")));
        assert_eq!(row.fields[&tag("FNAME")], "Augusta 'Ada'");
        assert_eq!(row.interests, interests(&["topic:Finance", "topic:Énergie"]));
        assert_eq!(row.preferences_url.as_deref(), Some("https://example.test/?u=1&e=ü"));
        assert_eq!(row.sync_note.as_deref(), Some("see staff"));
        assert_eq!(row.working_groups, Some(["Finance".to_owned(), "Water".to_owned()].into()));
        assert_eq!((row.created_at, row.membership.clone()), (seen.created_at, seen.membership));
        let fewer = RowChanges {
            working_groups: Some(["Water".to_owned()].into()),
            sync_note: Some(String::new()),
            ..RowChanges::default()
        };
        let row = written(fixture.register.write(&row, &fewer).await.unwrap());
        assert_eq!(row.working_groups, Some(["Water".to_owned()].into()));
        assert_eq!(row.sync_note.as_deref(), Some(""));
        assert_eq!(fixture.cell(1, "sync_note"), Sql::Null);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_changed_meanwhile_is_left_alone() {
    check(async |fixture| {
        let changes = values([(Key::Field(tag("FNAME")), Value::text("Rosterd"))]);
        let now = "2026-03-01T12:30:00Z";
        for (column, value) in [
            ("email", Sql::Text("ADA@alliance.test".to_owned())),
            ("subscription", Sql::Text("unsubscribed".to_owned())),
            ("subscription", Sql::Text("no such word".to_owned())),
            ("subscription", Sql::Text("subscribed".to_owned())),
            ("subscription_changed_at", fixture.time(now)),
            ("first_name", Sql::Text("Augusta".to_owned())),
        ] {
            let seen = fixture.register.by_id(&[id(1)]).await.unwrap();
            fixture.set(1, column, value.clone(), now);
            if let rosterd::registrations::Reading::Usable(seen) = &seen[0] {
                let outcome = fixture.register.write(seen, &changes).await.unwrap();
                assert_eq!(outcome, WriteOutcome::Changed, "{:?} {column} {value:?}", fixture.layout);
            }
        }
        let seen = fixture.row(1).await;
        fixture.set_interests(1, &["topic:Finance"], now);
        assert_eq!(fixture.register.write(&seen, &changes).await.unwrap(), WriteOutcome::Changed);
        assert_eq!(fixture.row(1).await.fields[&tag("FNAME")], "Augusta");
        let seen = fixture.row(1).await;
        fixture.remove(1);
        assert_eq!(fixture.register.write(&seen, &changes).await.unwrap(), WriteOutcome::Gone);
        let seen = fixture.row(2).await;
        fixture.set(2, "deleted_at", fixture.time(now), now);
        assert_eq!(fixture.register.write(&seen, &changes).await.unwrap(), WriteOutcome::Gone);
    })
    .await;
}

#[tokio::test]
async fn what_rosterd_writes_for_itself_is_no_difference() {
    check(async |fixture| {
        let seen = fixture.row(1).await;
        fixture.set(1, "sync_note", "noted".to_owned(), "2026-03-01T12:30:00Z");
        fixture.set(1, "preferences_url", "https://x.test".to_owned(), "2026-03-01T12:30:01Z");
        let changes = values([(Key::Field(tag("FNAME")), Value::text("Augusta"))]);
        let row = written(fixture.register.write(&seen, &changes).await.unwrap());
        assert_eq!(row.fields[&tag("FNAME")], "Augusta");
        assert_eq!(row.sync_note.as_deref(), Some("noted"));
    })
    .await;
}

#[tokio::test]
async fn a_choice_clears_its_siblings_and_no_other_dimension() {
    check(async |fixture| {
        let topic = || Key::Choice(Dimension::new("topic"));
        let seen = fixture.row(1).await;
        let changes = values([(topic(), Value::text("Énergie"))]);
        let row = written(fixture.register.write(&seen, &changes).await.unwrap());
        assert_eq!(row.interests, interests(&["region:Africa", "topic:Énergie"]));
        let changes = values([(topic(), Value::text(""))]);
        let row = written(fixture.register.write(&row, &changes).await.unwrap());
        assert_eq!(row.interests, interests(&["region:Africa"]), "{:?}", fixture.layout);
    })
    .await;
}

#[tokio::test]
async fn a_status_is_written_with_its_time_even_where_that_stays() {
    check(async |fixture| {
        for (key, status, time) in [
            (1, SubscriptionStatus::Unsubscribed, Some("2026-03-01T12:00:00Z")),
            (1, SubscriptionStatus::Cleaned, None),
            (1, SubscriptionStatus::Unsubscribed, None),
            (2, SubscriptionStatus::Unsubscribed, Some("2026-04-01T00:00:00Z")),
        ] {
            let seen = fixture.row(key).await;
            let time = time.map(at);
            let changes = RowChanges { status: Some((status, time)), ..RowChanges::default() };
            let row = written(fixture.register.write(&seen, &changes).await.unwrap());
            assert_eq!((row.status, row.status_changed_at), (status, time), "{:?}", fixture.layout);
        }
    })
    .await;
}

#[tokio::test]
async fn cells_keep_the_form_of_their_column() {
    let fixture = Fixture::new(Layout::List).await;
    let changes = RowChanges {
        status: Some((SubscriptionStatus::Unsubscribed, Some(at("2026-04-01T08:00:00Z")))),
        ..values([
            (Key::Field(tag("FNAME")), Value::text("")),
            yes("topic:Health, social care"),
            yes("region:Asia"),
        ])
    };
    let seen = fixture.row(1).await;
    written(fixture.register.write(&seen, &changes).await.unwrap());
    assert_eq!(fixture.cell(1, "subscription_changed_at"), Sql::Text("2026-04-01 08:00:00".to_owned()));
    assert_eq!(fixture.cell(1, "first_name"), Sql::Null);
    let text = r#"SELECT topics || ' | ' || regions FROM "the ""people""" WHERE "select" = '1'"#;
    let lists = Sql::Text(r#"["Finance","Health, social care"] | Africa, Asia"#.to_owned());
    assert_eq!(fixture.site.first(text), lists);

    let fixture = Fixture::new(Layout::Flags).await;
    let changes = RowChanges {
        status: Some((SubscriptionStatus::Unsubscribed, Some(at("2026-04-01T08:00:00Z")))),
        ..values([(Key::Field(tag("FNAME")), Value::text("")), no("region:Africa"), yes("topic:Énergie")])
    };
    let seen = fixture.row(1).await;
    written(fixture.register.write(&seen, &changes).await.unwrap());
    assert_eq!(fixture.cell(1, "subscription_changed_at"), Sql::Integer(1_775_030_400));
    assert_eq!(fixture.cell(1, "first_name"), Sql::Text(String::new()));
    assert_eq!(fixture.cell(1, "africa"), Sql::Text("no".to_owned()));
    assert_eq!(fixture.cell(1, "energy"), Sql::Integer(1));
}

#[tokio::test]
async fn what_the_register_has_no_place_for_is_refused_whole() {
    let fixture = Fixture::new(Layout::Flags).await;
    let seen = fixture.row(1).await;
    let unknown = Key::Interest(Interest::new("topic", "Water"));
    assert!(!fixture.register.holds(&unknown));
    assert!(fixture.register.holds(&Key::Field(tag("FNAME"))));
    let changes = values([(Key::Field(tag("FNAME")), Value::text("X")), (unknown, Value::Flag(true))]);
    let refused = fixture.register.write(&seen, &changes).await.unwrap_err();
    assert!(refused.is_permanent(), "{refused}");
    assert_eq!(fixture.row(1).await, seen);

    let fixture = Fixture::new(Layout::List).await;
    let seen = fixture.row(1).await;
    let refused = fixture.register.write(&seen, &values([yes("region:Asia, Pacific")])).await.unwrap_err();
    assert!(matches!(refused, RegisterError::Refused { row, .. } if row == "1"));
    assert_eq!(fixture.row(1).await, seen);
}

#[tokio::test]
async fn large_values_and_any_script_survive() {
    check(async |fixture| {
        let n_times = if fixture.store() == Store::Mariadb { 1000 } else { 2000 };
        let name = "Ωmega — 漢字 — \u{1F469}\u{200D}\u{1F4BB} — '\";--".repeat(n_times);
        let seen = fixture.row(2).await;
        let changes = values([(Key::Field(tag("FNAME")), Value::text(name.clone()))]);
        let row = written(fixture.register.write(&seen, &changes).await.unwrap());
        assert_eq!(row.fields[&tag("FNAME")], name);
        if fixture.layout == Layout::Flags {
            return;
        }
        let many: Vec<(Key, Value)> = (0..2000)
            .map(|n| (Key::Interest(Interest::new("topic", &format!("Thème {n}"))), Value::Flag(true)))
            .collect();
        let changes = RowChanges { values: many.into_iter().collect(), ..RowChanges::default() };
        let row = written(fixture.register.write(&row, &changes).await.unwrap());
        assert_eq!(row.interests.len(), 2000);
    })
    .await;
}

fn new(address: &str) -> NewRegistration {
    NewRegistration {
        email: email(address),
        membership: "subscriber".to_owned(),
        status: SubscriptionStatus::Subscribed,
        status_changed_at: Some(at("2026-04-01T08:00:00Z")),
        values: BTreeMap::from([
            (Key::Field(tag("FNAME")), Value::text("Dora")),
            yes("topic:Finance"),
            yes("region:Africa"),
        ]),
    }
}

#[tokio::test]
async fn a_registration_is_created_once() {
    check(async |fixture| {
        if fixture.layout == Layout::List {
            // Its text keys have no default: an insert would make a row without a key.
            let refused = fixture.register.create(&new("dora@alliance.test")).await.unwrap_err();
            assert!(refused.to_string().contains("no key"), "{refused}");
            assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 3);
            return;
        }
        let CreateOutcome::Created(row) = fixture.register.create(&new("dora@alliance.test")).await.unwrap()
        else {
            panic!("not created");
        };
        assert_eq!(*row, fixture.row(row.id.as_str().parse().unwrap()).await);
        assert_eq!(row.status, SubscriptionStatus::Subscribed);
        assert_eq!(row.status_changed_at, Some(at("2026-04-01T08:00:00Z")));
        assert_eq!(row.fields[&tag("FNAME")], "Dora");
        assert_eq!(row.interests, interests(&["region:Africa", "topic:Finance"]));
        assert!(row.created_at.is_some() && row.updated_at.is_some());
        let again = fixture.register.create(&new("DORA@alliance.test")).await.unwrap();
        assert_eq!(again, CreateOutcome::Exists);
        assert_eq!(fixture.register.create(&new("ada@alliance.test")).await.unwrap(), CreateOutcome::Exists);
        // Somebody whose row is marked as removed may be registered anew.
        fixture.set(2, "deleted_at", fixture.time("2026-03-02T00:00:00Z"), "2026-03-02T00:00:00Z");
        let outcome = fixture.register.create(&new("ben@alliance.test")).await.unwrap();
        assert!(matches!(outcome, CreateOutcome::Created(_)));
    })
    .await;
}

#[tokio::test]
async fn a_note_reaches_unusable_rows_too() {
    check(async |fixture| {
        fixture.set(1, "subscription", "perhaps".to_owned(), "2026-03-01T12:30:00Z");
        for (note, cell) in [("mend me", Sql::Text("mend me".to_owned())), ("", Sql::Null)] {
            fixture.register.note(&id(1), note).await.unwrap();
            assert_eq!(fixture.cell(1, "sync_note"), cell);
            let rows = fixture.register.by_id(&[id(1)]).await.unwrap();
            let rosterd::registrations::Reading::Unusable(row) = &rows[0] else { panic!("usable") };
            assert_eq!(row.sync_note.as_deref(), Some(note));
        }
        fixture.register.note(&id(999), "nobody").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn erased_rows_leave_nothing_behind() {
    check(async |fixture| {
        let groups =
            RowChanges { working_groups: Some(["Water".to_owned()].into()), ..RowChanges::default() };
        let seen = fixture.row(1).await;
        fixture.register.write(&seen, &groups).await.unwrap();
        fixture.set(2, "deleted_at", fixture.time("2026-03-02T00:00:00Z"), "2026-03-02T00:00:00Z");
        fixture.register.erase(&[id(1), id(2)]).await.unwrap();
        assert_eq!(fixture.count(&fixture.table()), 1, "{:?}", fixture.layout);
        let (table, group_table) = match fixture.layout {
            Layout::Rows => ("registration_interests", "group_members"),
            Layout::List => ("removed people", "people's groups"),
            Layout::Flags => ("registration_removals", "group_members"),
        };
        let left = |table: &str| fixture.count(&fixture.quoted(table));
        let interests_of_cleo = if fixture.layout == Layout::Rows { 2 } else { 0 };
        assert_eq!((left(table), left(group_table)), (interests_of_cleo, 0));
    })
    .await;
}
