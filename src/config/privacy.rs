//! `[privacy]`: what may be written where others read it.

use crate::config::mistake::Mistake;
use crate::config::section::Section;
use crate::config::values;

/// Reads the section. Its one key is a promise that can be stated and not withdrawn: there is nothing to keep of it.
pub(crate) fn read(section: &mut Section<'_>) {
    section.read(
        "log_addresses",
        |value| {
            if values::flag(value)? { Err(Mistake::LogAddresses) } else { Ok(()) }
        },
    );
}
