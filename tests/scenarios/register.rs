//! The register of a scenario: what the website and its staff do to it, and what it shows.
//!
//! Consent is dated by the story's clock, so that it can be earlier or later than what happens in Mailchimp. When a
//! row changed is dated by the machine's, as the register's own triggers do: Rosterd's writes are dated so too.

use jiff::Timestamp;
use rusqlite::types::Value;

use crate::site::Site;
use crate::stores::{Database, Store};
use crate::table::{Record, Table};

/// When the registrations of the past were made.
const PAST: &str = "2025-01-06T09:00:00Z";
/// When those left who had left on the website.
const LEFT: &str = "2025-02-03T09:00:00Z";

/// The register.
pub(crate) struct Register {
    site: Site,
    pub(crate) database: Database,
}

impl Register {
    /// Opens the register that is in a database.
    pub(crate) fn open(database: Database) -> Self {
        let site = database.site();
        if database.store() == Store::Sqlite {
            site.run("PRAGMA foreign_keys = ON");
        }
        Self { site, database }
    }

    fn store(&self) -> Store {
        self.database.store()
    }

    /// A text, spelled for SQL; MySQL wants its times without `T` and `Z`.
    fn spelled(&self, text: &str) -> String {
        let time = text.parse::<Timestamp>().ok().filter(|_| self.store() == Store::Mariadb);
        let text = time.map_or(text.to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S%.6f").to_string());
        self.store().literal(&Value::Text(text))
    }

    /// Makes the registrations of the past; an empty cell leaves the column's default.
    pub(crate) fn fill(&self, table: &Table, dimensions: &[&str]) {
        for record in table.records() {
            let email = record.get("email").expect("an address");
            let id = self.insert(email, PAST, "member");
            let columns = record.columns().filter(|(column, _)| {
                !matches!(*column, "email" | "status" | "tags") && !column.starts_with(char::is_uppercase)
            });
            for (column, cell) in columns {
                match dimensions.iter().find(|dimension| **dimension == column.trim_end_matches('s')) {
                    Some(dimension) => self.tick_all(id, dimension, record, column),
                    None => self.change(id, column, cell),
                }
            }
            let left = record.get("subscription").is_some_and(|status| status == "unsubscribed");
            if left && record.get("subscription_changed_at").is_none() {
                self.change(id, "subscription_changed_at", LEFT);
            }
            self.date(id, PAST);
        }
    }

    fn tick_all(&self, id: i64, dimension: &str, record: Record<'_>, column: &str) {
        for interest in record.list(column) {
            self.tick(id, dimension, interest);
        }
    }

    fn insert(&self, email: &str, at: &str, membership: &str) -> i64 {
        let [email_text, at, membership] = [email, at, membership].map(|text| self.spelled(text));
        self.site.run(&format!(
            "INSERT INTO registrations (email, membership, signup_ip, signup_at, created_at)
             VALUES ({email_text}, {membership}, '192.0.2.7', {at}, {at})"
        ));
        self.newest(email)
    }

    /// Somebody fills the registration form in: a new row each time.
    pub(crate) fn register(&self, email: &str, at: Timestamp) -> i64 {
        self.insert(email, &at.to_string(), "member")
    }

    /// The newest row of an address.
    pub(crate) fn newest(&self, email: &str) -> i64 {
        let email_text = self.spelled(email);
        let sql = format!("SELECT id FROM registrations WHERE email = {email_text} ORDER BY id DESC LIMIT 1");
        match self.site.first(&sql) {
            Value::Integer(id) => id,
            _ => panic!("nobody in the register has the address {email}"),
        }
    }

    /// Sets one column of a row.
    pub(crate) fn change(&self, id: i64, column: &str, value: &str) {
        self.site
            .run(&format!("UPDATE registrations SET {column} = {} WHERE id = {id}", self.spelled(value)));
    }

    /// Adds an interest to a row.
    pub(crate) fn tick(&self, id: i64, dimension: &str, interest: &str) {
        let (begin, end) = match self.store() {
            Store::Sqlite => ("INSERT OR IGNORE", ""),
            Store::Postgres => ("INSERT", " ON CONFLICT DO NOTHING"),
            Store::Mariadb => ("INSERT IGNORE", ""),
        };
        let [dimension, interest] = [dimension, interest].map(|text| self.spelled(text));
        self.site
            .run(&format!("{begin} INTO registration_interests VALUES ({id}, {dimension}, {interest}){end}"));
    }

    /// Takes an interest from a row.
    pub(crate) fn untick(&self, id: i64, interest: &str) {
        let its = format!("registration_id = {id} AND interest = {}", self.spelled(interest));
        let ticked = self.site.first(&format!("SELECT dimension FROM registration_interests WHERE {its}"));
        assert_ne!(ticked, Value::Null, "{interest} was ticked");
        self.site.run(&format!("DELETE FROM registration_interests WHERE {its}"));
    }

    /// Says where the person stands, as of `at`, on every row of the address.
    pub(crate) fn stand(&self, email: &str, status: &str, at: Timestamp) {
        self.newest(email);
        let [email, status, at] = [email, status, &at.to_string()].map(|text| self.spelled(text));
        self.site.run(&format!(
            "UPDATE registrations SET subscription = {status}, subscription_changed_at = {at} WHERE email = {email}"
        ));
    }

    /// The first so many members leave in one statement.
    pub(crate) fn unsubscribe_first(&self, count: u32, at: Timestamp) {
        let at = self.spelled(&at.to_string());
        let first = self.site.rows(&format!("SELECT id FROM registrations ORDER BY id LIMIT {count}"));
        let first: Vec<String> = first.into_iter().flatten().map(text).collect();
        assert_eq!(first.len(), count as usize);
        self.site.run(&format!(
            "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = {at}
             WHERE id IN ({})",
            first.join(", ")
        ));
    }

    /// Gives every row of an address another one.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        self.newest(from);
        let [from, to] = [from, to].map(|text| self.spelled(text));
        self.site.run(&format!("UPDATE registrations SET email = {to} WHERE email = {from}"));
    }

