//! The consent rule: nothing but the person's own later opt-in undoes an opt-out.

use serde::{Deserialize, Serialize};

use crate::model::SubscriptionStatus;

/// A status that the consent rule decided; nothing else can make one, and nothing else is sent as a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DecidedStatus(SubscriptionStatus);

impl DecidedStatus {
    /// The status to send.
    pub fn get(self) -> SubscriptionStatus {
        self.0
    }

    /// Whether it may bring mail to somebody: both sides are read again right before it is sent.
    pub fn raises_consent(self) -> bool {
        matches!(self.0, SubscriptionStatus::Subscribed | SubscriptionStatus::Pending)
    }
}
