//! What `check` finds in the file itself.

use crate::cli::check::finding::Finding;
use crate::config::{Draft, Problem};

/// Everything that is wrong with the file, and what cannot be looked at because of it.
pub(super) fn findings<M>(draft: &Draft<M>) -> Vec<Finding> {
    let Some(errors) = &draft.errors else { return Vec::new() };
    let file = errors.path.display().to_string();
    let mut findings: Vec<Finding> = errors.problems.iter().map(|problem| finding(&file, problem)).collect();
    if draft.registrations.is_none() {
        findings.push(Finding::notice("[registrations]", "the register is looked at once the file names it"));
    }
    if draft.mailchimp.is_none() {
        findings.push(Finding::notice(
            "[mailchimp]",
            "the audience is looked at once the file names it and its key",
        ));
    }
    findings
}

fn finding(file: &str, problem: &Problem) -> Finding {
    let Problem { place, key, said } = problem;
    // One form for sections and lists of sections, so that a line is found by its beginning.
    let key = if key.is_empty() { file.to_owned() } else { key.replace("[[", "[").replace("]]", "]") };
    let place = place.map(|(line, column)| format!(" (line {line}, column {column})")).unwrap_or_default();
    Finding::error(key, format!("{said}{place}"))
}
