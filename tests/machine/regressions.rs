//! Histories that broke a law once, as short as they got.

use rosterd::aside::work_in_line;
use rosterd::reconcile::policy::GoneLocal::{self, Leave};
use rosterd::reconcile::policy::Prefer::Remote;

use crate::history::play;
use crate::step::Act::{self, *};
use crate::step::Death::{After, Poll};
use crate::step::Field::First;
use crate::step::Step::{self, *};
use crate::step::Storm::{CutAfter, CutBefore};
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

#[test]
fn who_left_twice_within_one_second_is_out_by_the_later_of_both() {
    // The register tells the moment, Mailchimp the second: the moment seemed later than all of the second.
    check(
        Setting::default(),
        &[
            Do(Register(1, 2)),
            Wait(2245),
            Do(LeaveLocal(1)),
            Wait(584),
            Sync,
            Do(Form(1, 7)),
            Do(Register(1, 8)),
            Do(StaffUnsubscribe(1)),
        ],
    );
    check(
        Setting::default(),
        &[
            Wait(1500),
            Do(Form(1, 2)),
            Sync,
            Do(LeaveLocal(1)),
            Wait(103),
            Sync,
            Do(RegisterPending(1, 3)),
            Wait(287),
            SyncFullDying(Poll(170)),
            Do(Unsubscribe(1)),
            Do(Register(1, 6)),
        ],
    );
}

#[test]
fn an_opt_out_whose_write_failed_is_not_undone_by_a_backup_of_the_register() {
    check(
        Setting::default(),
        &[
            Do(Register(0, 2)),
            Sync,
            Weather(CutBefore, true, 0, 1),
            Do(LeaveLocal(0)),
            Sync,
            Do(RestoreStatus(0)),
        ],
    );
}

#[test]
fn the_laws_ask_for_nothing_that_nobody_can_know() {
    let stories: [&[Step]; 15] = [
        // Gone before anybody looked, or since the state was lost.
        &[Do(StaffAdd(1, 2)), Do(Complain(1)), Do(StaffDelete(1)), Sync, Do(RegisterPending(1, 6))],
        &[Do(Register(1, 1)), Sync, LoseState, Do(Unsubscribe(1)), Do(StaffDelete(1))],
        &[Do(Form(0, 3)), Sync, Do(LeaveLocal(0)), LoseState, Do(Delete(0))],
        &[Do(StaffAdd(2, 3)), Sync, Do(LeaveLocal(2)), LoseState, Do(Move(2, 1))],
        // Held by the guard, and undone before anybody approved of it.
        &[Do(Form(1, 2)), Sync, Do(StaffArchive(1)), Sync, Do(StaffUnarchive(1))],
        &[Do(Form(2, 1)), Do(LeaveLocal(2)), Sync, Do(RestoreStatus(2))],
        // A restored row is as old as it was, whatever its number.
        &[Do(Register(0, 5)), Wait(1500), Do(Form(0, 6)), Do(Delete(0)), Sync, Do(RestoreRow)],
        // A contact made anew shares no base with the one that was deleted.
        &[Do(Form(0, 5)), Do(Tick(0, 2)), Sync, Do(StaffDelete(0)), Do(Form(0, 13))],
        // A confirmation that was created unheard, and deleted before anybody looked.
        &[Sync, Do(RegisterPending(1, 4)), SyncDying(After(3)), Do(StaffDelete(1))],
        // Brought back by staff and out again, of which Mailchimp shows nothing.
        &[
            Do(StaffAdd(0, 3)),
            Sync,
            Do(Unsubscribe(0)),
            Sync,
            Do(StaffResubscribe(0)),
            Wait(1500),
            Do(Unsubscribe(0)),
            Do(ReturnLocal(0)),
        ],
        &[
            Do(Form(0, 3)),
            Sync,
            Do(LeaveLocal(0)),
            Sync,
            Do(StaffResubscribe(0)),
            Do(Unsubscribe(0)),
            Wait(1500),
            Do(ReturnLocal(0)),
        ],
        // One of two rows is removed, and another is left.
        &[Do(Register(0, 3)), Sync, Do(MoveLocal(0, 1)), Do(RegisterPending(0, 5)), Do(Delete(1))],
        // Rows without a contact.
        &[Throttle(2), Do(Register(2, 3)), Sync, Do(SoftDelete(2)), Do(Form(2, 5))],
        &[Do(Register(1, 4)), Do(MoveLocal(1, 0)), Do(Delete(0)), Do(RestoreRow)],
        // Between our last look and the status that we wrote.
        &[
            Do(Register(1, 2)),
            Sync,
            Do(LeaveLocal(1)),
            Sync,
            Wait(1500),
            Do(Register(1, 9)),
            Meanwhile(4, StaffArchive(1)),
            Sync,
        ],
    ];
    for steps in stories {
        check(Setting::default(), steps);
    }
}

#[test]
fn what_is_said_at_an_address_is_of_whoever_has_their_contact_there() {
    check(
        Setting { gone_local: Leave, ..Setting::default() },
        &[Do(Form(3, 5)), Sync, Do(Form(1, 7)), Do(MoveLocal(3, 1)), Sync, Do(StaffDelete(1)), Do(Delete(1))],
    );
    check(
        Setting::default(),
        &[Do(Form(0, 3)), Sync, Do(StaffDelete(0)), Do(MoveLocal(0, 1)), Do(LeaveLocal(1)), Do(Form(0, 4))],
    );
}

#[test]
fn a_row_that_is_removed_before_its_creation_is_heard_of_takes_its_contact_along() {
    check(Setting::default(), &[Weather(CutAfter, true, 0, 9), Do(Register(1, 4)), Sync, Do(Delete(1))]);
    check(Setting::default(), &[Late(1), Do(Register(2, 1)), Sync, Do(SoftDelete(2))]);
}

#[test]
fn what_is_registered_again_after_a_creation_that_nobody_heard_of_is_not_lost() {
    check(
        Setting { prefer: Remote, ..Setting::default() },
        &[Do(Register(0, 3)), Late(1), Sync, Do(Register(0, 4))],
    );
}

#[test]
fn rows_whose_contact_could_not_be_unsubscribed_are_not_forgotten() {
    check(
        Setting { gone_local: GoneLocal::Unsubscribe, ..Setting::default() },
        &[Do(Form(1, 2)), Weather(CutBefore, true, 0, 2), Do(Form(2, 3)), Sync, Do(Delete(2)), Sync],
    );
}

#[test]
fn whoever_is_out_at_a_contact_made_anew_has_left_anew() {
    check(
        Setting { double_optin: true, ..Setting::default() },
        &[
            Do(Form(2, 6)),
            Do(Unsubscribe(2)),
            Sync,
            Do(StaffDelete(2)),
            Wait(1500),
            Do(Register(2, 7)),
            Sync,
            Do(Form(2, 8)),
            Do(Unsubscribe(2)),
        ],
    );
}

#[test]
fn missing_contacts_that_were_approved_are_looked_into_in_the_next_cycle() {
    check(
        Setting { tight_guard: true, ..Setting::default() },
        &[
            Do(Register(4, 1)),
            Do(Form(1, 2)),
            Sync,
            Do(StaffArchive(4)),
            Do(StaffDelete(4)),
            Do(Form(0, 5)),
            Do(StaffDelete(1)),
            Sync,
        ],
    );
}
