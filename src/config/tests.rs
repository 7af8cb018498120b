//! Tests of the whole configuration: one file each, and every sentence it earns.

mod mapping;
mod template;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::*;
use crate::config::environment::CREDENTIALS_VARIABLE;
use crate::model::{Interest, MergeTag};
use crate::reconcile::policy::{Direction, Prefer};

/// A configuration with nothing wrong and nothing more than it needs.
const LEAST: &str = r#"
[registrations]
url = "sqlite:registrations.db"
[mailchimp]
api_key_env = "KEY"
audience = "a1b2c3d4e5"
"#;

fn environment() -> BTreeMap<String, String> {
    [
        ("KEY", "0123456789abcdef-us6"),
        ("TOKEN", "0123456789abcdef"),
        ("SHORT", "abc"),
        ("SPACED", "0123456789 abcdef"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn parse(text: &str) -> Result<Config, ConfigErrors> {
    Config::parse::<toml::Table>(Path::new("/srv/roster/rosterd.toml"), text, &environment())
        .map(|(config, _)| config)
}

fn problems(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(_) => Vec::new(),
        Err(errors) => errors
            .problems
            .into_iter()
            .map(|problem| Problem { place: None, ..problem }.to_string())
            .collect(),
    }
}

/// The least configuration with `more` at its end has exactly these problems.
#[track_caller]
fn check(more: &str, expected: &[&str]) {
    assert_eq!(problems(&format!("{LEAST}{more}")), expected, "{more}");
}

#[test]
fn the_least_configuration_takes_every_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.mailchimp.base_url, "https://us6.api.mailchimp.com/3.0");
    assert_eq!(config.mailchimp.connections, 6);
    assert_eq!(config.state.path, Path::new("/srv/roster/state.db"));
    let RegisterLocation::Sqlite(register) = &config.registrations.location else { panic!("no SQLite") };
    assert_eq!(register, Path::new("/srv/roster/registrations.db"));
    assert_eq!(config.sync.interval.as_secs(), 60);
    assert_eq!(config.guard.removals, Limit { share: Share::percent(5), more_than: 10 });
    assert_eq!(config.policy_seed(), Policy::default());
    assert!(config.web.is_none());
}

#[test]
fn what_the_file_says_is_what_the_parts_hold() {
    let config = parse(&format!(
        r#"{LEAST}
connections = 10
[sync]
prefer = "local"
full_interval = "1h30m"
[guard]
removals = "0.5%"
[[merge_field]]
column = "country"
tag = "country"
direction = "to_local"
[[interest]]
dimension = "topic"
tag_prefix = "topic: "
[[working_group]]
name = "East"
any = ["topic: Roads"]
fields = {{ country = "Kenya" }}
"#
    ))
    .unwrap();
    assert_eq!(config.mailchimp.connections, 10);
    assert_eq!(config.guard.removals.share.hundredths_of_percent(), 50);
    assert_eq!(config.interests[0].target, InterestTarget::TagPrefix("topic: ".into()));
    let country = MergeTag::parse("COUNTRY").unwrap();
    assert_eq!(config.merge_fields[0].tag, country);
    let policy = config.policy_seed();
    assert_eq!(policy.prefer, Prefer::Local);
    let group = &policy.working_groups[0];
    assert_eq!(group.tag, "WG: East");
    assert_eq!(group.any, BTreeSet::from([Interest::new("topic", "Roads")]));
    assert_eq!(group.fields[&country], BTreeSet::from(["Kenya".to_owned()]));
}

#[test]
fn all_problems_are_reported_together_in_the_order_of_the_file() {
    let text =
        "[registrations]\n[mailchimp]\napi_key_env = \"NONE\"\nconections = 7\n[sync]\ninterval = \"soon\"\n";
    assert_eq!(
        parse(text).unwrap_err().to_string(),
        "/srv/roster/rosterd.toml has 5 problems\n  \
         line 1, column 1: [registrations] url: give exactly one of url, url_env, url_file\n  \
         line 2, column 1: [mailchimp] audience: is missing\n  \
         line 3, column 15: [mailchimp] api_key_env: the environment variable NONE is not set; set it, or give the \
         secret in a file\n  \
         line 4, column 1: [mailchimp] conections: there is no such key; did you mean `connections`?\n  \
         line 6, column 12: [sync] interval: \"soon\" is no duration; write 90s, 5m, 24h, 7d or 1h30m"
    );
}

#[test]
fn an_empty_file_is_told_what_it_needs() {
    let expected = [
        "[mailchimp] api_key_file: give exactly one of api_key_file, api_key_env",
        "[mailchimp] audience: is missing",
        "[registrations] url: give exactly one of url, url_env, url_file",
    ];
    assert_eq!(problems(""), expected);
}

#[test]
fn a_broken_text_is_placed() {
    let errors = parse("[sync]\ninterval = 1m\n[[[").unwrap_err();
    assert_eq!(errors.problems[0].place.map(|(line, _)| line), Some(2));
}

