//! A member's new address.

use crate::sandbox::audience::World;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::member::subscriber_hash;
use crate::sandbox::member_body;
use crate::sandbox::problem::Problem;

/// Gives a member another address.
///
/// 1. Writing the same address in another case is no new address.
/// 2. Only subscribed members are renamed.
/// 3. The new address must be nobody's, archived ones included.
pub(crate) fn rename(world: &mut World, member: &mut Member, email: &str) -> Result<(), Problem> {
    if email.trim().to_lowercase() == member.key() {
        email.trim().clone_into(&mut member.email); // 1
        return Ok(());
    }
    if member.status != Status::Subscribed {
        let message = format!(
            "This member's status is \"{}.\" You can only update email addresses for members \
             with a status of \"subscribed.\"",
            member.status.as_str()
        );
        return Err(Problem::field("email address", message)); // 2
    }
    let email = member_body::checked_address(world, email)?;
    if let Some(other) = world.audience.store.by_email(&email).and_then(|slot| world.audience.store.get(slot))
    {
        let status = other.status.in_collision();
        let message = format!("\"{email}\" is already in this list with a status of \"{status}\".");
        return Err(Problem::field("email address", message)); // 3
    }
    member.id = subscriber_hash(&email);
    member.unique_email_id = world.ids.hex(10);
    member.email = email;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;

    #[test]
    fn a_new_address_changes_the_ids_but_not_the_contact() {
        let api = Api::with_everybody(SandboxOptions::default());
        let (old, new) = (address("subscribed"), address("renamed"));
        let before = api.sandbox.member(&old).unwrap();
        let (status, after) = api.patch(&old, json!({"email_address": new}));
        assert_eq!(status, 200);
        for key in ["contact_id", "merge_fields", "timestamp_opt", "tags", "web_id"] {
            assert_eq!(after[key], before[key], "{key} stays");
        }
        for key in ["id", "unique_email_id", "last_changed"] {
            assert_ne!(after[key], before[key], "{key} changes");
        }
        assert_eq!(api.get(&member_path(&old)).0, 404);
        let (_, cased) = api.patch(&new, json!({"email_address": new.to_uppercase()}));
        assert_eq!((&cased["id"], &cased["unique_email_id"]), (&after["id"], &after["unique_email_id"]));
    }

    #[test]
    fn a_taken_address_is_refused_with_the_status_of_who_has_it() {
        let api = Api::with_everybody(SandboxOptions::default());
        for (name, shown) in [
            ("unsubscribed", "Unsubscribed"),
            ("bounced", "Cleaned"),
            ("archived", "Deleted"),
            ("transactional", "Non-Subscribed"),
        ] {
            let taken = address(name);
            let (status, document) = api.patch(&address("subscribed"), json!({"email_address": taken}));
            let message = format!("\"{taken}\" is already in this list with a status of \"{shown}\".");
            assert_eq!(status, 400);
            assert_eq!(document["errors"], json!([{"field": "email address", "message": message}]));
        }
    }

    #[test]
    fn only_subscribed_members_get_a_new_address() {
        let api = Api::with_everybody(SandboxOptions::default());
        for (name, shown) in [
            ("left", "unsubscribed"),
            ("bounced", "cleaned"),
            ("archived", "archived"),
            ("pending", "pending"),
        ] {
            let (status, document) = api.patch(&address(name), json!({"email_address": address("new")}));
            let message = format!(
                "This member's status is \"{shown}.\" You can only update email addresses for members \
                 with a status of \"subscribed.\""
            );
            assert_eq!((status, &document["errors"][0]["message"]), (400, &json!(message)));
        }
    }
}
