//! Results go to standard output: as text for people, as JSON for programs.

use std::io::{IsTerminal, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use serde::Serialize;

use crate::cli::exit::Fault;
use crate::cli::shown::{shown, wrapped};

/// Where nobody can tell how wide the terminal is.
const USUAL_WIDTH: u16 = 80;

/// Whoever read standard output has gone, as `head` does when it has seen enough: nobody is left to be told.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output any more")]
pub(super) struct NobodyReads;

/// Prints a line for people; on a terminal, one that is too long goes on below.
pub(super) fn say(line: &str) -> Result<(), Fault> {
    let line = shown(line);
    match terminal_width() {
        Some(width) => wrapped(&line, usize::from(width)).iter().try_for_each(|piece| put_line(piece)),
        None => put_line(&line),
    }
}

/// Prints text for programs, as it is.
pub(super) fn put(text: &str) -> Result<(), Fault> {
    write!(std::io::stdout(), "{text}").map_err(unprinted)
}

fn put_line(line: &str) -> Result<(), Fault> {
    writeln!(std::io::stdout(), "{line}").map_err(unprinted)
}

/// How wide the terminal is that standard output goes to; `None` where it goes elsewhere.
fn terminal_width() -> Option<u16> {
    std::io::stdout().is_terminal().then(|| Table::new().width().unwrap_or(USUAL_WIDTH))
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
    counted(count, "operation")
}

/// `1 row`, `2 rows`.
pub(super) fn counted(count: impl TryInto<u64>, noun: &str) -> String {
    let count = count.try_into().unwrap_or(u64::MAX);
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Prints a value as JSON, on one line.
pub(super) fn print_json(value: &impl Serialize) -> Result<(), Fault> {
    put(&format!("{}\n", serde_json::to_string(value).map_err(Fault::failed)?))
}

/// Rows under headings, as wide as the terminal at most; 80 columns where there is none.
pub(super) struct Listing(Table);

/// A listing with these headings, none of which is broken.
pub(super) fn table(header: &[&str]) -> Listing {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    if table.width().is_none() {
        table.set_width(USUAL_WIDTH);
    }
    for (column, heading) in table.column_iter_mut().zip(header) {
        // A blank on either side.
        let width = u16::try_from(heading.chars().count()).unwrap_or(USUAL_WIDTH).saturating_add(2);
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(width)));
    }
    Listing(table)
}

impl Listing {
    /// Adds a row.
    pub(super) fn add_row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.0.add_row(cells.into_iter().map(|cell| shown(cell.as_ref()).into_owned()));
    }

    /// Whether it has no rows.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Prints a listing without white space at the ends of its lines.
pub(super) fn print_table(table: &Listing) -> Result<(), Fault> {
    table.0.to_string().lines().try_for_each(|line| put_line(line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_stay_whole_and_cells_are_spelled_out() {
        let mut listing = table(&["id", "membership", "why", "decided by"]);
        listing.0.set_width(60);
        listing.add_row(["0a1b2c3d", "member", &"a long reason ".repeat(12), "a\u{1b}[31m\nforged"]);
        let printed = listing.0.to_string();
        assert!(printed.contains(" membership ") && printed.contains(" decided by"), "{printed}");
        assert!(!printed.contains('\u{1b}') && printed.contains("\\n"), "{printed}");
        assert!(printed.lines().all(|line| line.chars().count() <= 60), "{printed}");
    }
}
