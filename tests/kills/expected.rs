//! What both sides must show in the end, told apart from how the program decides it.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Work;
use crate::people::{HERE, MANY, ON_BOTH, THERE, email};
use crate::stage::Stage;

/// What a row shows.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    status: String,
    first_name: String,
    last_name: String,
    topics: Vec<String>,
}

/// Both sides agree, nobody was lost, doubled or mailed, and there is nothing left to do.
pub(crate) fn check(stage: &Stage, work: Work) {
    let rows = rows(stage);
    for (email, row) in &rows {
        let Some(contact) = contact(stage, email) else { panic!("{work:?}: {email} is not in Mailchimp") };
        let agree =
            row.status == contact.status || (row.status == "unsubscribed" && contact.status == "archived");
        assert!(agree, "{work:?}: {email} is {} here and {} there", row.status, contact.status);
        if row.status == "subscribed" {
            assert_eq!(*row, contact, "{work:?}: {email}");
        }
    }
    let expected = statuses(work);
    let shown: BTreeMap<String, String> = stage
        .sandbox
        .addresses()
        .into_iter()
        .map(|email| (email.clone(), contact(stage, &email).unwrap().status))
        .collect();
    assert_eq!(shown, expected, "{work:?}: what Mailchimp shows");
    check_edits(work, &rows);
    let mails = stage.sandbox.counters().confirmation_mails;
    let asked = matches!(work, Work::Cycle | Work::FullCycle);
    let expected: BTreeMap<String, u32> = asked.then(|| (email("left"), 1)).into_iter().collect();
    assert_eq!(mails, expected, "{work:?}: who was asked to confirm");
    let report = stage.clean("sync");
    let left: Vec<&Value> = ["planned", "applied", "failed", "parked", "held"].map(|key| &report[key]).into();
    assert_eq!(left, [0, 0, 0, 0, 0], "{work:?}: something is left: {report}");
    assert_eq!(report["requests"], 2, "{work:?}: an idle cycle");
}

/// Who stands where in Mailchimp, in the end.
fn statuses(work: Work) -> BTreeMap<String, String> {
    let all = ON_BOTH.chain(HERE).chain(THERE).map(|n| (format!("p{n}"), "subscribed"));
    let mut names: BTreeMap<String, &str> = all.collect();
    names.extend(["left", "gone"].map(|name| (name.to_owned(), "unsubscribed")));
    match work {
        Work::Adoption | Work::Updates => {}
        Work::Cycle | Work::FullCycle => {
            for name in ["p5", "p6"] {
                names.remove(name);
            }
            let day = [
                ("p0", "unsubscribed"),
                ("p1", "unsubscribed"),
                ("p7", "archived"),
                ("p8", "unsubscribed"),
                ("p9", "cleaned"),
                ("left", "pending"),
                ("moved.here", "subscribed"),
                ("moved.there", "subscribed"),
                ("new", "subscribed"),
                ("newer", "subscribed"),
                ("form", "subscribed"),
            ];
            names.extend(day.map(|(name, status)| (name.to_owned(), status)));
        }
        Work::Creations => names.extend((0..MANY).map(|n| (format!("many{n}"), "subscribed"))),
        Work::Approval | Work::Deciding => {
            names.extend(ON_BOTH.map(|n| (format!("p{n}"), "archived")));
        }
    }
    names.into_iter().map(|(name, status)| (email(name), status.to_owned())).collect()
}

/// Every edit is on both sides: they agree, so that one of them is looked at.
fn check_edits(work: Work, rows: &BTreeMap<String, Shown>) {
    let row = |name: &str| &rows[&email(name)];
    match work {
        Work::Cycle | Work::FullCycle => {
            assert_eq!(row("p2").last_name, "Byron");
            assert_eq!(
                (row("p3").first_name.as_str(), row("p3").topics.join(" ")),
                ("Edited", "Health Water".to_owned())
            );
            assert_eq!((row("p4").first_name.as_str(), row("p4").last_name.as_str()), ("There", "Here"));
            assert_eq!(
                (row("moved.here").first_name.as_str(), row("moved.there").first_name.as_str()),
                ("P5", "P6")
            );
            assert_eq!(
                (row("form").first_name.as_str(), row("form").topics.join(" ")),
                ("Form", "Water".to_owned())
            );
            assert_eq!(rows.len(), 44, "nobody was doubled");
        }
        Work::Adoption => {
            let both = |n: usize| row(&format!("p{n}")).topics.join(" ");
            assert_eq!(
                (both(2), both(5), both(1)),
                ("Finance Health".into(), "Health Water".into(), "Water".into())
            );
            assert_eq!(rows.len(), 42, "nobody was doubled");
        }
        Work::Updates => {
            let renamed = rows.values().filter(|row| row.last_name == "Byron").count();
            assert_eq!((renamed, rows.len()), (40, 42));
        }
        Work::Creations => assert_eq!(rows.len(), 42 + MANY, "nobody was doubled"),
        Work::Approval | Work::Deciding => assert_eq!(rows.len(), 42 - ON_BOTH.len()),
    }
}

fn rows(stage: &Stage) -> BTreeMap<String, Shown> {
    let sql = "SELECT email, subscription, IFNULL(first_name, ''), IFNULL(last_name, ''),
            IFNULL((SELECT group_concat(interest, '|') FROM (SELECT interest FROM registration_interests
                WHERE registration_id = registrations.id ORDER BY interest)), '')
        FROM registrations WHERE deleted_at IS NULL";
    let mut statement = stage.register.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let topics: String = row.get(4)?;
        let topics = topics.split('|').filter(|topic| !topic.is_empty()).map(str::to_owned).collect();
        Ok((
            row.get(0)?,
            Shown { status: row.get(1)?, first_name: row.get(2)?, last_name: row.get(3)?, topics },
        ))
    });
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

fn contact(stage: &Stage, email: &str) -> Option<Shown> {
    let member = stage.sandbox.member(email)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names = ["Finance", "Health", "Water"];
    let ticked = member["interests"].as_object().unwrap();
    let ids = stage.interest_ids();
    let topics = names.into_iter().filter(|name| ticked[&ids[*name]] == true).map(str::to_owned).collect();
    Some(Shown {
        status: text(&member["status"]),
        first_name: text(&member["merge_fields"]["FNAME"]),
        last_name: text(&member["merge_fields"]["LNAME"]),
        topics,
    })
}
