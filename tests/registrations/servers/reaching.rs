//! Reaching a server, losing it, finding it again.

use jiff::SignedDuration;
use rosterd::model::{Key, Value};
use rosterd::registrations::mapping::RegisterMapping;
use rosterd::registrations::{
    RegisterError, RegisterPlace, RowChanges, WriteOutcome, examine, open, open_read_only,
};

use crate::fixture::{Fixture, id, keys, tag};
use crate::servers::check;
use crate::stores::Store;
use crate::tap::Tap;

/// The address with another host and port.
fn at_port(address: &str, port: u16) -> String {
    let (before, rest) = address.rsplit_once('@').unwrap();
    format!("{before}@127.0.0.1:{port}/{}", rest.split_once('/').unwrap().1)
}

fn host(address: &str) -> &str {
    let rest = address.rsplit_once('@').unwrap().1;
    rest.split_once('/').unwrap().0
}

#[tokio::test]
async fn a_server_that_restarts_in_the_middle_loses_nothing() {
    check(async |fixture| {
        let address = fixture.database.address();
        let mut tap = Tap::new(host(&address)).await;
        let place = RegisterPlace::server(&at_port(&address, tap.port)).unwrap();
        let register = open(&place, &fixture.mapping, &fixture.values).await.unwrap();
        let first = register.page(None, 2).await.unwrap();
        let cursor = register.cursor().await.unwrap();
        let seen = fixture.row(1).await;
        tap.close().await;
        let changes = RowChanges {
            values: [(Key::Field(tag("FNAME")), Value::text("Rosterd"))].into(),
            ..RowChanges::default()
        };
        for lost in [
            register.page(Some(&id(2)), 2).await.err(),
            register.changes(&cursor, 2).await.err(),
            register.write(&seen, &changes).await.err(),
            open(&place, &fixture.mapping, &fixture.values).await.err(),
        ] {
            assert!(matches!(lost, Some(RegisterError::Busy { .. })), "{lost:?}");
        }
        assert_eq!(fixture.row(1).await, seen);
        tap.reopen().await;
        // Cut off wherever it may be, a write is whole or is not.
        for bytes in [0, 100, 500, 1000, 2000, 4000] {
            tap.close_after(bytes);
            let name = format!("Rosterd {bytes}");
            let values = [(Key::Field(tag("FNAME")), Value::text(name.clone()))].into();
            let changes = RowChanges { values, preferences_url: Some(name.clone()), ..RowChanges::default() };
            let before = fixture.row(1).await;
            let outcome = register.write(&before, &changes).await;
            let after = fixture.row(1).await;
            let written =
                (after.fields[&tag("FNAME")] == name, after.preferences_url.as_ref() == Some(&name));
            assert!(written == (true, true) || after.fields == before.fields, "{written:?}");
            assert!(written.0 || outcome.is_err(), "{outcome:?}");
            tap.pass_all();
            fixture.site.run("UPDATE registrations SET first_name = 'Ada' WHERE id = 1");
        }
        let seen = fixture.row(1).await;
        let rest = register.page(Some(&id(2)), 2).await.unwrap();
        assert_eq!([keys(&first), keys(&rest)].concat(), ["1", "2", "10"], "{:?}", fixture.store());
        assert!(register.changes(&cursor, 2).await.unwrap().is_some());
        let outcome = register.write(&seen, &changes).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
    })
    .await;
}

/// Ends every connection to the database but the site's, as an administrator does.
fn cut(fixture: &Fixture) {
    match fixture.store() {
        Store::Postgres => fixture.site.run(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        ),
        _ => loop {
            let next = fixture.site.first(
                "SELECT min(id) FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
            );
            let rusqlite::types::Value::Integer(next) = next else { return };
            // It may have ended by itself.
            let _ = fixture.site.begin(&format!("KILL {next}")).recv();
        },
    }
}

