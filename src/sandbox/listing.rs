//! `GET /lists/{list_id}/members`: filters, order and pages.

use std::sync::Arc;

use serde_json::json;

use crate::sandbox::audience::World;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::filters::Span;
use crate::sandbox::filters::Wanted;
use crate::sandbox::filters::wanted;
use crate::sandbox::problem::Problem;
use crate::sandbox::projection::Projection;
use crate::sandbox::render;
use crate::sandbox::render::Columns;
use crate::sandbox::views::Order;

/// The members found for a query that needs more than a slice of a view, kept for its next page.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    wanted: Wanted,
    version: u64,
    slots: Arc<Vec<u32>>,
}

/// Answers a page of members.
pub(crate) fn page(world: &mut World, call: &Call) -> Result<Answer, Problem> {
    let wanted = wanted(world, &call.query)?;
    let (count, offset) = (call.query.count()?, call.query.offset()?);
    let sample = json!({"members": [render::sample()], "list_id": "", "total_items": 0});
    let projection = Projection::from_query(&call.query, &sample)?;
    let descending = match call.query.get("sort_dir") {
        None | Some("ASC") => false,
        Some("DESC") => true,
        Some(_) => {
            return Err(Problem::field(
                "sort_dir",
                "Data presented is not one of the accepted values: ASC, DESC.",
            ));
        }
    };
    let (slots, total) = slots(world, &wanted, count, offset, descending);
    Ok(Answer::Bytes(write_page(world, &slots, total, &projection)))
}

fn write_page(world: &World, slots: &[u32], total: usize, projection: &Projection) -> Vec<u8> {
    let mut out = Vec::with_capacity(256 + slots.len() * 1300);
    let mut mark = "{";
    if let Some(part) = projection.of("members") {
        out.extend_from_slice(b"{\"members\":[");
        let columns = Columns::new(part);
        for (index, member) in slots.iter().filter_map(|slot| world.audience.store.get(*slot)).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            render::write_member(world, member, &columns, &mut out);
        }
        out.push(b']');
        mark = ",";
    }
    for (key, value) in [("list_id", json!(world.audience.id)), ("total_items", json!(total))] {
        if projection.of(key).is_some() {
            out.extend_from_slice(format!("{mark}\"{key}\":{value}").as_bytes());
            mark = ",";
        }
    }
    if projection.of("_links").is_some() {
        out.extend_from_slice(format!("{mark}\"_links\":[]").as_bytes());
        mark = ",";
    }
    if mark == "{" {
        out.push(b'{');
    }
    out.push(b'}');
    out
}

/// The slots of one page, and how many there are in all.
fn slots(
    world: &mut World,
    wanted: &Wanted,
    count: usize,
    offset: usize,
    descending: bool,
) -> (Vec<u32>, usize) {
    if let Some(span) = wanted.as_slice() {
        let rows = within(world.audience.store.rows(wanted.status, wanted.order), span);
        let total = rows.len();
        let page = match descending {
            false => rows.iter().skip(offset).take(count).map(|(_, slot)| *slot).collect(),
            true => rows.iter().rev().skip(offset).take(count).map(|(_, slot)| *slot).collect(),
        };
        return (page, total);
    }
    let found = found(world, wanted);
    let total = found.len();
    let page = match descending {
        false => found.iter().skip(offset).take(count).copied().collect(),
        true => found.iter().rev().skip(offset).take(count).copied().collect(),
    };
    (page, total)
}

/// The rows whose key lies in the span.
fn within(rows: &[(i64, u32)], (from, to): Span) -> &[(i64, u32)] {
    let start = rows.partition_point(|(key, _)| *key < from);
    let end = rows.partition_point(|(key, _)| *key <= to);
    rows.get(start..end).unwrap_or_default()
}

