//! What every world of a test is made of: a register that lives by the story's clock, and the way into the sandbox.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::provision::{CategoryShape, NewMergeField, ProvisionAudience};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::mailchimp::schema::{AudienceMapping, DimensionTarget};
use rosterd::mailchimp::transport::Transport;
use rosterd::model::{Dimension, FieldKind, MergeTag};
use rosterd::registrations::mapping::MappedValues;
use rosterd::sandbox::Sandbox;
use rusqlite::Connection;
use secrecy::SecretString;
use tempfile::TempDir;

/// When every story begins.
pub(crate) const START: &str = "2026-03-01T12:00:00Z";

/// The topics that the audience offers.
pub(crate) const OFFERED: [&str; 3] = ["Finance", "Health", "Water"];

/// The mapped merge fields and their columns.
pub(crate) const FIELDS: [(&str, &str); 2] = [("FNAME", "first_name"), ("LNAME", "last_name")];

/// Where topics stand in Mailchimp.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Topics {
    /// In an interest category of which any number can be chosen.
    #[default]
    Checkboxes,
    /// In one of which only one can.
    Radio,
    /// In tags that begin with `topic: `.
    Tags,
}

/// The register's triggers go by the clock of the story, not by the machine's.
pub(crate) fn live_in_the_story(register: &Connection) {
    register.pragma_update(None, "synchronous", "OFF").unwrap();
    let mut triggers =
        register.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").unwrap();
    let triggers: Vec<(String, String)> =
        triggers.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
    register
        .execute_batch("CREATE TABLE story_clock (now TEXT); INSERT INTO story_clock VALUES ('')")
        .unwrap();
    for (name, sql) in triggers {
        let told = sql.replace("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "(SELECT now FROM story_clock)");
        assert_ne!(told, sql, "{name} goes by no clock");
        register.execute_batch(&format!("DROP TRIGGER {name}; {told}")).unwrap();
    }
    register
        .execute_batch(
            "CREATE TRIGGER dated_by_default AFTER INSERT ON registrations
             WHEN NEW.created_at > (SELECT now FROM story_clock)
             BEGIN UPDATE registrations SET created_at = (SELECT now FROM story_clock),
                updated_at = (SELECT now FROM story_clock) WHERE id = NEW.id; END",
        )
        .unwrap();
}

pub(crate) fn tell_the_time(register: &Connection, clock: &Clock) {
    let mut statement = register.prepare_cached("UPDATE story_clock SET now = ?1").unwrap();
    statement.execute([clock.now().to_string()]).unwrap();
}

/// In memory where the machine has such a place: the state syncs every transaction.
pub(crate) fn directory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Two merge fields and one category in the audience.
pub(crate) async fn provide(client: &MailchimpClient, topics: Topics) {
    for (tag, name) in [("FNAME", "First name"), ("LNAME", "Last name")] {
        let field = NewMergeField {
            tag: MergeTag::parse(tag).unwrap(),
            name: name.to_owned(),
            kind: FieldKind::Text,
            choices: Vec::new(),
        };
        // The sandbox begins with some of the fields that every audience begins with.
        let _ = client.create_merge_field(&field).await;
    }
    let shape = if topics == Topics::Radio { CategoryShape::Radio } else { CategoryShape::Checkboxes };
    let category = client.create_category("Topics", shape).await.unwrap();
    for interest in OFFERED {
        client.create_interest(&category, interest).await.unwrap();
    }
}

pub(crate) fn mapping(topics: Topics, group_tags: Vec<String>) -> AudienceMapping {
    let target = match topics {
        Topics::Checkboxes | Topics::Radio => DimensionTarget::Category("Topics".to_owned()),
        Topics::Tags => DimensionTarget::TagPrefix("topic: ".to_owned()),
    };
    AudienceMapping {
        tags: FIELDS.map(|(tag, _)| MergeTag::parse(tag).unwrap()).into(),
        dimensions: BTreeMap::from([(Dimension::new("topic"), target)]),
        group_tags,
    }
}

pub(crate) fn values() -> MappedValues {
    MappedValues {
        fields: FIELDS.map(|(tag, column)| (MergeTag::parse(tag).unwrap(), column.to_owned())).into(),
        dimensions: [Dimension::new("topic")].into(),
        ..MappedValues::default()
    }
}

pub(crate) fn client(
    sandbox: &Sandbox,
    wire: Arc<dyn Transport>,
    clock: &Clock,
    mapping: AudienceMapping,
) -> MailchimpClient {
    let options = ClientOptions {
        api_key: SecretString::from(sandbox.api_key()),
        audience: sandbox.audience_id(),
        connections: 6,
        retry: RetryOptions { jitter: 0.0, budget: Duration::from_secs(20), ..RetryOptions::default() },
    };
    MailchimpClient::new(options, mapping, clock.clone(), wire).unwrap()
}
