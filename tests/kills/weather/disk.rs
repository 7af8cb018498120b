//! A disk that fills while the program writes its state or the register.

use std::path::Path;
use std::process::Command;

use crate::Work;
use crate::expected;
use crate::people;
use crate::stage::{Ran, Stage};
use crate::weather::{adopted, before_they_meet, is_root, skipped};

/// What is written, and by its name told.
const BOTH: [&str; 2] = ["state.db", "registrations.db"];

/// Runs the program where no file may grow beyond so many blocks of 512 bytes: what goes further fails, like a write to a
/// full disk, and needs no privilege.
fn within(stage: &Stage, blocks: u32, words: &str) -> Ran {
    let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    stage.run(&["sh", "-c", &limit], words)
}

/// It failed, to be tried again, and says which file could not be written and what to do.
fn ran_out_of_room(ran: &Ran, files: &[&str]) {
    ran.failed(1, &["make room on its disk"]);
    assert!(files.iter().any(|file| ran.complaints.contains(file)), "{files:?}: {ran:?}");
}

#[test]
fn a_disk_that_fills_while_the_state_is_written_costs_nothing_but_time() {
    let mut n_failed = 0;
    // From no room at all to enough: what is written last is written with a little less.
    for blocks in [0, 1, 64, 256, 512, 640, 768, 896, 1024, 2048] {
        let stage = before_they_meet();
        let ran = within(&stage, blocks, "sync --full --yes");
        if matches!(ran.exit, Some(0 | 3)) {
            expected::check(&stage, Work::Adoption);
            continue;
        }
        n_failed += 1;
        ran_out_of_room(&ran, &BOTH);
        Work::Adoption.recover(&stage);
        expected::check(&stage, Work::Adoption);
    }
    assert!(n_failed > 4, "the disk was full {n_failed} times");
}

#[test]
fn a_disk_that_fills_on_a_day_on_which_everything_happens_loses_nothing_of_it() {
    let mut n_failed = 0;
    for more in [0, 16, 48, 96, 4096] {
        let stage = adopted();
        people::a_day(&stage);
        let state = std::fs::metadata(stage.path("state.db")).unwrap().len();
        let blocks = u32::try_from(state / 512).unwrap() / 2 + more;
        let ran = within(&stage, blocks, "sync");
        if !matches!(ran.exit, Some(0 | 3)) {
            n_failed += 1;
            ran_out_of_room(&ran, &BOTH);
        }
        Work::Cycle.recover(&stage);
        expected::check(&stage, Work::Cycle);
    }
    assert!(n_failed > 1, "the disk was full {n_failed} times");
}

#[test]
fn a_disk_that_fills_while_the_register_is_written_costs_nothing_but_time() {
    // The rows lie far behind, where no file may reach: everything else has room.
    let stage = Stage::build();
    // Without a log, so that what is written goes to where it belongs.
    let mode = stage.register.pragma_update_and_check(None, "journal_mode", "DELETE", |row| row.get(0));
    assert_eq!(mode, Ok("delete".to_owned()));
    stage.sql(
        "CREATE TABLE photographs (photograph BLOB); INSERT INTO photographs VALUES (zeroblob(16000000))",
    );
    people::before_they_meet(&stage);
    let ran = within(&stage, 16_000, "sync --full --yes");
    ran_out_of_room(&ran, &BOTH[1..]);
    stage.sql("DROP TABLE photographs");
    Work::Adoption.recover(&stage);
    expected::check(&stage, Work::Adoption);
}

/// A small disk of its own, where whoever runs the tests may make one.
struct SmallDisk<'s>(&'s Path);

impl<'s> SmallDisk<'s> {
    fn mount(place: &'s Path) -> Option<Self> {
        std::fs::create_dir(place).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "none"]).arg(place);
        let mounted = is_root() && mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(place))
    }

    /// Nothing more goes onto it.
    fn fill(&self) {
        let filled = std::fs::write(self.0.join("filler"), vec![0; 8 << 20]).unwrap_err();
        assert_eq!(filled.kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).output();
    }
}

#[test]
fn a_full_disk_under_the_state_is_told_and_waited_out() {
    let stage = adopted();
    let place = stage.path("small");
    let Some(disk) = SmallDisk::mount(&place) else {
        return skipped("nobody but root may mount a small disk; the limit of a file's size stands for it");
    };
    stage.configure("path = \"state.db\"", "path = \"small/state.db\"");
    for name in ["state.db", "state.db-wal"] {
        let _ = std::fs::copy(stage.path(name), place.join(name));
    }
    people::a_day(&stage);
    disk.fill();
    ran_out_of_room(&stage.run(&[], "sync"), &["small/state.db"]);
    disk.make_room();
    Work::Cycle.recover(&stage);
    expected::check(&stage, Work::Cycle);
}

#[test]
fn a_full_disk_under_the_register_is_told_and_waited_out() {
    let mut stage = before_they_meet();
    let place = stage.path("small");
    let Some(disk) = SmallDisk::mount(&place) else {
        return skipped("nobody but root may mount a small disk; the limit of a file's size stands for it");
    };
    stage.move_register("small/registrations.db");
    disk.fill();
    let ran = stage.run(&[], "sync --full --yes");
    ran_out_of_room(&ran, &["small/registrations.db"]);
    disk.make_room();
    Work::Adoption.recover(&stage);
    expected::check(&stage, Work::Adoption);
}
