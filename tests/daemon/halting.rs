//! What stops a plan in its midst: nothing is begun any more, what had begun is finished, and the next cycle goes on.

use std::sync::Arc;

use async_trait::async_trait;
use rosterd::apply::ApplyError;
use rosterd::cycle::{Adoption, CycleError};
use rosterd::mailchimp::transport::{Method, Request};
use rosterd::model::{EmailAddress, Key, Registration, RegistrationId};
use rosterd::observe::Scope;
use rosterd::reconcile::policy::{Policy, RegisterFeatures};
use rosterd::registrations::{
    Changes, CreateOutcome, LocalCursor, NewRegistration, ReadRegistrations, Reading, RegisterError,
    RowChanges, WriteOutcome, WriteRegistrations,
};
use rosterd::sandbox::{Fault, FaultKind, FormEntry};
use rosterd::state::{CycleId, CycleKind};
use tokio_util::sync::CancellationToken;

use crate::world::{Setup, Topics, World};

const MEMBER: &str = "/lists/{list_id}/members/{subscriber_hash}";

/// Forty members, all of whom have left on the website, each at a time of their own.
async fn forty_who_left() -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    world.sync().await;
    for n in 0..40 {
        world.later(1);
        world.leave(&format!("p{n}@alliance.test"));
    }
    world.sandbox.reset_log();
    world
}

fn patches(world: &World) -> usize {
    world.sandbox.log().iter().filter(|request| request.method == "PATCH").count()
}

/// Every operation that was begun has ended in the trail.
async fn assert_nothing_is_open(world: &World) {
    assert_eq!(world.cycle.state.end_open_entries(world.clock.now()).await.unwrap(), 0);
}

fn names(request: &Request, email: &str) -> bool {
    String::from_utf8_lossy(request.body.as_deref().unwrap_or_default()).contains(email)
}

#[tokio::test]
async fn a_key_revoked_in_the_midst_is_tried_with_by_nobody_who_had_not_begun() {
    let world = forty_who_left().await;
    let person = world.person();
    let mut patches_seen = 0;
    world.tap.before_each(move |_, request| {
        patches_seen += u32::from(request.method == Method::Patch);
        if patches_seen == 10 {
            person.staff_revoke_key();
        }
    });
    let error = world.try_sync().await.unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert!(patches(&world) < 20, "{}", patches(&world));
    assert_nothing_is_open(&world).await;
}

#[tokio::test]
async fn a_stop_finishes_what_had_begun_and_a_new_start_does_the_rest() {
    let world = forty_who_left().await;
    let stop = world.cycle.stop.clone();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Patch {
            stop.cancel();
        }
    });
    let error = world.try_sync().await.unwrap_err();
    assert!(error.is_stop(), "{error}");
    assert!(patches(&world) < 10, "{}", patches(&world));
    assert_nothing_is_open(&world).await;
    world.tap.calm();
    let world = world.restart().await;
    world.sync().await;
    assert_eq!(world.sandbox.counters().status_writes, 40);
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_run_of_equal_refusals_leaves_no_operation_open() {
    let world = forty_who_left().await;
    let kind = FaultKind::Refused(400, "Etwas ging schief".to_owned(), "Niemand weiß was.".to_owned());
    world.sandbox.faults().add(Fault::new(kind).on_method(Method::Patch).always());
    let error = world.try_sync().await.unwrap_err();
    assert!(matches!(error, CycleError::Apply(ApplyError::EqualUnknowns { .. })), "{error}");
    assert!(patches(&world) < 20, "{}", patches(&world));
    assert_nothing_is_open(&world).await;
}

