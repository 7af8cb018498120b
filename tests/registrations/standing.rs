//! Where a person stands, in columns that can say two things: yes and no, or the time of leaving and nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use rosterd::model::SubscriptionStatus::{Cleaned, Pending, Subscribed, Unsubscribed};
use rosterd::model::{Registration, SubscriptionStatus};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{
    CreateOutcome, NewRegistration, Reading, RegisterReport, RowChanges, Severity, WriteOutcome,
    WriteRegistrations, examine, open,
};
use rusqlite::types::Value as Sql;

use crate::fixture::{at, email, id, usable};
use crate::site::Site;
use crate::stores::{Database, Store};

const AT: &str = "2026-03-01T12:30:00Z";

/// A register with one column that says where a person stands, and one more.
struct Standing {
    site: Site,
    database: Database,
}

impl Standing {
    /// The column is called `standing`, and the other one `said_at`.
    fn new(store: Store, sort: &str) -> Self {
        let database = Database::new(store);
        let site = database.site();
        let key = match store {
            Store::Sqlite => "INTEGER PRIMARY KEY",
            Store::Postgres => "serial PRIMARY KEY",
            Store::Mariadb => "int AUTO_INCREMENT PRIMARY KEY",
        };
        site.run(&format!(
            "CREATE TABLE people (id {key}, email varchar(100) NOT NULL, standing {sort}, said_at varchar(40))"
        ));
        if store == Store::Postgres {
            site.run("SELECT setval('people_id_seq', 500)");
        }
        Self { site, database }
    }

    /// The website registers somebody, spelled for SQL.
    fn put(&self, key: i64, standing: &str) {
        self.site.run(&format!(
            "INSERT INTO people (id, email, standing) VALUES ({key}, 'p{key}@alliance.test', {standing})"
        ));
    }

    fn mapping(text: &str) -> RegisterMapping {
        let head = "table = 'people'\ntime_zone = 'Europe/Zurich'\n[interests]\ntable = ''\n";
        toml::from_str(&format!("{head}{text}")).unwrap()
    }

    async fn open(&self, mapping: &str) -> Arc<dyn WriteRegistrations> {
        let mapping = Self::mapping(mapping);
        open(&self.database.place(), &mapping, &MappedValues::default()).await.unwrap()
    }

    async fn report(&self, mapping: &str) -> RegisterReport {
        let mapping = Self::mapping(mapping);
        examine(&self.database.place(), &mapping, &MappedValues::default()).await.unwrap()
    }

    fn cell(&self, key: i64) -> Sql {
        self.site.first(&format!("SELECT standing FROM people WHERE id = {key}"))
    }
}

async fn row(register: &dyn WriteRegistrations, key: i64) -> Registration {
    usable(&register.by_id(&[id(key)]).await.unwrap()[0])
}

fn becomes(status: SubscriptionStatus, since: Option<&str>) -> RowChanges {
    RowChanges { status: Some((status, since.map(at))), ..RowChanges::default() }
}

async fn written(register: &dyn WriteRegistrations, key: i64, changes: &RowChanges) -> Registration {
    let seen = row(register, key).await;
    match register.write(&seen, changes).await.unwrap() {
        WriteOutcome::Written(row) => *row,
        other => panic!("{other:?}"),
    }
}

fn dora() -> NewRegistration {
    NewRegistration {
        email: email("dora@alliance.test"),
        membership: "subscriber".to_owned(),
        status: Subscribed,
        status_changed_at: Some(at(AT)),
        values: BTreeMap::new(),
    }
}

async fn created(register: &dyn WriteRegistrations) -> Registration {
    match register.create(&dora()).await.unwrap() {
        CreateOutcome::Created(row) => *row,
        other => panic!("{other:?}"),
    }
}

fn errors(report: &RegisterReport) -> Vec<String> {
    let errors = report.problems.iter().filter(|problem| problem.severity == Severity::Error);
    errors.map(ToString::to_string).collect()
}

