//! Plays a scenario: each step in turn, then what has to hold after every one of them.

use std::path::{Path, PathBuf};

use rosterd::clock::Clock;
use rosterd::sandbox::{Fault, FaultKind};

use crate::acts;
use crate::audience::DIMENSIONS;
use crate::closing;
use crate::expected::{difference, renewed};
use crate::program::{Rights, grant, run};
use crate::script::{Command, Part, Script, Step};
use crate::stage::Stage;
use crate::stores::Store;
use crate::table::Table;

/// Set to write what was found into the file, for a person to review.
const UPDATE: &str = "UPDATE_SCENARIOS";

/// The folder of the scenarios.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios")
}

/// Plays the scenario of this name with a register in a file; panics with what differed.
pub(crate) fn play(name: &str) {
    play_on(Store::Sqlite, name);
}

/// The same with a register on another store.
pub(crate) fn play_on(store: Store, name: &str) {
    let path = folder().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut script = Script::parse(&text);
    let mut stage = Stage::build_on(store);
    let update = store == Store::Sqlite && std::env::var_os(UPDATE).is_some();
    let mut differences = Vec::new();
    for part in &mut script.parts {
        let found = match part {
            Part::Text(_) => None,
            Part::Step(step) => take(&mut stage, step),
            Part::Command(command) => Some(said(&mut stage, command)),
        };
        let Some(found) = found else { continue };
        if update {
            renew(part, &found);
        } else if let Some(difference) = compare(part, &found) {
            differences.push(difference);
            // What comes later follows from it: the first difference is the one to read.
            break;
        }
    }
    let renewed = script.text();
    if update && renewed != text {
        std::fs::write(&path, renewed).unwrap();
    }
    assert!(
        differences.is_empty(),
        "{} ({store:?})\n{}\n(UPDATE_SCENARIOS=1 writes what was found)",
        path.display(),
        differences.concat()
    );
    closing::check(&mut stage, name);
}

/// What a command said, with its exit code at the end.
fn said(stage: &mut Stage, command: &Command) -> Vec<String> {
    let said = run(stage, &command.words);
    said.lines.into_iter().chain([format!("exit {}", said.exit)]).collect()
}

fn compare(part: &Part, found: &[String]) -> Option<String> {
    let (line, what, expected) = match part {
        Part::Text(_) => return None,
        Part::Step(step) => (step.line, &step.sentence, table_lines(&step.block)),
        Part::Command(command) => {
            let exit = format!("exit {}", command.exit);
            (command.line, &command.words, command.said.iter().cloned().chain([exit]).collect())
        }
    };
    let difference = difference(&expected, found)?;
    Some(format!("line {line}: {what}\n{difference}"))
}

/// A table as it would be written, so that only what is in it counts.
fn table_lines(block: &[String]) -> Vec<String> {
    Table::parse(block).lines()
}

fn renew(part: &mut Part, found: &[String]) {
    match part {
        Part::Text(_) => {}
        Part::Step(step) => step.block = renewed(&table_lines(&step.block), found),
        Part::Command(command) => {
            let (exit, lines) = found.split_last().expect("the exit code is the last line");
            command.said = renewed(&command.said, lines);
            command.exit = exit["exit ".len()..].parse().unwrap();
        }
    }
}

/// Does what a step says, or answers what it shows.
fn take(stage: &mut Stage, step: &Step) -> Option<Vec<String>> {
    let words = step.words();
    if let Some(words) = words.strip_prefix("In Mailchimp ").or(words.strip_prefix("in Mailchimp ")) {
        acts::in_mailchimp(stage, words);
        return None;
    }
    if let Some(words) = words.strip_prefix("On the website ").or(words.strip_prefix("on the website ")) {
        acts::on_the_website(stage, words);
        return None;
    }
    if let Some(found) = show(stage, words, &step.block) {
        return Some(found);
    }
    if !(given(stage, words, &step.block) || happen(stage, words) || hold(stage, words)) {
        panic!("line {}: nobody knows what this means: {}", step.line, step.sentence);
    }
    None
}

