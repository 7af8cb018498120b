//! The loop: tick, bell or stop; one cycle; back off after failures.

mod desk;
mod wanted;

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cycle::{Adoption, Cycle, CycleError, Report};
use crate::mailchimp::refusal::chain;
use crate::observe::Scope;
use crate::telemetry::tally::Tally;

pub use desk::{Desk, Failure, Stage, Ticket, Turn, Wish};
pub use wanted::CycleWanted;

/// After failures the distance between cycles doubles up to this: a fatal error is tried again at it, too.
const LONGEST_BACKOFF: Duration = Duration::from_mins(15);

/// Oftener than this nobody needs to hear that the loop lives.
const SHORTEST_BEAT: Duration = Duration::from_millis(10);

/// How often a register is asked whether somebody changed it: a website that writes all the time has a cycle begin no oftener.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);

/// When the loop does what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rhythm {
    /// Between two cycles.
    pub interval: Duration,
    /// Between two full cycles.
    pub full_interval: Duration,
    /// How often the loop shows that it lives while it waits.
    pub beat: Duration,
    /// How often the register is asked meanwhile whether somebody changed it; `None` for never.
    pub look: Option<Duration>,
}

/// What wakes the loop; it carries nothing, since a cycle looks at the stores and not at the caller.
#[derive(Clone, Debug, Default)]
pub struct Bell(std::sync::Arc<tokio::sync::Notify>);

impl Bell {
    /// Wakes the loop, or has its next wait end at once.
    pub fn ring(&self) {
        self.0.notify_one();
    }

    /// Waits until somebody rings.
    pub async fn rung(&self) {
        self.0.notified().await;
    }
}

/// How a cycle ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CycleEnd {
    /// It did what there was to do.
    Done,
    /// It failed.
    Failed,
    /// It was told to stop.
    Stopped,
}

impl CycleEnd {
    /// The word for it in the metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// What became of operations since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Operations {
    /// Done.
    pub applied: u64,
    /// Failed, or their outcome is unknown.
    pub failed: u64,
    /// Refused: their members were set aside.
    pub refused: u64,
    /// Left for the next cycle, because a side had changed meanwhile.
    pub skipped: u64,
}

/// How the loop fares, for whoever wants to know.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// Turns of the loop since the start, those that only wait included: where this stands still, it hangs.
    pub turns: u64,
    /// Since when a cycle is under way, where one is.
    pub began_at: Option<Timestamp>,
    /// When a cycle last took a step: a page, a write, an exchange with Mailchimp.
    pub moved_at: Option<Timestamp>,
    /// Cycles that ended since the start.
    pub cycles: u64,
    /// The same by what they read and how they ended, with how long they took.
    pub ended: BTreeMap<(Scope, CycleEnd), Tally>,
    /// What became of their operations, as far as they came to their end.
    pub operations: Operations,
    /// Refusals since the start, by what each was taken for.
    pub refusals: BTreeMap<String, u64>,
    /// Failures in a row.
    pub failures: u32,
    /// The last report.
    pub last: Option<Report>,
    /// When the last cycle that worked ended.
    pub worked_at: Option<Timestamp>,
    /// Why the last cycle failed, where it did.
    pub error: Option<String>,
    /// Why no cycle can work, where none can.
    pub fatal: Option<String>,
    /// Full cycles that failed since the last that did not, and when the latest of them ended.
    pub full_failed: Option<(u32, Timestamp)>,
}

impl Operations {
    fn add(&mut self, report: &Report) {
        self.applied += report.applied;
        self.failed += report.failed;
        self.refused += report.refused;
        self.skipped += report.skipped;
    }
}

/// Runs cycles until told to stop; the operation under way is finished first.
pub async fn work(
    cycle: &Cycle,
    rhythm: Rhythm,
    desk: &Desk,
    health: &watch::Sender<Health>,
    stop: &CancellationToken,
) {
    loop {
        let Some(turn) = turn(cycle, rhythm.beat, desk, health, stop).await else { return };
        one_cycle(cycle, rhythm, desk, health).await;
        drop(turn);
        if health.borrow().failures == 0 && somebody_is_named(cycle).await {
            continue;
        }
        let pause = pause(rhythm.interval, &health.borrow());
        tokio::select! {
            () = stop.cancelled() => return,
            () = wait(cycle, pause, rhythm.beat, health) => (),
            () = desk.bell().rung() => (),
            () = register_changed(cycle, rhythm.look, health) => (),
        }
    }
}

