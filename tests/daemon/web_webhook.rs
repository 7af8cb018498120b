//! Mailchimp calls: what people do there is in the register at once, and nobody else can make it so.

use std::sync::atomic::Ordering;

use rosterd::reconcile::policy::Policy;
use rosterd::sandbox::FormEntry;
use rosterd::state::keep_configured_secret;
use secrecy::SecretString;

use crate::served::{PATH_SECRET, Served};
use crate::world::World;

async fn served() -> Served {
    let world = World::adopted(Policy::default(), |world| world.register_many(20)).await;
    world.sync().await;
    Served::over(world).await
}

fn email(number: usize) -> String {
    format!("p{number}@alliance.test")
}

/// An event as Mailchimp would send it.
fn event(kind: &str, email: &str) -> String {
    format!("type={kind}&fired_at=2026-03-01+12%3A01%3A00&data%5Bemail%5D={}", email.replace('@', "%40"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_do_in_mailchimp_is_in_the_register_at_once() {
    let served = served().await;
    served.provision().await;
    let person = served.world.person();
    person.unsubscribe(&email(1)).unwrap();
    person.edit_preferences(&email(2), &FormEntry::new().field("FNAME", "Edited").tick("Water")).unwrap();
    person.change_address(&email(3), "moved@alliance.test").unwrap();
    person.bounce(&email(4)).unwrap();
    person.complain(&email(5)).unwrap();
    person.subscribe_by_form("new@alliance.test", &FormEntry::new().field("FNAME", "New")).unwrap();
    let world = |served: &Served| {
        let world = &served.world;
        let status = |n| world.says_locally(&email(n));
        let edited = (world.column(&email(2), "first_name"), world.interests(&email(2)));
        let left = (status(1), status(4), status(5));
        (
            left,
            edited,
            world.says_locally("moved@alliance.test"),
            world.column("new@alliance.test", "first_name"),
        )
    };
    let text = str::to_owned;
    let expected = (
        (text("unsubscribed"), text("cleaned"), text("unsubscribed")),
        (text("Edited"), vec![text("Water")]),
        text("subscribed"),
        text("New"),
    );
    served.until(|served| world(served) == expected).await;
    served.until_settled().await;
    assert_eq!(served.web.events.forged.load(Ordering::Relaxed), 0);
    assert_eq!(served.world.rows(), 21);
    assert!(served.kept().contains(&"webhook upemail".to_owned()), "{:?}", served.kept());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_that_come_twice_and_in_any_order_lead_to_the_same() {
    let served = served().await;
    served.provision().await;
    let faults = served.world.sandbox.faults();
    faults.double_webhooks(100);
    faults.reverse_webhooks();
    let person = served.world.person();
    person.unsubscribe(&email(1)).unwrap();
    person.edit_preferences(&email(2), &FormEntry::new().field("FNAME", "First")).unwrap();
    person.edit_preferences(&email(2), &FormEntry::new().field("FNAME", "Last")).unwrap();
    person.change_address(&email(3), "moved@alliance.test").unwrap();
    person.change_address("moved@alliance.test", "again@alliance.test").unwrap();
    served.until(|served| served.world.says_locally(&email(1)) == "unsubscribed").await;
    served.until(|served| served.world.column(&email(2), "first_name") == "Last").await;
    served.until(|served| served.world.says_locally("again@alliance.test") == "subscribed").await;
    served.until_settled().await;
    let kept = served.kept().len();
    served.call(None, &event("x", "nobody@alliance.test")).await;
    let stored = served.web.events.stored.load(Ordering::Relaxed);
    assert!(stored > kept as u64, "{stored} calls, {kept} events");
    assert_eq!(served.world.rows(), 20);
    assert_eq!(served.world.sandbox.counters().status_writes, 0, "nothing goes back to Mailchimp");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_never_believed() {
    let served = served().await;
    let secret = served.provision().await;
    served.world.person().unsubscribe(&email(2)).unwrap();
    served.until(|served| served.world.says_locally(&email(2)) == "unsubscribed").await;
    for (kind, number) in [("unsubscribe", 1), ("cleaned", 1), ("subscribe", 2), ("profile", 2)] {
        let body = format!("{}&data[merges][FNAME]=Mallory", event(kind, &email(number)));
        assert_eq!(served.call(Some(&served.sign(&secret, 0, &body)), &body).await, 200);
    }
    let renamed = "type=upemail&data[old_email]=p3%40alliance.test&data[new_email]=p4%40alliance.test";
    assert_eq!(served.call(Some(&served.sign(&secret, 0, renamed)), renamed).await, 200);
    served.until(|served| served.kept().len() == 6).await;
    served.until_settled().await;
    let world = &served.world;
    assert_eq!(world.says_locally(&email(1)), "subscribed");
    assert_eq!(world.says_locally(&email(2)), "unsubscribed");
    assert_eq!(world.texts("SELECT DISTINCT first_name FROM registrations"), ["P"]);
    assert_eq!(world.rows(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forged_is_refused_and_what_is_old_is_counted() {
    let served = served().await;
    let body = event("unsubscribe", &email(1));
    let wrong_path = format!("/webhook/{}", PATH_SECRET.replace('0', "1"));
    for path in [&*wrong_path, "/webhook/", "/webhook", "/webhook/x/y", "/webhook/%2e%2e", "/webhook/%ff"] {
        let (status, _) = served.post(path, &[], &body).await;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
        assert!(matches!(served.get(path).await.0, 400 | 404), "{path}");
    }
    assert_eq!(served.get(&format!("/webhook/{PATH_SECRET}")).await.0, 200, "as the validator asks");
    assert_eq!(served.call(None, &body).await, 200, "no secret is known, the path alone counts");
    served.keep("first");
    let sign = |secret: &str, seconds| served.sign(secret, seconds, &body);
    assert_eq!(served.call(Some(&sign("first", 0)), &body).await, 200, "known at once");
    assert_eq!(served.call(None, &body).await, 403);
    assert_eq!(served.call(Some(&sign("other", 0)), &body).await, 403);
    assert_eq!(served.call(Some(&sign("first", 0)), &event("unsubscribe", &email(2))).await, 403);
    assert_eq!(served.call(Some(&sign("first", -310)), &body).await, 200);
    assert_eq!(served.call(Some(&sign("first", 310)), &body).await, 200);
    served.keep("second");
    for secret in ["first", "second"] {
        assert_eq!(served.call(Some(&sign(secret, 0)), &body).await, 200, "{secret}");
    }
    served.configure(|terms| terms.webhook_signing_secret = Some("third".into()));
    assert_eq!(served.call(Some(&sign("third", 0)), &body).await, 200);
    let events = &served.web.events;
    let counted = [&events.stored, &events.stale, &events.forged].map(|count| count.load(Ordering::Relaxed));
    assert_eq!(counted, [5, 2, 3]);
    served.until_settled().await;
    assert_eq!(served.kept(), ["webhook unsubscribe"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_is_not_taken_on_trust() {
    let served = served().await;
    std::fs::write(format!("{}.secrets", served.world.cycle.state.path().display()), "no JSON").unwrap();
    assert_eq!(served.call(None, &event("unsubscribe", &email(1))).await, 503);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_stored_is_to_be_sent_again_and_is_not_lost() {
    let served = served().await;
    let secret = served.provision().await;
    let folder = served.spool().folder().to_owned();
    let _ = std::fs::remove_dir(&folder);
    std::fs::write(&folder, "in the way").unwrap();
    let body = event("unsubscribe", &email(1));
    assert_eq!(served.call(Some(&served.sign(&secret, 0, &body)), &body).await, 503);
    let (status, said) = served.post("/api/v1/events", &bearer(), &body).await;
    assert_eq!(status, 503);
    assert!(said.contains("post them again"), "{said}");
    assert_eq!(served.kept(), [""; 0]);
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(served.call(Some(&served.sign(&secret, 0, &body)), &body).await, 200);
    served.until(|served| served.kept() == ["webhook unsubscribe"]).await;
}

fn bearer() -> [(&'static str, &'static str); 1] {
    [("authorization", "Bearer events-0123456789abcdef")]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_or_too_much_is_no_reason_to_send_it_again() {
    let served = served().await;
    for body in ["", "hello", "{\"type\":", "\u{0}"] {
        assert_eq!(served.call(None, body).await, 200, "{body:?}");
    }
    assert_eq!(served.web.events.not_understood.load(Ordering::Relaxed), 4);
    assert_eq!(served.call(None, &"a=b&".repeat(100_000)).await, 413);
    let (status, _) = served.post("/healthz", &[], "").await;
    assert_eq!(status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_mailchimp_signed_is_not_sent_again_because_it_is_long() {
    // It was answered 413, sent again for 75 minutes, and in the end the webhook was switched off.
    let served = served().await;
    served.keep("secret");
    let long = format!("{}&data[merges][NOTE]={}", event("profile", &email(1)), "a".repeat(400_000));
    assert_eq!(served.call(Some(&served.sign("secret", 0, &long)), &long).await, 200);
    assert_eq!(served.call(Some(&served.sign("other", 0, &long)), &long).await, 403);
    assert_eq!(served.call(None, &long).await, 403);
    assert_eq!(served.call(Some(&served.sign("secret", 0, "")), &"a".repeat(2 << 20)).await, 413);
    assert_eq!(served.web.events.too_long.load(Ordering::Relaxed), 1);
    assert_eq!(served.kept(), [""; 0], "polling finds it");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_configured_secret_changes_the_one_before_it_counts_too() {
    let served = served().await;
    let body = event("unsubscribe", &email(1));
    let reload = |secret: &str| {
        let secret = SecretString::from(secret);
        let (state, now) = (served.world.cycle.state.path(), served.world.clock.now());
        keep_configured_secret(state, Some(&secret), now).unwrap();
        served.configure(|terms| terms.webhook_signing_secret = Some(secret));
    };
    for (reloaded, signed_with) in [
        ("first", "first"),
        ("second", "first"),
        ("second", "second"),
        ("third", "second"),
        ("third", "third"),
    ] {
        reload(reloaded);
        let status = served.call(Some(&served.sign(signed_with, 0, &body)), &body).await;
        assert_eq!(status, 200, "{reloaded} {signed_with}");
    }
    // What no longer counts is remembered for a second.
    let waiting = async { while served.call(Some(&served.sign("first", 0, &body)), &body).await != 403 {} };
    tokio::time::timeout(std::time::Duration::from_secs(30), waiting).await.unwrap();
}
