//! The laws of the core, held against random stories of one person between two sides.
//!
//! Two thousand stories in every run, the same ones; `PROPTEST_CASES=500000 cargo test --release laws` plays others, and more.
//! A failure prints the shortest story that still breaks the law, with what each round wrote.

mod act;
mod ledger;
mod shown;
mod stage;

use jiff::SignedDuration;
use proptest::prelude::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use crate::model::Registration;
use crate::model::SubscriptionStatus::{
    self, Archived, Cleaned, Pending, Subscribed, Transactional, Unsubscribed,
};
use crate::reconcile::consent::DecidedStatus;
use crate::reconcile::plan::{Class, Conflict, MemberPlan, Operation, Planned, Side};
use crate::reconcile::policy::{GoneLocal, NewLocal, NewRemote};
use crate::reconcile::reconcile;
use crate::reconcile::tests::laws::act::{Act, Rules, Story, stories};
use crate::reconcile::tests::laws::ledger::{is_one_way, is_tags};
use crate::reconcile::tests::laws::shown::{Look, Shown, look, speaking};
use crate::reconcile::tests::laws::stage::Stage;
use crate::reconcile::tests::world::{Fate, words};
use crate::reconcile::trio::Trio;

/// What a law says, where it is broken.
type Broken = Result<(), String>;

/// As many stories as fit into a few seconds.
const STORIES: u32 = 2_000;

/// As many as proptest plays where nobody asked for a number.
/// <https://docs.rs/proptest/latest/proptest/test_runner/struct.Config.html>
const UNASKED: u32 = 256;

#[test]
fn the_laws_hold_in_every_story() {
    hold_in(&stories());
}

#[test]
fn the_laws_hold_in_every_story_of_a_register_with_two_words() {
    hold_in(&stories().prop_map(|story| Story { rules: Rules { two_words: true, ..story.rules }, ..story }));
}