/// Waits until somebody else changes the register, where it tells so. While cycles fail nobody is called: what is away is tried
/// at growing distances.
async fn register_changed(cycle: &Cycle, look: Option<Duration>, health: &watch::Sender<Health>) {
    let Some(look) = look.filter(|_| health.borrow().failures == 0) else { return pending().await };
    loop {
        cycle.clock.sleep(look).await;
        // What is wrong with the register the next cycle tells.
        if cycle.local.was_changed().await.unwrap_or_default() {
            return;
        }
    }
}

/// Whether events named more people than one cycle looks at: the next one begins at once.
async fn somebody_is_named(cycle: &Cycle) -> bool {
    // What is wrong with the state the next cycle tells.
    cycle.state.named_by_events(1).await.is_ok_and(|named| !named.is_empty())
}

/// Waits until nobody else works on the sides, and shows meanwhile that the loop lives; `None` where it is told to stop.
async fn turn<'d>(
    cycle: &Cycle,
    beat: Duration,
    desk: &'d Desk,
    health: &watch::Sender<Health>,
    stop: &CancellationToken,
) -> Option<Turn<'d>> {
    let mut turn = std::pin::pin!(desk.turn());
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            turn = &mut turn => return Some(turn),
            () = wait(cycle, beat.max(SHORTEST_BEAT), beat, health) => (),
        }
    }
}

/// Waits for `pause` in short turns, each of which shows that the loop lives.
async fn wait(cycle: &Cycle, pause: Duration, beat: Duration, health: &watch::Sender<Health>) {
    let mut left = pause;
    while !left.is_zero() {
        health.send_modify(|health| health.turns += 1);
        let turn = left.min(beat.max(SHORTEST_BEAT));
        cycle.clock.sleep(turn).await;
        left -= turn;
    }
}

/// One turn of the loop: a cycle of the scope that is due or asked for, and what came of it made known.
pub async fn one_cycle(cycle: &Cycle, rhythm: Rhythm, desk: &Desk, health: &watch::Sender<Health>) {
    let full_failed = health.borrow().full_failed;
    let began = cycle.clock.now();
    // Nobody is woken for it: the end is what they wait for.
    health.send_if_modified(|health| {
        health.began_at = Some(began);
        false
    });
    let asked = desk.take();
    let (scope, result) = match due(cycle, rhythm, full_failed).await {
        Ok(due) => {
            let wish = Wish { scope: due, adoption: Adoption::Ask };
            let Wish { scope, adoption } = asked.wish().map_or(wish, |asked| wish.and(asked));
            (scope, cycle.run(scope, adoption).await)
        }
        Err(error) => (Scope::Incremental, Err(error)),
    };
    if !result.as_ref().is_err_and(CycleError::is_stop) {
        asked.tell(&result);
    }
    match &result {
        Ok(report) => tell(report),
        Err(error) if error.is_stop() => {
            tracing::info!("the cycle ends in its midst, the next one goes on")
        }
        Err(error) => tracing::error!(error = %chain(error), fatal = error.is_fatal(), "the cycle failed"),
    }
    let now = cycle.clock.now();
    let took = Duration::try_from(now.duration_since(began)).unwrap_or_default();
    health.send_modify(|health| health.take_up(scope, result, now, took));
}

impl Health {
    /// No cycle can even begin: that is a failure like any other, after which nobody is asked oftener than at growing distances.
    pub fn could_not_begin(&mut self, error: String) {
        self.failures += 1;
        self.error = Some(error);
    }

    /// What kept cycles from beginning is over.
    pub fn can_begin(&mut self) {
        (self.failures, self.error) = (0, None);
    }

    /// A cycle took a step.
    pub fn moved(&mut self, now: Timestamp) {
        self.moved_at = Some(now);
    }

