//! What people and staff do on either side, from the words of a step.

use rosterd::sandbox::FormEntry;

use crate::audience::CATEGORIES;
use crate::stage::Stage;

/// `In Mailchimp …`
pub(crate) fn in_mailchimp(stage: &mut Stage, words: &str) {
    if let Some(words) = words.strip_prefix("staff ") {
        return staff_in_mailchimp(stage, words);
    }
    let (email, acts) = words.split_once(' ').expect("who does what");
    stage.name(email);
    let mut entry = FormEntry::new();
    let mut deed = "edits";
    for clause in acts.split(" and ") {
        entry = match split(clause) {
            ("sets", tag, value) => entry.field(tag, value),
            ("empties", tag, _) => entry.field(tag, ""),
            ("ticks", interest, _) => entry.tick(interest),
            ("unticks", interest, _) => entry.clear(interest),
            _ => {
                deed = clause;
                entry
            }
        };
    }
    let person = stage.audience.person();
    let done = match deed {
        "edits" => person.edit_preferences(email, &entry),
        "signs up by the form" => person.subscribe_by_form(email, &entry),
        "confirms" => person.confirm(email),
        "unsubscribes" => person.unsubscribe(email),
        "complains of spam" => person.complain(email),
        "bounces" => person.bounce(email),
        other => {
            let to = other.strip_prefix("changes address to ").unwrap_or_else(|| panic!("nobody {other}"));
            stage.name(to);
            person.change_address(email, to)
        }
    };
    done.unwrap_or_else(|error| panic!("{words}: {error}"));
}

fn staff_in_mailchimp(stage: &mut Stage, words: &str) {
    let email = words.split(' ').find(|word| word.contains('@')).expect("an address");
    stage.name(email);
    let person = stage.audience.person();
    let done = match words.replace(email, "…").as_str() {
        "archive …" => person.staff_archive(email),
        "bring … back from the archive" => person.staff_unarchive(email),
        "subscribe … again" => person.staff_resubscribe(email),
        "unsubscribe …" => person.staff_unsubscribe(email),
        "delete … for good" => person.staff_delete_permanently(email),
        "add …" => person.staff_add(email, &FormEntry::new()),
        other => match other.strip_prefix("tag … as ") {
            Some(tag) => person.staff_add_tag(email, tag),
            None => panic!("staff in Mailchimp do not {other}"),
        },
    };
    done.unwrap_or_else(|error| panic!("{words}: {error}"));
}

/// `On the website …`, or `On the website at HH:MM …`
pub(crate) fn on_the_website(stage: &mut Stage, words: &str) {
    let (time, words) = match words.strip_prefix("at ").and_then(|rest| rest.split_once(' ')) {
        Some((time, words)) => (Some(time), words),
        None => (None, words),
    };
    if let Some(words) = words.strip_prefix("staff ") {
        return staff_on_the_website(stage, words);
    }
    let at = time.map_or_else(|| stage.clock.now(), |time| stage.today_at(time));
    let (email, acts) = words.split_once(' ').expect("who does what");
    stage.name(email);
    let mut email = email.to_owned();
    for clause in acts.split(" and ") {
        email = one_on_the_website(stage, email, clause, at);
    }
    if time.is_some() {
        stage.register.date(stage.register.newest(&email), &at.to_string());
    }
}

/// Does one thing; answers the address that the person has afterwards.
fn one_on_the_website(stage: &mut Stage, email: String, clause: &str, at: jiff::Timestamp) -> String {
    let register = &stage.register;
    match split(clause) {
        ("registers", _, _) => {
            register.register(&email, at);
            stage.opts_in(&email);
        }
        ("subscribes", "again", _) => {
            register.stand(&email, "subscribed", at);
            stage.opts_in(&email);
        }
        ("unsubscribes", _, _) => register.stand(&email, "unsubscribed", at),
        ("sets", column, value) => register.change(register.newest(&email), column, value),
        ("empties", column, _) => register.change(register.newest(&email), column, ""),
        ("ticks", interest, _) => register.tick(register.newest(&email), dimension_of(interest), interest),
        ("unticks", interest, _) => register.untick(register.newest(&email), interest),
        ("changes", "address", to) => {
            register.rename(&email, to);
            stage.name(to);
            return to.to_owned();
        }
        _ => panic!("nobody {clause} on the website"),
    }
    email
}

fn staff_on_the_website(stage: &mut Stage, words: &str) {
    let now = stage.clock.now();
    match words.split(' ').collect::<Vec<_>>().as_slice() {
        ["remove", email] => stage.register.remove(email),
        ["remove", "the", "newest", "row", "of", email] => stage.register.remove_newest(email),
        ["empty", "the", "register"] => stage.register.empty(),
        ["unsubscribe", "the", "first", count, "members"] => {
            stage.register.unsubscribe_first(count.parse().unwrap(), now);
        }
        ["set", email, "to", status, "without", "a", "time"] => {
            let id = stage.register.newest(email);
            stage.register.change(id, "subscription", status);
        }
        _ => panic!("staff on the website do not {words}"),
    }
}

/// A clause as a verb, what it is about, and to what it comes.
fn split(clause: &str) -> (&str, &str, &str) {
    let (verb, rest) = clause.split_once(' ').unwrap_or((clause, ""));
    let (what, to) = rest.split_once(" to ").unwrap_or((rest, ""));
    (verb, what, to)
}

fn dimension_of(interest: &str) -> &'static str {
    let category = CATEGORIES.iter().find(|(_, _, names)| names.contains(&interest));
    category.unwrap_or_else(|| panic!("there is no interest {interest}")).0
}
