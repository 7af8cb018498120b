//! Mailchimp's own clients talk to the sandbox as they would to Mailchimp: nothing but the host is changed.
//!
//! Each runs where it is at hand: `ROSTERD_TEST_PYTHON` names a Python that has `mailchimp_marketing`, else `python3` is
//! tried; `ROSTERD_TEST_NODE_MODULES` names a folder that holds `@mailchimp/mailchimp_marketing`.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test may panic, and says what it skips")]

use std::env;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;

use rosterd::clock::Clock;
use rosterd::sandbox::Sandbox;
use rosterd::sandbox::SandboxOptions;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Runs a client against a sandbox of its own.
async fn check(mut client: Command) {
    let options = SandboxOptions { batch_step: Duration::from_millis(50), ..SandboxOptions::default() };
    let sandbox = Sandbox::with_options(Clock::System, options);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/3.0", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let served = tokio::spawn({
        let (sandbox, stop) = (sandbox.clone(), stop.clone());
        async move { sandbox.serve(listener, stop).await }
    });
    client.args([base_url, sandbox.api_key(), sandbox.audience_id()]);
    client.env_remove("HTTP_PROXY").env_remove("http_proxy");
    let output = tokio::task::spawn_blocking(move || client.output()).await.unwrap().unwrap();
    stop.cancel();
    served.await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("is content"));
}

fn script(name: &str) -> String {
    format!("{}/tests/clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn succeeds(command: &mut Command) -> bool {
    let command = command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[tokio::test]
async fn the_official_python_client_works_unchanged() {
    let python = env::var("ROSTERD_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !succeeds(Command::new(&python).args(["-c", "import mailchimp_marketing"])) {
        eprintln!("skipped: {python} has no module mailchimp_marketing (set ROSTERD_TEST_PYTHON)");
        return;
    }
    let mut client = Command::new(python);
    client.arg(script("python.py"));
    check(client).await;
}

#[tokio::test]
async fn the_official_node_client_works_unchanged() {
    let modules = env::var("ROSTERD_TEST_NODE_MODULES").unwrap_or_default();
    let installed = Path::new(&modules).join("@mailchimp/mailchimp_marketing").is_dir();
    if !installed || !succeeds(Command::new("node").arg("--version")) {
        eprintln!("skipped: no node with @mailchimp/mailchimp_marketing (set ROSTERD_TEST_NODE_MODULES)");
        return;
    }
    let mut client = Command::new("node");
    client.arg(script("node.js")).env("NODE_PATH", modules);
    check(client).await;
}
