//! PURE: what to do about one member, from what the base remembers and both sides show.
//!
//! | base | local | remote | name | result |
//! |---|---|---|---|---|
//! | – | L | – | `new_on_local` | create in Mailchimp (policy `new_local`, consent) |
//! | – | – | R | `new_on_remote` | create a registration (policy `new_remote`) |
//! | – | L | R | `new_on_both` | adopt: merge against nothing; nobody is mailed |
//! | B | L | R | `known_on_both` | merge value by value |
//! | B | L | – | `gone_from_remote` | the consent rule |
//! | B | – | R | `gone_from_local` | policy `gone_local` |
//! | B | – | – | `gone_from_both` | tombstone |

mod address;
pub mod consent;
mod draft;
mod groups;
pub mod guard;
mod keep;
pub mod merge;
pub mod plan;
pub mod policy;
pub mod settle;
pub mod trio;
mod unheard;
pub mod values;

use std::collections::BTreeMap;

use crate::reconcile::draft::Draft;
use crate::reconcile::plan::{Meeting, MemberPlan};
use crate::reconcile::policy::Policy;
use crate::reconcile::trio::{Base, Trio};

pub use groups::groups_of;

/// Which row of the merge table the member falls under, by what is known by now.
fn meeting(trio: &Trio, base: &Base) -> Meeting {
    match (!base.is_first_meeting(), !trio.local.is_empty(), trio.remote.is_some()) {
        (false, true, false) => Meeting::NewOnLocal,
        (false, false, true) => Meeting::NewOnRemote,
        (false, true, true) => Meeting::NewOnBoth,
        (true, true, true) => Meeting::KnownOnBoth,
        (true, true, false) => Meeting::GoneFromRemote,
        (true, false, true) => Meeting::GoneFromLocal,
        (_, false, false) => Meeting::GoneFromBoth,
    }
}

/// Decides what to do about one member. The same input gives the same plan, whatever the time and the order of members.
pub fn reconcile(trio: &Trio, policy: &Policy) -> MemberPlan {
    let mut draft = Draft::new(trio, policy);
    if let Some(words) = &trio.parked {
        draft.note(words);
        return draft.finish_parked();
    }
    match draft.meeting {
        Meeting::NewOnLocal => {
            if !draft.is_barred() {
                draft.decide_status();
            }
        }
        Meeting::NewOnRemote => draft.decide_status(),
        Meeting::NewOnBoth | Meeting::KnownOnBoth => {
            if draft.decide_address() {
                draft.decide_status();
                draft.merge_values();
            }
        }
        Meeting::GoneFromRemote => draft.decide_status(),
        Meeting::GoneFromLocal => draft.decide_status(),
        Meeting::GoneFromBoth => return draft.bury(),
    }
    draft.keep_own_columns();
    draft.finish()
}

/// The working groups that a member belongs to as both sides stand, each with why; none for somebody who has left.
pub fn working_groups<'a>(trio: &'a Trio, policy: &'a Policy) -> BTreeMap<&'a str, String> {
    let mut draft = Draft::new(trio, policy);
    if !trio.local.is_empty() && trio.remote.is_some() {
        draft.merge_values();
    }
    draft.standing_groups()
}

#[cfg(test)]
mod tests;
