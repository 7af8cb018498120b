//! Changes that others make at the same time, and commit when they like.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use rosterd::model::{Key, Value};
use rosterd::registrations::mapping::RegisterMapping;
use rosterd::registrations::{RegisterPlace, RowChanges, WriteOutcome, WriteRegistrations, open};

use crate::fixture::{Fixture, keys, tag};
use crate::servers::check;
use crate::site::Site;
use crate::stores::Store;

const MOMENT: SignedDuration = SignedDuration::from_millis(1);

/// Walks until the store's clock has passed the overlap of a moment and nothing is shown again but what must be.
async fn walk(fixture: &Fixture, register: &dyn WriteRegistrations, times: u32) -> Vec<String> {
    let mut cursor = register.cursor().await.unwrap();
    fixture.database.site().run("UPDATE registrations SET country = 'CH' WHERE id = 10");
    for _ in 0..times {
        let changes = register.changes(&cursor, 100).await.unwrap().unwrap();
        cursor = changes.next;
    }
    fixture.site.run("COMMIT");
    let changes = register.changes(&cursor, 100).await.unwrap().unwrap();
    let rows = keys(&changes.rows).into_iter().map(str::to_owned);
    rows.chain(changes.removed.iter().map(|id| format!("-{id}"))).collect()
}

#[tokio::test]
async fn a_long_transaction_that_commits_an_old_time_of_change_is_not_missed() {
    check(async |fixture| {
        let register = fixture.with_overlap(MOMENT).await;
        fixture.site.run("BEGIN; UPDATE registrations SET first_name = 'Augusta' WHERE id = 1");
        let told = walk(&fixture, register.as_ref(), 20).await;
        assert!(told.contains(&"1".to_owned()), "{:?}: {told:?}", fixture.store());
    })
    .await;
}

#[tokio::test]
async fn a_row_that_is_removed_in_a_long_transaction_is_not_missed() {
    check(async |fixture| {
        let register = fixture.with_overlap(MOMENT).await;
        fixture.site.run("BEGIN; DELETE FROM registrations WHERE id = 2");
        // Another is removed later, and committed before.
        fixture.database.site().run("DELETE FROM registrations WHERE id = 1");
        let told = walk(&fixture, register.as_ref(), 20).await;
        assert!(told.contains(&"-2".to_owned()), "{:?}: {told:?}", fixture.store());
    })
    .await;
}

#[tokio::test]
async fn a_removal_is_told_no_more_once_nobody_can_come_late() {
    check(async |fixture| {
        let register = fixture.with_overlap(MOMENT).await;
        let mut cursor = register.cursor().await.unwrap();
        fixture.remove(2);
        let (mut told, mut quiet) = (false, false);
        // Others' transactions on the same server end at some time.
        for _ in 0..2_000 {
            let changes = register.changes(&cursor, 100).await.unwrap().unwrap();
            told |= !changes.removed.is_empty();
            quiet = changes.removed.is_empty();
            cursor = changes.next;
            if told && quiet {
                break;
            }
        }
        assert!(told && quiet, "{:?}", fixture.store());
    })
    .await;
}

/// Reads MariaDB's list of transactions all the time, as tools that watch a server do, until it is dropped.
struct Watcher {
    over: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watcher {
    fn of(fixture: &Fixture) -> Self {
        let (site, over) = (fixture.database.site(), Arc::new(AtomicBool::new(false)));
        let stop = over.clone();
        let thread = std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                site.first("SELECT count(*) FROM information_schema.innodb_trx");
            }
        });
        Self { over, thread: Some(thread) }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_is_not_missed_while_others_watch_the_server() {
    check(async |fixture| {
        if fixture.store() != Store::Mariadb {
            return;
        }
        let register = fixture.with_overlap(MOMENT).await;
        let watcher = Watcher::of(&fixture);
        let mut cursor = register.cursor().await.unwrap();
        fixture.site.run("BEGIN; UPDATE registrations SET first_name = 'Augusta' WHERE id = 1");
        fixture.database.site().run("UPDATE registrations SET country = 'CH' WHERE id = 10");
        // Transactions are dated by the second.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            let changes = register.changes(&cursor, 100).await.unwrap().unwrap();
            cursor = changes.next;
        }
        fixture.site.run("COMMIT");
        drop(watcher);
        let changes = register.changes(&cursor, 100).await.unwrap().unwrap();
        assert!(keys(&changes.rows).contains(&"1"), "{:?}", keys(&changes.rows));
    })
    .await;
}

