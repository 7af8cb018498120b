//! The audience of a scenario: what people and staff do in Mailchimp's own pages, and what it shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use rosterd::clock::Clock;
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::provision::{CategoryShape, ProvisionAudience};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::mailchimp::schema::AudienceMapping;
use rosterd::sandbox::{FormEntry, Person, Sandbox, SandboxOptions};
use secrecy::SecretString;
use serde_json::Value;

use crate::table::{Record, Table};

/// The interest categories with their dimension and their interests.
pub(crate) const CATEGORIES: [(&str, &str, &[&str]); 2] = [
    ("topic", "Topics", &["Finance", "Health", "Water"]),
    ("region", "Regions", &["Africa", "Asia", "Europe"]),
];

/// The dimensions that a register may know.
pub(crate) const DIMENSIONS: [&str; 3] = ["topic", "region", "sector"];

/// When the contacts of the past opted in.
const JOINED: &str = "2025-01-06T10:00:00Z";
/// When something else became of some of them.
const CHANGED: &str = "2025-02-03T10:00:00Z";

/// The pretend Mailchimp with what is known about it.
pub(crate) struct Audience {
    /// The pretend Mailchimp.
    pub(crate) sandbox: Sandbox,
    clock: Clock,
    /// The dimension and the name of each interest.
    interests: BTreeMap<String, (&'static str, &'static str)>,
}

impl Audience {
    /// An audience with its categories and nobody in it.
    pub(crate) async fn provided(clock: &Clock) -> Self {
        let sandbox = Sandbox::new(clock.clone());
        let options = ClientOptions {
            api_key: SecretString::from(sandbox.api_key()),
            audience: sandbox.audience_id(),
            connections: 1,
            retry: RetryOptions::default(),
        };
        let transport = Arc::new(sandbox.transport());
        let client =
            MailchimpClient::new(options, AudienceMapping::default(), clock.clone(), transport).unwrap();
        let mut interests = BTreeMap::new();
        for (dimension, title, names) in CATEGORIES {
            let category = client.create_category(title, CategoryShape::Checkboxes).await.unwrap();
            for name in names {
                let id = client.create_interest(&category, name).await.unwrap();
                interests.insert(id, (dimension, *name));
            }
        }
        sandbox.reset_log();
        Self { sandbox, clock: clock.clone(), interests }
    }

    /// What people and staff do.
    pub(crate) fn person(&self) -> Person {
        self.sandbox.person()
    }

    /// Tells the past: contacts that joined, and what became of them.
    pub(crate) fn fill(&self, table: &Table) {
        let now = self.clock.now();
        for record in table.records() {
            self.join(record);
        }
        self.clock.set(at(CHANGED));
        for record in table.records() {
            let email = record.get("email").expect("an address");
            for tag in record.list("tags") {
                self.person().staff_add_tag(email, tag).unwrap();
            }
            match record.get("status").unwrap_or("subscribed") {
                "subscribed" | "pending" => Ok(()),
                "unsubscribed" => self.person().unsubscribe(email),
                "cleaned" => self.person().bounce(email),
                "archived" => self.person().staff_archive(email),
                other => panic!("nobody in Mailchimp is {other}"),
            }
            .unwrap();
        }
        self.clock.set(now);
    }

    fn join(&self, record: Record<'_>) {
        self.clock.set(at(JOINED));
        let usual = self.sandbox.options();
        let double_optin = record.get("status") == Some("pending");
        self.sandbox.set_options(SandboxOptions { double_optin, ..usual.clone() });
        let fields = record.columns().filter(|(column, _)| column.starts_with(char::is_uppercase));
        let entry = fields.fold(FormEntry::new(), |entry, (tag, value)| entry.field(tag, value));
        let interests = CATEGORIES.iter().flat_map(|(dimension, _, _)| record.list(&format!("{dimension}s")));
        let entry = interests.fold(entry, FormEntry::tick);
        self.person().subscribe_by_form(record.get("email").expect("an address"), &entry).unwrap();
        self.sandbox.set_options(usual);
    }

    /// How many contacts have which status.
    pub(crate) fn count(&self, status: &str) -> String {
        let addresses = self.sandbox.addresses();
        let members = addresses.iter().filter_map(|email| self.sandbox.member(email));
        members.filter(|member| member["status"] == status).count().to_string()
    }

    /// These columns of every contact, in the order of their creation.
    pub(crate) fn show(&self, header: &[String]) -> Table {
        let row = |email: String| {
            let member = self.sandbox.member(&email).unwrap();
            header.iter().map(|column| self.cell(&member, column)).collect()
        };
        Table { header: header.to_vec(), rows: self.sandbox.addresses().into_iter().map(row).collect() }
    }

    fn cell(&self, member: &Value, column: &str) -> String {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match column {
            "email" => text(&member["email_address"]),
            "status" => text(&member["status"]),
            "tags" => {
                let tags = member["tags"].as_array().unwrap();
                tags.iter().map(|tag| text(&tag["name"])).collect::<Vec<_>>().join(", ")
            }
            tag if tag.starts_with(char::is_uppercase) => text(&member["merge_fields"][tag]),
            dimension => self.interests_of(member, dimension.trim_end_matches('s')).join(", "),
        }
    }

    fn interests_of(&self, member: &Value, dimension: &str) -> Vec<&'static str> {
        let ticked = |id: &String| member["interests"][id] == true;
        let of = self.interests.iter().filter(|(id, (of, _))| *of == dimension && ticked(id));
        let mut names: Vec<_> = of.map(|(_, (_, name))| *name).collect();
        names.sort_unstable();
        names
    }

    /// How many requests asked for a write, whatever came of it.
    pub(crate) fn writes(&self) -> usize {
        self.sandbox.log().iter().filter(|request| request.method != "GET").count()
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
