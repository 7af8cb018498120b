//! From Mailchimp's names to ours: a member row into a contact, by the audience's schema.

use std::collections::{BTreeMap, BTreeSet};

use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::wire::member::MemberRow;
use crate::mailchimp::wire::time;
use crate::model::{
    Contact, Dimension, EmailAddress, Interest, InvalidEmailAddress, MergeFields, MergeTag,
    SubscriptionStatus,
};
use crate::reconcile::policy::DimensionKind;

/// A member object carries at most this many tags.
/// <https://mailchimp.com/developer/marketing/api/list-members/>
const MAX_TAGS_SHOWN: usize = 50;

/// The schema turned about: from what stands on the wire to the local names.
#[derive(Clone, Debug)]
pub struct Dictionary {
    fields: Vec<(String, MergeTag)>,
    interests: BTreeMap<String, Interest>,
    tag_dimensions: Vec<(String, Dimension)>,
    group_tags: Vec<String>,
}

/// A contact as far as one answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The contact.
    pub contact: Contact,
    /// Whether its tags are complete.
    pub tags: TagsShown,
}

/// Whether an answer shows all tags of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagsShown {
    /// All that are mapped, or none is mapped.
    All,
    /// There are more than the answer has: the list of tags must be read.
    Some,
}

/// Why a row is no contact.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnreadableRow {
    /// Somebody permanently deleted, shown under a stand-in address.
    #[error("the person was permanently deleted")]
    Forgotten,
    /// Nothing to write mails to, a telephone number only.
    #[error("the contact has no address")]
    NoAddress,
    /// The address has not the form of one.
    #[error("the contact's address cannot be read")]
    Address(#[source] InvalidEmailAddress),
    /// Neither `contact_id` nor `id`.
    #[error("the contact has no id")]
    NoId,
    /// A status that the API does not describe.
    #[error("the contact has the unknown status {0:?}")]
    Status(String),
}

/// Whether tags are read at all.
pub fn reads_tags(schema: &AudienceSchema) -> bool {
    let of_tags = |kind: &DimensionKind| matches!(kind, DimensionKind::Tags { .. });
    !schema.group_tags.is_empty() || schema.dimensions.values().any(|dimension| of_tags(&dimension.kind))
}

impl Dictionary {
    /// The dictionary of a schema.
    pub fn new(schema: &AudienceSchema) -> Self {
        let mut interests = BTreeMap::new();
        let mut tag_dimensions = Vec::new();
        for (dimension, found) in &schema.dimensions {
            for (id, name) in &found.interests {
                let interest = Interest { dimension: dimension.clone(), name: name.clone() };
                interests.insert(id.clone(), interest);
            }
            if let DimensionKind::Tags { prefix } = &found.kind {
                tag_dimensions.push((prefix.clone(), dimension.clone()));
            }
        }
        Self {
            fields: schema.fields.iter().map(|(tag, f)| (f.wire_tag.clone(), tag.clone())).collect(),
            interests,
            tag_dimensions,
            group_tags: schema.group_tags.clone(),
        }
    }

    /// Reads a member in local names; what is not mapped is left out.
    pub fn read(&self, row: &MemberRow<'_>) -> Result<Sighting, UnreadableRow> {
        let address = row.email_address.trim();
        if address.is_empty() {
            return Err(UnreadableRow::NoAddress);
        }
        let email = EmailAddress::parse(address).map_err(UnreadableRow::Address)?;
        if email.is_forgotten() {
            return Err(UnreadableRow::Forgotten);
        }
        let Some(status) = SubscriptionStatus::parse(&row.status) else {
            return Err(UnreadableRow::Status(word(&row.status).to_owned()));
        };
        // Without an id nothing can be asked or written.
        let id = match (&*row.id, &*row.contact_id) {
            ("", "") => return Err(UnreadableRow::NoId),
            ("", contact_id) => contact_id,
            (id, _) => id,
        };
        let mut contact = Contact {
            contact_id: row.key(),
            path_id: id.to_owned(),
            email,
            status,
            fields: self.fields(row),
            interests: self.interests(row),
            group_tags: BTreeSet::new(),
            unique_email_id: row.unique_email_id.to_string(),
            last_changed: time::read(&row.last_changed),
            timestamp_opt: time::read(&row.timestamp_opt),
        };
        self.set_tags(&mut contact, row.tags.iter().map(|tag| &*tag.name));
        Ok(Sighting { contact, tags: self.tags_shown(row) })
    }

