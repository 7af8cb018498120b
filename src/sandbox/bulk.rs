//! `POST /lists/{list_id}`: up to five hundred members in one call.

use std::collections::BTreeSet;

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::hooks::Origin;
use crate::sandbox::member::Status;
use crate::sandbox::member_body;
use crate::sandbox::member_body::Statuses;
use crate::sandbox::members;
use crate::sandbox::options::ArchivedInBulk;
use crate::sandbox::options::ComplianceInBulk;
use crate::sandbox::problem::Problem;
use crate::sandbox::render;
use crate::sandbox::render::Columns;

const MOST: usize = 500;

/// What the whole call asks for.
#[derive(Clone, Copy, Debug)]
struct Wish {
    update_existing: bool,
    sync_tags: bool,
    skip_duplicates: bool,
}

/// What became of one member of the call.
enum Outcome {
    New(u32),
    Updated(u32),
}

/// Why one member of the call was refused.
struct Refusal {
    problem: Problem,
    exists: bool,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self { problem, exists: false }
    }
}

/// Creates, and where asked updates, each member by itself: one refusal does not stop the others.
pub(crate) fn subscribe(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    let Some(members) = call::array(body, "members")? else {
        return Err(Problem::field("", "Required fields were not provided: members"));
    };
    if members.len() > MOST {
        return Err(Problem::field("members", "Number of members must be 500 or less"));
    }
    let wish = Wish {
        update_existing: call::boolean(body, "update_existing")?.unwrap_or(false),
        sync_tags: call::boolean(body, "sync_tags")?.unwrap_or(false),
        skip_duplicates: call.query.flag("skip_duplicate_check"),
    };
    let (mut new, mut updated, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    let mut seen = BTreeSet::new();
    for member in members {
        let email = member.get("email_address").and_then(Value::as_str).unwrap_or("").trim().to_lowercase();
        let first = seen.insert(email.clone());
        if !first && wish.skip_duplicates {
            continue;
        }
        let outcome = if first { one(world, call, member, wish) } else { Err(duplicate(&email)) };
        match outcome {
            Ok(Outcome::New(slot)) => new.push(slot),
            Ok(Outcome::Updated(slot)) => updated.push(slot),
            Err(refusal) => errors.push(error(&email, &refusal)),
        }
    }
    Ok(Answer::Bytes(document(world, &new, &updated, &errors)))
}

fn one(world: &mut World, call: &Call, member: &Value, wish: Wish) -> Result<Outcome, Refusal> {
    let Value::Object(body) = member else {
        return Err(Problem::field("members", call::schema_message("object", member)).into());
    };
    let email = member_body::checked_address(world, call::text(body, "email_address")?.unwrap_or(""))?;
    let asked = member_body::status(body, "status", Statuses::Five)?;
    let existing = world.audience.store.by_email(&email).and_then(|slot| {
        let member = world.audience.store.get(slot)?;
        Some((slot, member.status == Status::Archived))
    });
    match existing {
        None => {
            let asked = asked.unwrap_or(Status::Subscribed);
            Ok(Outcome::New(members::insert(world, call, body, &email, asked)?))
        }
        Some((slot, _)) if wish.update_existing => update(world, call, body, slot, asked, wish),
        Some((slot, true)) if world.options.archived_in_bulk == ArchivedInBulk::Revived => {
            world.log.count_status_write();
            let asked = asked.unwrap_or(Status::Subscribed);
            Ok(Outcome::New(members::revive(world, call, body, slot, asked)?))
        }
        Some(_) => {
            let detail = format!(
                "{email} is already a list member, do you want to update? please provide update_existing:true in the request body"
            );
            Err(Refusal { problem: Problem::invalid(detail), exists: true })
        }
    }
}

fn update(
    world: &mut World,
    call: &Call,
    body: &Map<String, Value>,
    slot: u32,
    asked: Option<Status>,
    wish: Wish,
) -> Result<Outcome, Refusal> {
    let mut next = world.audience.store.get(slot).cloned().ok_or_else(Problem::not_found)?;
    let archived = next.status == Status::Archived;
    if archived && world.options.archived_in_bulk == ArchivedInBulk::Refused {
        let problem = Problem::member_exists(&next.email);
        return Err(Refusal { problem, exists: true });
    }
    if asked.is_some() {
        world.log.count_status_write();
    }
    let refused = asked == Some(Status::Subscribed) && next.compliance.is_some();
    let asked = match world.options.compliance_in_bulk {
        ComplianceInBulk::Ignored if refused => None,
        ComplianceInBulk::Ignored | ComplianceInBulk::Refused => asked,
    };
    if wish.sync_tags {
        next.tags.clear();
    }
    member_body::write_tags(world, &mut next, body, call.now)?;
    members::rewrite(world, call, body, &mut next, asked)?;
    world.change(slot, next, Origin::Api, call.now);
    Ok(Outcome::Updated(slot))
}

fn duplicate(email: &str) -> Refusal {
    Problem::invalid(format!("Duplicate items found in the members array: {email}")).into()
}

fn error(email: &str, refusal: &Refusal) -> Value {
    let (field, message) = refusal.problem.errors.first().cloned().unwrap_or_default();
    json!({
        "email_address": email,
        "error": refusal.problem.detail,
        "error_code": if refusal.exists { "ERROR_CONTACT_EXISTS" } else { "ERROR_GENERIC" },
        "field": field,
        "field_message": message,
    })
}

fn document(world: &World, new: &[u32], updated: &[u32], errors: &[Value]) -> Vec<u8> {
    let mut out = b"{\"new_members\":".to_vec();
    let columns = Columns::in_bulk();
    write_members(world, new, &columns, &mut out);
    out.extend_from_slice(b",\"updated_members\":");
    write_members(world, updated, &columns, &mut out);
    let rest = format!(
        ",\"errors\":{},\"total_created\":{},\"total_updated\":{},\"error_count\":{},\"_links\":[]}}",
        Value::from(errors),
        new.len(),
        updated.len(),
        errors.len()
    );
    out.extend_from_slice(rest.as_bytes());
    out
}

/// Writes members as an array.
pub(crate) fn write_members(world: &World, slots: &[u32], columns: &Columns, out: &mut Vec<u8>) {
    out.push(b'[');
    for (index, member) in slots.iter().filter_map(|slot| world.audience.store.get(*slot)).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        render::write_member(world, member, columns, out);
    }
    out.push(b']');
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use serde_json::json;

    use crate::sandbox::ArchivedInBulk;
    use crate::sandbox::ComplianceInBulk;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::refusal;

    /// Subscribes the member in a situation: `new`, `updated` with the status shown, or code and words of the error.
    fn check(options: SandboxOptions, name: &str, update: bool, expected: &str) {
        let api = Api::with_everybody(options);
        let member = json!({"email_address": address(name), "status": "subscribed"});
        let (status, document) = api.post("", json!({"members": [member], "update_existing": update}));
        assert_eq!(status, 200);
        let shown = |key: &str| document[key][0]["status"].as_str().map(|status| format!("{key} {status}"));
        let error = &document["errors"][0];
        let found = shown("new_members").or_else(|| shown("updated_members")).unwrap_or_else(|| {
            let text = |key: &str| error[key].as_str().unwrap();
            format!(
                "{} {}",
                text("error_code"),
                text("error").split(' ').skip(1).take(3).collect::<Vec<_>>().join(" ")
            )
        });
        assert_eq!(found, expected, "{name}, update_existing: {update}");
    }

    #[test]
    fn each_member_is_dealt_with_by_itself() {
        let exists = "ERROR_CONTACT_EXISTS is already a";
        let compliance = "ERROR_GENERIC is in a";
        for (name, created, updated) in [
            ("nobody", "new_members subscribed", "new_members subscribed"),
            ("subscribed", exists, "updated_members subscribed"),
            ("unsubscribed", exists, "updated_members subscribed"),
            ("left", exists, compliance),
            ("complained", exists, compliance),
            ("bounced", exists, compliance),
            ("archived", "new_members subscribed", "updated_members subscribed"),
            ("left-archived", compliance, compliance),
            ("pending", exists, "updated_members subscribed"),
            ("forgotten", "ERROR_GENERIC was permanently deleted", "ERROR_GENERIC was permanently deleted"),
        ] {
            check(SandboxOptions::default(), name, false, created);
            check(SandboxOptions::default(), name, true, updated);
        }
    }

    #[test]
    fn what_is_not_known_of_mailchimp_can_be_switched() {
        let refused =
            SandboxOptions { archived_in_bulk: ArchivedInBulk::Refused, ..SandboxOptions::default() };
        check(refused.clone(), "archived", false, "ERROR_CONTACT_EXISTS is already a");
        check(refused, "archived", true, "ERROR_CONTACT_EXISTS is already a");
        let ignored =
            SandboxOptions { compliance_in_bulk: ComplianceInBulk::Ignored, ..SandboxOptions::default() };
        check(ignored.clone(), "left", true, "updated_members unsubscribed");
        check(ignored, "bounced", true, "updated_members cleaned");
    }

    #[test]
    fn one_refusal_does_not_stop_the_others() {
        let api = Api::new();
        let member = |email: &str| json!({"email_address": email, "status": "subscribed", "tags": ["Donor"]});
        let members = json!([
            member("a@x.example.org"),
            member("b@example.com"),
            member("c@x.example.org"),
            member("nobody")
        ]);
        let (_, document) = api.post("", json!({"members": members}));
        let counts =
            ["total_created", "total_updated", "error_count"].map(|key| document[key].as_u64().unwrap());
        assert_eq!(counts, [2, 0, 2]);
        assert_eq!(document["new_members"][1]["tags"][0]["name"], "Donor");
        assert_eq!(document["errors"][1]["error"], "Please provide a valid email address.");
    }

    #[test]
    fn errors_about_a_field_name_it() {
        let api = Api::new();
        let (_, field) = api.post("/merge-fields", json!({"name": "Age", "tag": "AGE", "type": "number"}));
        assert_eq!(field["tag"], "AGE");
        let member = json!({"email_address": "a@x.example.org", "status": "subscribed", "merge_fields": {"AGE": "old"}});
        let (_, document) = api.post("", json!({"members": [member]}));
        let error = &document["errors"][0];
        assert_eq!(
            (&error["field"], &error["field_message"]),
            (&json!("AGE"), &json!("Please enter a number"))
        );
    }

    #[test]
    fn a_duplicate_in_the_call_is_an_error_unless_it_is_to_be_skipped() {
        let member = |name: &str| json!({"email_address": "a@x.example.org", "status": "subscribed", "merge_fields": {"FNAME": name}});
        for (query, errors) in [("", 1), ("?skip_duplicate_check=true", 0)] {
            let api = Api::new();
            let (_, document) = api.post(query, json!({"members": [member("Ada"), member("Grace")]}));
            assert_eq!((&document["total_created"], &document["error_count"]), (&json!(1), &json!(errors)));
            assert_eq!(api.shows("a@x.example.org", "merge_fields")["FNAME"], "Ada", "the first one wins");
        }
    }

    #[test]
    fn sync_tags_replaces_what_was_there() {
        for (sync, expected) in [(false, vec!["one", "two"]), (true, vec!["two"])] {
            let api = Api::new();
            let body = |tag: &str| json!({"members": [{"email_address": "a@x.example.org", "status": "subscribed", "tags": [tag]}], "update_existing": true, "sync_tags": sync});
            api.post("", body("one"));
            api.post("", body("two"));
            let tags = api.shows("a@x.example.org", "tags");
            let names: Vec<&str> =
                tags.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
            assert_eq!(names, expected);
        }
    }

    #[test]
    fn more_than_five_hundred_are_refused_whole() {
        let api = Api::new();
        let members: Value =
            (0..501).map(|number| json!({"email_address": format!("{number}@x.example.org")})).collect();
        assert_eq!(refusal(&api.post("", json!({"members": members}))).0, 400);
        assert_eq!(refusal(&api.post("", json!({"update_existing": true}))).0, 400);
        assert!(api.sandbox.addresses().is_empty());
    }
}
