//! Switches for what differs between accounts, or is not known of Mailchimp.

use std::time::Duration;

/// What `POST /lists/{id}` does with an archived address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchivedInBulk {
    /// It comes back, as with `POST …/members`.
    Revived,
    /// It is an existing contact: `ERROR_CONTACT_EXISTS`.
    Refused,
}

/// What `POST /lists/{id}` with `update_existing` does when it may not subscribe somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComplianceInBulk {
    /// The member is among the errors.
    Refused,
    /// The member is among the updated ones, with the status unchanged.
    Ignored,
}

/// How the pretend account is set up, and which of two possible answers it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxOptions {
    /// Ids, the order of batch operations and the chances of faults follow from it.
    pub seed: u64,
    /// Whether forms ask for a confirmation by mail. The API does not care.
    pub double_optin: bool,
    /// Archived members in `POST /lists/{id}`.
    pub archived_in_bulk: ArchivedInBulk,
    /// Members in a compliance state in `POST /lists/{id}`.
    pub compliance_in_bulk: ComplianceInBulk,
    /// An account under review: who is subscribed by API becomes pending, and is mailed.
    pub under_review: bool,
    /// Whether adding or removing a tag moves `last_changed`.
    pub tags_move_last_changed: bool,
    /// Whether `since_…` filters show rows of the very second asked for.
    pub since_is_inclusive: bool,
    /// One member in so many gets an `id` that is not the MD5 of the address, as on old lists.
    pub odd_id_every: Option<u32>,
    /// Whether new webhooks are signed.
    pub sign_webhooks: bool,
    /// How long a batch stays in each of its states before it is finished.
    pub batch_step: Duration,
    /// How many connections may be open at a time.
    pub connections: usize,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self {
            seed: 1,
            double_optin: false,
            archived_in_bulk: ArchivedInBulk::Revived,
            compliance_in_bulk: ComplianceInBulk::Refused,
            under_review: false,
            tags_move_last_changed: true,
            since_is_inclusive: false,
            odd_id_every: None,
            sign_webhooks: true,
            batch_step: Duration::from_secs(1),
            connections: 10,
        }
    }
}
