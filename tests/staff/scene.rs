//! A sandbox over real HTTP, a register with a few people, and the program itself between them.

use std::path::PathBuf;
use std::process::Output;

use assert_cmd::Command;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rosterd::clock::Clock;
use rosterd::mailchimp::transport::{Method, Request};
use rosterd::registrations::create_register;
use rosterd::sandbox::Sandbox;
use rusqlite::Connection;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

/// What a run of the program came to.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The JSON that was printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}{}", self.out, self.err))
    }

    /// Fails unless it ended with this code.
    #[track_caller]
    pub(crate) fn ended(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        self
    }

    /// Fails unless standard output holds all of `parts`.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.out.contains(part), "{part:?} is not in:\n{}\n{}", self.out, self.err);
        }
        self
    }

    /// Fails where standard output holds `part`.
    #[track_caller]
    pub(crate) fn says_not(self, part: &str) -> Self {
        assert!(!self.out.contains(part), "{part:?} is in:\n{}", self.out);
        self
    }

    /// Fails unless standard error holds `part`.
    #[track_caller]
    pub(crate) fn complains(self, part: &str) -> Self {
        assert!(self.err.contains(part), "{part:?} is not in:\n{}", self.err);
        self
    }
}

/// Both sides and the directory of the program; the sandbox stops with it.
pub(crate) struct Scene {
    pub(crate) directory: TempDir,
    pub(crate) sandbox: Sandbox,
    stop: Option<DropGuard>,
}

impl Scene {
    /// An audience with two topics, an empty register, and a configuration that maps both.
    pub(crate) async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::new(Clock::System);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let (serving, token) = (sandbox.clone(), stop.clone());
        tokio::spawn(async move { serving.serve(listener, token).await });
        let scene = Self { directory, sandbox, stop: Some(stop.drop_guard()) };
        let category =
            scene.post("/interest-categories", json!({"title": "Topics", "type": "checkboxes"})).await;
        let id = category["id"].as_str().unwrap();
        for name in ["Finance", "Water"] {
            scene.post(&format!("/interest-categories/{id}/interests"), json!({"name": name})).await;
        }
        create_register(&scene.path("registrations.db")).await.unwrap();
        let config = format!(
            r#"
[registrations]
url = "sqlite:registrations.db"
[mailchimp]
api_key_env = "MAILCHIMP_API_KEY"
audience = "{}"
base_url = "http://{address}/3.0"
[state]
path = "state.db"
[[merge_field]]
column = "first_name"
tag = "FNAME"
[[merge_field]]
column = "last_name"
tag = "LNAME"
[[interest]]
dimension = "topic"
category = "Topics"
[[working_group]]
name = "Intergovernmental Finance"
any = ["topic:Finance"]
[[working_group]]
name = "Water Board"
any = ["topic:Water"]
membership = ["member"]
"#,
            scene.sandbox.audience_id()
        );
        std::fs::write(scene.path("rosterd.toml"), config).unwrap();
        scene
    }

    /// A scene in which these people have been adopted.
    pub(crate) async fn with(people: &[&str]) -> Self {
        let scene = Self::new().await;
        for name in people {
            scene.register(name, "Finance");
        }
        scene.run(&["sync", "--yes"]).await.ended(0);
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn post(&self, below: &str, body: Value) -> Value {
        let key = STANDARD.encode(format!("any:{}", self.sandbox.api_key()));
        let request = Request {
            method: Method::Post,
            target: format!("/lists/{}{below}", self.sandbox.audience_id()),
            body: Some(body.to_string().into_bytes()),
            authorization: Some(format!("Basic {key}")),
        };
        serde_json::from_slice(&self.sandbox.answer(request).await.unwrap().body).unwrap()
    }

    /// The website's own connection to the register.
    pub(crate) fn website(&self) -> Connection {
        Connection::open(self.path("registrations.db")).unwrap()
    }

    /// Somebody registers as a member, by first name, with one topic.
    pub(crate) fn register(&self, name: &str, topic: &str) {
        let website = self.website();
        website
            .execute(
                "INSERT INTO registrations (email, membership, first_name, signup_at)
                 VALUES (?1, 'member', ?2, '2026-01-05T10:00:00Z')",
                (email(name), name),
            )
            .unwrap();
        website
            .execute(
                "INSERT INTO registration_interests VALUES (?1, 'topic', ?2)",
                (website.last_insert_rowid(), topic),
            )
            .unwrap();
    }

    /// The website runs a statement.
    pub(crate) fn alter(&self, sql: &str) {
        self.website().execute_batch(sql).unwrap();
    }

    /// The register no longer says since when somebody has their status.
    pub(crate) fn switch_consent_times_off(&self) {
        let config = std::fs::read_to_string(self.path("rosterd.toml")).unwrap();
        let without = "[registrations.columns]\nsubscription_changed_at = \"\"\n[mailchimp]";
        std::fs::write(self.path("rosterd.toml"), config.replace("[mailchimp]", without)).unwrap();
    }

    /// Mailchimp is out of reach from now on.
    pub(crate) fn cut_off(&mut self) {
        self.stop = None;
    }

    /// Runs the program with the scene's configuration.
    pub(crate) async fn run(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command
            .arg("--config")
            .arg(self.path("rosterd.toml"))
            .args(args)
            .env("MAILCHIMP_API_KEY", self.sandbox.api_key())
            .env_remove("ROSTERD_LOG");
        finish(command).await
    }

    /// Runs the program as somebody who does not know the key.
    pub(crate) async fn run_without_key(&self, args: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.arg("--config").arg(self.path("rosterd.toml")).args(args).env_remove("MAILCHIMP_API_KEY");
        finish(command).await
    }

    /// Runs the program as somebody who does not know the key, with this on standard input.
    pub(crate) async fn pipe(&self, args: &[&str], input: impl Into<Vec<u8>>) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
        command.arg("--config").arg(self.path("rosterd.toml")).args(args).env_remove("MAILCHIMP_API_KEY");
        command.write_stdin(input);
        finish(command).await
    }

    /// The id of the only hold of a class.
    pub(crate) async fn hold(&self, class: &str) -> String {
        let held = self.run(&["held", "--json"]).await.json();
        let holds = held["held"].as_array().unwrap().clone();
        let hold = holds.iter().find(|hold| hold["class"] == class);
        hold.unwrap_or_else(|| panic!("no {class} in {held}"))["id"].as_str().unwrap().to_owned()
    }
}

/// `ada` is `ada@alliance.test`.
pub(crate) fn email(name: &str) -> String {
    format!("{name}@alliance.test")
}

async fn finish(mut command: Command) -> Ran {
    let output: Output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}
