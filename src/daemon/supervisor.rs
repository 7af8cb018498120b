//! What whoever started the process is told of it, in the words of `sd_notify(3)`; the only user of `sd-notify`.
//!
//! Where nobody asked to be told (`NOTIFY_SOCKET` is not set), nothing is said. The watchdog is fed by the steps of the
//! loop and of the cycle in it: whoever calls [`Supervisor::alive`] has just seen one. There is no timer beside them.

use std::time::Duration;

use jiff::Timestamp;
use sd_notify::NotifyState;

use crate::clock::Clock;
use crate::worker::Health;

/// How often the loop shows that it lives where nobody watches it.
const UNWATCHED: Duration = Duration::from_mins(1);
/// The watchdog is fed so many times in its interval, so that one late step starves nobody.
const FEEDS: u32 = 4;
/// Beyond a pause that it announces, a start may take this long.
const START: Duration = Duration::from_mins(2);

/// Whoever started the process and may want to know how it fares.
#[derive(Debug)]
pub struct Supervisor {
    clock: Clock,
    /// How often the watchdog wants to be fed, if there is one.
    every: Option<Duration>,
    fed_at: Option<Timestamp>,
    /// Why the configuration in force is not the one in the file.
    kept: Option<String>,
    said: String,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self::new(Clock::System)
    }
}

impl Supervisor {
    /// The one that the environment names.
    pub fn new(clock: Clock) -> Self {
        let every = sd_notify::watchdog_enabled().map(|interval| interval / FEEDS);
        Self { clock, every, fed_at: None, kept: None, said: String::new() }
    }

    /// How often the loop has to show that it lives.
    pub fn beat(&self) -> Duration {
        self.every.unwrap_or(UNWATCHED)
    }

    /// The register keeps the start waiting, and is tried again after `pause`.
    pub fn waiting(&mut self, error: &str, pause: Duration) {
        let microseconds = u32::try_from(pause.saturating_add(START).as_micros()).unwrap_or(u32::MAX);
        let line = format!("waiting: {error}");
        tell(&[NotifyState::ExtendTimeoutUsec(microseconds), NotifyState::Status(&one_line(&line))]);
    }

    /// The configuration and both stores are proven, and the loop begins.
    pub fn ready(&mut self, health: &Health) {
        self.said = self.line(health);
        tell(&[NotifyState::Ready, NotifyState::Status(&self.said)]);
    }

    /// How the loop fares, where that has changed.
    pub fn status(&mut self, health: &Health) {
        let line = self.line(health);
        if line != self.said {
            tell(&[NotifyState::Status(&line)]);
            self.said = line;
        }
    }

    /// The configuration is about to be read again.
    pub fn reloading(&mut self) {
        self.kept = None;
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now());
        states.push(NotifyState::Status("reading the configuration again"));
        tell(&states);
    }

    /// The new configuration is wrong; the old one stays in force.
    pub fn kept(&mut self, error: &str) {
        self.kept = Some(error.to_owned());
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
    }

    /// A step was taken: feeds the watchdog, though not with every one.
    pub fn alive(&mut self) {
        let Some(every) = self.every else { return };
        let now = self.clock.now();
        // A clock that was set back makes nobody wait.
        let since = self.fed_at.and_then(|fed| Duration::try_from(now.duration_since(fed)).ok());
        if since.is_none_or(|since| since >= every / 2) {
            tell(&[NotifyState::Watchdog]);
            self.fed_at = Some(now);
        }
    }

    fn line(&self, health: &Health) -> String {
        match &self.kept {
            Some(error) => {
                one_line(&format!("{}; the old configuration stays in force: {error}", line(health)))
            }
            None => line(health),
        }
    }
}

/// Who does not listen misses nothing that the work depends on.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(error = error.to_string(), "the service manager does not listen");
    }
}

/// How the loop fares, in a line.
fn line(health: &Health) -> String {
    let at = |moment: Timestamp| moment.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    if let Some(error) = &health.error {
        let since = health.worked_at.map_or("no cycle has worked yet".to_owned(), |worked| {
            format!("the last cycle that worked ended {}", at(worked))
        });
        let trouble = if health.fatal.is_some() { "no cycle can work" } else { "the last cycle failed" };
        return one_line(&format!("{trouble}: {error}; {since}"));
    }
    match (&health.last, health.worked_at) {
        (Some(report), Some(worked)) => format!(
            "cycle {} ({}) ended {} after {} ms: {} planned, {} applied, {} failed, {} parked, {} held",
            report.cycle,
            report.kind,
            at(worked),
            report.duration_ms,
            report.planned,
            report.applied,
            report.failed,
            report.parked,
            report.held
        ),
        _ => "the first cycle is under way".to_owned(),
    }
}

/// A message ends at the end of its line: what goes on below it would be taken for another.
fn one_line(text: &str) -> String {
    text.split(char::is_control).filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn worked() -> Health {
        let report = serde_json::from_value(serde_json::json!({
            "cycle": 7, "kind": "full", "observed": {"local": 9, "remote": 9}, "planned": 4, "applied": 3,
            "failed": 0, "parked": 0, "held": 1, "requests": 2, "duration_ms": 350
        }));
        let worked_at = Some("2026-03-01T12:00:00Z".parse().unwrap());
        Health { cycles: 1, last: Some(report.unwrap()), worked_at, ..Health::default() }
    }

    #[test]
    fn the_last_cycle_stands_in_one_line() {
        assert_eq!(line(&Health::default()), "the first cycle is under way");
        assert_eq!(
            line(&worked()),
            "cycle 7 (full) ended 2026-03-01 12:00:00Z after 350 ms: 4 planned, 3 applied, 0 failed, 0 parked, 1 held"
        );
    }

    #[test]
    fn what_failed_comes_before_what_worked_and_stays_in_its_line() {
        let error = Some("the register is locked\nREADY=1".to_owned());
        let failed = Health { failures: 1, error: error.clone(), ..worked() };
        assert_eq!(
            line(&failed),
            "the last cycle failed: the register is locked READY=1; \
             the last cycle that worked ended 2026-03-01 12:00:00Z"
        );
        let fatal = Health { fatal: Some("x".to_owned()), error, ..Health::default() };
        assert!(line(&fatal).starts_with("no cycle can work: "), "{}", line(&fatal));
        assert!(line(&fatal).ends_with("no cycle has worked yet"), "{}", line(&fatal));
    }

    #[test]
    fn steps_that_follow_each_other_closely_feed_once() {
        let clock = Clock::set_at("2026-03-01T12:00:00Z".parse().unwrap());
        let mut supervisor = Supervisor::new(clock.clone());
        supervisor.every = Some(Duration::from_secs(10));
        let mut fed = Vec::new();
        for step in [1, 1, 5, 4, 1, 30] {
            clock.advance(Duration::from_secs(step));
            let before = supervisor.fed_at;
            supervisor.alive();
            fed.push(before != supervisor.fed_at);
        }
        assert_eq!(fed, [true, false, true, false, true, true]);
        clock.set("2026-03-01T11:00:00Z".parse().unwrap());
        supervisor.alive();
        assert_eq!(supervisor.fed_at, Some(clock.now()), "a clock that was set back starves nobody");
    }
}
