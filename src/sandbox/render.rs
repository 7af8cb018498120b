//! Members as JSON, written straight into the answer: a page of a thousand takes a few milliseconds.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::Audience;
use crate::sandbox::audience::World;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::moment::write_moment;
use crate::sandbox::projection::Projection;

/// The member object shows no more tags than this; `tags_count` tells how many there are.
const TAGS_SHOWN: usize = 50;

/// The location of nearly everybody.
const NOWHERE: &[u8] =
    br#"{"latitude":0,"longitude":0,"gmtoff":0,"dstoff":0,"country_code":"","timezone":"","region":""}"#;

/// The keys of a member in the order of the recorded answers.
const KEYS: [&str; 28] = [
    "id",
    "email_address",
    "unique_email_id",
    "contact_id",
    "full_name",
    "web_id",
    "email_type",
    "status",
    "unsubscribe_reason",
    "consents_to_one_to_one_messaging",
    "merge_fields",
    "interests",
    "stats",
    "ip_signup",
    "timestamp_signup",
    "ip_opt",
    "timestamp_opt",
    "member_rating",
    "last_changed",
    "language",
    "vip",
    "email_client",
    "location",
    "source",
    "tags_count",
    "tags",
    "list_id",
    "_links",
];

/// The wanted keys of a member with what is wanted of each, worked out once a page.
#[derive(Clone, Debug)]
pub(crate) struct Columns(Vec<(&'static str, Projection)>);

impl Columns {
    /// The keys that the projection of a member leaves.
    pub(crate) fn new(projection: &Projection) -> Self {
        Self(KEYS.iter().filter_map(|key| Some((*key, projection.of(key)?.clone()))).collect())
    }

    /// The keys that the description of `POST /lists/{id}` names: fewer, and no `contact_id` among them.
    pub(crate) fn in_bulk() -> Self {
        let names = [
            "contact_id",
            "full_name",
            "web_id",
            "unsubscribe_reason",
            "consents_to_one_to_one_messaging",
            "source",
        ];
        let mut left_out: BTreeMap<_, _> = names.map(|name| (name.to_owned(), Projection::All)).into();
        let region = BTreeMap::from([("region".to_owned(), Projection::All)]);
        left_out.insert("location".to_owned(), Projection::Except(region));
        Self::new(&Projection::Except(left_out))
    }

    /// Every key.
    pub(crate) fn all() -> Self {
        Self::new(&Projection::All)
    }
}

/// A member with every key there can be, to check the names of fields against.
pub(crate) fn sample() -> Value {
    let keys = KEYS.iter().map(|key| ((*key).to_owned(), Value::Null));
    let mut member: serde_json::Map<String, Value> = keys.collect();
    member.insert("tags".to_owned(), json!([{"id": 1, "name": ""}]));
    for open in ["marketing_permissions", "last_note"] {
        member.insert(open.to_owned(), Value::Null);
    }
    Value::Object(member)
}

/// Writes the wanted keys of a member.
pub(crate) fn write_member(world: &World, member: &Member, columns: &Columns, out: &mut Vec<u8>) {
    let mut mark = b'{';
    for (key, part) in &columns.0 {
        if is_absent(&world.audience, member, key) {
            continue;
        }
        out.push(mark);
        mark = b',';
        out.push(b'"');
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(b"\":");
        write_value(world, member, key, part, out);
    }
    if mark == b'{' {
        out.push(b'{');
    }
    out.push(b'}');
}

/// A member as a document.
pub(crate) fn member_bytes(world: &World, member: &Member, columns: &Columns) -> Vec<u8> {
    let mut out = Vec::with_capacity(1200);
    write_member(world, member, columns, &mut out);
    out
}

/// Some keys are only there when they have something to say.
fn is_absent(audience: &Audience, member: &Member, key: &str) -> bool {
    match key {
        "unsubscribe_reason" => member.status != Status::Unsubscribed,
        "interests" => audience.interests.is_empty(),
        _ => false,
    }
}

fn write_value(world: &World, member: &Member, key: &str, part: &Projection, out: &mut Vec<u8>) {
    match key {
        "id" => write_text(&member.id, out),
        "email_address" => write_text(&member.email, out),
        "unique_email_id" => write_text(&member.unique_email_id, out),
        "contact_id" => write_text(&member.contact_id, out),
        "full_name" => write_text(&full_name(&world.audience, member), out),
        "web_id" => write_json(&member.web_id, out),
        "email_type" => write_text(&member.email_type, out),
        "status" => write_text(member.status.as_str(), out),
        "unsubscribe_reason" => write_text(&member.unsubscribe_reason, out),
        "consents_to_one_to_one_messaging" => out.extend_from_slice(b"true"),
        "merge_fields" => write_fields(&world.audience, member, part, out),
        "interests" => write_interests(&world.audience, member, part, out),
        "ip_signup" => write_text(&member.ip_signup, out),
        "timestamp_signup" => write_time(member.timestamp_signup, out),
        "ip_opt" => write_text(&member.ip_opt, out),
        "timestamp_opt" => write_time(member.timestamp_opt, out),
        "member_rating" => out.push(b'2'),
        "last_changed" => write_time(Some(member.last_changed), out),
        "language" => write_text(&member.language, out),
        "vip" => write_json(&member.vip, out),
        "email_client" => out.extend_from_slice(b"\"\""),
        "source" => write_text(member.source, out),
        "tags_count" => write_json(&member.tags.len(), out),
        "list_id" => write_text(&world.audience.id, out),
        "stats" => write_stats(part, out),
        "location" if *part == Projection::All && member.location == (0.0, 0.0) => {
            out.extend_from_slice(NOWHERE);
        }
        "location" => write_part(location(member), part, out),
        "tags" if *part == Projection::All => write_tags(&world.audience, member, out),
        "tags" => write_part(tags(&world.audience, member), part, out),
        _ => write_links(world, member, part, out),
    }
}

/// First and last name with a blank between them.
pub(crate) fn full_name(audience: &Audience, member: &Member) -> String {
    let value = |tag: &str| {
        let field = audience.field(tag)?;
        member.field(field.merge_id)?.as_str()
    };
    let (first, last) = (value("FNAME").unwrap_or(""), value("LNAME").unwrap_or(""));
    format!("{first} {last}").trim().to_owned()
}

fn write_fields(audience: &Audience, member: &Member, part: &Projection, out: &mut Vec<u8>) {
    let empty = Value::String(String::new());
    let fields = audience.fields.iter().filter_map(|field| {
        let part = part.of(&field.tag)?;
        let value = member.field(field.merge_id).unwrap_or(&empty);
        let value = match part {
            Projection::All => Cow::Borrowed(value),
            Projection::Only(_) | Projection::Except(_) => Cow::Owned(part.apply(value.clone())),
        };
        Some((field.tag.as_str(), value))
    });
    write_object(fields, out, |value, out| write_json(value.as_ref(), out));
}

fn write_interests(audience: &Audience, member: &Member, part: &Projection, out: &mut Vec<u8>) {
    let interests = audience.interests.iter().filter(|interest| part.of(&interest.id).is_some());
    let pairs = interests.map(|interest| (interest.id.as_str(), member.has_interest(interest.slot)));
    write_object(pairs, out, |ticked, out| write_json(&ticked, out));
}

fn write_object<'a, T>(
    pairs: impl Iterator<Item = (&'a str, T)>,
    out: &mut Vec<u8>,
    write: impl Fn(T, &mut Vec<u8>),
) {
    out.push(b'{');
    for (index, (key, value)) in pairs.enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_text(key, out);
        out.push(b':');
        write(value, out);
    }
    out.push(b'}');
}

fn write_stats(part: &Projection, out: &mut Vec<u8>) {
    match part {
        Projection::All => out.extend_from_slice(br#"{"avg_open_rate":0,"avg_click_rate":0}"#),
        _ => write_part(json!({"avg_open_rate": 0, "avg_click_rate": 0}), part, out),
    }
}

fn location(member: &Member) -> Value {
    let (latitude, longitude) = member.location;
    json!({
        "latitude": latitude, "longitude": longitude, "gmtoff": 0, "dstoff": 0,
        "country_code": "", "timezone": "", "region": "",
    })
}

fn shown_tags<'a>(audience: &'a Audience, member: &'a Member) -> impl Iterator<Item = (u32, &'a str)> {
    member.tags.iter().take(TAGS_SHOWN).filter_map(|(id, _)| {
        let tag = audience.tags.iter().find(|tag| tag.id == *id)?;
        Some((tag.id, tag.name.as_str()))
    })
}

fn tags(audience: &Audience, member: &Member) -> Value {
    shown_tags(audience, member).map(|(id, name)| json!({"id": id, "name": name})).collect()
}

fn write_tags(audience: &Audience, member: &Member, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, (id, name)) in shown_tags(audience, member).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"id\":");
        write_json(&id, out);
        out.extend_from_slice(b",\"name\":");
        write_text(name, out);
        out.push(b'}');
    }
    out.push(b']');
}

fn write_links(world: &World, member: &Member, part: &Projection, out: &mut Vec<u8>) {
    let members = format!("{}/lists/{}/members", world.base_url, world.audience.id);
    let id = &member.id;
    if *part == Projection::All {
        let links = format!(
            r#"[{{"rel":"self","href":"{members}/{id}","method":"GET"}},{{"rel":"parent","href":"{members}","method":"GET"}}]"#
        );
        out.extend_from_slice(links.as_bytes());
        return;
    }
    let links = json!([
        {"rel": "self", "href": format!("{members}/{id}"), "method": "GET"},
        {"rel": "parent", "href": members, "method": "GET"},
    ]);
    write_part(links, part, out);
}

fn write_part(value: Value, part: &Projection, out: &mut Vec<u8>) {
    write_json(&part.apply(value), out);
}

fn write_time(seconds: Option<i64>, out: &mut Vec<u8>) {
    out.push(b'"');
    if let Some(seconds) = seconds {
        write_moment(seconds, out);
    }
    out.push(b'"');
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    write_json(text, out);
}

/// Writes any value; writing into memory does not fail, and none of these values has keys that are not text.
fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    if serde_json::to_writer(&mut *out, value).is_err() {
        out.extend_from_slice(b"null");
    }
}
