//! Creating what is missing, one by one; what was done is known even where the next fails.

use anyhow::{Error, anyhow};
use secrecy::ExposeSecret;

use crate::cli::exit::Fault;
use crate::cli::fit::{WebhookPlace, WebhookStep};
use crate::cli::provision::missing::{
    Missing, category_line, interest_line, label, merge_field_line, webhook_line,
};
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::mailchimp::AudienceError;
use crate::mailchimp::provision::{CategoryShape, NewMergeField, ProvisionAudience};
use crate::model::FieldKind;
use crate::state::{keep_signing_secret, secrets_path};

/// What was created.
#[derive(Debug, Default)]
pub(super) struct Created {
    /// A line for each thing.
    pub(super) lines: Vec<String>,
    /// A line for each thing that was there and is as it should be now.
    pub(super) mended: Vec<String>,
    /// What to know of it, as sentences.
    pub(super) notes: Vec<String>,
    /// Why the rest was not.
    pub(super) failed: Option<Fault>,
}

/// Creates everything, up to the first refusal.
pub(super) async fn create(
    audience: &dyn ProvisionAudience,
    settings: &Settings,
    missing: &Missing,
) -> Created {
    let mut created = Created::default();
    created.failed = create_all(audience, settings, missing, &mut created).await.err();
    created
}

async fn create_all(
    audience: &dyn ProvisionAudience,
    settings: &Settings,
    missing: &Missing,
    created: &mut Created,
) -> Result<(), Fault> {
    for field in &missing.lacking.merge_fields {
        let new = NewMergeField {
            tag: field.tag.clone(),
            name: label(field),
            kind: FieldKind::Text,
            choices: Vec::new(),
        };
        let line = merge_field_line(field);
        audience.create_merge_field(&new).await.map_err(|error| refused(&line, error))?;
        created.lines.push(line);
    }
    for category in &missing.lacking.categories {
        let id = match &category.id {
            Some(id) => id.clone(),
            None => {
                let line = category_line(&category.title);
                let id = audience.create_category(&category.title, CategoryShape::Checkboxes).await;
                let id = id.map_err(|error| refused(&line, error))?;
                created.lines.push(line);
                id
            }
        };
        for name in &category.interests {
            let line = interest_line(&category.title, name);
            audience.create_interest(&id, name).await.map_err(|error| refused(&line, error))?;
            created.lines.push(line);
        }
    }
    // Last, since it alone needs the daemon: Mailchimp calls the URL before it answers.
    if let Some((place, steps)) = &missing.webhook {
        for step in steps {
            take(audience, settings, place, step, created).await?;
        }
    }
    Ok(())
}

/// Takes a step towards a webhook that does what it should.
async fn take(
    audience: &dyn ProvisionAudience,
    settings: &Settings,
    place: &WebhookPlace,
    step: &WebhookStep,
    created: &mut Created,
) -> Result<(), Fault> {
    let changed = match step {
        WebhookStep::Create => return create_webhook(audience, settings, place, step, created).await,
        WebhookStep::Replace { id } => match audience.remove_webhook(id).await {
            // There is one webhook for a URL: between the two nothing calls, and polling finds what happened.
            Ok(()) => return create_webhook(audience, settings, place, step, created).await,
            Err(error) => Err(error),
        },
        WebhookStep::Mend { id } => audience.mend_webhook(id).await,
        WebhookStep::Remove { id } => audience.remove_webhook(id).await,
    };
    let line = webhook_line(place, step);
    changed.map_err(|error| {
        Fault::failed(without_secret(place, &error).context(format!("{line}: that failed")))
    })?;
    created.mended.push(line);
    Ok(())
}

async fn create_webhook(
    audience: &dyn ProvisionAudience,
    settings: &Settings,
    place: &WebhookPlace,
    step: &WebhookStep,
    created: &mut Created,
) -> Result<(), Fault> {
    let line = webhook_line(place, step);
    let new = audience.create_webhook(place.url.expose_secret()).await.map_err(|error| {
        let error = without_secret(place, &error);
        Fault::failed(error.context(format!(
            "{line} was not created; rosterd run must listen behind it, since Mailchimp calls it at once"
        )))
    })?;
    created.lines.push(line);
    let Some(secret) = new.signing_secret else {
        created
            .notes
            .push("Mailchimp gave the webhook no signing secret: its calls are not signed.".to_owned());
        return Ok(());
    };
    let state = settings.config.state.path.clone();
    let path = secrets_path(&state);
    let kept =
        tokio::task::spawn_blocking(move || keep_signing_secret(&state, &secret, Clock::System.now())).await;
    kept.map_err(Error::from).and_then(|kept| kept.map_err(Error::from)).map_err(|error| {
        Fault::failed(error.context(
            "the webhook's signing secret is lost; rosterd provision again, which replaces the webhook",
        ))
    })?;
    created.notes.push(format!("The webhook's signing secret is kept in {}.", path.display()));
    if settings.config.web.as_ref().is_some_and(|web| web.webhook_signing_secret.is_some()) {
        let note =
            "[web] webhook_signing_secret_… names another one, which counts beside it: take that key out.";
        created.notes.push(note.to_owned());
    }
    Ok(())
}

fn refused(line: &str, error: AudienceError) -> Fault {
    Fault::failed(Error::from(error).context(format!("{line} was not created")))
}

/// Mailchimp may repeat the URL, whose path is a secret.
fn without_secret(place: &WebhookPlace, error: &AudienceError) -> Error {
    anyhow!(error.to_string().replace(place.url.expose_secret(), &place.shown))
}
