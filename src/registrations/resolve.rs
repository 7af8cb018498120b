//! The mapping meets the register: every name is looked up in what the register really has, and all that is missing is told at
//! once, with what comes near.

use std::collections::BTreeMap;

use crate::model::{Dimension, Interest, MergeTag};
use crate::registrations::catalogue::{Catalogue, Column, Kind, Table};
use crate::registrations::dialect::Dialect;
use crate::registrations::layout::{InterestPlace, Layout, Removals, Standing};
use crate::registrations::mapping::{InterestLayout, MappedValues, Name, RegisterMapping};
use crate::registrations::report::MappingProblem;

/// The tables that a mapping names, whether they must be there or not.
pub(super) fn tables_of(mapping: &RegisterMapping) -> Vec<&str> {
    let mut tables = vec![mapping.table.as_str()];
    if mapping.interests.layout == InterestLayout::Rows {
        tables.extend(mapping.interests.table.get());
    }
    tables.extend(mapping.removals.table.get());
    tables.extend(mapping.working_groups.as_ref().map(|groups| groups.table.as_str()));
    tables
}

/// Finds everything that the mapping names; all that is missing is reported at once.
pub(super) fn resolve(
    mapping: &RegisterMapping,
    values: &MappedValues,
    catalogue: &Catalogue,
    dialect: Dialect,
) -> Result<Layout, Vec<MappingProblem>> {
    let mut search = Search { catalogue, dialect, problems: mapping.mistakes() };
    let Some(main) = search.table("registrations.table", &mapping.table) else {
        return Err(search.problems);
    };
    let names = &mapping.columns;
    let mut optional = |key: &str, name: &Name| search.optional(&format!("columns.{key}"), &main, name);
    let subscription_changed_at = optional("subscription_changed_at", &names.subscription_changed_at);
    let membership = optional("membership", &names.membership);
    let signup_ip = optional("signup_ip", &names.signup_ip);
    let signup_at = optional("signup_at", &names.signup_at);
    let preferences_url = optional("preferences_url", &names.preferences_url);
    let sync_note = optional("sync_note", &names.sync_note);
    let created_at = optional("created_at", &names.created_at);
    let updated_at = optional("updated_at", &names.updated_at);
    let deleted_at = optional("deleted_at", &names.deleted_at);
    let id = search.key(&main, &names.id);
    let email = search.column("registrations.columns.email", &main, &names.email);
    let times =
        [&subscription_changed_at, &signup_at, &created_at, &updated_at, &deleted_at].map(Option::as_ref);
    let standing = search.standing(&main, mapping, &times);
    let fields = search.fields(&main, values);
    let interests = search.interests(&main, mapping, values);
    let removals = search.removals(mapping);
    let groups = search.groups(mapping);
    let (Some(id), Some(email), Some((subscription, standing))) = (id, email, standing) else {
        return Err(search.problems);
    };
    if !search.problems.is_empty() {
        return Err(search.problems);
    }
    let (dimensions, zone) = (values.dimensions.clone(), mapping.zone());
    Ok(Layout {
        table: main.table.clone(),
        id,
        email,
        subscription,
        standing,
        subscription_changed_at,
        membership,
        signup_ip,
        signup_at,
        preferences_url,
        sync_note,
        created_at,
        updated_at,
        deleted_at,
        fields,
        read_only: values.read_only.clone(),
        constants: values.constants.clone(),
        interests,
        removals,
        groups,
        dimensions,
        zone,
    })
}

/// A table that was found.
struct Found<'a> {
    table: &'a Table,
    columns: &'a [Column],
}

/// Looks names up and notes what is missing.
struct Search<'a> {
    catalogue: &'a Catalogue,
    dialect: Dialect,
    problems: Vec<MappingProblem>,
}

impl<'a> Search<'a> {
    fn error(&mut self, key: &str, problem: String) {
        self.problems.push(MappingProblem::error(key, problem));
    }

