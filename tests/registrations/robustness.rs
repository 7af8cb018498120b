//! Locks, refusals, lost rights, replaced files.

use std::fs;
use std::os::unix::fs::symlink;

use rosterd::model::{Key, Value};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{RegisterError, RegisterPlace, RowChanges, WriteOutcome, open, open_read_only};
use rusqlite::Connection;

use crate::fixture::{Fixture, Layout, check, id, tag};
use crate::stores::{Database, Store};

fn rename() -> RowChanges {
    RowChanges {
        values: [(Key::Field(tag("FNAME")), Value::text("Rosterd"))].into(),
        ..RowChanges::default()
    }
}

#[tokio::test]
async fn a_locked_register_is_busy_after_the_time_out_and_usable_afterwards() {
    check(async |fixture| {
        let seen = fixture.row(1).await;
        match fixture.store() {
            Store::Sqlite => fixture.site.run("BEGIN IMMEDIATE"),
            Store::Postgres | Store::Mariadb => {
                fixture.site.run("BEGIN");
                fixture.set(1, "first_name", "Augusta".to_owned(), "2026-03-01T12:30:00Z");
            }
        }
        let busy = fixture.register.write(&seen, &rename()).await.unwrap_err();
        assert!(matches!(busy, RegisterError::Busy { .. }), "{busy}");
        assert!(matches!(fixture.register.note(&id(1), "x").await.unwrap_err(), RegisterError::Busy { .. }));
        fixture.site.run("ROLLBACK");
        let outcome = fixture.register.write(&seen, &rename()).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(_)));
    })
    .await;
}

/// What makes the store refuse every name.
fn refusal(fixture: &Fixture) -> String {
    let (table, column) = (fixture.table(), fixture.column("first_name"));
    let said = "not for ada@alliance.test";
    match fixture.store() {
        Store::Sqlite => format!(
            "CREATE TRIGGER no_more BEFORE UPDATE OF {column} ON {table} BEGIN SELECT RAISE(ABORT, '{said}'); END"
        ),
        Store::Postgres => format!(
            "CREATE FUNCTION no_more() RETURNS trigger LANGUAGE plpgsql AS
               $$ BEGIN RAISE EXCEPTION '{said}'; END $$;
             CREATE TRIGGER no_more BEFORE UPDATE OF {column} ON {table}
               FOR EACH ROW EXECUTE FUNCTION no_more()"
        ),
        Store::Mariadb => format!(
            "CREATE TRIGGER no_more BEFORE UPDATE ON {table} FOR EACH ROW
             IF NOT (NEW.{column} <=> OLD.{column}) THEN
               SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '{said}';
             END IF"
        ),
    }
}

#[tokio::test]
async fn a_write_that_the_store_refuses_changes_nothing() {
    check(async |fixture| {
        fixture.site.run(&refusal(&fixture));
        let seen = fixture.row(1).await;
        let changes = RowChanges { sync_note: Some("noted".to_owned()), ..rename() };
        let refused = fixture.register.write(&seen, &changes).await.unwrap_err();
        assert!(refused.is_permanent(), "{refused}");
        assert_eq!(refused.to_string(), "the register refused to write row 1: not for <address>");
        assert_eq!(fixture.row(1).await, seen);
    })
    .await;
}

#[tokio::test]
async fn a_column_that_was_dropped_is_a_mistake_of_the_mapping() {
    for store in Store::all() {
        let fixture = Fixture::on(store, Layout::Flags).await;
        fixture.site.run("ALTER TABLE registrations DROP COLUMN first_name");
        let lost = fixture.register.page(None, 10).await.unwrap_err();
        assert!(
            matches!(&lost, RegisterError::Mapping { problem, .. } if problem.contains("first_name")),
            "{lost}"
        );
    }
}

#[tokio::test]
async fn a_missing_file_is_never_created() {
    let directory = tempfile::tempdir().unwrap();
    let place = RegisterPlace::Sqlite(directory.path().join("typo.db"));
    let (mapping, values) = (RegisterMapping::default(), MappedValues::default());
    let lost = open(&place, &mapping, &values).await.unwrap_err();
    assert!(
        matches!(&lost, RegisterError::Mapping { problem, .. } if problem.contains("rosterd init")),
        "{lost}"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_file_that_was_replaced_is_opened_anew() {
    let fixture = Fixture::new(Layout::Rows).await;
    assert_eq!(fixture.row(1).await.fields[&tag("FNAME")], "Ada");
    let path = fixture.database.address();
    let backup = format!("{path}.backup");
    fixture.site.sqlite().execute("VACUUM INTO ?1", [&backup]).unwrap();
    Connection::open(&backup)
        .unwrap()
        .execute("UPDATE registrations SET first_name = 'Restored' WHERE id = 1", [])
        .unwrap();
    for suffix in ["-wal", "-shm"] {
        let _ = fs::remove_file(format!("{}{suffix}", path));
    }
    fs::rename(&backup, &path).unwrap();
    assert_eq!(fixture.row(1).await.fields[&tag("FNAME")], "Restored");
}

/// A link to nowhere, which SQLite does not follow, stands in for a directory that cannot be written: root could write any.
#[tokio::test]
async fn a_register_whose_directory_cannot_be_written_is_read_where_no_log_is() {
    let Fixture { mapping, values, register, site, database, .. } = Fixture::new(Layout::Rows).await;
    drop(register);
    drop(site);
    let path = database.address();
    let shared_memory = format!("{path}-shm");
    assert!(!fs::exists(&shared_memory).unwrap());
    symlink("/nowhere", &shared_memory).unwrap();
    let place = database.place();
    let reader = open_read_only(&place, &mapping, &values).await.unwrap();
    assert_eq!(reader.page(None, 10).await.unwrap().len(), 3);
    let log = format!("{}-wal", path);
    fs::write(&log, "frames").unwrap();
    let disturbed = reader.page(None, 10).await.unwrap_err();
    assert!(matches!(disturbed, RegisterError::Busy { .. }), "{disturbed}");
    let refused = open_read_only(&place, &mapping, &values).await.unwrap_err();
    assert!(matches!(refused, RegisterError::Busy { .. }), "{refused}");
    fs::remove_file(&log).unwrap();
    assert_eq!(reader.page(None, 10).await.unwrap().len(), 3);
    drop::<Database>(database);
}

#[tokio::test]
async fn debug_shows_no_row() {
    let fixture = Fixture::new(Layout::Rows).await;
    assert!(!format!("{:?}", fixture.register).contains('@'));
}
