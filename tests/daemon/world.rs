//! A register, a sandbox audience and the real cycle between them, in one process, with a clock that stands still.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rosterd::clock::Clock;
use rosterd::cycle::{Adoption, Cycle, Report, Seed};
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::provision::{CategoryShape, NewMergeField, ProvisionAudience};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::mailchimp::schema::{AudienceMapping, DimensionTarget};
use rosterd::model::{Dimension, FieldKind, MergeTag};
use rosterd::observe::{Progress, Scope};
use rosterd::reconcile::guard::Limits;
use rosterd::reconcile::policy::{Direction, Policy};
use rosterd::registrations::mapping::{MappedValues, RegisterMapping};
use rosterd::registrations::{create_register, open_sqlite};
use rosterd::sandbox::{Person, Sandbox};
use rosterd::state::State;
use rusqlite::Connection;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// When every story begins.
pub const START: &str = "2026-03-01T12:00:00Z";

/// Both sides and what is between them.
pub struct World {
    /// The pretend Mailchimp.
    pub sandbox: Sandbox,
    /// The cycle between the sides.
    pub cycle: Cycle,
    /// The time, the same for all.
    pub clock: Clock,
    register: Connection,
    directory: TempDir,
}

impl World {
    /// An empty register and an empty audience with two merge fields and one category, nothing adopted yet.
    pub async fn new(policy: Policy) -> Self {
        let clock = Clock::set_at(START.parse().unwrap());
        let sandbox = Sandbox::new(clock.clone());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("registrations.db");
        create_register(&path).await.unwrap();
        let register = Connection::open(&path).unwrap();
        let client = client(&sandbox, &clock);
        for (tag, name) in [("FNAME", "First name"), ("LNAME", "Last name")] {
            provide_field(&client, tag, name).await;
        }
        let category = client.create_category("Topics", CategoryShape::Checkboxes).await.unwrap();
        for interest in ["Finance", "Health", "Water"] {
            client.create_interest(&category, interest).await.unwrap();
        }
        let cycle = cycle(&directory, client, &clock, policy).await;
        sandbox.reset_log();
        Self { sandbox, cycle, clock, register, directory }
    }

    /// The same, with a first adoption of what `fill` put on both sides.
    pub async fn adopted(policy: Policy, fill: impl FnOnce(&Self)) -> Self {
        let world = Self::new(policy).await;
        fill(&world);
        world.cycle.run(Scope::Full, Adoption::Yes).await.unwrap();
        world.later(60);
        world
    }

    /// What people do in Mailchimp.
    pub fn person(&self) -> Person {
        self.sandbox.person()
    }

