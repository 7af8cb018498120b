//! Which method of which path is answered by what.

use crate::mailchimp::transport::Method;
use crate::sandbox::audience::World;
use crate::sandbox::batches;
use crate::sandbox::bulk;
use crate::sandbox::call::Answer;
use crate::sandbox::call::Call;
use crate::sandbox::interests;
use crate::sandbox::listing;
use crate::sandbox::lists;
use crate::sandbox::members;
use crate::sandbox::merge_fields;
use crate::sandbox::problem::Problem;
use crate::sandbox::segments;
use crate::sandbox::tags;
use crate::sandbox::webhooks;

type Answerer = fn(&mut World, &Call) -> Result<Answer, Problem>;

/// A path of the API with its methods.
#[derive(Debug)]
pub(crate) struct Route {
    /// As the API's description writes it.
    pub(crate) pattern: &'static str,
    methods: &'static [(Method, Answerer)],
}

use Method::Delete;
use Method::Get;
use Method::Patch;
use Method::Post;
use Method::Put;

const fn route(pattern: &'static str, methods: &'static [(Method, Answerer)]) -> Route {
    Route { pattern, methods }
}

static ROUTES: &[Route] = &[
    route("/", &[(Get, lists::account)]),
    route("/ping", &[(Get, lists::ping)]),
    route("/lists", &[(Get, lists::list)]),
    route("/lists/{list_id}", &[(Get, lists::read), (Post, bulk::subscribe), (Patch, lists::patch)]),
    route("/lists/{list_id}/members", &[(Get, listing::page), (Post, members::create)]),
    route(
        "/lists/{list_id}/members/{subscriber_hash}",
        &[(Get, members::read), (Put, members::put), (Patch, members::patch), (Delete, members::archive)],
    ),
    route(
        "/lists/{list_id}/members/{subscriber_hash}/actions/delete-permanent",
        &[(Post, members::delete_permanently)],
    ),
    route("/lists/{list_id}/members/{subscriber_hash}/tags", &[(Get, tags::list), (Post, tags::write)]),
    route("/lists/{list_id}/tag-search", &[(Get, tags::search)]),
    route("/lists/{list_id}/segments", &[(Get, segments::list), (Post, segments::create)]),
    route(
        "/lists/{list_id}/segments/{segment_id}",
        &[(Get, segments::read), (Post, segments::change_members), (Delete, segments::delete)],
    ),
    route("/lists/{list_id}/segments/{segment_id}/members", &[(Get, segments::members)]),
    route("/lists/{list_id}/merge-fields", &[(Get, merge_fields::list), (Post, merge_fields::create)]),
    route(
        "/lists/{list_id}/merge-fields/{merge_id}",
        &[(Get, merge_fields::read), (Patch, merge_fields::patch), (Delete, merge_fields::delete)],
    ),
    route(
        "/lists/{list_id}/interest-categories",
        &[(Get, interests::list_categories), (Post, interests::create_category)],
    ),
    route(
        "/lists/{list_id}/interest-categories/{interest_category_id}",
        &[
            (Get, interests::read_category),
            (Patch, interests::patch_category),
            (Delete, interests::delete_category),
        ],
    ),
    route(
        "/lists/{list_id}/interest-categories/{interest_category_id}/interests",
        &[(Get, interests::list), (Post, interests::create)],
    ),
    route(
        "/lists/{list_id}/interest-categories/{interest_category_id}/interests/{interest_id}",
        &[(Get, interests::read), (Patch, interests::patch), (Delete, interests::delete)],
    ),
    route("/lists/{list_id}/webhooks", &[(Get, webhooks::list), (Post, webhooks::create)]),
    route(
        "/lists/{list_id}/webhooks/{webhook_id}",
        &[(Get, webhooks::read), (Patch, webhooks::patch), (Delete, webhooks::delete)],
    ),
    route("/batches", &[(Get, batches::list), (Post, batches::create)]),
    route("/batches/{batch_id}", &[(Get, batches::read), (Delete, batches::delete)]),
];

/// The route of a path given as its decoded parts, with the variable parts.
pub(crate) fn find(parts: &[String]) -> Option<(&'static Route, Vec<String>)> {
    ROUTES.iter().find_map(|route| {
        let pattern: Vec<&str> = route.pattern.split('/').filter(|part| !part.is_empty()).collect();
        if pattern.len() != parts.len() {
            return None;
        }
        let mut ids = Vec::new();
        for (expected, part) in pattern.iter().zip(parts) {
            if expected.starts_with('{') {
                ids.push(part.clone());
            } else if expected != part {
                return None;
            }
        }
        Some((route, ids))
    })
}

/// Answers a call by its route.
pub(crate) fn perform(
    world: &mut World,
    route: &Route,
    method: Method,
    mut call: Call,
) -> Result<Answer, Problem> {
    if route.pattern.starts_with("/lists/") {
        if world.audience.gone || call.ids.first() != Some(&world.audience.id) {
            return Err(Problem::not_found());
        }
        call.ids.remove(0);
    }
    match route.methods.iter().find(|(known, _)| *known == method) {
        Some((_, handler)) => handler(world, &call),
        None => {
            let allow: Vec<&str> = route.methods.iter().map(|(method, _)| method.as_str()).collect();
            Err(Problem::method_not_allowed(allow.join(", ")))
        }
    }
}
