//! What `check` finds where the state lies: whether it can be written, and whether it belongs to these sides.

use std::fs::OpenOptions;
use std::path::Path;

use crate::cli::check::finding::Finding;
use crate::cli::fit::remembered;
use crate::mailchimp::refusal::chain;
use crate::mailchimp::schema::AudienceSchema;
use crate::registrations::ReadRegistrations;
use crate::state::{IdentityKind, State, StateError};

const KEY: &str = "[state] path";

/// Looks at the state without leaving a trace; answers the audience's schema as remembered.
pub(super) async fn look(
    path: &Path,
    register: Option<&dyn ReadRegistrations>,
    audience: Option<&str>,
) -> (Vec<Finding>, Option<AudienceSchema>) {
    let mut findings: Vec<Finding> = unwritable(path).into_iter().collect();
    let state = match remembered(path).await {
        Ok(Some(state)) => state,
        Ok(None) => return (findings, None),
        Err(error) => {
            findings.push(of_error(&error));
            return (findings, None);
        }
    };
    if let Some(register) = register
        && let Ok(identity) = register.identity().await
    {
        findings.extend(belongs_elsewhere(&state, IdentityKind::Register, identity).await);
    }
    let Some(audience) = audience else { return (findings, None) };
    match belongs_elsewhere(&state, IdentityKind::Audience, audience.to_owned()).await {
        Some(finding) => {
            findings.push(finding);
            (findings, None)
        }
        // What cannot be read is as good as forgotten: names are then matched as at the first meeting.
        None => (findings, state.schema().await.ok().flatten()),
    }
}

async fn belongs_elsewhere(state: &State, kind: IdentityKind, given: String) -> Option<Finding> {
    state.refuse_others(kind, given).await.err().map(|error| of_error(&error))
}

fn unwritable(path: &Path) -> Option<Finding> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !directory.is_dir() {
        let problem =
            format!("there is no directory {}; create it for the user who runs rosterd", directory.display());
        return Some(Finding::error(KEY, problem));
    }
    let here = || OpenOptions::new().write(true).open(path).map(drop);
    // A file without a name: it leaves nothing behind, whatever happens.
    let beside = || tempfile::tempfile_in(directory).map(drop);
    let tried = beside().and_then(|()| if path.exists() { here() } else { Ok(()) });
    tried.err().map(|error| {
        let problem =
            format!("{} cannot be written ({error}); give it to the user who runs rosterd", path.display());
        Finding::error(KEY, problem)
    })
}

fn of_error(error: &StateError) -> Finding {
    match error {
        StateError::Busy { .. } | StateError::DiskFull { .. } | StateError::Failed { .. } => {
            Finding::unreached(KEY, chain(error))
        }
        _ => Finding::error(KEY, chain(error)),
    }
}
