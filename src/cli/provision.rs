//! `rosterd provision`: creates what the mapping names and the audience lacks, after printing it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{IsTerminal, Write};

use anyhow::anyhow;
use serde_json::json;

use crate::cli::check::{MAX_INTERESTS, register_interests, same};
use crate::cli::exit::{Ending, Fault};
use crate::cli::output::{print_json, say};
use crate::cli::wiring::Settings;
use crate::cli::{Cli, ProvisionArgs};
use crate::config::InterestTarget;
use crate::mailchimp::client::MailchimpClient;
use crate::mailchimp::provision::{CategoryShape, InspectAudience, NewMergeField, Offer, ProvisionAudience};
use crate::model::{FieldKind, Interest, MergeTag};

/// What the audience lacks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Lacking {
    /// Merge fields.
    fields: Vec<MergeTag>,
    /// Categories by title, each with its id where it is there and with the interests that it lacks.
    categories: BTreeMap<String, (Option<String>, BTreeSet<String>)>,
}

impl Lacking {
    fn is_nothing(&self) -> bool {
        self.fields.is_empty() && self.categories.is_empty()
    }

    /// A line for each thing, as it is shown before and after.
    fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> =
            self.fields.iter().map(|tag| format!("merge field {tag} (text)")).collect();
        for (title, (id, interests)) in &self.categories {
            if id.is_none() {
                lines.push(format!("interest category {title:?} (checkboxes)"));
            }
            lines.extend(interests.iter().map(|name| format!("interest {name:?} in {title:?}")));
        }
        lines
    }
}

/// Prints what is missing, asks, and creates it.
pub(super) async fn run(cli: &Cli, args: &ProvisionArgs) -> Result<Ending, Fault> {
    let settings = Settings::load(cli)?;
    let client = settings.audience()?;
    let offer = client.offer().await.map_err(Fault::failed)?;
    let lacking = lacking(&settings, &offer, &wanted(&settings).await?);
    refuse_too_many(&offer, &lacking)?;
    let lines = lacking.lines();
    if !args.output.json {
        say(if lacking.is_nothing() {
            "The audience has everything that the mapping names."
        } else {
            "To be created:"
        })?;
        lines.iter().try_for_each(|line| say(&format!("  {line}")))?;
    }
    let agreed = lacking.is_nothing() || args.yes || asked()?;
    if agreed {
        create(&client, &lacking).await?;
    }
    if args.output.json {
        print_json(&json!({ "missing": lines, "created": agreed }))?;
    } else if !agreed {
        say("Nothing was created; rosterd provision --yes does it.")?;
    } else if !lacking.is_nothing() {
        say(
            "Created. The next cycle reads the audience's own settings afresh within the hour, the daemon at its start.",
        )?;
    }
    Ok(if agreed { Ending::Done } else { Ending::Held })
}

/// The interests that the register's rows and the working groups name.
async fn wanted(settings: &Settings) -> Result<BTreeSet<Interest>, Fault> {
    let used = register_interests(settings).await;
    let mut wanted =
        used.ok_or_else(|| Fault::failed(anyhow!("the register cannot be read; rosterd check says why")))?;
    for group in &settings.config.working_groups {
        wanted.extend(group.any.iter().chain(&group.all).cloned());
    }
    Ok(wanted)
}

fn lacking(settings: &Settings, offer: &Offer, wanted: &BTreeSet<Interest>) -> Lacking {
    let mut lacking = Lacking::default();
    for field in &settings.config.merge_fields {
        if !offer.merge_fields.keys().any(|there| same(there, field.tag.as_str())) {
            lacking.fields.push(field.tag.clone());
        }
    }
    for mapped in &settings.config.interests {
        let InterestTarget::Category(title) = &mapped.target else { continue };
        let there = offer.categories.iter().find(|category| same(&category.title, title));
        let has =
            |name: &str| there.is_some_and(|there| there.interests.iter().any(|other| same(other, name)));
        let names: BTreeSet<String> = wanted
            .iter()
            .filter(|interest| interest.dimension == mapped.dimension && !has(&interest.name))
            .map(|interest| interest.name.clone())
            .collect();
        if there.is_none() || !names.is_empty() {
            lacking.categories.insert(title.clone(), (there.map(|there| there.id.clone()), names));
        }
    }
    lacking
}

/// Refused before anything is created: half a mapping helps nobody.
fn refuse_too_many(offer: &Offer, lacking: &Lacking) -> Result<(), Fault> {
    let there: usize = offer.categories.iter().map(|category| category.interests.len()).sum();
    let more: usize = lacking.categories.values().map(|(_, names)| names.len()).sum();
    if there + more <= MAX_INTERESTS {
        return Ok(());
    }
    Err(Fault::usage(anyhow!(
        "[[interest]]: the audience has {there} interests and {more} are missing; Mailchimp allows {MAX_INTERESTS} over \
         all categories, so that a dimension must be mapped to tags with tag_prefix"
    )))
}

fn asked() -> Result<bool, Fault> {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(false);
    }
    let mut stderr = std::io::stderr();
    write!(stderr, "Create this in Mailchimp? [y/N] ")
        .and_then(|()| stderr.flush())
        .map_err(Fault::failed)?;
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).map_err(Fault::failed)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

async fn create(client: &MailchimpClient, lacking: &Lacking) -> Result<(), Fault> {
    for tag in &lacking.fields {
        let new = NewMergeField {
            tag: tag.clone(),
            name: tag.to_string(),
            kind: FieldKind::Text,
            choices: Vec::new(),
        };
        client.create_merge_field(&new).await.map_err(Fault::failed)?;
    }
    for (title, (id, names)) in &lacking.categories {
        let id = match id {
            Some(id) => id.clone(),
            None => client.create_category(title, CategoryShape::Checkboxes).await.map_err(Fault::failed)?,
        };
        for name in names {
            client.create_interest(&id, name).await.map_err(Fault::failed)?;
        }
    }
    Ok(())
}
