//! The policy of a cycle: what the configuration says, as far as the audience and the register have it.

use std::collections::BTreeMap;

use crate::mailchimp::schema::{AudienceSchema, DimensionSchema};
use crate::model::{Dimension, Interest, Key, MergeTag};
use crate::reconcile::policy::{DimensionRule, Direction, FieldRule, Policy, RegisterFeatures};

/// What the configuration alone decides.
#[derive(Clone, Debug, Default)]
pub struct Seed {
    /// The policy without what only the sides can tell.
    pub policy: Policy,
    /// The mapped merge fields, each with the way it travels.
    pub directions: BTreeMap<MergeTag, Direction>,
    /// How the register is read, as a text that changes with the mapping.
    pub read_as: String,
}

/// The whole policy: what the audience or the register lacks is switched off, and nobody's value changes because of it.
///
/// `holds` says for which values the register has a place.
pub fn assemble(
    seed: &Seed,
    schema: &AudienceSchema,
    register: RegisterFeatures,
    holds: impl Fn(&Key) -> bool,
) -> Policy {
    let rule = |(tag, direction): (&MergeTag, &Direction)| {
        let field = schema.fields.get(tag)?;
        Some((tag.clone(), FieldRule { kind: field.kind, direction: *direction }))
    };
    let dimension = |(dimension, there): (&Dimension, &DimensionSchema)| {
        let held = |name: &&String| holds(&Key::Interest(Interest::new(dimension.as_str(), name)));
        let known = there.interests.values().filter(held).cloned().collect();
        (dimension.clone(), DimensionRule { kind: there.kind.clone(), known })
    };
    Policy {
        fields: seed.directions.iter().filter_map(rule).collect(),
        dimensions: schema.dimensions.iter().map(dimension).collect(),
        subscribe_url: schema.subscribe_url.clone(),
        register,
        ..seed.policy.clone()
    }
}
