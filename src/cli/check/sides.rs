//! What `check` finds in the register and beside the state.

use std::collections::BTreeSet;
use std::path::Path;

use crate::cli::check::Finding;
use crate::cli::wiring::Settings;
use crate::clock::Clock;
use crate::model::{Interest, Registration};
use crate::registrations::{Reading, RegisterPlace, Severity, examine, split};
use crate::state::{State, StateError};

/// How many rows are read at a time.
const PAGE: usize = 1_000;

/// What a look at the register gave.
#[derive(Default)]
pub(super) struct Register {
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// The first rows, as Rosterd sees them.
    pub(super) samples: Vec<String>,
    /// Every interest that a row names.
    pub(super) interests: BTreeSet<Interest>,
}

/// Looks at the register: its tables, its first rows, the interests that it names.
pub(super) async fn register(settings: &Settings) -> Register {
    let mut register = Register::default();
    let place = match settings.register_path() {
        Ok(path) => RegisterPlace::Sqlite(path),
        Err(fault) => {
            register.findings.push(Finding::error("[registrations] url", fault.error().to_string()));
            return register;
        }
    };
    match examine(&place, &settings.mapping, &settings.mapped_values()).await {
        Err(error) => register.findings.push(Finding::unreached("[registrations] url", chain(&error))),
        Ok(report) => {
            register.findings.extend(report.problems.iter().map(|problem| match problem.severity {
                Severity::Error => Finding::error(problem.key.clone(), problem.problem.clone()),
                Severity::Notice => Finding::notice(problem.key.clone(), problem.problem.clone()),
            }));
            register.samples = report.samples.iter().map(sample).collect();
            if report.is_usable() {
                register.interests = interests(settings).await.unwrap_or_default();
            }
        }
    }
    register
}

fn sample(reading: &Reading) -> String {
    match reading {
        Reading::Usable(row) => usable(row),
        Reading::Unusable(row) => format!("row {}: {}", row.id, row.problem),
    }
}

fn usable(row: &Registration) -> String {
    let fields: Vec<String> = row.fields.iter().map(|(tag, text)| format!("{tag} {text:?}")).collect();
    let interests: Vec<String> = row.interests.iter().map(ToString::to_string).collect();
    let consent = row.consent_at().map(|at| format!(" since {at}")).unwrap_or_default();
    format!(
        "row {}: {} {}{consent}; {}; {}",
        row.id,
        row.email,
        row.status,
        fields.join(", "),
        interests.join(", ")
    )
}

/// Every interest that a row names; read page by page.
pub(in crate::cli) async fn interests(settings: &Settings) -> Option<BTreeSet<Interest>> {
    let register = settings.register_read_only().await.ok()?;
    let mut interests = BTreeSet::new();
    let mut after = None;
    loop {
        let page = register.page(after.as_ref(), PAGE).await.ok()?;
        let (n_rows, last) = (page.len(), page.last().map(|row| row.id().clone()));
        interests.extend(split(page).0.into_iter().flat_map(|row| row.interests));
        if n_rows < PAGE {
            return Some(interests);
        }
        after = last;
    }
}

/// Looks at the state: whether it can be written, and whether it belongs to these sides.
pub(super) async fn state(settings: &Settings) -> Vec<Finding> {
    let path = &settings.config.state.path;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        let problem = format!("there is no directory {}; create it", directory.display());
        return vec![Finding::error("[state] path", problem)];
    }
    if let Err(error) = tempfile::tempfile_in(directory) {
        let problem = format!("nothing can be written in {}: {error}", directory.display());
        return vec![Finding::error("[state] path", problem)];
    }
    if !path.exists() {
        return vec![Finding::notice(
            "[state] path",
            "there is no state yet: the first cycle adopts, and asks before it writes",
        )];
    }
    match State::open(path.clone(), &Clock::System).await {
        Ok(_) | Err(StateError::Locked { .. }) => Vec::new(),
        Err(error) => vec![Finding::error("[state] path", chain(&error))],
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    text
}