    /// Replaces everything that tags say about a contact.
    pub fn set_tags<'t>(&self, contact: &mut Contact, names: impl Iterator<Item = &'t str>) {
        contact.group_tags.clear();
        contact.interests.retain(|interest| {
            !self.tag_dimensions.iter().any(|(_, dimension)| *dimension == interest.dimension)
        });
        if self.tag_dimensions.is_empty() && self.group_tags.is_empty() {
            return;
        }
        for name in names.map(str::trim) {
            // Mailchimp may keep another capitalisation than the one that was sent.
            if let Some(owned) = self.group_tags.iter().find(|tag| same(tag, name)) {
                contact.group_tags.insert(owned.clone());
            }
            for (prefix, dimension) in &self.tag_dimensions {
                let rest = strip_prefix(name, prefix).map(str::trim).unwrap_or_default();
                if !rest.is_empty() {
                    let interest = Interest { dimension: dimension.clone(), name: rest.to_owned() };
                    contact.interests.insert(interest);
                }
            }
        }
    }

    fn fields(&self, row: &MemberRow<'_>) -> MergeFields {
        let value = |wire_tag: &str| {
            let found = row.merge_fields.0.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(wire_tag));
            found.map(|(_, value)| value.0.to_string()).unwrap_or_default()
        };
        self.fields.iter().map(|(wire_tag, tag)| (tag.clone(), value(wire_tag))).collect()
    }

    fn interests(&self, row: &MemberRow<'_>) -> BTreeSet<Interest> {
        let chosen = row.interests.0.iter().filter(|(_, chosen)| chosen.is_yes());
        chosen.filter_map(|(id, _)| self.interests.get(&**id).cloned()).collect()
    }

    fn tags_shown(&self, row: &MemberRow<'_>) -> TagsShown {
        let cut = match row.tags_count {
            Some(count) => count > row.tags.len(),
            None => row.tags.len() >= MAX_TAGS_SHOWN,
        };
        let read = !self.group_tags.is_empty() || !self.tag_dimensions.is_empty();
        if cut && read { TagsShown::Some } else { TagsShown::All }
    }
}

/// A text that is shown as it came: a short word, or `…` for what could be anything, an address included.
pub fn word(text: &str) -> &str {
    let is_word = text.len() <= 40 && text.chars().all(|c| c.is_ascii_alphanumeric() || " _-".contains(c));
    if is_word { text } else { "…" }
}

/// Whether two texts differ in case at most.
pub fn same(one: &str, other: &str) -> bool {
    let one = one.trim().chars().flat_map(char::to_lowercase);
    one.eq(other.trim().chars().flat_map(char::to_lowercase))
}

/// What follows `prefix`, compared without regard to case.
fn strip_prefix<'t>(text: &'t str, prefix: &str) -> Option<&'t str> {
    let mut rest = text.chars();
    for expected in prefix.chars() {
        if !rest.next()?.to_lowercase().eq(expected.to_lowercase()) {
            return None;
        }
    }
    Some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_could_be_anything_is_not_repeated() {
        let dictionary = Dictionary::new(&AudienceSchema::default());
        for (status, said) in [("on hold", "\"on hold\""), ("ada@alliance.test", "\"…\"")] {
            let json = format!(r#"{{"id":"1","email_address":"ada@alliance.test","status":"{status}"}}"#);
            let row: MemberRow<'_> = serde_json::from_str(&json).unwrap();
            let error = dictionary.read(&row).unwrap_err().to_string();
            assert_eq!(error, format!("the contact has the unknown status {said}"));
        }
        assert_eq!((word(&"a".repeat(40)).len(), word(&"a".repeat(41))), (40, "…"));
    }
}
