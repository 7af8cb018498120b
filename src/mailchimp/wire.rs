//! Mailchimp's JSON, field for field, and its way into the model and back.
//!
//! Reading forgives what is missing, additional or of another type, and never what would look like an absence.
//! <https://mailchimp.com/developer/marketing/api/list-members/>

pub mod field_value;
pub mod lists;
pub mod member;
pub mod reading;
pub mod text;
pub mod time;
pub mod writing;