/// Columns of yes and no, how they spell yes and no, and what in them is neither.
const FLAGS: [(Store, &str, [&str; 2], &[&str]); 7] = [
    (Store::Sqlite, "BOOLEAN", ["1", "0"], &["NULL", "2", "'maybe'", "''"]),
    (Store::Sqlite, "TEXT", ["'TRUE'", "'FALSE'"], &["NULL", "'x'"]),
    (Store::Postgres, "boolean", ["true", "false"], &["NULL"]),
    (Store::Postgres, "smallint", ["1", "0"], &["NULL", "2"]),
    (Store::Postgres, "varchar(5)", ["'yes'", "'no'"], &["NULL", "''", "'maybe'"]),
    (Store::Mariadb, "boolean", ["1", "0"], &["NULL", "2"]),
    (Store::Mariadb, "bit(1)", ["1", "0"], &["NULL"]),
];

const IS_IN: &str =
    "[columns]\nsubscription = 'standing'\n[statuses]\nsubscribed = true\nunsubscribed = false";
const IS_OUT: &str =
    "[columns]\nsubscription = 'standing'\n[statuses]\nsubscribed = false\nunsubscribed = true";

#[tokio::test]
async fn yes_and_no_are_read_and_written_in_the_spelling_of_the_column() {
    for (store, sort, [yes, no], others) in FLAGS.into_iter().filter(|(store, ..)| store.is_there()) {
        for (mapping, of_yes, of_no) in
            [(IS_IN, Subscribed, Unsubscribed), (IS_OUT, Unsubscribed, Subscribed)]
        {
            let standing = Standing::new(store, sort);
            standing.put(1, yes);
            standing.put(2, no);
            let register = standing.open(mapping).await;
            let register = register.as_ref();
            let shown = [row(register, 1).await.status, row(register, 2).await.status];
            assert_eq!(shown, [of_yes, of_no], "{store:?} {sort} {mapping}");
            let (spelled_yes, spelled_no) = (standing.cell(1), standing.cell(2));
            assert_eq!(written(register, 1, &becomes(of_no, None)).await.status, of_no);
            assert_eq!(standing.cell(1), spelled_no, "{store:?} {sort}");
            assert_eq!(written(register, 2, &becomes(of_yes, None)).await.status, of_yes);
            assert_eq!(standing.cell(2), spelled_yes, "{store:?} {sort}");
            assert_eq!(created(register).await.status, Subscribed, "{store:?} {sort}");
            // What is neither is nobody's subscription, whichever of the two that is.
            for (key, other) in (10..).zip(others) {
                standing.put(key, other);
                let rows = register.by_id(&[id(key)]).await.unwrap();
                let Reading::Unusable(row) = &rows[0] else { panic!("{store:?} {sort} {other}: {rows:?}") };
                assert_eq!(row.status, None);
                assert!(row.problem.contains("\"standing\" holds"), "{}", row.problem);
                assert!(row.problem.ends_with("it must be true or false") || mapping == IS_OUT);
            }
            assert!(standing.report(mapping).await.is_usable(), "{store:?} {sort}");
        }
    }
}

#[tokio::test]
async fn nothing_can_stand_for_no() {
    let mapping =
        "[columns]\nsubscription = 'standing'\n[statuses]\nsubscribed = true\nunsubscribed = [false, '']";
    for (store, sort, ..) in FLAGS.into_iter().filter(|(store, ..)| store.is_there()) {
        let standing = Standing::new(store, sort);
        standing.put(1, "NULL");
        let register = standing.open(mapping).await;
        assert_eq!(row(register.as_ref(), 1).await.status, Unsubscribed, "{store:?} {sort}");
    }
}

/// Columns of times, how they spell one, and what it is.
const TIMES: [(Store, &str, &str, &str); 11] = [
    (Store::Sqlite, "DATETIME", "'2026-02-01 11:00:00'", "2026-02-01T10:00:00Z"),
    (Store::Sqlite, "INTEGER", "1769940000", "2026-02-01T10:00:00Z"),
    (Store::Postgres, "timestamptz", "'2026-02-01 10:00:00Z'", "2026-02-01T10:00:00Z"),
    (Store::Postgres, "timestamp(0)", "'2026-02-01 11:00:00'", "2026-02-01T10:00:00Z"),
    (Store::Postgres, "integer", "1769940000", "2026-02-01T10:00:00Z"),
    (Store::Postgres, "text", "'2026-02-01T10:00:00Z'", "2026-02-01T10:00:00Z"),
    // A day without a time of day ends last.
    (Store::Postgres, "date", "'2026-02-01'", "2026-02-01T22:59:59Z"),
    (Store::Mariadb, "datetime", "'2026-02-01 11:00:00'", "2026-02-01T10:00:00Z"),
    (Store::Mariadb, "timestamp NULL", "from_unixtime(1769940000)", "2026-02-01T10:00:00Z"),
    (Store::Mariadb, "bigint", "1769940000", "2026-02-01T10:00:00Z"),
    (Store::Mariadb, "date", "'2026-02-01'", "2026-02-01T22:59:59Z"),
];

