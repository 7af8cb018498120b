//! Changes by the thousand: handed over as a batch, and what becomes of them when anything goes wrong meanwhile.

use rosterd::cycle::Report;
use rosterd::mailchimp::transport::{Method, Request};
use rosterd::model::{EmailAddress, SubscriptionStatus};
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{Fault, FaultKind, FormEntry, LoggedRequest};
use rosterd::state::{MemberName, Outcome, Pause, kind};

use crate::world::World;

/// As many as a batch is worth with six connections, and a few more.
pub(crate) const MANY: usize = 60;

/// So many members, all of whom have just been given another name on the website.
pub(crate) async fn renamed(count: usize) -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(count)).await;
    world.sync().await;
    rename_all(&world);
    world.sandbox.reset_log();
    world
}

fn rename_all(world: &World) {
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now");
}

/// The same, with a batch that Mailchimp does not get on with: a cycle has handed it over and looked in vain.
async fn under_way() -> World {
    let world = renamed(MANY).await;
    world.sandbox.faults().stall_batches();
    world.sync().await;
    assert_eq!(unfinished(&world).await, 1);
    world
}

async fn unfinished(world: &World) -> usize {
    world.cycle.state.unfinished_batches().await.unwrap().len()
}

fn of_members(world: &World) -> Vec<LoggedRequest> {
    let member = "/lists/{list_id}/members/{subscriber_hash}";
    world.sandbox.log().into_iter().filter(|request| request.pattern.starts_with(member)).collect()
}

/// Changes that were made one by one.
fn patches(world: &World) -> usize {
    of_members(world).iter().filter(|request| request.method == "PATCH" && request.batch.is_none()).count()
}

/// Members that were read by themselves.
fn reads(world: &World) -> usize {
    of_members(world).iter().filter(|request| request.method == "GET").count()
}

fn submissions(world: &World) -> usize {
    world.sandbox.counters().requests.get("POST /batches").copied().unwrap_or(0).try_into().unwrap()
}

async fn assert_all_renamed(world: &World) {
    world.assert_in_step();
    for n in 0..MANY {
        assert_eq!(world.field(&format!("p{n}@alliance.test"), "LNAME"), "Byron", "p{n}");
    }
    assert_eq!(unfinished(world).await, 0);
    world.assert_nobody_mailed();
    assert_eq!(world.sandbox.counters().status_writes, 0);
    world.assert_quiet().await;
}

/// How somebody stands in Mailchimp, as far as the state knows.
async fn mirrored(world: &World, email: &str) -> SubscriptionStatus {
    let name = MemberName::Address(EmailAddress::parse(email).unwrap());
    let members = world.cycle.state.find_members(name).await.unwrap();
    let trios = world.cycle.state.trios(members, world.clock.now()).await.unwrap();
    trios[0].remote.as_ref().unwrap().status
}

/// The last outcome of the last change of values of somebody.
async fn outcome(world: &World, email: &str) -> Option<Outcome> {
    let trail = world.trail(email).await;
    trail.iter().find(|entry| kind(&entry.operation) == "remote_update").and_then(|entry| entry.outcome)
}

#[tokio::test]
async fn ten_thousand_changed_members_take_at_most_forty_requests() {
    let mut world = World::built(crate::world::Setup::default()).await;
    world.cycle.limits.creations =
        rosterd::reconcile::guard::Limit { basis_points: 10_000, more_than: 20_000 };
    world.register_many(10_000);
    world.cycle.run(rosterd::observe::Scope::Full, rosterd::cycle::Adoption::Yes).await.unwrap();
    world.sync().await;
    rename_all(&world);
    world.sandbox.reset_log();
    let report: Report = world.sync().await;
    assert_eq!((report.applied, report.failed, report.parked), (10_000, 0, 0), "{report:?}");
    let counters = world.sandbox.counters();
    assert_eq!((counters.batch_operations, counters.status_writes), (10_000, 0));
    assert_eq!(world.field("p9999@alliance.test", "LNAME"), "Byron");
    let after = world.sync().await;
    let requests = report.requests + after.requests;
    assert!(requests <= 40, "{requests} with the walk that shows them changed: {report:?} {after:?}");
    assert_eq!(after.planned, 0, "{after:?}");
    assert_eq!(world.sync().await.requests, 2);
}

#[tokio::test]
async fn a_few_changes_are_made_one_by_one() {
    let world = renamed(48).await;
    world.sync().await;
    assert_eq!((submissions(&world), patches(&world)), (0, 48));
    world.assert_in_step();
}

