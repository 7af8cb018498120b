//! Registers with the same people in three layouts, and a website that writes them.
//!
//! Another store joins by another `Site`: the tests know only its methods.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rosterd::model::{Dimension, EmailAddress, Interest, MergeTag, Registration, RegistrationId};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{
    Changes, LocalCursor, Reading, RegisterPlace, WriteRegistrations, create_register, open,
};
use rusqlite::Connection;
use rusqlite::types::Value;
use tempfile::TempDir;

/// The layouts of interests; each comes with another spelling of times and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The schema of `init`: rows, RFC 3339.
    Rows,
    /// Odd names, lists, text keys, times without an offset.
    List,
    /// Flags, seconds since 1970, no triggers.
    Flags,
}

impl Layout {
    const ALL: [Self; 3] = [Self::Rows, Self::List, Self::Flags];
}

/// A register, opened, and the website beside it.
pub(crate) struct Fixture {
    pub(crate) layout: Layout,
    pub(crate) path: PathBuf,
    pub(crate) mapping: RegisterMapping,
    pub(crate) values: MappedValues,
    pub(crate) register: Arc<dyn WriteRegistrations>,
    pub(crate) site: Connection,
    pub(crate) directory: TempDir,
}

/// A person whom the website registers.
#[derive(Clone, Debug)]
pub(crate) struct Person<'a> {
    pub(crate) id: i64,
    pub(crate) email: &'a str,
    pub(crate) status: &'a str,
    pub(crate) first_name: &'a str,
    pub(crate) interests: &'a [&'a str],
    pub(crate) at: &'a str,
}

pub(crate) const ADA: Person<'static> = Person {
    id: 1,
    email: "Ada@alliance.test",
    status: "subscribed",
    first_name: "Ada",
    interests: &["region:Africa", "topic:Finance"],
    at: "2026-03-01T12:00:00Z",
};
pub(crate) const BEN: Person<'static> = Person {
    id: 2,
    email: "ben@alliance.test",
    status: "unsubscribed",
    first_name: "Bén 🦊",
    interests: &[],
    at: "2026-03-01T12:00:01Z",
};
pub(crate) const CLEO: Person<'static> = Person {
    id: 10,
    email: "cleo@alliance.test",
    status: "pending",
    first_name: "",
    interests: &["topic:Énergie", "topic:Finance"],
    at: "2026-03-01T12:00:01Z",
};

/// Names of the list layout's columns: what a site may well have, and what SQL has to quote.
const ODD_SCHEMA: &str = r#"
CREATE TABLE "the ""people""" (
  "select" TEXT PRIMARY KEY, "e-mail" TEXT NOT NULL, "news; letter" VARCHAR(20), "given name" TEXT,
  "said at" DATETIME, "übersicht" TEXT NOT NULL DEFAULT '', "note" TEXT, "made" DATETIME, "changed" DATETIME,
  "gone" DATETIME, "topics" TEXT, "regions" TEXT);
CREATE INDEX "by changed" ON "the ""people""" ("changed");
CREATE TABLE "removed people" ("who" TEXT);
CREATE TABLE "people's groups" ("who" TEXT, "group" TEXT);
"#;
const ODD_MAPPING: &str = r#"
table = 'the "people"'
time_zone = "UTC"
busy_timeout = "50ms"
[columns]
id = "select"
email = "e-mail"
subscription = "news; letter"
subscription_changed_at = "said at"
preferences_url = "übersicht"
sync_note = "note"
created_at = "made"
updated_at = "changed"
deleted_at = "gone"
[interests]
layout = "list"
columns = { topic = "topics", region = "regions" }
[removals]
table = "removed people"
registration_id = "who"
[working_groups]
table = "people's groups"
registration_id = "who"
name = "group"
"#;
const FLAG_SCHEMA: &str = "
CREATE TABLE registrations (
  id INTEGER PRIMARY KEY, email VARCHAR(100) NOT NULL, subscription TEXT, first_name TEXT NOT NULL,
  subscription_changed_at INT, created_at INT NOT NULL, updated_at INT NOT NULL, deleted_at INT, sync_note TEXT,
  preferences_url TEXT, finance BOOLEAN NOT NULL DEFAULT 0, energy BOOLEAN, africa TEXT);
CREATE TABLE registration_removals (registration_id INTEGER NOT NULL);
CREATE TABLE group_members (registration_id INTEGER, name TEXT);
";
const FLAG_MAPPING: &str = r#"
busy_timeout = "50ms"
[interests]
layout = "flags"
columns = { finance = "topic:Finance", energy = "topic:Énergie", africa = "region:Africa" }
[working_groups]
table = "group_members"
"#;
const ROW_MAPPING: &str = r#"
busy_timeout = "50ms"
[working_groups]
table = "group_members"
"#;

