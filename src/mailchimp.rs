//! The remote side: one Mailchimp audience, Marketing API 3.0.

pub mod transport;
