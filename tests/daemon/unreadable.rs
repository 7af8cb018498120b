//! Contacts that cannot be read: nobody takes them for gone, and nobody else waits for them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rosterd::mailchimp::transport::{Method, Request, Response};
use rosterd::model::EmailAddress;
use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::{Fault, FaultKind};
use rosterd::worker::{Desk, Health, Rhythm, one_cycle};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::world::World;

const MEMBER: &str = "/lists/{list_id}/members/{subscriber_hash}";

/// What a contact may show that nobody can read.
fn oddities() -> [Value; 3] {
    [json!({"email_address": ""}), json!({"email_address": "nobody"}), json!({"status": "limbo"})]
}

/// Has Mailchimp show `odd` of the contacts with these addresses, wherever it shows them.
fn show(odd: &Value, addresses: Vec<String>) -> impl FnMut(&Request, &mut Response) + Send + use<> {
    let odd = odd.as_object().unwrap().clone();
    move |_, response| {
        let Ok(mut body) = serde_json::from_slice::<Value>(&response.body) else { return };
        let change = |row: &mut Value| {
            let email = row["email_address"].as_str().unwrap_or_default().to_owned();
            if addresses.contains(&email) {
                row.as_object_mut().unwrap().extend(odd.clone());
            }
        };
        match body.get_mut("members").and_then(Value::as_array_mut) {
            Some(rows) => rows.iter_mut().for_each(change),
            None => change(&mut body),
        }
        response.body = body.to_string().into_bytes();
    }
}

fn email(n: usize) -> String {
    format!("p{n}@alliance.test")
}

async fn world() -> World {
    let world = World::adopted(Policy::default(), |world| world.register_many(5)).await;
    world.sync().await;
    world
}