fn hold_in(stories: &impl Strategy<Value = Story>) {
    let mut config = Config { failure_persistence: None, max_shrink_iters: 50_000, ..Config::default() };
    let played = std::cell::Cell::new(0_u32);
    let mut runner = if config.cases == UNASKED {
        config.cases = STORIES;
        TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha))
    } else {
        TestRunner::new(config)
    };
    let outcome = runner.run(stories, |story| {
        played.set(played.get() + 1);
        tell(&story).1.map_err(TestCaseError::fail)
    });
    match outcome {
        Ok(()) => (),
        Err(TestError::Fail(why, story)) => {
            let told = tell(&story).0;
            panic!("{why}, after {} stories:\n{story}{}", played.get(), told.join("\n"));
        }
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

/// Plays a story to its end and on until all is quiet; what was told, and the law that was broken.
fn tell(story: &Story) -> (Vec<String>, Broken) {
    let mut stage = Stage::new(story.rules);
    let broken = play(&mut stage, story);
    (stage.told, broken)
}

fn play(stage: &mut Stage, story: &Story) -> Broken {
    for step in &story.steps {
        stage.happen(step)?;
        match &step.act {
            Act::Cycle(fates) if fates.is_empty() => cycle(stage)?,
            Act::Cycle(fates) => round(stage, fates)?,
            _ => (),
        }
    }
    for _ in 0..3 {
        stage.land(SignedDuration::ZERO)?;
        stage.world.now += 10;
        stage.told.push("  later, all is quiet".to_owned());
        cycle(stage)?;
    }
    at_the_end(stage)
}

/// Up to three rounds, as in a cycle of the daemon.
fn cycle(stage: &mut Stage) -> Broken {
    for _ in 0..3 {
        let rests = stage.plan().operations.is_empty();
        round(stage, &[])?;
        if rests {
            break;
        }
    }
    Ok(())
}

fn round(stage: &mut Stage, fates: &[Fate]) -> Broken {
    stage.ledger.see(&stage.world);
    let plan = stage.plan();
    let before = look(&stage.world);
    only_an_own_opt_in_undoes_an_opt_out(stage, &plan)?;
    the_base_moves_only_for_what_is_settled(stage, &plan, &before)?;
    the_state_file_changes_nothing(stage, &plan)?;
    stage.ledger.note_rest(&plan, &before);
    let switched_off = switched_off(stage);
    stage.round(fates);
    let after = look(&stage.world);
    stage.ledger.count_mails(&stage.world)?;
    a_one_sided_edit_survives(stage, &before, &after)?;
    what_was_overwritten_is_recorded(stage, &plan, &before, &after)?;
    no_value_comes_from_nowhere(stage, &after)?;
    if switched_off != self::switched_off(stage) {
        return Err("what the audience lacks was changed in the register".to_owned());
    }
    stage.ledger.note_writes(&before, &after);
    Ok(())
}

fn raises(status: DecidedStatus) -> bool {
    matches!(status.get(), Subscribed | Pending)
}

/// Law 5: whoever left is made neither subscribed nor pending, and is sent nothing but the opt-out.
fn only_an_own_opt_in_undoes_an_opt_out(stage: &Stage, plan: &MemberPlan) -> Broken {
    if !stage.ledger.is_out() {
        return Ok(());
    }
    for Planned { operation, class, .. } in &plan.operations {
        let allowed = match operation {
            Operation::RemoteStatus { decided, .. } | Operation::RemoteCreate { decided, .. } => {
                !raises(*decided) || *class == Class::UnprovenInvitation
            }
            Operation::LocalStatus { status, .. } => !matches!(status, Subscribed | Pending),
            Operation::LocalCreate { .. } => false,
            Operation::RemoteRename { .. }
            | Operation::RemoteUpdate { .. }
            | Operation::RemoteTags { .. } => false,
            Operation::RemoteArchive { .. }
            | Operation::RemoteLeave { .. }
            | Operation::LocalRename { .. }
            | Operation::LocalUpdate { .. }
            | Operation::LocalKeep { .. } => true,
        };
        if !allowed {
            return Err(format!("planned for somebody who left: {:?}", words(operation)));
        }
    }
    Ok(())
}

/// Law 6: the base of a value moves only while both sides show it alike.
fn the_base_moves_only_for_what_is_settled(stage: &Stage, plan: &MemberPlan, now: &Look) -> Broken {
    let (Some(base), Some(local), Some(remote)) = (&plan.base, &now.local, &now.remote) else {
        return Ok(());
    };
    let old = stage.world.base.clone().unwrap_or_default();
    for (key, pair) in base.values.iter().filter(|(key, pair)| old.values.get(*key) != Some(*pair)) {
        // A write that nobody heard of, and that shows: the other side may have been changed since.
        let was_written = old.unheard.iter().any(|write| write.values.contains_key(key));
        if !is_one_way(key) && !was_written && local.get(key) != remote.get(key) {
            return Err(format!("the base of {key} moved to {pair:?} though the sides differ"));
        }
    }
    Ok(())
}

/// Law 6: what was stored and read back gives the same plan.
fn the_state_file_changes_nothing(stage: &Stage, plan: &MemberPlan) -> Broken {
    let trio = stage.world.trio();
    let stored = trio.base.as_ref().map(|base| serde_json::to_string(base).unwrap());
    let read = Trio { base: stored.map(|text| serde_json::from_str(&text).unwrap()), ..trio };
    match reconcile(&read, &stage.world.policy) == *plan {
        true => Ok(()),
        false => Err("the plan is another once the base was stored".to_owned()),
    }
}

/// Law 4: of a value that both sides agreed on, what one side alone changed is not overwritten there.
fn a_one_sided_edit_survives(stage: &Stage, before: &Look, after: &Look) -> Broken {
    let (Some(local), Some(remote)) = (&before.local, &before.remote) else { return Ok(()) };
    for key in stage.ledger.agreed.keys() {
        let changed = |then: &Shown, now: &Option<Shown>| {
            now.as_ref().is_some_and(|now| now.contains_key(key) && now.get(key) != then.get(key))
        };
        let unedited = |side: Side| !stage.ledger.is_edited(key, side);
        if unedited(Side::Remote) && changed(local, &after.local) {
            return Err(format!(
                "{key} was overwritten in the register though nobody had changed it in Mailchimp"
            ));
        }
        if !is_one_way(key) && unedited(Side::Local) && changed(remote, &after.remote) {
            return Err(format!(
                "{key} was overwritten in Mailchimp though nobody had changed it in the register"
            ));
        }
    }
    Ok(())
}

/// Law 4: where both sides changed a value, what lost is recorded.
fn what_was_overwritten_is_recorded(stage: &Stage, plan: &MemberPlan, before: &Look, after: &Look) -> Broken {
    let sides = [(Side::Local, &before.local, &after.local), (Side::Remote, &before.remote, &after.remote)];
    let (Some(local), Some(remote)) = (&before.local, &before.remote) else { return Ok(()) };
    for key in stage.ledger.agreed.keys().filter(|key| !is_one_way(key) && !is_tags(key)) {
        let both = stage.ledger.has_changed(key, local) && stage.ledger.has_changed(key, remote);
        for (side, was, is) in sides.iter().filter(|_| both) {
            let (Some(was), Some(is)) = (was, is) else { continue };
            let recorded = plan.conflicts.iter().any(|conflict| match conflict {
                Conflict::Overwritten { key: lost, side: where_, .. } => lost == key && where_ == side,
                _ => false,
            });
            if is.contains_key(key) && was.get(key) != is.get(key) && !recorded {
                return Err(format!("{key} was overwritten on the {side} side, and nobody is told"));
            }
        }
    }
    Ok(())
}

/// Law 3: every value was entered by somebody.
fn no_value_comes_from_nowhere(stage: &Stage, after: &Look) -> Broken {
    let shown = after.local.iter().chain(&after.remote).flatten();
    match shown.into_iter().find(|(key, value)| !stage.ledger.knows(key, value)) {
        Some((key, value)) => Err(format!("nobody ever entered {value} as {key}")),
        None => Ok(()),
    }
}

/// The interests of the speaking row that the audience lacks: nobody's value changes because of it.
fn switched_off(stage: &Stage) -> Vec<String> {
    let known = &stage.world.policy.dimensions[&crate::model::Dimension::new("topic")].known;
    let topics = speaking(&stage.world.local, "topic").into_iter();
    topics.filter(|name| !known.contains(*name)).map(str::to_owned).collect()
}

/// Laws 1, 2 and 5, once all has been quiet for three cycles.
fn at_the_end(stage: &mut Stage) -> Broken {
    stage.ledger.see(&stage.world);
    let plan = stage.plan();
    let held = plan.operations.iter().any(|planned| planned.class == Class::UnprovenInvitation);
    if !plan.operations.is_empty() && !held {
        let words: Vec<_> = plan.operations.iter().map(|planned| words(&planned.operation)).collect();
        return Err(format!("not at rest: {words:?}"));
    }
    let conflict =
        plan.conflicts.iter().any(|conflict| !matches!(conflict, Conflict::UnknownInterest { .. }));
    if held || conflict || plan.waits.is_some() || stage.world.parked.is_some() {
        return Ok(());
    }
    an_opt_out_holds_everywhere(stage)?;
    both_sides_say_the_same(stage)
}

fn an_opt_out_holds_everywhere(stage: &Stage) -> Broken {
    let (rows, contact) = stage.world.statuses();
    let is_in = |status: &SubscriptionStatus| matches!(status, Subscribed | Pending);
    match stage.ledger.is_out() && (rows.iter().any(is_in) || contact.iter().any(is_in)) {
        true if kept_out(stage) => Ok(()),
        true => Err(format!("left, but shown as {rows:?} and {contact:?}")),
        false => Ok(()),
    }
}

/// Whether the register shows somebody in who is kept out, by policy or with a reason that the note names.
fn kept_out(stage: &Stage) -> bool {
    let (rows, contact) = stage.world.statuses();
    let out = !matches!(contact, Some(Subscribed | Pending));
    let names_it = |note: &String| !note.is_empty() && !note.starts_with("Mailchimp has no interest");
    let noted = stage.world.local.iter().filter_map(|row| row.sync_note.as_ref()).any(names_it);
    !rows.is_empty() && out && (noted || stage.world.policy.new_local == NewLocal::Ignore)
}

fn both_sides_say_the_same(stage: &Stage) -> Broken {
    let (rows, contact) = stage.world.statuses();
    if rows.is_empty() {
        let ignored = stage.world.policy.new_remote == NewRemote::Ignore;
        let left = stage.world.policy.gone_local == GoneLocal::Leave;
        return match contact {
            Some(Subscribed) if !ignored && !left => Err("a subscriber without a registration".to_owned()),
            _ => Ok(()),
        };
    }
    if kept_out(stage) {
        return Ok(());
    }
    // A row that cannot say that somebody is asked to confirm says so in its note.
    let is_noted = |row: &Registration| row.sync_note.as_ref().is_some_and(|note| note.contains("no word"));
    if contact == Some(Pending) && stage.world.policy.register.lacks_pending {
        return match stage.world.local.iter().any(is_noted) {
            true => Ok(()),
            false => Err("asked to confirm, and the register does not say so".to_owned()),
        };
    }
    // Of several rows the latest speaks; an older one may say what it said, but none is in of somebody who is out.
    let is_in = |status: &SubscriptionStatus| matches!(status, Subscribed | Pending);
    let alike = match contact {
        Some(contact @ (Subscribed | Pending)) => rows.contains(&contact),
        Some(Unsubscribed | Archived | Transactional | Cleaned) | None => !rows.iter().any(is_in),
    };
    if !alike {
        return Err(format!("the register says {rows:?}, Mailchimp {contact:?}"));
    }
    let looked = look(&stage.world);
    let (Some(local), Some(remote), Some(Subscribed | Pending)) = (&looked.local, &looked.remote, contact)
    else {
        return Ok(());
    };
    for (key, value) in local {
        let other = remote.get(key);
        if other != Some(value) && !(is_one_way(key) && value.is_empty()) {
            return Err(format!("{key} is {value} in the register and {other:?} in Mailchimp"));
        }
    }
    let contact = stage.world.remote.as_ref().unwrap();
    let elsewhere = stage.world.local.iter().any(|row| row.email != contact.email);
    let tagged = contact.group_tags.contains("WG: Finance");
    let finance = crate::model::Key::Interest(crate::model::Interest::new("topic", "Finance"));
    match (elsewhere, tagged == local.get(&finance).is_some_and(crate::model::Value::is_yes)) {
        (true, _) => Err("the address is not the same".to_owned()),
        (false, false) => Err("the tag of the working group is wrong".to_owned()),
        (false, true) => Ok(()),
    }
}
