//! The `rosterd` program: parse the command line, start telemetry, dispatch, print the error chain, pick the exit code.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use rosterd::cli::{self, Cli, Fault};
use tokio::runtime::Builder;

/// Calls that cannot be interrupted, such as one that waits for the register's lock, are waited for this long at the end.
const LAST_CALLS: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ended = Builder::new_multi_thread().enable_all().build().map_err(Fault::failed).and_then(|runtime| {
        let ended = runtime.block_on(cli::run(&cli));
        runtime.shutdown_timeout(LAST_CALLS);
        ended
    });
    match ended {
        Ok(ending) => ending.into(),
        Err(fault) => {
            cli::print_fault(&fault);
            ExitCode::from(&fault)
        }
    }
}
