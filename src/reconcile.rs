//! PURE: what to do about one member, from what the base remembers and both sides show.

pub mod consent;
pub mod plan;
pub mod policy;
pub mod trio;
