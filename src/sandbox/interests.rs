//! `/lists/{list_id}/interest-categories` and the interests in them.

use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::Category;
use crate::sandbox::audience::Interest;
use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::member::Status;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;

const KINDS: [&str; 4] = ["checkboxes", "dropdown", "radio", "hidden"];
/// Over all categories of an audience.
const MOST: usize = 60;

/// `GET …/interest-categories`.
pub(crate) fn list_categories(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let kind = call.query.get("type");
    let wanted =
        world.audience.categories.iter().filter(|category| kind.is_none_or(|kind| kind == category.kind));
    let rows: Vec<Value> = wanted.map(|category| category_document(world, category)).collect();
    let sample = category_document(
        world,
        &Category { id: String::new(), title: String::new(), kind: String::new(), display_order: 0 },
    );
    let mut document = page(call, "categories", rows, &sample)?;
    show_list(&mut document, world);
    Ok(Answer::Json(document))
}

/// `POST …/interest-categories`.
pub(crate) fn create_category(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    let title = call::required(body, "title")?.to_owned();
    call::required(body, "type")?;
    let kind = call::one_of(body, "type", &KINDS)?.unwrap_or("checkboxes").to_owned();
    let display_order = call::integer(body, "display_order")?.unwrap_or(0);
    if world.audience.categories.iter().any(|category| category.title.eq_ignore_ascii_case(&title)) {
        return Err(already_there(&title));
    }
    let category = Category { id: world.ids.hex(10), title, kind, display_order };
    let document = category_document(world, &category);
    world.audience.categories.push(category);
    Ok(Answer::Json(document))
}

/// `GET …/interest-categories/{interest_category_id}`.
pub(crate) fn read_category(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let document = category_document(world, category(world, call.id(0))?);
    let projection = Projection::from_query(&call.query, &document)?;
    Ok(Answer::Json(projection.apply(document)))
}

/// `PATCH …/interest-categories/{interest_category_id}`.
pub(crate) fn patch_category(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let mut next = category(world, call.id(0))?.clone();
    let body = call.object()?;
    if body.contains_key("title") {
        call::required(body, "title")?.clone_into(&mut next.title);
    }
    if let Some(kind) = call::one_of(body, "type", &KINDS)? {
        kind.clone_into(&mut next.kind);
    }
    next.display_order = call::integer(body, "display_order")?.unwrap_or(next.display_order);
    let document = category_document(world, &next);
    let stored = world.audience.categories.iter_mut().find(|category| category.id == next.id);
    stored.into_iter().for_each(|stored| *stored = next.clone());
    Ok(Answer::Json(document))
}

/// `DELETE …/interest-categories/{interest_category_id}`: its interests go with it.
pub(crate) fn delete_category(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let id = category(world, call.id(0))?.id.clone();
    let of_category = world.audience.interests.iter().filter(|interest| interest.category_id == id);
    let interests: Vec<String> = of_category.map(|interest| interest.id.clone()).collect();
    for interest in interests {
        remove(world, &interest);
    }
    world.audience.categories.retain(|category| category.id != id);
    Ok(Answer::Empty)
}

/// `GET …/interests`.
pub(crate) fn list(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let id = category(world, call.id(0))?.id.clone();
    let wanted = world.audience.interests.iter().filter(|interest| interest.category_id == id);
    let rows: Vec<Value> = wanted.map(|interest| document(world, interest)).collect();
    let sample = json!({"id": 0, "category_id": 0, "name": 0, "list_id": 0, "display_order": 0, "subscriber_count": 0});
    let mut document = page(call, "interests", rows, &sample)?;
    if let Some(object) = document.as_object_mut().filter(|_| call.query.get("fields").is_none()) {
        object.insert("category_id".to_owned(), json!(id));
    }
    show_list(&mut document, world);
    Ok(Answer::Json(document))
}

/// `POST …/interests`; sixty in all, over every category.
pub(crate) fn create(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let category_id = category(world, call.id(0))?.id.clone();
    let body = call.object()?;
    let name = call::required(body, "name")?.to_owned();
    let display_order = call::integer(body, "display_order")?.unwrap_or(0);
    let interests = &world.audience.interests;
    if interests.len() >= MOST {
        return Err(Problem::invalid("Cannot have more than 60 interests per list (Across all categories)"));
    }
    if interests
        .iter()
        .any(|other| other.category_id == category_id && other.name.eq_ignore_ascii_case(&name))
    {
        return Err(already_there(&name));
    }
    let free = (0..64).find(|slot| interests.iter().all(|interest| interest.slot != *slot));
    let slot = free.ok_or_else(Problem::not_found)?;
    let interest = Interest { id: world.ids.hex(10), category_id, name, display_order, slot };
    let document = document(world, &interest);
    world.audience.interests.push(interest);
    Ok(Answer::Json(document))
}

