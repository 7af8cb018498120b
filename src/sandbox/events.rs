//! Which webhook events a change of a member fires.

use crate::sandbox::audience::World;
use crate::sandbox::member::Compliance;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::payload;

/// The events that a change of a member fires, with their bodies.
pub(crate) fn events(
    world: &World,
    before: Option<&Member>,
    after: Option<&Member>,
    now: i64,
) -> Vec<(&'static str, String)> {
    let was = before.map(|member| member.status);
    let is = after.map_or(Status::Archived, |member| member.status);
    let Some(member) = after.or(before) else { return Vec::new() };
    let mut events = Vec::new();
    if let Some(before) = before
        && before.unique_email_id != member.unique_email_id
    {
        events.push(("upemail", payload::upemail(world, before, member, now)));
        events.push(("profile", payload::profile(world, member, now)));
    }
    match is {
        Status::Subscribed if was != Some(Status::Subscribed) => {
            events.push(("subscribe", payload::subscribe(world, member, now)));
        }
        Status::Unsubscribed if matches!(was, Some(Status::Subscribed | Status::Pending)) => {
            let reason = match member.compliance {
                Some(Compliance::Complained) => "abuse",
                Some(Compliance::Left | Compliance::Bounced) | None => "manual",
            };
            events.push(("unsubscribe", payload::unsubscribe(world, member, "unsub", reason, now)));
        }
        Status::Archived if was.is_some_and(|was| was != Status::Archived) => {
            events.push(("unsubscribe", payload::unsubscribe(world, member, "delete", "manual", now)));
        }
        Status::Cleaned if was != Some(Status::Cleaned) => {
            events.push(("cleaned", payload::cleaned(world, member, now)));
        }
        Status::Subscribed
        | Status::Unsubscribed
        | Status::Cleaned
        | Status::Pending
        | Status::Transactional
        | Status::Archived => (),
    }
    let edited = before.is_some_and(|before| {
        (&before.fields, before.interests) != (&member.fields, member.interests)
            && before.unique_email_id == member.unique_email_id
    });
    if edited && is == Status::Subscribed {
        events.push(("profile", payload::profile(world, member, now)));
    }
    events
}
