//! `/lists/{list_id}/webhooks`.

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::hooks::EVENTS;
use crate::sandbox::hooks::Hook;
use crate::sandbox::hooks::SOURCES;
use crate::sandbox::problem::Problem;

/// `GET …/webhooks`.
pub(crate) fn list(world: &mut World, _: &Call) -> Result<Answer, Problem> {
    let webhooks: Vec<Value> = world.hooks.hooks.iter().map(|hook| document(world, hook)).collect();
    let total = webhooks.len();
    let list_id = &world.audience.id;
    Ok(Answer::Json(json!({"webhooks": webhooks, "list_id": list_id, "total_items": total, "_links": []})))
}

/// `POST …/webhooks`: the only answer that shows the secret.
pub(crate) fn create(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    let mut hook = Hook {
        id: world.ids.hex(10),
        url: String::new(),
        events: [false; 6],
        sources: [false; 3],
        secret: world.options.sign_webhooks.then(|| world.ids.hex(32)),
        off: false,
    };
    write(world, &mut hook, body)?;
    if hook.url.is_empty() {
        return Err(Problem::field("url", "This value should not be blank."));
    }
    let mut document = document(world, &hook);
    if let Some(secret) = &hook.secret {
        document["signing_secret"] = json!(secret);
    }
    world.hooks.hooks.push(hook);
    Ok(Answer::Json(document))
}

/// `GET …/webhooks/{webhook_id}`.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let hook = &world.hooks.hooks[find(world, call)?];
    Ok(Answer::Json(document(world, hook)))
}

/// `PATCH …/webhooks/{webhook_id}`.
pub(crate) fn patch(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let index = find(world, call)?;
    let mut hook = world.hooks.hooks[index].clone();
    write(world, &mut hook, call.object()?)?;
    let document = document(world, &hook);
    world.hooks.hooks[index] = hook;
    Ok(Answer::Json(document))
}

/// `DELETE …/webhooks/{webhook_id}`.
pub(crate) fn delete(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let index = find(world, call)?;
    world.hooks.hooks.remove(index);
    Ok(Answer::Empty)
}

fn find(world: &World, call: &Call) -> Result<usize, Problem> {
    world.hooks.hooks.iter().position(|hook| hook.id == call.id(0)).ok_or_else(Problem::not_found)
}

fn write(world: &World, hook: &mut Hook, body: &Map<String, Value>) -> Result<(), Problem> {
    if let Some(url) = call::text(body, "url")? {
        if world.hooks.hooks.iter().any(|other| other.url == url && other.id != hook.id) {
            return Err(Problem::field("url", "Sorry, you can't set up multiple WebHooks for one URL"));
        }
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(Problem::field("url", "Please enter a valid URL."));
        }
        url.clone_into(&mut hook.url);
    }
    read_flags(body, "events", &EVENTS, &mut hook.events)?;
    read_flags(body, "sources", &SOURCES, &mut hook.sources)
}

fn read_flags(
    body: &Map<String, Value>,
    key: &str,
    names: &[&str],
    flags: &mut [bool],
) -> Result<(), Problem> {
    let Some(sent) = call::nested(body, key)? else { return Ok(()) };
    for (name, flag) in names.iter().zip(flags) {
        *flag = call::boolean(sent, name)?.unwrap_or(*flag);
    }
    Ok(())
}

fn document(world: &World, hook: &Hook) -> Value {
    let object = |names: &[&str], flags: &[bool]| -> Value {
        names
            .iter()
            .zip(flags)
            .map(|(name, flag)| ((*name).to_owned(), json!(flag)))
            .collect::<Map<_, _>>()
            .into()
    };
    json!({
        "id": hook.id,
        "url": hook.url,
        "events": object(&EVENTS, &hook.events),
        "sources": object(&SOURCES, &hook.sources),
        "list_id": world.audience.id,
        "signing_enabled": hook.secret.is_some(),
        "_links": [],
    })
}
