//! Somebody is named while a long plan is carried out: they are attended to before its end, and nobody else waits for long.

use std::sync::{Arc, Mutex};

use rosterd::cycle::{Adoption, Report};
use rosterd::mailchimp::transport::{Method, Request};
use rosterd::model::EmailAddress;
use rosterd::observe::Scope;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{Fault, FaultKind};
use rusqlite::Connection;

use crate::world::World;

/// Several times as many as are written before it is asked whether somebody was named.
const MANY: usize = 400;

/// So many writes may go out before somebody who is named at the first is attended to: twenty for each of six
/// connections.
const SOON: usize = 120;

/// Many members, all of whom but the first have left on the website, each at a time of their own.
async fn many_who_left() -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(MANY)).await;
    world.sync().await;
    for n in 1..MANY {
        world.later(1);
        world.leave(&format!("p{n}@alliance.test"));
    }
    world.sandbox.reset_log();
    world
}

/// Names `p0@alliance.test`, as another process would.
fn naming(world: &World) -> impl Fn() + Send + 'static {
    let state = Connection::open(world.directory.path().join("state.db")).unwrap();
    let now = format!("{:.6}", world.clock.now());
    move || {
        let sql = "INSERT INTO pending (address, reason, since, asked) VALUES ('p0@alliance.test', 'a webhook', ?1, ?1)
                   ON CONFLICT DO NOTHING";
        state.execute(sql, [&now]).unwrap();
    }
}

/// What the register says of `p0@alliance.test`, at any time.
fn standing(world: &World) -> impl Fn() -> String + Send + 'static {
    let register = Connection::open(world.directory.path().join("registrations.db")).unwrap();
    move || {
        let sql = "SELECT subscription FROM registrations WHERE email = 'p0@alliance.test'";
        register.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// Runs a cycle during which `p0@alliance.test` leaves at the first request that `at` means, and is named; says before how
/// many others of those the register had heard of it.
async fn leaves_midway(
    world: &World,
    at: impl Fn(&Request) -> bool + Send + 'static,
) -> (Report, Option<usize>) {
    let (person, name, standing) = (world.person(), naming(world), standing(world));
    let heard = Arc::new(Mutex::new(None));
    let told = heard.clone();
    let mut seen = 0;
    world.tap.before_each(move |_, request| {
        if !at(request) {
            return;
        }
        seen += 1;
        if seen == 1 {
            person.unsubscribe("p0@alliance.test").unwrap();
            name();
        }
        let mut told = told.lock().unwrap();
        if told.is_none() && standing() == "unsubscribed" {
            *told = Some(seen);
        }
    });
    let report = world.sync().await;
    world.tap.calm();
    let heard = *heard.lock().unwrap();
    (report, heard)
}

fn is_patch(request: &Request) -> bool {
    request.method == Method::Patch
}

#[tokio::test]
async fn who_leaves_while_a_long_plan_is_carried_out_is_heard_before_its_end() {
    let world = many_who_left().await;
    let (report, heard) = leaves_midway(&world, is_patch).await;
    assert!(heard.is_some_and(|writes| writes <= SOON + 1), "heard at write {heard:?}: {report:?}");
    let all = MANY as u64;
    assert_eq!((report.planned, report.applied), (all, all), "everything once: {report:?}");
    assert_eq!((report.failed, report.skipped, report.refused, report.held), (0, 0, 0, 0), "{report:?}");
    assert_eq!(world.sandbox.counters().status_writes, all - 1);
    assert_eq!(report.requests, 2 + (all - 1) + 1, "one for whoever was named: {report:?}");
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn who_is_named_over_and_over_keeps_nobody_else_waiting() {
    let world = many_who_left().await;
    let name = naming(&world);
    world.tap.before_each(move |_, _| name());
    let path =
        format!("/lists/*/members/{}", EmailAddress::parse("p7@alliance.test").unwrap().hash().as_str());
    let missing = FaultKind::Refused(404, "Resource Not Found".to_owned(), "Nobody knows why.".to_owned());
    world.sandbox.faults().add(Fault::new(missing).on_method(Method::Patch).on_path(&path).always());
    let report = world.sync().await;
    world.tap.calm();
    let all = MANY as u64 - 1;
    assert_eq!(report.applied, all - 1, "{report:?}");
    assert_eq!((report.planned, report.skipped), (report.applied + report.failed, 0), "{report:?}");
    assert!(report.failed <= 3, "not tried again and again between the others: {report:?}");
    assert!(report.requests <= 2 + all + 30, "{report:?}");
}

#[tokio::test]
async fn what_is_held_is_counted_once_however_often_the_plan_is_made() {
    let world = many_who_left().await;
    world.sql("DELETE FROM registrations WHERE id > 370");
    let (report, heard) = leaves_midway(&world, is_patch).await;
    assert!(heard.is_some_and(|writes| writes <= SOON + 1), "heard at write {heard:?}: {report:?}");
    assert_eq!((report.planned, report.applied, report.held), (400, 370, 30), "{report:?}");
    assert_eq!((world.hold().await.count, report.skipped, report.failed), (30, 0, 0), "{report:?}");
}

#[tokio::test]
async fn who_leaves_while_a_batch_is_waited_for_is_heard_meanwhile() {
    let world = crate::batches::renamed(MANY).await;
    world.sandbox.faults().stall_batches();
    let is_look = |request: &Request| request.method == Method::Get && request.target.contains("/batches/");
    let (report, heard) = leaves_midway(&world, is_look).await;
    assert_eq!(heard, Some(2), "before the next look: {report:?}");
    assert_eq!((report.planned, report.applied), (MANY as u64, 1), "who left is left alone: {report:?}");
    let counters = world.sandbox.counters();
    assert_eq!(counters.requests["POST /batches"], 1, "nothing is handed over twice");
    assert_eq!(counters.requests["GET /batches/{batch_id}"], 6, "the patience is one");
    world.sandbox.faults().release_batches();
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_yes_given_beforehand_lets_the_whole_first_adoption_through() {
    let world = World::new(Policy::default()).await;
    world.register_many(1200);
    let name = naming(&world);
    world.tap.before_each(move |_, _| name());
    world.later(60);
    let report = world.cycle.run(Scope::Full, Adoption::Yes).await.unwrap();
    world.tap.calm();
    assert_eq!(report.held, 0, "{report:?}");
    world.sync().await;
    world.assert_in_step();
}
