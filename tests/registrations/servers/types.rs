//! Columns of every kind, and where tables are.

use std::collections::BTreeMap;

use rosterd::model::{Key, RegistrationId, SubscriptionStatus, Value};
use rosterd::registrations::mapping::{Name, RegisterMapping};
use rosterd::registrations::{
    CreateOutcome, NewRegistration, RegisterError, RowChanges, WriteOutcome, examine, open,
};

use crate::fixture::{Fixture, Layout, Person, at, email, id, keys, tag, usable};
use crate::servers::check;
use crate::stores::Store;

fn named(name: &str) -> RowChanges {
    RowChanges { values: [(Key::Field(tag("FNAME")), Value::text(name))].into(), ..RowChanges::default() }
}

fn new(address: &str) -> NewRegistration {
    NewRegistration {
        email: email(address),
        membership: "subscriber".to_owned(),
        status: SubscriptionStatus::Subscribed,
        status_changed_at: Some(at("2026-04-01T08:00:00Z")),
        values: BTreeMap::new(),
    }
}

#[tokio::test]
async fn moments_keep_their_fractions_whatever_zone_they_were_written_in() {
    check(async |fixture| {
        fixture.site.run(match fixture.store() {
            Store::Postgres => "SET TimeZone = 'Asia/Kolkata'",
            _ => "SET time_zone = '+05:30'",
        });
        fixture.site.run(
            "UPDATE registrations SET subscription = 'unsubscribed',
               subscription_changed_at = '2026-03-01 12:00:00.123456' WHERE id = 1",
        );
        let seen = fixture.row(1).await;
        assert_eq!(seen.status_changed_at, Some(at("2026-03-01T06:30:00.123456Z")), "{:?}", fixture.store());
        let time = Some(at("2026-07-01T06:30:00.000001Z"));
        let status = Some((SubscriptionStatus::Subscribed, time));
        let changes = RowChanges { status, ..RowChanges::default() };
        let WriteOutcome::Written(row) = fixture.register.write(&seen, &changes).await.unwrap() else {
            panic!("not written");
        };
        assert_eq!(row.status_changed_at, time);
        assert_eq!(fixture.row(1).await.status_changed_at, time);
    })
    .await;
}

