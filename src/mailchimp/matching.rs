//! The mapping meets the audience: which id stands for which local name.
//!
//! What was matched once is followed by its id, so that a rename in Mailchimp changes nobody's value. A category is
//! looked for by the configured title first: another title in the configuration means another category.

use std::collections::{BTreeMap, BTreeSet};

use crate::mailchimp::schema::AudienceMapping;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::schema::DimensionSchema;
use crate::mailchimp::schema::DimensionTarget;
use crate::mailchimp::schema::FieldSchema;
use crate::mailchimp::wire::lists::{CategoryRow, InterestRow, ListAnswer, MergeFieldRow};
use crate::mailchimp::wire::reading;
use crate::model::{Dimension, FieldKind};
use crate::reconcile::policy::DimensionKind;

/// A category as the mapping found it, its interests still to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundCategory {
    /// The dimension that it is for.
    pub(crate) dimension: Dimension,
    /// Its id.
    pub(crate) id: String,
    kind: DimensionKind,
}

/// The schema before its dimensions are filled.
pub(crate) fn begin(mapping: &AudienceMapping, list: ListAnswer) -> AudienceSchema {
    AudienceSchema {
        group_tags: mapping.group_tags.clone(),
        subscribe_url: list.subscribe_url_long.filter(|url| !url.trim().is_empty()),
        audience_name: list.name,
        double_optin: list.double_optin,
        ..AudienceSchema::default()
    }
}

/// Finds the mapped merge fields.
pub(crate) fn match_fields(
    schema: &mut AudienceSchema,
    mapping: &AudienceMapping,
    known: Option<&AudienceSchema>,
    rows: &[MergeFieldRow],
) {
    for tag in &mapping.tags {
        let before = known.and_then(|known| known.fields.get(tag));
        let by_id = before.and_then(|field| rows.iter().find(|row| row.merge_id == field.merge_id));
        let by_tag = || rows.iter().find(|row| reading::same(&row.tag, tag.as_str()));
        let Some(row) = by_id.or_else(by_tag) else {
            schema.warnings.push(match before {
                Some(_) => format!("the merge field {tag} is gone from the audience: it is switched off"),
                None => format!("the audience has no merge field {tag}: create it with `rosterd provision`"),
            });
            continue;
        };
        if !reading::same(&row.tag, tag.as_str()) {
            let wire_tag = &row.tag;
            schema.warnings.push(format!("the merge field {tag} is called {wire_tag} in Mailchimp now"));
        } else if before.is_some() && by_id.is_none() {
            schema.warnings.push(format!("the merge field {tag} was removed and created anew in Mailchimp"));
        }
        schema.fields.insert(tag.clone(), field(row));
    }
}

/// Finds the mapped categories, and enters the dimensions that are tags.
pub(crate) fn match_categories(
    schema: &mut AudienceSchema,
    mapping: &AudienceMapping,
    known: Option<&AudienceSchema>,
    rows: &[CategoryRow],
) -> Vec<FoundCategory> {
    let mut found = Vec::new();
    for (dimension, target) in &mapping.dimensions {
        match target {
            DimensionTarget::TagPrefix(prefix) => {
                let kind = DimensionKind::Tags { prefix: prefix.clone() };
                schema.dimensions.insert(dimension.clone(), empty_dimension(kind, ""));
            }
            DimensionTarget::Category(title) => {
                let before = known.and_then(|known| known.dimensions.get(dimension));
                found.extend(match_category(&mut schema.warnings, dimension, title, before, rows));
            }
        }
    }
    found
}

/// Enters a category with its interests, by their local names.
pub(crate) fn match_interests(
    schema: &mut AudienceSchema,
    category: FoundCategory,
    known: Option<&AudienceSchema>,
    rows: &[InterestRow],
) {
    let FoundCategory { dimension, id, kind } = category;
    let before = known.and_then(|known| known.dimensions.get(&dimension));
    let remembered = before.filter(|before| before.category_id == id).map(|before| &before.interests);
    let name_of = |id: &str| remembered.and_then(|names| names.get(id));
    let mut matched = empty_dimension(kind, &id);

    let mut taken = BTreeSet::new();
    for row in rows {
        let Some(name) = name_of(&row.id) else { continue };
        if !reading::same(name, &row.name) {
            let now = &row.name;
            schema.warnings.push(format!("the interest {dimension}:{name} is called {now} in Mailchimp now"));
        }
        taken.insert(name.to_lowercase());
        matched.interests.insert(row.id.clone(), name.clone());
    }
    for row in rows.iter().filter(|row| name_of(&row.id).is_none()) {
        // One id is one interest, however often it comes.
        if matched.interests.contains_key(&row.id) {
            continue;
        }
        let name = row.name.trim();
        if name.is_empty() || !taken.insert(name.to_lowercase()) {
            schema.warnings.push(format!(
                "the interest {dimension}:{name} is left out: another one of the audience has this name here"
            ));
            continue;
        }
        matched.interests.insert(row.id.clone(), name.to_owned());
    }
    for (_, name) in remembered.into_iter().flatten().filter(|(id, _)| !matched.interests.contains_key(*id)) {
        schema.warnings.push(match taken.contains(&name.to_lowercase()) {
            true => format!("the interest {dimension}:{name} was removed and created anew in Mailchimp"),
            false => {
                format!("the interest {dimension}:{name} is gone from the audience: it is switched off")
            }
        });
    }
    schema.dimensions.insert(dimension, matched);
}

fn match_category(
    warnings: &mut Vec<String>,
    dimension: &Dimension,
    title: &str,
    before: Option<&DimensionSchema>,
    rows: &[CategoryRow],
) -> Option<FoundCategory> {
    let by_title = rows.iter().find(|row| reading::same(&row.title, title));
    let by_id = || before.and_then(|before| rows.iter().find(|row| row.id == before.category_id));
    let Some(row) = by_title.or_else(by_id) else {
        warnings.push(match before {
            Some(_) => format!("the category {title} is gone from the audience: {dimension} is switched off"),
            None => format!("the audience has no category {title}: create it with `rosterd provision`"),
        });
        return None;
    };
    if !reading::same(&row.title, title) {
        let now = &row.title;
        warnings.push(format!("the category {title} of {dimension} is called {now} in Mailchimp now"));
    }
    // Hidden categories are checkboxes that only staff see.
    let kind = match row.kind.as_str() {
        "radio" | "dropdown" => DimensionKind::Choice,
        _ => DimensionKind::Checkboxes,
    };
    Some(FoundCategory { dimension: dimension.clone(), id: row.id.clone(), kind })
}

fn empty_dimension(kind: DimensionKind, category_id: &str) -> DimensionSchema {
    DimensionSchema { kind, category_id: category_id.to_owned(), interests: BTreeMap::new() }
}

fn field(row: &MergeFieldRow) -> FieldSchema {
    let kind = serde_json::from_value(row.kind.as_str().into()).unwrap_or(FieldKind::Text);
    FieldSchema {
        merge_id: row.merge_id,
        wire_tag: row.tag.clone(),
        kind,
        choices: row.options.choices.clone(),
    }
}

#[cfg(test)]
mod tests;
