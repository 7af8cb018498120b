//! `/healthz`: the process lives. `/readyz`: it does its work.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;

use crate::web::Web;
use crate::worker::Health;

/// A cycle that worked is recent for so many intervals.
const INTERVALS: u32 = 3;
/// What an ordinary cycle itself may take.
const GRACE: Duration = Duration::from_mins(5);
/// What a step of a longer one may take, as for the watchdog: a request that is never answered (`request_timeout`, 125 s)
/// after the longest pause (90 s) is shorter.
const STEP: Duration = Duration::from_mins(5);

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
///
/// A full cycle over a large audience takes as long as it takes: it is under way as long as it takes steps, unless the one
/// before it failed. Nothing but failures is no work, whatever steps they take.
fn unready(health: &Health, interval: Duration, now: Timestamp) -> Option<&'static str> {
    if health.fatal.is_some() {
        return Some("no cycle can work until somebody mends what is wrong: see rosterd status\n");
    }
    let Some(last) = health.worked_at else { return Some("no cycle has worked yet\n") };
    // A clock that was set back makes nothing old.
    let age = |moment: Timestamp| Duration::try_from(now.duration_since(moment)).unwrap_or_default();
    if age(last) <= interval.saturating_mul(INTERVALS).saturating_add(GRACE) {
        return None;
    }
    match health.began_at {
        Some(began) if health.failures == 0 => {
            let stepped = health.moved_at.map_or(began, |moved| moved.max(began));
            (age(stepped) > STEP)
                .then_some("the cycle under way has stood still for a while: see rosterd status\n")
        }
        Some(_) | None => Some("no cycle has worked for a while: see rosterd status\n"),
    }
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
    fn a_long_cycle_is_ready_while_it_takes_steps_and_did_not_fail_before() {
        // A full cycle over a large audience was called unready after a few minutes, though nothing was wrong with it.
        let long = Health { worked_at: Some(at(0)), began_at: Some(at(1)), ..Health::default() };
        let stands_still = "the cycle under way has stood still for a while: see rosterd status";
        let fails = "no cycle has worked for a while: see rosterd status";
        let stepping = Health { moved_at: Some(at(60)), ..long.clone() };
        check(&stepping, at(65), "ready");
        check(&stepping, at(66), stands_still);
        check(&long, at(9), stands_still);
        let late = Health { began_at: Some(at(30)), moved_at: Some(at(0)), ..long.clone() };
        check(&late, at(35), "ready");
        check(&late, at(36), stands_still);
        check(&Health { failures: 1, ..stepping.clone() }, at(61), fails);
        check(&Health { began_at: None, ..stepping.clone() }, at(61), fails);
        check(&Health { worked_at: None, ..stepping }, at(61), "no cycle has worked yet");
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_old() {
        check(&Health { worked_at: Some(at(9)), ..Health::default() }, at(0), "ready");
    }
}
