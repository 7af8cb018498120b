//! One request and what comes of it: connections, key, faults, rules, log.

use std::time::Duration;

use crate::mailchimp::transport::Request;
use crate::mailchimp::transport::Response;
use crate::sandbox::Sandbox;
use crate::sandbox::Slot;
use crate::sandbox::batches;
use crate::sandbox::faults::FaultKind;
use crate::sandbox::problem::Problem;
use crate::sandbox::respond::Parsed;
use crate::sandbox::respond::authorize;
use crate::sandbox::respond::finish;
use crate::sandbox::respond::perform;

const HTML: &str = "text/html; charset=utf-8";

/// What the other end sees of a request.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// An answer.
    Answered(Response),
    /// A cut connection.
    Cut,
    /// Nothing, for so long; the connection goes on occupying its place.
    Held(Duration, Option<Slot>),
    /// An answer that breaks off.
    Truncated(Response),
}

impl Sandbox {
    /// Takes one request through everything but the wire.
    pub(crate) async fn exchange(&self, request: Request) -> Exchange {
        let slot = self.connect();
        let parsed = Parsed::new(request.method, &request.target, request.body.as_deref());
        self.world(|world| world.log.note_connections(slot.under_way()));
        if slot.under_way() > self.world(|world| world.options.connections) {
            return Exchange::Answered(self.refuse(parsed, Problem::too_many_requests(), None));
        }
        let latency = self.fault_queue(|queue| queue.latency());
        if !latency.is_zero() {
            self.clock().sleep(latency).await;
        }
        let fault = self.fault_queue(|queue| queue.draw(parsed.method, parsed.pattern(), &parsed.path));
        let exchange = match fault {
            None => Exchange::Answered(self.respond(parsed, request.authorization.as_deref(), None)),
            Some(fault) => self.fail(parsed, request.authorization.as_deref(), &fault),
        };
        match exchange {
            Exchange::Held(time, _) => Exchange::Held(time, Some(slot)),
            other => other,
        }
    }

    /// Refuses a webhook whose URL did not answer the validator.
    pub(crate) fn refuse_webhook(&self, request: &Request) -> Response {
        let parsed = Parsed::new(request.method, &request.target, request.body.as_deref());
        self.refuse(
            parsed,
            Problem::field("url", "The URL could not be validated. (GET must answer 200)"),
            None,
        )
    }

    fn fail(&self, parsed: Parsed, authorization: Option<&str>, fault: &FaultKind) -> Exchange {
        let name = Some(fault);
        let problem = match fault {
            FaultKind::CutBefore => {
                self.refuse(parsed, Problem::new(0, "", ""), name);
                return Exchange::Cut;
            }
            FaultKind::TimeOutBefore(time) => {
                self.refuse(parsed, Problem::new(0, "", ""), name);
                return Exchange::Held(*time, None);
            }
            FaultKind::CutAfter => {
                self.respond(parsed, authorization, name);
                return Exchange::Cut;
            }
            FaultKind::TimeOutAfter(time) => {
                self.respond(parsed, authorization, name);
                return Exchange::Held(*time, None);
            }
            FaultKind::Truncated => {
                return Exchange::Truncated(self.respond(parsed, authorization, name));
            }
            FaultKind::BareForbidden => return Exchange::Answered(self.bare(parsed, 403, "", name)),
            FaultKind::BadGateway => {
                let page =
                    "<html><head><title>502 Bad Gateway</title></head><body>502 Bad Gateway</body></html>";
                return Exchange::Answered(self.bare(parsed, 502, page, name));
            }
            FaultKind::Unavailable => {
                let page = "<html><head><title>Service Unavailable</title></head><body>Reference #18.1</body></html>";
                return Exchange::Answered(self.bare(parsed, 503, page, name));
            }
            FaultKind::TooManyRequests => Problem::too_many_requests(),
            FaultKind::ServerError => Problem::new(
                500,
                "Internal Server Error",
                "A deep, internal error has occurred during the processing of your request. Please contact support.",
            ),
            FaultKind::Refused(status, title, detail) => Problem::new(*status, title, detail),
        };
        Exchange::Answered(self.refuse(parsed, problem, name))
    }

