//! `/lists/{list_id}/members`: creation, reading, changing, archiving and deleting of one member.

use serde_json::Map;
use serde_json::Value;

use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::hooks::Origin;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::member::subscriber_hash;
use crate::sandbox::member_body;
use crate::sandbox::member_body::Statuses;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;
use crate::sandbox::render;
use crate::sandbox::render::Columns;
use crate::sandbox::status;

/// `POST …/members`: a new member, or an archived one that comes back.
pub(crate) fn create(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    let email = member_body::checked_address(world, call::required(body, "email_address")?)?;
    let Some(asked) = member_body::status(body, "status", Statuses::Five)? else {
        return Err(Problem::field("", "Required fields were not provided: status"));
    };
    let slot = match world.audience.store.by_email(&email) {
        Some(slot) if is_archived(world, slot) => {
            world.log.count_status_write();
            revive(world, call, body, slot, asked)?
        }
        Some(_) => return Err(Problem::member_exists(&email)),
        None => insert(world, call, body, &email, asked)?,
    };
    shown(world, slot)
}

/// `GET …/members/{subscriber_hash}`.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let slot = find(world, call.id(0))?;
    let projection = Projection::from_query(&call.query, &render::sample())?;
    let member = world.audience.store.get(slot).ok_or_else(Problem::not_found)?;
    Ok(Answer::Bytes(render::member_bytes(world, member, &Columns::new(&projection))))
}

/// `PUT …/members/{subscriber_hash}`: changes the member that the path names, or creates one from the body.
pub(crate) fn put(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    if let Ok(slot) = find(world, call.id(0)) {
        member_body::status(body, "status_if_new", Statuses::Five)?;
        update(world, call, slot, Statuses::Five)?;
        return shown(world, slot);
    }
    let email = member_body::checked_address(world, call::required(body, "email_address")?)?;
    if world.audience.store.by_email(&email).is_some() {
        return Err(Problem::member_exists(&email));
    }
    let if_new = member_body::status(body, "status_if_new", Statuses::Five)?;
    let status = member_body::status(body, "status", Statuses::Five)?;
    let Some(asked) = if_new.or(status) else {
        return Err(Problem::field("", "Required fields were not provided: status_if_new"));
    };
    let slot = insert(world, call, body, &email, asked)?;
    shown(world, slot)
}

/// `PATCH …/members/{subscriber_hash}`.
pub(crate) fn patch(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let slot = find(world, call.id(0))?;
    update(world, call, slot, Statuses::Four)?;
    shown(world, slot)
}

/// `DELETE …/members/{subscriber_hash}`: archives.
pub(crate) fn archive(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let slot = find(world, call.id(0))?;
    let mut next = world.audience.store.get(slot).cloned().ok_or_else(Problem::not_found)?;
    match next.status {
        Status::Archived | Status::Pending | Status::Cleaned => return Err(Problem::cannot_archive()),
        Status::Subscribed | Status::Unsubscribed | Status::Transactional => next.status = Status::Archived,
    }
    world.change(slot, next, Origin::Api, call.now);
    Ok(Answer::Empty)
}

/// `POST …/members/{subscriber_hash}/actions/delete-permanent`.
pub(crate) fn delete_permanently(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let slot = world.audience.store.by_id(call.id(0)).ok_or_else(Problem::not_found)?;
    world.forget(slot, Origin::Api, call.now);
    Ok(Answer::Empty)
}

/// The slot of the member that a path names: by hash, by address or by contact id.
pub(crate) fn find(world: &World, name: &str) -> Result<u32, Problem> {
    let store = &world.audience.store;
    let found = if name.contains('@') {
        store.by_email(name)
    } else {
        store.by_id(&name.to_lowercase()).or_else(|| store.by_contact(name))
    };
    found.ok_or_else(Problem::not_found)
}

