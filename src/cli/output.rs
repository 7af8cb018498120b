//! Results go to standard output: as text for people, as JSON for programs.

use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::cli::exit::Fault;

/// Whoever read standard output has gone, as `head` does when it has seen enough: nobody is left to be told.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(super) struct NobodyReads;

/// Prints a line.
pub(super) fn say(line: &str) -> Result<(), Fault> {
    writeln!(std::io::stdout(), "{line}").map_err(unprinted)
}

/// What it means that standard output takes nothing.
pub(super) fn unprinted(error: std::io::Error) -> Fault {
    match error.kind() {
        std::io::ErrorKind::BrokenPipe => Fault::failed(NobodyReads),
        _ => Fault::failed(anyhow::Error::new(error).context("standard output cannot be written to")),
    }
}

/// `1 operation`, `2 operations`.
pub(super) fn operations(count: u64) -> String {
    if count == 1 { "1 operation".to_owned() } else { format!("{count} operations") }
}

/// Prints a value as JSON, on one line.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Fault> {
    say(&serde_json::to_string(value).map_err(Fault::failed)?)
}

/// A table that fits the terminal; 80 columns where there is none.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    if table.width().is_none() {
        table.set_width(80);
    }
    table
}

/// Prints a table without white space at the ends of its lines.
pub(super) fn print_table(table: &Table) -> Result<(), Fault> {
    for line in table.to_string().lines() {
        say(line.trim_end())?;
    }
    Ok(())
}
