//! The form-encoded bodies of webhooks.

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde_json::Value;

use crate::sandbox::audience::World;
use crate::sandbox::member::Member;
use crate::sandbox::moment::fired_at;

/// What stays as it is in a form: the blank is written as a plus afterwards.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b' ');
/// The campaign whose link was followed, or whose mail bounced.
const CAMPAIGN: &str = "4fb0e1a2c3";

/// A body in the making: keys and values in order.
struct Form(Vec<(String, String)>);

impl Form {
    fn new(event: &str, now: i64) -> Self {
        Self(vec![("type".to_owned(), event.to_owned()), ("fired_at".to_owned(), fired_at(now))])
    }

    fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.push((format!("data{key}"), value.into()));
        self
    }

    fn write(self) -> String {
        let encode = |text: &str| utf8_percent_encode(text, FORM).to_string().replace(' ', "+");
        let pairs = self.0.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value)));
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// `subscribe`.
pub(crate) fn subscribe(world: &World, member: &Member, now: i64) -> String {
    let form = contact(Form::new("subscribe", now), world, member).with("[ip_signup]", &member.ip_signup);
    merges(form, world, member).write()
}

/// `profile`: like `subscribe`, without `ip_signup`.
pub(crate) fn profile(world: &World, member: &Member, now: i64) -> String {
    merges(contact(Form::new("profile", now), world, member), world, member).write()
}

/// `unsubscribe`, for a person who left or was archived.
pub(crate) fn unsubscribe(world: &World, member: &Member, action: &str, reason: &str, now: i64) -> String {
    let form = Form::new("unsubscribe", now).with("[action]", action).with("[reason]", reason);
    let form = contact(form, world, member).with("[campaign_id]", CAMPAIGN);
    merges(form, world, member).write()
}

/// `upemail`.
pub(crate) fn upemail(world: &World, before: &Member, after: &Member, now: i64) -> String {
    Form::new("upemail", now)
        .with("[list_id]", &world.audience.id)
        .with("[new_id]", &after.unique_email_id)
        .with("[new_email]", &after.email)
        .with("[old_email]", &before.email)
        .write()
}

/// `cleaned`.
pub(crate) fn cleaned(world: &World, member: &Member, now: i64) -> String {
    Form::new("cleaned", now)
        .with("[list_id]", &world.audience.id)
        .with("[campaign_id]", CAMPAIGN)
        .with("[reason]", "hard")
        .with("[email]", &member.email)
        .write()
}

fn contact(form: Form, world: &World, member: &Member) -> Form {
    form.with("[id]", &member.unique_email_id)
        .with("[email]", &member.email)
        .with("[email_type]", &member.email_type)
        .with("[ip_opt]", &member.ip_opt)
        .with("[web_id]", member.web_id.to_string())
        .with("[list_id]", &world.audience.id)
}

fn merges(form: Form, world: &World, member: &Member) -> Form {
    let mut form = form.with("[merges][EMAIL]", &member.email);
    for field in &world.audience.fields {
        let key = format!("[merges][{}]", field.tag);
        form = match member.field(field.merge_id) {
            Some(Value::Object(address)) => address.iter().fold(form, |form, (part, value)| {
                form.with(&format!("{key}[{part}]"), value.as_str().unwrap_or_default())
            }),
            Some(Value::String(text)) => form.with(&key, text),
            Some(value) => form.with(&key, value.to_string()),
            None => form.with(&key, ""),
        };
    }
    groupings(form, world, member)
}

/// Interests by name: once as one list, once by category.
fn groupings(mut form: Form, world: &World, member: &Member) -> Form {
    if world.audience.categories.is_empty() {
        return form;
    }
    let names = |category: Option<&str>| -> Vec<&str> {
        let interests = world.audience.interests.iter();
        let ticked = interests.filter(|interest| member.has_interest(interest.slot));
        let wanted = ticked.filter(|interest| category.is_none_or(|id| interest.category_id == id));
        wanted.map(|interest| interest.name.as_str()).collect()
    };
    form = form.with("[merges][INTERESTS]", names(None).join(", "));
    for (index, category) in world.audience.categories.iter().enumerate() {
        let key = format!("[merges][GROUPINGS][{index}]");
        form = form
            .with(&format!("{key}[id]"), (index + 1).to_string())
            .with(&format!("{key}[unique_id]"), &category.id)
            .with(&format!("{key}[name]"), &category.title)
            .with(&format!("{key}[groups]"), names(Some(&category.id)).join(", "));
    }
    form
}