/// Stores a new member from a body.
pub(crate) fn insert(
    world: &mut World,
    call: &Call,
    body: &Map<String, Value>,
    email: &str,
    asked: Status,
) -> Result<u32, Problem> {
    let mut member = world.blank(email, asked, call.now);
    // A status of its own for the machine to come from: nobody is transactional and new.
    member.status = Status::Archived;
    "127.0.0.1".clone_into(&mut member.ip_opt);
    member_body::write(world, &mut member, body, member_body::validation(call))?;
    member_body::write_tags(world, &mut member, body, call.now)?;
    let opted = member.timestamp_opt;
    status::begin(world, &mut member, asked, call.now)?;
    member.timestamp_opt = opted.or(member.timestamp_opt);
    Ok(world.create(member, Origin::Api, call.now))
}

/// Brings an archived member back with a body.
pub(crate) fn revive(
    world: &mut World,
    call: &Call,
    body: &Map<String, Value>,
    slot: u32,
    asked: Status,
) -> Result<u32, Problem> {
    let mut next = world.audience.store.get(slot).cloned().ok_or_else(Problem::not_found)?;
    member_body::write_tags(world, &mut next, body, call.now)?;
    rewrite(world, call, body, &mut next, Some(asked))?;
    world.change(slot, next, Origin::Api, call.now);
    Ok(slot)
}

/// Changes an existing member by the body of the call.
fn update(world: &mut World, call: &Call, slot: u32, statuses: Statuses) -> Result<(), Problem> {
    let body = call.object()?;
    let asked = member_body::status(body, "status", statuses)?;
    if asked.is_some() {
        world.log.count_status_write();
    }
    let mut next = world.audience.store.get(slot).cloned().ok_or_else(Problem::not_found)?;
    if let Some(email) = call::text(body, "email_address")?.filter(|email| !email.is_empty()) {
        rename(world, &mut next, email)?;
    }
    if statuses == Statuses::Five {
        // `tags` came to `PUT` with the schema of 2026; `PATCH` does not know them.
        member_body::write_tags(world, &mut next, body, call.now)?;
    }
    rewrite(world, call, body, &mut next, asked)?;
    world.change(slot, next, Origin::Api, call.now);
    Ok(())
}

/// Brings a body and the status asked for into a member.
pub(crate) fn rewrite(
    world: &mut World,
    call: &Call,
    body: &Map<String, Value>,
    next: &mut Member,
    asked: Option<Status>,
) -> Result<(), Problem> {
    let before = next.timestamp_opt;
    member_body::write(world, next, body, member_body::validation(call))?;
    let sent = next.timestamp_opt.filter(|time| Some(*time) != before);
    if let Some(asked) = asked {
        status::change(world, next, asked, call.now)?;
    }
    next.timestamp_opt = sent.or(next.timestamp_opt);
    Ok(())
}

/// Gives a member another address.
///
/// 1. Writing the same address in another case is no new address.
/// 2. Only subscribed members are renamed.
/// 3. The new address must be nobody's, archived ones included.
pub(crate) fn rename(world: &mut World, member: &mut Member, email: &str) -> Result<(), Problem> {
    if email.trim().to_lowercase() == member.key() {
        email.trim().clone_into(&mut member.email); // 1
        return Ok(());
    }
    if member.status != Status::Subscribed {
        let message = format!(
            "This member's status is \"{}.\" You can only update email addresses for members \
             with a status of \"subscribed.\"",
            member.status.as_str()
        );
        return Err(Problem::field("email address", message)); // 2
    }
    let email = member_body::checked_address(world, email)?;
    if let Some(other) = world.audience.store.by_email(&email).and_then(|slot| world.audience.store.get(slot))
    {
        let status = other.status.in_collision();
        let message = format!("\"{email}\" is already in this list with a status of \"{status}\".");
        return Err(Problem::field("email address", message)); // 3
    }
    member.id = subscriber_hash(&email);
    member.unique_email_id = world.ids.hex(10);
    member.email = email;
    Ok(())
}

fn is_archived(world: &World, slot: u32) -> bool {
    world.audience.store.get(slot).is_some_and(|member| member.status == Status::Archived)
}

fn shown(world: &World, slot: u32) -> Result<Answer, Problem> {
    let member = world.audience.store.get(slot).ok_or_else(Problem::not_found)?;
    Ok(Answer::Bytes(render::member_bytes(world, member, &Columns::all())))
}
