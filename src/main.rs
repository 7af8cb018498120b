//! The `rosterd` program: parse the command line, start telemetry, dispatch, print the error chain, pick the exit code.

use std::process::ExitCode;

use clap::Parser;
use rosterd::cli::{self, Cli};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match cli::run(&cli).await {
        Ok(ending) => ending.into(),
        Err(fault) => {
            cli::print_fault(&fault);
            ExitCode::from(&fault)
        }
    }
}
