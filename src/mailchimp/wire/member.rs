//! A member as Mailchimp shows it, and the collections that hold members.

use serde::Deserialize;

use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::wire::field_value::FieldText;
use crate::mailchimp::wire::reading;
use crate::mailchimp::wire::text;
use crate::mailchimp::wire::text::{Pairs, Text};
use crate::model::ContactId;

/// What is always asked for; the rest depends on the mapping.
const KEYS: [&str; 7] =
    ["id", "contact_id", "email_address", "status", "unique_email_id", "last_changed", "timestamp_opt"];

/// One member, borrowed from the body.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MemberRow<'a> {
    /// What the paths take; mostly the subscriber hash.
    #[serde(borrow)]
    pub id: Text<'a>,
    /// The key that survives a change of address.
    #[serde(borrow)]
    pub contact_id: Text<'a>,
    /// The address.
    #[serde(borrow)]
    pub email_address: Text<'a>,
    /// The status.
    #[serde(borrow)]
    pub status: Text<'a>,
    /// What preference-center links are made of.
    #[serde(borrow)]
    pub unique_email_id: Text<'a>,
    /// When anything last changed.
    #[serde(borrow)]
    pub last_changed: Text<'a>,
    /// When the person last opted in.
    #[serde(borrow)]
    pub timestamp_opt: Text<'a>,
    /// The merge fields by their tag.
    #[serde(borrow)]
    pub merge_fields: Pairs<'a, FieldText<'a>>,
    /// The interests by their id, yes or no.
    #[serde(borrow)]
    pub interests: Pairs<'a, Text<'a>>,
    /// At most fifty of the tags.
    #[serde(borrow, deserialize_with = "text::null_is_empty")]
    pub tags: Vec<TagRow<'a>>,
    /// How many tags there are.
    pub tags_count: Option<usize>,
}

impl MemberRow<'_> {
    /// The key of the contact; answers of before 2021 know no `contact_id`.
    pub fn key(&self) -> ContactId {
        ContactId::new(if self.contact_id.is_empty() { &*self.id } else { &*self.contact_id })
    }
}

/// A tag of a member.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TagRow<'a> {
    /// Its name.
    #[serde(borrow)]
    pub name: Text<'a>,
}

/// A page of `GET /lists/{list_id}/members`; both keys must be there, or a broken answer looked like an empty audience.
#[derive(Clone, Debug, Deserialize)]
pub struct MembersAnswer<'a> {
    /// The members of the page.
    #[serde(borrow)]
    pub members: Vec<MemberRow<'a>>,
    /// How many members match, whatever the paging.
    pub total_items: usize,
}

/// `GET /lists/{list_id}/members/{subscriber_hash}/tags`.
#[derive(Clone, Debug, Deserialize)]
pub struct TagsAnswer<'a> {
    /// The tags.
    #[serde(borrow)]
    pub tags: Vec<TagRow<'a>>,
}

/// The answer of `POST /lists/{list_id}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BulkAnswer<'a> {
    /// Members that were created.
    #[serde(borrow)]
    pub new_members: Vec<MemberRow<'a>>,
    /// Members that were there and were changed.
    #[serde(borrow)]
    pub updated_members: Vec<MemberRow<'a>>,
    /// Members that were refused.
    #[serde(borrow)]
    pub errors: Vec<BulkError<'a>>,
}

/// A refusal within the answer of `POST /lists/{list_id}`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BulkError<'a> {
    /// The address as it was sent.
    #[serde(borrow)]
    pub email_address: Text<'a>,
    /// Mailchimp's words.
    #[serde(borrow)]
    pub error: Text<'a>,
    /// `ERROR_CONTACT_EXISTS` or `ERROR_GENERIC`.
    #[serde(borrow)]
    pub error_code: Text<'a>,
    /// The merge tag of the field at fault, where there is one.
    #[serde(borrow)]
    pub field: Text<'a>,
    /// What is wrong with the field.
    #[serde(borrow)]
    pub field_message: Text<'a>,
}

/// The `fields` parameter of a page of members: nothing but what is mapped.
///
/// Merge fields and interests are asked for whole: that a filter may reach into them is documented nowhere, users
/// report both that it works and that it does not, and an unknown name is an error.
/// <https://mailchimp.com/developer/marketing/docs/methods-parameters/#partial-responses>
pub fn page_fields(schema: &AudienceSchema) -> String {
    let keys = keys(schema).into_iter().map(|key| format!("members.{key}"));
    std::iter::once("total_items".to_owned()).chain(keys).collect::<Vec<_>>().join(",")
}

/// The `fields` parameter of a single member.
pub fn member_fields(schema: &AudienceSchema) -> String {
    keys(schema).join(",")
}

fn keys(schema: &AudienceSchema) -> Vec<&'static str> {
    let mut keys = KEYS.to_vec();
    if !schema.fields.is_empty() {
        keys.push("merge_fields");
    }
    if schema.dimensions.values().any(|dimension| !dimension.interests.is_empty()) {
        keys.push("interests");
    }
    if reading::reads_tags(schema) {
        keys.extend(["tags", "tags_count"]);
    }
    keys
}
