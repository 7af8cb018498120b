//! What the configuration and the register name and the audience lacks. Pure.

use std::collections::BTreeSet;

use crate::cli::fit::MAX_INTERESTS;
use crate::cli::fit::audience::Audience;
use crate::cli::fit::rows::Rows;
use crate::cli::mapped::Mapped;
use crate::config::{InterestConfig, InterestTarget, MergeFieldConfig};
use crate::mailchimp::schema::DimensionSchema;
use crate::model::{Dimension, Interest};

/// What the audience lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::cli) struct Lacking {
    /// Merge fields.
    pub(in crate::cli) merge_fields: Vec<MergeFieldConfig>,
    /// Categories that are missing, or that lack interests.
    pub(in crate::cli) categories: Vec<LackingCategory>,
    /// Interests that differ from one of the audience's in case only: Mailchimp would refuse them.
    pub(in crate::cli) twins: Vec<Twin>,
    /// How many interests the audience has, over all categories.
    pub(in crate::cli) present: usize,
}

/// A category that is missing, or that lacks interests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct LackingCategory {
    /// The dimension that it stands for.
    pub(in crate::cli) dimension: Dimension,
    /// Its title in the configuration.
    pub(in crate::cli) title: String,
    /// Its id, where it is there.
    pub(in crate::cli) id: Option<String>,
    /// The names of the interests to create in it.
    pub(in crate::cli) interests: BTreeSet<String>,
}

/// An interest that the audience spells otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) struct Twin {
    /// As the register or a rule names it.
    pub(in crate::cli) named: Interest,
    /// As it is spelled in the audience, or will be.
    pub(in crate::cli) spelled: String,
}

impl Lacking {
    /// How many interests would be created.
    pub(in crate::cli) fn interests(&self) -> usize {
        self.categories.iter().map(|category| category.interests.len()).sum()
    }

    /// Why the interests would not all find room, if so.
    pub(in crate::cli) fn overflow(&self) -> Option<String> {
        let (present, more) = (self.present, self.interests());
        (present + more > MAX_INTERESTS).then(|| {
            format!(
                "the audience has {present} interests and {more} more are named; Mailchimp allows {MAX_INTERESTS} over \
                 all categories: map a dimension to tags with tag_prefix instead"
            )
        })
    }
}

/// Finds what the mapping, its working groups and the rows name and the audience lacks.
pub(in crate::cli) fn lacking(mapped: &Mapped<'_>, rows: &Rows, audience: &Audience) -> Lacking {
    let has = |field: &&MergeFieldConfig| audience.schema.fields.contains_key(&field.tag);
    let mut lacking = Lacking {
        merge_fields: mapped.merge_fields.iter().filter(|field| !has(field)).cloned().collect(),
        present: audience.offer.categories.iter().map(|category| category.interests.len()).sum(),
        ..Lacking::default()
    };
    for interest in mapped.interests {
        let InterestTarget::Category(title) = &interest.target else { continue };
        let there = audience.schema.dimensions.get(&interest.dimension);
        let mut category = LackingCategory {
            dimension: interest.dimension.clone(),
            title: title.clone(),
            id: there.map(|there| there.category_id.clone()),
            interests: BTreeSet::new(),
        };
        for name in missing_names(mapped, rows, interest, there) {
            let spelled = spellings(audience, &category).find(|other| is_one_name(other, &name));
            match spelled {
                Some(spelled) => {
                    let named = Interest { dimension: interest.dimension.clone(), name };
                    lacking.twins.push(Twin { named, spelled: spelled.to_owned() });
                }
                None => drop(category.interests.insert(name)),
            }
        }
        if category.id.is_none() || !category.interests.is_empty() {
            lacking.categories.push(category);
        }
    }
    lacking
}

