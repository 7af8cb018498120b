//! The parts of the configuration that speak of both sides, as each side's adapter takes them.

use crate::config::{FieldSource, InterestConfig, InterestTarget, MergeFieldConfig};
use crate::mailchimp::schema::{AudienceMapping, DimensionTarget};
use crate::reconcile::policy::{Direction, WorkingGroup};
use crate::registrations::mapping::MappedValues;

/// Merge fields, dimensions and working groups.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mapped<'c> {
    /// The merge fields, in the order of the file.
    pub(super) merge_fields: &'c [MergeFieldConfig],
    /// The dimensions, in the order of the file.
    pub(super) interests: &'c [InterestConfig],
    /// The working groups, in the order of the file.
    pub(super) working_groups: &'c [WorkingGroup],
}

impl Mapped<'_> {
    /// The columns and dimensions, for the register.
    pub(super) fn values(&self) -> MappedValues {
        let mut values = MappedValues {
            dimensions: self.interests.iter().map(|interest| interest.dimension.clone()).collect(),
            ..MappedValues::default()
        };
        for MergeFieldConfig { source, tag, direction } in self.merge_fields {
            match source {
                FieldSource::Column(column) => drop(values.fields.insert(tag.clone(), column.clone())),
                FieldSource::Constant(text) => drop(values.constants.insert(tag.clone(), text.clone())),
            }
            if *direction == Direction::ToMailchimp {
                values.read_only.insert(tag.clone());
            }
        }
        values
    }

    /// What is asked of the audience.
    pub(super) fn audience(&self) -> AudienceMapping {
        let target = |target: &InterestTarget| match target {
            InterestTarget::Category(title) => DimensionTarget::Category(title.clone()),
            InterestTarget::TagPrefix(prefix) => DimensionTarget::TagPrefix(prefix.clone()),
        };
        let dimension = |interest: &InterestConfig| (interest.dimension.clone(), target(&interest.target));
        AudienceMapping {
            tags: self.merge_fields.iter().map(|field| field.tag.clone()).collect(),
            dimensions: self.interests.iter().map(dimension).collect(),
            group_tags: self.working_groups.iter().map(|group| group.tag.clone()).collect(),
        }
    }
}
