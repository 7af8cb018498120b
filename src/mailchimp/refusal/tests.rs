//! Every title and text of Mailchimp's errors that we know, and what becomes of each.

use serde_json::json;

use super::*;

const READ: Asked = Asked { method: Method::Get, subject: Subject::Contact };
const WRITE: Asked = Asked { method: Method::Patch, subject: Subject::Contact };

/// What becomes of an answer, in one word.
fn word(error: &AudienceError) -> String {
    match error {
        AudienceError::Refused(refusal) => format!("{:?}", refusal.class),
        AudienceError::Busy { .. } => "busy".to_owned(),
        AudienceError::Lost { .. } => "lost".to_owned(),
        AudienceError::Fatal { .. } => "fatal".to_owned(),
        AudienceError::Protocol { .. } => "protocol".to_owned(),
        AudienceError::Unreadable { .. } => "unreadable".to_owned(),
    }
}

fn answer(status: u16, content_type: &str, body: &str) -> Response {
    Response {
        status,
        content_type: content_type.to_owned(),
        date: None,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    }
}

fn problem(status: u16, title: &str, detail: &str) -> Response {
    let body = json!({
        "type": "https://mailchimp.com/developer/marketing/docs/errors/",
        "title": title, "status": status, "detail": detail, "instance": "1f2e",
    });
    answer(status, "application/problem+json; charset=utf-8", &body.to_string())
}

fn fields(detail: &str, errors: &[(&str, &str)]) -> Response {
    let errors: Vec<_> =
        errors.iter().map(|(field, message)| json!({"field": field, "message": message})).collect();
    let body = json!({"title": "Invalid Resource", "status": 400, "detail": detail, "errors": errors});
    answer(400, "application/problem+json", &body.to_string())
}

#[track_caller]
fn check(response: &Response, read: &str, write: &str) {
    for (asked, expected) in [(READ, read), (WRITE, write)] {
        let error = sort(asked, response);
        let body = String::from_utf8_lossy(&response.body);
        assert_eq!(word(&error), expected, "{:?} {} {body}", asked.method, response.status);
        assert!(!error.to_string().contains('@'), "{error}");
    }
}

#[test]
fn the_account_is_at_fault() {
    let cases = [
        (
            401,
            "API Key Invalid",
            "Your API key may be invalid, or you've attempted to access the wrong datacenter.",
        ),
        (401, "API Key Invalid", "This key is linked to a different datacenter"),
        (401, "API Key Missing", ""),
        (402, "Payment Required", ""),
        (400, "Payment Required", ""),
        (403, "Forbidden", ""),
        (403, "User Disabled", "This account has been deactivated."),
        (
            403,
            "User Disabled",
            "API Access has been disabled for this account. Please contact customer support.",
        ),
        (403, "Authorization Failure", "User does not have access to the requested operation"),
        (403, "Wrong Datacenter", ""),
        (503, "ComplianceRelated", "This method has been disabled."),
        (503, "Compliance Related", "This method has been disabled."),
    ];
    for (status, title, detail) in cases {
        check(&problem(status, title, detail), "fatal", "fatal");
    }
    check(&answer(401, "text/html", "<html>"), "fatal", "fatal");
    check(&answer(401, "", ""), "fatal", "fatal");
}

