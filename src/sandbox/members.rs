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
use crate::sandbox::member_body;
use crate::sandbox::member_body::Statuses;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;
use crate::sandbox::rename::rename;
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

fn is_archived(world: &World, slot: u32) -> bool {
    world.audience.store.get(slot).is_some_and(|member| member.status == Status::Archived)
}

fn shown(world: &World, slot: u32) -> Result<Answer, Problem> {
    let member = world.audience.store.get(slot).ok_or_else(Problem::not_found)?;
    Ok(Answer::Bytes(render::member_bytes(world, member, &Columns::all())))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use crate::mailchimp::transport::Method;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::EVERYBODY;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;
    use crate::sandbox::testing::refusal;

    #[test]
    fn a_new_member_shows_what_the_recorded_answers_show() {
        let api = Api::new();
        let body = json!({
            "email_address": "Ada@Town.example.org", "status": "subscribed", "ip_signup": "192.0.2.9",
            "timestamp_signup": "2026-02-01T08:00:00+00:00", "tags": ["Donor"],
        });
        let (status, member) = api.post("/members", body);
        assert_eq!(status, 200);
        assert_eq!(member["id"], format!("{:x}", md5::compute("ada@town.example.org")));
        assert_eq!(member["email_address"], "Ada@Town.example.org");
        assert_eq!(member["source"], "API - Generic");
        assert_eq!(member["timestamp_opt"], "2026-03-01T12:00:00+00:00");
        assert_eq!(member["timestamp_signup"], "2026-02-01T08:00:00+00:00");
        assert_eq!(member["merge_fields"], json!({"FNAME": "", "LNAME": "", "ADDRESS": "", "PHONE": ""}));
        assert_eq!(member["tags"][0]["name"], "Donor");
        assert!(member.get("interests").is_none(), "no interests, no key");
        assert!(member.get("unsubscribe_reason").is_none(), "only of those who left");
        for (key, digits) in [("contact_id", 32), ("unique_email_id", 10)] {
            assert_eq!(member[key].as_str().unwrap().len(), digits, "{key}");
        }
    }

    #[test]
    fn creation_is_refused_for_what_is_wrong_with_it() {
        let api = Api::with_everybody(SandboxOptions::default());
        let check = |email: &str, rest: serde_json::Value, title: &str, sentence: &str| {
            let mut body = json!({"email_address": email, "status": "subscribed"});
            body.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
            let expected = (400, title.to_owned(), sentence.to_owned());
            assert_eq!(refusal(&api.post("/members", body)), expected, "{email}");
        };
        let invalid = "Invalid Resource";
        let fake = "foo@example.com looks fake or invalid, please enter a real email address.";
        check("foo@example.com", json!({}), invalid, fake);
        check("nonsense", json!({}), invalid, "Please provide a valid email address.");
        check(" ", json!({}), invalid, "This value should not be blank.");
        let exists = "subscribed@town.example.org is already a list member. \
                      Use PUT to insert or update list members.";
        check(&address("subscribed"), json!({}), "Member Exists", exists);
        let forgotten = "forgotten@town.example.org was permanently deleted and cannot be re-imported. \
                         The contact must re-subscribe to get back on the list.";
        check(&address("forgotten"), json!({}), "Forgotten Email Not Subscribed", forgotten);
        let new = &address("new");
        check(new, json!({"merge_fields": []}), invalid, "Schema describes object, array found instead");
        check(new, json!({"interests": []}), invalid, "Schema describes object, array found instead");
        check(new, json!({"interests": {"abc": true}}), invalid, "Invalid interest ID: 'abc'.");
        check(new, json!({"vip": "yes"}), invalid, "Schema describes boolean, string found instead");
        check(new, json!({"ip_signup": "nowhere"}), invalid, "Please enter a valid IP address.");
        check(new, json!({"timestamp_opt": "soon"}), invalid, "This value is not a valid datetime.");
        let accepted = "Data presented is not one of the accepted values: \
                        subscribed, unsubscribed, cleaned, pending, transactional.";
        check(new, json!({"status": "here"}), invalid, accepted);
        assert_eq!(api.sandbox.member(new), None, "nothing of it was stored");
    }

    #[test]
    fn a_member_is_found_by_hash_address_and_contact_id() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("subscribed");
        let contact_id = api.shows(&email, "contact_id");
        for name in
            [&email.to_uppercase(), contact_id.as_str().unwrap(), &member_path(&email)["/members/".len()..]]
        {
            let (status, member) = api.get(&format!("/members/{name}?fields=email_address"));
            assert_eq!((status, member), (200, json!({"email_address": email})), "{name}");
        }
        assert_eq!(api.get("/members/0123").0, 404);
        assert_eq!(api.get(&format!("/members/{email}/tags")).0, 404, "not documented for tags");
    }

    #[test]
    fn archiving_depends_on_the_status() {
        let api = Api::with_everybody(SandboxOptions::default());
        for name in EVERYBODY {
            let expected = match name {
                "subscribed" | "unsubscribed" | "left" | "complained" | "transactional" => 204,
                "forgotten" => 404,
                _ => 405,
            };
            let (status, document) = api.call(Method::Delete, &member_path(&address(name)), None);
            assert_eq!(status, expected, "{name}");
            if status == 405 {
                let detail = "This list member cannot be removed. \
                              Can not archive a contact that is bounced, pending or archived";
                assert_eq!(document["detail"], detail);
            }
        }
        assert_eq!(api.shows(&address("subscribed"), "status"), "archived");
        assert_eq!(api.shows(&address("subscribed"), "merge_fields")["FNAME"], "Ada");
    }

    #[test]
    fn a_permanent_deletion_cannot_be_undone_by_api() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("subscribed");
        let delete = format!("{}/actions/delete-permanent", member_path(&email));
        assert_eq!(api.call(Method::Post, &delete, None).0, 204);
        assert_eq!(api.call(Method::Post, &delete, None).0, 404);
        let answer = api.put(&email, json!({"email_address": email, "status": "subscribed"}));
        assert_eq!(refusal(&answer).1, "Forgotten Email Not Subscribed");
        api.sandbox.person().subscribe_by_form(&email, &crate::sandbox::FormEntry::new()).unwrap();
        assert_eq!(api.shows(&email, "status"), "subscribed");
    }

    #[test]
    fn put_to_an_unknown_hash_creates_what_the_body_says() {
        let api = Api::with_everybody(SandboxOptions::default());
        let elsewhere = address("elsewhere");
        let body = json!({"email_address": address("new"), "status_if_new": "subscribed"});
        let (status, member) = api.put(&elsewhere, body);
        assert_eq!((status, member["email_address"].as_str()), (200, Some(address("new").as_str())));
        let body = json!({"email_address": address("subscribed"), "status_if_new": "subscribed"});
        assert_eq!(refusal(&api.put(&elsewhere, body)).1, "Member Exists");
        assert_eq!(refusal(&api.put(&elsewhere, json!({"email_address": address("other")}))).0, 400);
        assert_eq!(
            api.put(&address("subscribed"), json!({"vip": true})).0,
            200,
            "without both on an existing one"
        );
    }

    #[test]
    fn last_changed_moves_for_changes_and_for_nothing_else() {
        let api = Api::with_everybody(SandboxOptions::default());
        let ids = api.interests("Topics", "checkboxes", &["Finance"]);
        let email = address("subscribed");
        let tags = format!("{}/tags", member_path(&email));
        let tag = |status: &str| json!({"tags": [{"name": "x", "status": status}]});
        let mut last = api.shows(&email, "last_changed");
        for (below, body, moves) in [
            ("", json!({"merge_fields": {"FNAME": "Grace"}}), true),
            ("", json!({"merge_fields": {"FNAME": "Grace"}}), false),
            ("", json!({"merge_fields": {"NOSUCH": "Grace"}}), false),
            ("", json!({"interests": {ids[0].clone(): true}}), true),
            ("", json!({"interests": {ids[0].clone(): true}}), false),
            (tags.as_str(), tag("active"), true),
            (tags.as_str(), tag("active"), true),
            (tags.as_str(), tag("inactive"), true),
            (tags.as_str(), tag("inactive"), false),
            (tags.as_str(), json!({"tags": []}), false),
            ("", json!({"status": "unsubscribed"}), true),
        ] {
            api.clock.advance(Duration::from_secs(5));
            match below {
                "" => assert_eq!(api.patch(&email, body.clone()).0, 200),
                tags => assert_eq!(api.post(tags, body.clone()).0, 204),
            }
            let now = api.shows(&email, "last_changed");
            assert_eq!(now != last, moves, "{body}");
            last = now;
        }
    }

    #[test]
    fn tags_may_also_leave_last_changed_alone() {
        let api = Api::with_everybody(SandboxOptions {
            tags_move_last_changed: false,
            ..SandboxOptions::default()
        });
        let email = address("subscribed");
        let before = api.shows(&email, "last_changed");
        api.post(
            &format!("{}/tags", member_path(&email)),
            json!({"tags": [{"name": "x", "status": "active"}]}),
        );
        assert_eq!(api.shows(&email, "last_changed"), before);
        assert_eq!(api.shows(&email, "tags_count"), 1);
    }

    #[test]
    fn some_old_members_have_ids_of_their_own() {
        let api = Api::with(SandboxOptions { odd_id_every: Some(2), ..SandboxOptions::default() });
        api.sandbox.populate(10);
        let odd = api.sandbox.addresses().into_iter().filter(|email| api.get(&member_path(email)).0 == 404);
        assert_eq!(odd.count(), 5);
    }
}
