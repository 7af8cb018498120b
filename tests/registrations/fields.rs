//! Merge fields whose column is read and never written, and those that are the same for everybody.

use std::collections::BTreeMap;

use rosterd::model::{Key, Registration, SubscriptionStatus, Value};
use rosterd::registrations::mapping::MappedValues;
use rosterd::registrations::{
    CreateOutcome, NewRegistration, RegisterError, RegisterPlace, RowChanges, WriteOutcome,
    WriteRegistrations, examine, open,
};
use rusqlite::types::Value as Sql;

use crate::fixture::{Fixture, Layout, check, check_rows, email, id, tag, usable};
use crate::stores::Store;

fn says(name: &str, text: &str) -> RowChanges {
    RowChanges { values: [(Key::Field(tag(name)), Value::text(text))].into(), ..RowChanges::default() }
}

async fn row(register: &dyn WriteRegistrations) -> Registration {
    usable(&register.by_id(&[id(1)]).await.unwrap()[0])
}

/// The fixture's own mapping with a constant, and its column never written.
fn one_way(fixture: &Fixture) -> MappedValues {
    MappedValues {
        read_only: [tag("FNAME"), tag("SOURCE")].into(),
        constants: [(tag("SOURCE"), "Website".to_owned())].into(),
        ..fixture.values.clone()
    }
}

#[tokio::test]
async fn a_value_that_is_always_the_same_stands_in_every_row_and_in_no_column() {
    check(async |fixture| {
        let values = one_way(&fixture);
        let register = open(&fixture.place(), &fixture.mapping, &values).await.unwrap();
        assert!(register.holds(&Key::Field(tag("SOURCE"))));
        for reading in register.page(None, 10).await.unwrap() {
            assert_eq!(usable(&reading).fields[&tag("SOURCE")], "Website");
        }
        let seen = row(register.as_ref()).await;
        let refused = register.write(&seen, &says("SOURCE", "Radio")).await.unwrap_err();
        assert!(matches!(refused, RegisterError::Refused { .. }), "{refused:?}");
        assert!(refused.to_string().contains("SOURCE is the same for everybody"), "{refused}");
        // What it is already needs no write.
        let outcome = register.write(&seen, &says("SOURCE", "Website")).await.unwrap();
        assert!(matches!(outcome, WriteOutcome::Written(_)), "{outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn a_column_that_is_only_read_is_neither_changed_nor_filled() {
    check(async |fixture| {
        let values = one_way(&fixture);
        let register = open(&fixture.place(), &fixture.mapping, &values).await.unwrap();
        let seen = row(register.as_ref()).await;
        assert_eq!(seen.fields[&tag("FNAME")], "Ada");
        let refused = register.write(&seen, &says("FNAME", "Augusta")).await.unwrap_err().to_string();
        let column = fixture.column("first_name").replace(['"', '`'], "");
        assert!(refused.contains(&format!("{column:?} is read and never written")), "{refused}");
        assert_eq!(fixture.cell(1, "first_name"), Sql::Text("Ada".to_owned()));
        // A key of texts is given by nobody.
        if fixture.layout == Layout::List {
            return;
        }
        let new = NewRegistration {
            email: email("dora@alliance.test"),
            membership: "subscriber".to_owned(),
            status: SubscriptionStatus::Subscribed,
            status_changed_at: None,
            values: says("FNAME", "Dora").values,
        };
        let outcome = register.create(&new).await.unwrap();
        let CreateOutcome::Created(created) = outcome else { panic!("{outcome:?}") };
        assert_eq!(
            created.fields,
            BTreeMap::from([(tag("FNAME"), String::new()), (tag("SOURCE"), "Website".to_owned()),])
        );
    })
    .await;
}

#[tokio::test]
async fn a_column_that_is_only_read_may_be_generated() {
    check_rows(async |fixture| {
        fixture.site.run(match fixture.store() {
            Store::Sqlite => "ALTER TABLE registrations ADD greeting TEXT AS ('Dear ' || first_name) VIRTUAL",
            Store::Postgres => {
                "ALTER TABLE registrations ADD greeting text GENERATED ALWAYS AS ('Dear ' || first_name) STORED"
            }
            Store::Mariadb => {
                "ALTER TABLE registrations ADD greeting text AS (concat('Dear ', first_name)) STORED"
            }
        });
        let mut values = fixture.values.clone();
        values.fields.insert(tag("GREETING"), "greeting".to_owned());
        let told = examine(&fixture.place(), &fixture.mapping, &values).await.unwrap().problems;
        assert_eq!(told.len(), 1, "{told:?}");
        values.read_only.insert(tag("GREETING"));
        assert_eq!(examine(&fixture.place(), &fixture.mapping, &values).await.unwrap().problems, []);
    })
    .await;
}

#[tokio::test]
async fn a_column_that_is_only_read_needs_no_right_to_update_it() {
    for store in Store::servers() {
        let fixture = Fixture::on(store, Layout::Rows).await;
        let address = fixture.database.address();
        let (scheme, rest) = address.split_once("://").unwrap();
        let (server, name) = rest.split_once('@').unwrap().1.rsplit_once('/').unwrap();
        let user = format!("reader_of_{name}");
        let may_write = "email, subscription, subscription_changed_at, preferences_url, sync_note";
        let mut grants = vec![format!("GRANT UPDATE ({may_write}) ON registrations TO {user}")];
        let tables = "registrations registration_interests registration_removals group_members";
        grants.extend(tables.split(' ').map(|table| format!("GRANT SELECT ON {table} TO {user}")));
        fixture.site.run(&match store {
            Store::Postgres => format!("CREATE ROLE {user} LOGIN PASSWORD 'reader'"),
            _ => format!("CREATE USER {user} IDENTIFIED BY 'reader'"),
        });
        grants.iter().for_each(|grant| fixture.site.run(grant));
        let place = RegisterPlace::server(&format!("{scheme}://{user}:reader@{server}/{name}")).unwrap();
        let mut values = fixture.values.clone();
        let report = examine(&place, &fixture.mapping, &values).await.unwrap();
        assert!(!report.is_usable(), "{store:?}: {:?}", report.problems);
        values.read_only.insert(tag("FNAME"));
        let report = examine(&place, &fixture.mapping, &values).await.unwrap();
        assert!(report.is_usable(), "{store:?}: {:?}", report.problems);
        fixture.site.run(&match store {
            Store::Postgres => format!("DROP OWNED BY {user}; DROP ROLE {user}"),
            _ => format!("DROP USER {user}"),
        });
    }
}
