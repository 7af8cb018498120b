//! Reading rows: pages, keys, addresses.

use rosterd::model::SubscriptionStatus;
use rosterd::registrations::{Reading, open_read_only};

use crate::fixture::{Person, at, check, check_rows, email, id, interests, keys, tag, usable};
use crate::stores::Store;

#[tokio::test]
async fn a_row_is_read_with_all_that_the_mapping_names() {
    check(async |fixture| {
        let ada = fixture.row(1).await;
        assert_eq!(ada.email.as_str(), "Ada@alliance.test");
        assert_eq!(ada.status, SubscriptionStatus::Subscribed);
        assert_eq!(ada.status_changed_at, Some(at("2026-03-01T12:00:00Z")));
        assert_eq!(ada.created_at, Some(at("2026-03-01T12:00:00Z")));
        assert_eq!(ada.updated_at, Some(at("2026-03-01T12:00:00Z")));
        assert_eq!(ada.fields, [(tag("FNAME"), "Ada".to_owned())].into());
        assert_eq!(ada.interests, interests(&["region:Africa", "topic:Finance"]));
        assert_eq!(ada.preferences_url.as_deref(), Some(""));
        assert_eq!(ada.sync_note.as_deref(), Some(""));
        assert_eq!(ada.working_groups, Some([].into()));
        let (ben, cleo) = (fixture.row(2).await, fixture.row(10).await);
        assert_eq!(ben.fields[&tag("FNAME")], "Bén 🦊");
        assert_eq!(ben.interests, interests(&[]));
        assert_eq!(cleo.interests, interests(&["topic:Énergie", "topic:Finance"]));
        assert!(fixture.register.features().consent_time && fixture.register.features().working_groups);
    })
    .await;
}

#[tokio::test]
async fn pages_follow_each_other_without_gap_or_overlap() {
    check(async |fixture| {
        for number in 100..107 {
            let address = format!("p{number}@alliance.test");
            let at = "2026-03-01T12:00:02Z";
            let person = Person { id: number, email: &address, at, ..crate::fixture::BEN };
            fixture.register_person(&person);
        }
        let (mut seen, mut numbered, mut after) = (Vec::new(), Vec::new(), None);
        loop {
            let page = fixture.register.page(after.as_ref(), 3).await.unwrap();
            let ids = fixture.register.ids(after.as_ref(), 3).await.unwrap();
            numbered.extend(ids);
            seen.extend(page.iter().map(|row| row.id().clone()));
            after = seen.last().cloned();
            if page.len() < 3 {
                break;
            }
        }
        assert_eq!(seen, numbered);
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 10, "{:?}", fixture.layout);
    })
    .await;
}

#[tokio::test]
async fn large_pages_carry_everybodys_interests() {
    check(async |fixture| {
        fixture.site.run("BEGIN");
        for number in 1000..3500 {
            let address = format!("p{number}@alliance.test");
            let topics: &[&str] = if number % 2 == 0 { &["topic:Finance"] } else { &[] };
            let person = Person { id: number, email: &address, interests: topics, ..crate::fixture::BEN };
            fixture.register_person(&person);
        }
        fixture.site.run("COMMIT");
        let page = fixture.register.page(None, 10_000).await.unwrap();
        let ids: Vec<_> = page.iter().map(|row| row.id().clone()).collect();
        assert_eq!(fixture.register.by_id(&ids).await.unwrap().len(), 2503);
        for row in page.iter().map(usable).filter(|row| row.id.order().0 >= 1000) {
            assert_eq!(row.interests.len(), usize::from(row.id.order().0 % 2 == 0), "{}", row.id);
        }
    })
    .await;
}

#[tokio::test]
async fn only_rows_that_are_there_are_read() {
    check(async |fixture| {
        fixture.set(2, "deleted_at", fixture.time("2026-03-01T12:00:05Z"), "2026-03-01T12:00:05Z");
        let rows = fixture.register.by_id(&[id(1), id(2), id(3)]).await.unwrap();
        assert_eq!(keys(&rows), ["1"]);
        assert!(fixture.register.by_email(&email("ben@alliance.test")).await.unwrap().is_empty());
        assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 2);
        assert_eq!(fixture.register.ids(None, 10).await.unwrap().len(), 2);
        if fixture.store() != Store::Sqlite {
            return;
        }
        // A zero date is how some registers spell "never".
        fixture.set(2, "deleted_at", "0000-00-00 00:00:00".to_owned(), "2026-03-01T12:00:06Z");
        assert_eq!(fixture.register.page(None, 10).await.unwrap().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn rows_are_found_by_address_whatever_its_case_and_padding() {
    check(async |fixture| {
        let people = [
            (20, "ADA@ALLIANCE.TEST \r\n"),
            (21, " ada@alliance.test"),
            (22, "ada@alliance.testing"),
            (23, "Jörg.ÄPPEL@alliance.test"),
        ];
        for (id, address) in people {
            fixture.register_person(&Person { id, email: address, ..crate::fixture::BEN });
        }
        let found = fixture.register.by_email(&email("aDa@alliance.test")).await.unwrap();
        let mut found = keys(&found);
        found.sort_unstable();
        assert_eq!(found, ["1", "20", "21"], "{:?}", fixture.layout);
        let found = fixture.register.by_email(&email("JÖRG.äppel@alliance.test")).await.unwrap();
        assert_eq!(keys(&found), ["23"]);
        assert_eq!(usable(&found[0]).email.as_str(), "Jörg.ÄPPEL@alliance.test");
    })
    .await;
}

#[tokio::test]
async fn a_read_only_register_reads_the_same_and_has_one_identity() {
    check(async |fixture| {
        let reader = open_read_only(&fixture.place(), &fixture.mapping, &fixture.values).await.unwrap();
        assert_eq!(reader.page(None, 10).await.unwrap(), fixture.register.page(None, 10).await.unwrap());
        assert_eq!(reader.identity().await.unwrap(), fixture.register.identity().await.unwrap());
        fixture.set(2, "first_name", "Benno".to_owned(), "2026-03-01T12:00:09Z");
        let cursor = reader.cursor().await.unwrap();
        assert!(reader.changes(&cursor, 10).await.unwrap().is_some());
        let rows = reader.by_id(&[id(2)]).await.unwrap();
        assert_eq!(usable(&rows[0]).fields[&tag("FNAME")], "Benno");
    })
    .await;
}

#[tokio::test]
async fn what_is_not_mapped_is_not_read() {
    check_rows(async |fixture| {
        let text = "INSERT INTO registration_interests VALUES (1, 'colour', 'Blue'), (1, 'topic', ' ')";
        fixture.site.run(text);
        assert_eq!(fixture.row(1).await.interests, interests(&["region:Africa", "topic:Finance"]));
        let row = &fixture.register.by_id(&[id(1)]).await.unwrap()[0];
        assert!(matches!(row, Reading::Usable(row) if row.fields.len() == 1));
    })
    .await;
}
