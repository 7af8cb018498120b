//! `[[merge_field]]` and `[[interest]]`: what of a registration stands where in the audience.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::mistake::Mistake;
use crate::config::section::Section;
use crate::config::values;
use crate::model::{Dimension, MergeTag};
use crate::reconcile::policy::Direction;

/// A value of the register and the merge field it is kept in step with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeFieldConfig {
    /// Where the value comes from.
    pub source: FieldSource,
    /// The audience's merge tag.
    pub tag: MergeTag,
    /// Which way it travels.
    pub direction: Direction,
}

/// Where the value of a merge field comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldSource {
    /// A column of the register.
    Column(String),
    /// The configuration: everybody's is this one.
    Constant(String),
}

/// A dimension of interests and where it stands in the audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterestConfig {
    /// The register's name of it.
    pub dimension: Dimension,
    /// Where it stands in the audience.
    pub target: InterestTarget,
}

/// Where a dimension stands in the audience.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InterestTarget {
    /// In the interest category with this title.
    Category(String),
    /// In the tags that begin with this prefix, white space included.
    TagPrefix(String),
}

/// What the file maps, right or wrong in its details: what the rules of working groups may speak of.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    pub(crate) tags: BTreeSet<MergeTag>,
    pub(crate) dimensions: BTreeSet<Dimension>,
    pub(crate) prefixes: BTreeMap<Dimension, String>,
    columns: BTreeSet<String>,
    categories: BTreeSet<String>,
}

/// Reads one `[[merge_field]]`.
pub(crate) fn read_merge_field(section: &mut Section<'_>, mapped: &mut Mapped) -> Option<MergeFieldConfig> {
    let column = section.read("column", values::text);
    let constant = section.read("value", values::text);
    if section.has("column") == section.has("value") {
        let keys = ["column", "value"].map(str::to_owned).to_vec();
        section.problem(if section.has("column") { "value" } else { "column" }, &Mistake::ExactlyOne(keys));
    }
    let tag = section.require("tag", |value| {
        let tag = MergeTag::parse(&values::text(value)?)?;
        if tag.as_str() == "EMAIL" { Err(Mistake::AddressField) } else { Ok(tag) }
    });
    let directions = [
        ("both", Direction::Both),
        ("to_mailchimp", Direction::ToMailchimp),
        ("to_local", Direction::ToLocal),
    ];
    let given = section.read("direction", |value| values::word(value, &directions));
    let direction = match (&constant, given) {
        (Some(_), None | Some(Direction::ToMailchimp)) => Direction::ToMailchimp,
        (Some(_), Some(Direction::Both | Direction::ToLocal)) => {
            section.problem("direction", &Mistake::ConstantDirection);
            Direction::ToMailchimp
        }
        (None, given) => given.unwrap_or_default(),
    };
    if column.as_ref().is_some_and(|column| !mapped.columns.insert(column.to_lowercase())) {
        section.problem("column", &Mistake::Twice(column.clone().unwrap_or_default()));
    }
    if tag.as_ref().is_some_and(|tag| !mapped.tags.insert(tag.clone())) {
        section.problem("tag", &Mistake::Twice(tag.as_ref().map(MergeTag::to_string).unwrap_or_default()));
    }
    let source = column.map(FieldSource::Column).or(constant.map(FieldSource::Constant))?;
    Some(MergeFieldConfig { source, tag: tag?, direction })
}

/// Notes a merge field whose column holds the address or the consent: those travel by their own rules.
pub(crate) fn refuse_reserved(section: &Section<'_>, field: &MergeFieldConfig, mapping: &toml::Table) {
    let columns = mapping.get("columns").and_then(toml::Value::as_table);
    let named = |name: &'static str| {
        columns.and_then(|columns| columns.get(name)).and_then(toml::Value::as_str).unwrap_or(name)
    };
    let FieldSource::Column(column) = &field.source else { return };
    let is = |name| column.eq_ignore_ascii_case(named(name));
    if is("email") {
        section.problem("column", &Mistake::AddressField);
    } else if is("subscription") || is("subscription_changed_at") || is("unsubscribed_at") {
        section.problem("column", &Mistake::ConsentField(column.clone()));
    }
}

/// Reads one `[[interest]]`.
pub(crate) fn read_interest(section: &mut Section<'_>, mapped: &mut Mapped) -> Option<InterestConfig> {
    let dimension = section.require("dimension", |value| {
        let name = values::text(value)?;
        if name.contains(':') { Err(Mistake::DimensionColon) } else { Ok(Dimension::new(&name)) }
    });
    if let Some(dimension) = &dimension
        && !mapped.dimensions.insert(dimension.clone())
    {
        section.problem("dimension", &Mistake::Twice(dimension.to_string()));
    }
    let category = section.read("category", values::text);
    let prefix = section.read("tag_prefix", values::verbatim);
    if section.has("category") == section.has("tag_prefix") {
        let keys = ["category", "tag_prefix"].map(str::to_owned).to_vec();
        section.problem(
            if section.has("category") { "tag_prefix" } else { "category" },
            &Mistake::ExactlyOne(keys),
        );
    }
    if let Some(category) = &category
        && !mapped.categories.insert(category.to_lowercase())
    {
        section.problem("category", &Mistake::Twice(category.clone()));
    }
    let dimension = dimension?;
    if let Some(prefix) = &prefix {
        note_prefix(section, &dimension, prefix, mapped);
    }
    let target = category.map(InterestTarget::Category).or(prefix.map(InterestTarget::TagPrefix))?;
    Some(InterestConfig { dimension, target })
}

/// Two prefixes of which one begins the other would both claim a tag.
fn note_prefix(section: &Section<'_>, dimension: &Dimension, prefix: &str, mapped: &mut Mapped) {
    for (other, taken) in &mapped.prefixes {
        if begins_with(prefix, taken) || begins_with(taken, prefix) {
            let (prefix, dimension) = (prefix.to_owned(), other.to_string());
            section.problem("tag_prefix", &Mistake::PrefixOverlap { prefix, dimension });
        }
    }
    mapped.prefixes.entry(dimension.clone()).or_insert_with(|| prefix.to_owned());
}

/// Whether a tag begins with a prefix, without regard to case.
pub(crate) fn begins_with(tag: &str, prefix: &str) -> bool {
    tag.to_lowercase().starts_with(&prefix.to_lowercase())
}
