//! The control interface: what tests and demos in other processes say to the sandbox over HTTP.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use serde_json::json;

use crate::mailchimp::transport::Method;
use crate::mailchimp::transport::Response;
use crate::sandbox::Sandbox;
use crate::sandbox::batches;
use crate::sandbox::faults::Fault;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::person::FormEntry;
use crate::sandbox::person::PersonError;

/// The body of `POST /_sandbox/person`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Act {
    act: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    new_email: String,
    #[serde(default)]
    tag: String,
    #[serde(default)]
    merge_fields: std::collections::BTreeMap<String, Value>,
    #[serde(default)]
    interests: std::collections::BTreeMap<String, bool>,
}

/// The body of `POST /_sandbox/faults`; every key may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wish {
    clear: bool,
    latency_ms: Option<u64>,
    kind: Option<String>,
    method: Option<String>,
    path: Option<String>,
    times: Option<u32>,
    after: u32,
    probability: Option<f64>,
    always: bool,
    hold_ms: Option<u64>,
    status: Option<u16>,
    title: String,
    detail: String,
    throttle: Option<String>,
    unthrottle: Option<String>,
    stall_batches: Option<bool>,
    cut_batch_results: bool,
    leave_out_results: Option<usize>,
    refuse_batch_operations: Option<usize>,
    expire_batches: bool,
    lose_webhooks: Option<u32>,
    double_webhooks: Option<u32>,
    reverse_webhooks: bool,
}

/// The body of `POST /_sandbox/populate`.
#[derive(Debug, Deserialize)]
struct Crowd {
    count: usize,
}

impl Sandbox {
    /// Answers a request below `/_sandbox/`; no key is asked for, and nothing is logged.
    ///
    /// | request | body | does |
    /// |---|---|---|
    /// | `POST /_sandbox/person` | `act`, `email`, and where it applies `new_email`, `tag`, `merge_fields` by tag, `interests` by id or name | what people and staff do: `subscribe`, `confirm`, `edit`, `change_address`, `unsubscribe`, `complain`, `bounce`, `expire_pending`, `staff_add`, `staff_archive`, `staff_unarchive`, `staff_resubscribe`, `staff_unsubscribe`, `staff_delete`, `staff_add_tag`, `staff_remove_tag`, `staff_edit`, `staff_change_address`, `staff_delete_audience`, `staff_revoke_key` |
    /// | `POST /_sandbox/faults` | `kind` (`too_many_requests`, `bare_forbidden`, `server_error`, `bad_gateway`, `unavailable`, `cut_before`, `cut_after`, `time_out_before`, `time_out_after` with `hold_ms`, `truncated`, `refused` with `status`, `title`, `detail`), `method`, `path`, `times` (1), `after`, `probability`, `always`; `latency_ms`, `clear`, `throttle`, `unthrottle`, `stall_batches`, `cut_batch_results`, `leave_out_results` and `refuse_batch_operations` (one in so many, the latter with `status`, `title`, `detail`), `expire_batches`, `lose_webhooks`, `double_webhooks`, `reverse_webhooks` | as [`Faults`](crate::sandbox::Faults) |
    /// | `POST /_sandbox/populate` | `count` | adds so many plausible members |
    /// | `POST /_sandbox/reset-log` | | empties the log and its sums |
    /// | `GET /_sandbox/log` | | the requests so far |
    /// | `GET /_sandbox/counters` | | the sums over them |
    /// | `GET /_sandbox/member/{address}` | | the member as the API shows it, or 404 |
    /// | `GET /_sandbox/info` | | key, audience and base URL |
    /// | `GET /_sandbox/webhooks` | | takes the calls that are due out of the queue |
    /// | `GET /_sandbox/batch-results/…` | | the results of a batch, as its `response_body_url` says |
    pub fn control(&self, method: Method, target: &str, body: &[u8]) -> Response {
        let path = target.split('?').next().unwrap_or(target);
        let path = path.strip_prefix("/_sandbox/").unwrap_or(path);
        if let Some(results) = path.strip_prefix("batch-results/") {
            return self.batch_results(results);
        }
        if let (Method::Get, Some(email)) = (method, path.strip_prefix("member/")) {
            let email = percent_encoding::percent_decode_str(email).decode_utf8_lossy();
            return self.member(&email).map_or_else(|| failed(404, "no such member"), done);
        }
        match (method, path) {
            (Method::Post, "person") => match serde_json::from_slice(body) {
                Ok(act) => self.control_person(&act),
                Err(error) => failed(400, &error.to_string()),
            },
            (Method::Post, "faults") => match serde_json::from_slice(body) {
                Ok(wish) => self.control_faults(&wish),
                Err(error) => failed(400, &error.to_string()),
            },
            (Method::Post, "populate") => match serde_json::from_slice::<Crowd>(body) {
                Ok(crowd) => {
                    self.populate(crowd.count);
                    done(json!({"added": crowd.count}))
                }
                Err(error) => failed(400, &error.to_string()),
            },
            (Method::Post, "reset-log") => {
                self.reset_log();
                done(json!({}))
            }
            (Method::Get, "log") => done(json!(self.log())),
            (Method::Get, "counters") => done(json!(self.counters())),
            (Method::Get, "webhooks") => {
                let calls = self.take_webhooks().into_iter().map(|call| {
                    json!({"url": call.url, "event": call.event, "body": call.body, "signature": call.signature})
                });
                done(calls.collect())
            }
            (Method::Get, "info") => {
                let base_url = self.world(|world| world.base_url.clone());
                done(json!({"base_url": base_url, "api_key": self.api_key(), "audience": self.audience_id()}))
            }
            _ => failed(404, "no such control"),
        }
    }

