//! The built program is killed with `kill -9` at random moments, and the next clean cycles make good what it left.
//!
//! `KILLS=300 cargo test --release --test kills -- --nocapture` kills as often as asked, from any `SEED`; the ordinary suite
//! kills a few times in each kind of work. Each kill begins in a world of its own: people on both sides, on one, and
//! some who left. Afterwards clean cycles must lead to where they lead without a kill.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod chance;
mod events;
mod expected;
mod people;
mod stage;
mod weather;

use std::io::Write;
use std::time::{Duration, Instant};

use crate::chance::Chance;
use crate::stage::{Ended, Stage};

/// How often the ordinary suite kills in each kind of work.
const USUALLY: usize = 4;

/// What the program is doing when it is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    /// The first meeting of both sides.
    Adoption,
    /// What changed on a day on which everything happens.
    Cycle,
    /// The same, with everything read again.
    FullCycle,
    /// Several hundred people who registered.
    Creations,
    /// Many names that changed at once.
    Updates,
    /// What a person approved of what the guard had held.
    Approval,
    /// The approval itself.
    Deciding,
}

const WORK: [Work; 7] = [
    Work::Adoption,
    Work::Cycle,
    Work::FullCycle,
    Work::Creations,
    Work::Updates,
    Work::Approval,
    Work::Deciding,
];

impl Work {
    /// Brings the world to the moment before this work; says what the program is to be called with.
    fn prepare(self, stage: &Stage) -> Vec<String> {
        let words = |words: &str| words.split(' ').map(str::to_owned).collect();
        if self == Self::Adoption {
            return words("sync --full --yes");
        }
        stage.clean("sync --full --yes");
        match self {
            Self::Adoption => Vec::new(),
            Self::Cycle => {
                people::a_day(stage);
                words("sync")
            }
            Self::FullCycle => {
                people::a_day(stage);
                words("sync --full")
            }
            Self::Creations => {
                people::register_many(stage);
                words("sync")
            }
            Self::Updates => {
                people::rename_many(stage);
                words("sync")
            }
            Self::Approval | Self::Deciding => {
                people::remove_many(stage);
                stage.clean("sync");
                let approve = format!("approve {}", stage.hold());
                if self == Self::Deciding {
                    return words(&approve);
                }
                stage.clean(&approve);
                words("sync")
            }
        }
    }

    /// What staff do once they see that the program is gone: the next cycles, clean, and what they had decided before.
    fn recover(self, stage: &Stage) {
        let adoption = self == Self::Adoption;
        stage.clean(if adoption { "sync --yes" } else { "sync" });
        if matches!(self, Self::Approval | Self::Deciding) && stage.has_hold() {
            stage.clean(&format!("approve {}", stage.hold()));
            stage.clean("sync");
        }
        stage.clean("sync");
    }
}

/// Says which run it was when something does not hold, so that it can be repeated.
struct Run {
    work: Work,
    number: usize,
}

impl Drop for Run {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { work, number } = self;
            let _ = writeln!(std::io::stderr(), "in run {number}, {work:?}");
        }
    }
}

/// One kill: how long the program may run before, and whether that was soon enough to hit it.
fn kill_once(work: Work, within: Duration, chance: &mut Chance) -> bool {
    let stage = Stage::build();
    people::before_they_meet(&stage);
    let words = work.prepare(&stage);
    let ended = stage.kill_within(&words, chance.below(within));
    work.recover(&stage);
    expected::check(&stage, work);
    ended == Ended::Killed
}

/// How long the work takes when nobody kills it, and that it leads to where it must.
fn undisturbed(work: Work) -> Duration {
    let stage = Stage::build();
    people::before_they_meet(&stage);
    let words = work.prepare(&stage);
    let begun = Instant::now();
    stage.clean(&words.join(" "));
    let took = begun.elapsed();
    work.recover(&stage);
    expected::check(&stage, work);
    took
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap())
}

#[test]
fn a_killed_program_loses_nothing_and_mails_nobody() {
    let seed = asked("SEED").unwrap_or(1);
    let kills = asked("KILLS").map_or(USUALLY * WORK.len(), |kills| usize::try_from(kills).unwrap());
    let times = WORK.map(undisturbed);
    let mut counts = [0; WORK.len()];
    let (mut hit, mut runs) = (0, 0);
    // A kill that came too late was none: it is tried again, but not for ever.
    while hit < kills && runs < kills * 3 {
        let kind = runs % WORK.len();
        let mut chance = Chance::new(seed, runs);
        let _run = Run { work: WORK[kind], number: runs };
        runs += 1;
        if kill_once(WORK[kind], times[kind], &mut chance) {
            hit += 1;
            counts[kind] += 1;
        }
    }
    let counts: Vec<String> =
        WORK.iter().zip(counts).map(|(work, count)| format!("{work:?} {count}")).collect();
    writeln!(std::io::stderr(), "{hit} kills in {runs} runs from seed {seed}: {}", counts.join(", "))
        .unwrap();
    assert!(hit >= kills / 2, "most kills came too late: {hit} of {runs}");
}
