//! Whether events arrive: when the last one came, and whom polling found to have left though no event said so.

use jiff::{SignedDuration, Timestamp};

use crate::cli::output::counted;
use crate::state::{LastEvent, State, StateError};

/// How far back is looked.
const LOOKED_BACK: SignedDuration = SignedDuration::from_hours(24);
/// Mailchimp tries a call again for 75 minutes: what is younger may be announced yet.
const ANNOUNCED_WITHIN: SignedDuration = SignedDuration::from_mins(80);

/// What is known of events.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Arrivals {
    /// The latest event.
    pub(in crate::cli) last: Option<LastEvent>,
    /// How many people left in the last day, as polling found, whom no event had named.
    pub(in crate::cli) unannounced: u64,
    /// Of how many.
    all: u64,
}

/// Looks whether events arrive. What the first adoption found is nobody's event.
pub(in crate::cli) async fn arrivals(state: &State, now: Timestamp) -> Result<Arrivals, StateError> {
    let day = now.checked_sub(LOOKED_BACK).unwrap_or(Timestamp::MIN);
    let since = state.adopted_at().await?.map_or(day, |adopted| adopted.max(day));
    let until = now.checked_sub(ANNOUNCED_WITHIN).unwrap_or(Timestamp::MIN);
    let seen = state.opt_outs_seen(since, until).await?;
    Ok(Arrivals { last: state.last_event().await?, unannounced: seen.unannounced, all: seen.all })
}

impl Arrivals {
    /// What is wrong with them, where something is.
    pub(in crate::cli) fn warning(&self) -> Option<String> {
        (self.unannounced > 0).then(|| {
            format!(
                "of {} in Mailchimp within a day no event announced {}: unless another program made them, the webhook does \
                 not reach rosterd (rosterd provision mends it)",
                counted(self.all, "opt-out"),
                self.unannounced
            )
        })
    }
}