/// `GET …/interests/{interest_id}`.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let document = document(world, found(world, call)?);
    let projection = Projection::from_query(&call.query, &document)?;
    Ok(Answer::Json(projection.apply(document)))
}

/// `PATCH …/interests/{interest_id}`.
pub(crate) fn patch(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let mut next = found(world, call)?.clone();
    let body = call.object()?;
    if body.contains_key("name") {
        call::required(body, "name")?.clone_into(&mut next.name);
    }
    next.display_order = call::integer(body, "display_order")?.unwrap_or(next.display_order);
    let document = document(world, &next);
    let stored = world.audience.interests.iter_mut().find(|interest| interest.id == next.id);
    stored.into_iter().for_each(|stored| *stored = next.clone());
    Ok(Answer::Json(document))
}

/// `DELETE …/interests/{interest_id}`.
pub(crate) fn delete(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let id = found(world, call)?.id.clone();
    remove(world, &id);
    Ok(Answer::Empty)
}

/// Takes an interest away from everybody; that moves nobody's `last_changed`.
fn remove(world: &mut World, id: &str) {
    let Some(slot) = world.audience.interest(id).map(|interest| interest.slot) else { return };
    world.audience.interests.retain(|interest| interest.id != id);
    let ticked: Vec<u32> = world
        .audience
        .store
        .iter()
        .filter(|(_, member)| member.has_interest(slot))
        .map(|(member_slot, _)| member_slot)
        .collect();
    for member_slot in ticked {
        if let Some(mut member) = world.audience.store.get(member_slot).cloned() {
            member.set_interest(slot, false);
            world.audience.store.put(member_slot, Some(member));
        }
    }
}

fn already_there(name: &str) -> Problem {
    Problem::invalid(format!("Cannot add \"{name}\" because it already exists on the list."))
}

fn category<'a>(world: &'a World, id: &str) -> Result<&'a Category, Problem> {
    world.audience.categories.iter().find(|category| category.id == id).ok_or_else(Problem::not_found)
}

fn found<'a>(world: &'a World, call: &Call) -> Result<&'a Interest, Problem> {
    let interest = world.audience.interest(call.id(1));
    interest.filter(|interest| interest.category_id == call.id(0)).ok_or_else(Problem::not_found)
}

