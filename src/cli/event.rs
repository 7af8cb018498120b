//! `rosterd event`: a webhook's body on standard input, for receivers that can only run a program.

use std::io::{Read, stdin};

use anyhow::Context;
use serde_json::json;

use crate::aside::aside;
use crate::cli::exit::{Ending, Fault};
use crate::cli::output::{counted, print_json, say};
use crate::cli::{Cli, Output};
use crate::clock::Clock;
use crate::config::{ProcessEnvironment, StateConfig, locate};
use crate::intake::{Received, Source, Spool};
use crate::mailchimp::webhook::split;

/// As much as can be posted.
const BODY_BYTES: u64 = 1 << 20;

/// Writes the events down beside the state, whether or not a daemon runs; of the configuration only `[state]` is read, so
/// that a receiver needs none of its secrets.
pub(super) async fn run(cli: &Cli, output: Output) -> Result<Ending, Fault> {
    let path = locate(cli.config.as_deref(), &ProcessEnvironment);
    let config = StateConfig::load(&path).map_err(Fault::usage)?;
    let posted = aside(read).await.map_err(Fault::failed)?;
    let posted = posted.context("standard input cannot be read").map_err(Fault::failed)?;
    if posted.len() as u64 > BODY_BYTES {
        return Err(Fault::usage(anyhow::anyhow!("standard input holds more than {BODY_BYTES} bytes")));
    }
    let bodies = split(&posted).context("standard input holds no event").map_err(Fault::usage)?;
    let (at, number) = (Clock::System.now(), bodies.len());
    let events: Vec<Received> =
        bodies.into_iter().map(|body| Received { source: Source::Spool, at, body }).collect();
    let spool = Spool::beside(&config.path);
    aside(move || spool.put(&events)).await.map_err(Fault::failed)?.map_err(Fault::failed)?;
    if output.json {
        print_json(&json!({ "stored": number }))?;
    } else {
        say(&format!("{} stored.", counted(number, "event")))?;
    }
    Ok(Ending::Done)
}

fn read() -> std::io::Result<Vec<u8>> {
    let mut posted = Vec::new();
    stdin().take(BODY_BYTES + 1).read_to_end(&mut posted)?;
    Ok(posted)
}
