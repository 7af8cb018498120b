//! The body of a member write: read, checked, and brought into the member.

use std::net::IpAddr;

use serde_json::Map;
use serde_json::Value;

use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Call;
use crate::sandbox::call::schema_message;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::member::subscriber_hash;
use crate::sandbox::merge_values::Validation;
use crate::sandbox::merge_values::check_stored;
use crate::sandbox::merge_values::write_values;
use crate::sandbox::moment::parse_moment;
use crate::sandbox::problem::Problem;
use crate::sandbox::tags;

/// The statuses that may be written, but for `PATCH`, which leaves the last one out.
const WRITABLE: [&str; 5] = ["subscribed", "unsubscribed", "cleaned", "pending", "transactional"];

/// Which status keys a body may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statuses {
    /// All that can be written.
    Five,
    /// All but `transactional`.
    Four,
}

/// Whether merge fields are validated in full.
pub(crate) fn validation(call: &Call) -> Validation {
    if call.query.flag("skip_merge_validation") { Validation::Skipped } else { Validation::Full }
}

/// The status under `key`.
pub(crate) fn status(
    body: &Map<String, Value>,
    key: &str,
    statuses: Statuses,
) -> Result<Option<Status>, Problem> {
    let accepted = match statuses {
        Statuses::Five => &WRITABLE[..],
        Statuses::Four => &WRITABLE[..4],
    };
    Ok(call::one_of(body, key, accepted)?.and_then(Status::parse))
}

/// An address that can be written: of the right form, not made up, not deleted for good.
pub(crate) fn checked_address(world: &World, email: &str) -> Result<String, Problem> {
    let email = email.trim();
    let domain = email.rsplit_once('@').filter(|(name, _)| !name.is_empty() && !name.contains('@'));
    let Some((_, domain)) = domain else {
        return Err(Problem::invalid("Please provide a valid email address."));
    };
    let has_dot = domain.split('.').count() > 1 && domain.split('.').all(|label| !label.is_empty());
    if !has_dot || email.contains(char::is_whitespace) {
        return Err(Problem::invalid("Please provide a valid email address."));
    }
    if domain.eq_ignore_ascii_case("example.com") {
        let detail = format!("{email} looks fake or invalid, please enter a real email address.");
        return Err(Problem::invalid(detail));
    }
    if world.audience.forgotten.contains(&subscriber_hash(email)) {
        return Err(Problem::forgotten(email));
    }
    Ok(email.to_owned())
}

/// Brings everything but address and status into the member.
pub(crate) fn write(
    world: &World,
    member: &mut Member,
    body: &Map<String, Value>,
    validation: Validation,
) -> Result<(), Problem> {
    if let Some(kind) = call::one_of(body, "email_type", &["html", "text"])? {
        kind.clone_into(&mut member.email_type);
    }
    if let Some(language) = call::text(body, "language")? {
        language.clone_into(&mut member.language);
    }
    if let Some(vip) = call::boolean(body, "vip")? {
        member.vip = vip;
    }
    if let Some(location) = call::nested(body, "location")? {
        let number = |key: &str| location.get(key).and_then(Value::as_f64);
        let (latitude, longitude) = member.location;
        member.location = (number("latitude").unwrap_or(latitude), number("longitude").unwrap_or(longitude));
    }
    write_proof(member, body)?;
    write_interests(world, member, body)?;
    if let Some(sent) = call::nested(body, "merge_fields")? {
        write_values(&world.audience, member, sent, validation)?;
    }
    check_stored(&world.audience, member, validation)
}

/// Adds the tags that a creation carries.
pub(crate) fn write_tags(
    world: &mut World,
    member: &mut Member,
    body: &Map<String, Value>,
    now: i64,
) -> Result<(), Problem> {
    for tag in call::array(body, "tags")?.unwrap_or_default() {
        let name = match tag {
            Value::String(name) => name.clone(),
            other => return Err(Problem::field("tags", schema_message("string", other))),
        };
        tags::add(world, member, &name, now);
    }
    Ok(())
}

fn write_proof(member: &mut Member, body: &Map<String, Value>) -> Result<(), Problem> {
    if let Some(ip) = ip(body, "ip_signup")? {
        member.ip_signup = ip;
    }
    if let Some(ip) = ip(body, "ip_opt")? {
        member.ip_opt = ip;
    }
    if let Some(time) = time(body, "timestamp_signup")? {
        member.timestamp_signup = time;
    }
    if let Some(Some(time)) = time(body, "timestamp_opt")? {
        member.timestamp_opt = Some(time);
    }
    Ok(())
}

fn ip(body: &Map<String, Value>, key: &str) -> Result<Option<String>, Problem> {
    match call::text(body, key)? {
        None => Ok(None),
        Some(text) if text.is_empty() || text.parse::<IpAddr>().is_ok() => Ok(Some(text.to_owned())),
        Some(_) => Err(Problem::field(key, "Please enter a valid IP address.")),
    }
}

fn time(body: &Map<String, Value>, key: &str) -> Result<Option<Option<i64>>, Problem> {
    match call::text(body, key)? {
        None => Ok(None),
        Some("") => Ok(Some(None)),
        Some(text) => match parse_moment(text) {
            Some(moment) => Ok(Some(Some(moment.as_second()))),
            None => Err(Problem::field(key, "This value is not a valid datetime.")),
        },
    }
}

/// Only the interests that were sent change; siblings of a radio choice stay as they are.
fn write_interests(world: &World, member: &mut Member, body: &Map<String, Value>) -> Result<(), Problem> {
    for (id, value) in call::nested(body, "interests")?.into_iter().flatten() {
        let Some(interest) = world.audience.interest(id) else {
            return Err(Problem::invalid(format!("Invalid interest ID: '{id}'.")));
        };
        match value {
            Value::Bool(ticked) => member.set_interest(interest.slot, *ticked),
            other => {
                return Err(Problem::field(&format!("interests.{id}"), schema_message("boolean", other)));
            }
        }
    }
    Ok(())
}
