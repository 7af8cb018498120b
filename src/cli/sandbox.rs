//! `rosterd sandbox`: only the pretend Mailchimp, to rehearse against.

use std::net::SocketAddr;

use anyhow::Context;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::exit::{Ending, Fault};
use crate::cli::output::{print_json, say};
use crate::cli::{Output, SandboxArgs};
use crate::clock::Clock;
use crate::sandbox::Sandbox;

/// Prints where it is and how to get in, then serves until SIGINT or SIGTERM.
pub(super) async fn run(args: &SandboxArgs) -> Result<Ending, Fault> {
    if !args.listen.ip().is_loopback() {
        let problem =
            format!("--listen {}: the sandbox serves this machine only; use 127.0.0.1", args.listen);
        return Err(Fault::usage(anyhow::anyhow!(problem)));
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .with_context(|| format!("cannot listen on {}; name another port with --listen", args.listen))
        .map_err(Fault::failed)?;
    let address = listener.local_addr().map_err(Fault::failed)?;
    let sandbox = Sandbox::new(Clock::System);
    // Heard from the first printed line on: whoever read it may tell us to stop.
    let signals = (
        signal(SignalKind::terminate()).map_err(Fault::failed)?,
        signal(SignalKind::interrupt()).map_err(Fault::failed)?,
    );
    print(&sandbox, address, args.output)?;
    serve(&sandbox, listener, signals).await
}

fn print(sandbox: &Sandbox, address: SocketAddr, output: Output) -> Result<(), Fault> {
    let (base_url, key, audience) =
        (format!("http://{address}/3.0"), sandbox.api_key(), sandbox.audience_id());
    if output.json {
        return print_json(&json!({ "base_url": base_url, "api_key": key, "audience": audience }));
    }
    say(&format!("base URL  {base_url}"))?;
    say(&format!("API key   {key}"))?;
    say(&format!("audience  {audience}"))?;
    say("")?;
    say(&format!("# export MAILCHIMP_API_KEY={key}"))?;
    say("[mailchimp]")?;
    say("api_key_env = \"MAILCHIMP_API_KEY\"")?;
    say(&format!("audience = \"{audience}\""))?;
    say(&format!("base_url = \"{base_url}\""))?;
    say("")?;
    say(
        "# It is empty, and forgets everything when it ends: Ctrl-C. People and faults are played by POST to",
    )?;
    say(&format!("# http://{address}/_sandbox/person and http://{address}/_sandbox/faults."))
}

async fn serve(
    sandbox: &Sandbox,
    listener: TcpListener,
    (mut terminate, mut interrupt): (Signal, Signal),
) -> Result<Ending, Fault> {
    let stop = CancellationToken::new();
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
