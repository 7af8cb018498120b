//! What is done about a refusal: set the member aside, try it later, read it again, or stop everything.

use jiff::SignedDuration;

use crate::apply::close::{Deed, SCHEMA};
use crate::apply::{ApplyError, Targets};
use crate::mailchimp::{AudienceError, Refusal, RefusalClass};
use crate::registrations::RegisterError;
use crate::state::{Park, growing_distance};

/// Mailchimp's throttle of an address names no time; hours are what others found to work.
const LATER: SignedDuration = SignedDuration::from_hours(4);

/// This many unknown refusals of one text in a row are nobody's fault.
pub(super) const EQUAL_UNKNOWNS: usize = 10;

/// What an error means for the operation, and whether it stops the plan.
pub(super) fn sort(targets: &Targets, attempts: u32, error: AudienceError) -> (Deed, Option<ApplyError>) {
    match error {
        AudienceError::Refused(refusal) => (of_audience(targets, attempts, refusal), None),
        AudienceError::Lost { said } => (Deed::Lost(said), None),
        AudienceError::Unreadable { said } => (Deed::Lost(said), None),
        stopping => (Deed::Failed(stopping.to_string()), Some(ApplyError::Remote(stopping))),
    }
}

fn of_audience(targets: &Targets, attempts: u32, refusal: Refusal) -> Deed {
    let retry_at = |distance: SignedDuration| targets.clock.now().checked_add(distance).ok();
    let (class, retry_at) = match refusal.class {
        RefusalClass::Permanent => ("permanent", None),
        RefusalClass::Compliance => ("compliance", None),
        RefusalClass::Forgotten => ("forgotten", None),
        RefusalClass::Later => ("later", retry_at(LATER)),
        RefusalClass::Schema => (SCHEMA, retry_at(SignedDuration::ZERO)),
        RefusalClass::Unknown => ("unknown", retry_at(growing_distance(attempts))),
        RefusalClass::Missing | RefusalClass::Exists => return Deed::Doubtful(refusal.said),
    };
    if refusal.class == RefusalClass::Unknown {
        tracing::warn!(
            http.status = refusal.status,
            title = refusal.title,
            "Mailchimp refused in a way nobody knows"
        );
    }
    Deed::Refused(Park { class: class.to_owned(), title: refusal.title, said: refusal.said, retry_at })
}

/// The register refused one row's write.
pub(super) fn of_register(error: &RegisterError) -> Park {
    let said = match error {
        RegisterError::Refused { said, .. } => said.clone(),
        RegisterError::Busy { .. } | RegisterError::Mapping { .. } | RegisterError::Failed { .. } => {
            error.to_string()
        }
    };
    Park { class: "register".to_owned(), title: "refused by the register".to_owned(), said, retry_at: None }
}

/// Counts unknown refusals of one text in a row.
#[derive(Debug, Default)]
pub(super) struct Run {
    said: String,
    count: usize,
}

impl Run {
    /// Looks at what came of some operations; an error once too many were refused alike.
    pub(super) fn note(&mut self, deeds: &[Deed]) -> Result<(), ApplyError> {
        for deed in deeds {
            match deed {
                Deed::Refused(park) if park.class == "unknown" && park.said == self.said => self.count += 1,
                Deed::Refused(park) if park.class == "unknown" => {
                    (self.said, self.count) = (park.said.clone(), 1)
                }
                Deed::Done => *self = Self::default(),
                _ => (),
            }
        }
        if self.count < EQUAL_UNKNOWNS {
            return Ok(());
        }
        Err(ApplyError::EqualUnknowns { count: self.count, said: self.said.clone() })
    }
}
