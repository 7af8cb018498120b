//! The statements, spelled once for a layout. Columns are always named with their table: SQLite takes a quoted name that
//! no column bears for a text, and a lost column would then read as its own name.

use crate::registrations::decode::selected;
use crate::registrations::layout::{Column, InterestPlace, Layout};

/// SQL for a layout; rows are `r`, interests `i`, groups `g`, removals `d`.
#[derive(Debug)]
pub(super) struct Statements {
    /// `SELECT … FROM … AS r`, with what [`selected`] names.
    pub(super) select: String,
    /// The columns that it selects.
    pub(super) columns: String,
    /// How many they are.
    pub(super) width: usize,
    /// `FROM … AS r`.
    pub(super) from: String,
    /// The key.
    pub(super) id: String,
    /// The condition that a row is there.
    pub(super) live: String,
    /// The last change.
    pub(super) updated_at: Option<String>,
    /// Interests of the rows in the JSON array `?1`: key, dimension, interest.
    pub(super) interests: Option<String>,
    /// Groups of the rows in the JSON array `?1`: key, name.
    pub(super) groups: Option<String>,
    /// Removals after the position `?1`: position, key, whether a row of that key is there. Up to `?2`.
    pub(super) removals: Option<String>,
    /// The highest position of a removal.
    pub(super) last_removal: Option<String>,
    /// The condition that the address, trimmed of what forms leave, may be the one of `?1` to `?4`.
    pub(super) email: String,
}

/// The rows of a JSON array of keys. The plus makes an expression of the column, which then takes the type of what it is
/// compared with: a number finds a key that is kept as a text.
pub(super) const AMONG: &str = "IN (SELECT +value FROM json_each(?1))";

impl Statements {
    pub(super) fn new(layout: &Layout) -> Self {
        let columns: Vec<String> = selected(layout).into_iter().map(|column| of("r", column)).collect();
        let from = format!("FROM {} AS r", quoted(&layout.table));
        let live = layout.deleted_at.as_ref().map_or("1".to_owned(), |column| {
            let column = of("r", column);
            format!("({column} IS NULL OR {column} IN ('', 0, '0', '0000-00-00 00:00:00'))")
        });
        let id = key_in("r", &layout.id);
        let lower = format!("lower({})", of("r", &layout.email));
        Self {
            select: format!("SELECT {} {from}", columns.join(", ")),
            width: columns.len(),
            columns: columns.join(", "),
            updated_at: layout.updated_at.as_ref().map(|column| of("r", column)),
            interests: interests(layout),
            groups: layout.groups.as_ref().map(|(table, key, name)| {
                let (table, key, name) = (quoted(table), key_in("g", key), of("g", name));
                format!("SELECT {key}, {name} FROM {table} AS g WHERE {key} {AMONG}")
            }),
            removals: layout.removals.as_ref().map(|(table, key)| {
                let (table, key) = (quoted(table), key_in("d", key));
                format!(
                    "SELECT d._rowid_, {key}, EXISTS (SELECT 1 {from} WHERE {id} = {key} AND {live}) \
                     FROM {table} AS d WHERE d._rowid_ > ?1 ORDER BY d._rowid_ LIMIT ?2"
                )
            }),
            last_removal: layout
                .removals
                .as_ref()
                .map(|(table, _)| format!("SELECT max(d._rowid_) FROM {} AS d", quoted(table))),
            email: format!("({lower} >= ?1 AND {lower} < ?2 OR {lower} >= ?3 AND {lower} < ?4)"),
            from,
            id,
            live,
        }
    }
}

fn interests(layout: &Layout) -> Option<String> {
    let InterestPlace::Rows { table, registration_id, dimension, interest } = &layout.interests else {
        return None;
    };
    let (key, table) = (key_in("i", registration_id), quoted(table));
    let (dimension, interest) = (of("i", dimension), of("i", interest));
    Some(format!("SELECT {key}, {dimension}, {interest} FROM {table} AS i WHERE {key} {AMONG}"))
}

/// A name in quotes, whatever stands in it.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column of the table with this alias.
pub(super) fn of(alias: &str, column: &Column) -> String {
    format!("{alias}.{}", quoted(&column.name))
}

/// A column of keys of the table with this alias, to be compared with keys: without a type of its own, as a text.
///
/// Else a key that is a text of digits would be found by no number, and sort after every one.
pub(super) fn key_in(alias: &str, column: &Column) -> String {
    let name = of(alias, column);
    if column.is_typed { name } else { format!("CAST({name} AS TEXT)") }
}
