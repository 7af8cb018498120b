//! A link to a store: what every adapter can do, and where everything is. The work on rows is written once, over this.

use std::time::Duration;

use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::layout::Layout;
use crate::registrations::query::Query;
use crate::registrations::report::MappingProblem;
use crate::registrations::statements::Statements;

/// What takes the cells of a row.
pub(super) type Visit<'v> = dyn FnMut(&[Cell<'_>]) -> Result<(), Fault> + 'v;

/// A connection to a store. Calls wait, aside from the runtime's threads.
pub(super) trait Session {
    /// Its SQL.
    fn dialect(&self) -> Dialect;

    /// Runs a query and hands out one row after the other, none of which is kept.
    fn each(&self, query: &Query, with: &mut Visit<'_>) -> Result<(), Fault>;

    /// Runs a statement; how many rows it touched.
    fn execute(&self, query: &Query) -> Result<u64, Fault>;

    /// Begins a transaction.
    fn begin(&self, purpose: Purpose) -> Result<(), Fault>;

    /// Ends it: keeps what was written.
    fn commit(&self) -> Result<(), Fault>;

    /// Ends it: takes back what was written. Where that fails, the connection is given up, which does the same.
    fn roll_back(&self);

    /// The store's clock, in milliseconds since 1970: what its triggers and defaults date rows by.
    fn now(&self) -> Result<i64, Fault>;

    /// The store's clock and who else is at work; outside of a transaction, which it would end.
    fn moment(&self) -> Result<Moment, Fault>;

    /// What only this store can tell about itself, for `check`.
    fn notices(&self, layout: &Layout) -> Result<Vec<MappingProblem>, Fault>;
}

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Reading, all at one time.
    Read,
    /// Writing: nothing changes between the comparison and the write, or the write fails.
    Write,
}

/// The store's time, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    /// The present.
    pub(super) now: i64,
    /// Rows that are committed later are dated no earlier than this; `None` where a writer is at work whose beginning we may
    /// not see.
    pub(super) horizon: Option<i64>,
}

/// A connection, and where everything is.
pub(super) struct Link<'l> {
    pub(super) session: &'l dyn Session,
    pub(super) layout: &'l Layout,
    pub(super) sql: &'l Statements,
    pub(super) overlap: Duration,
}

impl Link<'_> {
    /// Begins a statement.
    pub(super) fn query(&self, text: impl Into<String>) -> Query {
        Query::new(self.session.dialect(), text)
    }

    /// Does `work` in a transaction; what fails is taken back.
    pub(super) fn within<T>(
        &self,
        purpose: Purpose,
        work: impl FnOnce() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.session.begin(purpose)?;
        match work() {
            Ok(done) => {
                self.session.commit()?;
                Ok(done)
            }
            Err(fault) => {
                self.session.roll_back();
                Err(fault)
            }
        }
    }

    /// The first cell of the first row; nothing where there is none.
    pub(super) fn first(&self, query: &Query) -> Result<Cell<'static>, Fault> {
        let mut found = None;
        self.session.each(query, &mut |cells| {
            if let (None, Some(cell)) = (&found, cells.first()) {
                found = Some(owned(cell));
            }
            Ok(())
        })?;
        Ok(found.unwrap_or(Cell::Null))
    }
}

/// A cell that outlives its row.
pub(super) fn owned(cell: &Cell<'_>) -> Cell<'static> {
    match cell {
        Cell::Null => Cell::Null,
        Cell::Integer(number) => Cell::Integer(*number),
        Cell::Real(number) => Cell::Real(*number),
        Cell::Text(text) => Cell::owned(text.as_ref()),
    }
}
