//! `/lists/{list_id}/merge-fields`.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::MergeField;
use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;

/// The types a merge field can have.
const KINDS: [&str; 11] =
    ["text", "number", "address", "phone", "date", "url", "imageurl", "radio", "dropdown", "birthday", "zip"];
/// Tags are cut to so many characters.
const TAG_LENGTH: usize = 10;
/// An audience has no more fields than this.
const MOST: usize = 30;

/// What a new audience has.
pub(crate) fn defaults() -> Vec<MergeField> {
    let fields = [
        ("FNAME", "First Name", "text"),
        ("LNAME", "Last Name", "text"),
        ("ADDRESS", "Address", "address"),
        ("PHONE", "Phone Number", "phone"),
    ];
    let field = |(merge_id, (tag, name, kind)): (u32, (&str, &str, &str))| MergeField {
        merge_id,
        tag: tag.to_owned(),
        name: name.to_owned(),
        kind: kind.to_owned(),
        required: false,
        choices: Vec::new(),
        rest: Map::new(),
    };
    (1..).zip(fields).map(field).collect()
}

/// `GET …/merge-fields`.
pub(crate) fn list(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let (kind, required) = (call.query.get("type"), call.query.get("required").map(|text| text == "true"));
    let fields: Vec<Value> = (1..)
        .zip(&world.audience.fields)
        .filter(|(_, field)| kind.is_none_or(|kind| kind == field.kind))
        .filter(|(_, field)| required.is_none_or(|required| required == field.required))
        .map(|(place, field)| document(world, field, place))
        .collect();
    let sample = json!({"merge_fields": fields.first(), "list_id": "", "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let total = fields.len();
    let page: Value = fields.into_iter().skip(call.query.offset()?).take(call.query.count()?).collect();
    let answer =
        json!({"merge_fields": page, "list_id": world.audience.id, "total_items": total, "_links": []});
    Ok(Answer::Json(projection.apply(answer)))
}

/// `POST …/merge-fields`.
pub(crate) fn create(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    let name = call::required(body, "name")?.to_owned();
    call::required(body, "type")?;
    let kind = call::one_of(body, "type", &KINDS)?.unwrap_or("text").to_owned();
    if world.audience.fields.len() >= MOST {
        return Err(Problem::invalid("You have reached the maximum number of merge fields for this list."));
    }
    let merge_id = world.number();
    let tag = call::text(body, "tag")?.filter(|tag| !tag.is_empty());
    let tag = tag.map_or_else(|| format!("MMERGE{merge_id}"), shortened);
    refuse_taken(world, &tag, merge_id)?;
    let mut field =
        MergeField { merge_id, tag, name, kind, required: false, choices: Vec::new(), rest: Map::new() };
    write(&mut field, body)?;
    world.audience.fields.push(field);
    one(world, merge_id, call)
}

/// `GET …/merge-fields/{merge_id}`.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    one(world, id(world, call)?, call)
}

/// `PATCH …/merge-fields/{merge_id}`; the type cannot be changed.
pub(crate) fn patch(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let merge_id = id(world, call)?;
    let body = call.object()?;
    if let Some(tag) = call::text(body, "tag")? {
        let tag = shortened(tag);
        refuse_taken(world, &tag, merge_id)?;
        with(world, merge_id, |field| field.tag = tag);
    }
    if let Some(name) = call::text(body, "name")? {
        with(world, merge_id, |field| name.clone_into(&mut field.name));
    }
    let mut field = found(world, merge_id)?.clone();
    write(&mut field, body)?;
    with(world, merge_id, |stored| *stored = field);
    one(world, merge_id, call)
}

/// `DELETE …/merge-fields/{merge_id}`: the values go with it.
pub(crate) fn delete(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let merge_id = id(world, call)?;
    world.audience.fields.retain(|field| field.merge_id != merge_id);
    Ok(Answer::Empty)
}

fn write(field: &mut MergeField, body: &Map<String, Value>) -> Result<(), Problem> {
    if let Some(required) = call::boolean(body, "required")? {
        field.required = required;
    }
    if let Some(options) = call::nested(body, "options")?
        && let Some(choices) = call::array(options, "choices")?
    {
        field.choices = choices.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    }
    for key in ["default_value", "help_text"] {
        if let Some(text) = call::text(body, key)? {
            field.rest.insert(key.to_owned(), json!(text));
        }
    }
    if let Some(public) = call::boolean(body, "public")? {
        field.rest.insert("public".to_owned(), json!(public));
    }
    if let Some(place) = call::integer(body, "display_order")? {
        field.rest.insert("display_order".to_owned(), json!(place));
    }
    Ok(())
}

fn shortened(tag: &str) -> String {
    tag.to_uppercase().chars().take(TAG_LENGTH).collect()
}

fn refuse_taken(world: &World, tag: &str, merge_id: u32) -> Result<(), Problem> {
    match world.audience.field(tag) {
        Some(other) if other.merge_id != merge_id => Err(Problem::invalid(format!(
            "A Merge Field with the tag \"{tag}\" already exists for this list."
        ))),
        _ => Ok(()),
    }
}

fn id(world: &World, call: &Call) -> Result<u32, Problem> {
    let merge_id = call.id(0).parse().map_err(|_| Problem::not_found())?;
    Ok(found(world, merge_id)?.merge_id)
}

fn found(world: &World, merge_id: u32) -> Result<&MergeField, Problem> {
    let mut fields = world.audience.fields.iter();
    fields.find(|field| field.merge_id == merge_id).ok_or_else(Problem::not_found)
}

fn with(world: &mut World, merge_id: u32, change: impl FnOnce(&mut MergeField)) {
    if let Some(field) = world.audience.fields.iter_mut().find(|field| field.merge_id == merge_id) {
        change(field);
    }
}

fn one(world: &World, merge_id: u32, call: &Call) -> Result<Answer, Problem> {
    let place = world.audience.fields.iter().position(|field| field.merge_id == merge_id);
    let document = document(world, found(world, merge_id)?, place.map_or(1, |place| place + 1));
    let projection = Projection::from_query(&call.query, &document)?;
    Ok(Answer::Json(projection.apply(document)))
}

fn document(world: &World, field: &MergeField, place: usize) -> Value {
    let options = match field.kind.as_str() {
        "radio" | "dropdown" => json!({"choices": field.choices}),
        "date" => json!({"date_format": "MM/DD/YYYY"}),
        "birthday" => json!({"date_format": "MM/DD"}),
        "phone" => json!({"phone_format": "none"}),
        "address" => json!({"default_country": 164}),
        "text" => json!({"size": 25}),
        _ => json!({}),
    };
    let rest = |key: &str, otherwise: Value| field.rest.get(key).cloned().unwrap_or(otherwise);
    json!({
        "merge_id": field.merge_id,
        "tag": field.tag,
        "name": field.name,
        "type": field.kind,
        "required": field.required,
        "default_value": rest("default_value", json!("")),
        "public": rest("public", json!(false)),
        "display_order": rest("display_order", json!(place)),
        "options": options,
        "help_text": rest("help_text", json!("")),
        "list_id": world.audience.id,
        "_links": [],
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::mailchimp::transport::Method;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::refusal;

    #[test]
    fn a_new_audience_has_four_fields() {
        let (_, fields) =
            Api::new().get("/merge-fields?fields=merge_fields.tag,merge_fields.type,total_items");
        let expected = [("FNAME", "text"), ("LNAME", "text"), ("ADDRESS", "address"), ("PHONE", "phone")];
        let expected = expected.map(|(tag, kind)| json!({"tag": tag, "type": kind}));
        assert_eq!(fields, json!({"merge_fields": expected, "total_items": 4}));
    }

    #[test]
    fn fields_are_created_renamed_and_deleted_and_the_id_stays() {
        let api = Api::with_everybody(SandboxOptions::default());
        let (_, field) =
            api.post("/merge-fields", json!({"name": "Organisation", "tag": "organisation", "type": "text"}));
        assert_eq!(field["tag"], "ORGANISATI", "ten characters");
        let path = format!("/merge-fields/{}", field["merge_id"]);
        let email = address("subscribed");
        api.patch(&email, json!({"merge_fields": {"ORGANISATI": "LPSA"}}));
        let (_, renamed) = api.call(Method::Patch, &path, Some(json!({"tag": "ORG"})));
        assert_eq!(renamed["merge_id"], field["merge_id"]);
        assert_eq!(api.shows(&email, "merge_fields")["ORG"], "LPSA");
        assert_eq!(api.call(Method::Delete, &path, None).0, 204);
        assert!(api.shows(&email, "merge_fields").get("ORG").is_none());
        assert_eq!(api.get(&path).0, 404);
    }

    #[test]
    fn fields_that_cannot_be_are_refused() {
        let api = Api::new();
        for (body, sentence) in [
            (
                json!({"name": "First", "tag": "FNAME", "type": "text"}),
                "A Merge Field with the tag \"FNAME\" already exists for this list.",
            ),
            (json!({"name": "X"}), "Required fields were not provided: type"),
            (json!({"type": "text"}), "Required fields were not provided: name"),
        ] {
            assert_eq!(refusal(&api.post("/merge-fields", body)).2, sentence);
        }
        let create = |number: usize| {
            api.post("/merge-fields", json!({"name": format!("F{number}"), "type": "text"})).0
        };
        let answers: Vec<u16> = (0..27).map(create).collect();
        assert_eq!(
            (answers.iter().filter(|status| **status == 200).count(), answers[26]),
            (26, 400),
            "thirty in all"
        );
    }

    #[test]
    fn required_fields_must_be_there_unless_validation_is_skipped() {
        let api = Api::with_everybody(SandboxOptions::default());
        api.post(
            "/merge-fields",
            json!({"name": "Country", "tag": "COUNTRY", "type": "text", "required": true}),
        );
        let email = address("subscribed");
        let answer = api.patch(&email, json!({"merge_fields": {"FNAME": "Grace"}}));
        assert_eq!(refusal(&answer), (400, "Invalid Resource".to_owned(), "Please enter a value".to_owned()));
        assert_eq!(answer.1["detail"], "Your merge fields were invalid.");
        assert_eq!(answer.1["errors"][0]["field"], "COUNTRY");
        let target = format!("/members/{email}?skip_merge_validation=true");
        assert_eq!(
            api.call(Method::Patch, &target, Some(json!({"merge_fields": {"FNAME": "Grace"}}))).0,
            200
        );
        let new = json!({"email_address": address("new"), "status": "subscribed"});
        assert_eq!(api.post("/members", new.clone()).0, 400);
        assert_eq!(api.post("/members?skip_merge_validation=true", new).0, 200);
    }

    #[test]
    fn an_incomplete_address_that_is_stored_refuses_every_later_update() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("subscribed");
        let skip = format!("/members/{email}?skip_merge_validation=true");
        let body = json!({"merge_fields": {"ADDRESS": {"addr1": "1 Main St", "city": "Springfield"}}});
        assert_eq!(refusal(&api.patch(&email, body.clone())).2, "Please enter a complete address");
        assert_eq!(api.call(Method::Patch, &skip, Some(body)).0, 200);
        assert_eq!(
            refusal(&api.patch(&email, json!({"merge_fields": {"FNAME": "Grace"}}))).2,
            "Please enter a complete address"
        );
        assert_eq!(api.call(Method::Patch, &skip, Some(json!({"merge_fields": {"FNAME": "Grace"}}))).0, 200);
        assert_eq!(api.patch(&email, json!({"merge_fields": {"ADDRESS": ""}})).0, 200);
        assert_eq!(api.shows(&email, "merge_fields")["ADDRESS"], "");
    }

    #[test]
    fn types_are_checked_even_where_validation_is_skipped() {
        let api = Api::with_everybody(SandboxOptions::default());
        api.post("/merge-fields", json!({"name": "LTV", "tag": "LTV", "type": "number"}));
        let target = format!("/members/{}?skip_merge_validation=true", address("subscribed"));
        let answer = api.call(Method::Patch, &target, Some(json!({"merge_fields": {"LTV": "much"}})));
        assert_eq!(answer.1["errors"], json!([{"field": "LTV", "message": "Please enter a number"}]));
        let (_, member) = api.call(Method::Patch, &target, Some(json!({"merge_fields": {"LTV": "15.5"}})));
        assert_eq!(member["merge_fields"]["LTV"], 15.5, "read back as a number");
        let (_, member) = api.call(Method::Patch, &target, Some(json!({"merge_fields": {"LTV": ""}})));
        assert_eq!(member["merge_fields"]["LTV"], "");
    }
}
