//! Power cuts while changes are in a batch: before and after it is submitted, while it is looked for, while it is settled.

use rosterd::cycle::Adoption;
use rosterd::observe::Scope;

use crate::batches::{MANY, renamed};
use crate::tap::{Moment, until_poll};
use crate::world::World;

/// Two cycles after a start on the same files; nothing is lost, nobody is mailed, and every change is made once or twice.
async fn assert_made_whole(world: World, what: &str) {
    let world = world.restart().await;
    world.sync().await;
    world.sync().await;
    world.assert_in_step();
    for n in 0..MANY {
        assert_eq!(world.field(&format!("p{n}@alliance.test"), "LNAME"), "Byron", "{what}: p{n}");
    }
    assert_eq!(world.cycle.state.unfinished_batches().await.unwrap(), [], "{what}");
    assert_eq!(world.parked().await, [], "{what}");
    assert_eq!(world.sandbox.counters().status_writes, 0, "{what}");
    world.assert_nobody_mailed();
    world.assert_quiet().await;
}

async fn cut_at_every_request(moment: Moment) {
    let mut request = 1;
    loop {
        let world = renamed(MANY).await;
        world.later(60);
        let tap = world.tap.clone();
        let cycle = world.cycle.run(Scope::Incremental, Adoption::Ask);
        let ended = tap.until_power_cut(request, moment, cycle).await;
        assert_made_whole(world, &format!("{moment:?} request {request}")).await;
        if ended.is_some() {
            assert!(request > 5, "{request}");
            return;
        }
        request += 1;
    }
}

#[tokio::test]
async fn a_batch_cut_before_any_request_is_made_whole() {
    cut_at_every_request(Moment::Before).await;
}

#[tokio::test]
async fn a_batch_cut_after_any_request_is_made_whole() {
    cut_at_every_request(Moment::After).await;
}

#[tokio::test]
async fn a_batch_cut_at_any_other_point_is_made_whole() {
    let mut polls = 1;
    loop {
        let world = renamed(MANY).await;
        world.later(60);
        let ended = until_poll(polls, world.cycle.run(Scope::Incremental, Adoption::Ask)).await;
        assert_made_whole(world, &format!("poll {polls}")).await;
        if ended.is_some() {
            // How many there are depends on what is ready at once.
            assert!(polls > 10, "{polls}");
            return;
        }
        polls += 3;
    }
}
