//! `/lists/{list_id}/segments`: static segments, which are what tags are.

use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::Tag;
use crate::sandbox::audience::World;
use crate::sandbox::bulk;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::hooks::Origin;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::moment::moment_text;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;
use crate::sandbox::render;
use crate::sandbox::render::Columns;
use crate::sandbox::tags;

const MOST: usize = 500;

/// `GET …/segments`.
pub(crate) fn list(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let segments: Vec<Value> = world.audience.tags.iter().map(|tag| document(world, tag)).collect();
    let sample = json!({"segments": segments.first(), "list_id": "", "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let total = segments.len();
    let page: Value = segments.into_iter().skip(call.query.offset()?).take(call.query.count()?).collect();
    let answer = json!({"segments": page, "list_id": world.audience.id, "total_items": total, "_links": []});
    Ok(Answer::Json(projection.apply(answer)))
}

/// `POST …/segments`: a static segment with the addresses that are on the list.
pub(crate) fn create(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    let name = call::required(body, "name")?.to_owned();
    if world.audience.tag(&name).is_some() {
        return Err(Problem::field("name", "Sorry, that tag already exists."));
    }
    let emails = call::array(body, "static_segment")?.unwrap_or_default().to_vec();
    let id = tags::ensure(world, &name, call.now);
    for email in emails.iter().filter_map(Value::as_str) {
        if let Some(slot) = on_list(world, email) {
            set(world, slot, id, Wanted::In, call.now);
        }
    }
    one(world, id)
}

/// `GET …/segments/{segment_id}`.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    one(world, find(world, call)?)
}

/// `DELETE …/segments/{segment_id}`: the tag is taken from everybody.
pub(crate) fn delete(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let id = find(world, call)?;
    let tagged: Vec<u32> = tagged(world, id).map(|(slot, _)| slot).collect();
    for slot in tagged {
        set(world, slot, id, Wanted::Out, call.now);
    }
    world.audience.tags.retain(|tag| tag.id != id);
    Ok(Answer::Empty)
}

/// `POST …/segments/{segment_id}`: adds and removes up to five hundred addresses each.
pub(crate) fn change_members(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let id = find(world, call)?;
    let body = call.object()?;
    let mut errors = Vec::new();
    let mut changed = Vec::new();
    for (key, wanted) in [("members_to_add", Wanted::In), ("members_to_remove", Wanted::Out)] {
        let emails = call::array(body, key)?.unwrap_or_default();
        if emails.len() > MOST {
            return Err(Problem::field(key, "The number of emails must be 500 or less"));
        }
        let (mut slots, mut unknown) = (Vec::new(), Vec::new());
        for email in emails.iter().filter_map(Value::as_str) {
            match on_list(world, email) {
                Some(slot) => slots.push(slot),
                None => unknown.push(email),
            }
        }
        if !unknown.is_empty() {
            errors.push(
                json!({"email_addresses": unknown, "error": "Email addresses are not members of the list."}),
            );
        }
        slots.retain(|slot| set(world, *slot, id, wanted, call.now));
        changed.push(slots);
    }
    tags::touch(world, id, call.now);
    let mut out = b"{\"members_added\":".to_vec();
    bulk::write_members(world, &changed[0], &Columns::all(), &mut out);
    out.extend_from_slice(b",\"members_removed\":");
    bulk::write_members(world, &changed[1], &Columns::all(), &mut out);
    let rest = format!(
        ",\"errors\":{},\"total_added\":{},\"total_removed\":{},\"error_count\":{},\"_links\":[]}}",
        Value::from(errors.clone()),
        changed[0].len(),
        changed[1].len(),
        errors.len()
    );
    out.extend_from_slice(rest.as_bytes());
    Ok(Answer::Bytes(out))
}

/// `GET …/segments/{segment_id}/members`: the subscribed ones, others only where asked for.
pub(crate) fn members(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let id = find(world, call)?;
    let shown = |member: &Member| match member.status {
        Status::Subscribed => true,
        Status::Cleaned => call.query.flag("include_cleaned"),
        Status::Transactional => call.query.flag("include_transactional"),
        Status::Unsubscribed => call.query.flag("include_unsubscribed"),
        Status::Pending | Status::Archived => false,
    };
    let sample = json!({"members": [render::sample()], "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let slots: Vec<u32> =
        tagged(world, id).filter(|(_, member)| shown(member)).map(|(slot, _)| slot).collect();
    let columns = Columns::new(projection.of("members").unwrap_or(&Projection::All));
    let page = slots.iter().skip(call.query.offset()?).take(call.query.count()?);
    let mut out = b"{\"members\":[".to_vec();
    for (index, member) in page.filter_map(|slot| world.audience.store.get(*slot)).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        render::write_member(world, member, &columns, &mut out);
    }
    out.extend_from_slice(format!("],\"total_items\":{},\"_links\":[]}}", slots.len()).as_bytes());
    Ok(Answer::Bytes(out))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    In,
    Out,
}

/// Puts a member into a segment or takes it out; tells whether that changed anything.
fn set(world: &mut World, slot: u32, id: u32, wanted: Wanted, now: i64) -> bool {
    let Some(mut next) = world.audience.store.get(slot).cloned() else { return false };
    let is_in = next.tags.iter().any(|(tag, _)| *tag == id);
    match wanted {
        // The call knows no `is_syncing`, and nobody says that it starts no automation.
        Wanted::In if !is_in => {
            world.tag_automations += 1;
            next.tags.push((id, now));
        }
        Wanted::Out if is_in => next.tags.retain(|(tag, _)| *tag != id),
        Wanted::In | Wanted::Out => return false,
    }
    world.change(slot, next, Origin::Api, now);
    true
}

fn on_list(world: &World, email: &str) -> Option<u32> {
    let slot = world.audience.store.by_email(email.trim())?;
    let member = world.audience.store.get(slot)?;
    (member.status != Status::Archived).then_some(slot)
}

fn tagged(world: &World, id: u32) -> impl Iterator<Item = (u32, &Member)> {
    world.audience.store.iter().filter(move |(_, member)| member.tags.iter().any(|(tag, _)| *tag == id))
}

fn find(world: &World, call: &Call) -> Result<u32, Problem> {
    let id: u32 = call.id(0).parse().map_err(|_| Problem::not_found())?;
    let found = world.audience.tags.iter().find(|tag| tag.id == id);
    found.map(|tag| tag.id).ok_or_else(Problem::not_found)
}

fn one(world: &World, id: u32) -> Result<Answer, Problem> {
    let tag = world.audience.tags.iter().find(|tag| tag.id == id).ok_or_else(Problem::not_found)?;
    Ok(Answer::Json(document(world, tag)))
}

fn document(world: &World, tag: &Tag) -> Value {
    let members = tagged(world, tag.id).filter(|(_, member)| member.status == Status::Subscribed).count();
    json!({
        "id": tag.id,
        "name": tag.name,
        "member_count": members,
        "type": "static",
        "created_at": moment_text(Some(tag.created)),
        "updated_at": moment_text(Some(tag.updated)),
        "options": {},
        "list_id": world.audience.id,
        "_links": [],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;
    use crate::sandbox::testing::refusal;

    fn segment(api: &Api) -> String {
        api.post(
            &format!("{}/tags", member_path(&address("archived"))),
            json!({"tags": [{"name": "Donor", "status": "active"}]}),
        );
        let (_, found) = api.get("/tag-search?name=donor");
        format!("/segments/{}", found["tags"][0]["id"])
    }

    #[test]
    fn a_tag_is_filled_and_emptied_through_its_segment() {
        let api = Api::with_everybody(SandboxOptions::default());
        let path = segment(&api);
        let emails = ["subscribed", "left", "archived", "nobody"].map(address);
        let (_, added) = api.post(&path, json!({"members_to_add": emails}));
        assert_eq!((&added["total_added"], &added["error_count"]), (&json!(2), &json!(1)));
        assert_eq!(added["errors"][0]["email_addresses"], json!([address("archived"), address("nobody")]));
        let (_, shown) = api.get(&format!("{path}/members?fields=members.email_address,total_items"));
        assert_eq!(shown["members"], json!([{"email_address": address("subscribed")}]));
        let (_, shown) = api.get(&format!("{path}/members?include_unsubscribed=true"));
        assert_eq!(shown["total_items"], 2);
        let (_, removed) = api.post(&path, json!({"members_to_remove": [address("left")]}));
        assert_eq!(removed["total_removed"], 1);
        assert_eq!(api.shows(&address("left"), "tags_count"), 0);
    }

    #[test]
    fn more_than_five_hundred_are_refused() {
        let api = Api::with_everybody(SandboxOptions::default());
        let path = segment(&api);
        let emails: Value = (0..501).map(|number| json!(format!("{number}@x.example.org"))).collect();
        assert_eq!(refusal(&api.post(&path, json!({"members_to_add": emails}))).0, 400);
        assert_eq!(api.get("/segments/7").0, 404);
    }

    #[test]
    fn segments_are_created_listed_and_deleted() {
        let api = Api::with_everybody(SandboxOptions::default());
        let body = json!({"name": "Board", "static_segment": [address("subscribed")]});
        let (_, created) = api.post("/segments", body.clone());
        assert_eq!(created["member_count"], 1);
        assert_eq!(refusal(&api.post("/segments", body)).0, 400);
        let (_, listed) = api.get("/segments");
        assert_eq!(listed["total_items"], 1);
        let path = format!("/segments/{}", created["id"]);
        assert_eq!(api.call(crate::mailchimp::transport::Method::Delete, &path, None).0, 204);
        assert_eq!(api.shows(&address("subscribed"), "tags_count"), 0);
    }
}