const DATED: &str = "[columns]\nunsubscribed_at = 'standing'";
const TWO_TIMES: &str = "[columns]\nunsubscribed_at = 'standing'\nsubscription_changed_at = 'said_at'";

#[tokio::test]
async fn a_time_of_leaving_is_an_opt_out_of_that_time_and_nothing_is_a_subscription() {
    for (store, sort, time, since) in TIMES.into_iter().filter(|(store, ..)| store.is_there()) {
        let standing = Standing::new(store, sort);
        standing.put(1, "NULL");
        standing.put(2, time);
        let register = standing.open(DATED).await;
        let register = register.as_ref();
        let (ada, ben) = (row(register, 1).await, row(register, 2).await);
        assert_eq!((ada.status, ada.status_changed_at), (Subscribed, None), "{store:?} {sort}");
        assert_eq!((ben.status, ben.status_changed_at), (Unsubscribed, Some(at(since))), "{store:?} {sort}");
        let left = written(register, 1, &becomes(Unsubscribed, Some(AT))).await;
        let expected = if sort == "date" { "2026-03-01T22:59:59Z" } else { AT };
        assert_eq!(
            (left.status, left.status_changed_at),
            (Unsubscribed, Some(at(expected))),
            "{store:?} {sort}"
        );
        // An opt-out that nobody knows the time of has that of its write: with none it would be no opt-out.
        let spelled = standing.cell(2);
        let back = written(register, 2, &becomes(Subscribed, Some(AT))).await;
        assert_eq!((back.status, standing.cell(2)), (Subscribed, Sql::Null), "{store:?} {sort}");
        let left = written(register, 2, &becomes(Unsubscribed, None)).await;
        assert_eq!(left.status, Unsubscribed, "{store:?} {sort}");
        assert!(left.status_changed_at > Some(at(since)), "{store:?} {sort}: {left:?}");
        // Told once more without a time, it keeps the one that it has.
        let again = written(register, 2, &becomes(Unsubscribed, None)).await;
        assert_eq!(again.status_changed_at, left.status_changed_at);
        assert_ne!(standing.cell(2), spelled);
        let new = created(register).await;
        assert_eq!((new.status, new.status_changed_at), (Subscribed, None), "{store:?} {sort}");
        let report = standing.report(DATED).await;
        assert!(report.is_usable(), "{store:?} {sort}: {:?}", report.problems);
    }
}

#[tokio::test]
async fn the_time_of_the_opt_in_has_a_column_of_its_own() {
    for (store, sort, time, _) in TIMES.into_iter().filter(|(store, ..)| store.is_there()) {
        let standing = Standing::new(store, sort);
        standing.put(1, time);
        let register = standing.open(TWO_TIMES).await;
        let back = written(register.as_ref(), 1, &becomes(Subscribed, Some(AT))).await;
        assert_eq!((back.status, back.status_changed_at), (Subscribed, Some(at(AT))), "{store:?} {sort}");
        let later = "2026-04-01T08:00:00Z";
        let left = written(register.as_ref(), 1, &becomes(Unsubscribed, Some(later))).await;
        assert_eq!(left.status, Unsubscribed);
        assert!(left.status_changed_at >= Some(at(later)), "{store:?} {sort}: {left:?}");
        assert_eq!(created(register.as_ref()).await.status_changed_at, Some(at(AT)), "{store:?} {sort}");
    }
}

