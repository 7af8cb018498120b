//! `rosterd completions`: what completes commands and flags in a shell, for packagers.

use clap::CommandFactory;
use clap_complete::generate;

use crate::cli::exit::{Ending, Fault};
use crate::cli::output::put;
use crate::cli::{Cli, CompletionsArgs};

/// Prints the script for the shell that was asked for.
pub(super) fn run(args: &CompletionsArgs) -> Result<Ending, Fault> {
    let mut script = Vec::new();
    generate(args.shell, &mut Cli::command(), "rosterd", &mut script);
    put(&String::from_utf8_lossy(&script))?;
    Ok(Ending::Done)
}