/// What is there at the beginning.
fn given(stage: &mut Stage, words: &str, block: &[String]) -> bool {
    match words {
        "the register" => {
            let table = Table::parse(block);
            table.records().filter_map(|row| row.get("email")).for_each(|email| stage.opts_in(email));
            stage.register.fill(&table, &DIMENSIONS);
        }
        "the audience" => stage.audience.fill(&Table::parse(block)),
        "both sides agree on" => agree(stage, &Table::parse(block)),
        "the configuration also says" => stage.configure(&format!("\n{}\n", block.join("\n"))),
        "the configuration is as before" => stage.configure(""),
        _ => {
            match words.strip_prefix("both sides agree on ").and_then(|rest| rest.strip_suffix(" members")) {
                Some(count) => agree(stage, &crowd(count.parse().unwrap())),
                None => return false,
            }
        }
    }
    true
}

/// The same people on both sides, adopted: two cycles, so that nothing of it is left to do.
fn agree(stage: &mut Stage, table: &Table) {
    let remote = |column: &String| match column.as_str() {
        "first_name" => "FNAME".to_owned(),
        "last_name" => "LNAME".to_owned(),
        other => other.to_owned(),
    };
    let header = table.header.iter().map(remote).collect();
    stage.register.fill(table, &DIMENSIONS);
    stage.audience.fill(&Table { header, rows: table.rows.clone() });
    for words in ["rosterd sync --full --yes", "rosterd sync"] {
        let said = run(stage, words);
        assert_eq!(said.exit, 0, "both sides agree: {:#?}", said.lines);
    }
    stage.later(1);
}

fn crowd(count: usize) -> Table {
    let row = |number: usize| vec![format!("member{number:02}@alliance.test"), format!("Name{number:02}")];
    Table { header: vec!["email".to_owned(), "first_name".to_owned()], rows: (1..=count).map(row).collect() }
}

/// What happens beside what people do.
fn happen(stage: &mut Stage, words: &str) -> bool {
    match words {
        "An hour later" | "an hour later" => stage.later(1),
        "A day later" | "a day later" => stage.later(24),
        "it is today" => stage.clock.set(Clock::System.now()),
        "Mailchimp is out of reach" => stage.cut_off(),
        "Mailchimp is within reach again" => stage.serve(),
        "Mailchimp revokes the key" => stage.audience.person().staff_revoke_key(),
        "Mailchimp is busy for a moment" => {
            stage.audience.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests))
        }
        "another rosterd holds the state" => stage.hold_state(),
        "the other rosterd has ended" => stage.release_state(),
        "whoever runs rosterd may only read" => grant(stage, Rights::Read),
        "whoever runs rosterd may write again" => grant(stage, Rights::All),
        "staff approve what is held" => stage.approve_all(),
        _ => match words.strip_prefix("it is ") {
            Some(time) => stage.clock.set(stage.today_at(time)),
            None => return false,
        },
    }
    true
}

/// What both sides show, as a table of the same columns.
fn show(stage: &Stage, words: &str, block: &[String]) -> Option<Vec<String>> {
    let header = || Table::parse(block).header;
    let found = match words {
        "the register shows" => stage.register.show(&header(), &DIMENSIONS),
        "the audience shows" => stage.audience.show(&header()),
        "the sides count" => {
            let statuses = ["subscribed", "unsubscribed", "pending", "cleaned", "archived"];
            let row = |status: &str| {
                vec![status.to_owned(), stage.register.count(status), stage.audience.count(status)]
            };
            let rows = statuses.map(row).into_iter().filter(|row| row[1..] != ["0", "0"]).collect();
            Table { header: ["status", "register", "audience"].map(str::to_owned).into(), rows }
        }
        _ => return None,
    };
    Some(found.lines())
}

/// What is to hold.
fn hold(stage: &mut Stage, words: &str) -> bool {
    match words {
        "a further sync writes nothing" => closing::assert_quiet(stage),
        "nothing was written" => {
            assert_eq!(stage.before, Some(stage.snapshot()), "the last command wrote something");
        }
        "Mailchimp has mailed nobody" => {
            assert_eq!(stage.audience.sandbox.counters().confirmation_mails, [].into());
        }
        _ => match words.strip_prefix("Mailchimp has mailed ").and_then(|rest| rest.split_once(' ')) {
            Some((email, "once")) => assert_eq!(stage.audience.sandbox.confirmation_mails(email), 1),
            Some((email, "twice")) => assert_eq!(stage.audience.sandbox.confirmation_mails(email), 2),
            _ => return false,
        },
    }
    true
}
