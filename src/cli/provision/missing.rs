//! What would be created, in the words in which it is printed before and after.

use crate::cli::fit::{Lacking, MAX_MERGE_TAG, WebhookPlace, WebhookStep};
use crate::config::{FieldSource, MergeFieldConfig};

/// What the audience lacks, the webhook among it.
#[derive(Clone, Debug)]
pub(super) struct Missing {
    /// Merge fields, categories and interests.
    pub(super) lacking: Lacking,
    /// The webhook, where the configuration asks for one, and what is to be done about it.
    pub(super) webhook: Option<(WebhookPlace, Vec<WebhookStep>)>,
}

impl Missing {
    /// A line for each thing, in the order in which they are created.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lacking.merge_fields.iter().map(merge_field_line).collect();
        for category in &self.lacking.categories {
            lines.extend(category.id.is_none().then(|| category_line(&category.title)));
            lines.extend(category.interests.iter().map(|name| interest_line(&category.title, name)));
        }
        let steps =
            self.webhook.iter().flat_map(|(place, steps)| steps.iter().map(move |step| (place, step)));
        lines.extend(steps.map(|(place, step)| webhook_line(place, step)));
        lines
    }

    /// Whether a webhook will be made, of which Mailchimp tells a secret.
    pub(super) fn makes_a_webhook(&self) -> bool {
        let steps = self.webhook.iter().flat_map(|(_, steps)| steps);
        steps.into_iter().any(|step| matches!(step, WebhookStep::Create | WebhookStep::Replace { .. }))
    }

    /// What is left alone although somebody may expect it.
    pub(super) fn notes(&self) -> Vec<String> {
        let twins = self.lacking.twins.iter();
        let note = |named: &str, spelled: &str| {
            format!("interest {named:?} is left out: to Mailchimp it is the same name as {spelled:?}")
        };
        twins.map(|twin| note(&twin.named.name, &twin.spelled)).collect()
    }

    /// Why not everything could be created, if so: half a mapping is of no use.
    pub(super) fn impossible(&self) -> Option<String> {
        let long = self.lacking.merge_fields.iter().find(|field| field.tag.as_str().len() > MAX_MERGE_TAG);
        let long = long.map(|field| {
            format!(
                "[merge_field] tag {:?}: Mailchimp cuts new tags at {MAX_MERGE_TAG} characters; choose a shorter one",
                field.tag.as_str()
            )
        });
        long.or_else(|| self.lacking.overflow().map(|problem| format!("[interest]: {problem}")))
    }
}

pub(super) fn merge_field_line(field: &MergeFieldConfig) -> String {
    format!("merge field {} {:?}, a text", field.tag, label(field))
}

pub(super) fn category_line(title: &str) -> String {
    format!("interest category {title:?}, checkboxes")
}

pub(super) fn interest_line(title: &str, name: &str) -> String {
    format!("interest {name:?} in {title:?}")
}

pub(super) fn webhook_line(place: &WebhookPlace, step: &WebhookStep) -> String {
    let what = match step {
        WebhookStep::Create => "",
        WebhookStep::Mend { .. } => ": calls for everything that members and staff do, and for nothing else",
        WebhookStep::Replace { .. } => ": a new one in place of the one whose signing secret is not known",
        WebhookStep::Remove { .. } => ": the one with another path secret is removed",
    };
    format!("webhook {}{what}", place.shown)
}

/// What members read beside the field on their forms: the column `first_name` is `First name`, the tag `SOURCE` of a value that
/// is always the same `Source`.
pub(super) fn label(field: &MergeFieldConfig) -> String {
    let words = match &field.source {
        FieldSource::Column(column) => column.replace(['_', '-'], " "),
        FieldSource::Constant(_) => field.tag.as_str().replace('_', " ").to_lowercase(),
    };
    let mut letters = words.trim().chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}
