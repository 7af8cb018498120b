//! `/batches`: operations carried out later, in no particular order, one batch at a time.

use std::time::Duration;

use jiff::SignedDuration;
use jiff::Timestamp;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::moment::moment_text;
use crate::sandbox::operation::Operation;
use crate::sandbox::operation::operation;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;
use crate::sandbox::respond::perform_operation;
use crate::sandbox::results::pack;

/// More pending batches are refused.
const MOST_PENDING: usize = 500;
/// How long a results URL opens.
const URL_LIFE: i64 = 600;
/// How long a batch is remembered after it finished.
const RESULT_LIFE: i64 = 7 * 86_400;

/// A batch and, once carried out, its results.
#[derive(Clone, Debug)]
struct Batch {
    id: String,
    submitted: Timestamp,
    operations: Vec<Operation>,
    results: Option<Vec<Value>>,
    errored: usize,
    finished: Option<Timestamp>,
}

/// Every batch, oldest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Batches {
    batches: Vec<Batch>,
    /// Whether nothing moves on: a queue that is stuck.
    pub(crate) stalled: bool,
    /// What else goes wrong on purpose.
    pub(crate) faults: BatchFaults,
}

/// What goes wrong with batches on purpose.
#[derive(Clone, Debug, Default)]
pub(crate) struct BatchFaults {
    /// The archive of results ends in its midst.
    pub(crate) cut_results: bool,
    /// One operation in so many is carried out, and its answer is not among the results.
    pub(crate) leave_out_one_in: Option<usize>,
    /// One operation in so many is refused so, whatever it asks for.
    pub(crate) refuse_one_in: Option<(usize, Problem)>,
}

impl Batches {
    /// Forgets every batch, as it happens seven days after the end; what has not begun never does.
    pub(crate) fn expire(&mut self) {
        self.batches.clear();
    }
}

/// `POST /batches`.
pub(crate) fn create(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let pending = world.batches.batches.iter().filter(|batch| batch.finished.is_none()).count();
    if pending >= MOST_PENDING {
        let detail = "You have more than 500 pending batches. \
                      Please wait for some to complete before adding any more batches.";
        return Err(Problem::new(429, "Too Many Requests", detail));
    }
    let body = call.object()?;
    let Some(sent) = call::array(body, "operations")? else {
        return Err(Problem::field("", "Required fields were not provided: operations"));
    };
    let operations = sent.iter().map(operation).collect::<Result<Vec<_>, _>>()?;
    let batch = Batch {
        id: world.ids.hex(10),
        submitted: Timestamp::from_second(call.now).unwrap_or(Timestamp::UNIX_EPOCH),
        operations,
        results: None,
        errored: 0,
        finished: None,
    };
    let document = document(world, &batch, "pending", call.now);
    world.batches.batches.push(batch);
    Ok(Answer::Json(document))
}