/// The names of a dimension that its category lacks; those first that most rows use.
fn missing_names(
    mapped: &Mapped<'_>,
    rows: &Rows,
    interest: &InterestConfig,
    there: Option<&DimensionSchema>,
) -> Vec<String> {
    let groups = mapped.working_groups.iter();
    let ruled = groups.flat_map(|group| group.any.iter().chain(&group.all).chain(&group.none));
    let named: BTreeSet<&Interest> = rows.interests.keys().chain(ruled).collect();
    let is_there =
        |name: &str| there.is_some_and(|there| there.interests.values().any(|other| other == name));
    let mut names: Vec<&Interest> = named
        .into_iter()
        .filter(|named| named.dimension == interest.dimension && !is_there(&named.name))
        .collect();
    names.sort_by_key(|named| std::cmp::Reverse(rows.interests.get(*named).copied().unwrap_or_default()));
    names.into_iter().map(|named| named.name.clone()).collect()
}

/// The names that the category has on the wire, or will have.
fn spellings<'a>(audience: &'a Audience, category: &'a LackingCategory) -> impl Iterator<Item = &'a str> {
    let there = audience.offer.categories.iter().find(|there| Some(&there.id) == category.id.as_ref());
    there.into_iter().flat_map(|there| &there.interests).chain(&category.interests).map(String::as_str)
}

/// Whether two names are one to Mailchimp.
fn is_one_name(one: &str, other: &str) -> bool {
    one.trim().to_lowercase() == other.trim().to_lowercase()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::mailchimp::provision::OfferedCategory;
    use crate::reconcile::policy::{DimensionKind, WorkingGroup};

    /// An audience with one category of topics, whose interests have these names there and these here.
    fn with_topics(interests: &[(&str, &str)]) -> Audience {
        let names =
            |(number, (_, local)): (usize, &(&str, &str))| (format!("i{number}"), (*local).to_owned());
        let dimension = DimensionSchema {
            kind: DimensionKind::Checkboxes,
            category_id: "c1".to_owned(),
            interests: interests.iter().enumerate().map(names).collect(),
        };
        let mut audience = Audience::default();
        audience.schema.dimensions.insert(Dimension::new("topic"), dimension);
        audience.offer.categories.push(OfferedCategory {
            id: "c1".to_owned(),
            title: "Topics".to_owned(),
            interests: interests.iter().map(|(wire, _)| (*wire).to_owned()).collect(),
        });
        audience
    }

    #[track_caller]
    fn check(audience: &Audience, named: &[(&str, u64)], created: &[&str], twins: &[(&str, &str)]) {
        let interests = [InterestConfig {
            dimension: Dimension::new("topic"),
            target: InterestTarget::Category("Topics".to_owned()),
        }];
        let none = BTreeSet::from([Interest::new("topic", "Ruled")]);
        let group = [WorkingGroup { none, ..WorkingGroup::default() }];
        let mapped = Mapped { merge_fields: &[], interests: &interests, working_groups: &group };
        let counts: BTreeMap<_, _> =
            named.iter().map(|(name, count)| (Interest::new("topic", name), *count)).collect();
        let rows = Rows { interests: counts, ..Rows::default() };
        let lacking = lacking(&mapped, &rows, audience);
        let names: Vec<&str> =
            lacking.categories.iter().flat_map(|category| &category.interests).map(String::as_str).collect();
        assert_eq!(names, created);
        let found: Vec<_> =
            lacking.twins.iter().map(|twin| (twin.named.name.as_str(), twin.spelled.as_str())).collect();
        assert_eq!(found, twins);
    }

    #[test]
    fn interests_are_created_that_rows_and_rules_name() {
        check(&Audience::default(), &[("Finance", 2)], &["Finance", "Ruled"], &[]);
        check(&with_topics(&[("Finance", "Finance"), ("Ruled", "Ruled")]), &[("Finance", 2)], &[], &[]);
    }

    #[test]
    fn a_renamed_interest_is_not_created_anew() {
        check(&with_topics(&[("Public Finance", "Finance")]), &[("Finance", 2)], &["Ruled"], &[]);
    }

    #[test]
    fn of_two_spellings_one_is_created_the_one_that_more_rows_use() {
        check(
            &with_topics(&[("Finance", "Finance")]),
            &[("finance", 1)],
            &["Ruled"],
            &[("finance", "Finance")],
        );
        check(
            &Audience::default(),
            &[("FINANCE", 1), ("finance", 9)],
            &["Ruled", "finance"],
            &[("FINANCE", "finance")],
        );
    }
}
