//! What both sides show, read past Rosterd.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use rosterd::sandbox::Sandbox;
use rusqlite::Connection;
use serde_json::Value;

use crate::parts::OFFERED;
use crate::step::{ADDRESSES, Address};

/// The address of this number.
pub(crate) fn email(address: Address) -> String {
    format!("{}@alliance.test", ["ada", "ben", "cleo", "dan", "eva"][usize::from(address)])
}

/// A text as Mailchimp keeps it: trimmed, and cut off where it is too long.
pub(crate) fn normal(text: &str) -> String {
    let text = text.trim();
    text[..text.floor_char_boundary(255)].trim_end().to_owned()
}

/// Whether the register's mapping tells when somebody said that they are in or out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dated {
    Yes,
    /// The times of the sign-up and of the row stand in for it.
    No,
}

/// A row that was not removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) email: String,
    pub(crate) status: String,
    /// When its consent was given, by the register's word.
    pub(crate) at: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) organisation: String,
    pub(crate) membership: String,
    pub(crate) topics: BTreeSet<String>,
    pub(crate) note: String,
    /// When it came to be, by the register's word.
    created_at: Option<Timestamp>,
}

/// A contact, archived or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) email: String,
    pub(crate) status: String,
    pub(crate) first: String,
    pub(crate) last: String,
    pub(crate) topics: BTreeSet<String>,
    /// Tags that stand for no topic.
    pub(crate) tags: BTreeSet<String>,
}

impl Shown {
    /// Whether mail goes, or may come to go, to the contact.
    pub(crate) fn is_in(&self) -> bool {
        matches!(self.status.as_str(), "subscribed" | "pending")
    }
}

/// Both sides at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sides {
    /// Oldest first.
    pub(crate) rows: Arc<Vec<Row>>,
    pub(crate) contacts: Arc<Vec<Shown>>,
}

/// What was looked at last, as long as it is so.
#[derive(Debug, Default)]
pub(crate) struct Looked {
    pub(crate) rows: Option<Arc<Vec<Row>>>,
    pub(crate) contacts: Option<Arc<Vec<Shown>>>,
    /// How many writes of Rosterd's to the register are under way: until they end, each look is a new one.
    pub(crate) rows_under_way: u32,
}

impl Sides {
    pub(crate) fn rows_at<'a>(&'a self, email: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.email == email)
    }

    pub(crate) fn contact_at(&self, email: &str) -> Option<&Shown> {
        self.contacts.iter().find(|contact| contact.email == email)
    }
}

/// The values of one person on one side, by key: first name, last name, and each topic or, of a radio category, the choice.
pub(crate) type Values = Vec<String>;

/// The names of the keys.
pub(crate) fn key_name(key: usize, radio: bool) -> &'static str {
    match (key, radio) {
        (0, _) => "first name",
        (1, _) => "last name",
        (2, true) => "the choice",
        (key, _) => OFFERED[key - 2],
    }
}

fn keyed(first: &str, last: &str, topics: &BTreeSet<String>, radio: bool) -> Values {
    let mut values = vec![first.to_owned(), last.to_owned()];
    if radio {
        values.push(topics.iter().cloned().collect::<Vec<_>>().join(" and "));
    } else {
        let word = |topic: &&str| if topics.contains(*topic) { "ticked" } else { "" }.to_owned();
        values.extend(OFFERED.iter().map(word));
    }
    values
}

/// What rows say together: for each value the newest that fills it.
pub(crate) fn local_values(rows: &[&Row], radio: bool) -> Values {
    let newest = |of: fn(&Row) -> &str| {
        rows.iter().rev().map(|row| of(row)).find(|text| !text.is_empty()).unwrap_or_default()
    };
    let none = BTreeSet::new();
    let topics = rows.iter().rev().map(|row| &row.topics).find(|topics| !topics.is_empty()).unwrap_or(&none);
    keyed(newest(|row| &row.first), newest(|row| &row.last), topics, radio)
}

/// What a contact says.
pub(crate) fn remote_values(contact: &Shown, radio: bool) -> Values {
    keyed(&contact.first, &contact.last, &contact.topics, radio)
}

/// The rows that are there.
pub(crate) fn rows(register: &Connection, dated: Dated) -> Vec<Row> {
    let sql =
        "SELECT id, lower(email), subscription, coalesce(iif(?1, subscription_changed_at, NULL), signup_at, created_at),
            ifnull(first_name, ''), ifnull(last_name, ''), ifnull(organisation, ''), membership,
            (SELECT group_concat(interest, '|') FROM registration_interests
             WHERE registration_id = id AND dimension = 'topic'), ifnull(sync_note, ''), created_at
        FROM registrations WHERE deleted_at IS NULL";
    let mut statement = register.prepare_cached(sql).unwrap();
    let rows = statement.query_map([dated == Dated::Yes], |row| {
        let topics: Option<String> = row.get(8)?;
        Ok(Row {
            id: row.get(0)?,
            email: row.get(1)?,
            status: row.get(2)?,
            at: row.get(3)?,
            first: normal(row.get_ref(4)?.as_str()?),
            last: normal(row.get_ref(5)?.as_str()?),
            organisation: row.get(6)?,
            membership: row.get(7)?,
            topics: topics.iter().flat_map(|topics| topics.split('|')).map(str::to_owned).collect(),
            note: row.get(9)?,
            created_at: row.get_ref(10)?.as_str()?.parse().ok(),
        })
    });
    let mut rows: Vec<Row> = rows.unwrap().map(Result::unwrap).collect();
    // A row that was restored has a new number, and is as old as it was.
    rows.sort_by_key(|row| (row.created_at, row.id));
    rows
}

/// The contacts that are there. `topic_ids` are the ids of the offered topics where those are a category.
pub(crate) fn contacts(sandbox: &Sandbox, topic_ids: &[String]) -> Vec<Shown> {
    (0..ADDRESSES).filter_map(|address| Some(shown(&sandbox.member(&email(address))?, topic_ids))).collect()
}

fn shown(member: &Value, topic_ids: &[String]) -> Shown {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let names: Vec<String> =
        member["tags"].as_array().unwrap().iter().map(|tag| text(&tag["name"])).collect();
    let ticked = |(id, _): &(&String, &str)| member["interests"][id.as_str()].as_bool() == Some(true);
    let mut topics: BTreeSet<String> =
        topic_ids.iter().zip(OFFERED).filter(ticked).map(|(_, name)| name.to_owned()).collect();
    topics.extend(names.iter().filter_map(|name| name.strip_prefix("topic: ")).map(str::to_owned));
    Shown {
        id: text(&member["contact_id"]),
        path: text(&member["id"]),
        email: text(&member["email_address"]).to_lowercase(),
        status: text(&member["status"]),
        first: text(&member["merge_fields"]["FNAME"]),
        last: text(&member["merge_fields"]["LNAME"]),
        topics,
        tags: names.into_iter().filter(|name| !name.starts_with("topic: ")).collect(),
    }
}
