//! Tables: a header and rows, cells two spaces or more apart, a hyphen for an empty cell.

/// A table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Table {
    /// The names of the columns.
    pub(crate) header: Vec<String>,
    /// The cells, row by row; empty ones are empty.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Table {
    /// Reads the lines under a step.
    pub(crate) fn parse(block: &[String]) -> Self {
        let mut lines = block.iter().map(|line| cells(line));
        let header = lines.next().unwrap_or_default();
        let rows: Vec<Vec<String>> = lines.collect();
        for row in &rows {
            assert_eq!(row.len(), header.len(), "as many cells as columns: {row:?}");
        }
        Self { header, rows }
    }

    /// The lines to stand under a step.
    pub(crate) fn lines(&self) -> Vec<String> {
        let all: Vec<&Vec<String>> = std::iter::once(&self.header).chain(&self.rows).collect();
        let shown = |cell: &str| if cell.is_empty() { "-".to_owned() } else { cell.to_owned() };
        let width =
            |column: usize| all.iter().map(|row| shown(&row[column]).chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.header.len()).map(width).collect();
        let line = |row: &&Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{:width$}", shown(cell)));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        all.iter().map(line).collect()
    }

    /// The rows, each as a way to look a cell up by its column.
    pub(crate) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.rows.iter().map(|cells| Record { header: &self.header, cells })
    }
}

/// A row with the names of its columns.
#[derive(Clone, Copy)]
pub(crate) struct Record<'t> {
    header: &'t [String],
    cells: &'t [String],
}

impl<'t> Record<'t> {
    /// The cell of the column; `None` where there is no such column or nothing in it.
    pub(crate) fn get(&self, column: &str) -> Option<&'t str> {
        self.columns().find(|(name, _)| *name == column).map(|(_, cell)| cell)
    }

    /// The cells that hold something, with the names of their columns.
    pub(crate) fn columns(&self) -> impl Iterator<Item = (&'t str, &'t str)> {
        let pairs = self.header.iter().zip(self.cells);
        pairs.map(|(name, cell)| (name.as_str(), cell.as_str())).filter(|(_, cell)| !cell.is_empty())
    }

    /// The names in a cell that holds several, between commas.
    pub(crate) fn list(&self, column: &str) -> Vec<&'t str> {
        self.get(column).map(|cell| cell.split(", ").collect()).unwrap_or_default()
    }
}

fn cells(line: &str) -> Vec<String> {
    let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
    cells.map(|cell| if cell == "-" { String::new() } else { cell.to_owned() }).collect()
}
