//! The register of a scenario: what the website and its staff do to it, and what it shows.
//!
//! Consent is dated by the story's clock, so that it can be earlier or later than what happens in Mailchimp. When a
//! row changed is dated by the machine's, as the register's own triggers do: Rosterd's writes are dated so too.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use crate::table::{Record, Table};

/// When the registrations of the past were made.
const PAST: &str = "2025-01-06T09:00:00Z";
/// When those left who had left on the website.
const LEFT: &str = "2025-02-03T09:00:00Z";

/// The register.
pub(crate) struct Register(Connection);

impl Register {
    /// Opens the register that is at `path`.
    pub(crate) fn open(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        connection.execute_batch("PRAGMA foreign_keys = ON").unwrap();
        Self(connection)
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
        let sql = "INSERT INTO registrations (email, membership, signup_ip, signup_at, created_at)
                   VALUES (?1, ?2, '192.0.2.7', ?3, ?3)";
        self.0.execute(sql, [email, membership, at]).unwrap();
        self.0.last_insert_rowid()
    }

    /// Somebody fills the registration form in: a new row each time.
    pub(crate) fn register(&self, email: &str, at: Timestamp) -> i64 {
        self.insert(email, &at.to_string(), "member")
    }

    /// The newest row of an address.
    pub(crate) fn newest(&self, email: &str) -> i64 {
        let sql = "SELECT id FROM registrations WHERE email = ?1 ORDER BY id DESC LIMIT 1";
        let found = self.0.query_row(sql, [email], |row| row.get(0));
        found.unwrap_or_else(|_| panic!("nobody in the register has the address {email}"))
    }

    /// Sets one column of a row.
    pub(crate) fn change(&self, id: i64, column: &str, value: &str) {
        let sql = format!("UPDATE registrations SET {column} = ?2 WHERE id = ?1");
        self.0.execute(&sql, params![id, value]).unwrap();
    }

    /// Adds an interest to a row.
    pub(crate) fn tick(&self, id: i64, dimension: &str, interest: &str) {
        let sql = "INSERT OR IGNORE INTO registration_interests VALUES (?1, ?2, ?3)";
        self.0.execute(sql, params![id, dimension, interest]).unwrap();
    }

    /// Takes an interest from a row.
    pub(crate) fn untick(&self, id: i64, interest: &str) {
        let sql = "DELETE FROM registration_interests WHERE registration_id = ?1 AND interest = ?2";
        assert_eq!(self.0.execute(sql, params![id, interest]).unwrap(), 1, "{interest} was ticked");
    }

    /// Says where the person stands, as of `at`, on every row of the address.
    pub(crate) fn stand(&self, email: &str, status: &str, at: Timestamp) {
        let sql = "UPDATE registrations SET subscription = ?2, subscription_changed_at = ?3 WHERE email = ?1";
        let n_rows = self.0.execute(sql, [email, status, &at.to_string()]).unwrap();
        assert!(n_rows > 0, "nobody in the register has the address {email}");
    }

    /// The first so many members leave in one statement.
    pub(crate) fn unsubscribe_first(&self, count: u32, at: Timestamp) {
        let sql = "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = ?2
                   WHERE id IN (SELECT id FROM registrations ORDER BY id LIMIT ?1)";
        assert_eq!(self.0.execute(sql, params![count, at.to_string()]).unwrap(), count as usize);
    }

    /// Gives every row of an address another one.
    pub(crate) fn rename(&self, from: &str, to: &str) {
        let sql = "UPDATE registrations SET email = ?2 WHERE email = ?1";
        assert!(
            self.0.execute(sql, [from, to]).unwrap() > 0,
            "nobody in the register has the address {from}"
        );
    }

    /// Removes the rows of an address.
    pub(crate) fn remove(&self, email: &str) {
        let n_rows = self.0.execute("DELETE FROM registrations WHERE email = ?1", [email]).unwrap();
        assert!(n_rows > 0, "nobody in the register has the address {email}");
    }