    /// Where results lie the URL is the key: a store of files like Amazon's refuses a second one.
    pub(crate) fn refuse_key(&self) -> Response {
        failed(400, "Only one auth mechanism allowed")
    }

    fn batch_results(&self, path: &str) -> Response {
        let now = self.clock().now();
        let results = self.world(|world| {
            batches::advance(world, now);
            batches::results(world, path, now.as_second())
        });
        match results {
            Ok(body) => Response { content_type: "application/gzip".to_owned(), body, ..done(Value::Null) },
            Err(status) => failed(status, "Request has expired"),
        }
    }

    fn control_person(&self, act: &Act) -> Response {
        let entry = FormEntry { merge_fields: act.merge_fields.clone(), interests: act.interests.clone() };
        let person = self.person();
        let result = match act.act.as_str() {
            "subscribe" => person.subscribe_by_form(&act.email, &entry),
            "confirm" => person.confirm(&act.email),
            "edit" => person.edit_preferences(&act.email, &entry),
            "change_address" => person.change_address(&act.email, &act.new_email),
            "unsubscribe" => person.unsubscribe(&act.email),
            "complain" => person.complain(&act.email),
            "bounce" => person.bounce(&act.email),
            "expire_pending" => person.expire_pending(&act.email),
            "staff_add" => person.staff_add(&act.email, &entry),
            "staff_archive" => person.staff_archive(&act.email),
            "staff_unarchive" => person.staff_unarchive(&act.email),
            "staff_resubscribe" => person.staff_resubscribe(&act.email),
            "staff_unsubscribe" => person.staff_unsubscribe(&act.email),
            "staff_delete" => person.staff_delete_permanently(&act.email),
            "staff_add_tag" => person.staff_add_tag(&act.email, &act.tag),
            "staff_remove_tag" => person.staff_remove_tag(&act.email, &act.tag),
            "staff_edit" => person.staff_edit(&act.email, &entry),
            "staff_change_address" => person.staff_change_address(&act.email, &act.new_email),
            "staff_delete_audience" => {
                person.staff_delete_audience();
                Ok(())
            }
            "staff_revoke_key" => {
                person.staff_revoke_key();
                Ok(())
            }
            other => Err(PersonError::Refused(format!("no act is called {other:?}"))),
        };
        match result {
            Ok(()) => done(self.member(&act.email).unwrap_or(Value::Null)),
            Err(error) => failed(400, &error.to_string()),
        }
    }

