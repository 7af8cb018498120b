//! Registers with the same people in three layouts on each store, and a website that writes them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use rosterd::model::{Dimension, EmailAddress, Interest, MergeTag, Registration, RegistrationId};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{
    Changes, LocalCursor, Reading, RegisterPlace, WriteRegistrations, create, open,
};
use rusqlite::types::Value;

use crate::schemas::{mapping, schema};
use crate::site::Site;
use crate::stores::{Database, Store};

/// The layouts of interests; each comes with another spelling of times and names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The schema of `init`: rows, moments.
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
    pub(crate) mapping: RegisterMapping,
    pub(crate) values: MappedValues,
    pub(crate) register: Arc<dyn WriteRegistrations>,
    pub(crate) site: Site,
    pub(crate) database: Database,
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

/// Runs a test against every layout on every store that is there.
pub(crate) async fn check(test: impl AsyncFn(Fixture)) {
    for store in Store::all() {
        for layout in Layout::ALL {
            test(Fixture::on(store, layout).await).await;
        }
    }
}

/// Runs a test against the schema of `init` on every store that is there.
pub(crate) async fn check_rows(test: impl AsyncFn(Fixture)) {
    for store in Store::all() {
        test(Fixture::on(store, Layout::Rows).await).await;
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
    /// A fresh register in a SQLite file with Ada, Ben and Cleo.
    pub(crate) async fn new(layout: Layout) -> Self {
        Self::on(Store::Sqlite, layout).await
    }

    /// A fresh register with Ada, Ben and Cleo.
    pub(crate) async fn on(store: Store, layout: Layout) -> Self {
        let database = Database::new(store);
        let place = database.place();
        if layout == Layout::Rows {
            create(&place).await.unwrap();
        }
        let site = database.site();
        site.run(schema(store, layout));
        let name = if layout == Layout::List { "given name" } else { "first_name" };
        let values = MappedValues {
            fields: BTreeMap::from([(tag("FNAME"), name.to_owned())]),
            dimensions: ["topic", "region"].map(Dimension::new).into(),
            ..MappedValues::default()
        };
        let mapping: RegisterMapping = toml::from_str(mapping(layout)).unwrap();
        let register = open(&place, &mapping, &values).await.unwrap();
        let fixture = Self { layout, mapping, values, register, site, database };
        for person in [ADA, BEN, CLEO] {
            fixture.register_person(&person);
        }
        fixture
    }

    pub(crate) fn store(&self) -> Store {
        self.database.store()
    }

    pub(crate) fn place(&self) -> RegisterPlace {
        self.database.place()
    }

    /// Whether a column takes any text: on a server only columns of texts do.
    pub(crate) fn takes_text(&self, column: &str) -> bool {
        let is_text = match column {
            "subscription_changed_at" => self.layout == Layout::List,
            "created_at" | "updated_at" | "deleted_at" => false,
            _ => true,
        };
        self.store() == Store::Sqlite || is_text
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

    /// The table, spelled for SQL.
    pub(crate) fn table(&self) -> String {
        self.quoted(if self.layout == Layout::List { r#"the "people""# } else { "registrations" })
    }

    /// A name, spelled for SQL.
    pub(crate) fn quoted(&self, name: &str) -> String {
        self.store().quoted(name)
    }

    /// The column that holds this, spelled for SQL.
    pub(crate) fn column(&self, name: &str) -> String {
        if self.layout != Layout::List {
            return self.quoted(name);
        }
        self.quoted(match name {
            "id" => "select",
            "email" => "e-mail",
            "subscription" => "news; letter",
            "first_name" => "given name",
            "subscription_changed_at" => "said at",
            "preferences_url" => "übersicht",
            "sync_note" => "note",
            "created_at" => "made",
            "updated_at" => "changed",
            "deleted_at" => "gone",
            other => panic!("no column {other}"),
        })
    }

    /// A time as the site writes it.
    pub(crate) fn time(&self, text: &str) -> Value {
        let time = at(text);
        match self.layout {
            Layout::Rows if self.store() == Store::Mariadb => {
                Value::Text(time.strftime("%Y-%m-%d %H:%M:%S%.3f").to_string())
            }
            Layout::Rows => Value::Text(format!("{time:.3}")),
            Layout::List => Value::Text(time.strftime("%Y-%m-%d %H:%M:%S").to_string()),
            Layout::Flags => Value::Integer(time.as_second()),
        }
    }

    /// The website sets one column of a row, and when it did so.
    pub(crate) fn set(&self, key: i64, column: &str, value: impl Into<Value>, at: &str) {
        self.put(key, column, &value.into());
        self.put(key, "updated_at", &self.time(at));
    }

    fn put(&self, key: i64, column: &str, value: &Value) {
        self.site.run(&format!(
            "UPDATE {} SET {} = {} WHERE {} = {}",
            self.table(),
            self.column(column),
            self.literal(value),
            self.column("id"),
            self.key(key)
        ));
    }

    /// A value, spelled for SQL.
    pub(crate) fn literal(&self, value: &Value) -> String {
        self.store().literal(value)
    }

    fn key(&self, key: i64) -> String {
        if self.layout == Layout::List { format!("'{key}'") } else { key.to_string() }
    }

    /// The website registers somebody.
    pub(crate) fn register_person(&self, person: &Person<'_>) {
        let text = |text: &str| self.literal(&Value::Text(text.to_owned()));
        let time = self.literal(&self.time(person.at));
        let cells = [
            ("id", self.key(person.id)),
            ("email", text(person.email)),
            ("subscription", text(person.status)),
            ("first_name", text(person.first_name)),
            ("subscription_changed_at", time.clone()),
            ("created_at", time.clone()),
            ("updated_at", time),
        ];
        let columns = cells.each_ref().map(|(name, _)| self.column(name)).join(", ");
        let values = cells.map(|(_, value)| value).join(", ");
        self.site.run(&format!("INSERT INTO {} ({columns}) VALUES ({values})", self.table()));
        self.set_interests(person.id, person.interests, person.at);
    }

    /// The website sets the interests of a row, all of them.
    pub(crate) fn set_interests(&self, key: i64, texts: &[&str], at: &str) {
        let wanted = interests(texts);
        let text = |text: &str| self.literal(&Value::Text(text.to_owned()));
        match self.layout {
            Layout::Rows => {
                self.site.run(&format!("DELETE FROM registration_interests WHERE registration_id = {key}"));
                for interest in wanted {
                    let (dimension, name) = (text(interest.dimension.as_str()), text(&interest.name));
                    self.site.run(&format!(
                        "INSERT INTO registration_interests VALUES ({key}, {dimension}, {name})"
                    ));
                }
            }
            Layout::List => {
                let names = |dimension: &str| -> Vec<String> {
                    let of_it = wanted.iter().filter(|interest| interest.dimension.as_str() == dimension);
                    of_it.map(|interest| interest.name.clone()).collect()
                };
                let topics = text(&serde_json::to_string(&names("topic")).unwrap());
                let regions = text(&names("region").join(", "));
                let (table, id) = (self.table(), self.column("id"));
                self.site.run(&format!(
                    "UPDATE {table} SET topics = {topics}, regions = {regions} WHERE {id} = '{key}'"
                ));
            }
            Layout::Flags => {
                let has = |text: &str| texts.contains(&text);
                let africa = if has("region:Africa") { "yes" } else { "no" };
                let (finance, energy) = (has("topic:Finance"), has("topic:Énergie"));
                self.site.run(&format!(
                    "UPDATE registrations SET finance = {finance}, energy = {energy}, africa = '{africa}' \
                     WHERE id = {key}"
                ));
            }
        }
        self.put(key, "updated_at", &self.time(at));
    }

    /// The website removes a row, leaving the trace that its schema leaves.
    pub(crate) fn remove(&self, key: i64) {
        let id = self.key(key);
        self.site.run(&format!("DELETE FROM {} WHERE {} = {id}", self.table(), self.column("id")));
        match self.layout {
            Layout::Rows => (),
            Layout::List => {
                let (table, who) = (self.quoted("removed people"), self.quoted("who"));
                self.site.run(&format!("INSERT INTO {table} ({who}) VALUES ({id})"));
            }
            Layout::Flags => {
                self.site.run(&format!("INSERT INTO registration_removals (registration_id) VALUES ({id})"));
            }
        }
    }

    /// What stands in a cell.
    pub(crate) fn cell(&self, key: i64, column: &str) -> Value {
        self.site.first(&format!(
            "SELECT {} FROM {} WHERE {} = {}",
            self.column(column),
            self.table(),
            self.column("id"),
            self.key(key)
        ))
    }

    /// How many rows a table has.
    pub(crate) fn count(&self, table: &str) -> i64 {
        match self.site.first(&format!("SELECT count(*) FROM {table}")) {
            Value::Integer(count) => count,
            Value::Text(count) => count.parse().unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The register with another overlap; nothing else differs.
    pub(crate) async fn with_overlap(&self, overlap: SignedDuration) -> Arc<dyn WriteRegistrations> {
        let mapping = RegisterMapping { overlap, ..self.mapping.clone() };
        open(&self.place(), &mapping, &self.values).await.unwrap()
    }
}