/// `GET /batches`.
pub(crate) fn list(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let rows: Vec<Value> =
        (0..world.batches.batches.len()).map(|index| shown(world, index, call.now)).collect();
    let sample = json!({"batches": rows.first(), "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let total = rows.len();
    let page: Value = rows.into_iter().rev().skip(call.query.offset()?).take(call.query.count()?).collect();
    Ok(Answer::Json(projection.apply(json!({"batches": page, "total_items": total, "_links": []}))))
}

/// `GET /batches/{batch_id}`: each answer carries a results URL of its own, once the batch is finished.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let document = shown(world, find(world, call.id(0))?, call.now);
    let projection = Projection::from_query(&call.query, &document)?;
    Ok(Answer::Json(projection.apply(document)))
}

/// `DELETE /batches/{batch_id}`: what was not yet carried out never is.
pub(crate) fn delete(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let index = find(world, call.id(0))?;
    world.batches.batches.remove(index);
    Ok(Answer::Empty)
}

/// Moves the queue on to `now`: each batch begins when the one before it is finished.
pub(crate) fn advance(world: &mut World, now: Timestamp) {
    world.batches.batches.retain(|batch| {
        batch.finished.is_none_or(|finished| now.as_second() - finished.as_second() < RESULT_LIFE)
    });
    while let Some((index, begun)) = active(world) {
        let step = state(world, begun, now);
        if step >= 3 && world.batches.batches[index].results.is_none() {
            carry_out(world, index, now);
        }
        if step < 4 {
            return;
        }
        let whole = SignedDuration::try_from(world.options.batch_step * 4).unwrap_or(SignedDuration::ZERO);
        world.batches.batches[index].finished = Some(begun.checked_add(whole).unwrap_or(now));
    }
}

/// The results of a finished batch as a gzip'd tar, by the path of its URL.
pub(crate) fn results(world: &World, path: &str, now: i64) -> Result<Vec<u8>, u16> {
    let (id, expiry) = path.trim_end_matches(".tar.gz").split_once('/').ok_or(404_u16)?;
    let expiry: i64 = expiry.parse().map_err(|_| 404_u16)?;
    let batch = world.batches.batches.iter().find(|batch| batch.id == id).ok_or(404_u16)?;
    if now > expiry {
        return Err(403);
    }
    let results = batch.results.as_deref().ok_or(404_u16)?;
    let mut archive = pack(results, now).map_err(|_| 500_u16)?;
    if world.batches.faults.cut_results {
        archive.truncate(archive.len() / 2);
    }
    Ok(archive)
}

/// The batch whose turn it is, and since when.
fn active(world: &World) -> Option<(usize, Timestamp)> {
    if world.batches.stalled {
        return None;
    }
    let batches = &world.batches.batches;
    let index = batches.iter().position(|batch| batch.finished.is_none())?;
    let before = batches[..index].iter().filter_map(|batch| batch.finished).max();
    Some((index, before.map_or(batches[index].submitted, |before| before.max(batches[index].submitted))))
}

/// How many states the active batch has left behind: 4 is finished.
fn state(world: &World, begun: Timestamp, now: Timestamp) -> u128 {
    let elapsed = Duration::try_from(now.duration_since(begun)).unwrap_or_default();
    elapsed.as_nanos().checked_div(world.options.batch_step.as_nanos()).unwrap_or(4)
}

fn carry_out(world: &mut World, index: usize, now: Timestamp) {
    let batch = &world.batches.batches[index];
    let (id, mut operations) = (batch.id.clone(), batch.operations.clone());
    world.ids.shuffle(&mut operations);
    let mut results = Vec::with_capacity(operations.len());
    let mut errored = 0;
    let faults = world.batches.faults.clone();
    let meets = |index: usize, one_in: usize| index.checked_rem(one_in) == Some(0);
    for (index, operation) in operations.iter().enumerate() {
        let refused = faults.refuse_one_in.as_ref().filter(|(one_in, _)| meets(index, *one_in));
        let refusal = refused.map(|(_, problem)| problem.clone());
        let (status, body) = perform_operation(world, operation, &id, now, refusal);
        errored += usize::from(status >= 400);
        if faults.leave_out_one_in.is_some_and(|one_in| meets(index, one_in)) {
            continue;
        }
        let response = String::from_utf8_lossy(&body);
        results.push(json!({"status_code": status, "operation_id": operation.id, "response": response}));
    }
    let batch = &mut world.batches.batches[index];
    batch.results = Some(results);
    batch.errored = errored;
}

fn find(world: &World, id: &str) -> Result<usize, Problem> {
    world.batches.batches.iter().position(|batch| batch.id == id).ok_or_else(Problem::not_found)
}

fn shown(world: &World, index: usize, now: i64) -> Value {
    let batch = &world.batches.batches[index];
    let step = match active(world) {
        _ if batch.finished.is_some() => 4,
        Some((active, begun)) if active == index => {
            state(world, begun, Timestamp::from_second(now).unwrap_or(begun))
        }
        _ => 0,
    };
    let name = match step {
        0 => "pending",
        1 => "preprocessing",
        2 => "started",
        3 => "finalizing",
        _ => "finished",
    };
    document(world, batch, name, now)
}

fn document(world: &World, batch: &Batch, status: &str, now: i64) -> Value {
    let mut document = Map::new();
    let root = world.base_url.trim_end_matches("/3.0");
    let url = match status {
        "finished" => format!("{root}/_sandbox/batch-results/{}/{}.tar.gz", batch.id, now + URL_LIFE),
        _ => String::new(),
    };
    let mut put = |key: &str, value: Value| document.insert(key.to_owned(), value);
    put("id", json!(batch.id));
    put("status", json!(status));
    put("total_operations", json!(batch.operations.len()));
    put("finished_operations", json!(batch.results.as_ref().map_or(0, Vec::len)));
    put("errored_operations", json!(batch.errored));
    put("submitted_at", json!(moment_text(Some(batch.submitted.as_second()))));
    put("completed_at", json!(moment_text(batch.finished.map(Timestamp::as_second))));
    put("response_body_url", json!(url));
    put("_links", json!([]));
    Value::Object(document)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::io::Read;
    use std::time::Duration;

    use flate2::read::GzDecoder;
    use serde_json::Value;
    use serde_json::json;

    use crate::mailchimp::transport::Method;
    use crate::mailchimp::transport::Request;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;
    use crate::sandbox::testing::refusal;

    fn ask(api: &Api, method: Method, target: &str, body: Option<Value>) -> (u16, Value) {
        let response = api.raw(method, target, body.map(|body| body.to_string().into_bytes()));
        (response.status, serde_json::from_slice(&response.body).unwrap_or_default())
    }

    fn submit(api: &Api, operations: &Value) -> String {
        let (status, batch) = ask(api, Method::Post, "/batches", Some(json!({"operations": operations})));
        assert_eq!((status, &batch["status"]), (200, &json!("pending")));
        format!("/batches/{}", batch["id"].as_str().unwrap())
    }

    fn patch(api: &Api, name: &str, fname: &str) -> Value {
        let path = format!("/lists/{}{}", api.sandbox.audience_id(), member_path(&address(name)));
        let body = json!({"merge_fields": {"FNAME": fname}}).to_string();
        json!({"method": "PATCH", "path": path, "operation_id": name, "body": body, "params": {"skip_merge_validation": true}})
    }

    /// Names of the files in the results, and the results by operation id.
    fn results(api: &Api, url: &str) -> (Vec<String>, BTreeMap<String, (u64, Value)>) {
        let response = api.raw(Method::Get, url, None);
        assert_eq!(response.status, 200);
        let mut archive = tar::Archive::new(GzDecoder::new(response.body.as_slice()));
        let (mut names, mut results) = (Vec::new(), BTreeMap::new());
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            names.push(String::from_utf8(entry.path_bytes().into_owned()).unwrap());
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let rows: Vec<Value> =
                if text.is_empty() { Vec::new() } else { serde_json::from_str(&text).unwrap() };
            for row in rows {
                let response = serde_json::from_str(row["response"].as_str().unwrap()).unwrap_or_default();
                let id = row["operation_id"].as_str().unwrap().to_owned();
                results.insert(id, (row["status_code"].as_u64().unwrap(), response));
            }
        }
        (names, results)
    }

    #[test]
    fn a_batch_passes_through_its_states_and_then_shows_results() {
        let api = Api::with_everybody(SandboxOptions::default());
        let batch =
            submit(&api, &json!([patch(&api, "subscribed", "Grace"), patch(&api, "nobody", "Grace")]));
        for expected in ["pending", "preprocessing", "started", "finalizing", "finished"] {
            let (_, shown) = ask(&api, Method::Get, &batch, None);
            assert_eq!(shown["status"], expected);
            assert_eq!(shown["response_body_url"] != "", expected == "finished");
            api.clock.advance(Duration::from_secs(1));
        }
        let (_, shown) = ask(&api, Method::Get, &batch, None);
        let counts = ["total_operations", "finished_operations", "errored_operations"].map(|key| &shown[key]);
        assert_eq!(counts, [&json!(2), &json!(2), &json!(1)]);
        let (names, results) = results(&api, shown["response_body_url"].as_str().unwrap());
        assert_eq!(names, ["./", "00000000-0.json"]);
        assert_eq!((results["subscribed"].0, &results["subscribed"].1["full_name"]), (200, &json!("Grace")));
        assert_eq!((results["nobody"].0, &results["nobody"].1["title"]), (404, &json!("Resource Not Found")));
    }

    #[test]
    fn operations_come_in_another_order() {
        let api =
            Api::with_everybody(SandboxOptions { batch_step: Duration::ZERO, ..SandboxOptions::default() });
        let operations: Value =
            (0..20).map(|number| patch(&api, "subscribed", &number.to_string())).collect();
        let batch = submit(&api, &operations);
        assert_eq!(ask(&api, Method::Get, &batch, None).1["status"], "finished");
        let log = api.sandbox.log();
        let order: Vec<&str> = log
            .iter()
            .filter(|entry| entry.batch.is_some())
            .map(|entry| entry.body.as_ref().unwrap()["merge_fields"]["FNAME"].as_str().unwrap())
            .collect();
        assert_eq!(order.len(), 20);
        assert_ne!(order, (0..20).map(|number| number.to_string()).collect::<Vec<_>>());
        assert_eq!(api.sandbox.counters().batch_operations, 20);
    }

    #[test]
    fn one_batch_runs_at_a_time() {
        let api = Api::with_everybody(SandboxOptions::default());
        let first = submit(&api, &json!([patch(&api, "subscribed", "one")]));
        let second = submit(&api, &json!([patch(&api, "subscribed", "two")]));
        let states =
            |api: &Api| [&first, &second].map(|batch| ask(api, Method::Get, batch, None).1["status"].clone());
        api.clock.advance(Duration::from_secs(3));
        assert_eq!(states(&api), ["finalizing", "pending"]);
        api.clock.advance(Duration::from_secs(2));
        assert_eq!(states(&api), ["finished", "preprocessing"]);
        api.clock.advance(Duration::from_secs(3));
        assert_eq!(states(&api), ["finished", "finished"]);
        let (_, listed) = ask(&api, Method::Get, "/batches", None);
        assert_eq!(listed["total_items"], 2);
    }

    #[test]
    fn a_results_url_opens_for_ten_minutes_and_the_batch_for_a_week() {
        let api =
            Api::with_everybody(SandboxOptions { batch_step: Duration::ZERO, ..SandboxOptions::default() });
        let batch = submit(&api, &json!([patch(&api, "subscribed", "Grace")]));
        let url = |api: &Api| {
            ask(api, Method::Get, &batch, None).1["response_body_url"].as_str().unwrap().to_owned()
        };
        let old = url(&api);
        api.clock.advance(Duration::from_secs(601));
        assert_eq!(api.raw(Method::Get, &old, None).status, 403);
        assert_eq!(api.raw(Method::Get, &url(&api), None).status, 200);
        api.clock.advance(Duration::from_secs(7 * 86_400));
        assert_eq!(ask(&api, Method::Get, &batch, None).0, 404);
    }

    #[test]
    fn a_deleted_batch_does_nothing_any_more() {
        let api = Api::with_everybody(SandboxOptions::default());
        let batch = submit(&api, &json!([patch(&api, "subscribed", "Grace")]));
        assert_eq!(ask(&api, Method::Delete, &batch, None).0, 204);
        api.clock.advance(Duration::from_secs(60));
        assert_eq!(ask(&api, Method::Get, &batch, None).0, 404);
        assert_eq!(api.shows(&address("subscribed"), "full_name"), "Ada");
    }

    #[test]
    fn a_stuck_queue_moves_on_when_released() {
        let api = Api::with_everybody(SandboxOptions::default());
        api.sandbox.faults().stall_batches();
        let batch = submit(&api, &json!([patch(&api, "subscribed", "Grace")]));
        api.clock.advance(Duration::from_secs(3600));
        assert_eq!(ask(&api, Method::Get, &batch, None).1["status"], "pending");
        api.sandbox.faults().release_batches();
        assert_eq!(ask(&api, Method::Get, &batch, None).1["status"], "finished");
    }

    #[test]
    fn results_go_wrong_on_request() {
        let options = SandboxOptions { batch_step: Duration::ZERO, ..SandboxOptions::default() };
        let api = Api::with_everybody(options);
        let operations: Value = (0..4).map(|number| patch(&api, "subscribed", &number.to_string())).collect();
        let finished = |api: &Api| {
            let batch = submit(api, &operations);
            let (_, shown) = ask(api, Method::Get, &batch, None);
            (batch, shown)
        };
        api.sandbox.faults().refuse_batch_operations(2, 400, "Invalid Resource", "No.");
        let (_, shown) = finished(&api);
        assert_eq!((&shown["finished_operations"], &shown["errored_operations"]), (&json!(4), &json!(2)));
        api.sandbox.faults().clear();
        api.sandbox.faults().leave_out_results(2);
        assert_eq!(finished(&api).1["finished_operations"], 2);
        api.sandbox.faults().clear();
        let (batch, whole) = finished(&api);
        let length = |url: &Value| api.raw(Method::Get, url.as_str().unwrap(), None).body.len();
        let before = length(&whole["response_body_url"]);
        api.sandbox.faults().cut_batch_results();
        assert_eq!(length(&whole["response_body_url"]), before / 2);
        api.sandbox.faults().expire_batches();
        assert_eq!(ask(&api, Method::Get, &batch, None).0, 404);
    }

    #[test]
    fn the_key_is_not_wanted_where_results_lie() {
        let options = SandboxOptions { batch_step: Duration::ZERO, ..SandboxOptions::default() };
        let api = Api::with_everybody(options);
        let batch = submit(&api, &json!([patch(&api, "subscribed", "Grace")]));
        let (_, shown) = ask(&api, Method::Get, &batch, None);
        let target = shown["response_body_url"].as_str().unwrap().to_owned();
        for (authorization, status) in [(None, 200), (Some("Bearer x".to_owned()), 400)] {
            let request = Request { method: Method::Get, target: target.clone(), body: None, authorization };
            assert_eq!(api.send(request).unwrap().status, status);
        }
    }

    #[test]
    fn what_is_no_batch_is_refused() {
        let api = Api::new();
        for body in [
            json!({}),
            json!({"operations": [{"path": "/ping"}]}),
            json!({"operations": [{"method": "GET"}]}),
        ] {
            assert_eq!(refusal(&ask(&api, Method::Post, "/batches", Some(body))).0, 400);
        }
        for _ in 0..500 {
            submit(&api, &json!([]));
        }
        let answer = ask(&api, Method::Post, "/batches", Some(json!({"operations": []})));
        assert_eq!(refusal(&answer).0, 429);
    }
}
