//! From our names to Mailchimp's: the bodies of writes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Map, Value, json};

use crate::mailchimp::ContactChanges;
use crate::mailchimp::NewContact;
use crate::mailchimp::schema::AudienceSchema;
use crate::mailchimp::schema::DimensionSchema;
use crate::mailchimp::wire::field_value;
use crate::mailchimp::wire::reading;
use crate::mailchimp::wire::time;
use crate::model::{Interest, Key, Value as MemberValue};
use crate::reconcile::policy::DimensionKind;

/// A value cannot be said in Mailchimp's names.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsayable {
    /// The audience has no such field, dimension or interest: its schema is to be read afresh.
    #[error("the audience has no {0}")]
    Unknown(String),
    /// Tags travel by a call of their own.
    #[error("{0} is a tag and cannot be changed with the values")]
    IsTag(String),
}

/// The part of a member that values are: merge fields and interests by their ids, and tags.
#[derive(Debug, Default)]
struct Said {
    merge_fields: Map<String, Value>,
    interests: Map<String, Value>,
    tags: BTreeSet<String>,
}

/// The body that changes values of an existing contact: only the keys that are named, never a status.
pub fn change(schema: &AudienceSchema, changes: &ContactChanges) -> Result<Value, Unsayable> {
    let said = say(schema, &changes.values)?;
    if let Some(tag) = said.tags.into_iter().next() {
        return Err(Unsayable::IsTag(tag));
    }
    let mut body = Map::new();
    if let Some(email) = &changes.email {
        body.insert("email_address".to_owned(), json!(email.as_str()));
    }
    insert_map(&mut body, "merge_fields", said.merge_fields);
    insert_map(&mut body, "interests", said.interests);
    Ok(Value::Object(body))
}

/// One entry of `members` in a bulk creation, its tags with it.
pub fn new_member(schema: &AudienceSchema, new: &NewContact) -> Result<Value, Unsayable> {
    let mut said = say(schema, &new.values)?;
    said.tags.extend(new.tags.iter().cloned());
    let mut body = Map::new();
    body.insert("email_address".to_owned(), json!(new.email.as_str()));
    body.insert("status".to_owned(), json!(new.status.get().as_str()));
    insert_map(&mut body, "merge_fields", said.merge_fields);
    insert_map(&mut body, "interests", said.interests);
    if !said.tags.is_empty() {
        body.insert("tags".to_owned(), json!(said.tags));
    }
    // Mailchimp validates addresses of networks: a register's odd one must not cost a member.
    let ip = new.signup_ip.as_deref().and_then(|ip| ip.trim().parse::<IpAddr>().ok());
    if let Some(ip) = ip {
        body.insert("ip_signup".to_owned(), json!(ip.to_string()));
    }
    if let Some(at) = new.signup_at {
        body.insert("timestamp_signup".to_owned(), json!(time::write(at)));
    }
    Ok(Value::Object(body))
}

/// The body that adds and removes the named tags, without setting off automations.
pub fn tags(tags: &BTreeMap<String, bool>) -> Value {
    let tags: Vec<Value> = tags
        .iter()
        .map(|(name, there)| json!({"name": name, "status": if *there { "active" } else { "inactive" }}))
        .collect();
    json!({"tags": tags, "is_syncing": true})
}

/// PHP would take an empty object for an array: it is left out.
fn insert_map(body: &mut Map<String, Value>, key: &str, map: Map<String, Value>) {
    if !map.is_empty() {
        body.insert(key.to_owned(), Value::Object(map));
    }
}

fn say(schema: &AudienceSchema, values: &BTreeMap<Key, MemberValue>) -> Result<Said, Unsayable> {
    let mut said = Said::default();
    for (key, value) in values {
        match key {
            Key::Field(tag) => {
                let field = schema.fields.get(tag).ok_or_else(|| unknown("merge field", tag.as_str()))?;
                let value = field_value::to_wire(field.kind, value.as_text());
                said.merge_fields.insert(field.wire_tag.clone(), value);
            }
            Key::Choice(dimension) => {
                let found = schema.dimensions.get(dimension);
                let found = found.ok_or_else(|| unknown("dimension", dimension.as_str()))?;
                said.interests.extend(choice(found, dimension.as_str(), value.as_text())?);
            }
            Key::Interest(interest) => say_interest(schema, interest, value.is_yes(), &mut said)?,
        }
    }
    Ok(said)
}

/// The chosen interest yes and all of its siblings no: that Mailchimp clears them by itself is documented nowhere.
fn choice(found: &DimensionSchema, dimension: &str, name: &str) -> Result<Map<String, Value>, Unsayable> {
    let chosen = if name.trim().is_empty() { None } else { Some(id_of(found, dimension, name)?) };
    Ok(found.interests.keys().map(|id| (id.clone(), json!(Some(id.as_str()) == chosen))).collect())
}

fn say_interest(
    schema: &AudienceSchema,
    interest: &Interest,
    chosen: bool,
    said: &mut Said,
) -> Result<(), Unsayable> {
    let dimension = interest.dimension.as_str();
    let found = schema.dimensions.get(&interest.dimension).ok_or_else(|| unknown("dimension", dimension))?;
    match &found.kind {
        DimensionKind::Tags { prefix } => {
            if chosen {
                said.tags.insert(format!("{prefix}{}", interest.name));
            }
        }
        DimensionKind::Choice if chosen => {
            said.interests.extend(choice(found, dimension, &interest.name)?);
        }
        DimensionKind::Choice | DimensionKind::Checkboxes => {
            let id = id_of(found, dimension, &interest.name)?;
            said.interests.insert(id.to_owned(), json!(chosen));
        }
    }
    Ok(())
}

fn id_of<'s>(found: &'s DimensionSchema, dimension: &str, name: &str) -> Result<&'s str, Unsayable> {
    let exact = found.interests.iter().find(|(_, known)| *known == name);
    let alike = || found.interests.iter().find(|(_, known)| reading::same(known, name));
    match exact.or_else(alike) {
        Some((id, _)) => Ok(id),
        None => Err(unknown("interest", &format!("{dimension}:{name}"))),
    }
}

fn unknown(what: &str, name: &str) -> Unsayable {
    Unsayable::Unknown(format!("{what} {name}"))
}
