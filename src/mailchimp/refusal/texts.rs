//! Every text of Mailchimp's that we know, and what is done about it.

use crate::mailchimp::RefusalClass;
use crate::mailchimp::refusal::problem::Problem;

/// Titles that say all by themselves.
const TITLES: &[(&str, RefusalClass)] = &[
    ("Member Exists", RefusalClass::Exists),
    ("Member In Compliance State", RefusalClass::Compliance),
    ("Forgotten Email Not Subscribed", RefusalClass::Forgotten),
    ("Resource Not Found", RefusalClass::Missing),
];

/// Fragments of details and field messages, in lower case; the first that occurs decides.
///
/// They refine titles that say little (`Invalid Resource`, `Bad Request`) and stand alone in the errors of a bulk call.
const FRAGMENTS: &[(&str, RefusalClass)] = &[
    // Too many sign-ups of one address lately: passes by itself, in hours.
    ("signed up to a lot of lists", RefusalClass::Later),
    // Left, bounced or under review: only the person comes back.
    ("is in a compliance state", RefusalClass::Compliance),
    // Permanently deleted once, in both wordings.
    ("permanently deleted and cannot be re-imported", RefusalClass::Forgotten),
    ("was previously removed from this audience", RefusalClass::Forgotten),
    // A rename of somebody who is not subscribed; before the next ones, whose words are like it.
    ("you can only update email addresses for members with a status of", RefusalClass::Permanent),
    // The address, or a webhook's URL, is there already.
    ("is already a list member", RefusalClass::Exists),
    ("is already in this list with a status of", RefusalClass::Exists),
    ("can't set up multiple webhooks for one url", RefusalClass::Exists),
    // The audience is not what we remember.
    ("invalid interest id", RefusalClass::Schema),
    ("cannot have more than 60 interests per list", RefusalClass::Permanent),
    // The address.
    ("looks fake or invalid", RefusalClass::Permanent),
    ("please provide a valid email address", RefusalClass::Permanent),
    // The values.
    ("your merge fields were invalid", RefusalClass::Permanent),
    ("please enter a complete address", RefusalClass::Permanent),
    // One member's odd value, or our fault for all alike: a run of them stops the cycle.
    ("schema describes", RefusalClass::Unknown),
    ("did not match any of the schemas", RefusalClass::Unknown),
];

/// What is done about a problem.
pub fn class_of(problem: &Problem) -> RefusalClass {
    if let Some((_, class)) = TITLES.iter().find(|(title, _)| problem.is_titled(title)) {
        return *class;
    }
    if let Some((_, class)) = FRAGMENTS.iter().find(|(fragment, _)| problem.mentions(fragment)) {
        return *class;
    }
    // A complaint about a merge field, in whatever language: its name is a tag, not a translated word.
    let about_values = problem.fields.iter().any(|(field, _)| is_merge_tag(field));
    if about_values { RefusalClass::Permanent } else { RefusalClass::Unknown }
}

/// Whether our JSON was not understood: nobody's fault but ours.
pub(crate) fn is_about_our_request(problem: &Problem) -> bool {
    ["JSON Parse Exception", "JSON Parse Error"].iter().any(|title| problem.is_titled(title))
}

/// Whether the account as a whole is refused, under a status that does not say so.
pub(crate) fn is_about_the_account(problem: &Problem) -> bool {
    ["API Key Invalid", "API Key Missing", "User Disabled", "Wrong Datacenter", "Payment Required"]
        .iter()
        .any(|title| problem.is_titled(title))
}

fn is_merge_tag(field: &str) -> bool {
    !field.is_empty() && field.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}