#[tokio::test]
async fn connections_that_the_server_ended_are_made_anew() {
    check(async |fixture| {
        for _ in 0..3 {
            assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 3);
            cut(&fixture);
        }
        assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 3, "{:?}", fixture.store());
    })
    .await;
}

#[tokio::test]
async fn a_table_that_somebody_locks_is_busy_after_the_time_out() {
    check(async |fixture| {
        fixture.site.run(match fixture.store() {
            Store::Postgres => "BEGIN; LOCK TABLE registrations IN ACCESS EXCLUSIVE MODE",
            _ => "LOCK TABLES registrations WRITE",
        });
        let busy = fixture.register.page(None, 10).await.unwrap_err();
        assert!(matches!(busy, RegisterError::Busy { .. }), "{:?}: {busy:?}", fixture.store());
        fixture.site.run(match fixture.store() {
            Store::Postgres => "ROLLBACK",
            _ => "UNLOCK TABLES",
        });
        assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 3);
    })
    .await;
}

/// The error with all of its causes, and as it is debugged.
fn all_of(error: &RegisterError) -> String {
    let mut said = format!("{error:?} {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said.push_str(&format!(" {error:?} {error}"));
        cause = error.source();
    }
    said
}

#[tokio::test]
async fn a_wrong_password_is_told_without_the_password() {
    check(async |fixture| {
        let address = fixture.database.address();
        let secret = address.split(':').nth(2).unwrap().split('@').next().unwrap();
        let place = RegisterPlace::server(&address.replace(secret, "s3cret-word")).unwrap();
        let refused = open(&place, &fixture.mapping, &fixture.values).await.unwrap_err();
        assert!(refused.is_misconfigured(), "{refused:?}");
        let said = all_of(&refused);
        assert!(said.contains("tests"), "{said}");
        let shown = format!("{said} {place:?} {:?}", fixture.register);
        assert!(!shown.contains("s3cret-word") && !shown.contains(secret), "{shown}");
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_reached_says_where_it_is_and_not_the_password() {
    for store in Store::servers() {
        let scheme = if store == Store::Postgres { "postgres" } else { "mysql" };
        let place = RegisterPlace::server(&format!("{scheme}://web:s3cret@127.0.0.1:1/site")).unwrap();
        let lost = open(&place, &RegisterMapping::default(), &Default::default()).await.unwrap_err();
        assert!(matches!(lost, RegisterError::Busy { .. }), "{lost:?}");
        let said = all_of(&lost);
        assert!(said.contains("127.0.0.1:1/site") && said.contains("refused"), "{said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}

#[tokio::test]
async fn encryption_that_the_url_asks_for_is_not_done_without() {
    check(async |fixture| {
        let parameter =
            if fixture.store() == Store::Postgres { "sslmode=require" } else { "ssl-mode=REQUIRED" };
        let place = RegisterPlace::server(&format!("{}?{parameter}", fixture.database.address())).unwrap();
        let refused = open(&place, &fixture.mapping, &fixture.values).await.unwrap_err();
        assert!(refused.is_misconfigured() && refused.to_string().contains("encrypted"), "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn a_reader_is_refused_every_write_by_the_server_itself() {
    check(async |fixture| {
        let reader = open_read_only(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
        assert_eq!(reader.page(None, 10).await.unwrap().len(), 3);
        let report = examine(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
        assert!(report.is_usable(), "{:?}", report.problems);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_given_up() {
    for store in Store::servers() {
        // It accepts, and says nothing.
        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = at_port(&store.address().unwrap(), silent.local_addr().unwrap().port());
        let mapping = RegisterMapping {
            connection_timeout: SignedDuration::from_millis(100),
            ..RegisterMapping::default()
        };
        let place = RegisterPlace::server(&address).unwrap();
        let lost = open(&place, &mapping, &Default::default()).await.unwrap_err();
        assert!(matches!(lost, RegisterError::Busy { .. }), "{lost:?}");
    }
}
