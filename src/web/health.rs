//! `/healthz`: the process lives. `/readyz`: it does its work.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;

use crate::web::Web;
use crate::worker::Health;

/// A cycle that worked is recent for so many intervals.
const INTERVALS: u32 = 3;
/// What a cycle itself may take, with a full one over a large audience in mind.
const GRACE: Duration = Duration::from_mins(5);

/// Whoever reads this knows that the process answers.
pub(super) async fn alive() -> &'static str {
    "alive\n"
}

/// 200 where cycles work, else 503 with the reason. What failed stands in the log and in `rosterd status`: whoever asks
/// here has shown no secret.
pub(super) async fn ready(State(web): State<Web>) -> (StatusCode, &'static str) {
    let interval = web.terms.borrow().interval;
    match unready(&web.health.borrow(), interval, web.clock.now()) {
        None => (StatusCode::OK, "ready\n"),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

/// Why the work is not done, if so.
fn unready(health: &Health, interval: Duration, now: Timestamp) -> Option<&'static str> {
    if health.fatal.is_some() {
        return Some("no cycle can work until somebody mends what is wrong: see rosterd status\n");
    }
    let Some(last) = health.worked_at else { return Some("no cycle has worked yet\n") };
    let age = Duration::try_from(now.duration_since(last)).unwrap_or_default();
    (age > interval.saturating_mul(INTERVALS).saturating_add(GRACE))
        .then_some("no cycle has worked for a while: see rosterd status\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_mins(1);

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(minute * 60).unwrap()
    }

    fn check(health: &Health, now: Timestamp, expected: &str) {
        assert_eq!(unready(health, INTERVAL, now).unwrap_or("ready").trim_end(), expected, "{health:?}");
    }

    #[test]
    fn it_is_ready_while_cycles_work() {
        check(&Health::default(), at(0), "no cycle has worked yet");
        let worked = Health { worked_at: Some(at(0)), ..Health::default() };
        check(&worked, at(8), "ready");
        check(&worked, at(9), "no cycle has worked for a while: see rosterd status");
        check(&Health { failures: 2, ..worked.clone() }, at(2), "ready");
        let fatal = Health { fatal: Some("the key is invalid".to_owned()), ..worked };
        check(&fatal, at(1), "no cycle can work until somebody mends what is wrong: see rosterd status");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        check(&Health { worked_at: Some(at(9)), ..Health::default() }, at(0), "ready");
    }
}