    /// Takes up how a cycle ended.
    fn take_up(&mut self, scope: Scope, result: Result<Report, CycleError>, now: Timestamp, took: Duration) {
        self.turns += 1;
        self.cycles += 1;
        self.began_at = None;
        let end = match result {
            Ok(report) => {
                self.operations.add(&report);
                for (class, count) in &report.refusals {
                    *self.refusals.entry(class.clone()).or_default() += count;
                }
                self.failures = 0;
                (self.last, self.worked_at) = (Some(report), Some(now));
                (self.fatal, self.error) = (None, None);
                self.full_failed = self.full_failed.filter(|_| scope == Scope::Incremental);
                CycleEnd::Done
            }
            Err(error) if error.is_stop() => CycleEnd::Stopped,
            Err(error) => {
                self.failures += 1;
                self.fatal = error.is_fatal().then(|| error.to_string());
                self.error = Some(chain(&error));
                if scope == Scope::Full {
                    self.full_failed = Some((self.full_failed.map_or(0, |(n, _)| n) + 1, now));
                }
                CycleEnd::Failed
            }
        };
        self.ended.entry((scope, end)).or_default().add(took);
    }
}

/// The scope that is due.
///
/// What keeps a full cycle from its end may leave the incremental ones alone: after a failure they go on, and bring
/// the opt-outs across, until the full one is tried again.
async fn due(
    cycle: &Cycle,
    rhythm: Rhythm,
    full_failed: Option<(u32, Timestamp)>,
) -> Result<Scope, CycleError> {
    let now = cycle.clock.now();
    let Some(last) = cycle.state.full_observed_at().await? else { return Ok(Scope::Full) };
    let fresh = last <= now && before(now, rhythm.full_interval) < Some(last);
    let waits = full_failed.is_some_and(|(n_failures, at)| {
        // Twice the pause, so that at least one incremental cycle comes between two full ones.
        at <= now && before(now, pause_after(rhythm.interval, n_failures).saturating_mul(2)) < Some(at)
    });
    Ok(if fresh || waits { Scope::Incremental } else { Scope::Full })
}

fn before(now: Timestamp, duration: Duration) -> Option<Timestamp> {
    now.checked_sub(jiff::SignedDuration::try_from(duration).ok()?).ok()
}

/// The pause before the next cycle: where none can work, the longest.
fn pause(interval: Duration, health: &Health) -> Duration {
    match health.fatal {
        Some(_) => LONGEST_BACKOFF.max(interval),
        None => pause_after(interval, health.failures),
    }
}

/// The pause after so many failures in a row.
pub fn pause_after(interval: Duration, failures: u32) -> Duration {
    if failures == 0 {
        return interval;
    }
    interval.saturating_mul(2_u32.saturating_pow(failures.min(16))).min(LONGEST_BACKOFF.max(interval))
}

fn tell(report: &Report) {
    if report.planned == 0 && report.failed == 0 {
        tracing::debug!(
            cycle.id = report.cycle,
            cycle.kind = report.kind,
            duration_ms = report.duration_ms,
            "nothing to do"
        );
        return;
    }
    tracing::info!(
        cycle.id = report.cycle,
        cycle.kind = report.kind,
        planned = report.planned,
        applied = report.applied,
        failed = report.failed,
        parked = report.parked,
        held = report.held,
        requests = report.requests,
        duration_ms = report.duration_ms,
        "cycle done",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_in_a_row_lengthen_the_pause() {
        let minute = Duration::from_secs(60);
        let pauses: Vec<u64> = [0, 1, 2, 3, 4, 5, 40].map(|n| pause_after(minute, n).as_secs() / 60).into();
        assert_eq!(pauses, [1, 2, 4, 8, 15, 15, 15]);
        assert_eq!(pause_after(Duration::from_secs(3600), 3), Duration::from_secs(3600));
    }

    #[test]
    fn where_no_cycle_can_work_the_next_is_tried_after_the_longest_pause() {
        let health =
            Health { failures: 1, fatal: Some("the key is invalid".to_owned()), ..Health::default() };
        assert_eq!(pause(Duration::from_secs(60), &health), LONGEST_BACKOFF);
        assert_eq!(pause(Duration::from_secs(3600), &health), Duration::from_secs(3600));
    }

    #[tokio::test]
    async fn a_bell_rung_before_the_wait_ends_it_at_once() {
        let bell = Bell::default();
        bell.ring();
        bell.rung().await;
    }
}
