//! The ground on which people act: the register, the audience, the time, and who was told what.

use std::collections::BTreeSet;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::sandbox::{FormEntry, Person, PersonError, Sandbox};
use rusqlite::Connection;

use crate::oracle::Oracle;
use crate::parts::{OFFERED, tell_the_time};
use crate::sides::{Sides, contacts, email, rows};
use crate::step::{Act, Address, Field};

/// Both sides, with the oracle that watches the people.
pub(crate) struct Ground {
    pub(crate) register: Connection,
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Clock,
    pub(crate) oracle: Oracle,
    /// The ids of the topics, where those are a category.
    pub(crate) topic_ids: Vec<String>,
    pub(crate) radio: bool,
    /// What people removed.
    pub(crate) gone_rows: BTreeSet<i64>,
    pub(crate) gone_contacts: BTreeSet<String>,
    /// The values of the row that was removed last.
    removed: Option<Removed>,
}

struct Removed {
    row: Vec<rusqlite::types::Value>,
    topics: Vec<String>,
}

const COPIED: &str = "email, membership, subscription, subscription_changed_at, first_name, last_name,
    organisation, signup_ip, signup_at, created_at, updated_at";

impl Ground {
    pub(crate) fn new(
        register: Connection,
        sandbox: Sandbox,
        clock: Clock,
        topic_ids: Vec<String>,
        radio: bool,
    ) -> Self {
        let oracle = Oracle::new(radio);
        Self {
            register,
            sandbox,
            clock,
            oracle,
            topic_ids,
            radio,
            gone_rows: BTreeSet::new(),
            gone_contacts: BTreeSet::new(),
            removed: None,
        }
    }

    pub(crate) fn sides(&self) -> Sides {
        Sides { rows: rows(&self.register), contacts: contacts(&self.sandbox, &self.topic_ids) }
    }

    /// Time passes.
    pub(crate) fn wait(&self, duration: Duration) {
        self.clock.advance(duration);
        tell_the_time(&self.register, &self.clock);
    }

    /// Somebody acts, if they can; says whether they could. `request` is the number of the next request.
    pub(crate) fn act(&mut self, act: Act, request: u64) -> bool {
        let before = self.sides();
        self.oracle.meet(&before, request);
        tell_the_time(&self.register, &self.clock);
        let done = self.carry_out(act);
        let after = self.sides();
        if done {
            let is_gone = |row: &i64| after.rows.iter().all(|other| other.id != *row);
            self.gone_rows.extend(before.rows.iter().map(|row| row.id).filter(is_gone));
            let is_gone = |id: &String| after.contacts.iter().all(|other| other.id != *id);
            self.gone_contacts
                .extend(before.contacts.iter().map(|contact| contact.id.clone()).filter(is_gone));
            self.oracle.acted(act, &before, &after, self.clock.now(), request);
        }
        done
    }

    fn carry_out(&mut self, act: Act) -> bool {
        match act {
            Act::Register(a, n) => self.register_as(a, n, "subscribed"),
            Act::RegisterPending(a, n) => self.register_as(a, n, "pending"),
            Act::Write(a, field, n) => {
                let column = match field {
                    Field::First => "first_name",
                    Field::Last => "last_name",
                };
                self.update(a, &format!("{column} = NULLIF('{}', '')", value(field, n)), Which::Newest)
            }
            Act::TickLocal(a, topic) => self.tick_local(a, topic),
            Act::UntickLocal(a, topic) => self.sql(&format!(
                "DELETE FROM registration_interests WHERE registration_id = ({}) AND interest = '{}'",
                newest(a),
                OFFERED[usize::from(topic)]
            )),
            Act::LeaveLocal(a) => self.says(a, "unsubscribed", ":now", Which::Every),
            Act::LeaveNewest(a) => self.says(a, "unsubscribed", ":now", Which::Newest),
            Act::ReturnLocal(a) => self.says(a, "subscribed", ":now", Which::Newest),
            Act::RestoreStatus(a) => self.says(a, "subscribed", "'2026-02-01T00:00:00.000Z'", Which::Newest),
            Act::MoveLocal(a, b) => self.update(a, &format!("email = '{}'", email(b)), Which::Every),
            Act::Delete(a) => self.delete(a),
            Act::SoftDelete(a) => self.update(a, "deleted_at = :now", Which::Every),
            Act::RestoreRow => self.restore_row(),
            other => self.act_remotely(other).is_ok(),
        }
    }