    /// Time passes, in seconds.
    pub fn later(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The present moment, as the website writes it.
    pub fn now(&self) -> String {
        self.clock.now().to_string()
    }

    /// The website runs a statement; `:now` is the present moment.
    pub fn sql(&self, statement: &str) {
        self.register.execute_batch(&statement.replace(":now", &format!("'{}'", self.now()))).unwrap();
    }

    /// Somebody registers on the website.
    pub fn register(&self, email: &str, first_name: &str) {
        self.sql(&format!(
            "INSERT INTO registrations (email, first_name, signup_ip, signup_at, created_at, updated_at)
             VALUES ('{email}', '{first_name}', '192.0.2.7', :now, :now, :now)"
        ));
    }

    /// Somebody leaves on the website.
    pub fn leave(&self, email: &str) {
        self.sql(&format!(
            "UPDATE registrations SET subscription = 'unsubscribed', subscription_changed_at = :now, updated_at = :now
             WHERE email = '{email}'"
        ));
    }

    /// One column of the newest row with this address.
    pub fn column(&self, email: &str, column: &str) -> Option<String> {
        let sql = format!(
            "SELECT CAST({column} AS TEXT) FROM registrations WHERE email = ?1 ORDER BY id DESC LIMIT 1"
        );
        self.register.query_row(&sql, [email], |row| row.get(0)).unwrap_or(None)
    }

    /// The interests of the rows with this address.
    pub fn interests(&self, email: &str) -> Vec<String> {
        let sql = "SELECT DISTINCT interest FROM registration_interests JOIN registrations
                   ON id = registration_id WHERE email = ?1 ORDER BY interest";
        let mut statement = self.register.prepare(sql).unwrap();
        statement.query_map([email], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    /// How many rows there are.
    pub fn rows(&self) -> i64 {
        self.register.query_row("SELECT COUNT(*) FROM registrations", [], |row| row.get(0)).unwrap()
    }

    /// The status of somebody in Mailchimp; empty where there is nobody.
    pub fn status(&self, email: &str) -> String {
        let member = self.sandbox.member(email);
        member.and_then(|member| Some(member.get("status")?.as_str()?.to_owned())).unwrap_or_default()
    }

    /// A merge field of somebody in Mailchimp.
    pub fn field(&self, email: &str, tag: &str) -> String {
        let member = self.sandbox.member(email).unwrap();
        member["merge_fields"][tag].as_str().unwrap_or_default().to_owned()
    }

    /// Runs a cycle of what changed, a minute later.
    pub async fn sync(&self) -> Report {
        self.later(60);
        self.cycle.run(Scope::Incremental, Adoption::Ask).await.unwrap()
    }

    /// Runs a full cycle, a minute later.
    pub async fn sync_full(&self) -> Report {
        self.later(60);
        self.cycle.run(Scope::Full, Adoption::Ask).await.unwrap()
    }

    /// Two further cycles find nothing to do, the second with two requests.
    pub async fn assert_quiet(&self) {
        self.sync().await;
        let report = self.sync().await;
        assert_eq!((report.planned - report.held, report.requests), (0, 2), "{report:?}");
    }

    /// The process ends and starts again on the same files.
    pub async fn restart(self) -> Self {
        let Self { sandbox, cycle, clock, register, directory } = self;
        let policy = cycle.seed.policy.clone();
        drop(cycle);
        let client = client(&sandbox, &clock);
        let cycle = self::cycle(&directory, client, &clock, policy).await;
        Self { sandbox, cycle, clock, register, directory }
    }
}

async fn provide_field(client: &MailchimpClient, tag: &str, name: &str) {
    let field = NewMergeField {
        tag: MergeTag::parse(tag).unwrap(),
        name: name.to_owned(),
        kind: FieldKind::Text,
        choices: Vec::new(),
    };
    // The sandbox begins with some of the fields that every audience begins with.
    let _ = client.create_merge_field(&field).await;
}

fn mapping() -> AudienceMapping {
    AudienceMapping {
        tags: ["FNAME", "LNAME"].map(|tag| MergeTag::parse(tag).unwrap()).into(),
        dimensions: BTreeMap::from([(
            Dimension::new("topic"),
            DimensionTarget::Category("Topics".to_owned()),
        )]),
        group_tags: vec!["WG: Finance".to_owned()],
    }
}

fn client(sandbox: &Sandbox, clock: &Clock) -> MailchimpClient {
    let options = ClientOptions {
        api_key: SecretString::from(sandbox.api_key()),
        audience: sandbox.audience_id(),
        connections: 6,
        retry: RetryOptions { jitter: 0.0, budget: Duration::from_secs(20), ..RetryOptions::default() },
    };
    MailchimpClient::new(options, mapping(), clock.clone(), Arc::new(sandbox.transport())).unwrap()
}

async fn cycle(directory: &TempDir, client: MailchimpClient, clock: &Clock, policy: Policy) -> Cycle {
    let fields = [("FNAME", "first_name"), ("LNAME", "last_name")];
    let tag = |tag: &str| MergeTag::parse(tag).unwrap();
    let values = MappedValues {
        fields: fields.map(|(name, column)| (tag(name), column.to_owned())).into(),
        dimensions: [Dimension::new("topic")].into(),
    };
    let path = directory.path().join("registrations.db");
    let local = open_sqlite(&path, &RegisterMapping::default(), &values).await.unwrap();
    Cycle {
        local: Arc::new(local),
        remote: Arc::new(client),
        state: State::open(directory.path().join("state.db"), clock).await.unwrap(),
        clock: clock.clone(),
        seed: Seed {
            policy,
            directions: fields.map(|(name, _)| (tag(name), Direction::Both)).into(),
            read_as: String::new(),
        },
        limits: Limits::default(),
        connections: 6,
        progress: watch::Sender::new(Progress::default()),
        stop: CancellationToken::new(),
    }
}

/// A time of the story, as the policies and the sandbox know it.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
