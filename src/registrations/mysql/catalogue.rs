//! What tables and columns a MySQL or MariaDB database has.

use crate::registrations::catalogue::{Case, Catalogue, Column, Kind, Table, TableSort, Zone};
use crate::registrations::cell::Cell;
use crate::registrations::dialect::Dialect;
use crate::registrations::fault::Fault;
use crate::registrations::link::Session;
use crate::registrations::query::Query;

const DIALECT: Dialect = Dialect::Mysql;

/// The names of all tables and views of the database, and the columns of those in `wanted` that are there; a table of
/// another database is named with it.
pub(super) fn catalogue(session: &dyn Session, wanted: &[&str]) -> Result<Catalogue, Fault> {
    let mut catalogue = Catalogue::default();
    let text = "SELECT CAST(table_name AS CHAR) FROM information_schema.tables WHERE table_schema = DATABASE() \
                ORDER BY table_name";
    session.each(&Query::new(DIALECT, text), &mut |cells| {
        catalogue.names.extend(cells.first().map(|name| name.text().into_owned()));
        Ok(())
    })?;
    for (schema, _) in wanted.iter().filter_map(|name| name.split_once('.')) {
        let text = "SELECT CAST(CONCAT(table_schema, '.', table_name) AS CHAR) FROM information_schema.tables \
                    WHERE table_schema = ";
        let query = Query::new(DIALECT, text).bind(Cell::owned(schema));
        session.each(&query.push(" ORDER BY table_name"), &mut |cells| {
            catalogue.names.extend(cells.first().map(|name| name.text().into_owned()));
            Ok(())
        })?;
    }
    for name in wanted {
        let found = match (find(session, None, name)?, name.split_once('.')) {
            (None, Some((schema, table))) => find(session, Some(schema), table)?,
            (found, _) => found,
        };
        if let Some((schema, bare, sort)) = found {
            let sql = format!("{}.{}", DIALECT.quoted(&schema), DIALECT.quoted(&bare));
            let shown =
                if bare.eq_ignore_ascii_case(name) { bare.clone() } else { format!("{schema}.{bare}") };
            let table = Table { name: shown, sql, sort };
            catalogue.tables.insert(name.to_lowercase(), (table, columns(session, &schema, &bare)?));
        }
    }
    Ok(catalogue)
}

fn find(
    session: &dyn Session,
    schema: Option<&str>,
    table: &str,
) -> Result<Option<(String, String, TableSort)>, Fault> {
    let query = Query::new(
        DIALECT,
        "SELECT CAST(table_schema AS CHAR), CAST(table_name AS CHAR), CAST(table_type AS CHAR) \
         FROM information_schema.tables WHERE table_schema = ",
    );
    let query = match schema {
        None => query.push("DATABASE()"),
        Some(schema) => query.bind(Cell::owned(schema)),
    };
    let query =
        query.push(" AND table_name = ").bind(Cell::owned(table)).push(" ORDER BY table_name = BINARY ");
    let query = query.bind(Cell::owned(table)).push(" DESC LIMIT 1");
    let mut found = None;
    session.each(&query, &mut |cells| {
        if let [schema, name, sort] = cells {
            let sort = if sort.text() == "BASE TABLE" { TableSort::Table } else { TableSort::View };
            found = Some((schema.text().into_owned(), name.text().into_owned(), sort));
        }
        Ok(())
    })?;
    Ok(found)
}

fn columns(session: &dyn Session, schema: &str, table: &str) -> Result<Vec<Column>, Fault> {
    // MariaDB spells the absence of a default as the text NULL, where the column may hold NULL.
    let query = Query::new(
        DIALECT,
        "SELECT CAST(column_name AS CHAR), CAST(is_nullable AS CHAR), CAST(column_default AS CHAR), \
           CAST(extra AS CHAR), CAST(data_type AS CHAR), CAST(collation_name AS CHAR), \
           CAST(datetime_precision AS CHAR), CAST(column_type AS CHAR), \
           CAST(character_maximum_length AS CHAR) \
         FROM information_schema.columns WHERE table_schema = ",
    );
    let query = query.bind(Cell::owned(schema)).push(" AND table_name = ").bind(Cell::owned(table));
    let mut columns = Vec::new();
    session.each(&query.push(" ORDER BY ordinal_position"), &mut |cells| {
        let [name, nullable, default, extra, sort, collation, digits, spelled, limit] = cells else {
            return Ok(());
        };
        let extra = extra.text().to_ascii_lowercase();
        let counts = extra.contains("auto_increment");
        let is_generated = extra.contains("generated") && !extra.contains("default_generated");
        let has_default = *default != Cell::Null && default.text() != "NULL";
        columns.push(Column {
            name: name.text().into_owned(),
            nullable: nullable.text() == "YES",
            has_default: counts || is_generated || has_default,
            counts,
            is_generated,
            kind: kind(&sort.text().to_ascii_lowercase(), &collation.text(), &digits.text()),
            cast: String::new(),
            words: words(&spelled.text()),
            limit: limit.text().parse().ok(),
        });
        Ok(())
    })?;
    Ok(columns)
}

fn kind(sort: &str, collation: &str, digits: &str) -> Kind {
    let digits = digits.parse().unwrap_or(0);
    match sort {
        "tinyint" | "smallint" | "mediumint" | "int" | "bigint" => Kind::Integer,
        "bit" => Kind::Flag,
        "timestamp" => Kind::Time { zone: Zone::Utc, digits },
        "datetime" => Kind::Time { zone: Zone::Unsaid, digits },
        "date" => Kind::Date,
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Binary,
        "uuid" => Kind::Uuid,
        "json" => Kind::Json,
        "set" => Kind::Set,
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "enum" => {
            Kind::Text(if collation.ends_with("_ci") { Case::Folds } else { Case::Matters })
        }
        _ => Kind::Other,
    }
}

/// The words of an enumeration or a set, as its type spells them: `set('Finance','Women''s health')`. `None` for others.
fn words(spelled: &str) -> Option<Vec<String>> {
    let (sort, rest) = spelled.split_once('(')?;
    if !sort.eq_ignore_ascii_case("enum") && !sort.eq_ignore_ascii_case("set") {
        return None;
    }
    let (mut words, mut word, mut chars) = (Vec::new(), None::<String>, rest.chars().peekable());
    while let Some(char) = chars.next() {
        match (&mut word, char) {
            (None, '\'') => word = Some(String::new()),
            (None, _) => (),
            // Within a word a quote is doubled, and a backslash comes before what would not be shown.
            (Some(open), '\'') if chars.next_if_eq(&'\'').is_some() => open.push('\''),
            (Some(_), '\'') => words.extend(word.take()),
            (Some(open), '\\') => open.extend(chars.next()),
            (Some(open), other) => open.push(other),
        }
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_type_are_read_as_it_spells_them() {
        let cases = [
            ("set('Finance','Énergie')", Some(&["Finance", "Énergie"][..])),
            (
                "enum('a,b','Women\'\'s (all)','','back\\\\slash')",
                Some(&["a,b", "Women's (all)", "", "back\\slash"]),
            ),
            ("SET('x')", Some(&["x"])),
            ("varchar(20)", None),
            ("text", None),
        ];
        for (spelled, expected) in cases {
            let expected = expected.map(|words| words.iter().map(|word| (*word).to_owned()).collect());
            assert_eq!(words(spelled), expected, "{spelled}");
        }
    }
}