#[tokio::test]
async fn times_without_a_zone_are_those_of_the_configured_one() {
    for store in Store::servers() {
        let mut fixture = Fixture::on(store, Layout::List).await;
        fixture.mapping.time_zone = Some("Europe/Zurich".to_owned());
        // A column of such times stands in for the text.
        fixture.mapping.columns.signup_at = Name::Given("made".to_owned());
        fixture.mapping.columns.subscription_changed_at = Name::Given("gone".to_owned());
        fixture.mapping.columns.deleted_at = Name::Off;
        fixture.register = open(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
        let seen = fixture.row(1).await;
        assert_eq!(seen.signup_at, Some(at("2026-03-01T11:00:00Z")));
        let status = Some((SubscriptionStatus::Unsubscribed, Some(at("2026-07-01T10:00:00Z"))));
        let changes = RowChanges { status, ..RowChanges::default() };
        fixture.register.write(&seen, &changes).await.unwrap();
        let said = format!("{:?}", fixture.cell(1, "deleted_at"));
        assert!(said.contains("2026-07-01 12:00:00"), "{store:?}: {said}");
    }
}

#[tokio::test]
async fn a_collation_that_folds_case_and_accents_takes_nobody_for_another() {
    check(async |fixture| {
        match fixture.store() {
            Store::Postgres => {
                fixture.site.run("CREATE EXTENSION citext; ALTER TABLE registrations ALTER email TYPE citext")
            }
            _ => fixture.site.run(
                "ALTER TABLE registrations MODIFY email varchar(255) COLLATE utf8mb4_general_ci NOT NULL",
            ),
        }
        let register = open(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
        for (key, address) in
            [(20, "ANDRE@alliance.test"), (21, "andré@alliance.test"), (22, " andre@alliance.test")]
        {
            fixture.register_person(&Person { id: key, email: address, ..crate::fixture::BEN });
        }
        let found = register.by_email(&email("Andre@alliance.test")).await.unwrap();
        assert_eq!(keys(&found), ["20", "22"], "{:?}", fixture.store());
        let found = register.by_email(&email("ANDRÉ@alliance.test")).await.unwrap();
        assert_eq!(keys(&found), ["21"]);
        let seen = usable(&found[0]);
        let moved = RowChanges { email: Some(email("Andrea@alliance.test")), ..RowChanges::default() };
        let outcome = register.write(&seen, &moved).await.unwrap();
        assert!(
            matches!(&outcome, WriteOutcome::Written(row) if row.email.as_str() == "Andrea@alliance.test")
        );
    })
    .await;
}

#[tokio::test]
async fn an_address_that_the_website_registers_first_is_not_registered_twice() {
    check(async |fixture| {
        fixture.site.run("CREATE UNIQUE INDEX one_each ON registrations (email)");
        // Marked as removed, it still bears the address: that is the register's word, and no row of ours.
        fixture.set(2, "deleted_at", fixture.time("2026-03-02T00:00:00Z"), "2026-03-02T00:00:00Z");
        let refused = fixture.register.create(&new("ben@alliance.test")).await.unwrap_err();
        assert!(refused.is_permanent() && !refused.to_string().contains("ben@"), "{refused}");
        assert_eq!(fixture.register.create(&new("Ada@alliance.test")).await.unwrap(), CreateOutcome::Exists);
    })
    .await;
}

#[tokio::test]
async fn what_is_too_long_is_refused_and_not_cut() {
    check(async |fixture| {
        fixture.site.run(match fixture.store() {
            Store::Postgres => "ALTER TABLE registrations ALTER first_name TYPE varchar(5)",
            _ => "ALTER TABLE registrations MODIFY first_name varchar(5)",
        });
        let seen = fixture.row(1).await;
        let refused = fixture.register.write(&seen, &named("Augusta 🦊")).await.unwrap_err();
        assert!(matches!(refused, RegisterError::Refused { .. }), "{refused:?}");
        assert_eq!(fixture.row(1).await, seen);
        let outcome = fixture.register.write(&seen, &named("Ada 🦊")).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(row) if row.fields[&tag("FNAME")] == "Ada 🦊"));
    })
    .await;
}

#[tokio::test]
async fn a_generated_column_is_read_and_named_where_it_would_have_to_be_written() {
    check(async |fixture| {
        fixture.site.run(match fixture.store() {
            Store::Postgres => {
                "ALTER TABLE registrations ADD greeting text GENERATED ALWAYS AS ('Dear ' || first_name) STORED"
            }
            _ => "ALTER TABLE registrations ADD greeting text AS (concat('Dear ', first_name)) STORED",
        });
        let mut values = fixture.values.clone();
        values.fields.insert(tag("GREETING"), "greeting".to_owned());
        let register = open(&fixture.place(), &fixture.mapping, &values).await.unwrap();
        let seen = usable(&register.by_id(&[id(1)]).await.unwrap()[0]);
        assert_eq!(seen.fields[&tag("GREETING")], "Dear Ada");
        let outcome = register.write(&seen, &named("Augusta")).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(row) if row.fields[&tag("GREETING")] == "Dear Augusta"));
        let changes = RowChanges {
            values: [(Key::Field(tag("GREETING")), Value::text("Hi"))].into(),
            ..RowChanges::default()
        };
        let seen = usable(&register.by_id(&[id(1)]).await.unwrap()[0]);
        let refused = register.write(&seen, &changes).await.unwrap_err();
        assert!(refused.is_permanent() && refused.to_string().contains("greeting"), "{refused:?}");
        let report = examine(&fixture.place(), &fixture.mapping, &values).await.unwrap();
        let said: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
        assert!(
            said.iter().any(|said| said.starts_with("merge_field GREETING: the column \"greeting\"")),
            "{said:?}"
        );
        assert!(report.is_usable(), "{said:?}");
    })
    .await;
}