    /// Removes the rows of an address.
    pub(crate) fn remove(&self, email: &str) {
        self.newest(email);
        self.site.run(&format!("DELETE FROM registrations WHERE email = {}", self.spelled(email)));
    }

    /// Removes the newest row of an address.
    pub(crate) fn remove_newest(&self, email: &str) {
        self.site.run(&format!("DELETE FROM registrations WHERE id = {}", self.newest(email)));
    }

    /// Removes every row.
    pub(crate) fn empty(&self) {
        self.site.run("DELETE FROM registrations");
    }

    /// Dates the last change of a row. Only where no row changed later: else Rosterd would rightly not look for it.
    pub(crate) fn date(&self, id: i64, at: &str) {
        let time = self.spelled(at);
        self.site.run(&format!("UPDATE registrations SET updated_at = {time} WHERE id = {id}"));
        let later = self.site.first(&format!("SELECT count(*) FROM registrations WHERE updated_at > {time}"));
        assert!(
            later == Value::Integer(0) || at == PAST,
            "rows changed after {at}: a step can only be dated before Rosterd writes"
        );
    }

    /// The addresses, each once.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.column("SELECT DISTINCT email FROM registrations")
    }

    /// The website keeps everybody else away, as a migration of its does.
    pub(crate) fn lock(&self) {
        self.site.run("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE");
    }

    /// It lets others in again.
    pub(crate) fn unlock(&self) {
        self.site.run("COMMIT");
    }

    /// How many rows have which status.
    pub(crate) fn count(&self, status: &str) -> String {
        self.column(&format!("SELECT COUNT(*) FROM registrations WHERE subscription = '{status}'")).concat()
    }

    /// These columns of every row, oldest first.
    pub(crate) fn show(&self, header: &[String], dimensions: &[&str]) -> Table {
        let expressions: Vec<String> =
            header.iter().map(|column| expression(self.store(), column, dimensions)).collect();
        let sql = format!("SELECT {} FROM registrations AS r ORDER BY id", expressions.join(", "));
        let rows = self.site.rows(&sql).into_iter().map(|row| row.into_iter().map(text).collect());
        Table { header: header.to_vec(), rows: rows.collect() }
    }

    /// Everything that is in it, to be compared.
    pub(crate) fn dump(&self) -> Vec<String> {
        let mut rows = self.site.rows(
            "SELECT id, email, membership, subscription, subscription_changed_at, first_name, last_name,
                 preferences_url, sync_note, updated_at FROM registrations ORDER BY id",
        );
        rows.extend(self.site.rows(
            "SELECT registration_id, dimension, interest FROM registration_interests ORDER BY 1, 2, 3",
        ));
        rows.iter().map(|row| format!("{row:?}")).collect()
    }

    fn column(&self, sql: &str) -> Vec<String> {
        self.site.rows(sql).into_iter().flatten().map(text).collect()
    }
}

fn text(value: Value) -> String {
    match value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text,
        _ => String::new(),
    }
}

/// What a column of a table in a scenario shows: a column of the register, the interests of a dimension, or whether
/// the link to the preference center is there.
fn expression(store: Store, column: &str, dimensions: &[&str]) -> String {
    if column == "link" {
        return "CASE WHEN preferences_url LIKE 'https://%/profile?%' THEN 'yes' END".to_owned();
    }
    let names = match store {
        Store::Sqlite => "group_concat(interest, ', ')",
        Store::Postgres => "string_agg(interest, ', ' ORDER BY interest)",
        Store::Mariadb => "group_concat(interest ORDER BY interest SEPARATOR ', ')",
    };
    match dimensions.iter().find(|dimension| **dimension == column.trim_end_matches('s')) {
        Some(dimension) => format!(
            "(SELECT {names} FROM (SELECT interest, registration_id, dimension FROM registration_interests
              ORDER BY interest) AS i WHERE i.registration_id = r.id AND i.dimension = '{dimension}')"
        ),
        None => match (store, column.ends_with("_at")) {
            (Store::Sqlite, _) | (Store::Postgres, false) => format!("CAST(r.{column} AS TEXT)"),
            (Store::Postgres, true) => {
                format!("to_char(r.{column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')")
            }
            (Store::Mariadb, false) => format!("CAST(r.{column} AS CHAR)"),
            (Store::Mariadb, true) => format!("date_format(r.{column}, '%Y-%m-%dT%H:%i:%sZ')"),
        },
    }
}
