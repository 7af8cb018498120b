//! `…/members/{subscriber_hash}/tags` and `/lists/{list_id}/tag-search`.

use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::Tag;
use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::call::schema_message;
use crate::sandbox::hooks::Origin;
use crate::sandbox::member::Member;
use crate::sandbox::moment::moment_text;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;

/// `GET …/tags`: the complete list, with the time each was added.
pub(crate) fn list(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let slot = world.audience.store.by_id(call.id(0)).ok_or_else(Problem::not_found)?;
    let member = world.audience.store.get(slot).ok_or_else(Problem::not_found)?;
    let sample = json!({"tags": [{"id": 1, "name": "", "date_added": ""}], "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let tags = member.tags.iter().filter_map(|(id, added)| {
        let tag = world.audience.tags.iter().find(|tag| tag.id == *id)?;
        Some(json!({"id": tag.id, "name": tag.name, "date_added": moment_text(Some(*added))}))
    });
    let page: Value = tags.skip(call.query.offset()?).take(call.query.count()?).collect();
    let document = json!({"tags": page, "total_items": member.tags.len(), "_links": []});
    Ok(Answer::Json(projection.apply(document)))
}

/// `POST …/tags`: only the named tags change; adding one that is there still counts as a change.
pub(crate) fn write(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let slot = world.audience.store.by_id(call.id(0)).ok_or_else(Problem::not_found)?;
    let body = call.object()?;
    let syncing = call::boolean(body, "is_syncing")?.unwrap_or(false);
    let Some(items) = call::array(body, "tags")? else {
        return Err(Problem::field("", "Required fields were not provided: tags"));
    };
    let mut changes = Vec::new();
    for item in items {
        let Value::Object(tag) = item else {
            return Err(Problem::field("tags", schema_message("object", item)));
        };
        let name = call::required(tag, "name")?.trim().to_owned();
        let Some(status) = call::one_of(tag, "status", &["active", "inactive"])? else {
            return Err(Problem::field("", "Required fields were not provided: status"));
        };
        changes.push((name, status == "active"));
    }
    let mut next = world.audience.store.get(slot).cloned().ok_or_else(Problem::not_found)?;
    for (name, active) in changes {
        match active {
            true if syncing => add_quietly(world, &mut next, &name, call.now),
            true => add(world, &mut next, &name, call.now),
            false => remove(world, &mut next, &name, call.now),
        }
    }
    world.change(slot, next, Origin::Api, call.now);
    Ok(Answer::Empty)
}

/// `GET /lists/{list_id}/tag-search?name=`: tags whose name begins so.
pub(crate) fn search(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let wanted = call.query.get("name").unwrap_or("").to_lowercase();
    let tags: Vec<Value> = world
        .audience
        .tags
        .iter()
        .filter(|tag| tag.name.to_lowercase().starts_with(&wanted))
        .map(|tag| json!({"id": tag.id, "name": tag.name}))
        .collect();
    Ok(Answer::Json(json!({"total_items": tags.len(), "tags": tags, "_links": []})))
}

/// Adds a tag to the member, which may start automations.
pub(crate) fn add(world: &mut World, member: &mut Member, name: &str, now: i64) {
    if !world.audience.tag(name).is_some_and(|tag| member.tags.iter().any(|(id, _)| *id == tag.id)) {
        world.tag_automations += 1;
    }
    add_quietly(world, member, name, now);
}

/// Adds a tag to the member. Adding one that is there is a change too, so it is marked by `last_changed`.
pub(crate) fn add_quietly(world: &mut World, member: &mut Member, name: &str, now: i64) {
    let id = ensure(world, name, now);
    if !member.tags.iter().any(|(other, _)| *other == id) {
        member.tags.push((id, now));
    }
    member.last_changed = now;
}

/// Takes a tag from the member.
pub(crate) fn remove(world: &mut World, member: &mut Member, name: &str, now: i64) {
    let Some(id) = world.audience.tag(name).map(|tag| tag.id) else { return };
    member.tags.retain(|(other, _)| *other != id);
    touch(world, id, now);
}

