//! Registers on a server, through the program itself: made, checked, kept in step, and found again after a restart.

use std::fs;
use std::path::PathBuf;

use rosterd::sandbox::FormEntry;
use rusqlite::types::Value;

use crate::stage::{Ran, Stage, json, rosterd_with, text};
use crate::stores::{Database, Store};
use crate::tap::Tap;

/// A register on a server, the configuration that `init` wrote, and a sandbox.
struct Server {
    stage: Stage,
    database: Database,
    address: String,
    config: PathBuf,
}

impl Server {
    /// What `init` makes of an empty database that is reached at `address`, with the audience filled in.
    async fn init(database: Database, address: String) -> Self {
        let stage = Stage::new().await;
        let place = stage.path("on-a-server");
        let init = ["init", text(&place), "--register-env", "REGISTER"];
        let ran = rosterd_with(&init, &[("REGISTER", &address)]);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(ran.stdout.contains("Created the tables of an empty register in"), "{}", ran.stdout);
        assert!(!ran.stdout.contains("tests:"), "{}", ran.stdout);
        let config = place.join("rosterd.toml");
        let written = fs::read_to_string(&config).unwrap();
        assert!(written.contains("\nurl_env = \"REGISTER\"\n"), "{written}");
        let filled = written.replace("a1b2c3d4e5", &stage.sandbox.audience_id()).replace(
            "#base_url = \"http://127.0.0.1:9001/3.0\"",
            &format!("base_url = \"{}\"", stage.base_url),
        );
        fs::write(&config, filled).unwrap();
        let server = Self { stage, database, address, config };
        assert_eq!(server.run(&["provision", "--yes"]).code, 0);
        server
    }

    fn run(&self, args: &[&str]) -> Ran {
        let args: Vec<&str> =
            ["--config", text(&self.config)].into_iter().chain(args.iter().copied()).collect();
        let key = self.stage.sandbox.api_key();
        rosterd_with(&args, &[("MAILCHIMP_API_KEY", &key), ("REGISTER", &self.address)])
    }

    #[track_caller]
    fn sync(&self) {
        let ran = self.run(&["sync"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }

    fn status(&self, email: &str) -> String {
        let member = self.stage.sandbox.member(email).unwrap();
        member["status"].as_str().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_on_a_server_is_made_checked_and_kept_in_step() {
    for store in Store::servers() {
        let database = Database::new(store);
        let address = database.address();
        let server = Server::init(database, address).await;
        let checked = server.run(&["check"]);
        assert_eq!((checked.code, checked.stdout.as_str()), (0, "Everything fits.\n"), "{checked:?}");
        let site = server.database.site();
        site.run(
            "INSERT INTO registrations (email, first_name, subscription_changed_at)
             VALUES ('ada@alliance.test', 'Ada', '2026-03-01 12:00:00')",
        );
        let adopted = server.run(&["sync", "--full", "--yes"]);
        assert_eq!(adopted.code, 0, "{adopted:?}");
        assert_eq!(server.status("ada@alliance.test"), "subscribed");
        let link = "SELECT preferences_url FROM registrations WHERE email = 'ada@alliance.test'";
        assert!(matches!(site.first(link), Value::Text(link) if link.starts_with("https://")));
        if store == Store::Postgres {
            assert!(!server.run(&["provision"]).stdout.contains("CREATE TRIGGER"));
            site.run("DROP TRIGGER rosterd_tell ON registrations");
            let printed = server.run(&["provision"]);
            assert_eq!(printed.code, 0, "{printed:?}");
            assert!(printed.stdout.contains("CREATE TRIGGER rosterd_tell"), "{printed:?}");
            assert!(server.run(&["check"]).stdout.contains("PostgreSQL could tell of it at once"));
        }
        site.run("UPDATE registrations SET subscription = 'unsubscribed' WHERE email = 'ada@alliance.test'");
        server.stage.sandbox.person().subscribe_by_form("ben@alliance.test", &FormEntry::new()).unwrap();
        server.sync();
        assert_eq!(server.status("ada@alliance.test"), "unsubscribed");
        let of_ben = "SELECT subscription FROM registrations WHERE email = 'ben@alliance.test'";
        assert_eq!(site.first(of_ben), Value::Text("subscribed".to_owned()));
        server.stage.sandbox.person().unsubscribe("ben@alliance.test").unwrap();
        server.sync();
        assert_eq!(site.first(of_ben), Value::Text("unsubscribed".to_owned()));
        let plan = json(&server.run(&["plan", "--full", "--json"]).stdout);
        assert_eq!(plan["operations"].as_array().unwrap().len(), 0, "{plan}");
        // What is there is left alone.
        let again = server.stage.path("again");
        let init = ["init", text(&again), "--register-env", "REGISTER"];
        let refused = rosterd_with(&init, &[("REGISTER", &server.address)]);
        assert_eq!(refused.code, 2, "{refused:?}");
        assert!(refused.stderr.contains("is there already") && !again.join("rosterd.toml").exists());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_restarts_in_the_middle_of_a_cycle_loses_nothing() {
    const PEOPLE: i64 = 20;
    for store in Store::servers() {
        let database = Database::new(store);
        let direct = database.address();
        let (before, rest) = direct.rsplit_once('@').unwrap();
        let (host, name) = rest.split_once('/').unwrap();
        let tap = Tap::new(host).await;
        let address = format!("{before}@127.0.0.1:{}/{name}", tap.port);
        let server = Server::init(database, address).await;
        let site = server.database.site();
        for number in 0..PEOPLE {
            site.run(&format!("INSERT INTO registrations (email) VALUES ('p{number}@alliance.test')"));
        }
        let mut n_cut = 0;
        for bytes in [0, 5_000, 10_000, 20_000, 30_000, 40_000] {
            site.run(&format!("UPDATE registrations SET first_name = 'After {bytes}'"));
            if bytes > 0 {
                // Each time somebody leaves on one of the sides.
                let leaves = format!("p{}@alliance.test", bytes / 5_000);
                server.stage.sandbox.person().unsubscribe(&leaves).unwrap();
            }
            tap.close_after(bytes);
            n_cut += u32::from(server.run(&["sync", "--full", "--yes"]).code == 1);
            tap.pass_all();
            let ran = server.run(&["sync", "--full", "--yes"]);
            assert_eq!(ran.code, 0, "{store:?} {bytes}: {ran:?}");
        }
        assert!(n_cut >= 3, "{store:?}: only {n_cut} cycles were cut off");
        for number in 0..PEOPLE {
            let email = format!("p{number}@alliance.test");
            let row = format!("FROM registrations WHERE email = '{email}'");
            let subscription = site.first(&format!("SELECT subscription {row}"));
            let has_left = [1, 2, 4, 6, 8].contains(&number);
            let expected = if has_left { "unsubscribed" } else { "subscribed" };
            assert_eq!(
                (subscription, server.status(&email)),
                (Value::Text(expected.to_owned()), expected.to_owned())
            );
            let member = server.stage.sandbox.member(&email).unwrap();
            assert!(has_left || member["merge_fields"]["FNAME"] == "After 40000", "{member}");
            assert!(matches!(site.first(&format!("SELECT preferences_url {row}")), Value::Text(_)));
        }
        assert_eq!(site.first("SELECT count(*) FROM registrations").to_owned(), Value::Integer(PEOPLE));
    }
}
