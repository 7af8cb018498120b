//! Rows of a register, with whatever value in whatever column. The bytes: one that says how the register keeps interests,
//! where a person stands, and whether it has a time zone, then the cells, each a byte for its type and what it takes; where they end, the cells
//! are ordinary.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::Timestamp;
use rosterd::mailchimp::refusal::chain;
use rosterd::model::{
    Dimension, EmailAddress, Interest, Key, MergeTag, Registration, RegistrationId, SubscriptionStatus, Value,
};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{
    ReadRegistrations, Reading, RowChanges, SqlRegister, WriteOutcome, WriteRegistrations, open_sqlite,
};
use rusqlite::types::Value as Cell;
use rusqlite::{Connection, params_from_iter};
use tempfile::TempDir;

use super::stage;

/// The columns without a type, so that each cell keeps its own, and what ordinarily stands in them.
const COLUMNS: [(&str, &str); 17] = [
    ("id", "7"),
    ("email", "ada@alliance.test"),
    ("subscription", "subscribed"),
    ("subscription_changed_at", "2026-03-01T12:00:00Z"),
    ("membership", "member"),
    ("signup_ip", "192.0.2.7"),
    ("signup_at", "2026-03-01T12:00:00Z"),
    ("preferences_url", ""),
    ("sync_note", ""),
    ("created_at", "2026-03-01T12:00:00Z"),
    ("updated_at", "2026-03-01T12:00:00Z"),
    ("deleted_at", ""),
    ("first_name", "Ada"),
    ("topics", "Finance"),
    ("regions", ""),
    ("finance", "yes"),
    ("water", ""),
];
/// What an opt-out or a write of an interest may change of them.
const STATUS: [&str; 2] = ["subscription", "subscription_changed_at"];
const INTERESTS: [&str; 4] = ["topics", "regions", "finance", "water"];

const ROWS: &str = "";
const LISTS: &str =
    "[interests]\nlayout = \"list\"\ncolumns = { topic = \"topics\", region = \"regions\" }\n";
const FLAGS: &str = "[interests]\nlayout = \"flags\"\ncolumns = { finance = \"topic:Finance\", water = \"topic:Water\", regions = \"region:Africa\" }\n";

/// Who left is said by a yes.
const IS_OUT: &str = "[statuses]\nsubscribed = false\nunsubscribed = [true, '']\n";
/// Who left is said by a time.
const LEFT_AT: &str = "[columns]\nsubscription = ''\nunsubscribed_at = 'subscription'\n";

/// How registers are mapped, each with a time zone and without.
const MAPPINGS: [&str; 5] = [ROWS, LISTS, FLAGS, IS_OUT, LEFT_AT];

struct Register {
    mapping: &'static str,
    site: Connection,
    register: SqlRegister,
    _directory: TempDir,
}

thread_local! {
    static REGISTERS: RefCell<BTreeMap<usize, Register>> = const { RefCell::new(BTreeMap::new()) };
}

/// A row is usable or says why not; writes set what they name and nothing else, and an opt-out always holds.
pub fn check(bytes: &[u8]) {
    let [kind, bytes @ ..] = bytes else { return };
    let kind = usize::from(*kind) % (2 * MAPPINGS.len());
    REGISTERS.with_borrow_mut(|registers| {
        let register = registers.entry(kind).or_insert_with(|| Register::new(kind));
        if register.fill(bytes) {
            register.read();
        }
    });
}

impl Register {
    fn new(kind: usize) -> Self {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let path: PathBuf = directory.path().join("register.db");
        let site = Connection::open(&path).unwrap();
        site.execute_batch("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").unwrap();
        let columns = COLUMNS.map(|(name, _)| name).join(", ");
        let tables = format!(
            "CREATE TABLE registrations ({columns}, untouched DEFAULT 'as it was');
             CREATE TABLE registration_interests (registration_id, dimension, interest);
             INSERT INTO registrations (id, email, subscription, updated_at)
                VALUES (1, 'ben@alliance.test', 'subscribed', '2026-03-01T11:00:00Z')"
        );
        site.execute_batch(&tables).unwrap();
        // The first six are those that there were first: seeds name them.
        let (mapping, zoned) = match kind {
            0..6 => (MAPPINGS[kind % 3], kind < 3),
            _ => (MAPPINGS[3 + kind % 2], kind < 8),
        };
        let zone = if zoned { "time_zone = \"Europe/Zurich\"\n" } else { "" };
        let text = format!("{zone}{mapping}");
        let parsed: RegisterMapping = toml::from_str(&text).unwrap();
        let values = MappedValues {
            fields: BTreeMap::from([(tag(), "first_name".to_owned())]),
            dimensions: ["topic", "region"].map(Dimension::new).into(),
            ..MappedValues::default()
        };
        let register = stage::run(open_sqlite(&path, &parsed, &values)).unwrap();
        Self { mapping, site, register, _directory: directory }
    }

