//! `rosterd check`: every mistake in the configuration and on both sides, all at once.

mod audience;
mod sides;

use serde::Serialize;
use serde_json::json;

use crate::cli::exit::{Ending, Fault};
use crate::cli::output::{print_json, say};
use crate::cli::wiring::Settings;
use crate::cli::{Cli, Output};
use crate::config::{ConfigErrors, ProcessEnvironment, locate};

pub(super) use audience::{MAX_INTERESTS, same};
pub(super) use sides::interests as register_interests;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The configuration is wrong.
    Error,
    /// A side could not be reached: try again.
    Unreached,
    /// Something to know of.
    Notice,
}

/// One thing that a person should know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// How much it matters.
    pub(super) severity: Severity,
    /// The key of the configuration.
    pub(super) key: String,
    /// What is wrong and what to do.
    pub(super) problem: String,
}

impl Finding {
    pub(super) fn error(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Error, key: key.into(), problem: problem.into() }
    }

    pub(super) fn unreached(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Unreached, key: key.into(), problem: problem.into() }
    }

    pub(super) fn notice(key: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { severity: Severity::Notice, key: key.into(), problem: problem.into() }
    }
}

/// Checks everything and prints what it found.
pub(super) async fn run(cli: &Cli, output: Output) -> Result<Ending, Fault> {
    let path = locate(cli.config.as_deref(), &ProcessEnvironment);
    let (findings, samples) = match Settings::load_file(&path) {
        Ok(settings) => look(&settings).await,
        Err(fault) => (of_configuration(&fault), Vec::new()),
    };
    print(&findings, &samples, output)?;
    Ok(ending(&findings))
}

async fn look(settings: &Settings) -> (Vec<Finding>, Vec<String>) {
    let mut findings: Vec<Finding> = settings
        .mapping
        .mistakes()
        .into_iter()
        .map(|mistake| Finding::error(mistake.key, mistake.problem))
        .collect();
    let register = sides::register(settings).await;
    findings.extend(register.findings);
    findings.extend(sides::state(settings).await);
    findings.extend(audience::findings(settings, &register.interests).await);
    findings.sort_by_key(|finding| finding.severity);
    (findings, register.samples)
}

fn of_configuration(fault: &Fault) -> Vec<Finding> {
    let Some(errors) = fault.error().downcast_ref::<ConfigErrors>() else {
        return vec![Finding::error("", fault.error().to_string())];
    };
    let place = |place: Option<(usize, usize)>| {
        place.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default()
    };
    let finding = |problem: &crate::config::Problem| {
        let key =
            if problem.key.is_empty() { errors.path.display().to_string() } else { problem.key.clone() };
        Finding::error(key, format!("{}{}", problem.said, place(problem.place)))
    };
    errors.problems.iter().map(finding).collect()
}

fn print(findings: &[Finding], samples: &[String], output: Output) -> Result<(), Fault> {
    let n_errors = findings.iter().filter(|finding| finding.severity != Severity::Notice).count();
    if output.json {
        return print_json(&json!({ "findings": findings, "ok": n_errors == 0 }));
    }
    if !samples.is_empty() {
        say("The first rows of the register, as Rosterd sees them:")?;
        samples.iter().try_for_each(|sample| say(&format!("  {sample}")))?;
        say("")?;
    }
    for Finding { severity, key, problem } in findings {
        let word = match severity {
            Severity::Error => "error",
            Severity::Unreached => "unreached",
            Severity::Notice => "notice",
        };
        let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
        say(&format!("{word:9}  {key}{problem}"))?;
    }
    match (n_errors, findings.len()) {
        (0, 0) => say("Everything fits."),
        (0, notices) => say(&format!("Everything fits; {notices} things to know.")),
        (errors, _) => say(&format!("{errors} things to mend.")),
    }
}

/// Wrong configuration before unreachable sides: the order of the contract.
fn ending(findings: &[Finding]) -> Ending {
    let any = |severity| findings.iter().any(|finding| finding.severity == severity);
    match (any(Severity::Error), any(Severity::Unreached)) {
        (true, _) => Ending::Wrong,
        (false, true) => Ending::Unreached,
        (false, false) => Ending::Done,
    }
}