    /// Answers by the rules, and logs.
    fn respond(&self, parsed: Parsed, authorization: Option<&str>, fault: Option<&FaultKind>) -> Response {
        let now = self.clock().now();
        self.world(|world| {
            batches::advance(world, now);
            let result = match authorize(&self.api_key(), world.key_revoked, authorization) {
                Ok(()) => perform(world, &parsed, now),
                Err(problem) => Err(problem),
            };
            finish(world, parsed, result, now, fault)
        })
    }

    /// Answers with a problem, and logs.
    fn refuse(&self, parsed: Parsed, problem: Problem, fault: Option<&FaultKind>) -> Response {
        let now = self.clock().now();
        self.world(|world| finish(world, parsed, Err(problem), now, fault))
    }

    /// Answers with what is no document of the API, and logs.
    fn bare(&self, parsed: Parsed, status: u16, page: &str, fault: Option<&FaultKind>) -> Response {
        let response = self.refuse(parsed, Problem::new(status, "", ""), fault);
        let content_type = if page.is_empty() { String::new() } else { HTML.to_owned() };
        Response { content_type, body: page.as_bytes().to_vec(), ..response }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use futures::future::join_all;
    use serde_json::Value;
    use serde_json::json;

    use super::*;
    use crate::mailchimp::transport::Method;
    use crate::mailchimp::transport::TransportError;
    use crate::sandbox::Fault;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;

    fn request(authorization: Option<&str>) -> Request {
        Request {
            method: Method::Get,
            target: "/ping".to_owned(),
            body: None,
            authorization: authorization.map(str::to_owned),
        }
    }

    #[test]
    fn the_key_opens_as_basic_and_as_bearer() {
        let api = Api::new();
        let key = api.sandbox.api_key();
        let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
        for (header, expected) in [
            (Some(basic(&format!("anything:{key}"))), (200, "")),
            (Some(format!("Bearer {key}")), (200, "")),
            (Some(format!("Bearer {key}\n")), (401, "API Key Invalid")),
            (Some(basic(&key)), (401, "API Key Invalid")),
            (Some("Bearer wrong-us1".to_owned()), (401, "API Key Invalid")),
            (None, (401, "API Key Missing")),
        ] {
            let response = api.send(request(header.as_deref())).unwrap();
            let document: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!((response.status, document["title"].as_str().unwrap_or("")), expected, "{header:?}");
        }
    }

    #[test]
    fn problems_carry_the_id_of_their_request_and_methods_their_allow() {
        let api = Api::new();
        let response = api.raw(Method::Put, "/ping", None);
        let header = |name: &str| {
            response.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        let document: Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(response.content_type, "application/problem+json; charset=utf-8");
        assert_eq!((response.status, header("allow")), (405, Some("GET")));
        assert_eq!(document["instance"].as_str(), header("x-request-id"));
        assert_eq!(response.date.as_deref(), Some("Sun, 01 Mar 2026 12:00:00 GMT"));
        assert_eq!(api.raw(Method::Get, "/nothing", None).status, 404);
        assert_eq!(api.raw(Method::Get, "/lists/0000000000", None).status, 404);
    }

    #[test]
    fn a_body_that_is_not_json_is_refused() {
        let api = Api::new();
        let target = format!("/lists/{}/members", api.sandbox.audience_id());
        for body in [Some(b"{".to_vec()), None] {
            let response = api.raw(Method::Post, &target, body);
            let document: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!((response.status, &document["title"]), (400, &json!("JSON Parse Exception")));
        }
    }

    #[tokio::test]
    async fn the_eleventh_connection_is_refused() {
        let api = Api::new();
        api.sandbox.faults().latency(Duration::from_millis(100));
        let key = format!("Bearer {}", api.sandbox.api_key());
        let answers = join_all((0..11).map(|_| api.sandbox.answer(request(Some(&key))))).await;
        let refused: Vec<Response> =
            answers.into_iter().flatten().filter(|answer| answer.status == 429).collect();
        let document: Value = serde_json::from_slice(&refused[0].body).unwrap();
        assert_eq!(refused.len(), 1);
        assert_eq!(document["detail"], "You have exceeded the limit of 10 simultaneous connections.");
        assert_eq!(api.sandbox.counters().connections_peak, 11);
        assert_eq!(
            api.sandbox.answer(request(Some(&key))).await.unwrap().status,
            200,
            "slots are free again"
        );
    }

    /// Meets one write with a fault: what the client sees, and whether the write was done.
    fn check(kind: FaultKind, seen: &str, done: bool) {
        let api = Api::with_everybody(SandboxOptions::default());
        api.sandbox.faults().add(Fault::new(kind.clone()));
        let target = format!("/lists/{}{}", api.sandbox.audience_id(), member_path(&address("subscribed")));
        let body = json!({"merge_fields": {"FNAME": "Grace"}}).to_string().into_bytes();
        let authorization = Some(format!("Bearer {}", api.sandbox.api_key()));
        let request = Request { method: Method::Patch, target, body: Some(body), authorization };
        let found = match api.send(request) {
            Ok(response) => format!("{} {}", response.status, response.content_type),
            Err(TransportError::Broken(_)) => "broken".to_owned(),
            Err(TransportError::TimedOut(_)) => "timed out".to_owned(),
            Err(TransportError::Connect(_)) => "no connection".to_owned(),
        };
        assert_eq!(found, seen, "{kind:?}");
        assert_eq!(api.shows(&address("subscribed"), "full_name") == "Grace", done, "{kind:?}");
        assert_eq!(api.sandbox.faults().waiting(), 0);
        assert_eq!(api.sandbox.log().last().unwrap().fault, Some(format!("{kind:?}")));
    }

    #[test]
    fn each_fault_looks_as_it_should_and_happens_before_or_after_the_effect() {
        let minute = Duration::from_secs(60);
        check(FaultKind::TooManyRequests, "429 application/problem+json; charset=utf-8", false);
        check(FaultKind::BareForbidden, "403 ", false);
        check(FaultKind::ServerError, "500 application/problem+json; charset=utf-8", false);
        check(FaultKind::BadGateway, "502 text/html; charset=utf-8", false);
        check(FaultKind::Unavailable, "503 text/html; charset=utf-8", false);
        check(FaultKind::CutBefore, "broken", false);
        check(FaultKind::CutAfter, "broken", true);
        check(FaultKind::TimeOutBefore(minute), "timed out", false);
        check(FaultKind::TimeOutAfter(minute), "timed out", true);
        check(FaultKind::Truncated, "broken", true);
        let refused = FaultKind::Refused(
            403,
            "User Disabled".to_owned(),
            "This account has been deactivated.".to_owned(),
        );
        check(refused, "403 application/problem+json; charset=utf-8", false);
    }

    #[test]
    fn faults_wait_for_the_request_they_are_meant_for() {
        let api = Api::with_everybody(SandboxOptions::default());
        let members = "/lists/{list_id}/members";
        let fault =
            Fault::new(FaultKind::ServerError).on_method(Method::Get).on_path(members).after(1).times(2);
        api.sandbox.faults().add(fault);
        let statuses = [0; 5].map(|_| api.get("/members").0);
        assert_eq!(statuses, [200, 500, 500, 200, 200]);
        let fault = Fault::new(FaultKind::ServerError).on_path("/lists/*/members/*").always();
        api.sandbox.faults().add(fault);
        assert_eq!((api.get("/members").0, api.get(&member_path(&address("left"))).0), (200, 500));
        api.sandbox.faults().clear();
        api.sandbox.faults().add(Fault::new(FaultKind::ServerError).with_probability(0.3));
        let met = (0..200).filter(|_| api.get("/members").0 == 500).count();
        assert!((40..80).contains(&met), "{met} of 200 at 30 %");
    }

    #[test]
    fn the_log_tells_what_was_asked() {
        let api = Api::with_everybody(SandboxOptions::default());
        api.sandbox.reset_log();
        api.patch(&address("subscribed"), json!({"status": "unsubscribed"}));
        api.get("/members?count=5&status=archived");
        let log = api.sandbox.log();
        assert_eq!((log[0].method, log[0].status), ("PATCH", 200));
        assert_eq!(log[0].pattern, "/lists/{list_id}/members/{subscriber_hash}");
        assert_eq!(log[0].body, Some(json!({"status": "unsubscribed"})));
        assert_eq!(
            log[1].query,
            [("count", "5"), ("status", "archived")].map(|(a, b)| (a.to_owned(), b.to_owned()))
        );
        let counters = api.sandbox.counters();
        assert_eq!((counters.requests_total, counters.status_writes), (2, 1));
        assert_eq!(counters.requests["GET /lists/{list_id}/members"], 1);
    }
}
