//! Deterministic simulation: random people and a hostile world, both from one seed, and the laws that hold all the same.
//!
//! `HISTORIES=N SEED=S THREADS=T cargo test --release --test machine -- --nocapture` plays as many histories as asked
//! from any seed, with `WIDE=1` in a world where more goes wrong; an ordinary run of the tests plays the same thousand everywhere.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "the last line counts what was played")]

mod chance;
mod ground;
mod history;
mod known;
mod laws;
mod oracle;
#[path = "../world/parts.rs"]
mod parts;
mod props;
mod quiet;
mod register;
mod regressions;
mod seen;
mod shrink;
mod sides;
mod step;
mod theatre;
mod wire;
mod words;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rosterd::aside::work_in_line;

use crate::history::play;
use crate::laws::Law;
use crate::shrink::report;
use crate::step::{Script, Worldliness};
use crate::theatre::Theatre;

/// How many histories an ordinary run plays: less than a minute on two cores in a debug build.
const ORDINARY: u64 = 1_000;

/// A failing run tells this many stories unless `STORIES` says otherwise, and counts the others.
const TOLD: u64 = 3;

#[derive(Default)]
struct Sums {
    histories: u64,
    steps: u64,
    faults: u64,
    crashes: u64,
    violations: BTreeMap<Law, u64>,
    excuses: BTreeMap<&'static str, u64>,
    stories: Vec<String>,
}

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn worldliness() -> Worldliness {
    if asked("WIDE").is_some() { Worldliness::Wide } else { Worldliness::Usual }
}

fn cores() -> u64 {
    std::thread::available_parallelism().map_or(1, |cores| u64::try_from(cores.get()).unwrap())
}

/// One thread's share: a seed at a time, until there are no more.
fn play_on(next: &AtomicU64, end: u64, sums: &Mutex<Sums>) {
    work_in_line();
    let theatre = Theatre::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return;
        }
        let script = Script::from_seed(seed, worldliness());
        let outcome = play(&theatre, &script, false);
        let told = u64::try_from(sums.lock().unwrap().stories.len()).unwrap();
        let tells = outcome.violation.as_ref().filter(|_| told < asked("STORIES").unwrap_or(TOLD));
        let story = tells.and_then(|_| report(&theatre, &format!("seed {seed}"), &script));
        let mut sums = sums.lock().unwrap();
        sums.histories += 1;
        sums.steps += outcome.steps;
        sums.faults += outcome.faults;
        sums.crashes += outcome.crashes;
        if let Some(violation) = outcome.violation {
            println!("seed {seed} breaks {:?}", violation.law);
            *sums.violations.entry(violation.law).or_default() += 1;
        }
        sums.stories.extend(story);
        for excuse in outcome.excuses {
            *sums.excuses.entry(excuse).or_default() += 1;
        }
    }
}

#[test]
fn the_laws_hold_whatever_people_do_and_the_world_does() {
    let (seed, histories) = (asked("SEED").unwrap_or(1), asked("HISTORIES").unwrap_or(ORDINARY));
    let next = AtomicU64::new(seed);
    let began = Instant::now();
    let sums = Mutex::new(Sums::default());
    std::thread::scope(|scope| {
        for _ in 0..asked("THREADS").unwrap_or_else(cores) {
            scope.spawn(|| play_on(&next, seed + histories, &sums));
        }
    });
    let sums = sums.into_inner().unwrap();
    let each = began.elapsed().as_secs_f64() * 1e3 / f64::from(u32::try_from(sums.histories).unwrap().max(1));
    for story in &sums.stories {
        println!("{story}");
    }
    let violations: u64 = sums.violations.values().sum();
    println!("broken laws: {:?}; reasons for what stayed apart: {:?}", sums.violations, sums.excuses);
    println!("{each:.2} ms a history");
    println!(
        "{} histories, {} steps, {} faults, {} crashes, {} violations",
        sums.histories, sums.steps, sums.faults, sums.crashes, violations
    );
    assert_eq!(violations, 0, "see the stories above");
}

#[test]
fn one_seed_gives_one_history() {
    std::thread::spawn(|| {
        work_in_line();
        let theatre = Theatre::new();
        for seed in 1..12 {
            let script = Script::from_seed(seed, Worldliness::Wide);
            let (first, second) = (play(&theatre, &script, true).story, play(&theatre, &script, true).story);
            let differ = first.iter().zip(&second).find(|(first, second)| first != second);
            assert_eq!((differ, first.len()), (None, second.len()), "seed {seed}");
        }
    })
    .join()
    .unwrap();
}
