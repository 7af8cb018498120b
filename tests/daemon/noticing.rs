//! A register that tells of changes has a cycle begin at once.

use std::time::Duration;

use rosterd::reconcile::policy::Policy;
use rosterd::worker::{Desk, Health, Rhythm, work};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::world::World;

const NEVER: Duration = Duration::from_hours(24 * 3_650);
const ADA: &str = "ada@alliance.test";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_website_changes_is_in_mailchimp_long_before_a_cycle_is_due() {
    let world = World::adopted(Policy::default(), |world| world.register(ADA, "Ada")).await;
    world.clock.release();
    world.later(0);
    let (cycle, stop, health) = (world.cycle.clone(), CancellationToken::new(), watch::Sender::default());
    let (told, token) = (health.clone(), stop.clone());
    let rhythm =
        Rhythm { interval: NEVER, full_interval: NEVER, beat: NEVER, look: Some(Duration::from_millis(5)) };
    tokio::spawn(async move { work(&cycle, rhythm, &Desk::default(), &told, &token).await });
    let mut heard = health.subscribe();
    let mut until = async |cycles| {
        let waiting = heard.wait_for(|health: &Health| health.cycles >= cycles);
        tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap().unwrap();
    };
    until(1).await;
    world.leave(ADA);
    until(2).await;
    world.assert_both(ADA, "unsubscribed");
    stop.cancel();
}
