//! The account (`/`, `/ping`) and the audience itself (`/lists`).

use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::sandbox::audience::World;
use crate::sandbox::call;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::member::Status;
use crate::sandbox::moment::moment_text;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;

/// What a new audience shows of itself.
pub(crate) fn default_details() -> Map<String, Value> {
    let details = json!({
        "name": "Members",
        "contact": {
            "company": "Local Public Sector Alliance", "address1": "1 Main Street", "address2": "",
            "city": "Springfield", "state": "", "zip": "00000", "country": "US", "phone": "",
        },
        "permission_reminder": "You registered with the alliance.",
        "use_archive_bar": true,
        "campaign_defaults": {
            "from_name": "Local Public Sector Alliance", "from_email": "news@alliance.test",
            "subject": "", "language": "en",
        },
        "notify_on_subscribe": "",
        "notify_on_unsubscribe": "",
        "email_type_option": false,
        "marketing_permissions": false,
    });
    details.as_object().cloned().unwrap_or_default()
}

/// `GET /ping`.
pub(crate) fn ping(_: &mut World, _: &Call) -> Result<Answer, Problem> {
    Ok(Answer::Json(json!({"health_status": "Everything's Chimpy!"})))
}

/// `GET /`: the account.
pub(crate) fn account(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let document = json!({
        "account_id": "8d3a3db4d97663a9074efcc16",
        "login_id": "8d3a3db4d97663a9074efcc17",
        "account_name": "Local Public Sector Alliance",
        "email": "ops@alliance.test",
        "first_name": "Ops",
        "last_name": "Team",
        "username": "alliance",
        "avatar_url": "",
        "role": "owner",
        "member_since": moment_text(Some(world.audience.created)),
        "pricing_plan_type": "monthly",
        "first_payment": "",
        "account_timezone": "UTC",
        "account_industry": "",
        "contact": {
            "company": "Local Public Sector Alliance", "addr1": "1 Main Street", "addr2": "",
            "city": "Springfield", "state": "", "zip": "00000", "country": "US",
        },
        "pro_enabled": false,
        "last_login": "",
        "total_subscribers": world.audience.store.count(Some(Status::Subscribed)),
        "industry_stats": {"open_rate": 0.0, "bounce_rate": 0.0, "click_rate": 0.0},
        "_links": [],
    });
    let projection = Projection::from_query(&call.query, &document)?;
    Ok(Answer::Json(projection.apply(document)))
}

/// `GET /lists`.
pub(crate) fn list(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let lists: Vec<Value> = if world.audience.gone { Vec::new() } else { vec![document(world)] };
    let total = lists.len();
    let page: Value = lists.into_iter().skip(call.query.offset()?).take(call.query.count()?).collect();
    let answer = json!({
        "lists": page,
        "total_items": total,
        "constraints": {"may_create": false, "max_instances": 1, "current_total_instances": total},
        "_links": [],
    });
    let sample = json!({"lists": [document(world)], "total_items": 0, "constraints": {"may_create": 0, "max_instances": 0, "current_total_instances": 0}});
    let projection = Projection::from_query(&call.query, &sample)?;
    Ok(Answer::Json(projection.apply(answer)))
}

/// `GET /lists/{list_id}`.
pub(crate) fn read(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let document = document(world);
    let projection = Projection::from_query(&call.query, &document)?;
    Ok(Answer::Json(projection.apply(document)))
}

/// `PATCH /lists/{list_id}`.
pub(crate) fn patch(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let body = call.object()?;
    if let Some(double_optin) = call::boolean(body, "double_optin")? {
        world.options.double_optin = double_optin;
    }
    for (key, stored) in &mut world.audience.details {
        match (body.get(key), stored) {
            (None, _) => (),
            (Some(Value::Object(sent)), Value::Object(stored)) => stored.extend(sent.clone()),
            (Some(sent), stored) if std::mem::discriminant(sent) == std::mem::discriminant(stored) => {
                *stored = sent.clone();
            }
            (Some(sent), stored) => {
                let described = match stored {
                    Value::Bool(_) => "boolean",
                    Value::Object(_) => "object",
                    _ => "string",
                };
                return Err(Problem::field(key, call::schema_message(described, sent)));
            }
        }
    }
    Ok(Answer::Json(document(world)))
}

fn document(world: &World) -> Value {
    let audience = &world.audience;
    let mut document = audience.details.clone();
    let created = moment_text(Some(audience.created));
    let host = "https://alliance.us1.list-manage.test";
    let rest = json!({
        "id": audience.id,
        "web_id": 100_001,
        "date_created": created,
        "list_rating": 0,
        "subscribe_url_short": format!("{host}/s/{}", audience.id),
        "subscribe_url_long": format!("{host}/subscribe?u=8d3a3db4d97663a9074efcc16&id={}", audience.id),
        "beamer_address": "us1-sandbox@inbound.mailchimp.test",
        "visibility": "prv",
        "double_optin": world.options.double_optin,
        "has_welcome": false,
        "modules": [],
        "stats": stats(world),
        "_links": [],
    });
    document.extend(rest.as_object().cloned().unwrap_or_default());
    Value::Object(document)
}

fn stats(world: &World) -> Value {
    let count = |status| world.audience.store.count(Some(status));
    json!({
        "member_count": count(Status::Subscribed),
        "total_contacts": world.audience.store.count(None) + count(Status::Archived),
        "unsubscribe_count": count(Status::Unsubscribed),
        "cleaned_count": count(Status::Cleaned),
        "member_count_since_send": 0,
        "unsubscribe_count_since_send": 0,
        "cleaned_count_since_send": 0,
        "campaign_count": 0,
        "campaign_last_sent": "",
        "merge_field_count": world.audience.fields.len(),
        "avg_sub_rate": 0,
        "avg_unsub_rate": 0,
        "target_sub_rate": 0,
        "open_rate": 0,
        "click_rate": 0,
        "last_sub_date": "",
        "last_unsub_date": "",
    })
}
