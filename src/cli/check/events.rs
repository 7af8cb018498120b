//! What `check` finds about events: when the last one came, and whether polling knows more than they tell.

use std::path::Path;

use crate::cli::check::finding::Finding;
use crate::cli::fit::{Arrivals, arrivals, remembered};
use crate::cli::moments::{ago, minute};
use crate::clock::Clock;
use crate::intake::{Lying, Spool};

const KEY: &str = "[web] public_url";

/// Looks at what the state knows of events; what is wrong with the state itself is told elsewhere.
pub(super) async fn findings(state: &Path) -> Vec<Finding> {
    let spool = Spool::beside(state);
    let Lying { damaged, waiting: _ } = spool.lying();
    let damaged = (damaged > 0).then(|| {
        let problem = format!(
            "{damaged} files of received events could not be read and lie in {}: look at them and remove them",
            spool.damaged().display()
        );
        Finding::notice("[state] path", problem)
    });
    let now = Clock::System.now();
    let refuses = spool.refuses(now).map(|error| Finding::notice("[state] path", error.to_string()));
    let of_spool: Vec<Finding> = damaged.into_iter().chain(refuses).collect();
    let Ok(Some(state)) = remembered(state).await else { return of_spool };
    let Ok(arrivals) = arrivals(&state, now).await else { return of_spool };
    let last = match &arrivals {
        Arrivals { last: Some(event), .. } => format!(
            "the last event came {} ({} UTC, {} by {})",
            ago(now, event.received_at),
            minute(event.received_at),
            event.kind,
            event.source
        ),
        Arrivals { last: None, .. } => "no event has come yet".to_owned(),
    };
    let warning = arrivals.warning().map(|warning| Finding::notice(KEY, warning));
    of_spool.into_iter().chain([Finding::notice(KEY, last)]).chain(warning).collect()
}
