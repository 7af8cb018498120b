//! `[[working_group]]`: who belongs to a group, by what members say of themselves.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::mapping;
use crate::config::mapping::Mapped;
use crate::config::mistake::Mistake;
use crate::config::section::Section;
use crate::config::values;
use crate::model::{Interest, MergeTag};
use crate::reconcile::policy::WorkingGroup;

/// What the tag of a group begins with, where the file names none.
const TAG_PREFIX: &str = "WG: ";

/// The names and tags that are taken already, in lower case.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    names: BTreeSet<String>,
    tags: BTreeSet<String>,
}

/// Reads one `[[working_group]]`.
pub(crate) fn read(section: &mut Section<'_>, mapped: &Mapped, taken: &mut Taken) -> Option<WorkingGroup> {
    let name = section.require("name", values::text);
    let tag = read_tag(section, name.as_deref(), mapped, taken);
    let any = read_interests(section, "any", mapped);
    let all = read_interests(section, "all", mapped);
    let none = read_interests(section, "none", mapped);
    let membership: BTreeSet<String> =
        section.read("membership", values::texts).unwrap_or_default().into_iter().collect();
    let fields = section.optional_table("fields", |fields| read_fields(fields, mapped)).unwrap_or_default();
    if ["any", "all", "membership", "fields"].iter().all(|key| !section.has(key)) {
        section.problem("name", &Mistake::NoRule);
    }
    let impossible = all.intersection(&none).next();
    let impossible = impossible.or_else(|| any.iter().next().filter(|_| any.is_subset(&none)));
    if let Some(interest) = impossible {
        section.problem("none", &Mistake::Contradiction(interest.to_string()));
    }
    Some(WorkingGroup { name: name?, tag: tag?, any, all, none, membership, fields })
}

/// The group's tag: its own, and none that would be read as an interest.
fn read_tag(
    section: &mut Section<'_>,
    name: Option<&str>,
    mapped: &Mapped,
    taken: &mut Taken,
) -> Option<String> {
    let given = section.read("tag", values::text);
    let key = if section.has("tag") { "tag" } else { "name" };
    let tag = if section.has("tag") { given } else { name.map(|name| format!("{TAG_PREFIX}{name}")) };
    if let Some(name) = name
        && !taken.names.insert(name.to_lowercase())
    {
        section.problem("name", &Mistake::Twice(name.to_owned()));
        return tag;
    }
    let tag = tag?;
    if !taken.tags.insert(tag.to_lowercase()) {
        section.problem(key, &Mistake::TagTwice(tag.clone()));
    }
    for (dimension, _) in mapped.prefixes.iter().filter(|(_, prefix)| mapping::begins_with(&tag, prefix)) {
        let (tag, dimension) = (tag.clone(), dimension.to_string());
        section.problem(key, &Mistake::TagInDimension { tag, dimension });
    }
    Some(tag)
}

/// A list of interests as `dimension:name`, of mapped dimensions only.
fn read_interests(section: &mut Section<'_>, key: &str, mapped: &Mapped) -> BTreeSet<Interest> {
    let mut interests = BTreeSet::new();
    for rule in section.read(key, values::texts).unwrap_or_default() {
        match Interest::parse(&rule) {
            None => section.problem(key, &Mistake::Interest(rule)),
            Some(interest) if !mapped.dimensions.contains(&interest.dimension) => {
                let dimension = interest.dimension.to_string();
                section.problem(key, &Mistake::Unmapped { dimension, rule });
            }
            Some(interest) => {
                interests.insert(interest);
            }
        }
    }
    interests
}

/// `fields = { COUNTRY = ["Kenya", "Uganda"] }`: mapped merge tags, each with the values that count.
fn read_fields(section: &mut Section<'_>, mapped: &Mapped) -> BTreeMap<MergeTag, BTreeSet<String>> {
    let mut fields = BTreeMap::new();
    for key in section.unread_keys() {
        let Some(wanted) = section.read_unlisted(&key, values::texts) else { continue };
        match MergeTag::parse(&key) {
            Err(error) => section.problem(&key, &error.into()),
            Ok(tag) if !mapped.tags.contains(&tag) => {
                section.problem(&key, &Mistake::UnmappedTag(tag.to_string()));
            }
            Ok(_) if wanted.is_empty() => section.problem(&key, &Mistake::Empty),
            Ok(tag) => {
                fields.entry(tag).or_insert_with(BTreeSet::new).extend(wanted);
            }
        }
    }
    fields
}
