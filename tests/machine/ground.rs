//! The ground on which people act: the register, the audience, the time, and who was told what.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use rosterd::clock::Clock;
use rosterd::sandbox::{FormEntry, Person, PersonError, Sandbox};
use rusqlite::{Connection, ToSql};

use crate::oracle::Oracle;
use crate::parts::{OFFERED, tell_the_time};
use crate::sides::{Dated, Looked, Sides, contacts, email, rows};
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
    dated: Dated,
    /// What people removed.
    pub(crate) gone_rows: BTreeSet<i64>,
    pub(crate) gone_contacts: BTreeSet<String>,
    /// The values of the row that was removed last.
    removed: Option<Removed>,
    pub(crate) looked: Looked,
}

struct Removed {
    row: Vec<rusqlite::types::Value>,
    topics: Vec<String>,
}

/// How far ahead of the time a website dates what people say, whose clock is wrong.
pub(crate) const AHEAD: SignedDuration = SignedDuration::from_hours(30);

const COPIED: &str = "email, membership, subscription, subscription_changed_at, first_name, last_name,
    organisation, signup_ip, signup_at, created_at, updated_at";

impl Ground {
    pub(crate) fn new(
        register: Connection,
        sandbox: Sandbox,
        clock: Clock,
        topic_ids: Vec<String>,
        radio: bool,
        dated: Dated,
    ) -> Self {
        let oracle = Oracle::new(radio, dated);
        Self {
            register,
            sandbox,
            clock,
            oracle,
            topic_ids,
            radio,
            dated,
            gone_rows: BTreeSet::new(),
            gone_contacts: BTreeSet::new(),
            removed: None,
            looked: Looked::default(),
        }
    }

    /// Both sides as they are now; looked at anew only where something may have been written.
    pub(crate) fn sides(&mut self) -> Sides {
        let looked = &mut self.looked;
        if looked.rows_under_way > 0 {
            looked.rows = None;
        }
        let rows = looked.rows.get_or_insert_with(|| Arc::new(rows(&self.register, self.dated))).clone();
        let look = || Arc::new(contacts(&self.sandbox, &self.topic_ids));
        Sides { rows, contacts: looked.contacts.get_or_insert_with(look).clone() }
    }

    /// Time passes.
    pub(crate) fn wait(&self, duration: Duration) {
        self.clock.advance(duration);
        tell_the_time(&self.register, &self.clock);
    }

    /// The clock is set to another time, by so many minutes.
    pub(crate) fn jump(&self, minutes: i16) {
        self.clock.set(self.clock.now() + SignedDuration::from_mins(i64::from(minutes)));
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
            let (rows, contacts) = (&after.rows, &after.contacts);
            let gone = before.rows.iter().map(|row| row.id);
            self.gone_rows.extend(gone.filter(|id| rows.iter().all(|row| row.id != *id)));
            let gone = before.contacts.iter().map(|contact| &contact.id);
            self.gone_contacts.extend(gone.filter(|id| contacts.iter().all(|c| c.id != **id)).cloned());
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
                let set = format!("{column} = NULLIF(:value, '')");
                self.update(a, &set, Which::Newest, &[(":value", &value(field, n))])
            }
            Act::TickLocal(a, topic) => self.tick_local(a, topic),
            Act::UntickLocal(a, topic) => self.sql(
                &format!("DELETE FROM registration_interests WHERE registration_id = ({NEWEST}) AND interest = :name"),
                a,
                &[(":name", &OFFERED[usize::from(topic)])],
            ),
            Act::LeaveLocal(a) => self.says(a, "unsubscribed", ":now", Which::Every),
            Act::LeaveNewest(a) => self.says(a, "unsubscribed", ":now", Which::Newest),
            Act::ReturnLocal(a) => self.says(a, "subscribed", ":now", Which::Newest),
            Act::LeaveAhead(a) => self.says(a, "unsubscribed", ":ahead", Which::Every),
            Act::ReturnAhead(a) => self.says(a, "subscribed", ":ahead", Which::Newest),
            Act::RestoreStatus(a) => self.says(a, "subscribed", "'2026-02-01T00:00:00.000Z'", Which::Newest),
            Act::MoveLocal(a, b) => self.update(a, "email = :to", Which::Every, &[(":to", &email(b))]),
            Act::Delete(a) => self.delete(a),
            Act::SoftDelete(a) => self.update(a, "deleted_at = :now", Which::Every, &[]),
            Act::RestoreRow => self.restore_row(),
            other => {
                self.looked.contacts = None;
                self.act_remotely(other).is_ok()
            }
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