#[test]
fn mailchimp_is_busy() {
    let too_many = "You have exceeded the limit of 10 simultaneous connections.";
    let batches = "You have more than 500 pending webhooks. Please wait for some to complete.";
    check(&problem(429, "TooManyRequests", too_many), "busy", "busy");
    check(&problem(429, "Too Many Requests", too_many), "busy", "busy");
    check(&problem(429, "Too Many Requests", batches), "busy", "busy");
    check(&answer(429, "text/html", "<html>slow down</html>"), "busy", "busy");
    check(&answer(403, "", ""), "busy", "busy");
    check(&answer(403, "text/html", "<html>Access Denied</html>"), "busy", "busy");
    check(&answer(403, "application/problem+json", r#"{"title":"Forb"#), "busy", "busy");
}

#[test]
fn the_effect_of_a_write_is_unknown() {
    let deep = "A deep, internal error has occurred during the processing of your request.";
    check(&problem(500, "Internal Server Error", deep), "busy", "lost");
    check(&answer(502, "text/html", "<html>Bad Gateway</html>"), "busy", "lost");
    check(&answer(503, "text/html", "<html>Access Denied</html>"), "busy", "lost");
    check(&answer(504, "", ""), "busy", "lost");
    check(&answer(408, "", ""), "busy", "lost");
    check(&answer(400, "text/html", "<html>edge</html>"), "busy", "lost");
    // Not Mailchimp's own word for an absence: a gateway's, or that of a wrong base URL.
    check(&answer(404, "text/html", "<html>Not Found</html>"), "busy", "lost");
    check(&answer(404, "text/plain", "404 page not found"), "busy", "lost");
    check(&answer(404, "", ""), "busy", "lost");
}

#[test]
fn our_request_is_at_fault() {
    let method = "The requested method and resource are not compatible. See the Allow header.";
    check(&problem(405, "Method Not Allowed", method), "protocol", "protocol");
    check(&problem(414, "Resource Nesting Too Deep", ""), "protocol", "protocol");
    check(&problem(422, "InvalidMethodOverride", ""), "protocol", "protocol");
    check(&answer(426, "", ""), "protocol", "protocol");
    check(&answer(302, "text/html", "<html>"), "protocol", "protocol");
    check(&problem(400, "JSON Parse Exception", ""), "protocol", "protocol");
    check(&problem(400, "JSON Parse Error", ""), "protocol", "protocol");
}

#[test]
fn a_title_says_enough() {
    let cases = [
        (
            400,
            "Member Exists",
            "ada@alliance.test is already a list member. Use PUT to insert or update list members.",
            "Exists",
        ),
        (400, "Member Exists", "ada@alliance.test ist schon eingetragen.", "Exists"),
        (
            400,
            "Forgotten Email Not Subscribed",
            "ada@alliance.test was permanently deleted and cannot be re-imported. The contact must re-subscribe to get back on the list.",
            "Forgotten",
        ),
        (
            400,
            "Forgotten Email Not Subscribed",
            "x was previously removed from this audience. To rejoin, they'll need to sign up using a Mailchimp form.",
            "Forgotten",
        ),
        (
            400,
            "Member In Compliance State",
            "ada@alliance.test is in a compliance state due to unsubscribe, bounce, or compliance review and cannot be subscribed.",
            "Compliance",
        ),
        (400, "Bad Request", "", "Unknown"),
        (400, "Invalid Action", "", "Unknown"),
        (404, "Resource Not Found", "The requested resource could not be found.", "Missing"),
        (418, "I'm a teapot", "", "Unknown"),
    ];
    for (status, title, detail, expected) in cases {
        check(&problem(status, title, detail), expected, expected);
    }
    // The oldest recordings have no `type`, a cut answer has nothing.
    check(&answer(400, "application/json", r#"{"title":"Member Exists","status":400}"#), "Exists", "Exists");
    check(&answer(400, "application/json", r#"{"title":"Member Exis"#), "Unknown", "Unknown");
    check(&answer(400, "application/json", r#"{"title":"Member Exists","errors":null}"#), "Exists", "Exists");
    check(&answer(400, "", ""), "Unknown", "Unknown");
}

#[test]
fn an_invalid_resource_is_told_by_its_details() {
    let cases = [
        ("foo@example.com looks fake or invalid, please enter a real email address.", "Permanent"),
        ("Please provide a valid email address.", "Permanent"),
        (
            "ada@alliance.test has signed up to a lot of lists very recently; we're not allowing more signups for now",
            "Later",
        ),
        ("Invalid interest ID: 'ab12'.", "Schema"),
        ("Cannot have more than 60 interests per list (Across all categories)", "Permanent"),
        ("Data did not match any of the schemas described in anyOf.", "Unknown"),
        ("ada@alliance.test is in a compliance state due to unsubscribe", "Compliance"),
        ("ada@alliance.test was permanently deleted and cannot be re-imported.", "Forgotten"),
        ("ada@alliance.test was previously removed from this audience.", "Forgotten"),
        ("Die Ressource ist ungültig.", "Unknown"),
        ("", "Unknown"),
    ];
    for (detail, expected) in cases {
        check(&problem(400, "Invalid Resource", detail), expected, expected);
    }
}

#[test]
fn an_invalid_resource_is_told_by_its_fields() {
    let invalid =
        "The resource submitted could not be validated. For field-specific details, see the 'errors' array.";
    let merge = "Your merge fields were invalid.";
    let update = "This member's status is \"unsubscribed.\" You can only update email addresses for members with a status of \"subscribed.\"";
    let cases = [
        (merge, "LTV", "Please enter a number", "Permanent"),
        (merge, "ADDRESS", "Please enter a complete address", "Permanent"),
        (invalid, "GRADE", "Please enter a value", "Permanent"),
        (invalid, "MMERGE5", "Bitte gib einen Wert ein.", "Permanent"),
        ("Ungültige Angaben.", "GRADE", "Bitte gib einen Wert ein.", "Permanent"),
        (
            invalid,
            "email address",
            "\"a@b.test\" is already in this list with a status of \"Subscribed\".",
            "Exists",
        ),
        (
            invalid,
            "email address",
            "\"a@b.test\" is already in this list with a status of \"Unsubscribed\".",
            "Exists",
        ),
        (
            invalid,
            "email address",
            "\"a@b.test\" is already in this list with a status of \"Cleaned\".",
            "Exists",
        ),
        (
            invalid,
            "email address",
            "\"a@b.test\" is already in this list with a status of \"Deleted\".",
            "Exists",
        ),
        (
            invalid,
            "email address",
            "\"a@b.test\" is already in this list with a status of \"Non-Subscribed\".",
            "Exists",
        ),
        (invalid, "email address", update, "Permanent"),
        (
            invalid,
            "email address",
            &update.replace("unsubscribed.", "archived.").replace('\'', "\u{2019}"),
            "Permanent",
        ),
        (invalid, "email address", "Diese Adresse ist seltsam.", "Unknown"),
        (invalid, "interests", "Invalid interest ID: 'ab12'.", "Schema"),
        (invalid, "merge_fields", "Schema describes object, array found instead", "Unknown"),
        (invalid, "", "Data did not match any of the schemas described in anyOf.", "Unknown"),
        (invalid, "", "Sorry, you can't set up multiple WebHooks for one URL", "Exists"),
        (invalid, "email_address", "a@b.test has signed up to a lot of lists very recently", "Later"),
    ];
    for (detail, field, message, expected) in cases {
        check(&fields(detail, &[(field, message)]), expected, expected);
    }
    check(&fields(invalid, &[]), "Unknown", "Unknown");
}

#[test]
fn an_entry_of_a_bulk_answer_is_told_by_its_words() {
    let cases = [
        (
            "a@b.test has signed up to a lot of lists very recently; we're not allowing more signups for now",
            "",
            "",
            RefusalClass::Later,
        ),
        ("a@b.test is already a list member, do you want to update?", "", "", RefusalClass::Exists),
        ("a@b.test is in a compliance state due to unsubscribe", "", "", RefusalClass::Compliance),
        ("a@b.test was permanently deleted and cannot be re-imported.", "", "", RefusalClass::Forgotten),
        (
            "a@b.test looks fake or invalid, please enter a real email address.",
            "",
            "",
            RefusalClass::Permanent,
        ),
        ("Your merge fields were invalid.", "LTV", "Please enter a number", RefusalClass::Permanent),
        ("", "LTV", "Bitte gib eine Zahl ein.", RefusalClass::Permanent),
        ("Etwas ging schief.", "", "", RefusalClass::Unknown),
    ];
    for (error, field, message, expected) in cases {
        let refusal = sort_entry(error, field, message);
        assert_eq!(refusal.class, expected, "{error} {field} {message}");
        assert!(!refusal.said.contains('@'), "{}", refusal.said);
    }
}

#[test]
fn a_404_about_the_audience_is_fatal() {
    let asked = Asked { method: Method::Get, subject: Subject::Audience };
    let gone = problem(404, "Resource Not Found", "The requested resource could not be found.");
    assert_eq!(word(&sort(asked, &gone)), "fatal");
    assert_eq!(word(&sort(asked, &answer(404, "text/html", "<html>"))), "busy");
}

#[test]
fn a_405_about_archiving_concerns_the_contact() {
    let asked = Asked { method: Method::Delete, subject: Subject::Contact };
    let said =
        "This list member cannot be removed. Can not archive a contact that is bounced, pending or archived";
    assert_eq!(word(&sort(asked, &problem(405, "Method Not Allowed", said))), "Unknown");
}

#[test]
fn a_request_without_an_answer_is_asked_again_or_lost() {
    let cause = || Box::new(std::io::Error::other("reset"));
    let cases = [
        (TransportError::Connect(cause()), "busy", "busy"),
        (TransportError::Broken(cause()), "busy", "lost"),
        (TransportError::TimedOut(std::time::Duration::from_secs(120)), "busy", "lost"),
    ];
    for (error, read, write) in cases {
        assert_eq!(word(&sort_unsent(READ, &error)), read, "{error}");
        assert_eq!(word(&sort_unsent(WRITE, &error)), write, "{error}");
    }
    let said = sort_unsent(READ, &TransportError::Connect(cause())).to_string();
    assert!(said.contains("cannot connect to Mailchimp: reset"), "{said}");
}
