//! A directory with a configuration and a register, a served sandbox, and the program to run over them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use assert_cmd::Command;
use rosterd::clock::Clock;
use rosterd::mailchimp::client::{ClientOptions, MailchimpClient};
use rosterd::mailchimp::retry::RetryOptions;
use rosterd::mailchimp::schema::AudienceMapping;
use rosterd::registrations::create_register;
use rosterd::sandbox::{Sandbox, SandboxOptions};
use rusqlite::Connection;
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::sync::DropGuard;

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `rosterd` with nothing of our own environment.
pub(crate) fn rosterd(args: &[&str]) -> Ran {
    rosterd_with(args, &[])
}

/// The same with variables.
pub(crate) fn rosterd_with(args: &[&str], variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rosterd"));
    command.env_clear().args(args).envs(variables.iter().copied());
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A register and a configuration in a directory, and a sandbox that is served while this lives.
pub(crate) struct Stage {
    pub(crate) directory: TempDir,
    pub(crate) sandbox: Sandbox,
    pub(crate) base_url: String,
    _stop: DropGuard,
}

impl Stage {
    /// An empty register of the default schema, an audience as Mailchimp makes it, and a configuration of both alone.
    pub(crate) async fn new() -> Self {
        Self::with_options(SandboxOptions::default()).await
    }

    /// The same with another account.
    pub(crate) async fn with_options(options: SandboxOptions) -> Self {
        let directory = tempfile::Builder::new().prefix("rosterd-setup").tempdir().unwrap();
        create_register(&directory.path().join("registrations.db")).await.unwrap();
        let sandbox = Sandbox::with_options(Clock::System, options);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/3.0", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let (served, token) = (sandbox.clone(), stop.clone());
        tokio::spawn(async move { served.serve(listener, token).await });
        let stage = Self { directory, sandbox, base_url, _stop: stop.drop_guard() };
        stage.configure("");
        stage
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A configuration of both sides, with `more` at its end.
    pub(crate) fn configure(&self, more: &str) {
        let (base_url, audience) = (&self.base_url, self.sandbox.audience_id());
        self.write(&format!(
            "[registrations]\nurl = \"sqlite:registrations.db\"\n[mailchimp]\napi_key_env = \"KEY\"\n\
             audience = \"{audience}\"\nbase_url = \"{base_url}\"\n{more}"
        ));
    }

    /// A configuration as it is.
    pub(crate) fn write(&self, text: &str) {
        fs::write(self.path("rosterd.toml"), text).unwrap();
    }

    /// Runs `rosterd` with this configuration and the sandbox's key.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.run_with(args, &[("KEY", &self.sandbox.api_key())])
    }

    /// The same with other variables.
    pub(crate) fn run_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Ran {
        let config = self.path("rosterd.toml");
        let args: Vec<&str> = ["--config", text(&config)].into_iter().chain(args.iter().copied()).collect();
        rosterd_with(&args, variables)
    }

    /// What `check` prints after the sample rows, with the directory as DIR and the sandbox as URL.
    #[track_caller]
    pub(crate) fn check(&self, code: i32, expected: &[&str]) {
        self.check_with(&[("KEY", &self.sandbox.api_key())], code, expected);
    }

    /// The same with other variables.
    #[track_caller]
    pub(crate) fn check_with(&self, variables: &[(&str, &str)], code: i32, expected: &[&str]) {
        let ran = self.run_with(&["check"], variables);
        let after_samples = ran.stdout.rsplit_once("\n\n").map_or(&*ran.stdout, |(_, after)| after);
        let shown = self.plain(after_samples);
        assert_eq!(shown.lines().collect::<Vec<_>>(), expected, "{}", ran.stderr);
        assert_eq!(ran.code, code, "{shown}");
    }

    /// A text without what differs from run to run.
    pub(crate) fn plain(&self, shown: &str) -> String {
        shown
            .replace(text(self.directory.path()), "DIR")
            .replace(&self.base_url, "URL")
            .replace(&self.sandbox.audience_id(), "AUDIENCE")
    }

    /// Runs statements on the register.
    pub(crate) fn register(&self, statements: &str) {
        Connection::open(self.path("registrations.db")).unwrap().execute_batch(statements).unwrap();
    }

    /// A client of the sandbox, for what staff set up in Mailchimp.
    pub(crate) fn client(&self) -> MailchimpClient {
        let options = ClientOptions {
            api_key: self.sandbox.api_key().into(),
            audience: self.sandbox.audience_id(),
            connections: 1,
            retry: RetryOptions::default(),
        };
        let transport = Arc::new(self.sandbox.transport());
        MailchimpClient::new(options, AudienceMapping::default(), Clock::System, transport).unwrap()
    }

    /// The names in the audience: `Topics: Finance, Health`.
    pub(crate) async fn offered(&self) -> Vec<String> {
        let offer = rosterd::mailchimp::provision::InspectAudience::offer(&self.client()).await.unwrap();
        let mut offered: Vec<String> = offer.merge_fields.keys().cloned().collect();
        offered.extend(offer.categories.iter().map(|category| {
            format!("{}: {}", category.title, Vec::from_iter(category.interests.clone()).join(", "))
        }));
        offered
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

pub(crate) fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}