#[tokio::test]
async fn a_time_of_leaving_that_cannot_be_read_is_an_opt_out_without_a_time() {
    for (store, sort) in [(Store::Sqlite, "DATETIME"), (Store::Postgres, "text"), (Store::Mariadb, "text")] {
        if !store.is_there() {
            continue;
        }
        let standing = Standing::new(store, sort);
        for (key, text) in [(1, "'last week'"), (2, "'17'"), (3, "'2026-02-31 12:00:00'")] {
            standing.put(key, text);
            let register = standing.open(DATED).await;
            let rows = register.by_id(&[id(key)]).await.unwrap();
            let Reading::Unusable(row) = &rows[0] else { panic!("{store:?} {text}: {rows:?}") };
            assert_eq!((row.status, row.status_changed_at), (Some(Unsubscribed), None), "{store:?} {text}");
            assert!(row.problem.contains("\"standing\" holds something else than a time"), "{}", row.problem);
        }
    }
}

#[tokio::test]
async fn an_opt_out_is_written_into_a_row_that_cannot_be_synchronized() {
    for (store, sort, time, _) in TIMES.into_iter().filter(|(store, ..)| store.is_there()) {
        let standing = Standing::new(store, sort);
        standing.put(1, "NULL");
        // The next opt-out is spelled as this one.
        standing.put(2, time);
        let register = standing.open(DATED).await;
        let seen = row(register.as_ref(), 1).await;
        standing.site.run("UPDATE people SET email = 'nobody' WHERE id = 1");
        let outcome = register.write(&seen, &becomes(Unsubscribed, None)).await.unwrap();
        assert_eq!(outcome, WriteOutcome::OptOutOnly, "{store:?} {sort}");
        let rows = register.by_id(&[id(1)]).await.unwrap();
        let Reading::Unusable(row) = &rows[0] else { panic!("{rows:?}") };
        assert_eq!(row.status, Some(Unsubscribed), "{store:?} {sort}");
        assert_ne!(standing.cell(1), Sql::Null, "{store:?} {sort}");
    }
}

#[tokio::test]
async fn what_a_column_cannot_say_is_refused_and_nothing_is_written_in_its_place() {
    let times = TIMES.into_iter().map(|(store, sort, time, _)| (store, sort, time, DATED));
    let flags = FLAGS.into_iter().map(|(store, sort, [_, no], _)| (store, sort, no, IS_IN));
    for (store, sort, out, mapping) in times.chain(flags).filter(|(store, ..)| store.is_there()) {
        let standing = Standing::new(store, sort);
        standing.put(1, out);
        let register = standing.open(mapping).await;
        let features = register.features();
        assert!(features.lacks_pending && features.lacks_cleaned, "{store:?} {sort}");
        let (seen, cell) = (row(register.as_ref(), 1).await, standing.cell(1));
        for status in [Pending, Cleaned] {
            let refused = register.write(&seen, &becomes(status, Some(AT))).await.unwrap_err();
            assert!(refused.is_permanent(), "{refused:?}");
            let said = refused.to_string();
            assert!(said.contains(&format!("\"standing\" cannot hold {status}")), "{said}");
            assert_eq!(standing.cell(1), cell, "{store:?} {sort}");
        }
        let report = standing.report(mapping).await;
        let said: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
        let told = "the column \"standing\" has no word for people who are pending and cleaned";
        assert!(said.iter().any(|said| said.contains(told)), "{said:?}");
    }
}

#[tokio::test]
async fn a_status_that_a_trigger_turns_round_is_taken_back() {
    for store in Store::all() {
        let standing = Standing::new(store, "varchar(20)");
        standing.put(1, "'subscribed'");
        standing.site.run(match store {
            Store::Sqlite => {
                "CREATE TRIGGER keep AFTER UPDATE ON people WHEN new.standing = 'unsubscribed'
                 BEGIN UPDATE people SET standing = 'subscribed' WHERE id = new.id; END"
            }
            Store::Postgres => {
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN new.standing := 'subscribed'; RETURN new; END $$;
                 CREATE TRIGGER keep BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION keep()"
            }
            Store::Mariadb => {
                "CREATE TRIGGER keep BEFORE UPDATE ON people FOR EACH ROW SET new.standing = 'subscribed'"
            }
        });
        let register = standing.open("[columns]\nsubscription = 'standing'").await;
        let seen = row(register.as_ref(), 1).await;
        let refused = register.write(&seen, &becomes(Unsubscribed, None)).await.unwrap_err().to_string();
        assert!(refused.contains("the row would say subscribed, not unsubscribed"), "{refused}");
        assert_eq!(row(register.as_ref(), 1).await, seen);
        standing.site.run("UPDATE people SET email = 'nobody' WHERE id = 1");
        let refused = register.write(&seen, &becomes(Unsubscribed, None)).await.unwrap_err().to_string();
        assert!(refused.contains("the row would say subscribed, not unsubscribed"), "{refused}");
    }
}