    fn control_batches(&self, wish: &Wish) {
        let faults = self.faults();
        match wish.stall_batches {
            Some(true) => faults.stall_batches(),
            Some(false) => faults.release_batches(),
            None => (),
        }
        if wish.cut_batch_results {
            faults.cut_batch_results();
        }
        if let Some(one_in) = wish.leave_out_results {
            faults.leave_out_results(one_in);
        }
        if let Some(one_in) = wish.refuse_batch_operations {
            faults.refuse_batch_operations(one_in, wish.status.unwrap_or(400), &wish.title, &wish.detail);
        }
        if wish.expire_batches {
            faults.expire_batches();
        }
    }

    fn control_faults(&self, wish: &Wish) -> Response {
        let faults = self.faults();
        if wish.clear {
            faults.clear();
        }
        if let Some(milliseconds) = wish.latency_ms {
            faults.latency(Duration::from_millis(milliseconds));
        }
        if let Some(email) = &wish.throttle {
            faults.throttle(email);
        }
        if let Some(email) = &wish.unthrottle {
            faults.unthrottle(email);
        }
        self.control_batches(wish);
        wish.lose_webhooks.into_iter().for_each(|events| faults.lose_webhooks(events));
        wish.double_webhooks.into_iter().for_each(|events| faults.double_webhooks(events));
        if wish.reverse_webhooks {
            faults.reverse_webhooks();
        }
        if let Some(name) = &wish.kind {
            match fault(name, wish) {
                Ok(fault) => faults.add(fault),
                Err(problem) => return failed(400, &problem),
            }
        }
        done(json!({"waiting": faults.waiting()}))
    }
}

fn fault(name: &str, wish: &Wish) -> Result<Fault, String> {
    let hold = Duration::from_millis(wish.hold_ms.unwrap_or(120_000));
    let kind = match name {
        "too_many_requests" => FaultKind::TooManyRequests,
        "bare_forbidden" => FaultKind::BareForbidden,
        "server_error" => FaultKind::ServerError,
        "bad_gateway" => FaultKind::BadGateway,
        "unavailable" => FaultKind::Unavailable,
        "cut_before" => FaultKind::CutBefore,
        "cut_after" => FaultKind::CutAfter,
        "time_out_before" => FaultKind::TimeOutBefore(hold),
        "time_out_after" => FaultKind::TimeOutAfter(hold),
        "truncated" => FaultKind::Truncated,
        "refused" => {
            let status = wish.status.filter(|status| (400..600).contains(status)).unwrap_or(400);
            FaultKind::Refused(status, wish.title.clone(), wish.detail.clone())
        }
        _ => return Err(format!("no fault is called {name:?}")),
    };
    let mut fault = Fault::new(kind).times(wish.times.unwrap_or(1)).after(wish.after);
    if wish.always {
        fault = fault.always();
    }
    if let Some(probability) = wish.probability {
        fault = fault.with_probability(probability);
    }
    if let Some(path) = &wish.path {
        fault = fault.on_path(path);
    }
    match wish.method.as_deref() {
        None => Ok(fault),
        Some("GET") => Ok(fault.on_method(Method::Get)),
        Some("POST") => Ok(fault.on_method(Method::Post)),
        Some("PUT") => Ok(fault.on_method(Method::Put)),
        Some("PATCH") => Ok(fault.on_method(Method::Patch)),
        Some("DELETE") => Ok(fault.on_method(Method::Delete)),
        Some(other) => Err(format!("no method is called {other:?}")),
    }
}

fn done(document: Value) -> Response {
    Response {
        status: 200,
        content_type: "application/json".to_owned(),
        date: None,
        headers: Vec::new(),
        body: document.to_string().into_bytes(),
    }
}

fn failed(status: u16, error: &str) -> Response {
    Response { status, ..done(json!({"error": error})) }
}
