//! `rosterd init`: both files or neither, and what a newcomer reads next.

use std::fs;

use rosterd::config::TEMPLATE;

use crate::stage::{Stage, rosterd, rosterd_with, text};

#[test]
fn a_newcomer_has_only_the_key_and_the_audience_to_fill_in() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("new/place");
    let ran = rosterd(&["init", text(&place)]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
    let config = place.join("rosterd.toml");
    assert_eq!(fs::read_to_string(&config).unwrap(), TEMPLATE);
    assert!(ran.stdout.contains(&format!("rosterd --config {} check", config.display())), "{}", ran.stdout);
    let checked = rosterd(&["--config", text(&config), "check"]);
    let lines: Vec<&str> = checked.stdout.lines().collect();
    assert_eq!(checked.code, 2);
    let [key, skipped, count] = lines.as_slice() else { panic!("{lines:#?}") };
    assert!(
        key.starts_with(
            "error   [mailchimp] api_key_env: the environment variable MAILCHIMP_API_KEY is not set"
        ),
        "{key}"
    );
    assert!(skipped.starts_with("notice  [mailchimp]: "), "{skipped}");
    assert_eq!(*count, "1 error, 1 notice.");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_init_wrote_runs_against_a_sandbox_once_both_are_filled_in() {
    let stage = Stage::new().await;
    let place = stage.path("fresh");
    assert_eq!(rosterd(&["init", text(&place)]).code, 0);
    let config = place.join("rosterd.toml");
    let filled = TEMPLATE
        .replace("a1b2c3d4e5", &stage.sandbox.audience_id())
        .replace("#base_url = \"http://127.0.0.1:9001/3.0\"", &format!("base_url = \"{}\"", stage.base_url));
    fs::write(&config, filled).unwrap();
    let key = stage.sandbox.api_key();
    let run = |args: &[&str]| {
        let args: Vec<&str> = ["--config", text(&config)].into_iter().chain(args.iter().copied()).collect();
        rosterd_with(&args, &[("MAILCHIMP_API_KEY", &key)])
    };
    let provisioned = run(&["provision", "--yes"]);
    assert_eq!(provisioned.code, 0, "{provisioned:?}");
    let checked = run(&["check"]);
    assert_eq!((checked.code, checked.stdout.as_str()), (0, "Everything fits.\n"));
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written() {
    for (there, absent) in [("rosterd.toml", "registrations.db"), ("registrations.db", "rosterd.toml")] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(there);
        fs::write(&path, "mine").unwrap();
        let ran = rosterd(&["init", text(directory.path())]);
        let problem = format!(
            "rosterd: {} is there already; nothing was written, name another directory\n",
            path.display()
        );
        assert_eq!((ran.code, ran.stderr), (2, problem));
        assert_eq!(fs::read_to_string(&path).unwrap(), "mine");
        assert!(!directory.path().join(absent).exists());
    }
}

#[test]
fn a_link_that_leads_nowhere_is_in_the_way_too() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/nowhere/at/all", directory.path().join("registrations.db")).unwrap();
    assert_eq!(rosterd(&["init", text(directory.path())]).code, 2);
    assert!(!directory.path().join("rosterd.toml").exists());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, "").unwrap();
    let ran = rosterd(&["init", text(&file.join("below"))]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.starts_with("rosterd: cannot create the directory "), "{}", ran.stderr);
}

#[test]
fn a_place_that_is_none_is_told_with_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("notdir");
    std::fs::write(&file, "a file").unwrap();
    let ran = rosterd(&["init", text(&file)]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("a file is in the way; name a directory"), "{}", ran.stderr);
    let ran = rosterd(&["--config", text(directory.path()), "status"]);
    assert_eq!(ran.code, 2);
    let advice = format!("name the file in it, {}/rosterd.toml", text(directory.path()));
    assert!(ran.stderr.contains(&advice) && !ran.stderr.contains("rosterd init"), "{}", ran.stderr);
}

#[test]
fn a_configuration_is_refused_where_none_is_gone_by() {
    for command in ["demo", "sandbox", "init"] {
        let ran = rosterd(&["--config", "/nowhere/rosterd.toml", command]);
        assert!(
            ran.code == 2 && ran.stderr.contains("--config is of no use here"),
            "{command}: {}",
            ran.stderr
        );
    }
}

#[test]
fn the_demo_shows_its_plan_and_is_read_at_eighty_columns() {
    let ran = rosterd(&["demo"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "created in Mailchimp: registrations that it does not know",
        "The first lines of rosterd plan:",
        "rosterd held ",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let wide: Vec<&str> = ran.stdout.lines().filter(|line| line.chars().count() > 80).collect();
    assert_eq!(wide, [""; 0]);
    // The older row speaks for what the newer leaves open: the reader saw two sides that differ.
    let again = ran.stdout.split("6. The same person registers again").nth(1).unwrap();
    let again = again.split("7. The register").next().unwrap();
    for line in again.lines().filter(|line| line.starts_with("  topic")) {
        assert!(!line["  topic".len()..45].trim().is_empty(), "{line}");
    }
}
