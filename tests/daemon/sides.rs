//! What the website writes, and what can be seen on either side.

use rosterd::model::EmailAddress;
use rosterd::state::{MemberName, Parked, TrailEntry};

use crate::world::World;

impl World {
    /// The present moment, as the website writes it.
    pub(crate) fn now(&self) -> String {
        self.clock.now().to_string()
    }

    /// The website runs a statement; `:now` is the present moment.
    pub(crate) fn sql(&self, statement: &str) {
        self.register.execute_batch(&statement.replace(":now", &format!("'{}'", self.now()))).unwrap();
    }

    /// Somebody registers on the website.
    pub(crate) fn register(&self, email: &str, first_name: &str) {
        self.sql(&format!(
            "INSERT INTO registrations (email, first_name, signup_ip, signup_at, created_at, updated_at)
             VALUES ('{email}', '{first_name}', '192.0.2.7', :now, :now, :now)"
        ));
    }

    /// Many people register, `p0@alliance.test` and so on.
    pub(crate) fn register_many(&self, count: usize) {
        self.sql("BEGIN");
        for n in 0..count {
            self.register(&format!("p{n}@alliance.test"), "P");
        }
        self.sql("COMMIT");
    }

    /// Somebody says on the website where they stand.
    pub(crate) fn says(&self, email: &str, subscription: &str) {
        self.sql(&format!(
            "UPDATE registrations SET subscription = '{subscription}', subscription_changed_at = :now,
             updated_at = :now WHERE email = '{email}'"
        ));
    }

    /// Somebody leaves on the website.
    pub(crate) fn leave(&self, email: &str) {
        self.says(email, "unsubscribed");
    }

    /// One column of the newest row with this address; empty for NULL and where there is no row.
    pub(crate) fn column(&self, email: &str, column: &str) -> String {
        let sql = format!(
            "SELECT IFNULL(CAST({column} AS TEXT), '') FROM registrations WHERE lower(email) = lower(?1)
             ORDER BY id DESC LIMIT 1"
        );
        self.register.query_row(&sql, [email], |row| row.get(0)).unwrap_or_default()
    }

    /// The status of the newest row with this address.
    pub(crate) fn says_locally(&self, email: &str) -> String {
        self.column(email, "subscription")
    }

    /// The note of the newest row with this address.
    pub(crate) fn note(&self, email: &str) -> String {
        self.column(email, "sync_note")
    }

    /// The interests of the rows with this address.
    pub(crate) fn interests(&self, email: &str) -> Vec<String> {
        self.texts(&format!(
            "SELECT DISTINCT interest FROM registration_interests JOIN registrations
             ON id = registration_id WHERE email = '{email}' ORDER BY interest"
        ))
    }

    /// The texts that a query of one column gives.
    pub(crate) fn texts(&self, sql: &str) -> Vec<String> {
        let mut statement = self.register.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> i64 {
        self.register.query_row("SELECT COUNT(*) FROM registrations", [], |row| row.get(0)).unwrap()
    }

    /// The status of somebody in Mailchimp; empty where there is nobody.
    pub(crate) fn status(&self, email: &str) -> String {
        let member = self.sandbox.member(email);
        member.and_then(|member| Some(member.get("status")?.as_str()?.to_owned())).unwrap_or_default()
    }

    /// A merge field of somebody in Mailchimp.
    pub(crate) fn field(&self, email: &str, tag: &str) -> String {
        let member = self.sandbox.member(email).unwrap();
        member["merge_fields"][tag].as_str().unwrap_or_default().to_owned()
    }

    /// The tags of somebody in Mailchimp.
    pub(crate) fn tags(&self, email: &str) -> Vec<String> {
        let member = self.sandbox.member(email).unwrap();
        let tags = member["tags"].as_array().unwrap();
        let mut names: Vec<String> =
            tags.iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The tags of somebody that are Rosterd's to keep, however many others there are.
    pub(crate) async fn tags_of_rosterd(&self, email: &str) -> std::collections::BTreeSet<String> {
        let schema = self.cycle.state.schema().await.unwrap().unwrap();
        let email = EmailAddress::parse(email).unwrap();
        let contact = self.cycle.remote.contact_by_email(&schema, &email).await.unwrap().unwrap();
        let topics = contact.interests.iter().map(|interest| format!("topic: {}", interest.name));
        contact.group_tags.iter().cloned().chain(topics).collect()
    }

    /// How many interests somebody has ticked in Mailchimp.
    pub(crate) fn ticked(&self, email: &str) -> usize {
        let member = self.sandbox.member(email).unwrap();
        let interests = member["interests"].as_object().unwrap();
        interests.values().filter(|ticked| ticked.as_bool() == Some(true)).count()
    }

    /// Both sides say the same of somebody.
    pub(crate) fn assert_both(&self, email: &str, status: &str) {
        assert_eq!(
            (self.says_locally(email).as_str(), self.status(email).as_str()),
            (status, status),
            "{email}: {}",
            self.note(email)
        );
    }

    /// Every row has its contact and every living contact its row, with the same status and names.
    pub(crate) fn assert_in_step(&self) {
        self.assert_in_step_but_for(&[]);
    }

    /// The same, but for contacts that stay behind at addresses which their members have left.
    pub(crate) fn assert_in_step_but_for(&self, left: &[&str]) {
        let rows = self.texts(
            "SELECT lower(email) || '|' || subscription || '|' || IFNULL(first_name, '') || '|'
             || IFNULL(last_name, '') FROM registrations ORDER BY 1",
        );
        let living = |email: &String| {
            !matches!(self.status(email).as_str(), "archived" | "") && !left.contains(&email.as_str())
        };
        let mut contacts: Vec<String> = self.sandbox.addresses().into_iter().filter(living).collect();
        contacts.sort();
        let shown: Vec<String> = contacts
            .iter()
            .map(|email| {
                let (first, last) = (self.field(email, "FNAME"), self.field(email, "LNAME"));
                format!("{}|{}|{first}|{last}", email.to_lowercase(), self.status(email))
            })
            .collect();
        assert_eq!(rows, shown);
    }

    /// Nobody was asked to confirm.
    pub(crate) fn assert_nobody_mailed(&self) {
        assert_eq!(self.sandbox.counters().confirmation_mails, Default::default());
    }

    /// What is set aside.
    pub(crate) async fn parked(&self) -> Vec<Parked> {
        self.cycle.state.parked(None, 100).await.unwrap()
    }

    /// The trail of somebody, newest first.
    pub(crate) async fn trail(&self, email: &str) -> Vec<TrailEntry> {
        let name = MemberName::Address(EmailAddress::parse(email).unwrap());
        let mut trail = Vec::new();
        for member in self.cycle.state.find_members(name).await.unwrap() {
            trail.extend(self.cycle.state.trail(member, 100).await.unwrap());
        }
        trail
    }
}
