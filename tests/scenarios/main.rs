//! Scenarios that a member of staff can read, each run through the real program against a sandbox.
//!
//! They lie in `fixtures/scenarios`, one file each; `UPDATE_SCENARIOS=1` writes what was found into them, for a person
//! to review. What has to hold after every scenario stands in `closing.rs`.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a test may panic, and says what it skipped"
)]

mod acts;
mod alerting;
mod api;
mod audience;
mod beside;
mod closing;
mod daemon;
mod description;
mod expected;
mod log;
mod monitoring;
mod owners;
mod program;
mod register;
mod script;
#[path = "../registrations/site.rs"]
#[allow(dead_code, reason = "the contract of registers asks for more")]
mod site;
mod stage;
mod starting;
mod steps;
#[path = "../registrations/stores.rs"]
#[allow(dead_code, reason = "the contract of registers asks for more")]
mod stores;
mod supervised;
mod table;

macro_rules! scenarios {
    ($($name:ident)*) => {
        /// The scenarios, each the name of a file and of a test.
        const CASES: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                steps::play(stringify!($name));
            }
        )*

        /// The same scenarios on the servers that are there.
        mod on_servers {
            $(
                #[test]
                fn $name() {
                    for store in crate::stores::Store::servers() {
                        crate::steps::play_on(store, stringify!($name));
                    }
                }
            )*
        }
    };
}

scenarios! {
    a_bounced_address_and_a_new_one
    a_complaint_is_an_opt_out
    a_fake_address_is_refused_until_corrected
    a_moment_of_trouble_is_waited_out
    a_new_address_travels_both_ways
    a_new_registration_becomes_a_subscriber
    a_register_without_a_word_for_pending
    a_subscriber_of_mailchimps_form_becomes_a_registration
    a_wrong_configuration_is_refused
    an_address_of_somebody_else_is_for_staff
    an_edit_in_the_preference_center_reaches_the_register
    an_emptied_register_is_held
    an_unusable_address_gets_a_note
    columns_that_are_read_and_values_that_are_always_the_same
    edits_on_both_sides_meet
    joining_and_leaving_a_working_group
    leaving_by_the_link_holds
    leaving_on_the_website_holds
    mailchimp_out_of_reach
    many_opt_outs_at_one_time_are_held
    new_registrations_can_be_asked_to_confirm
    one_process_at_a_time
    pausing_stops_every_write
    plan_writes_nothing
    registering_again_asks_for_confirmation_once
    removed_rows_are_archived
    somebody_asks_to_be_erased
    staff_archive_somebody_in_mailchimp
    staff_cannot_undo_an_opt_out_in_mailchimp
    the_first_adoption_is_asked_for
    the_first_adoption_unsubscribes_nobody_without_approval
    two_rows_of_one_person
    what_the_mapping_names_and_the_audience_lacks
    why_somebody_gets_no_mail
}

#[test]
fn every_scenario_in_the_folder_is_played() {
    let entries = std::fs::read_dir(steps::folder()).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    let mut names: Vec<String> =
        files.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    let mut cases = CASES.to_vec();
    cases.sort_unstable();
    assert_eq!(names, cases);
}