#[tokio::test]
async fn many_changes_travel_in_a_batch_without_a_status_or_an_address() {
    let world = renamed(MANY).await;
    world.sql("UPDATE registrations SET email = 'moved@alliance.test', updated_at = :now WHERE id = 1");
    world.leave("p1@alliance.test");
    world.sync().await;
    let batched: Vec<_> = world.sandbox.log().into_iter().filter(|request| request.batch.is_some()).collect();
    assert_eq!((submissions(&world), batched.len()), (1, MANY - 1));
    for request in batched {
        let body = request.body.unwrap();
        assert_eq!(body.as_object().unwrap().keys().collect::<Vec<_>>(), ["merge_fields"]);
        assert_eq!(request.query, [("skip_merge_validation".to_owned(), "true".to_owned())]);
    }
    world.assert_both("p1@alliance.test", "unsubscribed");
    assert_eq!(world.field("p1@alliance.test", "LNAME"), "", "who left is left alone");
    world.assert_both("moved@alliance.test", "subscribed");
    assert_eq!(world.field("moved@alliance.test", "LNAME"), "Byron");
    world.assert_quiet().await;
}

#[tokio::test]
async fn half_of_the_entries_refused_are_parked_and_the_others_are_done() {
    let world = renamed(MANY).await;
    let words = "p@alliance.test looks fake or invalid, please enter a real email address.";
    world.sandbox.faults().refuse_batch_operations(2, 400, "Invalid Resource", words);
    let report = world.sync().await;
    assert_eq!((report.parked, report.failed), (30, 0), "{report:?}");
    let parked = world.parked().await;
    assert!(parked.iter().all(|parked| parked.park.class == "permanent"), "{parked:?}");
    assert!(parked[0].park.said.starts_with("<address> looks fake"), "{parked:?}");
    assert_eq!(patches(&world), 0);
    world.sandbox.faults().clear();
    world.assert_quiet().await;
    for parked in parked {
        world.cycle.state.retry(parked.member, world.clock.now()).await.unwrap();
    }
    world.sync().await;
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn entries_that_are_busy_or_lost_come_again() {
    for (status, title) in [(429, "Too Many Requests"), (500, "Internal Server Error")] {
        let world = renamed(MANY).await;
        world.sandbox.faults().refuse_batch_operations(2, status, title, "Later.");
        world.sync().await;
        assert_eq!((world.parked().await, unfinished(&world).await), (vec![], 0), "{status}");
        world.sandbox.faults().clear();
        world.sync().await;
        world.sync().await;
        assert_all_renamed(&world).await;
    }
}

#[tokio::test]
async fn a_schema_refusal_has_the_schema_read_afresh() {
    let world = renamed(MANY).await;
    world.sandbox.faults().refuse_batch_operations(2, 400, "Invalid Resource", "Invalid interest ID: 'x'.");
    world.sync().await;
    world.sandbox.faults().clear();
    world.sandbox.reset_log();
    world.sync().await;
    assert!(world.sandbox.log().iter().any(|request| request.pattern == "/lists/{list_id}/merge-fields"));
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn the_same_unknown_words_to_everybody_stop_the_cycle_once_the_rest_is_settled() {
    let world = renamed(MANY).await;
    world.sandbox.faults().refuse_batch_operations(1, 400, "Etwas ging schief", "Niemand weiß was.");
    let error = world.try_sync().await.unwrap_err();
    assert!(error.to_string().contains("refused 60 members in a row"), "{error}");
    assert_eq!((world.parked().await.len(), unfinished(&world).await), (MANY, 0));
    world.sandbox.faults().clear();
    world.later(24 * 3600);
    world.sync().await;
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn what_the_results_leave_out_is_read_by_itself() {
    let world = renamed(MANY).await;
    world.sandbox.faults().leave_out_results(3);
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed), (40, 20), "{report:?}");
    world.sandbox.faults().clear();
    world.sandbox.reset_log();
    world.sync().await;
    assert_eq!((reads(&world), patches(&world), submissions(&world)), (20, 0, 0));
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn of_results_that_break_off_what_was_read_counts() {
    let world = renamed(MANY).await;
    world.sandbox.faults().cut_batch_results();
    let report = world.sync().await;
    assert_eq!(report.applied + report.failed, 60, "{report:?}");
    assert!(report.applied > 5 && report.failed > 5, "{report:?}");
    world.sandbox.faults().clear();
    world.sandbox.reset_log();
    world.sync().await;
    assert_eq!((reads(&world) as u64, patches(&world)), (report.failed, 0));
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn an_unfinished_batch_is_remembered_and_looked_at_first_by_the_next_start() {
    let world = under_way().await;
    let world = world.restart().await;
    world.sandbox.faults().release_batches();
    world.sandbox.reset_log();
    world.sync().await;
    let log = world.sandbox.log();
    let first = log.iter().find(|request| request.batch.is_none() && request.pattern != "/lists/{list_id}");
    assert_eq!(first.map(|request| request.pattern.as_str()), Some("/batches/{batch_id}"));
    assert_eq!((submissions(&world), patches(&world), reads(&world)), (0, 0, 0));
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn members_in_an_unfinished_batch_are_not_written() {
    let world = under_way().await;
    world.sql("UPDATE registrations SET first_name = 'Ada', updated_at = :now WHERE id <= 55");
    world.person().edit_preferences("p0@alliance.test", &FormEntry::new().tick("Finance")).unwrap();
    world.register("new@alliance.test", "New");
    world.sandbox.reset_log();
    world.sync().await;
    assert_eq!((submissions(&world), patches(&world)), (0, 0));
    assert_eq!(world.interests("p0@alliance.test"), Vec::<String>::new());
    world.assert_both("new@alliance.test", "subscribed");
    world.sandbox.faults().release_batches();
    world.sync().await;
    world.sync().await;
    assert_eq!(world.field("p0@alliance.test", "FNAME"), "Ada");
    assert_eq!(world.interests("p0@alliance.test"), ["Finance"]);
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn edits_made_meanwhile_on_either_side_survive() {
    let world = under_way().await;
    world.later(30);
    world.sql("UPDATE registrations SET last_name = 'Lovelace', updated_at = :now WHERE id = 1");
    world.sandbox.faults().release_batches();
    world.later(600);
    // The next request has Mailchimp carry everything out; then somebody edits there what the batch has just written.
    let person = world.person();
    let mut looks = 0;
    world.tap.before_each(move |_, request| {
        looks += usize::from(request.target.starts_with("/batches/"));
        if looks == 1 && request.target.contains("batch-results") {
            person.edit_preferences("p1@alliance.test", &FormEntry::new().field("LNAME", "Babbage")).unwrap();
        }
    });
    world.sync().await;
    world.tap.calm();
    world.sync().await;
    world.sync().await;
    assert_eq!(world.field("p0@alliance.test", "LNAME"), "Lovelace");
    assert_eq!(world.column("p1@alliance.test", "last_name"), "Babbage");
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn who_unsubscribes_in_mailchimp_while_their_change_is_in_the_batch_stays_out() {
    for before_it_is_carried_out in [true, false] {
        let world = under_way().await;
        if !before_it_is_carried_out {
            world.sandbox.faults().release_batches();
            world.later(600);
            // Any request has Mailchimp get on; nobody looks at the batch.
            world.tags_of_rosterd("p1@alliance.test").await;
            let unseen = FaultKind::Refused(400, "Odd".to_owned(), "Not now.".to_owned());
            world.sandbox.faults().add(Fault::new(unseen).on_path("/batches/{batch_id}"));
        }
        world.later(5);
        world.person().unsubscribe("p0@alliance.test").unwrap();
        // A cycle sees that they left before it hears the batch's answer, in which they may still be subscribed.
        world.sync().await;
        assert_eq!(mirrored(&world, "p0@alliance.test").await, SubscriptionStatus::Unsubscribed);
        world.assert_both("p0@alliance.test", "unsubscribed");
        world.sandbox.faults().release_batches();
        world.sync().await;
        world.sync().await;
        world.assert_both("p0@alliance.test", "unsubscribed");
        world.assert_in_step();
        assert_eq!(world.sandbox.counters().status_writes, 0);
        world.assert_nobody_mailed();
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn who_leaves_on_the_website_does_not_wait_for_the_batch() {
    let world = under_way().await;
    world.leave("p0@alliance.test");
    world.sync().await;
    world.assert_both("p0@alliance.test", "unsubscribed");
    assert_eq!(unfinished(&world).await, 1);
    world.sandbox.faults().release_batches();
    world.sync().await;
    world.sync().await;
    world.assert_both("p0@alliance.test", "unsubscribed");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_expired_batch_has_its_members_read_by_themselves() {
    for carried_out in [true, false] {
        let world = under_way().await;
        if carried_out {
            world.sandbox.faults().release_batches();
            world.later(600);
        }
        world.sandbox.faults().expire_batches();
        world.sandbox.faults().release_batches();
        world.sandbox.reset_log();
        world.sync().await;
        assert_eq!(reads(&world), MANY, "before anything else is done to them");
        assert_eq!(submissions(&world), usize::from(!carried_out));
        world.sync().await;
        assert_all_renamed(&world).await;
    }
}

#[tokio::test]
async fn a_batch_that_never_finishes_is_stopped_after_a_day() {
    let world = under_way().await;
    let deleted =
        |world: &World| world.sandbox.log().iter().filter(|request| request.method == "DELETE").count();
    world.later(23 * 3600);
    world.sync().await;
    assert_eq!((deleted(&world), unfinished(&world).await), (0, 1));
    world.later(3600);
    world.sandbox.reset_log();
    world.sync().await;
    assert_eq!((deleted(&world), reads(&world)), (1, MANY));
    world.sandbox.faults().release_batches();
    world.sync().await;
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn a_batch_whose_submission_nobody_heard_of_has_its_members_read_first() {
    for kind in [FaultKind::CutBefore, FaultKind::CutAfter, FaultKind::ServerError] {
        let world = renamed(MANY).await;
        world.sandbox.faults().add(Fault::new(kind.clone()).on_method(Method::Post).on_path("/batches"));
        let report = world.sync().await;
        assert_eq!((report.applied, report.failed), (0, 60), "{kind:?}: {report:?}");
        assert_eq!(outcome(&world, "p0@alliance.test").await, Some(Outcome::Lost));
        world.sandbox.reset_log();
        world.sync().await;
        assert_eq!(reads(&world), MANY, "{kind:?}");
        assert_eq!(submissions(&world), usize::from(kind != FaultKind::CutAfter), "{kind:?}");
        world.sync().await;
        assert_all_renamed(&world).await;
    }
}

#[tokio::test]
async fn a_batch_that_is_refused_whole_is_made_one_by_one() {
    let world = renamed(MANY).await;
    let refused = FaultKind::Refused(400, "Invalid Resource".to_owned(), "Too long.".to_owned());
    world.sandbox.faults().add(Fault::new(refused).on_method(Method::Post).on_path("/batches"));
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed, report.parked), (60, 0, 0), "{report:?}");
    assert_eq!((submissions(&world), patches(&world)), (1, MANY));
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn results_that_cannot_be_fetched_are_fetched_another_time() {
    let world = renamed(MANY).await;
    let clock = world.clock.clone();
    let mut fetched = 0;
    world.tap.before_each(move |_, request: &Request| {
        if request.target.contains("batch-results") {
            assert_eq!(request.authorization, None, "the key goes to Mailchimp only");
            fetched += 1;
            if fetched == 1 {
                // Longer than the URL lives.
                clock.advance(std::time::Duration::from_secs(700));
            }
        }
    });
    let report = world.sync().await;
    assert_eq!((report.applied, report.failed), (60, 0), "{report:?}");
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn a_pause_while_a_batch_is_looked_for_ends_the_wait_and_the_batch_is_remembered() {
    let world = renamed(MANY).await;
    let beside = rusqlite::Connection::open(world.directory.path().join("state.db")).unwrap();
    let mut looks = 0;
    world.tap.before_each(move |_, request| {
        looks += usize::from(request.target.starts_with("/batches/"));
        if looks == 1 {
            let sql = "INSERT INTO meta VALUES ('paused_at', '2026-03-01T12:00:00.000000Z')";
            beside.execute(sql, []).unwrap();
        }
    });
    world.sync().await;
    world.tap.calm();
    assert_eq!((unfinished(&world).await, submissions(&world)), (1, 1));
    assert_eq!(world.sandbox.counters().requests["GET /batches/{batch_id}"], 1);
    world.cycle.state.set_paused(Pause::Running).await.unwrap();
    world.sync().await;
    assert_all_renamed(&world).await;
}

#[tokio::test]
async fn a_stop_while_a_batch_is_looked_for_leaves_it_to_the_next_start() {
    let world = renamed(MANY).await;
    let stop = world.cycle.stop.clone();
    world.tap.before_each(move |_, request| {
        if request.target.starts_with("/batches/") {
            stop.cancel();
        }
    });
    let error = world.try_sync().await.unwrap_err();
    assert!(error.is_stop(), "{error}");
    assert_eq!(unfinished(&world).await, 1);
    assert_eq!(world.sandbox.counters().requests["GET /batches/{batch_id}"], 1);
    world.tap.calm();
    let world = world.restart().await;
    world.sync().await;
    assert_eq!((submissions(&world), reads(&world)), (1, 0));
    assert_all_renamed(&world).await;
}
