//! Histories that broke a law once, as short as they got.

use rosterd::aside::work_in_line;

use crate::history::play;
use crate::step::Act::{self, *};
use crate::step::Death::{After, Poll};
use crate::step::Field::First;
use crate::step::Step::{self, *};
use crate::step::Storm::CutAfter;
use crate::step::{Script, Setting};
use crate::theatre::Theatre;

#[track_caller]
fn check(setting: Setting, steps: &[Step]) {
    let script = Script { setting, steps: steps.to_vec() };
    let played = std::thread::spawn(move || {
        work_in_line();
        play(&Theatre::new(), &script, true)
    });
    let outcome = played.join().unwrap();
    assert_eq!(outcome.violation, None, "{}", outcome.story.join("\n"));
}

/// A minute after both sides adopted each other somebody does two things within one second.
fn within_one_second(first: Act, second: Act) -> Vec<Step> {
    vec![Do(StaffAdd(0, 1)), SyncFull, Wait(61_500), Do(first), Wait(300), Do(second)]
}

#[test]
fn who_registers_and_leaves_by_the_link_within_one_second_is_out() {
    // Mailchimp cuts its times off at the second: the opt-out looked earlier than the registration before it.
    for first in [Register(0, 6), RegisterPending(0, 6), ReturnLocal(0)] {
        check(Setting::default(), &within_one_second(first, Unsubscribe(0)));
    }
}

#[test]
fn who_left_is_not_created_at_an_address_that_a_form_gave_in_the_same_second() {
    check(
        Setting::default(),
        &[
            Do(StaffAdd(3, 1)),
            Sync,
            Wait(1500),
            Do(MoveLocal(3, 0)),
            Do(Register(0, 3)),
            Do(StaffUnsubscribe(3)),
        ],
    );
}

#[test]
fn whoever_was_unsubscribed_before_our_question_was_known_to_be_asked_is_not_asked_again() {
    check(
        Setting::default(),
        &[
            Do(StaffAdd(1, 1)),
            Sync,
            Do(StaffUnsubscribe(1)),
            Wait(3_629_280),
            Do(RegisterPending(1, 7)),
            SyncDying(After(8)),
            Do(StaffUnsubscribe(1)),
        ],
    );
}

#[test]
fn what_we_wrote_unheard_does_not_undo_what_was_edited_since() {
    let unticked =
        [Do(Register(0, 2)), Sync, Late(1), Do(TickLocal(0, 2)), SyncDying(Poll(119)), Do(UntickLocal(0, 2))];
    let registered_again = [
        Do(Register(0, 2)),
        Sync,
        Do(Register(2, 4)),
        Weather(CutAfter, false, 2, 1),
        Do(Write(0, First, 5)),
        Sync,
        Do(Unsubscribe(0)),
        Do(Register(0, 6)),
    ];
    check(Setting::default(), &unticked);
    check(Setting::default(), &registered_again);
}

#[test]
fn rows_of_a_backup_bring_nobody_back_who_was_gone_from_both_sides_whatever_their_note_says() {
    check(
        Setting::default(),
        &[Do(Register(0, 2)), Sync, Do(Delete(0)), Do(StaffDelete(0)), SyncFull, Do(RestoreRow), Sync, Sync],
    );
}

#[test]
fn whoever_moves_before_a_page_showed_their_creation_in_bulk_is_the_same_person_still() {
    check(Setting::default(), &[Do(Register(0, 1)), Sync, Do(Move(0, 2)), Do(LeaveLocal(0))]);
    check(Setting::default(), &[Do(Register(0, 1)), Sync, Do(Move(0, 2)), Do(Write(0, First, 5))]);
    let two =
        [Do(Register(0, 1)), Do(Register(1, 3)), Sync, Do(Move(0, 2)), Do(Move(1, 3)), Do(LeaveLocal(1))];
    check(Setting::default(), &two);
    let full = [Do(Register(0, 1)), Do(Register(1, 3)), Sync, Do(Move(0, 2)), Do(LeaveLocal(0)), SyncFull];
    check(Setting::default(), &full);
}