    /// The website writes a row; whether it has a key.
    fn fill(&self, mut bytes: &[u8]) -> bool {
        let mut cells: Vec<Cell> = COLUMNS.iter().map(|(_, ordinary)| cell(&mut bytes, ordinary)).collect();
        // Keys are whole numbers or texts that say something; another row has the first.
        match &cells[0] {
            Cell::Integer(1) | Cell::Null | Cell::Real(_) | Cell::Blob(_) => cells[0] = Cell::Integer(7),
            Cell::Text(text) if text.is_empty() || text == "1" => cells[0] = Cell::Integer(7),
            Cell::Integer(_) | Cell::Text(_) => {}
        }
        self.site
            .execute_batch("DELETE FROM registrations WHERE id <> 1; DELETE FROM registration_interests")
            .unwrap();
        let marks = vec!["?"; COLUMNS.len()].join(", ");
        let columns = COLUMNS.map(|(name, _)| name).join(", ");
        let text = format!("INSERT INTO registrations ({columns}) VALUES ({marks})");
        self.site.prepare_cached(&text).unwrap().execute(params_from_iter(&cells)).unwrap();
        let interests = [cells[0].clone(), cell(&mut bytes, "topic"), cell(&mut bytes, "Finance")];
        let text = "INSERT INTO registration_interests VALUES (?1, ?2, ?3)";
        self.site.prepare_cached(text).unwrap().execute(params_from_iter(&interests)).unwrap();
        true
    }

    fn read(&self) {
        self.changes_end();
        let rows = stage::watched(self.register.page(None, 10)).unwrap();
        let keys = stage::watched(self.register.ids(None, 10)).unwrap();
        assert_eq!(rows.iter().map(Reading::id).collect::<Vec<_>>(), keys.iter().collect::<Vec<_>>());
        let other = RegistrationId::new("1");
        let Some(reading) = rows.into_iter().find(|row| *row.id() != other) else {
            return;
        };
        let id = [reading.id().clone()];
        let named = stage::watched(self.register.by_id(&id)).unwrap();
        assert_eq!(named, std::slice::from_ref(&reading), "a row that is there is not found by its key");
        match reading {
            Reading::Usable(row) => self.of_a_usable_row(&row),
            Reading::Unusable(row) => {
                stage::harmless(&row.problem);
                assert!(row.problem.len() < 500, "{}", row.problem);
                let seen = Registration { id: row.id, ..somebody() };
                let outcome = self.write(&seen, &opt_out(), &STATUS);
                assert_eq!(outcome, WriteOutcome::OptOutOnly);
                let named = stage::watched(self.register.by_id(&id)).unwrap();
                // Where nothing but the status or its time was wrong, the row is usable now.
                let status = match named.as_slice() {
                    [Reading::Unusable(row)] => row.status,
                    [Reading::Usable(row)] => Some(row.status),
                    other => panic!("{other:?}"),
                };
                assert_eq!(status, Some(SubscriptionStatus::Unsubscribed), "an opt-out was lost");
            }
        }
    }

    fn of_a_usable_row(&self, row: &Registration) {
        if self.mapping == LEFT_AT && row.status == SubscriptionStatus::Subscribed {
            assert!(says_nothing(&self.cells()["subscription"]), "a time of leaving was taken for none");
        }
        let bearers = stage::watched(self.register.by_email(&row.email)).unwrap();
        assert!(bearers.iter().any(|bearer| *bearer.id() == row.id), "a row is not found by its address");
        assert_ne!(row.status, SubscriptionStatus::Archived);
        let away = self.written(row, &opt_out(), &STATUS);
        assert_eq!(
            (away.status, away.status_changed_at),
            (SubscriptionStatus::Unsubscribed, Some(left_at()))
        );
        let same =
            Registration { status: row.status, status_changed_at: row.status_changed_at, ..away.clone() };
        assert_eq!(same, *row, "more than the status was written");
        let key = |yes| BTreeMap::from([(Key::Interest(water()), Value::Flag(yes))]);
        let wet = self.written(&away, &values(key(true)), &INTERESTS);
        let mut interests = away.interests.clone();
        interests.insert(water());
        assert_eq!(wet, Registration { interests: interests.clone(), ..away.clone() });
        let dry = self.written(&wet, &values(key(false)), &INTERESTS);
        interests.remove(&water());
        assert_eq!(dry, Registration { interests, ..away.clone() });
        let name = BTreeMap::from([(Key::Field(tag()), Value::text("Augusta"))]);
        let named = self.written(&dry, &values(name), &["first_name"]);
        assert_eq!(named.fields[&tag()], "Augusta");
        if row.status != SubscriptionStatus::Unsubscribed {
            let outcome = self.write(row, &opt_out(), &[]);
            assert_eq!(outcome, WriteOutcome::Changed, "what was seen is no more");
        }
    }

    fn written(&self, seen: &Registration, changes: &RowChanges, columns: &[&str]) -> Registration {
        match self.write(seen, changes, columns) {
            WriteOutcome::Written(row) => *row,
            outcome => panic!("{outcome:?} of {changes:?}"),
        }
    }