fn page(call: &Call, name: &str, rows: Vec<Value>, sample: &Value) -> Result<Value, Problem> {
    let sample = json!({name: [sample], "list_id": "", "category_id": "", "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let total = rows.len();
    let rows: Value = rows.into_iter().skip(call.query.offset()?).take(call.query.count()?).collect();
    Ok(projection.apply(json!({name: rows, "list_id": "", "total_items": total, "_links": []})))
}

fn show_list(document: &mut Value, world: &World) {
    if let Some(list_id) = document.get_mut("list_id") {
        *list_id = json!(world.audience.id);
    }
}

fn category_document(world: &World, category: &Category) -> Value {
    json!({
        "list_id": world.audience.id,
        "id": category.id,
        "title": category.title,
        "display_order": category.display_order,
        "type": category.kind,
        "_links": [],
    })
}

fn subscribers(world: &World, slot: u32) -> usize {
    let members = world.audience.store.iter();
    members.filter(|(_, member)| member.status == Status::Subscribed && member.has_interest(slot)).count()
}

fn document(world: &World, interest: &Interest) -> Value {
    json!({
        "category_id": interest.category_id,
        "list_id": world.audience.id,
        "id": interest.id,
        "name": interest.name,
        "subscriber_count": subscribers(world, interest.slot).to_string(),
        "display_order": interest.display_order,
        "_links": [],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::mailchimp::transport::Method;
    use crate::sandbox::FormEntry;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::refusal;

    #[test]
    fn only_the_interests_that_were_sent_change() {
        let api = Api::with_everybody(SandboxOptions::default());
        let ids = api.interests("Topics", "checkboxes", &["Finance", "Transport"]);
        let email = address("subscribed");
        api.patch(&email, json!({"interests": {ids[0].clone(): true}}));
        let (_, member) = api.patch(&email, json!({"interests": {ids[1].clone(): true}}));
        assert_eq!(member["interests"], json!({ids[0].clone(): true, ids[1].clone(): true}));
    }

    #[test]
    fn the_api_does_not_keep_radio_choices_apart_but_the_preference_center_does() {
        let api = Api::with_everybody(SandboxOptions::default());
        let ids = api.interests("Region", "radio", &["North", "South"]);
        let email = address("subscribed");
        let (_, member) =
            api.patch(&email, json!({"interests": {ids[0].clone(): true, ids[1].clone(): true}}));
        assert_eq!(member["interests"], json!({ids[0].clone(): true, ids[1].clone(): true}));
        api.sandbox.person().edit_preferences(&email, &FormEntry::new().tick("South")).unwrap();
        assert_eq!(api.shows(&email, "interests"), json!({ids[0].clone(): false, ids[1].clone(): true}));
    }

    #[test]
    fn lists_page_by_ten() {
        let api = Api::new();
        let names: Vec<String> = (0..12).map(|number| format!("i{number}")).collect();
        api.interests("Topics", "checkboxes", &names.iter().map(String::as_str).collect::<Vec<_>>());
        let (_, categories) = api.get("/interest-categories");
        let below =
            format!("/interest-categories/{}/interests", categories["categories"][0]["id"].as_str().unwrap());
        let (_, page) = api.get(&below);
        assert_eq!((page["interests"].as_array().unwrap().len(), &page["total_items"]), (10, &json!(12)));
        let (_, page) = api.get(&format!("{below}?count=100"));
        assert_eq!(page["interests"].as_array().unwrap().len(), 12);
    }

    #[test]
    fn an_audience_has_sixty_interests_at_most() {
        let api = Api::new();
        let names: Vec<String> = (0..60).map(|number| format!("i{number}")).collect();
        let ids =
            api.interests("Topics", "checkboxes", &names.iter().map(String::as_str).collect::<Vec<_>>());
        let (_, category) = api.post("/interest-categories", json!({"title": "More", "type": "hidden"}));
        let below = format!("/interest-categories/{}/interests", category["id"].as_str().unwrap());
        let answer = api.post(&below, json!({"name": "one more"}));
        let text = "Cannot have more than 60 interests per list (Across all categories)";
        assert_eq!(refusal(&answer), (400, "Invalid Resource".to_owned(), text.to_owned()));
        let (_, categories) = api.get("/interest-categories");
        let first = categories["categories"][0]["id"].as_str().unwrap();
        let path = format!("/interest-categories/{first}/interests/{}", ids[0]);
        assert_eq!(api.call(Method::Delete, &path, None).0, 204);
        assert_eq!(api.post(&below, json!({"name": "one more"})).0, 200);
    }

    #[test]
    fn deleting_an_interest_takes_it_from_everybody_without_a_change() {
        let api = Api::with_everybody(SandboxOptions::default());
        let ids = api.interests("Topics", "checkboxes", &["Finance", "Transport"]);
        let email = address("subscribed");
        api.patch(&email, json!({"interests": {ids[0].clone(): true}}));
        let before = api.shows(&email, "last_changed");
        api.clock.advance(std::time::Duration::from_secs(60));
        let (_, categories) = api.get("/interest-categories");
        let category = categories["categories"][0]["id"].as_str().unwrap();
        api.call(Method::Delete, &format!("/interest-categories/{category}/interests/{}", ids[0]), None);
        assert_eq!(api.shows(&email, "interests"), json!({ids[1].clone(): false}));
        assert_eq!(api.shows(&email, "last_changed"), before);
        let new = api.interests("Other", "checkboxes", &["In the free place"]);
        assert_eq!(api.shows(&email, "interests")[&new[0]], false);
    }

    #[test]
    fn categories_and_interests_are_renamed_and_refused_twice() {
        let api = Api::new();
        api.interests("Topics", "checkboxes", &["Finance"]);
        assert_eq!(
            refusal(&api.post("/interest-categories", json!({"title": "topics", "type": "radio"}))).0,
            400
        );
        let (_, categories) = api.get("/interest-categories");
        let path = format!("/interest-categories/{}", categories["categories"][0]["id"].as_str().unwrap());
        let (_, renamed) = api.call(Method::Patch, &path, Some(json!({"title": "Themes"})));
        assert_eq!(renamed["title"], "Themes");
        assert_eq!(refusal(&api.post(&format!("{path}/interests"), json!({"name": "FINANCE"}))).0, 400);
        assert_eq!(api.call(Method::Delete, &path, None).0, 204);
        assert_eq!(api.get(&format!("{path}/interests")).0, 404);
    }
}
