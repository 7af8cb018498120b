//! Interests in columns whose type is a list: JSON, PostgreSQL's arrays, MySQL's sets, enumerations.

use std::collections::BTreeMap;
use std::sync::Arc;

use rosterd::model::{Dimension, Interest, Key, Registration, SubscriptionStatus, Value};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{
    CreateOutcome, NewRegistration, Reading, RegisterError, RowChanges, WriteOutcome, WriteRegistrations,
    open,
};
use rusqlite::types::Value as Sql;

use crate::fixture::{email, id, interests, usable};
use crate::site::Site;
use crate::stores::{Database, Store};

/// A type of columns that hold lists, and how it spells them.
struct Form {
    store: Store,
    sort: &'static str,
    /// Of nobody's interests.
    empty: &'static [&'static str],
    water: &'static str,
    water_finance: &'static str,
    /// What is written where the last interest goes.
    none: Option<&'static str>,
}

const JSON: Form = Form {
    store: Store::Sqlite,
    sort: "TEXT",
    empty: &["NULL", "'[]'", "'null'", "''"],
    water: r#"["Water"]"#,
    water_finance: r#"["Water","Finance"]"#,
    none: Some("[]"),
};
const JSONB: Form = Form {
    store: Store::Postgres,
    sort: "jsonb",
    empty: &["NULL", "'[]'", "'null'"],
    water: r#"["Water"]"#,
    water_finance: r#"["Water", "Finance"]"#,
    none: Some("[]"),
};
const ARRAY: Form = Form {
    store: Store::Postgres,
    sort: "text[]",
    empty: &["NULL", "'{}'", "'{NULL}'"],
    water: "{Water}",
    water_finance: "{Water,Finance}",
    none: Some("{}"),
};
const SET: Form = Form {
    store: Store::Mariadb,
    sort: "set('Finance','Water','Énergie')",
    empty: &["NULL", "''"],
    water: "Water",
    // A set keeps its own order.
    water_finance: "Finance,Water",
    none: None,
};
const FORMS: [Form; 8] = [
    JSON,
    JSONB,
    Form { sort: "json", water_finance: JSON.water_finance, ..JSONB },
    Form { sort: "text", ..Form { store: Store::Postgres, ..JSON } },
    ARRAY,
    Form { sort: "topic_name[]", ..ARRAY },
    Form { sort: "json", empty: &["NULL", "'[]'", "'null'"], ..Form { store: Store::Mariadb, ..JSON } },
    SET,
];

/// A register of which one column is of the type.
struct Listed {
    form: &'static Form,
    site: Site,
    register: Arc<dyn WriteRegistrations>,
    _database: Database,
}

impl Listed {
    async fn new(form: &'static Form) -> Self {
        let database = Database::new(form.store);
        let site = database.site();
        if form.store == Store::Postgres {
            site.run("CREATE TYPE topic_name AS ENUM ('Finance', 'Water', 'Énergie')");
        }
        let key = match form.store {
            Store::Sqlite => "INTEGER",
            Store::Postgres => "serial",
            Store::Mariadb => "int AUTO_INCREMENT",
        };
        site.run(&format!(
            "CREATE TABLE people (id {key} PRIMARY KEY, email varchar(100) NOT NULL, subscription varchar(20),
               topics {})",
            form.sort
        ));
        let mapping: RegisterMapping =
            toml::from_str("table = 'people'\n[interests]\nlayout = 'list'\ncolumns = { topic = 'topics' }")
                .unwrap();
        let values = MappedValues { dimensions: [Dimension::new("topic")].into(), ..MappedValues::default() };
        let register = open(&database.place(), &mapping, &values).await.unwrap();
        Self { form, site, register, _database: database }
    }

    /// The website registers somebody whose list is spelled for SQL.
    fn put(&self, key: i64, list: &str) {
        self.site
            .run(&format!("INSERT INTO people VALUES ({key}, 'p{key}@alliance.test', 'subscribed', {list})"));
    }

    async fn row(&self, key: i64) -> Registration {
        usable(&self.register.by_id(&[id(key)]).await.unwrap()[0])
    }

    async fn write(&self, key: i64, interest: &str, yes: bool) -> Result<Registration, RegisterError> {
        let key = self.row(key).await;
        let interest = Key::Interest(Interest::parse(interest).unwrap());
        let values = BTreeMap::from([(interest, Value::Flag(yes))]);
        let changes = RowChanges { values, ..RowChanges::default() };
        match self.register.write(&key, &changes).await? {
            WriteOutcome::Written(row) => Ok(*row),
            other => panic!("{other:?}"),
        }
    }

    fn cell(&self, key: i64) -> Sql {
        self.site.first(&format!("SELECT topics FROM people WHERE id = {key}"))
    }

    fn text(text: &str) -> Sql {
        Sql::Text(text.to_owned())
    }
}

async fn check(test: impl AsyncFn(Listed)) {
    for form in FORMS.iter().filter(|form| form.store.is_there()) {
        test(Listed::new(form).await).await;
    }
}

