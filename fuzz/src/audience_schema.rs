//! What the audience itself is like. The bytes: the audience, zero, its merge fields, zero, its categories, zero, the
//! interests of each.

use std::collections::{BTreeMap, BTreeSet};

use rosterd::mailchimp::refusal::chain;
use rosterd::mailchimp::schema::{AudienceMapping, AudienceSchema, DimensionTarget};
use rosterd::mailchimp::{AudienceError, ReadAudience};
use rosterd::model::{Dimension, MergeTag};
use rosterd::reconcile::policy::DimensionKind;

use serde_json::Value as Json;

use super::stage;

/// Nothing is found that is not mapped, what is remembered is found again, and what is lacking is told.
pub fn check(bytes: &[u8]) {
    let mapping = mapping();
    let known = match read(bytes, &mapping, None) {
        Ok(schema) => schema,
        Err(error @ (AudienceError::Unreadable { .. } | AudienceError::Busy { .. })) => {
            return stage::harmless(&chain(&error));
        }
        Err(error) => panic!("an audience that was shown is {error}"),
    };
    mapped(&known, &mapping);
    let text = serde_json::to_string(&known).unwrap();
    let remembered: AudienceSchema = serde_json::from_str(&text).unwrap();
    assert_eq!(remembered, known, "it is remembered otherwise");
    // Two rows of one number are none that Mailchimp has.
    if !are_told_apart(bytes) {
        return;
    }
    let again = read(bytes, &mapping, Some(&known)).expect("what was read is read again");
    assert_eq!((&again.fields, &again.dimensions), (&known.fields, &known.dimensions));
}

fn are_told_apart(bytes: &[u8]) -> bool {
    let [_, fields, categories, _] = stage::parts(bytes);
    [(fields, "merge_fields", "merge_id"), (categories, "categories", "id")].into_iter().all(
        |(answer, rows, id)| {
            // What we skip need not be a text: of such an answer nothing is known here.
            let Ok(answer) = serde_json::from_slice::<Json>(&answer) else { return false };
            let rows = answer[rows].as_array().cloned().unwrap_or_default();
            let ids: BTreeSet<String> = rows.iter().map(|row| row[id].to_string()).collect();
            ids.len() == rows.len()
        },
    )
}

fn read(
    bytes: &[u8],
    mapping: &AudienceMapping,
    known: Option<&AudienceSchema>,
) -> Result<AudienceSchema, AudienceError> {
    let [list, fields, categories, interests] = stage::parts(bytes);
    let client = stage::client_of(mapping.clone(), move |request| {
        let body = match request.target.as_str() {
            target if target.contains("/merge-fields") => &fields,
            target if target.contains("/interests?") => &interests,
            target if target.contains("/interest-categories") => &categories,
            _ => &list,
        };
        stage::json(200, body)
    });
    stage::watched(client.schema(known))
}

fn mapped(schema: &AudienceSchema, mapping: &AudienceMapping) {
    assert!(schema.fields.keys().all(|tag| mapping.tags.contains(tag)));
    for (dimension, found) in &schema.dimensions {
        let is_tags = matches!(found.kind, DimensionKind::Tags { .. });
        assert_eq!(is_tags, matches!(mapping.dimensions[dimension], DimensionTarget::TagPrefix(_)));
        assert!(found.interests.keys().all(|id| !id.is_empty()), "an interest without an id");
    }
    let lacking = mapping.tags.iter().filter(|tag| !schema.fields.contains_key(*tag)).count()
        + mapping.dimensions.keys().filter(|dimension| !schema.dimensions.contains_key(*dimension)).count();
    assert!(schema.warnings.len() >= lacking, "{lacking} are lacking: {:?}", schema.warnings);
}

fn mapping() -> AudienceMapping {
    let category = |title: &str| DimensionTarget::Category(title.to_owned());
    AudienceMapping {
        tags: ["FNAME", "LNAME", "AGE"].map(|tag| MergeTag::parse(tag).unwrap()).into(),
        dimensions: BTreeMap::from([
            (Dimension::new("topic"), category("Topics")),
            (Dimension::new("region"), category("Regions")),
            (Dimension::new("sector"), DimensionTarget::TagPrefix("sector: ".to_owned())),
        ]),
        group_tags: vec!["WG: Finance".to_owned()],
    }
}