#[tokio::test]
async fn a_busy_mailchimp_is_left_alone_until_the_next_cycle() {
    let world = forty_who_left().await;
    world.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests).on_method(Method::Patch).always());
    let began = world.clock.now();
    let error = world.try_sync().await.unwrap_err();
    assert!(!error.is_fatal(), "{error}");
    assert!(
        world.clock.now().duration_since(began).as_secs() < 180,
        "nobody waits for their own turn to fail"
    );
    assert_nothing_is_open(&world).await;
    world.sandbox.faults().clear();
    world.later(900);
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn one_contact_that_spoils_a_whole_call_stops_nobody_else() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    for n in 0..30 {
        world.register(&format!("new{n}@alliance.test"), "New");
    }
    let sandbox = world.sandbox.clone();
    world.tap.before_each(move |_, request| {
        if request.method == Method::Post && names(request, "new7@") {
            let kind = FaultKind::Refused(400, "Invalid Resource".to_owned(), "Spoilt.".to_owned());
            sandbox.faults().add(Fault::new(kind).on_method(Method::Post));
        }
    });
    let report = world.sync().await;
    assert_eq!(report.parked, 1, "{report:?}");
    for n in (0..30).filter(|n| *n != 7) {
        world.assert_both(&format!("new{n}@alliance.test"), "subscribed");
    }
    assert_eq!(world.status("new7@alliance.test"), "");
    assert!(world.note("new7@alliance.test").contains("Spoilt"), "{}", world.note("new7@alliance.test"));
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_call_that_is_refused_for_everybody_stops_after_a_few_tries() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    for n in 0..60 {
        world.register(&format!("new{n}@alliance.test"), "New");
    }
    let kind = FaultKind::Refused(400, "Invalid Resource".to_owned(), "Spoilt.".to_owned());
    world.sandbox.faults().add(Fault::new(kind).on_method(Method::Post).always());
    world.sandbox.reset_log();
    let error = world.try_sync().await.unwrap_err();
    assert!(!error.is_fatal(), "{error}");
    let posts = world.sandbox.log().iter().filter(|request| request.method == "POST").count();
    assert!(posts < 40, "{posts}");
    assert_nothing_is_open(&world).await;
    world.sandbox.faults().clear();
    world.later(24 * 3600);
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn what_was_lost_on_the_way_holds_back_the_rest_of_its_member() {
    for kind in [FaultKind::CutBefore, FaultKind::CutAfter] {
        let setup = Setup { topics: Topics::Tags, ..Setup::default() };
        let world = World::adopted_as(setup, |world| world.register_many(3)).await;
        world.sync().await;
        world.sql(
            "UPDATE registrations SET email = 'moved@alliance.test', last_name = 'Byron', updated_at = :now
                   WHERE id = 2",
        );
        world.sql("INSERT INTO registration_interests VALUES (2, 'topic', 'Health')");
        world.sandbox.faults().add(Fault::new(kind.clone()).on_method(Method::Patch));
        world.sandbox.reset_log();
        world.sync().await;
        let log = world.sandbox.log();
        let lost = log.iter().position(|request| request.fault.is_some()).unwrap();
        let next = log[lost + 1..].iter().find(|request| request.pattern.starts_with(MEMBER));
        assert_eq!(next.map(|request| request.method).unwrap_or("GET"), "GET", "{kind:?}");
        world.sync().await;
        world.assert_both("moved@alliance.test", "subscribed");
        assert_eq!(world.field("moved@alliance.test", "LNAME"), "Byron");
        assert_eq!(world.tags("moved@alliance.test"), ["topic: Health"]);
        world.assert_quiet().await;
    }
}

#[tokio::test]
async fn an_invitation_whose_second_look_fails_is_asked_later_and_once() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    world.person().unsubscribe("p1@alliance.test").unwrap();
    world.sync().await;
    world.later(3600);
    world.says("p1@alliance.test", "subscribed");
    world
        .sandbox
        .faults()
        .add(Fault::new(FaultKind::ServerError).on_method(Method::Get).on_path(MEMBER).always());
    assert!(world.try_sync().await.is_err());
    assert_nothing_is_open(&world).await;
    world.assert_nobody_mailed();
    world.sandbox.faults().clear();
    world.later(900);
    world.sync().await;
    world.assert_both("p1@alliance.test", "pending");
    assert_eq!(world.sandbox.confirmation_mails("p1@alliance.test"), 1);
    world.assert_quiet().await;
}

