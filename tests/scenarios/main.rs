//! Scenarios that a member of staff can read, each run through the real program against a sandbox.
//!
//! They lie in `fixtures/scenarios`, one file each; `UPDATE_SCENARIOS=1` writes what was found into them, for a person
//! to review. What has to hold after every scenario stands in `closing.rs`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

mod acts;
mod audience;
mod closing;
mod daemon;
mod expected;
mod log;
mod program;
mod register;
mod script;
mod stage;
mod steps;
mod table;

macro_rules! scenarios {
    ($($name:ident)*) => {
        /// The scenarios, each the name of a file and of a test.
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                steps::play(stringify!($name));
            }
        )*
    };
}

scenarios! {
    leaving_by_the_link_holds
}

#[test]
fn every_scenario_in_the_folder_is_played() {
    let entries = std::fs::read_dir(steps::folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let mut names: Vec<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let mut cases = CASES.to_vec();
    cases.sort_unstable();
    assert_eq!(names, cases);
}
