//! A clock that jumps back an hour, between cycles and within one. `.ci/run` installs `faketime` where it may.

use std::path::PathBuf;

use crate::Work;
use crate::expected;
use crate::people;
use crate::stage::Stage;
use crate::weather::{adopted, skipped};

const AN_HOUR_BACK: &str = "-3600";
const RIGHT: &str = "+0";

/// The library that gives a program another time.
fn library() -> Option<PathBuf> {
    let places = std::fs::read_dir("/usr/lib").ok()?;
    let places = places.flatten().map(|place| place.path()).chain([PathBuf::from("/usr/local/lib")]);
    places.map(|place| place.join("faketime/libfaketimeMT.so.1")).find(|library| library.exists())
}

/// What the program is called through so that it goes by a clock that the file sets.
struct OtherClock {
    words: Vec<String>,
    file: PathBuf,
}

impl OtherClock {
    fn of(stage: &Stage) -> Option<Self> {
        let Some(library) = library() else {
            skipped("faketime is not installed");
            return None;
        };
        let file = stage.path("clock");
        std::fs::write(&file, RIGHT).unwrap();
        let words = [
            "env".to_owned(),
            format!("LD_PRELOAD={}", library.display()),
            format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
            "FAKETIME_NO_CACHE=1".to_owned(),
            // Waiting goes by another clock, which never jumps.
            "FAKETIME_DONT_FAKE_MONOTONIC=1".to_owned(),
        ];
        Some(Self { words: words.into(), file })
    }

    /// From now on the clock is so much off.
    fn set(&self, offset: &str) {
        // Replaced, never half written: the program reads it whenever it asks for the time.
        let next = self.file.with_extension("next");
        std::fs::write(&next, offset).unwrap();
        std::fs::rename(next, &self.file).unwrap();
    }

    fn words(&self) -> Vec<&str> {
        self.words.iter().map(String::as_str).collect()
    }
}

#[test]
fn a_clock_that_jumped_back_between_cycles_hides_no_change() {
    let stage = adopted();
    let Some(clock) = OtherClock::of(&stage) else { return };
    people::a_day(&stage);
    clock.set(AN_HOUR_BACK);
    for _ in 0..3 {
        stage.run(&clock.words(), "sync").clean();
    }
    // An hour later than it was: what is read once an hour is read again.
    stage.clean("sync");
    expected::check(&stage, Work::Cycle);
}

#[test]
fn a_clock_that_jumps_back_in_a_cycle_hides_no_change() {
    for n_requests in [1, 3, 6, 9] {
        let stage = adopted();
        let Some(clock) = OtherClock::of(&stage) else { return };
        people::a_day(&stage);
        stage.sandbox.faults().latency(crate::stage::LATENCY);
        let until = stage.sandbox.counters().requests_total + n_requests;
        let mut running = stage.start(&clock.words(), "sync");
        while stage.sandbox.counters().requests_total < until && !running.is_over() {
            std::thread::yield_now();
        }
        clock.set(AN_HOUR_BACK);
        running.ended().clean();
        stage.sandbox.faults().latency(std::time::Duration::ZERO);
        stage.run(&clock.words(), "sync").clean();
        clock.set(RIGHT);
        stage.run(&clock.words(), "sync").clean();
        stage.clean("sync");
        expected::check(&stage, Work::Cycle);
    }
}