#[tokio::test]
async fn an_older_backup_of_the_state_brings_nobody_back_and_loses_nothing() {
    let world = World::adopted(Policy::default(), |world| world.register_many(12)).await;
    world.sync().await;
    let backup = world.back_up_the_state();
    world.person().unsubscribe("p1@alliance.test").unwrap();
    world.leave("p2@alliance.test");
    world.sql("UPDATE registrations SET last_name = 'Byron', updated_at = :now WHERE id = 4");
    world.sql("DELETE FROM registrations WHERE id = 5");
    world.register("new@alliance.test", "New");
    world.sync().await;
    world.assert_quiet().await;
    world.later(3600);
    let world = world.restore_the_state(backup).await;
    world.sync().await;
    world.sync_full().await;
    world.assert_both("p1@alliance.test", "unsubscribed");
    world.assert_both("p2@alliance.test", "unsubscribed");
    assert_eq!(world.status("p4@alliance.test"), "archived");
    world.assert_in_step();
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_cycle_that_could_not_even_begin_is_one_that_failed() {
    let world = World::adopted(Policy::default(), |world| world.register("ada@alliance.test", "Ada")).await;
    world.later(3 * 3600);
    world.sandbox.faults().add(Fault::new(FaultKind::CutBefore).always());
    world.try_sync().await.unwrap_err();
    let last = world.cycle.state.last_cycle(CycleKind::Incremental).await.unwrap().unwrap();
    assert!(last.ended_at.is_some() && last.error.as_deref().is_some_and(|error| error.contains("reset")));
    assert_eq!(last.id, CycleId(2), "the schema is old and has to be read first: {last:?}");
}

#[tokio::test]
async fn a_pause_in_the_midst_of_a_plan_lets_nobody_begin_who_had_not() {
    let world = forty_who_left().await;
    let path = world.directory.path().join("state.db");
    let now = world.clock.now();
    let mut is_first = true;
    world.tap.before_each(move |_, request| {
        if request.method == Method::Patch && std::mem::take(&mut is_first) {
            let staff = rusqlite::Connection::open(&path).unwrap();
            let sql = "INSERT OR REPLACE INTO meta (key, value) VALUES ('paused_at', ?1)";
            staff.execute(sql, [format!("{now:.6}")]).unwrap();
        }
    });
    world.sync().await;
    assert!(patches(&world) < 10, "{}", patches(&world));
    assert_nothing_is_open(&world).await;
    world.tap.calm();
    world.cycle.state.set_paused(rosterd::state::Pause::Running).await.unwrap();
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_stop_in_the_midst_of_the_register_is_heard_at_the_next_row() {
    let world = World::adopted(Policy::default(), |world| world.register_many(3)).await;
    world.sync().await;
    for n in 0..120 {
        world.person().subscribe_by_form(&format!("f{n}@alliance.test"), &FormEntry::new()).unwrap();
    }
    let mut cycle = world.cycle.clone();
    cycle.local = std::sync::Arc::new(StopsAt { register: cycle.local.clone(), stop: cycle.stop.clone() });
    world.later(60);
    let error = cycle.run(Scope::Incremental, Adoption::Ask).await.unwrap_err();
    assert!(error.is_stop(), "{error}");
    assert_eq!(world.rows(), 4);
    assert_nothing_is_open(&world).await;
    drop(cycle);
    let world = world.restart().await;
    world.sync().await;
    world.assert_in_step();
    world.assert_quiet().await;
}

/// A register whose first creation is followed by the word to stop.
#[derive(Debug)]
struct StopsAt {
    register: Arc<dyn WriteRegistrations>,
    stop: CancellationToken,
}

#[async_trait]
impl ReadRegistrations for StopsAt {
    fn features(&self) -> RegisterFeatures {
        self.register.features()
    }
    fn holds(&self, key: &Key) -> bool {
        self.register.holds(key)
    }
    async fn identity(&self) -> Result<String, RegisterError> {
        self.register.identity().await
    }
    async fn page(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<Reading>, RegisterError> {
        self.register.page(after, limit).await
    }
    async fn cursor(&self) -> Result<LocalCursor, RegisterError> {
        self.register.cursor().await
    }
    async fn changes(&self, cursor: &LocalCursor, limit: usize) -> Result<Option<Changes>, RegisterError> {
        self.register.changes(cursor, limit).await
    }
    async fn by_id(&self, ids: &[RegistrationId]) -> Result<Vec<Reading>, RegisterError> {
        self.register.by_id(ids).await
    }
    async fn by_email(&self, email: &EmailAddress) -> Result<Vec<Reading>, RegisterError> {
        self.register.by_email(email).await
    }
    async fn ids(
        &self,
        after: Option<&RegistrationId>,
        limit: usize,
    ) -> Result<Vec<RegistrationId>, RegisterError> {
        self.register.ids(after, limit).await
    }
}

#[async_trait]
impl WriteRegistrations for StopsAt {
    async fn write(&self, seen: &Registration, changes: &RowChanges) -> Result<WriteOutcome, RegisterError> {
        self.register.write(seen, changes).await
    }
    async fn create(&self, new: &NewRegistration) -> Result<CreateOutcome, RegisterError> {
        let outcome = self.register.create(new).await;
        self.stop.cancel();
        outcome
    }
    async fn note(&self, id: &RegistrationId, note: &str) -> Result<(), RegisterError> {
        self.register.note(id, note).await
    }
    async fn erase(&self, ids: &[RegistrationId]) -> Result<(), RegisterError> {
        self.register.erase(ids).await
    }
    async fn drop_orphaned_groups(&self) -> Result<u64, RegisterError> {
        self.register.drop_orphaned_groups().await
    }
}

/// Twelve removed people, approved to leave the audience.
async fn twelve_approved_to_go() -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(40)).await;
    world.sync().await;
    world.sql("DELETE FROM registrations WHERE id <= 12");
    assert_eq!(world.sync().await.held, 12);
    world.cycle.state.approve(world.hold().await.id, world.clock.now()).await.unwrap();
    world
}

#[tokio::test]
async fn an_approval_ends_with_the_cycle_that_tried_it_whatever_became_of_the_cycle() {
    let world = twelve_approved_to_go().await;
    world.register("new@alliance.test", "New");
    world.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests).on_method(Method::Post).always());
    assert!(world.try_sync().await.is_err());
    assert_eq!(world.status("p0@alliance.test"), "archived");
    assert_eq!(world.cycle.state.holds().await.unwrap(), []);
}

#[tokio::test]
async fn an_approval_outlives_a_cycle_that_ended_before_it_was_tried() {
    let world = twelve_approved_to_go().await;
    world.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests).on_method(Method::Delete).always());
    assert!(world.try_sync().await.is_err());
    world.sandbox.faults().clear();
    world.later(900);
    world.sync().await;
    assert_eq!(world.status("p0@alliance.test"), "archived");
    world.sync().await;
    assert_eq!(world.cycle.state.holds().await.unwrap(), []);
    world.assert_quiet().await;
}
