//! `rosterd provision`: what it prints, asks, creates and leaves alone.

use std::fs;

use rosterd::mailchimp::transport::Method;
use rosterd::sandbox::{Fault, FaultKind};
use serde_json::json;

use crate::stage::{Stage, json as parse};

const MAPPING: &str = "[[merge_field]]\ncolumn = \"first_name\"\ntag = \"FNAME\"\n[[merge_field]]\ncolumn = \"country\"\n\
                       tag = \"COUNTRY\"\n[[interest]]\ndimension = \"topic\"\ncategory = \"Topics\"\n[[interest]]\n\
                       dimension = \"region\"\ntag_prefix = \"region: \"\n[[working_group]]\nname = \"Money\"\n\
                       any = [\"topic:Finance\"]\nall = [\"region:Africa\"]\n";

const MISSING: [&str; 4] = [
    "merge field COUNTRY \"Country\", a text",
    "interest category \"Topics\", checkboxes",
    "interest \"Finance\" in \"Topics\"",
    "interest \"Water\" in \"Topics\"",
];

/// A mapping of which the audience has only the first name.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.configure(MAPPING);
    stage.register(
        "INSERT INTO registrations (id, email) VALUES (1, 'ada@alliance.test');
         INSERT INTO registration_interests VALUES (1, 'topic', 'Water'), (1, 'region', 'Asia'), (1, 'other', 'X');",
    );
    stage
}

fn listed(first: &str, lines: &[&str], last: &str) -> String {
    let lines: String = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!("{first}\n{lines}{last}\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_terminal_and_a_yes_it_prints_and_creates_nothing() {
    let stage = stage().await;
    let before = stage.offered().await;
    let ran = stage.run(&["provision"]);
    let last = "Nothing was created; rosterd provision --yes creates it.";
    assert_eq!((ran.code, ran.stdout), (3, listed("Missing in the audience:", &MISSING, last)));
    let ran = stage.run(&["provision", "--json"]);
    assert_eq!(
        (ran.code, parse(&ran.stdout)),
        (3, json!({ "missing": MISSING, "created": [], "mended": [], "register_script": null }))
    );
    assert_eq!(stage.offered().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_created_once() {
    let stage = stage().await;
    let ran = stage.run(&["provision", "--yes"]);
    let created: String = MISSING.iter().map(|line| format!("created {line}\n")).collect();
    let expected = listed("Missing in the audience:", &MISSING, created.trim_end());
    assert_eq!((ran.code, ran.stdout), (0, expected), "{}", ran.stderr);
    let offered = stage.offered().await;
    assert_eq!(offered, ["ADDRESS", "COUNTRY", "FNAME", "LNAME", "PHONE", "Topics: Finance, Water"]);
    for args in [["provision", "--yes"].as_slice(), &["provision"]] {
        let ran = stage.run(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (0, "Nothing is missing.\n"));
    }
    let ran = stage.run(&["provision", "--json"]);
    assert_eq!(
        (ran.code, parse(&ran.stdout)),
        (0, json!({ "missing": [], "created": [], "mended": [], "register_script": null }))
    );
    assert_eq!(stage.offered().await, offered);
    let checked = stage.run(&["check"]);
    assert_eq!(checked.code, 0, "{}", checked.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_created_before_a_failure_is_told_and_the_next_run_creates_the_rest() {
    let stage = stage().await;
    let refused = FaultKind::Refused(400, "Invalid Resource".to_owned(), "No more of these.".to_owned());
    stage
        .sandbox
        .faults()
        .add(Fault::new(refused).on_method(Method::Post).on_path("/lists/*/interest-categories/*/interests"));
    let ran = stage.run(&["provision", "--yes", "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(
        parse(&ran.stdout),
        json!({ "missing": MISSING, "created": MISSING[..2], "mended": [], "register_script": null })
    );
    let expected = "rosterd: interest \"Finance\" in \"Topics\" was not created: Mailchimp refused: Invalid Resource \
                    (400): No more of these.\n";
    assert_eq!(ran.stderr, expected);
    let ran = stage.run(&["provision", "--yes", "--json"]);
    assert_eq!(parse(&ran.stdout)["created"], json!(MISSING[2..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_state_learns_of_what_was_created_with_its_next_cycle() {
    let stage = stage().await;
    assert_eq!(stage.run(&["sync", "--yes"]).code, 0);
    assert_eq!(stage.run(&["provision", "--yes"]).code, 0);
    assert_eq!(stage.run(&["sync"]).code, 0);
    let member = stage.sandbox.member("ada@alliance.test").unwrap();
    let ticked = member["interests"].as_object().unwrap().values().filter(|ticked| **ticked == true).count();
    assert_eq!(ticked, 1, "{member}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_that_mailchimp_would_cut_is_refused_before_anything_is_created() {
    let stage = Stage::new().await;
    stage.configure("[[merge_field]]\ncolumn = \"organisation\"\ntag = \"ORGANISATION\"\n");
    let ran = stage.run(&["provision", "--yes"]);
    let problem = "rosterd: [merge_field] tag \"ORGANISATION\": Mailchimp cuts new tags at 10 characters; choose a \
                   shorter one\n";
    assert_eq!((ran.code, ran.stdout.as_str(), ran.stderr.as_str()), (2, "", problem));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_of_another_audience_is_refused() {
    let stage = stage().await;
    assert_eq!(stage.run(&["sync", "--yes"]).code, 0);
    let other = Stage::new().await;
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    stage.write(
        &text.replace(&stage.base_url, &other.base_url).replace(&stage.sandbox.audience_id(), "ffffffffff"),
    );
    let ran = stage.run(&["provision", "--yes"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("belongs to the audience"), "{}", ran.stderr);
}