    fn act_remotely(&self, act: Act) -> Result<(), PersonError> {
        let person = self.sandbox.person();
        let entry = |n: u16| FormEntry::new().field("FNAME", value(Field::First, n));
        match act {
            Act::Form(a, n) => person.subscribe_by_form(&email(a), &entry(n)),
            Act::StaffAdd(a, n) => person.staff_add(&email(a), &entry(n)),
            Act::Confirm(a) => person.confirm(&email(a)),
            Act::Edit(a, field, n) => {
                let tag = match field {
                    Field::First => "FNAME",
                    Field::Last => "LNAME",
                };
                person.edit_preferences(&email(a), &FormEntry::new().field(tag, value(field, n)))
            }
            Act::Tick(a, topic) => self.choose(&person, a, topic, true),
            Act::Untick(a, topic) => self.choose(&person, a, topic, false),
            Act::Unsubscribe(a) => person.unsubscribe(&email(a)),
            Act::Complain(a) => person.complain(&email(a)),
            Act::Bounce(a) => person.bounce(&email(a)),
            Act::Move(a, b) => person.change_address(&email(a), &email(b)),
            Act::StaffArchive(a) => person.staff_archive(&email(a)),
            Act::StaffUnarchive(a) => person.staff_unarchive(&email(a)),
            Act::StaffResubscribe(a) => person.staff_resubscribe(&email(a)),
            Act::StaffUnsubscribe(a) => person.staff_unsubscribe(&email(a)),
            Act::StaffDelete(a) => person.staff_delete_permanently(&email(a)),
            Act::Expire(a) => person.expire_pending(&email(a)),
            Act::StaffTag(a, tag) => person.staff_add_tag(&email(a), &format!("VIP {tag}")),
            other => panic!("{other:?} is no act in Mailchimp"),
        }
    }

    fn choose(&self, person: &Person, a: Address, topic: u8, ticked: bool) -> Result<(), PersonError> {
        let name = OFFERED[usize::from(topic)];
        match (self.topic_ids.is_empty(), ticked) {
            (true, true) => person.staff_add_tag(&email(a), &format!("topic: {name}")),
            (true, false) => person.staff_remove_tag(&email(a), &format!("topic: {name}")),
            (false, true) => person.edit_preferences(&email(a), &FormEntry::new().tick(name)),
            (false, false) => person.edit_preferences(&email(a), &FormEntry::new().clear(name)),
        }
    }

    /// Runs a statement of the website's; says whether it changed anything. `:now` is the present moment.
    fn sql(&self, statement: &str) -> bool {
        let statement = statement.replace(":now", &format!("'{}'", self.clock.now()));
        self.register.execute(&statement, []).unwrap() > 0
    }

    fn register_as(&self, a: Address, n: u16, status: &str) -> bool {
        self.sql(&format!(
            "INSERT INTO registrations (email, first_name, subscription, organisation, signup_ip, signup_at,
                created_at, updated_at)
             VALUES ('{}', '{}', '{status}', 'Org {n}', '192.0.2.7', :now, :now, :now)",
            email(a),
            value(Field::First, n)
        ))
    }

    fn says(&self, a: Address, status: &str, at: &str, which: Which) -> bool {
        self.update(a, &format!("subscription = '{status}', subscription_changed_at = {at}"), which)
    }

    fn update(&self, a: Address, set: &str, which: Which) -> bool {
        let rows = match which {
            Which::Newest => format!("id = ({})", newest(a)),
            Which::Every => format!("lower(email) = '{}' AND deleted_at IS NULL", email(a)),
        };
        self.sql(&format!("UPDATE registrations SET {set}, updated_at = :now WHERE {rows}"))
    }

    fn tick_local(&self, a: Address, topic: u8) -> bool {
        let name = OFFERED[usize::from(topic)];
        let there: Option<i64> = self.register.query_row(&newest(a), [], |row| row.get(0)).ok();
        let Some(row) = there else { return false };
        if self.radio {
            self.sql(&format!(
                "DELETE FROM registration_interests WHERE registration_id = {row} AND interest <> '{name}'"
            ));
        }
        self.sql(&format!("INSERT OR IGNORE INTO registration_interests VALUES ({row}, 'topic', '{name}')"))
    }

    fn delete(&mut self, a: Address) -> bool {
        let n_columns = COPIED.split(',').count();
        let copy = self.register.query_row(
            &format!("SELECT {COPIED} FROM registrations WHERE id = ({})", newest(a)),
            [],
            |row| (0..n_columns).map(|column| row.get(column)).collect::<Result<Vec<_>, _>>(),
        );
        let Ok(row) = copy else { return false };
        let shown = rows(&self.register);
        let topics = shown.iter().rfind(|row| row.email == email(a)).map(|row| row.topics.clone());
        self.removed = Some(Removed { row, topics: topics.into_iter().flatten().collect() });
        self.sql(&format!(
            "DELETE FROM registrations WHERE lower(email) = '{}' AND deleted_at IS NULL",
            email(a)
        ))
    }

    fn restore_row(&mut self) -> bool {
        let Some(Removed { row, topics }) = self.removed.take() else { return false };
        let places = vec!["?"; row.len()].join(", ");
        let sql = format!("INSERT INTO registrations ({COPIED}) VALUES ({places})");
        self.register.execute(&sql, rusqlite::params_from_iter(row)).unwrap();
        let id = self.register.last_insert_rowid();
        for topic in topics {
            self.sql(&format!("INSERT INTO registration_interests VALUES ({id}, 'topic', '{topic}')"));
        }
        true
    }
}

/// Which rows of an address a statement is about.
enum Which {
    Newest,
    Every,
}

fn newest(a: Address) -> String {
    format!(
        "SELECT max(id) FROM registrations WHERE lower(email) = '{}' AND deleted_at IS NULL HAVING max(id) NOT NULL",
        email(a)
    )
}

/// The value of this number; every number makes another one.
pub(crate) fn value(field: Field, n: u16) -> String {
    match (field, n) {
        (_, 0) => String::new(),
        (Field::First, n) => format!("First {n}"),
        (Field::Last, n) => format!("Last {n}"),
    }
}
