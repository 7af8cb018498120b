//! What tables and columns a SQLite file has.

use rusqlite::Connection;

use crate::registrations::catalogue::{Catalogue, Column, Kind, Table, TableSort};
use crate::registrations::dialect::Dialect;

/// The names of all tables and views, and the columns of those in `wanted` that are there.
pub(super) fn catalogue(conn: &Connection, wanted: &[&str]) -> rusqlite::Result<Catalogue> {
    let mut statement = conn.prepare(
        "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite!_%' ESCAPE '!' \
         ORDER BY name",
    )?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut catalogue = Catalogue { names, ..Catalogue::default() };
    for name in wanted {
        let columns = columns(conn, name)?;
        if !columns.is_empty() {
            let spelled = catalogue.names.iter().find(|known| known.eq_ignore_ascii_case(name));
            let spelled = spelled.map_or(*name, String::as_str).to_owned();
            let sql = Dialect::Sqlite.quoted(&spelled);
            // One writer at a time: a view needs no other care than a table.
            let table = Table { name: spelled, sql, sort: TableSort::Table };
            catalogue.tables.insert(name.to_lowercase(), (table, columns));
        }
    }
    Ok(catalogue)
}

/// The columns of a table, generated ones included; none where there is no such table.
fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Column>> {
    let mut statement = conn.prepare(
        "SELECT name, \"notnull\" = 0, dflt_value IS NOT NULL OR hidden > 1, type <> '' AND type NOT LIKE '%BLOB%', \
         hidden > 1          FROM pragma_table_xinfo(?1)",
    )?;
    let columns = statement.query_map([table], |row| {
        Ok(Column {
            name: row.get(0)?,
            nullable: row.get(1)?,
            has_default: row.get(2)?,
            counts: false,
            is_generated: row.get(4)?,
            kind: if row.get(3)? { Kind::Loose } else { Kind::Untyped },
            cast: String::new(),
            words: None,
            limit: None,
        })
    })?;
    columns.collect()
}
