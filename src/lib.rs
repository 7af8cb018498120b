//! Rosterd keeps a membership register and a Mailchimp audience telling the same story.

pub mod clock;
pub mod mailchimp;
pub mod sandbox;
