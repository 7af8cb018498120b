//! Pages of members, and the lists of tags behind them. The bytes: a page, zero, the tags of whoever has more.

use jiff::{SignedDuration, Timestamp};
use rosterd::mailchimp::refusal::chain;
use rosterd::mailchimp::schema::AudienceSchema;
use rosterd::mailchimp::wire::member::MemberRow;
use rosterd::mailchimp::wire::reading::{Dictionary, TagsShown};
use rosterd::mailchimp::wire::{time, writing};
use rosterd::mailchimp::{AudienceError, ContactChanges, Order, Page, PageRequest, ReadAudience, Shelf};
use rosterd::model::{Contact, EmailAddress, Key, Value};
use rosterd::reconcile::policy::DimensionKind;
use serde_json::{Value as Json, json};

use super::stage;

/// Whatever Mailchimp answers: everybody it shows is accounted for, nobody else, and what was read can be written.
pub fn check(bytes: &[u8]) {
    let [page, tags] = stage::parts(bytes);
    let schema = stage::schema();
    match read(&page, &tags, &schema) {
        Ok(found) => {
            accounted_for(&page, &found);
            found.contacts.iter().for_each(|contact| written_and_read_again(contact, &schema));
            assert_eq!(read(&page, &tags, &schema).ok(), Some(found), "the same page is read otherwise");
        }
        // A page of the web comes from the edge, which is busy.
        Err(error @ (AudienceError::Unreadable { .. } | AudienceError::Busy { .. })) => {
            stage::harmless(&chain(&error));
        }
        Err(error) => panic!("a page that came is {error}"),
    }
}

fn read(page: &[u8], tags: &[u8], schema: &AudienceSchema) -> Result<Page, AudienceError> {
    let (page, tags) = (page.to_vec(), tags.to_vec());
    let client = stage::client(move |request| {
        stage::json(200, if request.target.contains("/tags?") { &tags } else { &page })
    });
    let request =
        PageRequest { shelf: Shelf::Living, order: Order::LastChanged, since: None, offset: 0, count: 1000 };
    stage::watched(client.page(schema, &request))
}

fn accounted_for(page: &[u8], found: &Page) {
    for id in found.contacts.iter().map(|contact| &contact.contact_id).chain(&found.unreadable) {
        assert!(found.rows.contains(id), "{id} is nobody of the page");
    }
    // What nobody asked for may hold texts that are none, of which a whole reading wants nothing to know.
    let Ok(json) = serde_json::from_slice::<Json>(page) else { return };
    let rows = json["members"].as_array().expect("what was read has members");
    assert_eq!((rows.len(), json["total_items"].as_u64()), (found.rows.len(), Some(found.total as u64)));
    assert!(found.contacts.len() + found.unreadable.len() <= found.rows.len());
    for contact in &found.contacts {
        let again = EmailAddress::parse(contact.email.as_str()).expect("an address is one");
        assert_eq!(again.as_str(), contact.email.as_str());
        assert!(!contact.email.is_forgotten() && !contact.path_id.is_empty());
    }
}

/// What is shown of a contact can be said to Mailchimp, and is the same when it comes back.
fn written_and_read_again(contact: &Contact, schema: &AudienceSchema) {
    let values = contact.fields.iter().map(|(tag, text)| (Key::Field(tag.clone()), Value::text(text)));
    let mut changes = ContactChanges { email: Some(contact.email.clone()), values: values.collect() };
    let mut n_chosen = 0;
    for interest in &contact.interests {
        match schema.dimensions[&interest.dimension].kind {
            DimensionKind::Checkboxes => {
                changes.values.insert(Key::Interest(interest.clone()), Value::Flag(true));
            }
            DimensionKind::Choice => {
                n_chosen += 1;
                changes.values.insert(Key::Choice(interest.dimension.clone()), Value::text(&interest.name));
            }
            DimensionKind::Tags { .. } => {}
        }
    }
    let mut body = writing::change(schema, &changes).expect("what was read can be said");
    assert!(body.get("status").is_none(), "a status travels alone");
    let tags = contact.interests.iter().filter(|interest| interest.dimension.as_str() == "sector");
    let tags = tags.map(|interest| format!("sector: {}", interest.name)).chain(contact.group_tags.clone());
    let tags: Vec<Json> = tags.map(|name| json!({ "name": name })).collect();
    let shown = json!({
        "id": contact.path_id, "contact_id": contact.contact_id.as_str(), "status": contact.status.as_str(),
        "unique_email_id": contact.unique_email_id, "tags_count": tags.len(), "tags": tags,
        "last_changed": contact.last_changed.map(time::write).unwrap_or_default(),
        "timestamp_opt": contact.timestamp_opt.map(time::write).unwrap_or_default(),
    });
    body.as_object_mut().unwrap().extend(shown.as_object().unwrap().clone());
    let text = body.to_string();
    let row: MemberRow<'_> = serde_json::from_str(&text).expect("what was written is JSON");
    let again = Dictionary::new(schema).read(&row).expect("who was read is read again");
    assert_eq!(again.tags, TagsShown::All);
    let (mut again, mut contact) = (again.contact, contact.clone());
    for (tag, field) in &schema.fields {
        let (one, other) = (&contact.fields[tag], &again.fields[tag]);
        assert!(field.kind.agree(one, other), "{tag}: {one:?} came back as {other:?}");
    }
    again.fields.clone_from(&contact.fields);
    if n_chosen > 1 {
        again.interests.clone_from(&contact.interests);
    }
    contact.last_changed = contact.last_changed.map(whole);
    contact.timestamp_opt = contact.timestamp_opt.map(whole);
    assert_eq!(again, contact);
}

/// Mailchimp's times are in whole seconds: what is written has its fraction cut off.
fn whole(moment: Timestamp) -> Timestamp {
    moment - SignedDuration::from_nanos(i64::from(moment.subsec_nanosecond()).rem_euclid(1_000_000_000))
}