/// The id of the tag with this name; it is created with the case given first.
pub(crate) fn ensure(world: &mut World, name: &str, now: i64) -> u32 {
    let id = match world.audience.tag(name) {
        Some(tag) => tag.id,
        None => {
            let id = world.number();
            world.audience.tags.push(Tag { id, name: name.trim().to_owned(), created: now, updated: now });
            id
        }
    };
    touch(world, id, now);
    id
}

/// Notes that the members of a tag changed.
pub(crate) fn touch(world: &mut World, id: u32, now: i64) {
    if let Some(tag) = world.audience.tags.iter_mut().find(|tag| tag.id == id) {
        tag.updated = now;
    }
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

    fn tags_path(name: &str) -> String {
        format!("{}/tags", member_path(&address(name)))
    }

    fn tag(name: &str, status: &str) -> Value {
        json!({"tags": [{"name": name, "status": status}]})
    }

    #[test]
    fn only_named_tags_change_and_the_first_case_stays() {
        let api = Api::with_everybody(SandboxOptions::default());
        let path = tags_path("subscribed");
        for (body, expected) in [
            (tag("Donor", "active"), vec!["Donor"]),
            (tag("Board", "active"), vec!["Donor", "Board"]),
            (tag("DONOR", "active"), vec!["Donor", "Board"]),
            (tag("nobody", "inactive"), vec!["Donor", "Board"]),
            (tag("donor", "inactive"), vec!["Board"]),
            (json!({"tags": []}), vec!["Board"]),
            (tag("dOnOr", "active"), vec!["Board", "Donor"]),
        ] {
            assert_eq!(api.post(&path, body.clone()), (204, Value::Null));
            let (_, document) = api.get(&path);
            let names: Vec<&str> = document["tags"]
                .as_array()
                .unwrap()
                .iter()
                .map(|tag| tag["name"].as_str().unwrap())
                .collect();
            assert_eq!(names, expected, "{body}");
        }
    }

    #[test]
    fn archived_members_take_tags_and_unknown_ones_do_not_exist() {
        let api = Api::with_everybody(SandboxOptions::default());
        assert_eq!(api.post(&tags_path("archived"), tag("Donor", "active")).0, 204);
        assert_eq!(refusal(&api.post(&tags_path("nobody"), tag("Donor", "active"))).1, "Resource Not Found");
        assert_eq!(refusal(&api.post(&tags_path("archived"), tag("Donor", "on"))).0, 400);
        assert_eq!(refusal(&api.post(&tags_path("archived"), json!({}))).0, 400);
    }

    #[test]
    fn the_member_shows_fifty_tags_and_how_many_there_are() {
        let api = Api::with_everybody(SandboxOptions::default());
        let tags: Value =
            (0..60).map(|number| json!({"name": format!("t{number}"), "status": "active"})).collect();
        api.post(&tags_path("subscribed"), json!({"tags": tags}));
        let member = api.sandbox.member(&address("subscribed")).unwrap();
        assert_eq!((member["tags"].as_array().unwrap().len(), &member["tags_count"]), (50, &json!(60)));
        let (_, all) = api.get(&format!("{}?count=1000", tags_path("subscribed")));
        assert_eq!(all["tags"].as_array().unwrap().len(), 60);
        assert_eq!(all["tags"][0]["date_added"], "2026-03-01T12:01:00+00:00");
        let (_, page) = api.get(&tags_path("subscribed"));
        assert_eq!((page["tags"].as_array().unwrap().len(), &page["total_items"]), (10, &json!(60)));
    }

    #[test]
    fn search_finds_what_begins_so() {
        let api = Api::with_everybody(SandboxOptions::default());
        for name in ["topic: Finance", "topic: Transport", "Board"] {
            api.post(&tags_path("subscribed"), tag(name, "active"));
        }
        let (_, found) = api.get("/tag-search?name=Topic");
        assert_eq!(found["total_items"], 2);
    }

    #[test]
    fn syncing_starts_no_automation() {
        let api = Api::with_everybody(SandboxOptions::default());
        let quiet = json!({"tags": [{"name": "Quiet", "status": "active"}], "is_syncing": true});
        for (body, expected) in [(quiet, 0), (tag("Loud", "active"), 1), (tag("Loud", "active"), 1)] {
            api.post(&tags_path("subscribed"), body);
            assert_eq!(api.sandbox.counters().tag_automations, expected);
        }
    }
}