#[test]
fn numbers_words_and_spans_have_their_limits() {
    check("connections = 0", &["[mailchimp] connections: must be a whole number from 1 to 10, not 0"]);
    check("connections = 11", &["[mailchimp] connections: must be a whole number from 1 to 10, not 11"]);
    check("connections = -1", &["[mailchimp] connections: must be a whole number from 1 to 10, not -1"]);
    check("connections = \"6\"", &["[mailchimp] connections: must be a whole number, not a text"]);
    check("[sync]\ninterval = \"500ms\"", &["[sync] interval: must be at least 1s"]);
    check("[sync]\ninterval = 60", &["[sync] interval: must be a duration in quotes (\"5m\"), not a number"]);
    check(
        "[sync]\ninterval = \"2h\"\nfull_interval = \"1h\"",
        &["[sync] full_interval: must not be shorter than `interval`"],
    );
    check("[sync]\nprefer = \"latest\"", &["[sync] prefer: \"latest\" is none of newest, local, remote"]);
    check("[state]\nkeep_trail = \"1d\"", &["[state] keep_trail: must be at least 2d"]);
    check(
        "[guard]\nremovals = \"101%\"",
        &[
            "[guard] removals: \"101%\" is no percentage; write \"5%\" or \"0.5%\", from 0% to 100% with at most two \
           decimals",
        ],
    );
    check(
        "[guard]\ncreations = 20",
        &["[guard] creations: must be a percentage in quotes (\"5%\"), not a number"],
    );
    check(
        "[privacy]\nlog_addresses = \"yes\"",
        &["[privacy] log_addresses: must be true or false, not a text"],
    );
}

#[test]
fn unknown_keys_are_refused_wherever_they_stand() {
    check("[snyc]\n", &["snyc: there is no such key; did you mean `sync`?"]);
    check("[sync]\nfrequency = 1", &["[sync] frequency: there is no such key"]);
    check("[web]\nlisten_on = 1", &["[web] listen_on: there is no such key; did you mean `listen`?"]);
    check(
        "[[interest]]\ndimension = \"topic\"\ncategory = \"Topics\"\ncatgory = \"T\"",
        &["[[interest]] catgory: there is no such key; did you mean `category`?"],
    );
    check("sync = 3", &["[mailchimp] sync: there is no such key"]);
    check("[merge_field]\ncolumn = \"a\"", &["merge_field: must be a list of tables ([[…]]), not a table"]);
}

/// What stands for the mapping of the register's adapter.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    table: String,
    layout: Option<Layout>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Layout {
    Rows,
    Flags,
}

#[test]
fn the_mapping_is_read_by_whoever_knows_it_and_its_mistakes_join_the_others() {
    let load = |mapping: &str| {
        let text = LEAST.replace("[mailchimp]", &format!("{mapping}\n[mailchimp]"));
        Config::parse::<Mapping>(Path::new("rosterd.toml"), &text, &environment())
    };
    let (config, mapping) = load("table = \"people\"\nlayout = \"rows\"").unwrap();
    assert_eq!(mapping.table, "people");
    assert!(matches!(mapping.layout, Some(Layout::Rows)));
    assert_eq!(config.registrations.mapping.keys().collect::<Vec<_>>(), ["layout", "table"]);
    let cases = [
        (
            "tabel = \"people\"",
            "line 4, column 1: [registrations]: there is no key `tabel`; did you mean `table`?",
        ),
        ("layout = \"row\"", "line 4, column 10: [registrations] layout: \"row\" is none of rows, flags"),
        (
            "table = 3",
            "line 4, column 9: [registrations] table: invalid type: integer `3`, expected a string",
        ),
    ];
    for (mapping, expected) in cases {
        let said = load(&format!("{mapping}\n[sync]\nprefer = \"me\"")).unwrap_err().to_string();
        let others = "\n  line 6, column 10: [sync] prefer: \"me\" is none of newest, local, remote";
        assert_eq!(said, format!("rosterd.toml has 2 problems\n  {expected}{others}"));
    }
}

