//! The texts of the statements, spelled once for a layout: rows are `r`, interests `i`, groups `g`, removals `d`.

use crate::registrations::decode::selected;
use crate::registrations::dialect::Dialect;
use crate::registrations::layout::{InterestPlace, Layout};

/// Pieces of SQL for a layout.
#[derive(Debug)]
pub(super) struct Statements {
    /// `SELECT … FROM … AS r`, with what [`selected`] names.
    pub(super) select: String,
    /// The columns that it selects.
    pub(super) columns: String,
    /// `FROM … AS r`.
    pub(super) from: String,
    /// The key, to be compared.
    pub(super) id: String,
    /// The key, to be read.
    pub(super) shown_id: String,
    /// The condition that a row is there.
    pub(super) live: String,
    /// The last change, to be compared.
    pub(super) updated_at: Option<String>,
    /// The last change, to be read.
    pub(super) shown_updated_at: Option<String>,
    /// Interests of rows: key, dimension, interest; what follows says whose.
    pub(super) interests: Option<String>,
    /// Groups of rows: key, name; what follows says whose.
    pub(super) groups: Option<String>,
    /// Removals: position, key, whether a row of that key is there; what follows says from where.
    pub(super) removals: Option<String>,
    /// The position of a removal.
    pub(super) position: String,
    /// The highest position of a removal.
    pub(super) last_removal: Option<String>,
}

impl Statements {
    pub(super) fn new(dialect: Dialect, layout: &Layout) -> Self {
        let columns: Vec<String> =
            selected(layout).into_iter().map(|column| dialect.shown("r", column)).collect();
        let from = format!("FROM {} AS r", layout.table.sql);
        let live = layout.deleted_at.as_ref().map_or("TRUE".to_owned(), |mark| dialect.live("r", mark));
        let id = dialect.key_in("r", &layout.id);
        let removals = layout.removals.as_ref();
        Self {
            select: format!("SELECT {} {from}", columns.join(", ")),
            columns: columns.join(", "),
            shown_id: dialect.shown("r", &layout.id),
            updated_at: layout.updated_at.as_ref().map(|column| dialect.of("r", column)),
            shown_updated_at: layout.updated_at.as_ref().map(|column| dialect.shown("r", column)),
            interests: interests(dialect, layout),
            groups: layout.groups.as_ref().map(|(table, key, name)| {
                let (key_in, shown) = (dialect.key_in("g", key), dialect.shown("g", key));
                let name = dialect.shown("g", name);
                format!("SELECT {shown}, {name} FROM {} AS g WHERE {key_in}", table.sql)
            }),
            removals: removals.map(|removals| {
                let (key, shown) = (dialect.key_in("d", &removals.key), dialect.shown("d", &removals.key));
                format!(
                    "SELECT {position}, {shown}, EXISTS (SELECT 1 {from} WHERE {id} = {key} AND {live}) \
                     FROM {table} AS d WHERE {position}",
                    position = removals.position,
                    table = removals.table.sql
                )
            }),
            position: removals.map(|removals| removals.position.clone()).unwrap_or_default(),
            last_removal: removals.map(|removals| {
                format!("SELECT max({}) FROM {} AS d", removals.position, removals.table.sql)
            }),
            from,
            id,
            live,
        }
    }
}

fn interests(dialect: Dialect, layout: &Layout) -> Option<String> {
    let InterestPlace::Rows { table, registration_id, dimension, interest } = &layout.interests else {
        return None;
    };
    let (key, shown) = (dialect.key_in("i", registration_id), dialect.shown("i", registration_id));
    let (dimension, interest) = (dialect.shown("i", dimension), dialect.shown("i", interest));
    Some(format!("SELECT {shown}, {dimension}, {interest} FROM {} AS i WHERE {key}", table.sql))
}
