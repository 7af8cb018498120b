//! The API's error documents, `application/problem+json`.

use serde_json::Value;
use serde_json::json;

/// What `type` of every problem says; it tells nothing apart.
const ERRORS_PAGE: &str = "https://mailchimp.com/developer/marketing/docs/errors/";
const SEE_ERRORS: &str =
    "The resource submitted could not be validated. For field-specific details, see the 'errors' array.";

/// A refusal, on its way to becoming an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The short name of the kind of problem.
    pub(crate) title: String,
    /// What is wrong, in words.
    pub(crate) detail: String,
    /// Field and message of each single mistake.
    pub(crate) errors: Vec<(String, String)>,
    /// The `Allow` header, on 405.
    pub(crate) allow: Option<String>,
}

impl Problem {
    /// A problem without single mistakes.
    pub(crate) fn new(status: u16, title: &str, detail: impl Into<String>) -> Self {
        Self { status, title: title.to_owned(), detail: detail.into(), errors: Vec::new(), allow: None }
    }

    /// `Invalid Resource` with words of its own.
    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(400, "Invalid Resource", detail)
    }

    /// `Invalid Resource` with the mistakes listed.
    pub(crate) fn fields(errors: Vec<(String, String)>) -> Self {
        Self { errors, ..Self::invalid(SEE_ERRORS) }
    }

    /// `Invalid Resource` with one mistake.
    pub(crate) fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![(field.to_owned(), message.into())])
    }

    /// The merge fields that were sent, or are stored, do not hold.
    pub(crate) fn merge_fields(errors: Vec<(String, String)>) -> Self {
        Self { errors, ..Self::invalid("Your merge fields were invalid.") }
    }

    /// 404.
    pub(crate) fn not_found() -> Self {
        Self::new(404, "Resource Not Found", "The requested resource could not be found.")
    }

    /// 405 for a method that the resource does not know.
    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let detail = "The requested method and resource are not compatible. \
                      See the Allow header for this resource's available methods.";
        Self { allow: Some(allow), ..Self::new(405, "Method Not Allowed", detail) }
    }

    /// 405 for a member that cannot be archived.
    pub(crate) fn cannot_archive() -> Self {
        let detail = "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived";
        Self { allow: Some("GET, PUT".to_owned()), ..Self::new(405, "Method Not Allowed", detail) }
    }

    /// 401 for a wrong key.
    pub(crate) fn wrong_key() -> Self {
        let detail = "Your API key may be invalid, or you've attempted to access the wrong datacenter.";
        Self::new(401, "API Key Invalid", detail)
    }

    /// 401 for no key.
    pub(crate) fn no_key() -> Self {
        Self::new(401, "API Key Missing", "Your request did not include an API key.")
    }

    /// 429 for the eleventh connection.
    pub(crate) fn too_many_requests() -> Self {
        let detail = "You have exceeded the limit of 10 simultaneous connections.";
        Self::new(429, "Too Many Requests", detail)
    }

    /// 400 for a body that is not JSON.
    pub(crate) fn not_json() -> Self {
        let detail = "We encountered an unspecified JSON parsing error. \
                      This error is likely caused by a bad character or invalid character encoding.";
        Self::new(400, "JSON Parse Exception", detail)
    }

    /// `POST` of an address that is there.
    pub(crate) fn member_exists(email: &str) -> Self {
        let detail = format!("{email} is already a list member. Use PUT to insert or update list members.");
        Self::new(400, "Member Exists", detail)
    }

    /// An address that was deleted for good.
    pub(crate) fn forgotten(email: &str) -> Self {
        let detail = format!(
            "{email} was permanently deleted and cannot be re-imported. \
             The contact must re-subscribe to get back on the list."
        );
        Self::new(400, "Forgotten Email Not Subscribed", detail)
    }

    /// Somebody who left, complained or bounced cannot be subscribed by API.
    pub(crate) fn compliance(email: &str) -> Self {
        let detail = format!(
            "{email} is in a compliance state due to unsubscribe, bounce, or compliance review \
             and cannot be subscribed."
        );
        Self::new(400, "Member In Compliance State", detail)
    }

    /// An address that signs up too often; passes by itself.
    pub(crate) fn many_lists(email: &str) -> Self {
        let detail = format!(
            "{email} has signed up to a lot of lists very recently; we're not allowing more signups for now"
        );
        Self::invalid(detail)
    }

    /// The body of the answer.
    pub(crate) fn body(&self, request_id: &str) -> Vec<u8> {
        let mut document = json!({
            "type": ERRORS_PAGE,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "instance": request_id,
        });
        if !self.errors.is_empty() {
            let errors =
                self.errors.iter().map(|(field, message)| json!({"field": field, "message": message}));
            document["errors"] = Value::Array(errors.collect());
        }
        document.to_string().into_bytes()
    }

    /// The mistakes in one line, as `POST /lists/{id}` and batches tell them.
    pub(crate) fn sentence(&self) -> String {
        match self.errors.first() {
            Some((_, message)) => message.clone(),
            None => self.detail.clone(),
        }
    }
}
