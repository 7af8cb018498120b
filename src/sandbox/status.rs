//! The status machine: which status may follow which when the API asks.

use crate::sandbox::audience::World;
use crate::sandbox::member::Compliance;
use crate::sandbox::member::Member;
use crate::sandbox::member::Status;
use crate::sandbox::problem::Problem;

/// What the API writes as the reason of an opt-out of its own.
pub(crate) const BY_ADMIN: &str = "N/A (Unsubscribed by admin)";

/// Gives a new member the status asked for.
///
/// 1. Addresses under the sign-up throttle are refused.
/// 2. `subscribed` becomes `pending` in an account under review.
/// 3. `pending` mails the person.
pub(crate) fn begin(world: &mut World, member: &mut Member, asked: Status, now: i64) -> Result<(), Problem> {
    if raises_consent(asked) {
        refuse_throttled(world, &member.email)?; // 1
    }
    member.timestamp_opt = Some(now);
    settle(world, member, asked);
    Ok(())
}

/// Moves an existing member to the status asked for.
///
/// 1. The same status again does nothing, and mails nobody.
/// 2. Who left with their own click, complained or bounced is not subscribed by API, archived meanwhile or not.
/// 3. Coming back from the archive is a sign-up: the throttle holds, and `timestamp_opt` is new.
pub(crate) fn change(world: &mut World, member: &mut Member, asked: Status, now: i64) -> Result<(), Problem> {
    if member.status == asked {
        return Ok(()); // 1
    }
    if asked == Status::Subscribed && member.compliance.is_some() {
        return Err(Problem::compliance(&member.email)); // 2
    }
    if member.status == Status::Archived && raises_consent(asked) {
        refuse_throttled(world, &member.email)?; // 3
        member.timestamp_opt = Some(now);
        member.source = "API - Generic";
    }
    settle(world, member, asked);
    Ok(())
}

fn settle(world: &mut World, member: &mut Member, asked: Status) {
    let asked = match asked {
        Status::Subscribed if world.options.under_review => Status::Pending,
        other => other,
    };
    match asked {
        Status::Pending if member.status != Status::Pending => world.mail_confirmation(&member.email),
        Status::Unsubscribed => member.unsubscribe_reason = BY_ADMIN.to_owned(),
        Status::Cleaned => member.compliance = Some(Compliance::Bounced),
        Status::Subscribed | Status::Pending | Status::Transactional | Status::Archived => (),
    }
    member.status = asked;
}

fn raises_consent(asked: Status) -> bool {
    matches!(asked, Status::Subscribed | Status::Pending)
}

