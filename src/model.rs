//! The nouns both sides agree to speak of: pure values, parsed once.

mod contact;
mod email;
mod interest;
mod merge_field;
mod registration;
mod status;
mod value;

pub use contact::{Contact, ContactId, MemberId};
pub use email::{EmailAddress, InvalidEmailAddress, SubscriberHash};
pub use interest::{Dimension, Interest, InterestSet};
pub use merge_field::{FieldKind, InvalidMergeTag, MergeFields, MergeTag};
pub use registration::{Registration, RegistrationId, UnusableRegistration};
pub use status::SubscriptionStatus;
pub use value::{Change, Key, Value};