/// Everybody else is kept in step while one contact cannot be read, and the one once it can.
async fn assert_the_rest_goes_on(world: &World) {
    world.leave(&email(2));
    world.person().unsubscribe(&email(3)).unwrap();
    world.sync().await;
    world.assert_both(&email(2), "unsubscribed");
    world.assert_both(&email(3), "unsubscribed");
    world.tap.calm();
    world.later(24 * 3600);
    world.sync_full().await;
    world.assert_in_step();
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

#[tokio::test]
async fn a_contact_that_cannot_be_read_stops_no_full_cycle_and_is_not_gone() {
    for odd in oddities() {
        let world = world().await;
        world.tap.retell(show(&odd, vec![email(1)]));
        world.sync_full().await;
        assert_eq!(world.says_locally(&email(1)), "subscribed", "{odd}");
        assert_the_rest_goes_on(&world).await;
    }
}

#[tokio::test]
async fn a_contact_in_doubt_that_cannot_be_read_is_set_aside_and_stops_no_cycle() {
    for odd in oddities() {
        let world = world().await;
        world.tap.retell(show(&odd, vec![email(1)]));
        let named = vec![EmailAddress::parse(&email(1)).unwrap()];
        world.cycle.state.add_pending(named, "a test".to_owned(), world.clock.now()).await.unwrap();
        world.sync().await;
        let parked = world.parked().await;
        assert_eq!(parked.len(), 1, "{odd}");
        assert_eq!((parked[0].park.class.as_str(), parked[0].attempts), ("unreadable", 1));
        assert!(world.note(&email(1)).contains("cannot be read"), "{}", world.note(&email(1)));
        assert_eq!(world.sync().await.requests, 2, "nobody asks again and again");
        assert_the_rest_goes_on(&world).await;
        assert_eq!(world.parked().await, []);
    }
}

#[tokio::test]
async fn who_leaves_locally_leaves_in_mailchimp_though_their_contact_cannot_be_read() {
    for odd in oddities() {
        let world = world().await;
        world.tap.retell(show(&odd, vec![email(1)]));
        world.sync_full().await;
        world.leave(&email(1));
        world.sync().await;
        assert_eq!(world.status(&email(1)), "unsubscribed", "{odd}");
        world.sync().await;
        world.sync().await;
        assert_eq!(world.parked().await.len(), 1, "{odd}");
        assert_eq!(world.sync().await.requests, 2, "nobody asks again and again");
        assert_the_rest_goes_on(&world).await;
        world.assert_both(&email(1), "unsubscribed");
    }
}

#[tokio::test]
async fn many_contacts_that_cannot_be_read_are_not_missing() {
    let world = World::adopted(Policy::default(), |world| world.register_many(30)).await;
    world.sync().await;
    world.tap.retell(show(&json!({"status": "limbo"}), (0..20).map(email).collect()));
    let requests = world.sync_full().await.requests;
    assert!(requests < 10, "{requests}");
    assert_eq!(world.cycle.state.holds().await.unwrap(), []);
    assert_eq!(world.texts("SELECT email FROM registrations WHERE subscription <> 'subscribed'"), [""; 0]);
}

#[tokio::test]
async fn a_row_without_an_address_at_the_edge_of_a_page_has_nobody_walked_again() {
    let world = World::adopted(Policy::default(), |world| world.sandbox.populate(1_200)).await;
    let walked = Arc::new(Mutex::new(Vec::new()));
    let rows = walked.clone();
    world.tap.retell(move |request, response| {
        if request.target.contains("sort_field=timestamp_opt") && !request.target.contains("status=archived")
        {
            let body: Value = serde_json::from_slice(&response.body).unwrap();
            let rows_of_page = body["members"].as_array().unwrap().iter();
            rows.lock()
                .unwrap()
                .extend(rows_of_page.map(|row| row["email_address"].as_str().unwrap().to_owned()));
        }
    });
    let requests = world.sync_full().await.requests;
    let at_the_edge = walked.lock().unwrap()[997].clone();
    world.tap.retell(show(&json!({"email_address": ""}), vec![at_the_edge]));
    assert_eq!(world.sync_full().await.requests, requests);
}

#[tokio::test]
async fn while_no_full_cycle_comes_to_its_end_the_others_go_on() {
    let world = world().await;
    let rhythm = Rhythm {
        interval: Duration::from_secs(60),
        full_interval: Duration::from_hours(24),
        beat: Duration::from_secs(60),
        look: None,
    };
    let (desk, health) = (Desk::default(), watch::Sender::new(Health::default()));
    world.tap.retell(|request, response| {
        if request.target.contains("sort_field=timestamp_opt") {
            response.body.truncate(20);
        }
    });
    world.later(25 * 3600);
    one_cycle(&world.cycle, rhythm, &desk, &health).await;
    assert_eq!(health.borrow().failures, 1);
    world.leave(&email(1));
    world.later(120);
    one_cycle(&world.cycle, rhythm, &desk, &health).await;
    assert_eq!(health.borrow().failures, 0);
    world.assert_both(&email(1), "unsubscribed");

    world.later(120);
    one_cycle(&world.cycle, rhythm, &desk, &health).await;
    assert_eq!(health.borrow().failures, 1, "the full one is tried again");
    world.tap.calm();
    world.later(1800);
    one_cycle(&world.cycle, rhythm, &desk, &health).await;
    assert_eq!(health.borrow().last.as_ref().map(|report| report.kind.as_str()), Some("full"));
    assert_eq!(health.borrow().full_failed, None);
}

#[tokio::test]
async fn a_contact_that_mailchimp_refuses_to_show_stops_no_cycle() {
    let world = world().await;
    let kind = FaultKind::Refused(400, "Invalid Resource".to_owned(), "Nobody knows why.".to_owned());
    world.sandbox.faults().add(Fault::new(kind).on_method(Method::Get).on_path(MEMBER).always());
    let named = vec![EmailAddress::parse(&email(1)).unwrap()];
    world.cycle.state.add_pending(named, "a test".to_owned(), world.clock.now()).await.unwrap();
    world.sync().await;
    assert!(world.note(&email(1)).contains("Nobody knows why."), "{}", world.note(&email(1)));
    world.sandbox.faults().clear();
    assert_the_rest_goes_on(&world).await;
}