#[test]
fn the_register_is_named_once_and_without_its_password() {
    let named = |lines: &str| problems(&LEAST.replace("url = \"sqlite:registrations.db\"", lines));
    let cases = [
        ("url = \"postgres://web@db.test/members\"", None),
        ("url = \"mysql://web@db.test:3306/members\"", None),
        ("url = \"sqlite:///var/lib/members.db\"", None),
        (
            "url = \"members.db\"",
            Some("[registrations] url: begins with none of sqlite:, postgres://, mysql://"),
        ),
        (
            "url = \"sqlite::memory:\"",
            Some("[registrations] url: begins with none of sqlite:, postgres://, mysql://"),
        ),
        (
            "url = \"postgres://web:secret@db.test/members\"",
            Some("[registrations] url: holds a password; give the address by url_file or url_env instead"),
        ),
        (
            "url = \"postgres://db.test/members?password=secret\"",
            Some("[registrations] url: holds a password; give the address by url_file or url_env instead"),
        ),
        (
            "url = \"sqlite:a.db\"\nurl_env = \"KEY\"",
            Some("[registrations] url: give exactly one of url, url_env, url_file"),
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(named(lines), Vec::from_iter(expected), "{lines}");
    }
}

#[test]
fn secrets_come_from_a_file_or_the_environment_and_are_never_shown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rosterd.toml");
    let text = LEAST.replace("api_key_env = \"KEY\"", "api_key_file = \"key\"");
    fs::write(&path, &text).unwrap();
    let errors = Config::load(&path, &environment()).unwrap_err();
    assert!(errors.to_string().contains("api_key_file: "), "{errors}");
    fs::write(directory.path().join("key"), "fedcba-us7\n").unwrap();
    let config = Config::load(&path, &environment()).unwrap();
    assert_eq!(config.mailchimp.base_url, "https://us7.api.mailchimp.com/3.0");
    assert!(!format!("{config:?}").contains("fedcba"), "a secret is shown");
    fs::write(directory.path().join("key"), "\n").unwrap();
    let errors = Config::load(&path, &environment()).unwrap_err();
    assert!(errors.to_string().ends_with("the secret is empty"), "{errors}");
}

#[test]
fn a_relative_secret_is_read_where_the_service_manager_keeps_its_copy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rosterd.toml");
    fs::write(&path, LEAST.replace("api_key_env = \"KEY\"", "api_key_file = \"north/key\"")).unwrap();
    fs::create_dir(directory.path().join("north")).unwrap();
    fs::write(directory.path().join("north/key"), "fedcba-us7\n").unwrap();
    let copies = tempfile::tempdir().unwrap();
    let set = (CREDENTIALS_VARIABLE.to_owned(), copies.path().to_str().unwrap().to_owned());
    let region = || Config::load(&path, &BTreeMap::from([set.clone()])).unwrap().mailchimp.base_url;
    assert!(region().contains("us7"), "without a copy, the file itself: {}", region());
    fs::write(copies.path().join("key"), "fedcba-us8\n").unwrap();
    assert!(region().contains("us8"), "{}", region());
    let absolute = directory.path().join("north/key").display().to_string();
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("north/key", &absolute)).unwrap();
    assert!(region().contains("us7"), "an absolute path is meant as it stands: {}", region());
}

#[test]
fn the_log_names_nobody_unless_it_is_told_to() {
    assert!(!parse(LEAST).unwrap().privacy.log_addresses);
    let told = format!("{LEAST}[privacy]\nlog_addresses = true");
    assert!(parse(&told).unwrap().privacy.log_addresses);
}

#[test]
fn secrets_never_stand_in_the_file() {
    let expected =
        "[mailchimp] api_key: secrets never stand in the file; give api_key_file or api_key_env instead";
    assert_eq!(problems(&LEAST.replace("api_key_env", "api_key")), [expected]);
    check(
        "api_key_file = \"key\"",
        &["[mailchimp] api_key_env: give exactly one of api_key_file, api_key_env"],
    );
    check(
        "[web]\napi_token = \"x\"",
        &["[web] api_token: secrets never stand in the file; give api_token_file or api_token_env instead"],
    );
}

#[test]
fn the_tokens_of_the_web_are_long_fit_and_different() {
    check("[web]\napi_token_env = \"TOKEN\"", &[]);
    check(
        "[web]\napi_token_env = \"SHORT\"",
        &[
            "[web] api_token_env: the secret must have at least 16 characters; `openssl rand -hex 32` makes a good one",
        ],
    );
    check(
        "[web]\nwebhook_path_secret_env = \"SPACED\"",
        &[
            "[web] webhook_path_secret_env: the secret may hold only letters, digits, - and _; `openssl rand -hex 32` \
         makes a good one",
        ],
    );
    check(
        "[web]\napi_token_env = \"TOKEN\"\nevents_token_env = \"TOKEN\"",
        &[
            "[web] events_token_env: must not be the same secret as `api_token`: whoever has one could do what the other \
         is for",
        ],
    );
    check(
        "[web]\nlisten = \"8420\"\npublic_url = \"http://alliance.test\"",
        &[
            "[web] listen: \"8420\" is no address to listen on; write 127.0.0.1:8420 or [::1]:8420",
            "[web] public_url: must begin with https://: an API key or a member's address would travel in the clear",
        ],
    );
}

#[test]
fn the_state_can_be_found_without_any_secret() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rosterd.toml");
    fs::write(&path, LEAST.replace("KEY", "NONE")).unwrap();
    assert!(Config::load(&path, &environment()).is_err());
    let state = StateConfig::load(&path).unwrap();
    assert_eq!(state.path, directory.path().join("state.db"));
}
