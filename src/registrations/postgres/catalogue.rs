//! What tables and columns a PostgreSQL database has.

use crate::registrations::catalogue::{Case, Catalogue, Column, Kind, Table, TableSort, Zone};
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::link::Session;
use crate::registrations::query::Query;

const DIALECT: Dialect = Dialect::Postgres;

/// The tables and views that are not the server's own.
const RELATIONS: &str = "FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND n.nspname NOT LIKE 'pg\\_toast%' AND NOT pg_is_other_temp_schema(n.oid)";

/// The names of all tables and views, with their schema where the search path does not show them, and the columns of those
/// in `wanted` that are there.
pub(super) fn catalogue(session: &dyn Session, wanted: &[&str]) -> Result<Catalogue, Fault> {
    let mut catalogue = Catalogue::default();
    let text = format!(
        "SELECT CASE WHEN pg_table_is_visible(c.oid) THEN c.relname::text
           ELSE n.nspname || '.' || c.relname END {RELATIONS} ORDER BY 1"
    );
    session.each(&Query::new(DIALECT, text), &mut |cells| {
        catalogue.names.extend(cells.first().map(|name| name.text().into_owned()));
        Ok(())
    })?;
    for name in wanted {
        if let Some((oid, table)) = find(session, name)? {
            catalogue.tables.insert(name.to_lowercase(), (table, columns(session, oid)?));
        }
    }
    Ok(catalogue)
}

/// A table by its name, or by its schema and name; the exact spelling goes before any other case.
fn find(session: &dyn Session, name: &str) -> Result<Option<(i64, Table)>, Fault> {
    let name = || Cell::owned(name);
    let query = Query::new(
        DIALECT,
        format!(
            "SELECT c.oid::int8, n.nspname::text, c.relname::text, c.relkind::text, pg_table_is_visible(c.oid)
               {RELATIONS} AND (pg_table_is_visible(c.oid) AND lower(c.relname) = lower("
        ),
    );
    let query = query
        .bind(name())
        .push(") OR lower(n.nspname || '.' || c.relname) = lower(")
        .bind(name())
        .push(")) ORDER BY (pg_table_is_visible(c.oid) AND c.relname = ")
        .bind(name())
        .push(") DESC, (n.nspname || '.' || c.relname = ")
        .bind(name())
        .push(") DESC, c.oid LIMIT 1");
    let mut found = None;
    session.each(&query, &mut |cells| {
        let [Cell::Integer(oid), schema, name, sort, is_visible] = cells else { return Ok(()) };
        let shown = match is_visible.flag() {
            Some(true) => name.text().into_owned(),
            _ => format!("{}.{}", schema.text(), name.text()),
        };
        let sql = format!("{}.{}", DIALECT.quoted(&schema.text()), DIALECT.quoted(&name.text()));
        let sort = match sort.text().as_ref() {
            "r" | "p" => TableSort::Table,
            _ => TableSort::View,
        };
        found = Some((*oid, Table { name: shown, sql, sort }));
        Ok(())
    })?;
    Ok(found)
}

/// The columns of a table; a domain counts as what it is made of.
fn columns(session: &dyn Session, oid: i64) -> Result<Vec<Column>, Fault> {
    let query = Query::new(
        DIALECT,
        "SELECT a.attname::text, NOT a.attnotnull, a.atthasdef OR a.attidentity <> '',
           a.attidentity <> '' OR coalesce(pg_get_expr(d.adbin, d.adrelid), '') LIKE 'nextval(%',
           a.attgenerated <> '', b.typname::text, format_type(a.atttypid, NULL),
           CASE WHEN a.atttypmod >= 0 THEN a.atttypmod WHEN t.typtypmod >= 0 THEN t.typtypmod ELSE 6 END,
           b.typcategory = 'A' AND b.typelem <> 0,
           (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder)::text FROM pg_enum AS e
             WHERE e.enumtypid IN (b.oid, b.typelem)),
           CASE WHEN b.typname IN ('varchar', 'bpchar')
             THEN coalesce(nullif(a.atttypmod, -1), nullif(t.typtypmod, -1)) - 4 END
         FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
           JOIN pg_type AS b ON b.oid = CASE WHEN t.typbasetype = 0 THEN t.oid ELSE t.typbasetype END
           LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attrelid = ",
    );
    let query = query.bind(Cell::Integer(oid)).push("::oid ORDER BY a.attnum");
    let mut columns = Vec::new();
    session.each(&query, &mut |cells| {
        let [name, nullable, has_default, counts, generated, base, own, digits, is_array, words, limit] =
            cells
        else {
            return Ok(());
        };
        let digits =
            if let Cell::Integer(digits) = digits { usize::try_from(*digits).unwrap_or(6) } else { 6 };
        let (base, is) = (base.text(), |cell: &Cell<'_>| cell.flag() == Some(true));
        columns.push(Column {
            name: name.text().into_owned(),
            nullable: is(nullable),
            has_default: is(has_default),
            counts: is(counts),
            is_generated: is(generated),
            kind: if is(is_array) { Kind::Array } else { kind(&base, digits) },
            cast: cast(&base, &own.text()),
            words: serde_json::from_str(&words.text()).ok(),
            limit: limit.text().parse().ok(),
        });
        Ok(())
    })?;
    Ok(columns)
}

fn kind(base: &str, digits: usize) -> Kind {
    match base {
        "int2" | "int4" | "int8" => Kind::Integer,
        "bool" => Kind::Flag,
        "timestamptz" => Kind::Time { zone: Zone::Utc, digits: digits.min(6) },
        "timestamp" => Kind::Time { zone: Zone::Unsaid, digits: digits.min(6) },
        "date" => Kind::Date,
        "bytea" => Kind::Binary,
        "uuid" => Kind::Uuid,
        "json" | "jsonb" => Kind::Json,
        "citext" => Kind::Text(Case::Folds),
        "text" | "varchar" | "bpchar" | "name" => Kind::Text(Case::Matters),
        _ => Kind::Other,
    }
}

/// Into what a parameter is turned. A text stays one for columns of texts: the assignment then refuses what is too long,
/// which a cast would cut.
fn cast(base: &str, own: &str) -> String {
    match base {
        "text" | "varchar" | "name" => "text".to_owned(),
        "bpchar" => "bpchar".to_owned(),
        "int2" | "int4" | "int8" => "int8".to_owned(),
        _ => own.to_owned(),
    }
}