    /// Removes the newest row of an address.
    pub(crate) fn remove_newest(&self, email: &str) {
        self.0.execute("DELETE FROM registrations WHERE id = ?1", [self.newest(email)]).unwrap();
    }

    /// Removes every row.
    pub(crate) fn empty(&self) {
        self.0.execute("DELETE FROM registrations", []).unwrap();
    }

    /// Dates the last change of a row. Only where no row changed later: else Rosterd would rightly not look for it.
    pub(crate) fn date(&self, id: i64, at: &str) {
        let sql = "UPDATE registrations SET updated_at = ?2 WHERE id = ?1";
        self.0.execute(sql, params![id, at]).unwrap();
        let sql = "SELECT COUNT(*) FROM registrations WHERE updated_at > ?1";
        let later: i64 = self.0.query_row(sql, [at], |row| row.get(0)).unwrap();
        assert!(
            later == 0 || at == PAST,
            "rows changed after {at}: a step can only be dated before Rosterd writes"
        );
    }

    /// The addresses, each once.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.column("SELECT DISTINCT email FROM registrations")
    }

    /// The website keeps everybody else away, as a migration of its does.
    pub(crate) fn lock(&self) {
        self.0.execute_batch("PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE").unwrap();
    }

    /// It lets others in again.
    pub(crate) fn unlock(&self) {
        self.0.execute_batch("COMMIT").unwrap();
    }

    /// How many rows have which status.
    pub(crate) fn count(&self, status: &str) -> String {
        let sql = format!("SELECT COUNT(*) FROM registrations WHERE subscription = '{status}'");
        self.column(&sql).concat()
    }

    /// These columns of every row, oldest first.
    pub(crate) fn show(&self, header: &[String], dimensions: &[&str]) -> Table {
        let expressions: Vec<String> = header.iter().map(|column| expression(column, dimensions)).collect();
        let sql = format!("SELECT {} FROM registrations AS r ORDER BY id", expressions.join(", "));
        let mut statement = self.0.prepare(&sql).unwrap();
        let cells = |row: &rusqlite::Row<'_>| {
            (0..header.len())
                .map(|cell| row.get::<_, Option<String>>(cell).map(Option::unwrap_or_default))
                .collect()
        };
        let rows = statement.query_map([], cells).unwrap().collect::<Result<_, _>>().unwrap();
        Table { header: header.to_vec(), rows }
    }

    /// Everything that is in it, to be compared.
    pub(crate) fn dump(&self) -> Vec<String> {
        self.column(
            "SELECT json_array(id, email, membership, subscription, subscription_changed_at, first_name, last_name,
                 preferences_url, sync_note, updated_at) FROM registrations
             UNION ALL SELECT json_array(registration_id, dimension, interest) FROM registration_interests",
        )
    }

    fn column(&self, sql: &str) -> Vec<String> {
        let mut statement = self.0.prepare(sql).unwrap();
        let cell = |row: &rusqlite::Row<'_>| row.get_ref(0).map(text);
        statement.query_map([], cell).unwrap().collect::<Result<_, _>>().unwrap()
    }
}

fn text(value: rusqlite::types::ValueRef<'_>) -> String {
    match value {
        rusqlite::types::ValueRef::Integer(number) => number.to_string(),
        other => other.as_str().unwrap_or_default().to_owned(),
    }
}

/// What a column of a table in a scenario shows: a column of the register, the interests of a dimension, or whether
/// the link to the preference center is there.
fn expression(column: &str, dimensions: &[&str]) -> String {
    if column == "link" {
        return "CASE WHEN preferences_url LIKE 'https://%/profile?%' THEN 'yes' END".to_owned();
    }
    match dimensions.iter().find(|dimension| **dimension == column.trim_end_matches('s')) {
        Some(dimension) => format!(
            "(SELECT group_concat(interest, ', ') FROM (SELECT interest FROM registration_interests
              WHERE registration_id = r.id AND dimension = '{dimension}' ORDER BY interest))"
        ),
        None => format!("CAST(r.{column} AS TEXT)"),
    }
}
