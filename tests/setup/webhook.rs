//! `rosterd provision` and the webhook: its secret path is never shown, its signing secret is kept.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;

use rosterd::clock::Clock;
use rosterd::mailchimp::provision::{InspectAudience, NewWebhook, ProvisionAudience};
use rosterd::mailchimp::transport::{Method, Request};
use rosterd::state::{keep_signing_secret, signing_secrets};
use tokio::net::TcpListener;

use crate::stage::{Ran, Stage};

const PATH: &str = "0123456789abcdef0123456789abcdef";

/// Answers every GET with 200, as the daemon does for Mailchimp's validator.
async fn receiver() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new().fallback(|| async { "" });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn configure(stage: &Stage, address: SocketAddr) {
    stage.configure(&format!(
        "[web]\npublic_url = \"http://{address}\"\nwebhook_path_secret_env = \"HOOK\"\n"
    ));
}

fn run(stage: &Stage, args: &[&str]) -> Ran {
    let ran = stage.run_with(args, &[("KEY", &stage.sandbox.api_key()), ("HOOK", PATH)]);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(PATH), "{ran:?}");
    ran
}

#[tokio::test(flavor = "multi_thread")]
async fn the_webhook_is_created_once_and_its_signing_secret_kept_for_the_owner() {
    let stage = Stage::new().await;
    let address = receiver().await;
    configure(&stage, address);
    let checked = run(&stage, &["check"]);
    let notice = format!(
        "notice  [web] public_url: no webhook of the audience calls http://{address}/webhook/…; rosterd provision creates \
         it while rosterd run listens\nEverything fits, with 1 notice.\n"
    );
    assert_eq!((checked.code, checked.stdout), (0, notice));
    let ran = run(&stage, &["provision", "--yes"]);
    let expected = format!(
        "Missing in the audience:\n  webhook http://{address}/webhook/…\ncreated webhook http://{address}/webhook/…\n\
         The webhook's signing secret is kept in DIR/state.db.secrets.\n"
    );
    assert_eq!((ran.code, stage.plain(&ran.stdout)), (0, expected), "{}", ran.stderr);
    let hooks = stage.client().webhooks().await.unwrap();
    assert_eq!(hooks.len(), 1);
    assert_eq!(hooks[0].url, format!("http://{address}/webhook/{PATH}"));
    assert_eq!(signing_secrets(&stage.path("state.db"), None, Clock::System.now()).unwrap().len(), 1);
    let mode = fs::metadata(stage.path("state.db.secrets")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(run(&stage, &["provision", "--yes"]).stdout, "Nothing is missing.\n");
    assert_eq!(run(&stage, &["check"]).stdout, "Everything fits.\n");
}

/// A webhook that calls `path` of the receiver.
async fn hook(stage: &Stage, address: SocketAddr, path: &str) -> NewWebhook {
    stage.client().create_webhook(&format!("http://{address}/webhook/{path}")).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_with_an_old_path_is_told_and_removed() {
    let stage = Stage::new().await;
    let address = receiver().await;
    configure(&stage, address);
    hook(&stage, address, "old").await;
    let secret = hook(&stage, address, PATH).await.signing_secret.unwrap();
    keep_signing_secret(&stage.path("state.db"), &secret, Clock::System.now()).unwrap();
    stage.client().create_webhook(&format!("http://{address}/elsewhere")).await.unwrap();
    let expected = format!(
        "notice  [web] webhook_path_secret: 1 webhook with another secret: http://{address}/webhook/…; rosterd provision \
         removes what is outdated\nEverything fits, with 1 notice.\n"
    );
    assert_eq!(run(&stage, &["check"]).stdout, expected);
    let ran = run(&stage, &["provision", "--yes"]);
    let line = format!("webhook http://{address}/webhook/…: the one with another path secret is removed");
    let expected = format!("Missing in the audience:\n  {line}\nmended  {line}\n");
    assert_eq!((ran.code, ran.stdout), (0, expected), "{}", ran.stderr);
    let urls: Vec<String> =
        stage.client().webhooks().await.unwrap().into_iter().map(|hook| hook.url).collect();
    let left = ["elsewhere", &format!("webhook/{PATH}")].map(|path| format!("http://{address}/{path}"));
    assert_eq!(urls.len(), 2);
    assert!(left.iter().all(|url| urls.contains(url)), "{urls:?}");
    assert_eq!(run(&stage, &["provision", "--yes"]).stdout, "Nothing is missing.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_whose_signing_secret_was_lost_is_replaced() {
    let stage = Stage::new().await;
    let address = receiver().await;
    configure(&stage, address);
    let lost = hook(&stage, address, PATH).await;
    let checked = run(&stage, &["check"]).stdout;
    assert!(checked.contains("signs with a secret that is not known here"), "{checked}");
    let ran = run(&stage, &["provision", "--yes"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains(": a new one in place of the one whose signing secret is not known\n"),
        "{}",
        ran.stdout
    );
    let hooks = stage.client().webhooks().await.unwrap();
    assert_eq!(hooks.len(), 1);
    assert_ne!(hooks[0].id, lost.webhook.id);
    let kept = signing_secrets(&stage.path("state.db"), None, Clock::System.now()).unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(run(&stage, &["check"]).stdout, "Everything fits.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_calls_for_the_wrong_things_is_mended() {
    let stage = Stage::new().await;
    let address = receiver().await;
    configure(&stage, address);
    assert_eq!(run(&stage, &["provision", "--yes"]).code, 0);
    let hook = stage.client().webhooks().await.unwrap().remove(0);
    let before = (hook.events.clone(), hook.sources.clone());
    let target = format!("/lists/{}/webhooks/{}", stage.sandbox.audience_id(), hook.id);
    for wrong in [r#"{"events":{"unsubscribe":false}}"#, r#"{"sources":{"api":true}}"#] {
        let (body, target) = (Some(wrong.as_bytes().to_vec()), target.clone());
        let authorization = Some(format!("Bearer {}", stage.sandbox.api_key()));
        let request = Request { method: Method::Patch, target, body, authorization };
        assert_eq!(stage.sandbox.answer(request).await.unwrap().status, 200);
        let checked = run(&stage, &["check"]).stdout;
        assert!(checked.contains("does not call for everything that members and staff do"), "{checked}");
        let ran = run(&stage, &["provision", "--yes"]);
        assert!(ran.stdout.contains("mended  webhook"), "{}{}", ran.stdout, ran.stderr);
        let hook = stage.client().webhooks().await.unwrap().remove(0);
        assert_eq!((hook.events, hook.sources), before, "{wrong}");
    }
    assert_eq!(run(&stage, &["check"]).stdout, "Everything fits.\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_that_does_not_answer_is_told_with_what_to_do() {
    let stage = Stage::new().await;
    // Nobody listens there, and nobody else gets the port meanwhile.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let nobody = socket.local_addr().unwrap();
    configure(&stage, nobody);
    let ran = run(&stage, &["provision", "--yes"]);
    let expected = format!(
        "rosterd: webhook http://{nobody}/webhook/… was not created; rosterd run must listen behind it, since Mailchimp \
         calls it at once: "
    );
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with(&expected), "{}", ran.stderr);
    assert!(stage.client().webhooks().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_webhook_is_created_where_its_signing_secret_could_not_be_kept() {
    let stage = Stage::new().await;
    let address = receiver().await;
    configure(&stage, address);
    fs::create_dir(stage.path("state.db.secrets")).unwrap();
    let ran = run(&stage, &["provision", "--yes"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
    assert!(
        ran.stderr.contains("signing secret, which Mailchimp tells once, could not be kept"),
        "{}",
        ran.stderr
    );
    assert!(stage.client().webhooks().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_webhook_is_a_notice() {
    let stage = Stage::new().await;
    stage.configure("[web]\npublic_url = \"https://members.alliance.test\"\n");
    let notice = "notice  [web] webhook_path_secret: not given, so that Mailchimp cannot call us: there is no webhook \
                  without it\nEverything fits, with 1 notice.\n";
    assert_eq!(run(&stage, &["check"]).stdout, notice);
    stage.configure("[web]\nwebhook_path_secret_env = \"HOOK\"\n");
    let notice = "notice  [web] public_url: not given, so that rosterd provision cannot create the webhook\nEverything \
                  fits, with 1 notice.\n";
    assert_eq!(run(&stage, &["check"]).stdout, notice);
    stage.configure("[web]\n");
    assert_eq!(run(&stage, &["check"]).stdout, "Everything fits.\n");
}