/// A user of the server that owns nothing and sees nobody else's work.
async fn stranger(fixture: &Fixture) -> Arc<dyn WriteRegistrations> {
    let address = fixture.database.address();
    let (server, database) = address.rsplit_once('/').unwrap();
    let host = server.rsplit_once('@').unwrap().1;
    let role = format!("stranger_{database}");
    fixture.site.run(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'p';
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}"
    ));
    let place = RegisterPlace::server(&format!("postgres://{role}:p@{host}/{database}")).unwrap();
    let mapping = RegisterMapping { overlap: MOMENT, ..fixture.mapping.clone() };
    open(&place, &mapping, &fixture.values).await.unwrap()
}

#[tokio::test]
async fn a_user_who_sees_nobody_elses_work_misses_nothing_that_was_being_written() {
    check(async |fixture| {
        if fixture.store() != Store::Postgres {
            return;
        }
        let register = stranger(&fixture).await;
        fixture.site.run("BEGIN; UPDATE registrations SET first_name = 'Augusta' WHERE id = 1");
        let told = walk(&fixture, register.as_ref(), 20).await;
        drop(register);
        let role = fixture.database.address();
        let role = role.rsplit_once('/').unwrap().1;
        fixture.site.run(&format!("DROP OWNED BY stranger_{role}; DROP ROLE stranger_{role}"));
        assert!(told.contains(&"1".to_owned()), "{told:?}");
    })
    .await;
}

/// Whether somebody waits for a lock.
fn somebody_waits(observer: &Site, store: Store) -> bool {
    let text = match store {
        Store::Postgres => {
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        }
        _ => {
            "SELECT count(*) FROM information_schema.processlist
             WHERE db = DATABASE() AND info LIKE '%FOR UPDATE' AND id <> CONNECTION_ID()"
        }
    };
    !matches!(observer.first(text), rusqlite::types::Value::Integer(0))
}

#[tokio::test]
async fn a_row_that_changes_while_the_write_waits_for_it_is_left_alone() {
    check(async |fixture| {
        let mapping =
            RegisterMapping { busy_timeout: SignedDuration::from_mins(1), ..fixture.mapping.clone() };
        let register = open(&fixture.place(), &mapping, &fixture.values).await.unwrap();
        let observer = fixture.database.site();
        for commits in [true, false] {
            let seen = fixture.row(1).await;
            let changes = RowChanges {
                values: [(Key::Field(tag("FNAME")), Value::text("Rosterd"))].into(),
                ..RowChanges::default()
            };
            fixture.site.run("BEGIN; UPDATE registrations SET subscription = 'unsubscribed' WHERE id = 1");
            let website = async {
                while !somebody_waits(&observer, fixture.store()) {
                    tokio::task::yield_now().await;
                }
                fixture.site.run(if commits { "COMMIT" } else { "ROLLBACK" });
            };
            let (outcome, ()) = tokio::join!(register.write(&seen, &changes), website);
            match (outcome.unwrap(), commits) {
                (WriteOutcome::Changed, true) => {
                    assert_eq!(fixture.row(1).await.fields[&tag("FNAME")], "Ada", "{:?}", fixture.store());
                }
                (WriteOutcome::Written(row), false) => assert_eq!(row.fields[&tag("FNAME")], "Rosterd"),
                (outcome, _) => panic!("{:?} {commits}: {outcome:?}", fixture.store()),
            }
        }
    })
    .await;
}
