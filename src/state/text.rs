//! How values stand in the file: times as text that sorts, values as JSON.

use jiff::Timestamp;
use rusqlite::Row;
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::model::EmailAddress;
use crate::state::error::Fault;

/// A time with a fixed number of digits, so that texts sort as times do.
pub(crate) fn stamp(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// Reads what [`stamp`] wrote.
pub(crate) fn moment(text: &str) -> Result<Timestamp, Fault> {
    Ok(text.parse()?)
}

/// Reads what [`stamp`] wrote, where there is something.
pub(crate) fn moment_or_none(text: Option<String>) -> Result<Option<Timestamp>, Fault> {
    text.as_deref().map(moment).transpose()
}

/// A value as JSON.
pub(crate) fn json<T: Serialize>(value: &T) -> Result<String, Fault> {
    Ok(serde_json::to_string(value)?)
}

/// Reads what [`json`] wrote.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    Ok(serde_json::from_str(text)?)
}

/// Reads what [`json`] wrote, where there is something.
pub(crate) fn from_json_or_none<T: DeserializeOwned>(text: Option<String>) -> Result<Option<T>, Fault> {
    text.as_deref().map(from_json).transpose()
}

/// Reads an address that was stored.
pub(crate) fn address(text: &str) -> Result<EmailAddress, Fault> {
    EmailAddress::parse(text).map_err(|error| Fault::Text(Box::new(error)))
}

/// A count as SQLite takes it.
pub(crate) fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A count as SQLite gives it.
pub(crate) fn count(row: &Row<'_>) -> rusqlite::Result<u64> {
    row.get::<_, i64>(0).map(i64::unsigned_abs)
}

/// What stands for a text where only its change matters: the first 64 bits of its SHA-256.
pub(crate) fn mark(text: &str) -> i64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |mark, byte| mark << 8 | i64::from(*byte))
}

/// SHA-256 over parts, each ended by a byte that JSON and addresses cannot hold; 64 hex digits.
pub(crate) fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
        hasher.update([0]);
    }
    hex(&hasher.finalize())
}

/// Bytes in lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_as_texts() {
        let times = ["2026-03-01T11:59:59.9Z", "2026-03-01T12:00:00Z", "2026-03-01T12:00:00.5Z"];
        let texts: Vec<String> = times.iter().map(|time| stamp(time.parse().unwrap())).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts.get(2).map(|text| moment(text).unwrap()), times[2].parse().ok());
    }
}