    /// Writes, and sees to it that nothing was written but these columns.
    fn write(&self, seen: &Registration, changes: &RowChanges, columns: &[&str]) -> WriteOutcome {
        let before = self.cells();
        let outcome = stage::watched(self.register.write(seen, changes));
        let outcome = outcome.unwrap_or_else(|error| panic!("{}", chain(&error)));
        for (name, cell) in self.cells() {
            // A number that is none equals nothing, not even itself.
            let same = format!("{cell:?}") == format!("{:?}", before[&name]);
            assert!(same || columns.contains(&name.as_str()), "{name} was written: {cell:?}");
        }
        outcome
    }

    /// Everything that stands in the row, as it stands there.
    fn cells(&self) -> BTreeMap<String, Cell> {
        let text = "SELECT * FROM registrations WHERE id <> 1";
        let mut statement = self.site.prepare_cached(text).unwrap();
        let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
        let read = |row: &rusqlite::Row<'_>| {
            names.iter().enumerate().map(|(n, name)| Ok((name.clone(), value(row.get_ref(n)?)))).collect()
        };
        statement.query_one([], read).unwrap()
    }

    /// Whatever stands where changes are told from, reading them comes to an end.
    fn changes_end(&self) {
        let mut cursor = stage::watched(self.register.cursor()).unwrap();
        for _ in 0..10 {
            match stage::watched(self.register.changes(&cursor, 10)).unwrap() {
                Some(changes) if changes.more => cursor = changes.next,
                Some(_) | None => return,
            }
        }
        panic!("two rows change without end");
    }
}

/// A cell, and the bytes after it.
fn cell(bytes: &mut &[u8], ordinary: &str) -> Cell {
    let Some((kind, rest)) = bytes.split_first() else { return Cell::Text(ordinary.to_owned()) };
    *bytes = rest;
    match kind % 8 {
        0 => Cell::Null,
        1 => Cell::Integer(i64::from_le_bytes(number(bytes))),
        2 => match f64::from_le_bytes(number(bytes)) {
            number if number.is_nan() => Cell::Null,
            number => Cell::Real(number),
        },
        3 => Cell::Text(String::from_utf8_lossy(counted(bytes)).into_owned()),
        4 => Cell::Blob(counted(bytes).to_vec()),
        // Counted in seconds, most numbers are times.
        5 => Cell::Integer(i64::from(u32::from_le_bytes(number(bytes)))),
        _ => Cell::Text(ordinary.to_owned()),
    }
}

/// Whether a cell says nothing, zero, or a date of zeros.
fn says_nothing(cell: &Cell) -> bool {
    match cell {
        Cell::Null => true,
        Cell::Integer(number) => *number == 0,
        Cell::Real(number) => *number == 0.0,
        Cell::Text(_) => false,
        Cell::Blob(bytes) => {
            let text = String::from_utf8_lossy(bytes);
            let text = text.trim();
            text.is_empty() || text == "0" || text.starts_with("0000-00-00")
        }
    }
}

fn number<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let (number, rest) = bytes.split_at(N.min(bytes.len()));
    *bytes = rest;
    std::array::from_fn(|n| number.get(n).copied().unwrap_or_default())
}

fn counted<'b>(bytes: &mut &'b [u8]) -> &'b [u8] {
    let [length] = number(bytes);
    let (text, rest) = bytes.split_at(usize::from(length).min(bytes.len()));
    *bytes = rest;
    text
}

fn value(cell: rusqlite::types::ValueRef<'_>) -> Cell {
    // A text that is none is compared as the bytes that it is.
    match cell {
        rusqlite::types::ValueRef::Text(bytes) => Cell::Blob(bytes.to_vec()),
        other => Cell::try_from(other).unwrap(),
    }
}

fn values(values: BTreeMap<Key, Value>) -> RowChanges {
    RowChanges { values, ..RowChanges::default() }
}

fn opt_out() -> RowChanges {
    let status = Some((SubscriptionStatus::Unsubscribed, Some(left_at())));
    RowChanges { status, ..RowChanges::default() }
}

fn left_at() -> Timestamp {
    "2026-04-01T00:00:00Z".parse().unwrap()
}

fn water() -> Interest {
    Interest::new("topic", "Water")
}

fn tag() -> MergeTag {
    MergeTag::parse("FNAME").unwrap()
}

fn somebody() -> Registration {
    Registration {
        id: RegistrationId::new("7"),
        email: EmailAddress::parse("ada@alliance.test").unwrap(),
        membership: None,
        status: SubscriptionStatus::Subscribed,
        status_changed_at: None,
        signup_ip: None,
        signup_at: None,
        created_at: None,
        updated_at: None,
        fields: BTreeMap::new(),
        interests: BTreeSet::new(),
        preferences_url: None,
        sync_note: None,
        working_groups: None,
    }
}
