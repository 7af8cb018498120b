//! Rosterd keeps a membership register and a Mailchimp audience telling the same story.

pub mod apply;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cycle;
pub mod daemon;
pub mod mailchimp;
pub mod model;
pub mod observe;
pub mod progress;
pub mod reconcile;
pub mod registrations;
pub mod sandbox;
pub mod state;
pub mod telemetry;
pub mod worker;