    /// Runs a statement of the website's; says whether it changed anything. `:now` is the present moment, `:ahead` one that is yet to
    /// come, `:a` the address.
    fn sql(&mut self, statement: &str, a: Address, others: &[(&str, &dyn ToSql)]) -> bool {
        self.looked.rows = None;
        let (now, address) = (self.clock.now(), email(a));
        let (now, ahead) = (now.to_string(), (now + AHEAD).to_string());
        let mut statement = self.register.prepare_cached(statement).unwrap();
        let known: [(&str, &dyn ToSql); 3] = [(":now", &now), (":ahead", &ahead), (":a", &address)];
        for (name, value) in known.iter().chain(others) {
            if let Some(place) = statement.parameter_index(name).unwrap() {
                statement.raw_bind_parameter(place, value).unwrap();
            }
        }
        statement.raw_execute().unwrap() > 0
    }

    fn register_as(&mut self, a: Address, n: u16, status: &str) -> bool {
        self.sql(
            "INSERT INTO registrations (email, first_name, subscription, organisation, signup_ip, signup_at,
                created_at, updated_at)
             VALUES (:a, :value, :status, :organisation, '192.0.2.7', :now, :now, :now)",
            a,
            &[
                (":value", &value(Field::First, n)),
                (":status", &status),
                (":organisation", &format!("Org {n}")),
            ],
        )
    }

    fn says(&mut self, a: Address, status: &str, at: &str, which: Which) -> bool {
        let set = format!("subscription = :status, subscription_changed_at = {at}");
        self.update(a, &set, which, &[(":status", &status)])
    }

    fn update(&mut self, a: Address, set: &str, which: Which, others: &[(&str, &dyn ToSql)]) -> bool {
        let rows = match which {
            Which::Newest => format!("id = ({NEWEST})"),
            Which::Every => "lower(email) = :a AND deleted_at IS NULL".to_owned(),
        };
        self.sql(&format!("UPDATE registrations SET {set}, updated_at = :now WHERE {rows}"), a, others)
    }

    fn tick_local(&mut self, a: Address, topic: u8) -> bool {
        let name = OFFERED[usize::from(topic)];
        if self.radio {
            self.sql(
                &format!("DELETE FROM registration_interests WHERE registration_id = ({NEWEST}) AND interest <> :name"),
                a,
                &[(":name", &name)],
            );
        }
        self.sql(
            &format!(
                "INSERT OR IGNORE INTO registration_interests
                 SELECT newest, 'topic', :name FROM (SELECT ({NEWEST}) AS newest) WHERE newest NOT NULL"
            ),
            a,
            &[(":name", &name)],
        )
    }

    fn delete(&mut self, a: Address) -> bool {
        let n_columns = COPIED.split(',').count();
        let copy = self.register.query_row(
            &format!("SELECT {COPIED} FROM registrations WHERE id = ({NEWEST})"),
            [(":a", &email(a))].as_slice(),
            |row| (0..n_columns).map(|column| row.get(column)).collect::<Result<Vec<_>, _>>(),
        );
        let Ok(row) = copy else { return false };
        let shown = rows(&self.register, self.dated);
        let topics = shown
            .iter()
            .filter(|row| row.email == email(a))
            .max_by_key(|row| row.id)
            .map(|row| row.topics.clone());
        self.removed = Some(Removed { row, topics: topics.into_iter().flatten().collect() });
        self.sql("DELETE FROM registrations WHERE lower(email) = :a AND deleted_at IS NULL", a, &[])
    }

    fn restore_row(&mut self) -> bool {
        let Some(Removed { row, topics }) = self.removed.take() else { return false };
        let places = vec!["?"; row.len()].join(", ");
        let sql = format!("INSERT INTO registrations ({COPIED}) VALUES ({places})");
        self.looked.rows = None;
        self.register.execute(&sql, rusqlite::params_from_iter(row)).unwrap();
        let id = self.register.last_insert_rowid();
        for topic in topics {
            let sql = "INSERT INTO registration_interests VALUES (?1, 'topic', ?2)";
            self.register.execute(sql, (id, topic)).unwrap();
        }
        true
    }
}

/// Which rows of an address a statement is about.
enum Which {
    Newest,
    Every,
}

/// The newest row of an address.
const NEWEST: &str = "SELECT max(id) FROM registrations WHERE lower(email) = :a AND deleted_at IS NULL";

/// Values of this number and above have blanks around them; of the other, they are longer than Mailchimp keeps.
pub(crate) const BLANKS: u16 = 1_000;
pub(crate) const LONG: u16 = 2_000;

/// The value of this number; every number makes another one.
pub(crate) fn value(field: Field, n: u16) -> String {
    match (field, n) {
        (_, 0) => String::new(),
        // Mailchimp trims its texts and cuts them off; the register keeps them as they were entered.
        (Field::First, n) if n >= LONG => format!("First {n} {}", "and so on ".repeat(30)),
        (Field::First, n) if n >= BLANKS => format!(" First {n} "),
        (Field::First, n) => format!("First {n}"),
        (Field::Last, n) => format!("Last {n}"),
    }
}