#[tokio::test]
async fn lists_are_read_and_written_in_the_type_of_their_column() {
    check(async |listed| {
        let (form, sort) = (listed.form, listed.form.sort);
        listed.put(1, &format!("'{}'", form.water));
        for (key, empty) in (10..).zip(form.empty) {
            listed.put(key, empty);
            assert_eq!(listed.row(key).await.interests, interests(&[]), "{sort} {empty}");
            let row = listed.write(key, "topic:Water", true).await.unwrap();
            assert_eq!(row.interests, interests(&["topic:Water"]), "{sort} {empty}");
            assert_eq!(listed.cell(key), Listed::text(form.water), "{sort} {empty}");
        }
        assert_eq!(listed.row(1).await.interests, interests(&["topic:Water"]), "{sort}");
        listed.write(1, "topic:Finance", true).await.unwrap();
        assert_eq!(listed.cell(1), Listed::text(form.water_finance), "{sort}");
        listed.write(1, "topic:Finance", false).await.unwrap();
        assert_eq!(listed.cell(1), Listed::text(form.water), "{sort}");
        let row = listed.write(1, "topic:Water", false).await.unwrap();
        assert_eq!(row.interests, interests(&[]), "{sort}");
        assert_eq!(listed.cell(1), form.none.map_or(Sql::Null, Listed::text), "{sort}");
    })
    .await;
}

#[tokio::test]
async fn a_new_row_gets_its_list_in_the_type_of_its_column() {
    check(async |listed| {
        let sort = listed.form.sort;
        let water = Key::Interest(Interest::new("topic", "Water"));
        for (name, values) in [("dora", [(water, Value::Flag(true))].into()), ("eve", BTreeMap::new())] {
            let new = NewRegistration {
                email: email(&format!("{name}@alliance.test")),
                membership: "subscriber".to_owned(),
                status: SubscriptionStatus::Subscribed,
                status_changed_at: None,
                values,
            };
            let expected = new.values.keys().filter_map(|key| match key {
                Key::Interest(interest) => Some(interest.clone()),
                Key::Field(_) | Key::Choice(_) => None,
            });
            let outcome = listed.register.create(&new).await.unwrap();
            let CreateOutcome::Created(row) = outcome else { panic!("{sort}: {outcome:?}") };
            assert_eq!(row.interests, expected.collect(), "{sort}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_word_that_the_type_does_not_know_is_refused_with_the_column_and_the_way_out() {
    check(async |listed| {
        let sort = listed.form.sort;
        listed.put(1, &format!("'{}'", listed.form.water));
        let key = |name: &str| Key::Interest(Interest::new("topic", name));
        let outcome = listed.write(1, "topic:Énergie", true).await;
        assert_eq!(outcome.unwrap().interests, interests(&["topic:Water", "topic:Énergie"]), "{sort}");
        let has_words = sort.starts_with("set") || sort == "topic_name[]";
        assert_eq!(listed.register.holds(&key("Health")), !has_words, "{sort}");
        let outcome = listed.write(1, "topic:Health", true).await;
        if !has_words {
            assert!(outcome.unwrap().interests.contains(&Interest::new("topic", "Health")), "{sort}");
            return;
        }
        let said = outcome.unwrap_err().to_string();
        assert!(said.contains("\"topics\" does not know the word \"Health\"; add it to the type"), "{said}");
        // Nor in another case: the register would then show another name than the one that was written.
        assert!(!listed.register.holds(&key("water")));
        assert_eq!(listed.row(1).await.interests, interests(&["topic:Water", "topic:Énergie"]));
    })
    .await;
}

#[tokio::test]
async fn an_enumeration_holds_one_interest() {
    const MARIADB: Form = Form { sort: "enum('Finance','Water','Énergie')", ..SET };
    const POSTGRES: Form = Form { sort: "topic_name", ..ARRAY };
    for form in [&MARIADB, &POSTGRES].into_iter().filter(|form| form.store.is_there()) {
        let listed = Listed::new(form).await;
        listed.put(1, "NULL");
        let row = listed.write(1, "topic:Énergie", true).await.unwrap();
        assert_eq!(row.interests, interests(&["topic:Énergie"]));
        let said = listed.write(1, "topic:Water", true).await.unwrap_err().to_string();
        assert!(said.contains("\"topics\" takes one name and no more"), "{said}");
        assert!(!listed.register.holds(&Key::Interest(Interest::new("topic", "Health"))));
        let values = BTreeMap::from([(Key::Choice(Dimension::new("topic")), Value::text("Water"))]);
        let outcome = listed.register.write(&row, &RowChanges { values, ..RowChanges::default() }).await;
        assert!(matches!(outcome, Ok(WriteOutcome::Written(_))), "{outcome:?}");
        assert_eq!(listed.cell(1), Listed::text("Water"));
        listed.write(1, "topic:Water", false).await.unwrap();
        assert_eq!(listed.cell(1), Sql::Null);
    }
}

#[tokio::test]
async fn a_document_that_is_no_list_stops_the_row() {
    for (form, text) in [(&JSONB, "7"), (&JSONB, r#"{"Water": true}"#), (&ARRAY, "{{Water},{Finance}}")] {
        if !form.store.is_there() {
            continue;
        }
        let listed = Listed::new(form).await;
        listed.put(1, &format!("'{text}'"));
        let rows = listed.register.by_id(&[id(1)]).await.unwrap();
        let Reading::Unusable(row) = &rows[0] else { panic!("{rows:?}") };
        assert_eq!(row.problem, "the column \"topics\" holds something else than a list of names");
    }
}