    fn find_table(&self, name: &str) -> Option<Found<'a>> {
        let (table, columns) = self.catalogue.tables.get(&name.to_lowercase())?;
        Some(Found { table, columns })
    }

    fn table(&mut self, key: &str, name: &str) -> Option<Found<'a>> {
        let found = self.find_table(name);
        if found.is_none() {
            let nearest = nearest(name, self.catalogue.names.iter().map(String::as_str));
            self.error(key, format!("the register has no table {name:?}{nearest}"));
        }
        found
    }

    /// A table that may be absent if nobody named it.
    fn optional_table(&mut self, key: &str, name: &Name) -> Option<Found<'a>> {
        match name {
            Name::Off => None,
            Name::Default(name) => self.find_table(name),
            Name::Given(name) => self.table(key, name),
        }
    }

    fn column(&mut self, key: &str, table: &Found<'a>, name: &str) -> Option<Column> {
        let found = table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).cloned();
        if found.is_none() {
            let nearest = nearest(name, table.columns.iter().map(|column| column.name.as_str()));
            self.error(key, format!("the table {:?} has no column {name:?}{nearest}", table.table.name));
        }
        found
    }

    fn optional(&mut self, key: &str, table: &Found<'a>, name: &Name) -> Option<Column> {
        match name {
            Name::Off => None,
            Name::Default(name) => {
                table.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name)).cloned()
            }
            Name::Given(name) => self.column(&format!("registrations.{key}"), table, name),
        }
    }

    fn key(&mut self, main: &Found<'a>, name: &str) -> Option<Column> {
        let column = self.column("registrations.columns.id", main, name)?;
        if column.kind == Kind::Binary {
            let problem =
                format!("the column {:?} holds binary keys; map a view that shows them as texts", name);
            self.error("registrations.columns.id", problem);
        }
        Some(column)
    }

    /// The column that says where a person stands. `times` are the columns of other times.
    fn standing(
        &mut self,
        main: &Found<'a>,
        mapping: &RegisterMapping,
        times: &[Option<&Column>],
    ) -> Option<(Column, Standing)> {
        if !mapping.dates_opt_outs() {
            let name = mapping.columns.subscription.get()?;
            let column = self.column("registrations.columns.subscription", main, name)?;
            self.problems.extend(mapping.statuses.misfits(&column, self.dialect));
            return Some((column, Standing::Words(mapping.statuses.clone())));
        }
        let key = "registrations.columns.unsubscribed_at";
        let column = self.column(key, main, mapping.columns.unsubscribed_at.get()?)?;
        let name = &column.name;
        let holds_times = match column.kind {
            Kind::Loose | Kind::Untyped | Kind::Text(_) => column.words.is_none(),
            Kind::Integer | Kind::Time { .. } | Kind::Date => true,
            Kind::Flag | Kind::Binary | Kind::Uuid | Kind::Json | Kind::Array | Kind::Set | Kind::Other => {
                false
            }
        };
        let holds_nothing =
            column.nullable || matches!(column.kind, Kind::Loose | Kind::Untyped | Kind::Text(_));
        if !holds_times {
            self.error(key, format!("the column {name:?} holds no times; map it as subscription"));
        } else if !holds_nothing {
            let problem = format!(
                "the column {name:?} cannot hold NULL, which says that somebody is subscribed; allow NULL in it"
            );
            self.error(key, problem);
        }
        if times.iter().flatten().any(|other| other.name == *name) {
            let problem =
                format!("the column {name:?} is mapped as another time, too; switch that one off with \"\"");
            self.error(key, problem);
        }
        Some((column, Standing::LeftAt))
    }

    fn fields(&mut self, main: &Found<'a>, values: &MappedValues) -> BTreeMap<MergeTag, Column> {
        let mut fields = BTreeMap::new();
        for (tag, name) in &values.fields {
            let Some(mut column) = self.column(&format!("merge_field {tag}"), main, name) else { continue };
            if column.kind == Kind::Array {
                // As the server spells it, which it takes back: a field is a text.
                column.kind = Kind::Other;
            }
            fields.insert(tag.clone(), column);
        }
        fields
    }

    fn interests(
        &mut self,
        main: &Found<'a>,
        mapping: &RegisterMapping,
        values: &MappedValues,
    ) -> InterestPlace {
        let interests = &mapping.interests;
        let key = |name: &str| format!("registrations.interests.columns.{name}");
        let place = match interests.layout {
            InterestLayout::Rows => self.interest_rows(mapping),
            InterestLayout::List => {
                let mut columns = BTreeMap::new();
                for (dimension, name) in &interests.columns {
                    let column = self.column(&key(dimension), main, name);
                    columns.extend(column.map(|column| (Dimension::new(dimension), column)));
                }
                columns.retain(|dimension, _| values.dimensions.contains(dimension));
                InterestPlace::Lists(columns)
            }
            InterestLayout::Flags => {
                let mut columns = BTreeMap::new();
                for (name, interest) in &interests.columns {
                    let (column, Some(interest)) =
                        (self.column(&key(name), main, name), Interest::parse(interest))
                    else {
                        continue;
                    };
                    if column.is_some() && columns.contains_key(&interest) {
                        self.error(&key(name), format!("another column stands for {interest} already"));
                    }
                    columns.extend(column.map(|column| (interest, column)));
                }
                columns.retain(|interest, _| values.dimensions.contains(&interest.dimension));
                InterestPlace::Flags(columns)
            }
        };
        self.placeless_dimensions(values, &place);
        place
    }

    fn interest_rows(&mut self, mapping: &RegisterMapping) -> InterestPlace {
        let (names, key) = (&mapping.interests, "registrations.interests");
        let Some(table) = self.optional_table(&format!("{key}.table"), &names.table) else {
            return InterestPlace::Nowhere;
        };
        let registration_id = self.column(&format!("{key}.registration_id"), &table, &names.registration_id);
        let dimension = self.column(&format!("{key}.dimension"), &table, &names.dimension);
        let interest = self.column(&format!("{key}.interest"), &table, &names.interest);
        match (registration_id, dimension, interest) {
            (Some(registration_id), Some(dimension), Some(interest)) => {
                InterestPlace::Rows { table: table.table.clone(), registration_id, dimension, interest }
            }
            _ => InterestPlace::Nowhere,
        }
    }

    /// A mapped dimension that the register cannot hold would be planned for ever and never written.
    fn placeless_dimensions(&mut self, values: &MappedValues, place: &InterestPlace) {
        // Problems with a table or column that was named are told already.
        if self.problems.iter().any(|problem| problem.key.starts_with("registrations.interests")) {
            return;
        }
        for dimension in &values.dimensions {
            let (key, problem) = match place {
                InterestPlace::Nowhere => {
                    ("table", format!("no table holds the interests of {:?}", dimension.as_str()))
                }
                InterestPlace::Rows { .. } => continue,
                InterestPlace::Lists(columns) if columns.contains_key(dimension) => continue,
                InterestPlace::Flags(columns) if columns.keys().any(|key| key.dimension == *dimension) => {
                    continue;
                }
                InterestPlace::Lists(_) | InterestPlace::Flags(_) => {
                    ("columns", format!("no column holds the interests of {:?}", dimension.as_str()))
                }
            };
            self.error(&format!("registrations.interests.{key}"), problem);
        }
    }

    fn removals(&mut self, mapping: &RegisterMapping) -> Option<Removals> {
        let (names, key) = (&mapping.removals, "registrations.removals");
        let found = self.optional_table(&format!("{key}.table"), &names.table)?;
        let column = self.column(&format!("{key}.registration_id"), &found, &names.registration_id)?;
        // Without a count nobody can tell which of them are new: the comparison of keys finds who is gone.
        let position = self.dialect.position("d", found.columns)?;
        Some(Removals { table: found.table.clone(), key: column, position })
    }

    fn groups(&mut self, mapping: &RegisterMapping) -> Option<(Table, Column, Column)> {
        let (names, key) = (mapping.working_groups.as_ref()?, "registrations.working_groups");
        let table = self.table(&format!("{key}.table"), &names.table)?;
        let id = self.column(&format!("{key}.registration_id"), &table, &names.registration_id);
        let name = self.column(&format!("{key}.name"), &table, &names.name);
        Some((table.table.clone(), id?, name?))
    }
}

/// `; did you mean "…"?` where a name comes near, else what there is.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let name = name.to_lowercase();
    let likeness = |known: &str| {
        let (known, distance) = (known.to_lowercase(), strsim::normalized_damerau_levenshtein);
        let contains = known.contains(&name) || name.contains(&known);
        distance(&name, &known) + if contains { 0.3 } else { 0.0 }
    };
    known
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= 0.4)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| format!("; did you mean {known:?}?"))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_missing_is_answered_with_the_nearest() {
        let known = ["email", "e_mail_old", "last_name", "registration_removals"];
        let cases = [
            ("emial", "; did you mean \"email\"?"),
            ("LastName", "; did you mean \"last_name\"?"),
            ("removals", "; did you mean \"registration_removals\"?"),
            ("zip", ""),
        ];
        for (name, expected) in cases {
            assert_eq!(nearest(name, known.into_iter()), expected, "{name}");
        }
    }
}
