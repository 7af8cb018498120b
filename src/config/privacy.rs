//! `[privacy]`: what may be written where others read it.

use crate::config::section::Section;
use crate::config::values;

/// What may be written where others read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrivacyConfig {
    /// Whether the log names members by their addresses, too.
    pub log_addresses: bool,
}

/// Reads the section.
pub(crate) fn read(section: &mut Section<'_>) -> PrivacyConfig {
    PrivacyConfig { log_addresses: section.read("log_addresses", values::flag).unwrap_or_default() }
}
