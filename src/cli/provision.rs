//! `rosterd provision`: creates what the mapping names and the audience lacks, after printing it.

mod create;
mod missing;

use anyhow::{Context, anyhow};
use serde_json::json;

use crate::cli::asking::says_yes;
use crate::cli::exit::{Ending, Fault};
use crate::cli::fit::{Audience, Rows, audience, lacking, remembered, rows, signing_secret, webhook_place};
use crate::cli::output::{print_json, say};
use crate::cli::provision::create::{Created, create};
use crate::cli::provision::missing::Missing;
use crate::cli::wiring::Settings;
use crate::cli::{Cli, ProvisionArgs};
use crate::clock::Clock;
use crate::cycle::forget_schema_age;
use crate::mailchimp::client::MailchimpClient;
use crate::state::{State, StateError, can_keep_secrets};

/// Prints what is missing, asks, creates it, and prints what it did.
pub(super) async fn run(cli: &Cli, args: &ProvisionArgs) -> Result<Ending, Fault> {
    let settings = Settings::load(cli)?;
    let client = settings.audience()?;
    let missing = find(&settings, &client).await?;
    let lines = missing.lines();
    let script = settings.telling_script().await?;
    if !args.output.json {
        say(if lines.is_empty() { "Nothing is missing." } else { "Missing in the audience:" })?;
        lines.iter().try_for_each(|line| say(&format!("  {line}")))?;
        missing.notes().iter().try_for_each(|note| say(&format!("notice  {note}")))?;
        if let Some(script) = &script {
            say("So that the register tells of changes at once, its owner can run in the database:")?;
            say(script)?;
        }
    }
    if lines.is_empty() || !(args.yes || says_yes("Create this in Mailchimp?").await?) {
        if args.output.json {
            print_json(&json!({ "missing": lines, "created": [], "mended": [], "register_script": script }))?;
        } else if !lines.is_empty() {
            say("Nothing was created; rosterd provision --yes creates it.")?;
        }
        return Ok(if lines.is_empty() { Ending::Done } else { Ending::Held });
    }
    let created = create(&client, &settings, &missing).await;
    forget_schema(&settings).await;
    print_created(&created, &lines, script.as_deref(), args)?;
    created.failed.map_or(Ok(Ending::Done), Err)
}

/// What is missing; refused here is what could not be created as a whole.
async fn find(settings: &Settings, client: &MailchimpClient) -> Result<Missing, Fault> {
    let audience = read_audience(settings, client).await?;
    let rows = read_rows(settings).await?;
    let mapped = settings.mapped();
    let lacking = lacking(&mapped, &rows, &audience);
    let web = settings.config.web.as_ref();
    let secret = signing_secret(web, &settings.config.state.path);
    let webhook = webhook_place(web).map(|place| {
        let steps = place.steps(&audience.webhooks, secret);
        (place, steps)
    });
    let missing = Missing { lacking, webhook };
    if let Some(problem) = missing.impossible() {
        return Err(Fault::usage(anyhow!(problem)));
    }
    if missing.makes_a_webhook() {
        can_keep_secrets(&settings.config.state.path)
            .context("the webhook's signing secret, which Mailchimp tells once, could not be kept")
            .map_err(Fault::failed)?;
    }
    Ok(missing)
}

async fn read_audience(settings: &Settings, client: &MailchimpClient) -> Result<Audience, Fault> {
    let known = match remembered(&settings.config.state.path).await.map_err(Fault::of_state)? {
        Some(state) => {
            settings.refuse_other_audience(&state).await?;
            state.schema().await.map_err(Fault::of_state)?
        }
        None => None,
    };
    audience(client, known.as_ref()).await.map_err(Fault::of_audience)
}

async fn read_rows(settings: &Settings) -> Result<Rows, Fault> {
    let register = settings.register_read_only().await?;
    let dimensions = settings.mapped_values().dimensions;
    let read = rows(register.as_ref(), &settings.mapping, &dimensions, &Default::default()).await;
    read.map_err(Fault::of_register)
}

/// Has the next cycle read the audience afresh. Where that cannot be noted, the hourly reading finds what is new.
async fn forget_schema(settings: &Settings) {
    let noted = match State::open_shared(&settings.config.state.path).await {
        Ok(state) => forget_schema_age(&state, &Clock::System).await,
        Err(StateError::Missing { .. }) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = noted {
        tracing::warn!(
            error = error.to_string(),
            "the next cycle may know of what was created only in an hour"
        );
    }
}

fn print_created(
    created: &Created,
    missing: &[String],
    script: Option<&str>,
    args: &ProvisionArgs,
) -> Result<(), Fault> {
    if args.output.json {
        return print_json(
            &json!({ "missing": missing, "created": created.lines, "mended": created.mended, "register_script": script }),
        );
    }
    created.lines.iter().try_for_each(|line| say(&format!("created {line}")))?;
    created.mended.iter().try_for_each(|line| say(&format!("mended  {line}")))?;
    created.notes.iter().try_for_each(|note| say(note))?;
    let left = missing.len() - created.lines.len() - created.mended.len();
    if left > 0 { say(&format!("{left} of {} were not created.", missing.len())) } else { Ok(()) }
}
