//! `rosterd sandbox`: only the pretend Mailchimp, to rehearse against.

use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::SandboxArgs;
use crate::cli::exit::{Ending, Fault};
use crate::cli::output::{print_json, say};
use crate::clock::Clock;
use crate::sandbox::Sandbox;

/// Prints where it is and how to get in, then serves until SIGINT or SIGTERM.
pub(super) async fn run(args: &SandboxArgs) -> Result<Ending, Fault> {
    if !args.listen.ip().is_loopback() {
        let problem =
            format!("--listen {}: the sandbox serves this machine only; use 127.0.0.1", args.listen);
        return Err(Fault::usage(anyhow::anyhow!(problem)));
    }
    let listener = TcpListener::bind(args.listen).await.map_err(Fault::failed)?;
    let address = listener.local_addr().map_err(Fault::failed)?;
    let sandbox = Sandbox::new(Clock::System);
    let (base_url, key, audience) =
        (format!("http://{address}/3.0"), sandbox.api_key(), sandbox.audience_id());
    if args.output.json {
        print_json(&json!({ "base_url": base_url, "api_key": key, "audience": audience }))?;
    } else {
        say(&format!("base URL  {base_url}"))?;
        say(&format!("API key   {key}"))?;
        say(&format!("audience  {audience}"))?;
        say("")?;
        say("For a configuration, with the key in a file of its own:")?;
        say("  [mailchimp]")?;
        say("  api_key_file = \"mailchimp.key\"")?;
        say(&format!("  audience = \"{audience}\""))?;
        say(&format!("  base_url = \"{base_url}\""))?;
        say("")?;
        say(
            "People and faults are played by POST to /_sandbox/person and /_sandbox/faults; Ctrl-C ends it.",
        )?;
    }
    serve(&sandbox, listener).await
}

async fn serve(sandbox: &Sandbox, listener: TcpListener) -> Result<Ending, Fault> {
    let stop = CancellationToken::new();
    let mut terminate = signal(SignalKind::terminate()).map_err(Fault::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Fault::failed)?;
    let serving = sandbox.serve(listener, stop.clone());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        result = &mut serving => return result.map(|()| Ending::Done).map_err(Fault::failed),
        _ = terminate.recv() => (),
        _ = interrupt.recv() => (),
    }
    stop.cancel();
    serving.await.map_err(Fault::failed)?;
    Ok(Ending::Done)
}
