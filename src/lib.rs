//! Rosterd keeps a membership register and a Mailchimp audience telling the same story.

pub mod clock;
pub mod config;
pub mod mailchimp;
pub mod model;
pub mod reconcile;
pub mod registrations;
pub mod sandbox;
pub mod state;
pub mod telemetry;