/// Runs a test against every layout.
pub(crate) async fn check(test: impl AsyncFn(Fixture)) {
    for layout in Layout::ALL {
        test(Fixture::new(layout).await).await;
    }
}

pub(crate) fn email(text: &str) -> EmailAddress {
    EmailAddress::parse(text).unwrap()
}

pub(crate) fn id(key: i64) -> RegistrationId {
    RegistrationId::new(key.to_string())
}

pub(crate) fn tag(text: &str) -> MergeTag {
    MergeTag::parse(text).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn interests(texts: &[&str]) -> BTreeSet<Interest> {
    texts.iter().map(|text| Interest::parse(text).unwrap()).collect()
}

/// The keys of rows, in order.
pub(crate) fn keys(rows: &[Reading]) -> Vec<&str> {
    rows.iter().map(|row| row.id().as_str()).collect()
}

/// The row, which is usable.
pub(crate) fn usable(row: &Reading) -> Registration {
    match row {
        Reading::Usable(row) => row.clone(),
        Reading::Unusable(row) => panic!("unusable: {}", row.problem),
    }
}

impl Fixture {
    /// A fresh register with Ada, Ben and Cleo.
    pub(crate) async fn new(layout: Layout) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("register.db");
        let (schema, mapping) = match layout {
            Layout::Rows => {
                create_register(&path).await.unwrap();
                ("CREATE TABLE group_members (registration_id INTEGER, name TEXT);", ROW_MAPPING)
            }
            Layout::List => (ODD_SCHEMA, ODD_MAPPING),
            Layout::Flags => (FLAG_SCHEMA, FLAG_MAPPING),
        };
        let site = Connection::open(&path).unwrap();
        site.execute_batch(schema).unwrap();
        let name = if layout == Layout::List { "given name" } else { "first_name" };
        let values = MappedValues {
            fields: BTreeMap::from([(tag("FNAME"), name.to_owned())]),
            dimensions: ["topic", "region"].map(Dimension::new).into(),
        };
        let mapping: RegisterMapping = toml::from_str(mapping).unwrap();
        let place = RegisterPlace::Sqlite(path.clone());
        let register = open(&place, &mapping, &values).await.unwrap();
        let fixture = Self { layout, path, mapping, values, register, site, directory };
        for person in [ADA, BEN, CLEO] {
            fixture.register_person(&person);
        }
        fixture
    }

    pub(crate) fn place(&self) -> RegisterPlace {
        RegisterPlace::Sqlite(self.path.clone())
    }

    /// The row of a key, which is usable.
    pub(crate) async fn row(&self, key: i64) -> Registration {
        let rows = self.register.by_id(&[id(key)]).await.unwrap();
        usable(rows.first().unwrap())
    }

    /// All changes since a cursor, in pages of `limit`, and the cursor after them.
    pub(crate) async fn all_changes(
        &self,
        cursor: &LocalCursor,
        limit: usize,
    ) -> (Vec<Reading>, Vec<String>, LocalCursor) {
        let (mut rows, mut removed, mut cursor) = (Vec::new(), Vec::new(), cursor.clone());
        loop {
            let changes = self.register.changes(&cursor, limit).await.unwrap();
            let Changes { rows: more_rows, removed: gone, next, more } = changes.unwrap();
            assert!(more_rows.len() <= limit);
            rows.extend(more_rows);
            removed.extend(gone.into_iter().map(|id| id.to_string()));
            cursor = next;
            if !more {
                return (rows, removed, cursor);
            }
        }
    }

    pub(crate) fn table(&self) -> &'static str {
        if self.layout == Layout::List { r#""the ""people""""# } else { "registrations" }
    }

    /// The column that holds this, spelled for SQL.
    pub(crate) fn column(&self, name: &'static str) -> &'static str {
        if self.layout != Layout::List {
            return name;
        }
        match name {
            "id" => r#""select""#,
            "email" => r#""e-mail""#,
            "subscription" => r#""news; letter""#,
            "first_name" => r#""given name""#,
            "subscription_changed_at" => r#""said at""#,
            "preferences_url" => "übersicht",
            "sync_note" => "note",
            "created_at" => "made",
            "updated_at" => "changed",
            "deleted_at" => "gone",
            other => panic!("no column {other}"),
        }
    }

    /// A time as the site writes it.
    pub(crate) fn time(&self, text: &str) -> Value {
        let time = at(text);
        match self.layout {
            Layout::Rows => Value::Text(format!("{time:.3}")),
            Layout::List => Value::Text(time.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            Layout::Flags => Value::Integer(time.as_second()),
        }
    }

    /// The website sets one column of a row, and when it did so.
    pub(crate) fn set(&self, key: i64, column: &'static str, value: impl Into<Value>, at: &str) {
        self.sql(column, key, value.into());
        self.sql("updated_at", key, self.time(at));
    }

    fn sql(&self, column: &'static str, key: i64, value: Value) {
        let (table, column, key_column) = (self.table(), self.column(column), self.column("id"));
        let text = format!("UPDATE {table} SET {column} = ?1 WHERE {key_column} = ?2");
        assert_eq!(self.site.execute(&text, (value, self.key(key))).unwrap(), 1);
    }

    fn key(&self, key: i64) -> Value {
        if self.layout == Layout::List { Value::Text(key.to_string()) } else { Value::Integer(key) }
    }

    /// The website registers somebody.
    pub(crate) fn register_person(&self, person: &Person<'_>) {
        let names = [
            "id",
            "email",
            "subscription",
            "first_name",
            "subscription_changed_at",
            "created_at",
            "updated_at",
        ];
        let columns: Vec<_> = names.into_iter().map(|name| self.column(name)).collect();
        let text =
            format!("INSERT INTO {} ({}) VALUES (?, ?, ?, ?, ?, ?, ?)", self.table(), columns.join(", "));
        let time = self.time(person.at);
        let values =
            (self.key(person.id), person.email, person.status, person.first_name, &time, &time, &time);
        self.site.execute(&text, values).unwrap();
        self.set_interests(person.id, person.interests, person.at);
    }

    /// The website sets the interests of a row, all of them.
    pub(crate) fn set_interests(&self, key: i64, texts: &[&str], at: &str) {
        let wanted = interests(texts);
        match self.layout {
            Layout::Rows => {
                let text = "DELETE FROM registration_interests WHERE registration_id = ?1";
                self.site.execute(text, [key]).unwrap();
                for interest in wanted {
                    let text = "INSERT INTO registration_interests VALUES (?1, ?2, ?3)";
                    self.site.execute(text, (key, interest.dimension.as_str(), interest.name)).unwrap();
                }
            }
            Layout::List => {
                let names = |dimension: &str| -> Vec<String> {
                    let of_it = wanted.iter().filter(|interest| interest.dimension.as_str() == dimension);
                    of_it.map(|interest| interest.name.clone()).collect()
                };
                let topics = serde_json::to_string(&names("topic")).unwrap();
                let text = r#"UPDATE "the ""people""" SET topics = ?1, regions = ?2 WHERE "select" = ?3"#;
                let params = (topics, names("region").join(", "), key.to_string());
                self.site.execute(text, params).unwrap();
            }
            Layout::Flags => {
                let has = |text: &str| texts.contains(&text);
                let africa = if has("region:Africa") { "yes" } else { "no" };
                let text = "UPDATE registrations SET finance = ?1, energy = ?2, africa = ?3 WHERE id = ?4";
                let params = (has("topic:Finance"), has("topic:Énergie"), africa, key);
                self.site.execute(text, params).unwrap();
            }
        }
        self.sql("updated_at", key, self.time(at));
    }

    /// The website removes a row, leaving the trace that its schema leaves.
    pub(crate) fn remove(&self, key: i64) {
        let text = format!("DELETE FROM {} WHERE {} = ?1", self.table(), self.column("id"));
        self.site.execute(&text, [self.key(key)]).unwrap();
        match self.layout {
            Layout::Rows => (),
            Layout::List => {
                self.site.execute(r#"INSERT INTO "removed people" VALUES (?1)"#, [self.key(key)]).unwrap();
            }
            Layout::Flags => {
                self.site.execute("INSERT INTO registration_removals VALUES (?1)", [key]).unwrap();
            }
        }
    }

    /// What stands in a cell.
    pub(crate) fn cell(&self, key: i64, column: &'static str) -> Value {
        let (table, column, id) = (self.table(), self.column(column), self.column("id"));
        let text = format!("SELECT {column} FROM {table} WHERE {id} = ?1");
        self.site.query_row(&text, [self.key(key)], |row| row.get(0)).unwrap()
    }

    /// The register with another overlap; nothing else differs.
    pub(crate) async fn with_overlap(&self, overlap: SignedDuration) -> Arc<dyn WriteRegistrations> {
        let mapping = RegisterMapping { overlap, ..self.mapping.clone() };
        open(&self.place(), &mapping, &self.values).await.unwrap()
    }
}
