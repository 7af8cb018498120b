//! The names of the fields that log lines carry; dashboards and searches rely on them.

/// The number of the cycle.
pub const CYCLE_ID: &str = "cycle.id";
/// How long it took, in whole milliseconds.
pub const DURATION_MS: &str = "duration_ms";
/// The address of the member that the line is about, where the configuration asks for it.
pub const MEMBER_ADDRESS: &str = "member.address";
/// The subscriber hash of the member that the line is about.
pub const MEMBER_HASH: &str = "member.hash";
/// What was written, in the words of the plan: `remote_status`.
pub const OPERATION_KIND: &str = "operation.kind";
