//! `rosterd check`: the file, the secrets, the register, the state and the way to the audience.

use std::fs;

use rosterd::sandbox::{Fault, FaultKind};
use serde_json::json;

use crate::stage::{Stage, json as parse};

#[tokio::test(flavor = "multi_thread")]
async fn what_fits_is_said_in_one_line() {
    let stage = Stage::new().await;
    stage.check(0, &["Everything fits."]);
    assert_eq!(stage.run(&["check", "--json"]).stdout, "{\"findings\":[],\"ok\":true}\n");
    let names: Vec<_> = fs::read_dir(&stage.directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("state"))
        .collect();
    assert_eq!(names, [""; 0], "looking leaves no trace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_configuration_is_told_whole_and_both_sides_are_looked_at_all_the_same() {
    let stage = Stage::new().await;
    let (base_url, audience) = (&stage.base_url, stage.sandbox.audience_id());
    stage.write(&format!(
        r#"[registrations]
url = "sqlite:registrations.db"
[mailchimp]
api_key_env = "KEY"
audience = "{audience}"
base_url = "{base_url}"
[sync]
intervall = "5m"
prefer = "newer"
[guard]
removals = "5"
[[merge_field]]
column = "first_name"
tag = "FNAMW"
[[merge_field]]
column = "email"
tag = "LNAME"
[[interest]]
dimension = "topic"
[[working_group]]
name = "Nobody"
[wbe]
"#
    ));
    stage.check(
        2,
        &[
            "error   [sync] intervall: there is no such key; did you mean `interval`? (line 8, column 1)",
            "error   [sync] prefer: \"newer\" is none of newest, local, remote (line 9, column 10)",
            "error   [guard] removals: \"5\" is no percentage; write \"5%\" or \"0.5%\", from 0% to 100% with at most \
             two decimals (line 11, column 12)",
            "error   [merge_field] column: the address travels by itself and is no merge field (line 16, column 10)",
            "error   [interest] category: give exactly one of category, tag_prefix (line 18, column 1)",
            "error   [working_group] name: a group needs at least one of any, all, membership, fields: else everybody \
             would be in it (line 21, column 8)",
            "error   wbe: there is no such key (line 22, column 2)",
            "error   [merge_field] tag \"FNAMW\": the audience has no such merge field; did you mean FNAME? rosterd \
             provision creates it",
            "8 errors.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_configuration_is_told_too() {
    let stage = Stage::new().await;
    stage.write("[sync\ninterval = ");
    let ran = stage.run(&["check", "--json"]);
    let found = parse(&ran.stdout);
    assert_eq!((ran.code, &found["ok"]), (2, &json!(false)));
    let findings = found["findings"].as_array().unwrap();
    assert!(findings.iter().any(|finding| finding["severity"] == "error"), "{found}");
    fs::remove_file(stage.path("rosterd.toml")).unwrap();
    stage.check(
        2,
        &[
            "error   DIR/rosterd.toml: cannot be read: No such file or directory (os error 2); `rosterd init` writes one",
            "notice  [registrations]: the register is looked at once the file names it",
            "notice  [mailchimp]: the audience is looked at once the file names it and its key",
            "1 error, 2 notices.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_does_not_keep_the_register_from_being_looked_at() {
    let stage = Stage::new().await;
    stage.register("ALTER TABLE registrations DROP COLUMN sync_note");
    stage.check_with(
        &[],
        2,
        &[
            "error   [mailchimp] api_key_env: the environment variable KEY is not set; set it, or give the secret in a \
             file (line 4, column 15)",
            "notice  [mailchimp]: the audience is looked at once the file names it and its key",
            "notice  [registrations.columns] sync_note: without a column for notes the website cannot show why a row is \
             not synchronized",
            "1 error, 2 notices.",
        ],
    );
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    stage.write(&text.replace("api_key_env = \"KEY\"", "api_key_file = \"mailchimp.key\""));
    let ran = stage.run(&["check"]);
    let expected = "error   [mailchimp] api_key_file: DIR/mailchimp.key cannot be read: No such file or directory (os \
                    error 2) (line 4, column 16)";
    assert_eq!((ran.code, stage.plain(ran.stdout.lines().next().unwrap())), (2, expected.to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_register_lacks_is_named_with_what_comes_near() {
    let stage = Stage::new().await;
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    let mapping =
        "[registrations.columns]\nsubscription = \"subscribtion\"\nsync_note = \"note\"\n[mailchimp]";
    stage.write(&text.replace("[mailchimp]", mapping));
    stage.check(
        2,
        &[
            "error   [registrations.columns] sync_note: the table \"registrations\" has no column \"note\"; did you mean \
             \"sync_note\"?",
            "error   [registrations.columns] subscription: the table \"registrations\" has no column \
             \"subscribtion\"; did you mean \"subscription\"?",
            "2 errors.",
        ],
    );
    stage.write(&text.replace("[mailchimp]", "table = \"registration\"\n[mailchimp]"));
    stage.check(
        2,
        &[
            "error   [registrations] table: the register has no table \"registration\"; did you mean \
             \"registrations\"?",
            "1 error.",
        ],
    );
    stage.write(&text.replace("registrations.db", "other.db"));
    stage.check(
        2,
        &[
            "error   [registrations] url: DIR/other.db: there is no such file; `rosterd init` creates an empty \
             register",
            "1 error.",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_need_a_zone_and_consent_a_time() {
    let stage = Stage::new().await;
    stage.register(
        "CREATE TABLE people (id INTEGER PRIMARY KEY, email TEXT, subscription TEXT, updated_at TEXT, sync_note TEXT,
           preferences_url TEXT);
         CREATE INDEX people_email ON people (lower(email));
         CREATE INDEX people_time ON people (updated_at);
         INSERT INTO people VALUES (1, 'ada@alliance.test', 'subscribed', '2026-01-01 12:00:00', NULL, NULL);",
    );
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    stage.write(&text.replace("[mailchimp]", "table = \"people\"\n[mailchimp]"));
    let consent = "notice  [registrations.columns] subscription_changed_at: without the time of consent nobody can be \
                   subscribed again without being asked, and the times of the sign-up and of the row stand in for it";
    stage.check(
        2,
        &[
            "error   [registrations] time_zone: times without an offset stand in \"updated_at\"; name their zone",
            consent,
            "notice  [registrations] table: 1 of 1 row cannot be synchronized: row 1: the column \"updated_at\" holds a time \
             without an offset; set time_zone in [registrations]",
            "1 error, 2 notices.",
        ],
    );
    stage.write(&text.replace("[mailchimp]", "table = \"people\"\ntime_zone = \"Mars/Base\"\n[mailchimp]"));
    let zone = "error   [registrations] time_zone: there is no time zone \"Mars/Base\"; use an IANA name such as \
                Europe/Zurich";
    stage.check(2, &[zone, "1 error."]);
    stage.write(
        &text.replace("[mailchimp]", "table = \"people\"\ntime_zone = \"Europe/Zurich\"\n[mailchimp]"),
    );
    stage.check(0, &[consent, "Everything fits, with 1 notice."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_three_rows_are_shown_as_rosterd_reads_them() {
    let stage = Stage::new().await;
    stage.configure(
        "[[merge_field]]\ncolumn = \"first_name\"\ntag = \"FNAME\"\n[[interest]]\ndimension = \"topic\"\n\
         tag_prefix = \"topic: \"\n",
    );
    stage.register(
        "INSERT INTO registrations (id, email, membership, subscription, first_name, created_at) VALUES
           (1, 'ada@alliance.test', 'member', 'subscribed', 'Ada', '2026-01-01T12:00:00Z'),
           (2, 'no address', 'member', 'subscribed', NULL, '2026-01-01T12:00:00Z'),
           (3, 'bo@alliance.test', 'supporter', 'unsubscribed', NULL, '2026-01-01T12:00:00Z'),
           (4, 'cy@alliance.test', 'supporter', 'subscribed', NULL, '2026-01-01T12:00:00Z');
         INSERT INTO registration_interests VALUES (1, 'topic', 'Finance');",
    );
    let ran = stage.run(&["check"]);
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[0], "The register has 4 rows. The first, as Rosterd reads them:");
    let expected = "  row 1: ada@alliance.test subscribed since 2026-01-01T12:00:00Z, member, FNAME \"Ada\", topic:Finance";
    assert_eq!(lines[1], expected);
    assert!(lines[2].starts_with("  row 2: not synchronized: "), "{}", lines[2]);
    assert_eq!(lines[3], "  row 3: bo@alliance.test unsubscribed since 2026-01-01T12:00:00Z, supporter");
    assert_eq!(lines[4], "");
    let counted = "notice  [registrations] table: 1 of 4 rows cannot be synchronized: row 2: ";
    assert!(lines[5].starts_with(counted), "{}", lines[5]);
    assert_eq!(lines[6..], ["Everything fits, with 1 notice."]);
    assert_eq!(ran.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_and_an_audience_that_mailchimp_refuses_are_told_apart() {
    let stage = Stage::new().await;
    let refused = "error   [mailchimp] api_key: Mailchimp refuses the key at URL: 401 API Key Invalid: Your API key may \
                   be invalid, or you've attempted to access the wrong datacenter.; check the API key and the account; \
                   copy the key whole, with the data centre at its end, from Account, Extras, API keys";
    stage.check_with(&[("KEY", "wrong-us1")], 2, &[refused, "1 error."]);
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    stage.write(&text.replace(&stage.sandbox.audience_id(), "a1b2c3d4e5"));
    let missing = "error   [mailchimp] audience \"a1b2c3d4e5\": Mailchimp does not show this audience: 404 Resource Not \
                   Found: The requested resource could not be found.; check the audience's id; its id stands in \
                   Audience, Settings, Audience name and defaults";
    stage.check(2, &[missing, "1 error."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_side_out_of_reach_is_worth_another_try_but_not_where_the_configuration_is_wrong() {
    let stage = Stage::new().await;
    // Nobody listens there, and nobody else gets the port meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    stage.write(&text.replace(&stage.base_url, &format!("http://{nobody}/3.0")));
    let ran = stage.run(&["check", "--json"]);
    let finding = parse(&ran.stdout)["findings"][0].clone();
    assert_eq!(
        (ran.code, &finding["severity"], &finding["key"]),
        (1, &json!("error"), &json!("[mailchimp] base_url"))
    );
    stage.register("ALTER TABLE registrations RENAME COLUMN email TO address");
    assert_eq!(stage.run(&["check"]).code, 2);

    stage.write(&text);
    stage.register("ALTER TABLE registrations RENAME COLUMN address TO email");
    stage.sandbox.faults().add(Fault::new(FaultKind::TooManyRequests));
    stage.check(0, &["Everything fits."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_must_be_writable_and_of_these_sides() {
    let stage = Stage::new().await;
    let cases = [
        ("nowhere/state.db", "there is no directory DIR/nowhere; create it for the user who runs rosterd"),
        ("/proc/state.db", "/proc/state.db cannot be written (No such file or directory (os error 2)"),
        ("rosterd.toml", "the state file DIR/rosterd.toml is damaged"),
        ("registrations.db", "DIR/registrations.db is a database of another program"),
    ];
    for (path, problem) in cases {
        stage.configure(&format!("[state]\npath = \"{path}\"\n"));
        let ran = stage.run(&["check"]);
        let shown = stage.plain(&ran.stdout);
        assert_eq!(ran.code, 2, "{shown}");
        assert!(shown.starts_with(&format!("error   [state] path: {problem}")), "{path}: {shown}");
    }
    stage.configure("");
    assert_eq!(stage.run(&["sync", "--yes"]).code, 0);
    stage.check(0, &["Everything fits."]);
    fs::copy(stage.path("registrations.db"), stage.path("other.db")).unwrap();
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    stage.write(&text.replace("registrations.db", "other.db"));
    let other = "error   [state] path: this state file belongs to the register sqlite:DIR/registrations.db#registrations, \
                 the configuration names sqlite:DIR/other.db#registrations: correct the configuration, or set [state] \
                 path to a file of its own";
    stage.check(2, &[other, "1 error."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_cannot_be_synchronized_are_counted_whole_and_some_are_named() {
    let stage = Stage::new().await;
    stage.register(
        "INSERT INTO registrations (id, email, subscription) VALUES
           (1, 'ada@alliance.test', 'subscribed'), (2, 'b', 'subscribed'), (3, 'c@alliance.test', 'maybe'),
           (4, 'd', 'subscribed'), (5, 'e', 'subscribed'), (6, 'f', 'subscribed');
         INSERT INTO registration_interests VALUES (1, 'planet', 'Mars'), (2, 'planet', 'Venus');",
    );
    let ran = stage.run(&["check"]);
    let found: Vec<&str> = ran.stdout.rsplit_once("\n\n").unwrap().1.lines().collect();
    // It said "Everything fits." and showed the first three rows.
    assert_eq!(ran.code, 2, "{}", ran.stdout);
    assert!(
        found[0].starts_with("error   [registrations] table: 5 of 6 rows cannot be synchronized: row 2: "),
        "{found:?}"
    );
    assert!(found[0].contains("; row 3: ") && found[0].ends_with("; and 2 more"), "{found:?}");
    let planet = "notice  [registrations.interests] dimension: 2 interests of the dimension \"planet\", which no \
                  [[interest]] maps, will not be synchronized";
    assert_eq!(found[1..], [planet, "1 error, 1 notice."]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mistake_of_a_section_is_told_at_once() {
    let stage = Stage::new().await;
    let text = fs::read_to_string(stage.path("rosterd.toml")).unwrap();
    let wrong = "tabel = \"x\"\nbusy_timeout = \"5 parsecs\"\ntime_zone = \"Europe/Zurch\"\n\
                 [registrations.columns]\nemial = \"mail\"\n[mailchimp]";
    let more = "[[interest]]\ndimension = \"topic\"\ntag_prefix = \"topic: \"\n\
                [[working_group]]\nname = \"Water\"\nany = [\"topic:Nope\", \"topik:Water\"]\n";
    let text = format!("{}{more}", text.replace("[mailchimp]", wrong));
    stage.write(&text);
    let expected = [
        "error   [registrations]: there is no key `tabel`; did you mean `table`? (line 3, column 1)",
        "error   [registrations] busy_timeout: \"5 parsecs\" is no duration; write 5s, 1m or 250ms (line 4, column 16)",
        "error   [registrations] columns: there is no key `emial`; did you mean `email`? (line 7, column 1)",
        "error   [working_group] any: dimension `topik` of \"topik:Water\" is not mapped; add it as [[interest]] (line \
         17, column 7)",
    ];
    let zone = "error   [registrations] time_zone: there is no time zone \"Europe/Zurch\"; use an IANA name such as \
                Europe/Zurich";
    let nope = "notice  [working_group] name \"Water\": \"topic:Nope\": the audience does not offer it, and the register \
                could not be asked";
    let mut told: Vec<&str> = expected.to_vec();
    told.extend([zone, nope, "5 errors, 1 notice."]);
    stage.check(2, &told);
    stage.write(&text.replace("url = \"sqlite:registrations.db\"\n", ""));
    let ran = stage.run(&["check"]);
    for part in [
        "[registrations] url: give exactly one of",
        "`tabel`",
        "5 parsecs",
        "`emial`",
        "Europe/Zurch",
        "topik",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
}