/// Addresses that sign up to many lists are refused for a while.
pub(crate) fn refuse_throttled(world: &World, email: &str) -> Result<(), Problem> {
    if world.audience.throttled.contains(&email.to_lowercase()) {
        return Err(Problem::many_lists(email));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::mailchimp::transport::Method;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::START;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;
    use crate::sandbox::testing::refusal;

    /// Sends a status to the member in a situation: the status after it, or the title of the refusal.
    fn check(name: &str, method: Method, asked: &str, expected: &str) {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address(name);
        let body = json!({"status": asked, "email_address": email});
        let below = if method == Method::Post { "/members".to_owned() } else { member_path(&email) };
        let answer = api.call(method, &below, Some(body));
        let found = match answer.0 {
            200 => answer.1["status"].as_str().unwrap().to_owned(),
            _ => refusal(&answer).1,
        };
        assert_eq!(found, expected, "{name} → {asked} by {method:?}");
    }

    #[test]
    fn each_status_follows_only_where_the_real_one_lets_it() {
        const COMPLIANCE: &str = "Member In Compliance State";
        const EXISTS: &str = "Member Exists";
        const FORGOTTEN: &str = "Forgotten Email Not Subscribed";
        for (name, asked, put, post) in [
            ("nobody", "subscribed", "subscribed", "subscribed"),
            ("nobody", "unsubscribed", "unsubscribed", "unsubscribed"),
            ("nobody", "pending", "pending", "pending"),
            ("nobody", "cleaned", "cleaned", "cleaned"),
            ("nobody", "transactional", "transactional", "transactional"),
            ("subscribed", "unsubscribed", "unsubscribed", EXISTS),
            ("subscribed", "pending", "pending", EXISTS),
            ("subscribed", "cleaned", "cleaned", EXISTS),
            ("unsubscribed", "subscribed", "subscribed", EXISTS),
            ("unsubscribed", "pending", "pending", EXISTS),
            ("left", "subscribed", COMPLIANCE, EXISTS),
            ("left", "pending", "pending", EXISTS),
            ("left", "unsubscribed", "unsubscribed", EXISTS),
            ("complained", "subscribed", COMPLIANCE, EXISTS),
            ("complained", "pending", "pending", EXISTS),
            ("bounced", "subscribed", COMPLIANCE, EXISTS),
            ("bounced", "pending", "pending", EXISTS),
            ("bounced", "unsubscribed", "unsubscribed", EXISTS),
            ("archived", "subscribed", "subscribed", "subscribed"),
            ("archived", "pending", "pending", "pending"),
            ("archived", "unsubscribed", "unsubscribed", "unsubscribed"),
            ("left-archived", "subscribed", COMPLIANCE, COMPLIANCE),
            ("left-archived", "pending", "pending", "pending"),
            ("pending", "subscribed", "subscribed", EXISTS),
            ("pending", "unsubscribed", "unsubscribed", EXISTS),
            ("transactional", "subscribed", "subscribed", EXISTS),
            ("forgotten", "subscribed", FORGOTTEN, FORGOTTEN),
            ("forgotten", "pending", FORGOTTEN, FORGOTTEN),
            ("subscribed", "archived", "Invalid Resource", "Invalid Resource"),
        ] {
            check(name, Method::Put, asked, put);
            check(name, Method::Post, asked, post);
        }
    }

    #[test]
    fn patch_follows_the_same_rules_and_knows_no_transactional() {
        for (name, asked, expected) in [
            ("nobody", "subscribed", "Resource Not Found"),
            ("subscribed", "unsubscribed", "unsubscribed"),
            ("unsubscribed", "subscribed", "subscribed"),
            ("left", "subscribed", "Member In Compliance State"),
            ("left", "pending", "pending"),
            ("archived", "subscribed", "subscribed"),
            ("subscribed", "transactional", "Invalid Resource"),
        ] {
            check(name, Method::Patch, asked, expected);
        }
    }

    #[test]
    fn pending_mails_the_person_once_and_repeating_it_mails_nobody() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("left");
        for _ in 0..3 {
            api.patch(&email, json!({"status": "pending"}));
        }
        assert_eq!(api.sandbox.confirmation_mails(&email), 1);
        assert_eq!(
            refusal(&api.patch(&email, json!({"status": "subscribed"}))).1,
            "Member In Compliance State"
        );
        api.sandbox.person().confirm(&email).unwrap();
        assert_eq!(api.shows(&email, "status"), "subscribed");
        assert_eq!(api.shows(&email, "timestamp_opt"), "2026-03-01T12:01:00+00:00");
    }

    #[test]
    fn a_double_opt_in_audience_mails_nobody_whom_the_api_subscribes() {
        let api = Api::with(SandboxOptions { double_optin: true, ..SandboxOptions::default() });
        let email = address("new");
        let (_, member) = api.post("/members", json!({"email_address": email, "status": "subscribed"}));
        assert_eq!(
            (member["status"].as_str(), api.sandbox.confirmation_mails(&email)),
            (Some("subscribed"), 0)
        );
    }

    #[test]
    fn an_account_under_review_makes_subscribed_pending() {
        let api = Api::with(SandboxOptions { under_review: true, ..SandboxOptions::default() });
        let email = address("new");
        let (_, member) = api.post("/members", json!({"email_address": email, "status": "subscribed"}));
        assert_eq!((member["status"].as_str(), api.sandbox.confirmation_mails(&email)), (Some("pending"), 1));
    }

    #[test]
    fn coming_back_from_the_archive_is_a_new_opt_in_and_keeps_what_was_there() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("archived");
        let (status, member) =
            api.put(&email, json!({"status_if_new": "subscribed", "email_address": email}));
        assert_eq!((status, member["status"].as_str()), (200, Some("archived")), "it counts as existing");
        let (_, member) = api.put(&email, json!({"status": "subscribed"}));
        assert_eq!(member["timestamp_opt"], "2026-03-01T12:01:00+00:00");
        assert_eq!(member["merge_fields"]["FNAME"], "Ada");
    }

    #[test]
    fn the_api_subscribing_again_moves_no_timestamp_opt() {
        let api = Api::with_everybody(SandboxOptions::default());
        let (_, member) = api.patch(&address("unsubscribed"), json!({"status": "subscribed"}));
        assert_eq!(member["timestamp_opt"], START.replace('Z', "+00:00"));
        assert_eq!(member["last_changed"], "2026-03-01T12:01:00+00:00");
    }

    #[test]
    fn an_opt_out_by_api_says_so_and_other_writes_leave_it_alone() {
        let api = Api::with_everybody(SandboxOptions::default());
        let email = address("subscribed");
        let (_, member) = api.put(&email, json!({"status": "unsubscribed"}));
        assert_eq!(member["unsubscribe_reason"], "N/A (Unsubscribed by admin)");
        let (status, member) = api.put(&email, json!({"merge_fields": {"FNAME": "Grace"}}));
        assert_eq!((status, member["status"].as_str()), (200, Some("unsubscribed")));
    }

    #[test]
    fn an_address_that_signs_up_too_often_is_refused_until_it_calms_down() {
        let api = Api::with_everybody(SandboxOptions::default());
        let text = "has signed up to a lot of lists very recently; we're not allowing more signups for now";
        for name in ["nobody", "archived"] {
            let email = address(name);
            api.sandbox.faults().throttle(&email);
            let answer = api.put(&email, json!({"status": "subscribed", "email_address": email}));
            assert_eq!(refusal(&answer), (400, "Invalid Resource".to_owned(), format!("{email} {text}")));
            api.sandbox.faults().unthrottle(&email);
            assert_eq!(api.put(&email, json!({"status": "subscribed", "email_address": email})).0, 200);
        }
    }
}
