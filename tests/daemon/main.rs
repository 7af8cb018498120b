//! The real cycle between a register and a sandbox audience: what people do on either side, and what becomes of it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod adoption;
mod attending;
mod batch_crash;
mod batches;
mod collisions;
mod crash;
mod floods;
mod groups;
mod halting;
mod leaving;
mod many_tags;
mod midway;
mod movement;
mod moving;
mod noticing;
#[path = "../world/parts.rs"]
mod parts;
mod register;
mod requests;
mod returning;
mod served;
mod sides;
mod story;
mod tap;
mod unreadable;
mod unusable;
mod walks;
mod weather;
mod web_events;
mod web_reading;
mod web_webhook;
mod world;
