//! A state that cannot be written: nothing is done that could not be remembered.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::Work;
use crate::expected;
use crate::people;
use crate::stage::Stage;
use crate::weather::{before_they_meet, is_root, skipped, status_writes};

/// By whom the program is run so that modes bind; `None` where root cannot become anybody else.
fn somebody_bound() -> Option<&'static [&'static str]> {
    const NOBODY: &[&str] = &["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    if !is_root() {
        return Some(&[]);
    }
    let try_it = Command::new(NOBODY[0]).args(&NOBODY[1..]).arg("true").output();
    try_it.is_ok_and(|output| output.status.success()).then_some(NOBODY)
}

/// Who may do what with the folder of the state and with everything in it.
fn set_modes(stage: &Stage, of_folder: u32, of_files: u32) {
    let folder = stage.path("memory");
    for entry in std::fs::read_dir(&folder).unwrap() {
        set_permissions(entry.unwrap().path(), Permissions::from_mode(of_files)).unwrap();
    }
    set_permissions(folder, Permissions::from_mode(of_folder)).unwrap();
}

/// The program may read and write the register, whoever it is.
fn open_the_register_to_all(stage: &Stage) {
    set_permissions(stage.path(""), Permissions::from_mode(0o777)).unwrap();
    for name in ["registrations.db", "registrations.db-wal", "registrations.db-shm", "rosterd.toml"] {
        // By its name: a file that is opened and closed again takes this process's locks with it, SQLite's among them.
        if stage.path(name).exists() {
            set_permissions(stage.path(name), Permissions::from_mode(0o666)).unwrap();
        }
    }
}

#[test]
fn a_state_in_a_folder_that_cannot_be_written_stops_everything_and_loses_nothing() {
    let Some(bound) = somebody_bound() else {
        return skipped("root may write whatever the modes say, and cannot become somebody else here");
    };
    let stage = before_they_meet();
    stage.configure("path = \"state.db\"", "path = \"memory/state.db\"");
    std::fs::create_dir(stage.path("memory")).unwrap();
    open_the_register_to_all(&stage);
    set_modes(&stage, 0o777, 0o666);
    stage.run(bound, "sync --full --yes").clean();
    people::a_day(&stage);
    set_modes(&stage, 0o555, 0o444);
    let (before, writes) = (register(&stage), status_writes(&stage));
    let state = "memory/state.db";
    for words in ["sync", "sync --full"] {
        stage.run(bound, words).failed(1, &[state, "check its owner and mode"]);
    }
    assert_eq!((register(&stage), status_writes(&stage)), (before, writes), "something was written");
    set_modes(&stage, 0o777, 0o666);
    for _ in 0..2 {
        stage.run(bound, "sync").clean();
    }
    set_modes(&stage, 0o777, 0o666);
    expected::check(&stage, Work::Cycle);
}

#[test]
fn a_state_that_cannot_be_made_stops_everything() {
    let stage = before_they_meet();
    // As ordinary user and as root alike: no folder is made in a file.
    stage.configure("path = \"state.db\"", "path = \"rosterd.toml/state.db\"");
    let (before, writes) = (register(&stage), status_writes(&stage));
    stage.run(&[], "sync --full --yes").failed(1, &["rosterd.toml"]);
    assert_eq!((register(&stage), status_writes(&stage)), (before, writes), "something was written");
    stage.configure("path = \"rosterd.toml/state.db\"", "path = \"state.db\"");
    Work::Adoption.recover(&stage);
    expected::check(&stage, Work::Adoption);
}

/// Every row as it stands.
fn register(stage: &Stage) -> Vec<String> {
    let mut statement = stage.register.prepare("SELECT * FROM registrations ORDER BY id").unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| {
        Ok((0..width).map(|n| format!("{:?}|", row.get_ref(n).unwrap())).collect::<String>())
    });
    rows.unwrap().map(Result::unwrap).collect()
}