/// Everybody who fits a query that is no slice of a view, in ascending order.
fn found(world: &mut World, wanted: &Wanted) -> Arc<Vec<u32>> {
    let version = world.audience.store.version();
    if let Some(found) = &world.found
        && found.version == version
        && found.wanted == *wanted
    {
        return Arc::clone(&found.slots);
    }
    let candidates: Vec<u32> = match &wanted.unique_email_id {
        Some(unique) => world.audience.store.by_unique(unique).into_iter().collect(),
        None => {
            let rows = world.audience.store.rows(wanted.status, Order::LastChanged);
            within(rows, wanted.changed).iter().map(|(_, slot)| *slot).collect()
        }
    };
    let mut kept: Vec<(i64, u32)> = candidates
        .into_iter()
        .filter_map(|slot| Some((slot, world.audience.store.get(slot)?)))
        .filter(|(_, member)| wanted.fits(member))
        .map(|(slot, member)| (wanted.order.key(member), slot))
        .collect();
    kept.sort_unstable();
    let slots = Arc::new(kept.into_iter().map(|(_, slot)| slot).collect());
    world.found = Some(Found { wanted: wanted.clone(), version, slots: Arc::clone(&slots) });
    slots
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::Value;
    use serde_json::json;

    use crate::mailchimp::transport::Method;
    use crate::sandbox::FormEntry;
    use crate::sandbox::SandboxOptions;
    use crate::sandbox::testing::Api;
    use crate::sandbox::testing::address;
    use crate::sandbox::testing::member_path;
    use crate::sandbox::testing::refusal;

    /// Ten members, two a second from 12:00:00, named 0 to 9.
    fn ten(options: SandboxOptions) -> Api {
        let api = Api::with(options);
        for number in 0..10 {
            api.sandbox.person().staff_add(&address(&number.to_string()), &FormEntry::new()).unwrap();
            api.clock.advance(Duration::from_secs(number % 2));
        }
        api
    }

    fn names(document: &Value) -> String {
        let members = document["members"].as_array().unwrap().iter();
        members.map(|member| member["email_address"].as_str().unwrap().split('@').next().unwrap()).collect()
    }

    fn check(api: &Api, query: &str, expected: &str, total: usize) {
        let (status, document) = api.get(&format!("/members?{query}"));
        assert_eq!(status, 200, "{query}: {document}");
        assert_eq!(
            (names(&document).as_str(), &document["total_items"]),
            (expected, &json!(total)),
            "{query}"
        );
    }

    #[test]
    fn pages_are_slices_and_the_total_does_not_depend_on_them() {
        let api = ten(SandboxOptions::default());
        check(&api, "", "0123456789", 10);
        check(&api, "count=3", "012", 10);
        check(&api, "count=3&offset=8", "89", 10);
        check(&api, "count=3&offset=80", "", 10);
        check(&api, "count=2&sort_field=last_changed&sort_dir=DESC", "98", 10);
        check(&api, "count=0", "", 10);
    }

    #[test]
    fn ties_are_stable_and_descending_is_exactly_the_reverse() {
        let api = ten(SandboxOptions::default());
        for field in ["last_changed", "timestamp_opt", "timestamp_signup"] {
            check(&api, &format!("sort_field={field}&sort_dir=ASC"), "0123456789", 10);
            check(&api, &format!("sort_field={field}&sort_dir=DESC"), "9876543210", 10);
        }
        api.patch(&address("3"), json!({"vip": true}));
        check(&api, "sort_field=last_changed", "0124567893", 10);
        check(&api, "sort_field=timestamp_opt", "0123456789", 10);
    }

    #[test]
    fn since_and_before_leave_the_very_second_out() {
        let api = ten(SandboxOptions::default());
        check(&api, "since_last_changed=2026-03-01T12:00:03%2B00:00", "89", 2);
        check(&api, "since_last_changed=2026-03-01T12:00:02.999Z", "6789", 4);
        check(&api, "before_last_changed=2026-03-01T12:00:01Z", "01", 2);
        check(&api, "before_last_changed=2026-03-01T12:00:01.5Z", "0123", 4);
        check(
            &api,
            "since_timestamp_opt=2026-03-01T12:00:00Z&before_timestamp_opt=2026-03-01T12:00:02Z",
            "23",
            2,
        );
        check(
            &api,
            "since_last_changed=2026-03-01T12:00:00Z&sort_field=last_changed&sort_dir=DESC&count=3",
            "987",
            8,
        );
        check(&api, "since_last_changed=2026-03-01T12:00:03.0000000%2B00:00", "0123456789", 10);
        let inclusive = ten(SandboxOptions { since_is_inclusive: true, ..SandboxOptions::default() });
        check(&inclusive, "since_last_changed=2026-03-01T12:00:03Z", "6789", 4);
    }

    #[test]
    fn archived_members_show_only_when_asked_for() {
        let api = ten(SandboxOptions::default());
        api.call(Method::Delete, &member_path(&address("4")), None);
        api.sandbox.person().unsubscribe(&address("5")).unwrap();
        check(&api, "", "012356789", 9);
        check(&api, "status=archived", "4", 1);
        check(&api, "status=unsubscribed", "5", 1);
        check(&api, "status=subscribed&sort_field=last_changed", "01236789", 8);
        check(&api, "status=unsubscribed&unsubscribed_since=2026-03-01T12:00:04Z", "5", 1);
    }

    #[test]
    fn views_follow_changes_one_by_one_and_in_crowds() {
        let api = ten(SandboxOptions::default());
        check(&api, "sort_field=last_changed", "0123456789", 10);
        api.clock.advance(Duration::from_secs(60));
        for number in [7, 2, 5] {
            api.patch(&address(&number.to_string()), json!({"vip": true}));
        }
        check(&api, "sort_field=last_changed", "0134689257", 10);
        api.sandbox.populate(2000);
        let (_, page) =
            api.get("/members?sort_field=last_changed&count=1000&fields=members.last_changed,total_items");
        let times: Vec<&str> = page["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| member["last_changed"].as_str().unwrap())
            .collect();
        assert!(times.is_sorted() && times.len() == 1000);
        let alive = api.sandbox.world(|world| world.audience.store.iter().count());
        let (_, archived) = api.get("/members?status=archived&fields=total_items");
        assert_eq!(
            page["total_items"].as_u64().unwrap() + archived["total_items"].as_u64().unwrap(),
            alive as u64
        );
    }

    #[test]
    fn a_page_is_silently_capped_at_a_thousand() {
        let api = Api::new();
        api.sandbox.populate(1100);
        let (_, page) = api.get("/members?count=5000&fields=members.id");
        assert_eq!(page["members"].as_array().unwrap().len(), 1000);
    }

    #[test]
    fn further_filters_narrow_the_list() {
        let api = ten(SandboxOptions::default());
        let ids = api.interests("Topics", "checkboxes", &["Finance", "Transport"]);
        let (_, category) = api.get("/interest-categories");
        let category = category["categories"][0]["id"].as_str().unwrap().to_owned();
        for (name, interests) in [("1", vec![0]), ("2", vec![1]), ("3", vec![0, 1])] {
            let interests: Value = interests
                .into_iter()
                .map(|index: usize| (ids[index].clone(), json!(true)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            api.patch(&address(name), json!({"interests": interests, "vip": true}));
        }
        let both = format!("interest_category_id={category}&interest_ids={},{}", ids[0], ids[1]);
        check(&api, &format!("{both}&interest_match=any"), "123", 3);
        check(&api, &format!("{both}&interest_match=all"), "3", 1);
        check(&api, &format!("{both}&interest_match=none&count=3"), "045", 7);
        check(&api, "vip_only=true", "123", 3);
        let unique = api.shows(&address("6"), "unique_email_id");
        check(&api, &format!("unique_email_id={}", unique.as_str().unwrap()), "6", 1);
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        let api = ten(SandboxOptions::default());
        for query in [
            "status=here",
            "sort_field=email_address",
            "sort_dir=down",
            "since_last_changed=2026-03-01T12:00:03+00:00",
            "count=many",
            "fields=members.nothing",
            "fields=total_items&exclude_fields=members",
            "unsubscribed_since=2026-03-01T12:00:03Z",
            "interest_ids=abc",
        ] {
            assert_eq!(refusal(&api.get(&format!("/members?{query}"))).0, 400, "{query}");
        }
    }
}