#[tokio::test]
async fn tables_are_found_in_other_schemas_and_views_are_written_through() {
    check(async |fixture| {
        let name = fixture.database.address();
        let name = name.rsplit_once('/').unwrap().1;
        let schema = if fixture.store() == Store::Postgres { "crm" } else { name };
        fixture.site.run(match fixture.store() {
            Store::Postgres => {
                "CREATE SCHEMA crm; CREATE VIEW crm.\"The Members\" AS SELECT * FROM registrations WHERE country IS NULL"
            }
            _ => "CREATE VIEW `The Members` AS SELECT * FROM registrations WHERE country IS NULL",
        });
        let table = format!("{schema}.The Members");
        let mapping = RegisterMapping { table, ..fixture.mapping.clone() };
        let register = open(&fixture.place(), &mapping, &fixture.values).await.unwrap();
        let seen = usable(&register.by_id(&[id(1)]).await.unwrap()[0]);
        let outcome = register.write(&seen, &named("Augusta")).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
        assert_eq!(fixture.row(1).await.fields[&tag("FNAME")], "Augusta");
        let wrong = RegisterMapping { table: format!("{schema}.Membres"), ..fixture.mapping.clone() };
        let refused = open(&fixture.place(), &wrong, &fixture.values).await.unwrap_err();
        assert!(refused.to_string().contains("Membres") && refused.to_string().contains("mean"), "{refused}");
    })
    .await;
}

#[tokio::test]
async fn keys_and_words_may_have_types_of_their_own() {
    check(async |fixture| {
        let (schema, more) = match fixture.store() {
            Store::Postgres => (
                "CREATE TYPE standing AS ENUM ('subscribed', 'unsubscribed', 'pending', 'cleaned');
                 CREATE TABLE people (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), email varchar(255) NOT NULL,
                   subscription standing NOT NULL, first_name char(20), updated_at timestamptz(3) DEFAULT now())",
                "6b1f6c3e-93a5-4a1e-8f0c-0f2f6a1f9d10",
            ),
            _ => (
                "CREATE TABLE people (id char(36) PRIMARY KEY DEFAULT (uuid()), email varchar(255) NOT NULL,
                   subscription enum('subscribed', 'unsubscribed', 'pending', 'cleaned') NOT NULL, first_name char(20),
                   updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3))",
                "7",
            ),
        };
        fixture.site.run(schema);
        let mut mapping: RegisterMapping = toml::from_str("table = 'people'").unwrap();
        mapping.interests.table = Name::Off;
        let mut values = fixture.values.clone();
        values.dimensions.clear();
        let register = open(&fixture.place(), &mapping, &values).await.unwrap();
        let CreateOutcome::Created(row) = register.create(&new("dora@alliance.test")).await.unwrap() else {
            panic!("not created");
        };
        let ids = [row.id.clone(), RegistrationId::new(more), RegistrationId::new("no key")];
        assert_eq!(keys(&register.by_id(&ids).await.unwrap()), [row.id.as_str()]);
        assert!(register.page(Some(&row.id), 10).await.unwrap().is_empty());
        let changes = RowChanges {
            status: Some((SubscriptionStatus::Unsubscribed, None)),
            ..named("Dora")
        };
        let WriteOutcome::Written(row) = register.write(&row, &changes).await.unwrap() else {
            panic!("not written");
        };
        assert_eq!((row.status, row.fields[&tag("FNAME")].as_str()), (SubscriptionStatus::Unsubscribed, "Dora"));
        register.erase(std::slice::from_ref(&row.id)).await.unwrap();
        assert_eq!(register.page(None, 10).await.unwrap(), []);
    })
    .await;
}
