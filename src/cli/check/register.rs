//! What `check` finds in the register: its tables and columns, and its first rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cli::check::finding::{Finding, Severity as Level};
use crate::cli::fit::{Rows, rows};
use crate::cli::mapped::Mapped;
use crate::cli::output::counted;
use crate::cli::wiring::register_place;
use crate::config::RegistrationsConfig;
use crate::mailchimp::refusal::chain;
use crate::mailchimp::schema::FieldSchema;
use crate::model::{MergeTag, Registration};
use crate::registrations::mapping::RegisterMapping;
use crate::registrations::{
    MappingProblem, ReadRegistrations, Reading, RegisterError, RegisterPlace, Severity, examine,
    open_read_only,
};

/// What a look at the register gave.
#[derive(Debug, Default)]
pub(super) struct Register {
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// How many rows it has.
    pub(super) count: u64,
    /// The first rows, as Rosterd sees them.
    pub(super) samples: Vec<String>,
    /// The register itself, where it can be read.
    pub(super) open: Option<Arc<dyn ReadRegistrations>>,
}

/// Looks at the register's tables and first rows, and opens it.
pub(super) async fn look(
    config: &RegistrationsConfig,
    mapping: &RegisterMapping,
    mapped: &Mapped<'_>,
) -> Register {
    let mut register = Register::default();
    let place = match register_place(&config.location) {
        Ok(place) => place,
        Err(fault) => {
            register.findings.extend(mapping.mistakes().iter().map(of_mapping));
            register.findings.push(Finding::error("[registrations] url", fault.error().to_string()));
            return register;
        }
    };
    if let Err(error) = look_into(&mut register, &place, mapping, mapped).await {
        if register.findings.is_empty() {
            register.findings.extend(mapping.mistakes().iter().map(of_mapping));
        }
        register.findings.push(of_error(&error));
    }
    register
}

/// What the mapping says by itself, where nobody knows which register it is of.
pub(super) fn unseen(mapping: &RegisterMapping) -> Register {
    Register { findings: mapping.mistakes().iter().map(of_mapping).collect(), ..Register::default() }
}

async fn look_into(
    register: &mut Register,
    place: &RegisterPlace,
    mapping: &RegisterMapping,
    mapped: &Mapped<'_>,
) -> Result<(), RegisterError> {
    let report = examine(place, mapping, &mapped.values()).await?;
    register.findings.extend(report.problems.iter().map(of_mapping));
    register.count = report.rows;
    register.samples = report.samples.iter().map(sample).collect();
    if report.features.is_some() {
        register.open = Some(open_read_only(place, mapping, &mapped.values()).await?);
    }
    Ok(())
}

/// Reads every row; `fields` are the merge fields that the audience has. `None` where that is not possible.
pub(super) async fn count(
    register: &mut Register,
    mapping: &RegisterMapping,
    mapped: &Mapped<'_>,
    fields: &BTreeMap<MergeTag, FieldSchema>,
) -> Option<Rows> {
    let open = register.open.as_ref()?;
    match rows(open.as_ref(), mapping, &mapped.values().dimensions, fields).await {
        Ok(rows) => {
            register.findings.extend(unusable(&rows, &register.findings));
            Some(rows)
        }
        Err(error) => {
            register.findings.push(of_error(&error));
            None
        }
    }
}

/// How many rows Rosterd has to leave alone; where it is most of them, the mapping is wrong rather than the rows, which
/// may have been found already.
fn unusable(rows: &Rows, found: &[Finding]) -> Option<Finding> {
    let examples: Vec<String> =
        rows.examples.iter().map(|(id, problem)| format!("row {id}: {problem}")).collect();
    let rest = rows.unusable - examples.len() as u64;
    let rest = if rest == 0 { String::new() } else { format!("; and {rest} more") };
    let problem = format!(
        "{} of {} cannot be synchronized: {}{rest}",
        rows.unusable,
        counted(rows.all, "row"),
        examples.join("; ")
    );
    let key = "[registrations] table";
    match rows.unusable {
        0 => None,
        most if most * 2 > rows.all && found.iter().all(|found| found.severity != Level::Error) => {
            Some(Finding::error(key, problem))
        }
        _ => Some(Finding::notice(key, problem)),
    }
}

fn of_error(error: &RegisterError) -> Finding {
    let key = "[registrations] url";
    match error {
        RegisterError::Mapping { place, problem } => Finding::error(key, format!("{place}: {problem}")),
        RegisterError::Busy { .. } | RegisterError::Refused { .. } | RegisterError::Failed { .. } => {
            Finding::unreached(key, chain(error))
        }
    }
}

fn of_mapping(problem: &MappingProblem) -> Finding {
    let key = key_of(&problem.key);
    match problem.severity {
        Severity::Error => Finding::error(key, problem.problem.clone()),
        Severity::Notice => Finding::notice(key, problem.problem.clone()),
    }
}

/// `registrations.columns.email` as it stands in the file: `[registrations.columns] email`.
fn key_of(dotted: &str) -> String {
    match (dotted.strip_prefix("merge_field "), dotted.rsplit_once('.')) {
        (Some(tag), _) => format!("[merge_field] tag {tag:?}"),
        (None, Some((section, key))) => format!("[{section}] {key}"),
        (None, None) => format!("[{dotted}]"),
    }
}

fn sample(reading: &Reading) -> String {
    match reading {
        Reading::Usable(row) => usable(row),
        Reading::Unusable(row) => format!("row {}: not synchronized: {}", row.id, row.problem),
    }
}

fn usable(row: &Registration) -> String {
    let mut parts = vec![format!("{} {}", row.email, row.status)];
    parts.extend(row.consent_at().map(|at| format!("since {at}")));
    let mut parts = vec![parts.join(" ")];
    parts.extend(row.membership.clone());
    let filled = row.fields.iter().filter(|(_, text)| !text.is_empty());
    parts.extend(filled.map(|(tag, text)| format!("{tag} {text:?}")));
    parts.extend(row.interests.iter().map(ToString::to_string));
    format!("row {}: {}", row.id, parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_shown_as_they_stand_in_the_file() {
        let cases = [
            ("registrations.table", "[registrations] table"),
            ("registrations.columns.email", "[registrations.columns] email"),
            ("registrations.interests.columns.topic", "[registrations.interests.columns] topic"),
            ("merge_field FNAME", "[merge_field] tag \"FNAME\""),
        ];
        for (dotted, expected) in cases {
            assert_eq!(key_of(dotted), expected);
        }
    }
}
