//! The audience itself: its settings, merge fields, interest categories, interests and webhooks.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde::Deserialize;

use crate::mailchimp::wire::text;

/// The `fields` parameter that goes with [`ListAnswer`].
pub const LIST_FIELDS: &str = "id,name,subscribe_url_long,double_optin";

/// `GET /lists/{list_id}`. <https://mailchimp.com/developer/marketing/api/lists/>
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ListAnswer {
    /// The audience's id.
    pub id: String,
    /// Its name.
    #[serde(deserialize_with = "text::null_is_empty")]
    pub name: String,
    /// Its sign-up form.
    pub subscribe_url_long: Option<String>,
    /// Whether its forms ask for confirmation.
    #[serde(deserialize_with = "text::null_is_empty")]
    pub double_optin: bool,
}

/// The `fields` parameter that goes with [`MergeFieldsAnswer`].
pub const MERGE_FIELD_FIELDS: &str =
    "merge_fields.merge_id,merge_fields.tag,merge_fields.type,merge_fields.options";

/// `GET /lists/{list_id}/merge-fields`. <https://mailchimp.com/developer/marketing/api/list-merges/>
///
/// As in all collections here the rows must be there: a broken answer would look like a field that vanished.
#[derive(Clone, Debug, Deserialize)]
pub struct MergeFieldsAnswer {
    /// The merge fields.
    pub merge_fields: Vec<MergeFieldRow>,
}

/// A merge field of the audience.
#[derive(Clone, Debug, Deserialize)]
pub struct MergeFieldRow {
    /// Its unchanging number.
    pub merge_id: i64,
    /// Its tag.
    #[serde(default)]
    pub tag: String,
    /// Its type.
    #[serde(default, rename = "type")]
    pub kind: String,
    /// Its options.
    #[serde(default, deserialize_with = "text::null_is_empty")]
    pub options: FieldOptions,
}

/// The options of a merge field.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct FieldOptions {
    /// The choices of a radio or dropdown field.
    #[serde(deserialize_with = "text::null_is_empty")]
    pub choices: Vec<String>,
}

/// The `fields` parameter that goes with [`CategoriesAnswer`].
pub const CATEGORY_FIELDS: &str = "categories.id,categories.title,categories.type";

/// `GET /lists/{list_id}/interest-categories`.
/// <https://mailchimp.com/developer/marketing/api/interest-categories/>
#[derive(Clone, Debug, Deserialize)]
pub struct CategoriesAnswer {
    /// The categories.
    pub categories: Vec<CategoryRow>,
}

/// An interest category.
#[derive(Clone, Debug, Deserialize)]
pub struct CategoryRow {
    /// Its id.
    #[serde(deserialize_with = "text::not_empty")]
    pub id: String,
    /// Its title.
    #[serde(default)]
    pub title: String,
    /// `checkboxes`, `dropdown`, `radio` or `hidden`.
    #[serde(default, rename = "type")]
    pub kind: String,
}

/// The `fields` parameter that goes with [`InterestsAnswer`].
pub const INTEREST_FIELDS: &str = "interests.id,interests.name";

/// `GET /lists/{list_id}/interest-categories/{interest_category_id}/interests`.
/// <https://mailchimp.com/developer/marketing/api/interests/>
#[derive(Clone, Debug, Deserialize)]
pub struct InterestsAnswer {
    /// The interests.
    pub interests: Vec<InterestRow>,
}

/// An interest.
#[derive(Clone, Debug, Deserialize)]
pub struct InterestRow {
    /// Its id.
    #[serde(deserialize_with = "text::not_empty")]
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// `GET /lists/{list_id}/webhooks`. <https://mailchimp.com/developer/marketing/api/list-webhooks/>
#[derive(Clone, Debug, Deserialize)]
pub struct WebhooksAnswer {
    /// The webhooks.
    pub webhooks: Vec<WebhookRow>,
}

/// A webhook. Its URL holds a secret path and its creation a signing secret: `Debug` shows neither.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct WebhookRow {
    /// Its id.
    pub id: String,
    /// What it calls.
    pub url: String,
    /// What makes it call, by name.
    #[serde(deserialize_with = "text::null_is_empty")]
    pub events: BTreeMap<String, bool>,
    /// Whose doing makes it call, by name.
    #[serde(deserialize_with = "text::null_is_empty")]
    pub sources: BTreeMap<String, bool>,
    /// Whether its calls are signed; webhooks that are older than signatures stay without.
    pub signing_enabled: bool,
    /// The secret that signs its calls, in the answer to its creation only.
    pub signing_secret: Option<SecretString>,
}

impl std::fmt::Debug for WebhookRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRow").field("id", &self.id).finish_non_exhaustive()
    }
}