/// Columns whose type does not take a word: the store, the type, the words, and a part of each error.
const MISFITS: [(Store, &str, &str, &[&str]); 8] = [
    (
        Store::Postgres,
        "boolean",
        "",
        &[
            "statuses.subscribed: the column \"standing\" cannot hold \"subscribed\": it holds yes and no; write \
             subscribed = true, or false",
            "statuses.unsubscribed: the column \"standing\" cannot hold \"unsubscribed\"",
            "cannot hold \"pending\": give a word that its type takes, or pending = [] where there is none",
            "statuses.cleaned: ",
        ],
    ),
    (Store::Mariadb, "bit(1)", "subscribed = true\nunsubscribed = false\npending = 'x'", &["pending"]),
    (
        Store::Mariadb,
        "int",
        "subscribed = 1\nunsubscribed = 'no'\npending = 3\ncleaned = 4",
        &["hold \"no\""],
    ),
    (
        Store::Mariadb,
        "enum('subscribed','unsubscribed','pending')",
        "",
        &["\"cleaned\": its type knows subscribed, unsubscribed, pending alone"],
    ),
    (Store::Mariadb, "varchar(11)", "", &["\"unsubscribed\": give a word that its type takes"]),
    (Store::Postgres, "varchar(11)", "", &["\"unsubscribed\": give a word that its type takes"]),
    (
        Store::Postgres,
        "timestamptz",
        "pending = []\ncleaned = []",
        &[
            "\"subscribed\": it is a column of times; name it as unsubscribed_at instead of subscription",
            "\"unsubscribed\"",
        ],
    ),
    (Store::Postgres, "jsonb", "pending = []\ncleaned = []", &["\"subscribed\"", "\"unsubscribed\""]),
];

#[tokio::test]
async fn a_word_that_the_type_of_the_column_does_not_take_is_an_error() {
    for (store, sort, words, expected) in MISFITS.into_iter().filter(|(store, ..)| store.is_there()) {
        let standing = Standing::new(store, sort);
        let mapping = format!("[columns]\nsubscription = 'standing'\n[statuses]\n{words}");
        let found = errors(&standing.report(&mapping).await);
        assert_eq!(found.len(), expected.len(), "{store:?} {sort}: {found:#?}");
        for (found, part) in found.iter().zip(expected) {
            assert!(found.contains(part) && found.contains("\"standing\""), "{store:?} {sort}: {found}");
        }
        let mapping = Standing::mapping(&mapping);
        let refused = open(&standing.database.place(), &mapping, &MappedValues::default()).await.unwrap_err();
        assert!(refused.is_misconfigured(), "{refused}");
    }
}

#[tokio::test]
async fn a_column_that_cannot_be_a_time_of_leaving_is_an_error() {
    let key = "registrations.columns.unsubscribed_at";
    let cases = [
        (Store::Postgres, "boolean", DATED, "holds no times; map it as subscription"),
        (Store::Mariadb, "json", "[columns]\nunsubscribed_at = 'standign'", "did you mean \"standing\"?"),
        (
            Store::Mariadb,
            "datetime NOT NULL",
            DATED,
            "cannot hold NULL, which says that somebody is subscribed",
        ),
        (Store::Postgres, "bigint NOT NULL", DATED, "cannot hold NULL"),
        (
            Store::Sqlite,
            "DATETIME",
            "[columns]\nunsubscribed_at = 'standing'\ndeleted_at = 'standing'",
            "is mapped as another time, too; switch that one off with \"\"",
        ),
    ];
    for (store, sort, mapping, part) in cases.into_iter().filter(|(store, ..)| store.is_there()) {
        let found = errors(&Standing::new(store, sort).report(mapping).await);
        assert!(
            found.len() == 1 && found[0].starts_with(key) && found[0].contains(part),
            "{sort}: {found:?}"
        );
    }
}
