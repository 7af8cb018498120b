//! What `check` learns of a register.

use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{RegisterReport, Severity, examine};

use crate::fixture::{Fixture, Layout, check, check_rows, keys, tag};

async fn report(fixture: &Fixture, mapping: &RegisterMapping) -> RegisterReport {
    examine(&fixture.place(), mapping, &fixture.values).await.unwrap()
}

fn problem_keys(report: &RegisterReport, severity: Severity) -> Vec<&str> {
    let problems = report.problems.iter().filter(|problem| problem.severity == severity);
    problems.map(|problem| problem.key.as_str()).collect()
}

#[tokio::test]
async fn a_good_register_shows_its_first_rows() {
    check(async |fixture| {
        let report = report(&fixture, &fixture.mapping).await;
        assert!(report.is_usable(), "{:?}", report.problems);
        assert_eq!(report.rows, 3);
        assert_eq!(keys(&report.samples).len(), 3);
        assert_eq!(report.features, Some(fixture.register.features()));
    })
    .await;
    check_rows(async |fixture| assert_eq!(report(&fixture, &fixture.mapping).await.problems, [])).await;
}

#[tokio::test]
async fn all_that_is_missing_is_told_at_once_with_what_comes_near() {
    check_rows(async |fixture| {
    let mapping: RegisterMapping = toml::from_str(
        "[columns]\nemail = 'emial'\nsync_note = 'note'\ndeleted_at = ''\n\
         [interests]\ninterest = 'intrest'\n[removals]\ntable = 'removals'\n[working_groups]\ntable = 'gruops'",
    )
    .unwrap();
    let values =
        MappedValues { fields: [(tag("LNAME"), "lastname".to_owned())].into(), ..fixture.values.clone() };
    let report = examine(&fixture.place(), &mapping, &values).await.unwrap();
    assert!(!report.is_usable());
    assert_eq!(
        problem_keys(&report, Severity::Error),
        [
            "registrations.columns.sync_note",
            "registrations.columns.email",
            "merge_field LNAME",
            "registrations.interests.interest",
            "registrations.removals.table",
            "registrations.working_groups.table",
        ]
    );
    let said: Vec<_> = report.problems.iter().map(ToString::to_string).collect();
    for part in
        ["mean \"email\"", "mean \"sync_note\"", "mean \"last_name\"", "mean \"registration_removals\""]
    {
        assert!(said.iter().any(|said| said.contains(part)), "{part}: {said:#?}");
    }
    }).await;
}

#[tokio::test]
async fn columns_that_nobody_named_may_be_missing() {
    let fixture = Fixture::new(Layout::Flags).await;
    fixture.site.run(
        "ALTER TABLE registrations DROP COLUMN subscription_changed_at;
             ALTER TABLE registrations DROP COLUMN sync_note;
             ALTER TABLE registrations DROP COLUMN updated_at;
             DROP TABLE registration_removals;",
    );
    let report = report(&fixture, &fixture.mapping).await;
    assert!(report.is_usable(), "{:?}", report.problems);
    assert!(!report.features.unwrap().consent_time);
    let notices = problem_keys(&report, Severity::Notice);
    for column in ["subscription_changed_at", "updated_at", "sync_note"] {
        assert!(notices.contains(&format!("registrations.columns.{column}").as_str()), "{notices:?}");
    }
    let register = fixture.with_overlap(fixture.mapping.overlap).await;
    let cursor = register.cursor().await.unwrap();
    assert_eq!(register.changes(&cursor, 10).await.unwrap(), None);
    assert_eq!(register.page(None, 10).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_zone_that_is_missing_is_an_error_where_times_need_it() {
    let fixture = Fixture::new(Layout::List).await;
    let mapping = RegisterMapping { time_zone: None, ..fixture.mapping.clone() };
    let report = report(&fixture, &mapping).await;
    assert_eq!(problem_keys(&report, Severity::Error), ["registrations.time_zone"]);
}

#[tokio::test]
async fn a_register_that_cannot_be_written_is_an_error() {
    let fixture = Fixture::new(Layout::Flags).await;
    fixture
        .site
        .run("ALTER TABLE registrations RENAME TO people; CREATE VIEW registrations AS SELECT * FROM people");
    let report = report(&fixture, &fixture.mapping).await;
    assert_eq!(problem_keys(&report, Severity::Error), ["registrations.url"]);
    assert_eq!(report.rows, 3);
}

#[tokio::test]
async fn keys_that_are_not_unique_are_an_error() {
    let fixture = Fixture::new(Layout::Flags).await;
    let mapping: RegisterMapping = toml::from_str(
        "[columns]\nid = 'created_at'\n[interests]\nlayout = 'flags'\n\
         columns = { finance = 'topic:Finance', africa = 'region:Africa' }",
    )
    .unwrap();
    let report = report(&fixture, &mapping).await;
    assert_eq!(problem_keys(&report, Severity::Error), ["registrations.columns.id"]);
}

#[tokio::test]
async fn a_dimension_without_a_place_is_an_error() {
    for (layout, key) in [(Layout::List, "columns"), (Layout::Flags, "columns"), (Layout::Rows, "table")] {
        let fixture = Fixture::new(layout).await;
        let mut mapping = fixture.mapping.clone();
        mapping.interests.columns.clear();
        if layout == Layout::Rows {
            fixture.site.run("DROP TABLE registration_interests");
        }
        let report = report(&fixture, &mapping).await;
        let key = format!("registrations.interests.{key}");
        assert_eq!(problem_keys(&report, Severity::Error), [key.as_str(), key.as_str()]);
    }
}

#[tokio::test]
async fn slow_and_silent_registers_are_noticed() {
    let fixture = Fixture::new(Layout::Rows).await;
    fixture.site.run(
        "DROP INDEX registrations_email; DROP INDEX registrations_updated_at;
             DROP TRIGGER registration_interests_added; DROP TRIGGER registration_interests_changed;
             DROP TRIGGER registration_interests_dropped;",
    );
    let report = report(&fixture, &fixture.mapping).await;
    assert_eq!(
        problem_keys(&report, Severity::Notice),
        ["registrations.columns.email", "registrations.columns.updated_at", "registrations.interests.table"]
    );
}
