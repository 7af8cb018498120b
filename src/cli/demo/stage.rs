//! The stage of the demo: a register, a pretend Mailchimp and a configuration in a temporary directory.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Deserialize;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::cli::exit::Fault;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::cycle::Cycle;
use crate::mailchimp::ReadAudience;
use crate::mailchimp::provision::{CategoryShape, NewMergeField, ProvisionAudience};
use crate::model::{FieldKind, MergeTag};
use crate::registrations::{create_register, run_script};
use crate::sandbox::{FormEntry, PersonError, Sandbox};

const REGISTER: &str = include_str!("../../../fixtures/lpsa/registrations.sql");
const AUDIENCE: &str = include_str!("../../../fixtures/lpsa/audience.json");
const CONFIGURATION: &str = include_str!("../../../fixtures/lpsa/rosterd.toml");

/// Everything the story needs.
pub(super) struct Stage {
    /// The pretend Mailchimp, served on loopback.
    pub(super) sandbox: Sandbox,
    /// The cycle between the sides.
    pub(super) cycle: Cycle,
    /// The configuration file.
    pub(super) config: PathBuf,
    /// The register.
    pub(super) register: PathBuf,
    /// Where the sandbox listens.
    pub(super) base_url: String,
}

#[derive(Deserialize)]
struct Audience {
    interest_categories: Vec<Category>,
    merge_fields: Vec<Field>,
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct Category {
    title: String,
    interests: Vec<String>,
}

#[derive(Deserialize)]
struct Field {
    tag: String,
    name: String,
}

#[derive(Deserialize)]
struct Member {
    email: String,
    status: String,
    merge_fields: serde_json::Map<String, serde_json::Value>,
    interests: Vec<String>,
    tags: Vec<String>,
    opted_in_at: Option<Timestamp>,
    changed_at: Timestamp,
}

/// Builds the stage in `directory`; `clock` is released once the past is told.
pub(super) async fn build(directory: &Path, stop: CancellationToken) -> Result<Stage, Fault> {
    let clock = Clock::set_at(Timestamp::UNIX_EPOCH);
    let sandbox = Sandbox::new(clock.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(Fault::failed)?;
    let base_url = format!("http://{}/3.0", listener.local_addr().map_err(Fault::failed)?);
    let served = sandbox.clone();
    tokio::spawn(async move { served.serve(listener, stop).await });
    let config = write_configuration(directory, &sandbox, &base_url)?;
    let register = directory.join("registrations.db");
    create_register(&register).await.map_err(Fault::failed)?;
    run_script(&register, REGISTER).await.map_err(Fault::failed)?;
    let settings = Settings::read_file(&config)?;
    fill(&sandbox, &settings, &clock).await?;
    let state = settings.state().await?;
    let cycle = settings.cycle(state).await?;
    Ok(Stage { sandbox, cycle, config, register, base_url })
}

fn write_configuration(directory: &Path, sandbox: &Sandbox, base_url: &str) -> Result<PathBuf, Fault> {
    std::fs::write(directory.join("mailchimp.key"), sandbox.api_key()).map_err(Fault::failed)?;
    let text = CONFIGURATION
        .replace("api_key_env = \"MAILCHIMP_API_KEY\"", "api_key_file = \"mailchimp.key\"")
        .replace("audience = \"a1b2c3d4e5\"", &format!("audience = \"{}\"", sandbox.audience_id()))
        .replace("http://127.0.0.1:9001/3.0", base_url);
    let path = directory.join("rosterd.toml");
    std::fs::write(&path, text).map_err(Fault::failed)?;
    Ok(path)
}

/// Fills the audience the way it came to be: everybody at their own time, by their own acts.
async fn fill(sandbox: &Sandbox, settings: &Settings, clock: &Clock) -> Result<(), Fault> {
    let audience: Audience = serde_json::from_str(AUDIENCE).map_err(Fault::failed)?;
    provide(settings, &audience).await?;
    let mut members = audience.members;
    members.sort_by_key(|member| member.opted_in_at.unwrap_or(member.changed_at));
    for member in &members {
        clock.set(member.opted_in_at.unwrap_or(member.changed_at));
        join(sandbox, member).map_err(Fault::failed)?;
    }
    members.sort_by_key(|member| member.changed_at);
    for member in &members {
        clock.set(member.changed_at);
        end_up(sandbox, member).map_err(Fault::failed)?;
    }
    clock.release();
    sandbox.reset_log();
    Ok(())
}

async fn provide(settings: &Settings, audience: &Audience) -> Result<(), Fault> {
    let client = settings.audience()?;
    let there = client.schema(None).await.map_err(Fault::failed)?.fields;
    for field in &audience.merge_fields {
        let tag = MergeTag::parse(&field.tag).map_err(Fault::failed)?;
        if !there.contains_key(&tag) {
            let new =
                NewMergeField { tag, name: field.name.clone(), kind: FieldKind::Text, choices: Vec::new() };
            client.create_merge_field(&new).await.map_err(Fault::failed)?;
        }
    }
    for category in &audience.interest_categories {
        let id = client
            .create_category(&category.title, CategoryShape::Checkboxes)
            .await
            .map_err(Fault::failed)?;
        for interest in &category.interests {
            client.create_interest(&id, interest).await.map_err(Fault::failed)?;
        }
    }
    Ok(())
}

fn join(sandbox: &Sandbox, member: &Member) -> Result<(), PersonError> {
    let entry = member
        .merge_fields
        .iter()
        .fold(FormEntry::new(), |entry, (tag, value)| entry.field(tag, value.clone()));
    let names = member.interests.iter().filter_map(|interest| interest.split_once('/'));
    let entry = names.fold(entry, |entry, (_, name)| entry.tick(name));
    sandbox.person().subscribe_by_form(&member.email, &entry)
}

fn end_up(sandbox: &Sandbox, member: &Member) -> Result<(), PersonError> {
    for tag in &member.tags {
        sandbox.person().staff_add_tag(&member.email, tag)?;
    }
    match member.status.as_str() {
        "unsubscribed" => sandbox.person().unsubscribe(&member.email),
        "cleaned" => sandbox.person().bounce(&member.email),
        "archived" => sandbox.person().staff_archive(&member.email),
        _ => Ok(()),
    }
}
