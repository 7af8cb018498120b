//! What an act of people's says: of being mailed, and by which values.

use crate::ground::value;
use crate::known::{Where, Word};
use crate::sides::{Sides, email, normal};
use crate::step::{Act, Address, Field};

/// What an act says of being mailed, and at which address; nothing where that was so before and does not show.
pub(crate) fn word_of(act: Act, before: &Sides) -> Option<(Address, Where, Word)> {
    let status = |a: Address| before.contact_at(&email(a)).map_or("", |contact| contact.status.as_str());
    let (a, side, word) = match act {
        Act::Register(a, _) | Act::RegisterPending(a, _) | Act::ReturnLocal(a) | Act::ReturnAhead(a) => {
            (a, Where::Register, Word::In)
        }
        Act::StaffAdd(a, _) | Act::Confirm(a) => (a, Where::Mailchimp, Word::In),
        Act::Form(a, _) if status(a) != "subscribed" => (a, Where::Mailchimp, Word::In),
        Act::LeaveLocal(a) | Act::LeaveNewest(a) | Act::LeaveAhead(a) => (a, Where::Register, Word::Out),
        Act::Delete(a) | Act::SoftDelete(a) => (a, Where::Register, Word::Removed),
        Act::Unsubscribe(a) | Act::Complain(a) | Act::StaffUnsubscribe(a) if status(a) != "unsubscribed" => {
            (a, Where::Mailchimp, Word::Out)
        }
        Act::StaffArchive(a) if status(a) != "archived" => (a, Where::Mailchimp, Word::Out),
        Act::StaffDelete(a) | Act::Expire(a) => (a, Where::Mailchimp, Word::Out),
        Act::Bounce(a) => (a, Where::Mailchimp, Word::Bounced),
        Act::Form(..)
        | Act::Unsubscribe(_)
        | Act::Complain(_)
        | Act::StaffUnsubscribe(_)
        | Act::StaffArchive(_)
        | Act::Write(..)
        | Act::TickLocal(..)
        | Act::UntickLocal(..)
        | Act::MoveLocal(..)
        | Act::RestoreRow
        | Act::RestoreStatus(_)
        | Act::Edit(..)
        | Act::Tick(..)
        | Act::Untick(..)
        | Act::Move(..)
        | Act::StaffUnarchive(_)
        | Act::StaffResubscribe(_)
        | Act::StaffTag(..) => return None,
    };
    Some((a, side, word))
}

pub(crate) fn entered_by(act: Act) -> Option<(String, String)> {
    match act {
        Act::Register(a, n) | Act::RegisterPending(a, n) | Act::Form(a, n) | Act::StaffAdd(a, n) => {
            Some((email(a), normal(&value(Field::First, n))))
        }
        Act::Write(a, field, n) | Act::Edit(a, field, n) => Some((email(a), normal(&value(field, n)))),
        _ => None,
    }
}

/// Whether an act undoes without a word of the person's what the side showed before: nobody who had not looked can know.
pub(crate) fn covers_up(act: Act) -> bool {
    matches!(
        act,
        Act::RestoreRow
            | Act::RestoreStatus(_)
            | Act::Delete(_)
            | Act::SoftDelete(_)
            | Act::StaffUnarchive(_)
            | Act::StaffResubscribe(_)
            | Act::StaffDelete(_)
            | Act::Expire(_)
    )
}
