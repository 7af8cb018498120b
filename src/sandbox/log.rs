//! What was asked of the sandbox, for tests to look at.

use std::collections::BTreeMap;
use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// The log keeps so many requests; older ones are counted as dropped.
const KEPT: usize = 20_000;

/// One request, or one operation of a batch.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LoggedRequest {
    /// `GET`, `POST`, …
    pub method: &'static str,
    /// The route, as the API's description writes it: `/lists/{list_id}/members`.
    pub pattern: String,
    /// The path that was asked for, without the query.
    pub path: String,
    /// The query, decoded, in the order sent.
    pub query: Vec<(String, String)>,
    /// The body, where it was JSON.
    pub body: Option<Value>,
    /// The status answered, or meant to be where the answer was lost; 0 where a fault struck before the effect.
    pub status: u16,
    /// When it came.
    pub time: Timestamp,
    /// The batch it was an operation of.
    pub batch: Option<String>,
    /// The fault it met.
    pub fault: Option<String>,
}

/// Sums over everything that was asked since the start, or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Requests by method and route: `GET /lists/{list_id}/members`. Operations of batches are not among them.
    pub requests: BTreeMap<String, u64>,
    /// All of those together.
    pub requests_total: u64,
    /// Operations that batches carried out.
    pub batch_operations: u64,
    /// Writes to existing members that carried a `status`, refused ones included.
    pub status_writes: u64,
    /// Confirmation mails Mailchimp would have sent, by lower-cased address.
    pub confirmation_mails: BTreeMap<String, u32>,
    /// How often a tag was added in a way that starts automations.
    pub tag_automations: u64,
    /// The most requests that were under way at once.
    pub connections_peak: u64,
    /// Requests that the log no longer holds.
    pub log_dropped: u64,
}

/// The log and its sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    entries: VecDeque<LoggedRequest>,
    sums: Counters,
}

impl Log {
    /// Adds a request.
    pub(crate) fn add(&mut self, entry: LoggedRequest) {
        if entry.batch.is_some() {
            self.sums.batch_operations += 1;
        } else {
            self.sums.requests_total += 1;
            *self.sums.requests.entry(format!("{} {}", entry.method, entry.pattern)).or_default() += 1;
        }
        if self.entries.len() == KEPT {
            self.entries.pop_front();
            self.sums.log_dropped += 1;
        }
        self.entries.push_back(entry);
    }

    /// Counts a write to an existing member that carried a status.
    pub(crate) fn count_status_write(&mut self) {
        self.sums.status_writes += 1;
    }

    /// Remembers how many requests were under way.
    pub(crate) fn note_connections(&mut self, under_way: usize) {
        let under_way = u64::try_from(under_way).unwrap_or(u64::MAX);
        self.sums.connections_peak = self.sums.connections_peak.max(under_way);
    }

    /// The requests, oldest first.
    pub(crate) fn entries(&self) -> Vec<LoggedRequest> {
        self.entries.iter().cloned().collect()
    }

    /// The sums.
    pub(crate) fn sums(&self) -> Counters {
        self.sums.clone()
    }
}
